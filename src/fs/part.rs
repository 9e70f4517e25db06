//! A part of a file as a stream, read at offsets of its own.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

/// The bytes of a range of a file.
#[derive(Debug)]
pub struct Part<'a> {
    file: &'a File,
    range: Range<u64>,
}

impl<'a> Part<'a> {
    /// The bytes of this range, from its beginning.
    #[must_use]
    pub const fn new(file: &'a File, range: Range<u64>) -> Self {
        Self { file, range }
    }
}

impl Read for Part<'_> {
    /// A file that ends within the range is `UnexpectedEof`: somebody truncated it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.range.end.saturating_sub(self.range.start);
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..most], self.range.start)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.range.start += count as u64;
        Ok(count)
    }
}
