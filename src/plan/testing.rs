//! Small trees for the tests of rules and laws: an inventory without a file system.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::action::{OperationPlan, Subject, Task};
use super::cutting::{Cuts, LogStates};
use super::entry::{
    AtimeMode, DirId, EntryId, Filesystem, Inventory, Kind, Owner, Role, Root, RootId, Stat, Walk,
};
use super::host::{Hold, Holder};
use super::time::Time;

/// The instant for which the tests plan.
pub(crate) const NOW: Time = Time(1_764_018_000_000_000_000);
/// The user who runs them.
pub(crate) const UID: u32 = 1000;
pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 86_400;
pub(crate) const MIB: u64 = 1 << 20;

/// So many seconds before [`NOW`].
pub(crate) fn ago(seconds: i64) -> Time {
    Time(NOW.0 - seconds * 1_000_000_000)
}

/// A regular file of one name, owned by the caller, all its times at once.
pub(crate) fn file(size: u64, seconds_ago: i64) -> Stat {
    Stat {
        kind: Kind::File,
        inode: 0,
        size,
        blocks: size.div_ceil(4096) * 8,
        links: 1,
        owner: Owner {
            uid: UID,
            gid: UID,
            mode: 0o644,
        },
        mtime: ago(seconds_ago),
        atime: ago(seconds_ago),
        ctime: ago(seconds_ago),
    }
}

/// As [`file`], one of several names of an inode.
pub(crate) fn linked(size: u64, seconds_ago: i64, inode: u64, links: u32) -> Stat {
    Stat {
        inode,
        links,
        ..file(size, seconds_ago)
    }
}

/// Something that is not a regular file.
pub(crate) fn special(kind: Kind, seconds_ago: i64) -> Stat {
    Stat {
        kind,
        ..file(0, seconds_ago)
    }
}

/// An inventory in the making. Inodes are given out from 1,000,000; filesystem 0 is device 1 with
/// 100 GiB of which 50 are free.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) inventory: Inventory,
    rows: HashMap<(RootId, PathBuf), DirId>,
    inode: u64,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inventory = &self.inventory;
        let rows = inventory.entries.iter().map(|entry| {
            let hours = (NOW.0 - entry.mtime.0) / 1_000_000_000 / HOUR;
            let path = inventory.shown_path(entry);
            (path, entry.kind, entry.size, hours, entry.links)
        });
        f.debug_list().entries(rows).finish()
    }
}

impl Tree {
    pub(crate) fn new() -> Self {
        let mut inventory = Inventory::default();
        inventory.filesystems = vec![filesystem(1)];
        inventory.uid = UID;
        inventory.open.visibility.looked = true;
        Self {
            inventory,
            rows: HashMap::new(),
            inode: 1_000_000,
        }
    }

    /// A root at `/base/SHOWN` on filesystem 0.
    pub(crate) fn root(&mut self, role: Role, shown: &str) -> RootId {
        let id = RootId(u16::try_from(self.inventory.roots.len()).unwrap_or(u16::MAX));
        let stat = self.directory_stat();
        self.inventory.roots.push(Root {
            role,
            shown: PathBuf::from(shown),
            path: Path::new("/base").join(shown),
            filesystem: Some(0),
            inode: stat.inode,
            top: None,
        });
        let top = self
            .inventory
            .add_directory(id, None, OsStr::new(""), &stat, Walk::Walked);
        self.inventory.roots[usize::from(id.0)].top = Some(top);
        self.rows.insert((id, PathBuf::new()), top);
        id
    }

    /// A walked directory, made with its parents where it is missing.
    pub(crate) fn directory(&mut self, root: RootId, path: impl AsRef<Path>) -> DirId {
        self.directory_as(root, path.as_ref(), Walk::Walked)
    }

    /// A directory that the scan treated in this way; ten days old.
    pub(crate) fn directory_as(&mut self, root: RootId, path: &Path, walk: Walk) -> DirId {
        if let Some(id) = self.rows.get(&(root, path.to_path_buf())) {
            return *id;
        }
        let parent = self.directory(root, path.parent().unwrap_or(Path::new("")));
        let name = path.file_name().unwrap_or_default();
        let stat = self.directory_stat();
        let id = self
            .inventory
            .add_directory(root, Some(parent), name, &stat, walk);
        self.inventory.directories[parent.0 as usize].children += 1;
        self.rows.insert((root, path.to_path_buf()), id);
        id
    }

