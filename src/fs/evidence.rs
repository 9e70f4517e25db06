//! Reading content where a decision needs it: digests of models, original sizes of rotated logs.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::collapse;
use super::compress::{self, Watch, original};
use super::dir;
use super::lease::{self, Use};
use super::roots::Roots;
use crate::plan::cutting::{self, Intent};
use crate::plan::entry::{EntryId, Inventory, Kind, Role};

/// Opens an entry for reading, from its root down.
///
/// # Errors
/// Those of `openat(2)`; `InvalidData` where it is not the file that the scan saw.
pub fn open(roots: &Roots, inventory: &Inventory, id: EntryId) -> io::Result<File> {
    let file = open_any(roots, inventory, id)?;
    if file.metadata()?.len() != inventory.entry(id).size {
        return Err(changed());
    }
    Ok(file)
}

/// As [`open`], whatever its size is now.
fn open_any(roots: &Roots, inventory: &Inventory, id: EntryId) -> io::Result<File> {
    let entry = inventory.entry(id);
    let root = inventory.directory(entry.directory).root;
    let parent = dir::open_below(roots.fd(root)?, &inventory.directory_path(entry.directory))?;
    let (file, seen) = dir::open_file(parent, inventory.name(entry))?;
    if seen.stat.inode != entry.inode {
        return Err(changed());
    }
    Ok(file)
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "changed while it was looked at")
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

/// Adds what is to be known of logs before anything is decided: where the data of those begins
/// whose head is a hole, and the records of rotations that were not completed.
pub fn add_log_states(roots: &Roots, inventory: &mut Inventory) {
    let logs = |id: &EntryId| {
        let entry = inventory.entry(*id);
        entry.kind == Kind::File && inventory.root(inventory.root_of(entry)).role == Role::Logs
    };
    let (mut heads, mut intents) = (Vec::new(), Vec::new());
    for id in inventory.entry_ids().filter(logs) {
        let entry = inventory.entry(id);
        if let Some(log) = cutting::log_of(inventory.name(entry)) {
            let text = head(roots, inventory, id, RECORD).unwrap_or_default();
            intents.extend(Intent::parse(log, &text).map(|intent| (id, intent)));
        } else if entry.disk_usage() < entry.size {
            // It may grow meanwhile.
            let found = open_any(roots, inventory, id).and_then(|file| collapse::first_data(&file));
            if let Ok(Some(at)) = found
                && at > 0
            {
                heads.push((id, at));
            }
        }
    }
    inventory.logs.heads.extend(heads);
    inventory.logs.intents.extend(intents);
}

/// Asks the kernel about logs that no process was seen to write to, where it answers.
pub fn add_unseen_writers(roots: &Roots, inventory: &mut Inventory, wanted: &[EntryId]) {
    for id in wanted {
        let busy = open_any(roots, inventory, *id).map(|file| lease::writers(&file) == Use::Busy);
        if busy.unwrap_or(false) {
            inventory.logs.unseen_writers.insert(*id);
        }
    }
}

/// No record of a rotation is longer.
const RECORD: u64 = 4096;

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
