//! The size of the original of a compressed file, told without unpacking it.
//!
//! gzip ends with the size of its last member (RFC 1952, ISIZE), which is that of the file where
//! there is one member. Of several, the first has a subfield `SO` in its extra field here: the
//! size of the whole, eight bytes, the least significant first. Programs pass over it.
//!
//! Zstandard has the size of each frame in its header (RFC 8878). Several frames are followed by a
//! table of their sizes in a skippable frame, in the format of `zstd_seekable_compression_format.md`
//! of the Zstandard project, which gives readers random access too.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Two letters that name the subfield, and its length.
const SUBFIELD: [u8; 4] = [b'S', b'O', 8, 0];
/// A gzip file begins with it; deflate is the only method.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// What wrote it does not matter to a reader.
const UNKNOWN_SYSTEM: u8 = 255;
/// The flag of an extra field.
const FEXTRA: u8 = 4;
/// The fixed part of the header, and the length of the extra field.
const GZIP_HEAD: usize = 12;
/// Header, an empty block, checksum and size.
const GZIP_LEAST: u64 = 18;

const SKIPPABLE: u32 = 0x184D_2A5E;
const SEEKABLE: u32 = 0x8F92_EAB1;
/// Number of frames, descriptor, magic number.
const FOOTER: u64 = 9;
const CHECKSUMS: u8 = 0x80;
/// A Zstandard frame header is no longer.
const ZSTD_HEAD: usize = 18;
/// Entries of the table that are read at once.
const ENTRIES: u64 = 4096;

/// The header of a member (RFC 1952): no name and no time; of the first of several members, the
/// size of the whole in an extra field.
pub(super) fn gzip_header(whole: Option<u64>) -> Vec<u8> {
    let flags = if whole.is_some() { FEXTRA } else { 0 };
    let mut header = GZIP.to_vec();
    header.extend([flags, 0, 0, 0, 0, 0, UNKNOWN_SYSTEM]);
    if let Some(bytes) = whole {
        header.extend([12, 0]);
        header.extend(SUBFIELD);
        header.extend(bytes.to_le_bytes());
    }
    header
}

/// The table behind several frames: each of `block` bytes originally, but for the last.
pub(super) fn zstd_table(frames: &[u32], block: u64, bytes: u64) -> Vec<u8> {
    let mut table = Vec::with_capacity(frames.len() * 8 + 17);
    table.extend(SKIPPABLE.to_le_bytes());
    let size = frames.len() as u64 * 8 + FOOTER;
    table.extend(&size.to_le_bytes()[..4]);
    let mut left = bytes;
    for frame in frames {
        let original = left.min(block);
        left -= original;
        table.extend(frame.to_le_bytes());
        table.extend(&original.to_le_bytes()[..4]);
    }
    table.extend(&(frames.len() as u64).to_le_bytes()[..4]);
    table.push(0);
    table.extend(SEEKABLE.to_le_bytes());
    table
}

/// The size of the original of a gzip file; `None` where the file does not tell.
///
/// # Errors
/// Those of reading.
pub fn of_gzip(file: &File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    if length < GZIP_LEAST {
        return Ok(None);
    }
    let mut head = [0; GZIP_HEAD];
    file.read_exact_at(&mut head, 0)?;
    if head[..3] != GZIP {
        return Ok(None);
    }
    if head[3] & FEXTRA != 0
        && let Some(bytes) = gzip_whole(file, [head[10], head[11]])?
    {
        return Ok(Some(bytes));
    }
    let mut size = [0; 4];
    file.read_exact_at(&mut size, length - 4)?;
    let size = u64::from(u32::from_le_bytes(size));
    // Smaller than its compressed form: the size wrapped, or there are several members.
    Ok((size >= length).then_some(size))
}

/// What our own subfield says, if the extra field of this length is it.
fn gzip_whole(file: &File, length: [u8; 2]) -> io::Result<Option<u64>> {
    let mut field = vec![0; usize::from(u16::from_le_bytes(length))];
    file.read_exact_at(&mut field, GZIP_HEAD as u64)?;
    let value = field.strip_prefix(&SUBFIELD);
    let value = value.and_then(|value| value.first_chunk::<8>());
    Ok(value.map(|bytes| u64::from_le_bytes(*bytes)))
}

/// The size of the original of a Zstandard file; `None` where the file does not tell.
///
/// # Errors
/// Those of reading.
pub fn of_zstd(file: &File) -> io::Result<Option<u64>> {
    if let Some(bytes) = zstd_whole(file)? {
        return Ok(Some(bytes));
    }
    let mut head = [0; ZSTD_HEAD];
    let count = file.read_at(&mut head, 0)?;
    Ok(zstd::zstd_safe::get_frame_content_size(&head[..count])
        .ok()
        .flatten())
}

/// What a table of frames says.
fn zstd_whole(file: &File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let Some(footer) = length.checked_sub(FOOTER) else {
        return Ok(None);
    };
    let mut end = [0; 9];
    file.read_exact_at(&mut end, footer)?;
    let [n0, n1, n2, n3, descriptor, magic @ ..] = end;
    if u32::from_le_bytes(magic) != SEEKABLE {
        return Ok(None);
    }
    let frames = u64::from(u32::from_le_bytes([n0, n1, n2, n3]));
    let entry = if descriptor & CHECKSUMS == 0 { 8 } else { 12 };
    let Some(start) = footer.checked_sub(frames * entry) else {
        return Ok(None);
    };
    let mut sum = 0;
    for first in (0..frames).step_by(4096) {
        let count = (frames - first).min(ENTRIES);
        let mut table = vec![0; usize::try_from(count * entry).map_err(io::Error::other)?];
        file.read_exact_at(&mut table, start + first * entry)?;
        for row in table.chunks_exact(usize::try_from(entry).map_err(io::Error::other)?) {
            sum += u64::from(u32::from_le_bytes([row[4], row[5], row[6], row[7]]));
        }
    }
    Ok(Some(sum))
}
