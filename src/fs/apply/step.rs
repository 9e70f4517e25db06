//! What all actions share: how one ends, and finding again what the scan saw.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Run;
use crate::fs::compress;
use crate::fs::dir::{self, Seen};
use crate::fs::roots::Roots;
use crate::plan::action::Subject;
use crate::plan::entry::{DirId, Entry, EntryId, Inventory, Kind};
use crate::plan::outcome::Status;

/// How an action ended well.
#[derive(Debug)]
pub struct Step {
    /// [`Status::Done`] or [`Status::Deferred`].
    pub status: Status,
    /// Allocated bytes given back, less those taken.
    pub freed: i64,
    /// What a person should know.
    pub note: Option<String>,
}

impl Step {
    /// Done, with so many bytes given back.
    pub const fn done(freed: i64) -> Self {
        Self {
            status: Status::Done,
            freed,
            note: None,
        }
    }
}

/// How an action ended otherwise; nothing is lost by any of these.
#[derive(Debug)]
pub enum Halt {
    /// It is not what was planned any more.
    Changed(String),
    /// The system refused.
    Failed(io::Error),
    /// A signal or the time limit came before or during it.
    Stopped,
    /// An action that it needs was not done.
    Unmet,
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        if compress::is_stopped(&error) {
            Self::Stopped
        } else {
            Self::Failed(error)
        }
    }
}

/// The halt for something that was there when the scan looked.
pub fn vanished(error: io::Error) -> Halt {
    match error.kind() {
        io::ErrorKind::NotFound => Halt::Changed("it is gone".to_owned()),
        // A component became a link or a file: somebody swapped it.
        io::ErrorKind::NotADirectory => {
            Halt::Changed("a directory on its path was replaced".to_owned())
        }
        _ if error.raw_os_error() == Some(libc::ELOOP) => {
            Halt::Changed("a symbolic link has its name now".to_owned())
        }
        io::ErrorKind::InvalidInput => Halt::Changed(IRREGULAR.to_owned()),
        // A socket, or a device without a driver.
        _ if error.raw_os_error() == Some(libc::ENXIO) => Halt::Changed(IRREGULAR.to_owned()),
        _ => Halt::from(error),
    }
}

const IRREGULAR: &str = "it is not a regular file any more";

/// How many directories are held open at once at least; each is opened from its parent.
const HELD: usize = 64;
/// And at most.
const HELD_MOST: usize = 4096;

/// Half of the descriptors that we may have: with fewer, directories are opened again and again.
fn room() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(HELD_MOST, |limit| (limit / 2).clamp(HELD, HELD_MOST))
}

/// Directories of the inventory, opened from their roots, each proved to be the one that was seen.
pub struct Directories<'a> {
    roots: &'a Roots,
    inventory: &'a Inventory,
    held: HashMap<DirId, Rc<OwnedFd>>,
    room: usize,
    /// Of those held, on which we have a `flock`.
    locked: HashSet<DirId>,
}

impl<'a> Directories<'a> {
    pub fn new(roots: &'a Roots, inventory: &'a Inventory) -> Self {
        Self {
            roots,
            inventory,
            held: HashMap::new(),
            room: room(),
            locked: HashSet::new(),
        }
    }

    /// Level by level from the nearest one that is held: a tree may be deeper than the stack.
    pub fn open(&mut self, id: DirId) -> Result<Rc<OwnedFd>, Halt> {
        let mut below = Vec::new();
        let mut at = id;
        let mut fd = loop {
            if let Some(fd) = self.held.get(&at) {
                break Rc::clone(fd);
            }
            below.push(at);
            match self.inventory.directory(at).parent {
                Some(parent) => at = parent,
                None => break self.open_top(at)?,
            }
        };
        while let Some(next) = below.pop() {
            if self.inventory.directory(next).parent.is_some() {
                fd = Rc::new(self.open_in(&fd, next)?);
            }
            if self.held.len() >= self.room {
                self.held.clear();
                self.locked.clear();
            }
            self.held.insert(next, Rc::clone(&fd));
        }
        Ok(fd)
    }

    /// Forgets a directory that is gone.
    pub fn forget(&mut self, id: DirId) {
        self.held.remove(&id);
        self.locked.remove(&id);
    }

    /// Opens a directory to remove something from it. A `flock` on it or on one above keeps what is
    /// below, as systemd-tmpfiles has it; ours tells others that we are at work. That on a
    /// configured directory is held by the run.
    pub fn open_to_clean(&mut self, id: DirId) -> Result<Rc<OwnedFd>, Halt> {
        let mut at = id;
        while !self.locked.contains(&at)
            && let Some(parent) = self.inventory.directory(at).parent
        {
            let fd = self.open(at)?;
            let asked = flock(&*fd, FlockOperation::NonBlockingLockExclusive);
            if asked == Err(Errno::WOULDBLOCK) {
                return Err(Halt::Changed(
                    "somebody holds a lock on its directory".to_owned(),
                ));
            }
            self.locked.insert(at);
            at = parent;
        }
        self.open(id)
    }

