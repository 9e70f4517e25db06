//! What an archive stores of a file: its bytes, compressed where that saves enough, and proved.

use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::os::unix::fs::FileExt as _;

use sha2::{Digest as _, Sha256};

use super::step::Halt;
use super::with;
use crate::fs::compress::{self, Watch, decoder, forget_pages};
use crate::fs::dir;
use crate::fs::evidence;
use crate::plan::policy::Codec;
use crate::plan::reason::size;

/// Bytes as they were stored.
pub(super) struct Made {
    /// sha256 of the stored bytes, in hexadecimal.
    pub sum: String,
    pub codec: Codec,
}

/// How compressed content begins: gzip, zlib as joblib writes it, bzip2, xz, lz4, zstd, zip.
const COMPRESSED: [&[u8]; 10] = [
    b"\x1f\x8b",
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x04\x22\x4d\x18",
    b"\x28\xb5\x2f\xfd",
    b"\x5d\0\0",
];

/// Whether it is worth trying to compress a file: never twice. A zip may hold what is not
/// compressed, as `PyTorch`'s do, so its first entry decides (APPNOTE.TXT, 4.4.5).
pub(super) fn is_worth(file: &File, codec: Codec) -> io::Result<bool> {
    let mut head = [0_u8; 10];
    let count = file.read_at(&mut head, 0)?;
    let head = &head[..count];
    let deflated = head.get(8..10).is_none_or(|method| method != [0, 0]);
    let zip = head.starts_with(b"PK\x03\x04") && deflated;
    let compressed = zip || COMPRESSED.iter().any(|magic| head.starts_with(magic));
    Ok(codec != Codec::None && count > 0 && !compressed)
}

/// Writes a file to a target and proves that the disk gives the same bytes back. `None` where
/// nothing was to be stored but compressed, and that does not save a tenth.
pub(super) fn store(
    source: &File,
    target: &File,
    sum: &str,
    codec: Codec,
    only_compressed: bool,
    watch: &dyn Watch,
) -> Result<Option<Made>, Halt> {
    let bytes = dir::look_at(source)?.stat.size;
    has_room(target, bytes)?;
    if is_worth(source, codec)? {
        write(source, target, codec, watch)?;
        let stored = dir::look_at(target)?.stat.size;
        if bytes >= 10 && stored <= bytes - bytes / 10 {
            let sum = prove(target, sum, codec, watch)?;
            return Ok(Some(Made { sum, codec }));
        }
        let mut again = target;
        again.rewind()?;
        target.set_len(0)?;
    }
    if only_compressed {
        return Ok(None);
    }
    write(source, target, Codec::None, watch)?;
    let sum = prove(target, sum, Codec::None, watch)?;
    let codec = Codec::None;
    Ok(Some(Made { sum, codec }))
}

fn write(source: &File, target: &File, codec: Codec, watch: &dyn Watch) -> Result<(), Halt> {
    let mut from = source;
    from.rewind()?;
    compress::encode(from, target, codec, watch).map_err(with("cannot copy"))?;
    Ok(target.sync_all().map_err(with("cannot copy"))?)
}

/// The digest of what was stored, after it was shown to give the original.
fn prove(target: &File, sum: &str, codec: Codec, watch: &dyn Watch) -> Result<String, Halt> {
    // Past the cache, as far as the kernel lets us: what counts is what the disk has.
    forget_pages(target);
    let mut from = target;
    from.rewind()?;
    let stored = evidence::hex(evidence::digest(from, watch)?);
    if codec == Codec::None {
        expect(sum, &stored)?;
    } else {
        from.rewind()?;
        let original = evidence::digest(decoder(target, codec)?, watch)?;
        expect(sum, &evidence::hex(original))?;
    }
    forget_pages(target);
    Ok(stored)
}

fn expect(sum: &str, found: &str) -> Result<(), Halt> {
    if found == sum {
        return Ok(());
    }
    Err(Halt::Failed(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the copy's sha256 is not {sum}; nothing was published"),
    )))
}

/// Whether a filesystem has room for so many bytes, before any are written.
fn has_room(target: &File, bytes: u64) -> Result<(), Halt> {
    let Ok(free) = rustix::fs::fstatvfs(target) else {
        return Ok(());
    };
    let root = rustix::process::geteuid().is_root();
    let blocks = if root { free.f_bfree } else { free.f_bavail };
    let available = blocks.saturating_mul(free.f_frsize);
    if bytes <= available {
        return Ok(());
    }
    let (needs, free) = (size(bytes), size(available));
    Err(Halt::Failed(io::Error::new(
        io::ErrorKind::StorageFull,
        format!("no room: it takes {needs}, and {free} are free"),
    )))
}

/// Brings the original bytes of a stored file to a target, and proves what the disk gives back.
/// Where the digest is not known, it is that of what was read.
pub(super) fn bring_back(
    stored: &File,
    target: &File,
    (bytes, sum): (u64, &str),
    codec: Codec,
    watch: &dyn Watch,
) -> Result<String, Halt> {
    has_room(target, bytes)?;
    let mut from = stored;
    from.rewind()?;
    let mut hash = Sha256::new();
    let mut out = io::BufWriter::with_capacity(compress::CHUNK, target);
    let pumped = decoder(stored, codec).and_then(|from| {
        compress::pump(from, watch, |bytes| {
            hash.update(bytes);
            out.write_all(bytes)
        })
    });
    pumped.map_err(with("cannot restore"))?;
    out.flush()?;
    drop(out);
    let read = evidence::hex(hash.finalize().into());
    if !sum.is_empty() {
        expect(sum, &read)?;
    }
    target.sync_all().map_err(with("cannot restore"))?;
    prove(target, &read, Codec::None, watch)
}

/// The codec of that name in a manifest.
pub(super) fn codec_of(name: &str) -> Result<Codec, Halt> {
    match name {
        "none" => Ok(Codec::None),
        "gzip" => Ok(Codec::Gzip(6)),
        "zstd" => Ok(Codec::Zstd(3)),
        other => Err(Halt::Failed(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("stored with {other}, which this version cannot read"),
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_compressed_is_not_compressed_again() -> io::Result<()> {
        for (bytes, worth) in [
            (&b"\x80\x04\x95pickle"[..], true),
            (b"\x1f\x8b\x08gzip", false),
            (b"\x78\x9czlib", false),
            (b"\xfd7zXZ\0xz", false),
            (b"\x28\xb5\x2f\xfdzstd", false),
            (b"\x04\x22\x4d\x18lz4", false),
            (b"BZh9bzip2", false),
            (b"PK\x03\x04\x14\0\0\0\x08\0deflated", false),
            (b"PK\x03\x04\x14\0\0\0\0\0stored", true),
            (b"", false),
        ] {
            let mut file = tempfile::tempfile()?;
            file.write_all(bytes)?;
            assert_eq!(is_worth(&file, Codec::Zstd(3))?, worth, "{bytes:?}");
            assert!(!is_worth(&file, Codec::None)?);
        }
        let mut file = tempfile::tempfile()?;
        file.write_all(b"plain")?;
        let mut text = String::new();
        file.rewind()?;
        file.read_to_string(&mut text)?;
        assert_eq!(text, "plain");
        Ok(())
    }
}
