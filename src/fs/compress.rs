//! Compressing a stream, and proving that what was written reads back as what was read.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::num::NonZeroU64;
use std::ops::Range;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use rustix::fs::Advice;

use super::part::Part;
use crate::plan::policy::Codec;

/// How much is read at a time; between two reads the stop flag is asked.
pub const CHUNK: usize = 256 * 1024;

/// Told how many bytes were read, and asked whether to go on.
pub trait Watch {
    /// So many more bytes were read.
    fn read(&self, bytes: u64);
    /// A signal came: leave the item undone.
    fn stop(&self) -> bool;
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

/// Feeds all of `source` to `sink`, returning the number of bytes.
///
/// # Errors
/// Those of reading and writing, and [`stopped`].
pub fn pump(
    mut source: impl Read,
    watch: &dyn Watch,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut buffer = vec![0_u8; CHUNK];
    let mut total = 0;
    loop {
        if watch.stop() {
            return Err(stopped());
        }
        match source.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                sink(&buffer[..count])?;
                total += count as u64;
                watch.read(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes `source` to `target`, compressed. The result is not yet synced.
///
/// # Errors
/// Those of reading and writing, and [`stopped`].
pub fn encode(source: &File, target: &File, codec: Codec, watch: &dyn Watch) -> io::Result<u64> {
    let length = source.metadata()?.len();
    encode_stream(source, length, target, codec, watch)
}

/// As [`encode`] for a range of a file, written where `target` stands: each call adds a gzip member
/// or a Zstandard frame.
///
/// # Errors
/// Those of reading and writing, and [`stopped`]; `UnexpectedEof` where the file ends before.
pub fn encode_part(
    source: &File,
    range: Range<u64>,
    target: &File,
    codec: Codec,
    watch: &dyn Watch,
) -> io::Result<u64> {
    let length = range.end.saturating_sub(range.start);
    encode_stream(Part::new(source, range), length, target, codec, watch)
}

fn encode_stream(
    source: impl Read,
    length: u64,
    target: &File,
    codec: Codec,
    watch: &dyn Watch,
) -> io::Result<u64> {
    let out = BufWriter::with_capacity(CHUNK, target);
    match codec {
        Codec::None => {
            let mut out = out;
            let count = pump(source, watch, |bytes| out.write_all(bytes))?;
            out.flush()?;
            Ok(count)
        }
        Codec::Gzip(level) => {
            let mut encoder = GzEncoder::new(out, Compression::new(level));
            let count = pump(source, watch, |bytes| encoder.write_all(bytes))?;
            encoder.finish()?.flush()?;
            Ok(count)
        }
        Codec::Zstd(level) => {
            let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
            // The size in the frame lets a later run know the ratio without unpacking.
            encoder.set_pledged_src_size(Some(length))?;
            encoder.include_checksum(true)?;
            let count = pump(source, watch, |bytes| encoder.write_all(bytes))?;
            encoder.finish()?.flush()?;
            Ok(count)
        }
    }
}

/// A reader of the original bytes of a stored file.
///
/// # Errors
/// Those of setting up the decoder.
pub fn decoder<'a>(stored: &'a File, codec: Codec) -> io::Result<Box<dyn Read + 'a>> {
    let input = BufReader::with_capacity(CHUNK, stored);
    Ok(match codec {
        Codec::None => Box::new(input),
        Codec::Gzip(_) => Box::new(MultiGzDecoder::new(input)),
        Codec::Zstd(_) => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
    })
}

/// Whether two streams are the same, byte for byte.
///
/// # Errors
/// Those of reading, and [`stopped`].
pub fn same(left: impl Read, mut right: impl Read, watch: &dyn Watch) -> io::Result<bool> {
    let mut buffer = vec![0_u8; CHUNK];
    let mut differ = false;
    let compared = pump(left, watch, |bytes| {
        let other = &mut buffer[..bytes.len()];
        match right.read_exact(other) {
            Ok(()) if *other == *bytes => Ok(()),
            Ok(()) => {
                differ = true;
                Err(io::ErrorKind::InvalidData.into())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                differ = true;
                Err(error)
            }
            Err(error) => Err(error),
        }
    });
    match compared {
        Err(_) if differ => Ok(false),
        Err(error) => Err(error),
        Ok(_) => Ok(right.read(&mut buffer[..1])? == 0),
    }
}

/// Lets go of the page cache of a file that was written or is about to be removed: it must not
/// push out what the agents use.
pub fn forget_pages(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None::<NonZeroU64>, Advice::DontNeed);
}
