//! Content that is read from beginning to end, on the caller's thread.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU64;
use std::ops::Range;

use flate2::bufread::MultiGzDecoder;
use rustix::fs::Advice;

use super::{Encoder, Watch, stopped};
use crate::plan::policy::Codec;

/// How much is read at a time; between two reads the stop flag is asked.
pub const CHUNK: usize = 256 * 1024;

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

/// Writes all of `source` to `target`, compressed. The result is not yet synced.
///
/// # Errors
/// Those of reading and writing, and [`super::stopped`].
pub fn encode(source: &File, target: &File, codec: Codec, watch: &dyn Watch) -> io::Result<u64> {
    if codec == Codec::None {
        let mut out = target;
        return pump(source, watch, |bytes| out.write_all(bytes));
    }
    let all = 0..source.metadata()?.len();
    encode_part(source, all, target, codec, watch)
}

/// Writes a range of a file where `target` stands, compressed, and leaves `target` at its end: what
/// is written by several calls is one file to whoever reads it.
///
/// # Errors
/// Those of reading and writing, and [`super::stopped`]; `UnexpectedEof` where the file ends before.
pub fn encode_part(
    source: &File,
    range: Range<u64>,
    mut target: &File,
    codec: Codec,
    watch: &dyn Watch,
) -> io::Result<u64> {
    let encoder = Encoder {
        codec,
        threads: watch.threads(),
        watch,
    };
    let start = target.stream_position()?;
    let written = encoder.encode_at(source, range, target, start)?;
    target.seek(SeekFrom::Start(written.end()))?;
    Ok(written.bytes())
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
