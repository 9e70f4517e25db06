//! The archives that a run writes to: opened once, with their records, and brought up to date in
//! the end.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::step::Halt;
use super::{Run, with};
use crate::fs::books::ArchiveBooks;
use crate::fs::digests::Digests;
use crate::fs::dir;
use crate::plan::archive::{DIGESTS, Event, MANIFEST, ManifestLine};
use crate::plan::entry::{Inventory, Owner};

/// The archives that this run writes to.
#[derive(Default)]
pub struct Archives {
    open: HashMap<usize, OpenArchive>,
    /// Directories of which names were changed, by device and inode.
    unsynced: HashMap<(u64, u64), OwnedFd>,
}

/// How many directories wait to be synced at once.
const UNSYNCED: usize = 64;

/// One of them: its directory, its records, and the digests of what it holds now.
pub struct OpenArchive {
    pub dir: OwnedFd,
    pub books: ArchiveBooks,
    owner: Owner,
    pub digests: Digests,
}

impl Archives {
    /// Brings the lists of digests up to date; what failed, by path.
    pub fn close(&mut self, inventory: &Inventory) -> Vec<(PathBuf, String)> {
        let mut faults = Vec::new();
        // The list says that a file arrived, so its name has to last first.
        if let Err(error) = self.sync() {
            let archives = self.open.drain();
            return archives
                .map(|(index, _)| (shown(inventory, index, DIGESTS), error.to_string()))
                .collect();
        }
        for (index, archive) in self.open.drain() {
            if let Err(error) = archive.books.write_digests(&archive.digests) {
                faults.push((shown(inventory, index, DIGESTS), error.to_string()));
            }
        }
        faults
    }
}

impl Archives {
    /// Makes a change of names last, in time: the manifest is synced before a rename, and the list
    /// of digests written after, so that in between either place is the right one. A sync for
    /// each of many models would take longer than reading them.
    pub fn sync_later(&mut self, dir: impl AsFd) -> io::Result<()> {
        let seen = dir::look_at(&dir)?.identity();
        let waiting = self.unsynced.entry(seen);
        if let std::collections::hash_map::Entry::Vacant(place) = waiting {
            place.insert(dir.as_fd().try_clone_to_owned()?);
        }
        if self.unsynced.len() < UNSYNCED {
            return Ok(());
        }
        self.sync()
    }

    /// Makes all of them last. One that fails is tried again, and the others are synced.
    pub fn sync(&mut self) -> io::Result<()> {
        let mut all: Vec<_> = self.unsynced.drain().collect();
        all.sort_by_key(|(identity, _)| *identity);
        let mut first = Ok(());
        for (identity, dir) in all {
            if let Err(error) = dir::sync(&dir) {
                self.unsynced.insert(identity, dir);
                first = first.and(Err(error));
            }
        }
        first
    }
}

fn shown(inventory: &Inventory, archive: usize, name: &str) -> PathBuf {
    let root = inventory.archives[archive].root;
    inventory.root(root).shown.join(name)
}

