//! Looking: every name below the configured directories, once, without leaving a trace.
//!
//! The walk is relative to open directories and never follows a symbolic link or enters another
//! filesystem, an inner directory of the configuration (its own root owns what is in it), an
//! archive, or the state. What it cannot read becomes a [`Problem`].

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use super::dir::{self, Names, Seen};
use super::marks;
use super::roots::{self, OpenRoot, Roots};
use crate::plan::archive::MANIFEST;
use crate::plan::cutting::Cuts;
use crate::plan::entry::{
    DirId, EntryId, Filesystem, Inventory, Kind, LinkTarget, Problem, Role, Root, RootId, Walk,
};

/// The name of the state directory wherever it stands.
const STATE: &str = ".sysopt";

/// What a scan needs to know beside the roots.
pub struct Scan<'a> {
    /// The directories.
    pub roots: &'a Roots,
    /// The state directory's identity, if it exists.
    pub state: Option<(u64, u64)>,
    /// Asked between directories: a signal came.
    pub stop: &'a dyn Fn() -> bool,
}

/// A directory still to be read: its row and its parent's descriptor.
struct Pending {
    id: DirId,
    parent: Rc<OwnedFd>,
    name: OsString,
    seen: Seen,
}

/// Reads all roots. An inventory cut short by `stop` must not be planned from.
#[must_use]
pub fn scan(job: &Scan<'_>) -> Inventory {
    let mut inventory = Inventory::default();
    inventory.uid = rustix::process::geteuid().as_raw();
    let mut walker = Walker {
        inventory,
        others: job.roots.identities(),
        state: job.state,
        pending: Vec::new(),
    };
    for (_, root) in job.roots.iter() {
        walker.add_root(root);
    }
    for (id, root) in job.roots.iter() {
        walker.read_root(id, root, job.stop);
        while let Some(next) = walker.pending.pop() {
            if (job.stop)() {
                return walker.inventory;
            }
            walker.read_pending(&next, job.stop);
        }
    }
    walker.inventory
}

struct Walker {
    inventory: Inventory,
    others: HashMap<(u64, u64), RootId>,
    state: Option<(u64, u64)>,
    pending: Vec<Pending>,
}

impl Walker {
    fn add_root(&mut self, root: &OpenRoot) {
        let filesystem = match (&root.fd, root.seen) {
            (Some(fd), Some(seen)) => Some(self.filesystem(fd, seen.device)),
            // Models need room there before it is made.
            _ if root.spec.role == Role::Archive => roots::nearest(&root.spec.path)
                .ok()
                .map(|(fd, seen)| self.filesystem(&fd, seen.device)),
            _ => None,
        };
        let id = RootId(u16::try_from(self.inventory.roots.len()).unwrap_or(u16::MAX));
        self.inventory.roots.push(Root {
            role: root.spec.role,
            shown: root.spec.shown.clone(),
            path: root.spec.path.clone(),
            filesystem,
            inode: root.seen.map_or(0, |seen| seen.stat.inode),
            top: None,
        });
        let missing = root.fd.is_none() && root.problem.is_none() && root.spec.required;
        let problem = match &root.problem {
            Some(error) => Some(error.to_string()),
            None => missing.then(|| io::Error::from(rustix::io::Errno::NOENT).to_string()),
        };
        if let Some(error) = problem.filter(|_| root.spec.active) {
            self.inventory.problems.push(Problem {
                root: id,
                path: root.spec.shown.clone(),
                error,
            });
        }
    }

