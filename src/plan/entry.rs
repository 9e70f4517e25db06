//! What the scan saw: the one input of every decision about files.
//!
//! A million files must fit in under 150 MiB, so names are kept once, relative to a directory
//! table, and an entry is 64 bytes.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::cutting::{Cuts, LogStates};
use super::host::{Holder, OpenFiles};
use super::time::Time;

/// Index of a [`Root`] in [`Inventory::roots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub u16);

/// Index of a [`Directory`] in [`Inventory::directories`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirId(pub u32);

/// Index of an [`Entry`] in [`Inventory::entries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u32);

/// What an operation does in a directory. Where one directory has several roles, the first in
/// this order wins: what cannot be made again comes before what can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Archived models.
    Archive,
    /// Model files.
    Models,
    /// Logs and their rotated files.
    Logs,
    /// Files that can be made again.
    Cache,
    /// Temporary files, searched for garbage alone.
    Garbage,
    /// A place that is only written to (`restore-models --to`).
    Target,
}

impl Role {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Logs => "logs",
            Self::Cache => "cache",
            Self::Garbage => "garbage",
            Self::Archive => "archive",
            Self::Target => "target",
        }
    }

    /// The word that people use for a directory of this role.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Models => "model directory",
            Self::Logs => "log directory",
            Self::Cache => "cache directory",
            Self::Garbage => "garbage directory",
            Self::Archive => "archive",
            Self::Target => "target directory",
        }
    }
}

/// How far the access times of a filesystem can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AtimeMode {
    /// Every read is recorded.
    Strict,
    /// The first read after a change, and then once a day (`mount(8)`, `relatime`).
    #[default]
    Relatime,
    /// Reads leave no trace; only the modification time counts.
    Noatime,
}

/// A mounted filesystem, once per device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// `st_dev`.
    pub device: u64,
    /// Bytes in all (`f_blocks`).
    pub total: u64,
    /// Bytes free, with those reserved for root (`f_bfree`).
    pub free: u64,
    /// Bytes free for the caller (`f_bavail`; `f_bfree` for root).
    pub available: u64,
    /// Inodes in all; 0 where the filesystem does not count them.
    pub inodes: u64,
    /// Inodes free.
    pub free_inodes: u64,
    /// Mounted read-only.
    pub read_only: bool,
    /// Trust in access times.
    pub atime: AtimeMode,
    /// How the head of a file can be taken away.
    pub cuts: Cuts,
}

/// A directory that an operation works in, resolved once.
#[derive(Clone, Debug)]
pub struct Root {
    /// What is done here.
    pub role: Role,
    /// As reports name it: relative to the base where it lies below it, else absolute.
    pub shown: PathBuf,
    /// Absolute, as configured, symlinks not followed.
    pub path: PathBuf,
    /// Index into [`Inventory::filesystems`]; `None` where the directory does not exist (yet);
    /// of an archive, that on which it will be made.
    pub filesystem: Option<u32>,
    /// Inode of the directory; 0 where it does not exist.
    pub inode: u64,
    /// Its own row in the directory table; `None` where it does not exist.
    pub top: Option<DirId>,
}

/// Why the scan did not look into a directory, or that it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Walk {
    /// Read; its entries are in the inventory.
    Walked,
    /// Another filesystem or a bind mount is mounted here.
    Mount,
    /// Another directory of the configuration, which owns what is in it.
    Root(RootId),
    /// An archive of sysopt (it has a manifest).
    Archive,
    /// `.sysopt`, the state.
    State,
    /// A working tree or another tool's store: the name of the mark found in it.
    Marked(&'static str),
    /// Could not be read; the error is among [`Inventory::problems`].
    Unreadable,
}

/// A row of the directory table.
#[derive(Clone, Copy, Debug)]
pub struct Directory {
    /// The root below which it lies.
    pub root: RootId,
    /// Its parent; `None` for the root's own row.
    pub parent: Option<DirId>,
    name: Name,
    /// Identity, with the root's device.
    pub inode: u64,
    /// Last change of its list of names.
    pub mtime: Time,
    /// Index into [`Inventory::owners`].
    pub owner: u32,
    /// How many names it holds, of any type.
    pub children: u32,
    /// Whether it was read.
    pub walk: Walk,
    /// Allocated blocks of 512 bytes of the directory itself.
    pub blocks: u32,
}