    /// A file; inode 0 asks for a new one.
    pub(crate) fn add(&mut self, root: RootId, path: impl AsRef<Path>, mut stat: Stat) -> EntryId {
        let path = path.as_ref();
        let directory = self.directory(root, path.parent().unwrap_or(Path::new("")));
        if stat.inode == 0 {
            stat.inode = self.next_inode();
        }
        self.inventory.directories[directory.0 as usize].children += 1;
        self.inventory
            .add_entry(directory, path.file_name().unwrap_or_default(), &stat)
    }

    /// A process holds the file.
    pub(crate) fn hold(&mut self, id: EntryId, pid: u32, hold: Hold) {
        let identity = self.inventory.identity(self.inventory.entry(id));
        let holders = self.inventory.open.holders.entry(identity).or_default();
        holders.push(Holder {
            pid,
            name: "python".into(),
            hold,
        });
        holders.sort();
    }

    fn directory_stat(&mut self) -> Stat {
        Stat {
            inode: self.next_inode(),
            ..file(4096, 10 * DAY)
        }
    }

    fn next_inode(&mut self) -> u64 {
        self.inode += 1;
        self.inode
    }
}

/// 100 GiB, half of it free, relatime.
pub(crate) fn filesystem(device: u64) -> Filesystem {
    Filesystem {
        device,
        total: 100 << 30,
        free: 50 << 30,
        available: 50 << 30,
        inodes: 0,
        free_inodes: 0,
        read_only: false,
        atime: AtimeMode::Relatime,
        cuts: Cuts {
            block: 4096,
            collapse: true,
            punch: true,
        },
    }
}

/// The same inventory as another scan might give it: entries in the order of `keys` (as many as
/// are needed are taken round and round), directories turned as far as parents allow.
pub(crate) fn shuffled(inventory: &Inventory, keys: &[u64]) -> Inventory {
    let key = |index: u32| {
        let at = index as usize % keys.len().max(1);
        keys.get(at)
            .copied()
            .unwrap_or(0)
            .wrapping_mul(u64::from(index) | 1)
    };
    let mut entries: Vec<EntryId> = inventory.entry_ids().collect();
    entries.sort_by_key(|id| (key(id.0), id.0));
    let mut directories: Vec<DirId> = inventory.directory_ids().collect();
    directories.sort_by_key(|id| (depth(inventory, *id), key(id.0), id.0));
    Rebuild::new(inventory).run(&directories, &entries)
}

/// What a plan leaves when each of its actions succeeds. Compressed files shrink to a tenth;
/// archiving is not modelled.
pub(crate) fn applied(inventory: &Inventory, plan: &OperationPlan) -> Inventory {
    let mut rebuild = Rebuild::new(inventory);
    for action in &plan.actions {
        match (&action.task, action.subject) {
            (Task::Unlink | Task::UnlinkFirst(_), Subject::Entry(id)) => {
                rebuild.gone.insert(id);
            }
            (Task::RemoveDirectory, Subject::Directory(id)) => {
                rebuild.removed.insert(id);
            }
            (Task::Rotate(rotate), Subject::Entry(id)) => {
                let mut name = rotate.to.clone();
                name.push(rotate.compress.suffix());
                rebuild.renamed.insert(id, name);
                rebuild.reborn.insert(id);
            }
            (Task::Cut(cut), Subject::Entry(id)) => {
                let mut name = cut.to.clone();
                name.push(cut.compress.suffix());
                rebuild.cut.entry(id).or_default().push(name);
            }
            (Task::Compress(compress), Subject::Entry(id)) if compress.published => {
                rebuild.gone.insert(id);
            }
            (Task::Compress(compress), Subject::Entry(id)) => {
                rebuild.renamed.insert(id, compress.to.clone());
            }
            _ => {}
        }
    }
    let directories: Vec<DirId> = inventory.directory_ids().collect();
    let entries: Vec<EntryId> = inventory.entry_ids().collect();
    rebuild.run(&directories, &entries)
}

fn depth(inventory: &Inventory, id: DirId) -> usize {
    inventory.directory_path(id).components().count()
}

struct Rebuild<'a> {
    from: &'a Inventory,
    gone: HashSet<EntryId>,
    removed: HashSet<DirId>,
    renamed: HashMap<EntryId, OsString>,
    reborn: HashSet<EntryId>,
    cut: HashMap<EntryId, Vec<OsString>>,
}

