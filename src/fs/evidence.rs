//! Reading content where a decision needs it: digests of models, original sizes of rotated logs.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::compress::{self, Watch, original};
use super::dir;
use super::roots::Roots;
use crate::plan::entry::{EntryId, Inventory};

/// Opens an entry for reading, from its root down.
///
/// # Errors
/// Those of `openat(2)`; `InvalidData` where it is not the file that the scan saw.
pub fn open(roots: &Roots, inventory: &Inventory, id: EntryId) -> io::Result<File> {
    let entry = inventory.entry(id);
    let root = inventory.directory(entry.directory).root;
    let parent = dir::open_below(roots.fd(root)?, &inventory.directory_path(entry.directory))?;
    let (file, seen) = dir::open_file(parent, inventory.name(entry))?;
    if seen.stat.inode != entry.inode || seen.stat.size != entry.size {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "changed while it was looked at",
        ));
    }
    Ok(file)
}

/// The sha256 of what a reader gives.
///
/// # Errors
/// Those of reading, and [`compress::stopped`].
pub fn digest(source: impl Read, watch: &dyn Watch) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    compress::pump(source, watch, |bytes| {
        hash.update(bytes);
        Ok(())
    })?;
    Ok(hash.finalize().into())
}

/// Adds digests of the given entries; one that cannot be read is left out, and its plan does
/// without.
pub fn add_digests(
    roots: &Roots,
    inventory: &mut Inventory,
    wanted: &[EntryId],
    watch: &dyn Watch,
) {
    for id in wanted {
        let read = open(roots, inventory, *id).and_then(|file| digest(file, watch));
        if let Ok(sum) = read {
            inventory.digests.insert(*id, sum);
        }
    }
}

/// Adds the original sizes of compressed files, as far as the files themselves tell.
pub fn add_expanded(roots: &Roots, inventory: &mut Inventory, wanted: &[EntryId]) {
    for id in wanted {
        let name = inventory.name(inventory.entry(*id)).to_owned();
        let read = open(roots, inventory, *id).and_then(|file| expanded(&file, Path::new(&name)));
        if let Ok(Some(bytes)) = read {
            inventory.expanded.insert(*id, bytes);
        }
    }
}

fn expanded(file: &File, name: &Path) -> io::Result<Option<u64>> {
    if name.extension().is_some_and(|suffix| suffix == "gz") {
        original::of_gzip(file)
    } else {
        original::of_zstd(file)
    }
}

/// The first of the given bytes of a small file below a root, for pid files.
///
/// # Errors
/// Those of `openat(2)` and `read(2)`.
pub fn head(roots: &Roots, inventory: &Inventory, id: EntryId, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(roots, inventory, id)?
        .take(limit)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Lower-case hexadecimal, as `sha256sum` prints it.
#[must_use]
pub fn hex(sum: [u8; 32]) -> String {
    sum.iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