/// `st_mode & S_IFMT`, and mounts that are not directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Regular file.
    File,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Socket.
    Socket,
    /// Block or character device.
    Device,
    /// A file of another filesystem mounted over this name.
    Mount,
    /// Something that the kernel does not name.
    Unknown,
}

/// Owner and permissions, shared by many files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// `st_mode & 07777`.
    pub mode: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Name {
    start: u32,
    length: u8,
}

/// What `statx` says of a name, before it is packed into an [`Entry`].
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Type of the file.
    pub kind: Kind,
    /// Inode number.
    pub inode: u64,
    /// Apparent size in bytes.
    pub size: u64,
    /// Allocated blocks of 512 bytes.
    pub blocks: u64,
    /// Number of names.
    pub links: u32,
    /// Owner and permissions.
    pub owner: Owner,
    /// Last change of content.
    pub mtime: Time,
    /// Last access.
    pub atime: Time,
    /// Last change of content or metadata.
    pub ctime: Time,
}

/// A name in a directory that is not itself a directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The directory it is in.
    pub directory: DirId,
    /// The parts of a [`Name`], which would be padded to twice the room.
    name_start: u32,
    name_length: u8,
    /// Type of the file.
    pub kind: Kind,
    /// Number of names, at most 65,535.
    pub links: u16,
    /// Index into [`Inventory::owners`].
    pub owner: u32,
    /// Inode number, on the device of the root.
    pub inode: u64,
    /// Apparent size in bytes.
    pub size: u64,
    /// Allocated blocks of 512 bytes.
    pub blocks: u64,
    /// Last change of content.
    pub mtime: Time,
    /// Last access.
    pub atime: Time,
    /// Last change of content or metadata.
    pub ctime: Time,
}

impl Entry {
    /// Bytes that the filesystem has allocated for it.
    #[must_use]
    pub const fn disk_usage(&self) -> u64 {
        self.blocks.saturating_mul(512)
    }

    /// The last use that the filesystem knows of.
    #[must_use]
    pub fn used(&self, atime: AtimeMode) -> Time {
        match atime {
            AtimeMode::Noatime => self.mtime,
            AtimeMode::Strict | AtimeMode::Relatime => self.mtime.max(self.atime),
        }
    }
}

/// Where a symbolic link leads in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// Nowhere.
    Broken,
    /// A file: device and inode.
    File(u64, u64),
    /// A directory: device and inode.
    Directory(u64, u64),
}

/// Something that could not be read while looking.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The directory of the configuration it lies in.
    pub root: RootId,
    /// As reports name it.
    pub path: PathBuf,
    /// What the system said.
    pub error: String,
}

/// Everything the scan saw.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// The directories worked in, innermost owning.
    pub roots: Vec<Root>,
    /// Mounted filesystems of the roots.
    pub filesystems: Vec<Filesystem>,
    /// All directories below the roots; a parent stands before its children.
    pub directories: Vec<Directory>,
    /// All other names below the roots, in no particular order.
    pub entries: Vec<Entry>,
    /// Distinct owners and modes.
    pub owners: Vec<Owner>,
    /// Where the symbolic links lead.
    pub links: HashMap<EntryId, LinkTarget>,
    /// The archives of the model directories, by root of [`Role::Archive`].
    pub archives: Vec<Archive>,
    /// Which inodes a process holds.
    pub open: OpenFiles,
    /// Digests (sha256) of the files for which the plan asked.
    pub digests: HashMap<EntryId, [u8; 32]>,
    /// Uncompressed bytes of compressed rotated files for which the plan asked.
    pub expanded: HashMap<EntryId, u64>,
    /// What was looked up about single logs.
    pub logs: LogStates,
    /// Directories that could not be read.
    pub problems: Vec<Problem>,
    /// The caller; 0 is root.
    pub uid: u32,
    /// What actions are about beside entries and directories, as reports name it.
    pub named: Vec<PathBuf>,
    names: Vec<u8>,
    owner_ids: HashMap<Owner, u32>,
}

impl Inventory {
    /// Keeps a name for something that is no entry; its number.
    pub fn name_subject(&mut self, name: &str) -> u32 {
        self.named.push(PathBuf::from(name));
        u32::try_from(self.named.len() - 1).unwrap_or(u32::MAX)
    }

    /// The name of that number.
    #[must_use]
    pub fn named(&self, number: u32) -> PathBuf {
        self.named.get(number as usize).cloned().unwrap_or_default()
    }

