//! One block: into a member or frame of its own, and back.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use super::original;
use crate::plan::policy::Codec;

/// Bytes of the original in a block. Larger blocks compress hardly better and cost memory for each
/// thread; Zstandard sizes its tables by this too.
pub const BLOCK: u64 = 1024 * 1024;

/// What one thread needs to compress blocks.
pub enum Packer {
    Copy,
    Gzip(libdeflater::Compressor),
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Packer {
    pub fn new(codec: Codec) -> io::Result<Self> {
        Ok(match codec {
            Codec::None => Self::Copy,
            Codec::Gzip(level) => Self::Gzip(deflate(level)?),
            Codec::Zstd(level) => {
                let mut compressor = zstd::bulk::Compressor::new(level)?;
                compressor.include_checksum(true)?;
                Self::Zstd(Box::new(compressor))
            }
        })
    }

    /// Compresses a block. `whole` is the size of the file that it begins, where the file has
    /// several blocks: gzip has a place for it in its header.
    pub fn pack(&mut self, block: &[u8], whole: Option<u64>) -> io::Result<Vec<u8>> {
        match self {
            Self::Copy => Ok(block.to_vec()),
            Self::Gzip(compressor) => pack_gzip(compressor, block, whole),
            Self::Zstd(compressor) => {
                let mut packed = compressor.compress(block)?;
                packed.shrink_to_fit();
                Ok(packed)
            }
        }
    }
}

fn deflate(level: u32) -> io::Result<libdeflater::Compressor> {
    let level = i32::try_from(level).map_err(io::Error::other)?;
    let level = libdeflater::CompressionLvl::new(level)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(libdeflater::Compressor::new(level))
}

/// A member with a header of its own (RFC 1952): that has room for the size of the whole.
fn pack_gzip(
    compressor: &mut libdeflater::Compressor,
    block: &[u8],
    whole: Option<u64>,
) -> io::Result<Vec<u8>> {
    let mut packed = original::gzip_header(whole);
    let head = packed.len();
    packed.resize(head + compressor.deflate_compress_bound(block.len()), 0);
    let size = compressor
        .deflate_compress(block, &mut packed[head..])
        .map_err(io::Error::other)?;
    packed.truncate(head + size);
    packed.shrink_to(head + size + 8);
    let length = u32::try_from(block.len()).map_err(io::Error::other)?;
    packed.extend(libdeflater::crc32(block).to_le_bytes());
    packed.extend(length.to_le_bytes());
    Ok(packed)
}

/// What one thread needs to read blocks back.
pub enum Unpacker {
    Copy,
    Gzip,
    Zstd(Box<zstd::bulk::Decompressor<'static>>),
}

impl Unpacker {
    pub fn new(codec: Codec) -> io::Result<Self> {
        Ok(match codec {
            Codec::None => Self::Copy,
            Codec::Gzip(_) => Self::Gzip,
            Codec::Zstd(_) => Self::Zstd(Box::new(zstd::bulk::Decompressor::new()?)),
        })
    }

    /// Fills `block` with what `packed` holds; whether that is all that it holds, and its checksum
    /// is right. What does not decode is `false`.
    pub fn unpack(&mut self, packed: &[u8], block: &mut [u8]) -> bool {
        match self {
            Self::Copy => {
                let same = packed.len() == block.len();
                if same {
                    block.copy_from_slice(packed);
                }
                same
            }
            Self::Gzip => unpack_gzip(packed, block).unwrap_or(false),
            Self::Zstd(decompressor) => decompressor
                .decompress_to_buffer(packed, block)
                .is_ok_and(|count| count == block.len()),
        }
    }
}

/// By another library than the one that compressed it.
fn unpack_gzip(packed: &[u8], block: &mut [u8]) -> io::Result<bool> {
    let mut decoder = GzDecoder::new(packed);
    decoder.read_exact(block)?;
    // The checksum is compared when the end is read.
    let ends = decoder.read(&mut [0])? == 0;
    Ok(ends && decoder.into_inner().is_empty())
}