impl Run<'_> {
    /// Completes the lists of archives that a killed run left behind; what failed, by path.
    pub fn complete_archives(&mut self) -> Vec<(PathBuf, String)> {
        let mut faults = Vec::new();
        for (index, archive) in self.inventory.archives.iter().enumerate() {
            if !archive.is_behind() {
                continue;
            }
            if let Err(Halt::Failed(error)) = self.open_archive(index) {
                faults.push((shown(self.inventory, index, MANIFEST), error.to_string()));
            }
        }
        faults
    }

    /// Opens an archive and its records, making both where they are missing.
    pub fn open_archive(&mut self, index: usize) -> Result<(), Halt> {
        if self.archives.open.contains_key(&index) {
            return Ok(());
        }
        let archive = &self.inventory.archives[index];
        let owner = self.owner_for(index);
        let dir = self.archive_dir(index, owner)?;
        let books = ArchiveBooks::open(&dir).map_err(with("cannot open the manifest"))?;
        if !archive.corrections.is_empty() {
            books
                .append(&archive.corrections)
                .map_err(with("cannot write the manifest"))?;
        }
        // A version that was lost stays listed, so that `sha256sum -c` names it too; as does a
        // file that only this list knows, after its manifest was lost.
        let mut digests = archive.digests.clone();
        digests.extend(archive.files().map(|file| {
            let line = &file.line;
            (line.archived_path.0.clone(), line.stored_sha256.clone())
        }));
        self.archives.open.insert(
            index,
            OpenArchive {
                dir,
                books,
                owner,
                digests,
            },
        );
        Ok(())
    }

    pub fn opened(&mut self, index: usize) -> Result<&mut OpenArchive, Halt> {
        self.archives
            .open
            .get_mut(&index)
            .ok_or_else(|| Halt::Failed(io::ErrorKind::NotFound.into()))
    }

    /// The archive belongs to whom its model directory belongs to.
    fn owner_for(&self, index: usize) -> Owner {
        let archive = &self.inventory.archives[index];
        let top = archive
            .models
            .first()
            .and_then(|root| self.inventory.root(*root).top);
        let owner = top.map_or_else(Owner::default, |top| {
            self.inventory.owner(self.inventory.directory(top).owner)
        });
        Owner {
            mode: (owner.mode & 0o777) | 0o700,
            ..owner
        }
    }

    fn archive_dir(&self, index: usize, owner: Owner) -> Result<OwnedFd, Halt> {
        let archive = &self.inventory.archives[index];
        let open = self.surroundings.roots.get(archive.root);
        if let Some(fd) = &open.fd {
            return Ok(fd.try_clone()?);
        }
        if let Some(problem) = &open.problem {
            return Err(Halt::Failed(io::Error::new(
                problem.kind(),
                format!("cannot open '{}': {problem}", open.spec.shown.display()),
            )));
        }
        let made = match (&open.spec.inside, archive.models.first()) {
            (Some((_, below)), Some(model)) => {
                dir::make_below(self.surroundings.roots.fd(*model)?, below, owner)
            }
            _ => make_path(&open.spec.path, owner),
        };
        Ok(made.map_err(with("cannot make the archive"))?)
    }
}

impl OpenArchive {
    /// Makes the records say what is there: a line without its file would look like a loss, and
    /// with another's file of that name like damage.
    pub fn settle(&mut self, lines: &[ManifestLine], arrived: bool) {
        if arrived {
            let sums = lines
                .iter()
                .map(|line| (line.archived_path.0.clone(), line.stored_sha256.clone()));
            self.digests.extend(sums);
        } else {
            let _ = self.books.append(&with_event(lines, Event::Expired));
        }
    }

    /// Lists again what is still there of a version that was to go: files of it may be gone.
    pub fn list_again(&mut self, mut lines: Vec<ManifestLine>) {
        // What cannot be looked at may be there.
        lines.retain(|line| self.is_taken(&line.archived_path.0).unwrap_or(true));
        // The next run sees it too.
        let _ = self.books.append(&lines);
        let sums = lines.into_iter();
        let sums = sums.map(|line| (line.archived_path.0, line.stored_sha256));
        self.digests.extend(sums);
    }

    /// Whether something has a name in the archive.
    pub fn is_taken(&self, path: &Path) -> io::Result<bool> {
        let below = path.parent().unwrap_or(Path::new(""));
        let parent = match dir::open_below(&self.dir, below) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match dir::look(parent, path.file_name().unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Ok(true),
        }
    }

    /// The directory and the last component of a path in the archive, made where missing.
    pub fn place<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p std::ffi::OsStr), Halt> {
        let name = path
            .file_name()
            .ok_or_else(|| Halt::Failed(io::ErrorKind::InvalidInput.into()))?;
        let below = path.parent().unwrap_or(Path::new(""));
        let parent = dir::make_below(&self.dir, below, self.owner)
            .map_err(with("cannot make a directory in the archive"))?;
        Ok((parent, name))
    }
}

/// The same lines for another event.
pub fn with_event(lines: &[ManifestLine], event: Event) -> Vec<ManifestLine> {
    let lines = lines.iter().cloned();
    lines.map(|line| ManifestLine { event, ..line }).collect()
}

/// Makes an absolute path, from the nearest directory that exists.
pub fn make_path(path: &Path, owner: Owner) -> io::Result<OwnedFd> {
    let mut missing = PathBuf::new();
    for ancestor in path.ancestors() {
        match dir::open_root(ancestor) {
            Ok(fd) => return dir::make_below(fd, &missing, owner),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = ancestor.file_name().map_or(Path::new(""), Path::new);
                missing = if missing.as_os_str().is_empty() {
                    name.to_path_buf()
                } else {
                    name.join(&missing)
                };
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