    /// The entry of that number.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.0 as usize]
    }

    /// The directory of that number.
    #[must_use]
    pub fn directory(&self, id: DirId) -> &Directory {
        &self.directories[id.0 as usize]
    }

    /// The root of that number.
    #[must_use]
    pub fn root(&self, id: RootId) -> &Root {
        &self.roots[usize::from(id.0)]
    }

    /// The root that owns the entry.
    #[must_use]
    pub fn root_of(&self, entry: &Entry) -> RootId {
        self.directory(entry.directory).root
    }

    /// Numbers of all entries.
    pub fn entry_ids(&self) -> impl Iterator<Item = EntryId> + use<> {
        (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).map(EntryId)
    }

    /// Numbers of all directories.
    pub fn directory_ids(&self) -> impl Iterator<Item = DirId> + use<> {
        (0..u32::try_from(self.directories.len()).unwrap_or(u32::MAX)).map(DirId)
    }

    /// Numbers of all roots.
    pub fn root_ids(&self) -> impl Iterator<Item = RootId> + use<> {
        (0..u16::try_from(self.roots.len()).unwrap_or(u16::MAX)).map(RootId)
    }

    /// The roots of one role.
    pub fn roots_of(&self, role: Role) -> impl Iterator<Item = RootId> + '_ {
        self.root_ids()
            .filter(move |id| self.root(*id).role == role)
    }

    /// The filesystem of a root that exists.
    #[must_use]
    pub fn filesystem(&self, root: RootId) -> Option<&Filesystem> {
        self.filesystems.get(self.root(root).filesystem? as usize)
    }

    /// Trust in the access times below a root.
    #[must_use]
    pub fn atime_mode(&self, root: RootId) -> AtimeMode {
        self.filesystem(root)
            .map_or(AtimeMode::default(), |filesystem| filesystem.atime)
    }

    /// What the filesystem of a root can do to the head of a file.
    #[must_use]
    pub fn cuts(&self, root: RootId) -> Cuts {
        self.filesystem(root)
            .map_or(Cuts::default(), |filesystem| filesystem.cuts)
    }

    /// The device of a root; 0 where it is not known.
    #[must_use]
    pub fn device(&self, root: RootId) -> u64 {
        self.filesystem(root)
            .map_or(0, |filesystem| filesystem.device)
    }

    /// Device and inode of an entry.
    #[must_use]
    pub fn identity(&self, entry: &Entry) -> (u64, u64) {
        (self.device(self.root_of(entry)), entry.inode)
    }

    /// A process that has a directory open, or works in it.
    #[must_use]
    pub fn directory_user(&self, id: DirId) -> Option<&Holder> {
        let row = self.directory(id);
        self.open.holder((self.device(row.root), row.inode))
    }

    /// Owner and permissions of an entry.
    #[must_use]
    pub fn owner(&self, index: u32) -> Owner {
        self.owners.get(index as usize).copied().unwrap_or_default()
    }

    /// The last component of an entry's path.
    #[must_use]
    pub fn name(&self, entry: &Entry) -> &OsStr {
        self.text(Name {
            start: entry.name_start,
            length: entry.name_length,
        })
    }

    /// The last component of a directory's path; empty for a root.
    #[must_use]
    pub fn directory_name(&self, directory: &Directory) -> &OsStr {
        self.text(directory.name)
    }

    /// Path of a directory relative to its root; empty for the root itself.
    #[must_use]
    pub fn directory_path(&self, id: DirId) -> PathBuf {
        let mut names = Vec::new();
        let mut at = id;
        while let Some(parent) = self.directory(at).parent {
            names.push(self.directory_name(self.directory(at)));
            at = parent;
        }
        names.iter().rev().collect()
    }

    /// Allocated blocks of 512 bytes of a directory and those in it, without their files.
    #[must_use]
    pub fn blocks_below(&self, id: DirId) -> u64 {
        let mut inside = vec![false; self.directories.len()];
        let mut blocks = 0_u64;
        // A parent stands before its children.
        for at in self.directory_ids().skip(id.0 as usize) {
            let row = self.directory(at);
            let within = at == id || row.parent.is_some_and(|parent| inside[parent.0 as usize]);
            inside[at.0 as usize] = within;
            blocks += if within { u64::from(row.blocks) } else { 0 };
        }
        blocks
    }

    /// Path of an entry relative to its root.
    #[must_use]
    pub fn relative_path(&self, entry: &Entry) -> PathBuf {
        self.directory_path(entry.directory).join(self.name(entry))
    }

    /// Path of an entry as reports show it.
    #[must_use]
    pub fn shown_path(&self, entry: &Entry) -> PathBuf {
        self.shown(entry.directory, self.name(entry))
    }

    /// Path of a directory as reports show it.
    #[must_use]
    pub fn shown_directory(&self, id: DirId) -> PathBuf {
        self.shown(id, OsStr::new(""))
    }

    /// The root's shown path, the directories below it, and a name, in one allocation: a report
    /// shows a million of them.
    fn shown(&self, id: DirId, name: &OsStr) -> PathBuf {
        let above = |id: &DirId| self.directory(*id).parent;
        let rows = || std::iter::successors(Some(id), above).filter(|id| above(id).is_some());
        let component = |id| self.directory_name(self.directory(id)).as_bytes();
        let root = &self.root(self.directory(id).root).shown;
        let root = match root.as_os_str().as_bytes() {
            b"." if above(&id).is_some() || !name.is_empty() => b"",
            root => root,
        };
        let length = root.len() + rows().map(|id| component(id).len() + 1).sum::<usize>();
        let mut bytes = vec![b'/'; length];
        bytes[..root.len()].copy_from_slice(root);
        let mut end = length;
        for id in rows() {
            let text = component(id);
            bytes[end - text.len()..end].copy_from_slice(text);
            end -= text.len() + 1;
        }
        if !name.is_empty() {
            bytes.reserve_exact(name.len() + 1);
            if length > 0 && !root.ends_with(b"/") {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(name.as_bytes());
        }
        if root.is_empty() && bytes.first() == Some(&b'/') {
            bytes.remove(0);
        }
        PathBuf::from(OsString::from_vec(bytes))
    }

    /// A path below an archive as reports show it.
    #[must_use]
    pub fn shown_archived(&self, archive: usize, below: &Path) -> PathBuf {
        join_shown(&self.root(self.archives[archive].root).shown, below)
    }

    /// Adds a row to the directory table.
    pub fn add_directory(
        &mut self,
        root: RootId,
        parent: Option<DirId>,
        name: &OsStr,
        stat: &Stat,
        walk: Walk,
    ) -> DirId {
        let id = DirId(u32::try_from(self.directories.len()).unwrap_or(u32::MAX));
        let name = self.intern(name);
        let owner = self.intern_owner(stat.owner);
        self.directories.push(Directory {
            root,
            parent,
            name,
            inode: stat.inode,
            mtime: stat.mtime,
            owner,
            children: 0,
            walk,
            blocks: u32::try_from(stat.blocks).unwrap_or(u32::MAX),
        });
        id
    }

    /// Adds a name that is not a directory.
    pub fn add_entry(&mut self, directory: DirId, name: &OsStr, stat: &Stat) -> EntryId {
        let id = EntryId(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        let name = self.intern(name);
        let owner = self.intern_owner(stat.owner);
        self.entries.push(Entry {
            directory,
            name_start: name.start,
            name_length: name.length,
            kind: stat.kind,
            links: u16::try_from(stat.links).unwrap_or(u16::MAX),
            owner,
            inode: stat.inode,
            size: stat.size,
            blocks: stat.blocks,
            mtime: stat.mtime,
            atime: stat.atime,
            ctime: stat.ctime,
        });
        id
    }

    /// File names are at most 255 bytes on every filesystem of Linux (`NAME_MAX`).
    fn intern(&mut self, name: &OsStr) -> Name {
        let bytes = name.as_bytes();
        let start = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        self.names.extend_from_slice(&bytes[..usize::from(length)]);
        Name { start, length }
    }

    fn intern_owner(&mut self, owner: Owner) -> u32 {
        let next = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        *self.owner_ids.entry(owner).or_insert_with(|| {
            self.owners.push(owner);
            next
        })
    }

    fn text(&self, name: Name) -> &OsStr {
        let start = name.start as usize;
        OsStr::from_bytes(&self.names[start..start + usize::from(name.length)])
    }
}

/// `.` in front of a path is noise to a reader.
#[must_use]
pub fn join_shown(directory: &Path, below: &Path) -> PathBuf {
    if directory == Path::new(".") {
        below.to_path_buf()
    } else {
        directory.join(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<Entry>() <= 64, "{}", size_of::<Entry>());
    }
}