    /// The index of a filesystem, which is asked once.
    fn filesystem(&mut self, fd: &OwnedFd, device: u64) -> u32 {
        let known = &mut self.inventory.filesystems;
        let index = known.iter().position(|one| one.device == device);
        let index = index.unwrap_or_else(|| {
            known.push(roots::filesystem(fd, device).unwrap_or(Filesystem {
                device,
                ..unknown_filesystem()
            }));
            known.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn read_root(&mut self, id: RootId, root: &OpenRoot, stop: &dyn Fn() -> bool) {
        let (Some(fd), Some(seen)) = (&root.fd, root.seen) else {
            return;
        };
        // A place that is only written to, or not at all, need not be known.
        if root.spec.role == Role::Target || !root.spec.active {
            return;
        }
        let top = self
            .inventory
            .add_directory(id, None, OsStr::new(""), &seen.stat, Walk::Walked);
        self.inventory.roots[usize::from(id.0)].top = Some(top);
        match dir::reopen_dir(fd) {
            Ok(own) => self.read(top, &Rc::new(own), seen.device, stop),
            Err(error) => self.problem(top, &error),
        }
    }

    fn read_pending(&mut self, next: &Pending, stop: &dyn Fn() -> bool) {
        let opened = dir::open_dir(&*next.parent, &next.name)
            .and_then(|fd| dir::look_at(&fd).map(|seen| (fd, seen)));
        match opened {
            Ok((fd, seen)) if seen.identity() == next.seen.identity() => {
                self.read(next.id, &Rc::new(fd), seen.device, stop);
            }
            // Swapped for another since it was listed: what it is now is not ours to judge.
            Ok(_) => self.set_walk(next.id, Walk::Unreadable),
            Err(error) => self.problem(next.id, &error),
        }
    }

    fn read(&mut self, id: DirId, fd: &Rc<OwnedFd>, device: u64, stop: &dyn Fn() -> bool) {
        let names = match Names::read(&**fd) {
            Ok(names) => names,
            Err(error) => return self.problem(id, &error),
        };
        self.inventory.directories[id.0 as usize].children =
            u32::try_from(names.len()).unwrap_or(u32::MAX);
        if let Some(walk) = self.barrier(id, fd, &names) {
            return self.set_walk(id, walk);
        }
        for (number, name) in names.iter().enumerate() {
            // A directory of a million names takes seconds.
            if number % 1024 == 1023 && stop() {
                return;
            }
            self.add(id, fd, device, name);
        }
    }

    /// Marks that a directory is not to be entered, found by what is in it.
    fn barrier(&self, id: DirId, fd: &OwnedFd, names: &Names) -> Option<Walk> {
        let row = self.inventory.directory(id);
        let role = self.inventory.root(row.root).role;
        if role != Role::Archive && names.contains(MANIFEST) && roots::has_manifest(fd.as_fd()) {
            return Some(Walk::Archive);
        }
        if role != Role::Cache {
            return None;
        }
        marks::find(self.directory_name(id), fd.as_fd(), names).map(Walk::Marked)
    }

    /// The name of a directory; of a root, that of its path.
    fn directory_name(&self, id: DirId) -> &OsStr {
        let row = self.inventory.directory(id);
        match row.parent {
            Some(_) => self.inventory.directory_name(row),
            None => self
                .inventory
                .root(row.root)
                .path
                .file_name()
                .unwrap_or_default(),
        }
    }

    fn add(&mut self, parent: DirId, fd: &Rc<OwnedFd>, device: u64, name: &OsStr) {
        let seen = match dir::look(&**fd, name) {
            Ok(seen) => seen,
            // Gone since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.problem_below(parent, name, &error),
        };
        let root = self.inventory.directory(parent).root;
        if seen.directory {
            let walk = self.walk_of(name, &seen, device);
            let id = self
                .inventory
                .add_directory(root, Some(parent), name, &seen.stat, walk);
            if walk == Walk::Walked {
                self.pending.push(Pending {
                    id,
                    parent: Rc::clone(fd),
                    name: name.to_owned(),
                    seen,
                });
            }
            return;
        }
        let mut stat = seen.stat;
        if seen.mount || seen.device != device {
            stat.kind = Kind::Mount;
        }
        let id = self.inventory.add_entry(parent, name, &stat);
        if seen.append_only {
            self.inventory.logs.append_only.insert(id);
        }
        if stat.kind == Kind::Symlink {
            self.follow(id, fd, name);
        }
    }

    fn walk_of(&self, name: &OsStr, seen: &Seen, device: u64) -> Walk {
        if let Some(other) = self.others.get(&seen.identity()) {
            Walk::Root(*other)
        } else if name == STATE || self.state == Some(seen.identity()) {
            Walk::State
        } else if seen.mount || seen.device != device {
            Walk::Mount
        } else {
            Walk::Walked
        }
    }

    fn follow(&mut self, id: EntryId, fd: &Rc<OwnedFd>, name: &OsStr) {
        let target = match dir::look_through(&**fd, name) {
            Ok(seen) if seen.directory => LinkTarget::Directory(seen.device, seen.stat.inode),
            Ok(seen) => LinkTarget::File(seen.device, seen.stat.inode),
            Err(error) if error.kind() == io::ErrorKind::NotFound => LinkTarget::Broken,
            // A link that cannot be followed (permission, a loop) is not known to be broken.
            Err(_) => return,
        };
        self.inventory.links.insert(id, target);
    }

    fn set_walk(&mut self, id: DirId, walk: Walk) {
        self.inventory.directories[id.0 as usize].walk = walk;
    }

    fn problem(&mut self, id: DirId, error: &io::Error) {
        self.set_walk(id, Walk::Unreadable);
        // Gone since it was listed is a normal day.
        if error.kind() != io::ErrorKind::NotFound {
            self.push_problem(id, self.inventory.shown_directory(id), error);
        }
    }

    fn problem_below(&mut self, parent: DirId, name: &OsStr, error: &io::Error) {
        let path = self.inventory.shown_directory(parent).join(name);
        self.push_problem(parent, path, error);
    }

    fn push_problem(&mut self, id: DirId, path: PathBuf, error: &io::Error) {
        self.inventory.problems.push(Problem {
            root: self.inventory.directory(id).root,
            path,
            error: error.to_string(),
        });
    }
}

const fn unknown_filesystem() -> Filesystem {
    Filesystem {
        device: 0,
        total: 0,
        free: 0,
        available: 0,
        inodes: 0,
        free_inodes: 0,
        read_only: false,
        atime: crate::plan::entry::AtimeMode::Relatime,
        cuts: Cuts {
            block: 0,
            collapse: false,
            punch: false,
        },
    }
}