impl<'a> Rebuild<'a> {
    fn new(from: &'a Inventory) -> Self {
        Self {
            from,
            gone: HashSet::new(),
            removed: HashSet::new(),
            renamed: HashMap::new(),
            reborn: HashSet::new(),
            cut: HashMap::new(),
        }
    }

    fn run(&self, directories: &[DirId], entries: &[EntryId]) -> Inventory {
        let mut to = Inventory::default();
        to.roots = self.from.roots.clone();
        to.filesystems = self.from.filesystems.clone();
        to.open = self.from.open.clone();
        to.uid = self.from.uid;
        let mut rows = HashMap::new();
        for id in directories.iter().filter(|id| !self.removed.contains(id)) {
            self.copy_directory(&mut to, *id, &mut rows);
        }
        for id in entries.iter().filter(|id| !self.gone.contains(id)) {
            self.copy_entry(&mut to, *id, &rows);
        }
        to
    }

    fn copy_directory(
        &self,
        to: &mut Inventory,
        id: DirId,
        rows: &mut HashMap<DirId, DirId>,
    ) -> Option<DirId> {
        let row = self.from.directory(id);
        let parent = match row.parent {
            Some(parent) => Some(*rows.get(&parent)?),
            None => None,
        };
        let stat = Stat {
            inode: row.inode,
            owner: self.from.owner(row.owner),
            mtime: row.mtime,
            ..file(4096, 0)
        };
        let new = to.add_directory(
            row.root,
            parent,
            self.from.directory_name(row),
            &stat,
            row.walk,
        );
        if let Some(parent) = parent {
            to.directories[parent.0 as usize].children += 1;
        } else {
            to.roots[usize::from(row.root.0)].top = Some(new);
        }
        rows.insert(id, new);
        Some(new)
    }

    fn copy_entry(&self, to: &mut Inventory, id: EntryId, rows: &HashMap<DirId, DirId>) {
        let entry = self.from.entry(id);
        let Some(directory) = rows.get(&entry.directory) else {
            return;
        };
        let mut stat = Stat {
            kind: entry.kind,
            inode: entry.inode,
            size: entry.size,
            blocks: entry.blocks,
            links: u32::from(entry.links),
            owner: self.from.owner(entry.owner),
            mtime: entry.mtime,
            atime: entry.atime,
            ctime: entry.ctime,
        };
        let old = self.from.name(entry);
        let name = self.renamed.get(&id).map_or(old, OsString::as_os_str);
        let packed = [".gz", ".zst"]
            .iter()
            .any(|end| name.as_encoded_bytes().ends_with(end.as_bytes()));
        if packed && self.renamed.contains_key(&id) {
            stat.size = stat.size.div_ceil(10);
            stat.blocks = stat.blocks.div_ceil(10);
        }
        let mut put = |name: &OsStr, stat: &Stat| {
            to.directories[directory.0 as usize].children += 1;
            to.add_entry(*directory, name, stat)
        };
        if let Some(pieces) = self.cut.get(&id) {
            let piece = stat.size.div_ceil(10 * pieces.len() as u64);
            for piece_name in pieces {
                let inode = entry.inode + 1_000_000_000;
                put(
                    piece_name,
                    &Stat {
                        inode,
                        ..file(piece, 0)
                    },
                );
            }
            // The last line stays.
            (stat.size, stat.blocks) = (1, 8);
        }
        let new = put(name, &stat);
        if self.reborn.contains(&id) {
            let inode = entry.inode + 1_000_000_000;
            put(
                old,
                &Stat {
                    inode,
                    ..file(0, 0)
                },
            );
        }
        if let Some(target) = self.from.links.get(&id) {
            to.links.insert(new, *target);
        }
        if let Some(bytes) = self.from.expanded.get(&id) {
            to.expanded.insert(new, *bytes);
        }
        copy_state(
            &self.from.logs,
            id,
            &mut to.logs,
            new,
            self.cut.contains_key(&id),
        );
    }
}

/// What was looked up about a log; the head of one that was cut is gone.
fn copy_state(from: &LogStates, id: EntryId, to: &mut LogStates, new: EntryId, cut: bool) {
    if let Some(intent) = from.intents.get(&id) {
        to.intents.insert(new, intent.clone());
    }
    if let Some(head) = from.heads.get(&id).filter(|_| !cut) {
        to.heads.insert(new, *head);
    }
    if from.append_only.contains(&id) {
        to.append_only.insert(new);
    }
    if from.unseen_writers.contains(&id) {
        to.unseen_writers.insert(new);
    }
}