    /// Forgets a directory that moved, and all below it.
    pub fn forget_below(&mut self, id: DirId) {
        let inventory = self.inventory;
        let below = |mut at: DirId| loop {
            if at == id {
                return true;
            }
            match inventory.directory(at).parent {
                Some(parent) => at = parent,
                None => return false,
            }
        };
        self.held.retain(|at, _| !below(*at));
    }

    fn open_top(&self, id: DirId) -> Result<Rc<OwnedFd>, Halt> {
        let root = self.inventory.directory(id).root;
        Ok(Rc::new(self.roots.fd(root)?.try_clone_to_owned()?))
    }

    fn open_in(&self, parent: &OwnedFd, id: DirId) -> Result<OwnedFd, Halt> {
        let row = self.inventory.directory(id);
        let fd = dir::open_dir(parent, self.inventory.directory_name(row)).map_err(vanished)?;
        let seen = dir::look_at(&fd)?;
        if seen.identity() == (self.inventory.device(row.root), row.inode) {
            Ok(fd)
        } else {
            Err(Halt::Changed(
                "a directory on its path was replaced".to_owned(),
            ))
        }
    }
}

/// A file found again: its directory, its name, and what it is now.
pub struct Found<'a> {
    pub parent: Rc<OwnedFd>,
    pub name: &'a OsStr,
    pub entry: &'a Entry,
    pub seen: Seen,
}

/// The file that an action on a file is about.
pub fn entry_of(subject: Subject) -> Result<EntryId, Halt> {
    match subject {
        Subject::Entry(id) => Ok(id),
        Subject::Directory(_) => Err(Halt::Failed(io::ErrorKind::IsADirectory.into())),
        Subject::Named(_) => Err(Halt::Failed(io::ErrorKind::InvalidInput.into())),
    }
}

impl<'a> Run<'a> {
    /// Looks for a file by its name and compares it with what the scan saw.
    pub fn find(&mut self, id: EntryId) -> Result<Found<'a>, Halt> {
        let found = self.find_any(id)?;
        if self.is_as_seen(found.entry, &found.seen) {
            Ok(found)
        } else {
            Err(Halt::Changed(
                "it changed since it was looked at".to_owned(),
            ))
        }
    }

    /// The same for a live log, which may have grown meanwhile.
    pub fn find_live(&mut self, id: EntryId) -> Result<Found<'a>, Halt> {
        let found = self.find_any(id)?;
        let (entry, seen) = (found.entry, &found.seen);
        if seen.identity() != self.inventory.identity(entry) || !seen.is_file() {
            return Err(Halt::Changed("another file has its name now".to_owned()));
        }
        let taken = self.cut_away.get(&seen.identity()).copied().unwrap_or(0);
        if seen.stat.size.saturating_add(taken) < entry.size {
            return Err(Halt::Changed("it was truncated meanwhile".to_owned()));
        }
        if seen.stat.links != 1 {
            return Err(Halt::Changed("it has several names now".to_owned()));
        }
        Ok(found)
    }

    /// Looks for a file by its name, whatever it is now.
    pub fn find_any(&mut self, id: EntryId) -> Result<Found<'a>, Halt> {
        let inventory = self.inventory;
        let entry = inventory.entry(id);
        let parent = self.directories.open(entry.directory)?;
        let name = inventory.name(entry);
        let seen = dir::look(&*parent, name).map_err(vanished)?;
        Ok(Found {
            parent,
            name,
            entry,
            seen,
        })
    }

    pub fn is_as_seen(&self, entry: &Entry, seen: &Seen) -> bool {
        let identity = self.inventory.identity(entry);
        let (ctime, links) = self
            .touched
            .get(&identity)
            .copied()
            .unwrap_or((entry.ctime, u32::from(entry.links)));
        seen.identity() == identity
            && !seen.directory
            && seen.stat.kind == entry.kind
            && seen.stat.size == entry.size
            && seen.stat.mtime == entry.mtime
            && seen.stat.ctime == ctime
            && seen.stat.links.min(u32::from(u16::MAX)) == links
    }
}

impl Found<'_> {
    /// Opens it, proving that it is what was found.
    pub fn open(&self) -> Result<File, Halt> {
        let (file, seen) = dir::open_file(&*self.parent, self.name).map_err(vanished)?;
        if seen.identity() == self.seen.identity() {
            Ok(file)
        } else {
            Err(Halt::Changed("another file has its name now".to_owned()))
        }
    }

    /// Opens it if it is a regular file that we may read.
    pub fn open_if_readable(&self) -> Result<Option<File>, Halt> {
        if self.seen.stat.kind != Kind::File {
            return Ok(None);
        }
        match self.open() {
            Ok(file) => Ok(Some(file)),
            Err(Halt::Failed(error)) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(halt) => Err(halt),
        }
    }
}

/// Removes a name.
pub fn unlink(dir: impl AsFd, name: &OsStr) -> io::Result<()> {
    rustix::fs::unlinkat(dir, name, rustix::fs::AtFlags::empty())?;
    Ok(())
}
