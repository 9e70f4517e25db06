//! Compressing files, and proving that what was written reads back as what was read.
//!
//! A file is compressed in blocks, each a member (gzip) or a frame (Zstandard) of its own, so that
//! any number of threads can share one file with a few mebibytes each. `gzip`, `zcat`, `zstd` and
//! `zstdcat` read the members one after the other as one file. [`Encoder`] is that; [`stream`] is
//! for content that is read in one go; [`original`] finds the size of a file from its compressed
//! form.

mod blocks;
mod encoder;
mod in_order;
pub mod original;
mod stream;

#[cfg(test)]
mod tests;

use std::io;

pub use encoder::{Encoded, Encoder};
pub use in_order::in_order;
pub use stream::{CHUNK, decoder, encode, encode_part, forget_pages, pump, same};

/// Told how many bytes were read, and asked whether to go on; by several threads.
pub trait Watch: Sync {
    /// So many more bytes were read.
    fn read(&self, bytes: u64);
    /// A signal came: leave the item undone.
    fn stop(&self) -> bool;
    /// On how many threads the work may be done, the caller's among them.
    fn threads(&self) -> usize {
        1
    }
}

/// The error of work that a signal ended.
#[must_use]
pub fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, Stopped)
}

/// Whether an error says that a signal ended the work.
#[must_use]
pub fn is_stopped(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Stopped>)
}

#[derive(Debug, thiserror::Error)]
#[error("ended by a signal")]
struct Stopped;
