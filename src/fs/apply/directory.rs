//! Directory models: built whole under a temporary name, published by one rename, removed whole.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;

use super::archive::{Member, frees, in_use};
use super::remove::remove_found;
use super::step::{Found, Halt, Step, unlink};
use super::store::{Made, store};
use super::{Run, disk, with};
use crate::fs::dir;
use crate::fs::lease::{self, Use};
use crate::fs::temporary::{self, copy_attributes, times};
use crate::plan::action::{ArchiveModel, Subject};
use crate::plan::archive::ManifestLine;
use crate::plan::entry::{DirId, Owner};
use crate::plan::policy::Codec;
use crate::plan::time::Time;

/// A directory in the making; removed again with all that is in it unless it is published.
#[derive(Debug)]
pub(super) struct TemporaryDirectory {
    parent: OwnedFd,
    name: OsString,
    pub fd: OwnedFd,
    published: bool,
}

impl TemporaryDirectory {
    /// Makes an empty directory of mode 0700 beside its later name, and locks it.
    pub fn new(parent: &OwnedFd) -> io::Result<Self> {
        loop {
            let name = temporary::next_name();
            match rustix::fs::mkdirat(parent, &name, rustix::fs::Mode::RWXU) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    let fd = dir::open_dir(parent, &name)?;
                    rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
                    return Ok(Self {
                        parent: parent.try_clone()?,
                        name,
                        fd,
                        published: false,
                    });
                }
            }
        }
    }

    /// Gives the directory its name, unless that is taken.
    pub fn publish(mut self, name: &OsStr) -> io::Result<()> {
        dir::rename_new(&self.parent, &self.name, &self.parent, name)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if !self.published {
            // What stays here is cleared by the garbage step.
            let _ = remove_tree(&self.parent, &self.name);
        }
    }
}

/// Removes a directory of ours with all that is in it.
fn remove_tree(parent: &OwnedFd, name: &OsStr) -> io::Result<i64> {
    let fd = dir::open_dir(parent, name)?;
    let mut freed = disk(dir::look_at(&fd)?.stat.blocks.saturating_mul(512));
    for name in dir::names(&fd)? {
        let seen = dir::look(&fd, &name)?;
        if seen.directory {
            freed += remove_tree(&fd, &name)?;
            continue;
        }
        unlink(&fd, &name)?;
        if seen.stat.links <= 1 {
            freed += disk(seen.stat.blocks.saturating_mul(512));
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    Ok(freed)
}

/// How a directory is to look.
pub(super) struct Look {
    /// Relative to the top.
    pub path: PathBuf,
    pub like: OwnedFd,
    pub owner: Owner,
    pub modified: Time,
}

/// Makes the directories of a model; their times and owners follow when they are full.
pub(super) fn make_directories(top: &OwnedFd, looks: &[Look]) -> io::Result<()> {
    for look in looks {
        let owner = Owner {
            mode: 0o700,
            ..look.owner
        };
        dir::make_below(top, &look.path, owner)?;
    }
    Ok(())
}

/// Gives the directories of a model, the innermost first, what theirs had; the bytes that they
/// take.
pub(super) fn finish_directories(top: &OwnedFd, looks: &[Look]) -> io::Result<i64> {
    let mut taken = 0;
    for look in looks.iter().rev() {
        let made = dir::open_below(top, &look.path)?;
        copy_attributes(&look.like, &made)?;
        dir::own(&made, look.owner)?;
        rustix::fs::futimens(&made, &times(look.modified, look.modified))?;
        dir::sync(&made)?;
        taken += disk(dir::look_at(&made)?.stat.blocks.saturating_mul(512));
    }
    Ok(taken)
}

impl Run<'_> {
    /// The directories of a model, each after the one that it is in.
    pub(super) fn looks(&mut self, id: DirId) -> Result<Vec<Look>, Halt> {
        let inventory = self.inventory;
        let top = inventory.directory_path(id);
        let mut looks = Vec::new();
        for at in inventory.directory_ids() {
            if inventory.directory(at).root != inventory.directory(id).root {
                continue;
            }
            let path = inventory.directory_path(at);
            let Ok(below) = path.strip_prefix(&top) else {
                continue;
            };
            let fd = self.directories.open(at)?;
            let seen = dir::look_at(&*fd)?;
            looks.push(Look {
                path: below.to_path_buf(),
                like: fd.try_clone()?,
                owner: seen.stat.owner,
                modified: seen.stat.mtime,
            });
        }
        Ok(looks)
    }

    /// Moves a directory: renamed as it is, or built anew in the archive and then removed.
    pub(super) fn move_directory(
        &mut self,
        id: DirId,
        model: &ArchiveModel,
        members: &[Member<'_>],
        lines: &mut [ManifestLine],
        (parent, name): (&OwnedFd, &OsStr),
        rename: bool,
    ) -> Result<i64, Halt> {
        let built = self.build(id, model, members, lines, parent, rename)?;
        let archive = self.opened(model.archive)?;
        archive
            .books
            .append(lines)
            .map_err(with("cannot write the manifest"))?;
        let mut arrived = false;
        let moved = match built {
            Some((built, written)) => {
                let published = built.publish(name).map_err(with("cannot publish"));
                arrived = published.is_ok();
                published
                    .and_then(|()| dir::sync(parent))
                    .map_err(Halt::from)
                    .and_then(|()| Ok(self.remove_model(id, members)? - written))
            }
            None => self.rename_directory(id, members, (parent, name), &mut arrived),
        };
        self.opened(model.archive)?.settle(lines, arrived);
        moved
    }

    /// The directory as it will be in the archive; `None` where it is just renamed.
    fn build(
        &mut self,
        id: DirId,
        model: &ArchiveModel,
        members: &[Member<'_>],
        lines: &mut [ManifestLine],
        parent: &OwnedFd,
        rename: bool,
    ) -> Result<Option<(TemporaryDirectory, i64)>, Halt> {
        if rename && model.codec == Codec::None {
            return Ok(None);
        }
        let looks = self.looks(id)?;
        let built = TemporaryDirectory::new(parent).map_err(with("cannot copy"))?;
        make_directories(&built.fd, &looks).map_err(with("cannot copy"))?;
        let (mut written, mut compressed) = (0, false);
        let mut stored = lines.to_vec();
        for (member, line) in members.iter().zip(&mut stored) {
            let below = line.archived_path.0.strip_prefix(&model.to);
            let below = below.unwrap_or(Path::new("")).to_path_buf();
            let file = member.found.open()?;
            let target = create(&built.fd, &below).map_err(with("cannot copy"))?;
            let made = store(
                &file,
                &target,
                &member.sum,
                model.codec,
                false,
                self.surroundings,
            )?;
            let Some(Made { sum, codec }) = made else {
                continue;
            };
            compressed |= codec != Codec::None;
            let stat = member.found.seen.stat;
            copy_attributes(&file, &target)?;
            dir::own(&target, stat.owner)?;
            let kept = times(stat.atime, stat.mtime);
            rustix::fs::futimens(&target, &kept).map_err(io::Error::from)?;
            target.sync_all()?;
            written += disk(dir::look_at(&target)?.stat.blocks.saturating_mul(512));
            if !member.found.seen.unchanged(&dir::look_at(&file)?) {
                return Err(Halt::Changed("it changed while it was copied".to_owned()));
            }
            line.stored_sha256 = sum;
            codec.name().clone_into(&mut line.codec);
        }
        if rename && !compressed {
            return Ok(None);
        }
        written += finish_directories(&built.fd, &looks).map_err(with("cannot copy"))?;
        lines.clone_from_slice(&stored);
        Ok(Some((built, written)))
    }

    /// One rename, proved to have moved what was read.
    fn rename_directory(
        &mut self,
        id: DirId,
        members: &[Member<'_>],
        (parent, name): (&OwnedFd, &OsStr),
        arrived: &mut bool,
    ) -> Result<i64, Halt> {
        self.is_whole(id, members)?;
        let row = self.inventory.directory(id);
        let from = self.parent_of(id)?;
        let own = self.inventory.directory_name(row);
        dir::rename_new(&*from, own, parent, name).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Halt::Changed("its archived name appeared meanwhile".to_owned())
            }
            _ => Halt::from(error),
        })?;
        if let Err(halt) = self.is_whole(id, members) {
            dir::rename_new(parent, name, &*from, own)?;
            return Err(halt);
        }
        self.directories.forget_below(id);
        *arrived = true;
        dir::sync(parent)?;
        dir::sync(&*from)?;
        Ok(0)
    }

    /// Removes a directory that a run which ended early left under a temporary name.
    pub fn remove_own_tree(&mut self, subject: Subject) -> Result<Step, Halt> {
        let Subject::Directory(id) = subject else {
            return Err(Halt::Failed(io::ErrorKind::NotADirectory.into()));
        };
        let name = self.inventory.directory_name(self.inventory.directory(id));
        if !dir::is_temporary(name) {
            return Err(Halt::Failed(io::ErrorKind::InvalidInput.into()));
        }
        // Opened as the directory that was seen.
        let fd = dir::reopen_dir(&*self.directories.open(id)?)?;
        lock(&fd)?;
        let parent = self.parent_of(id)?;
        self.directories.forget_below(id);
        Ok(Step::done(remove_tree(&parent, name)?))
    }

    fn parent_of(&mut self, id: DirId) -> Result<std::rc::Rc<OwnedFd>, Halt> {
        let parent = self.inventory.directory(id).parent;
        let parent = parent.ok_or_else(|| Halt::Failed(io::ErrorKind::InvalidInput.into()))?;
        self.directories.open(parent)
    }

    /// Whether a directory holds what was read, unchanged and unused, and nothing else.
    fn is_whole(&mut self, id: DirId, members: &[Member<'_>]) -> Result<(), Halt> {
        for member in members {
            let file = member.found.open()?;
            if lease::users(&file) == Use::Busy {
                return Err(in_use());
            }
            if !member.found.seen.unchanged(&dir::look_at(&file)?) {
                return Err(Halt::Changed("it changed after it was read".to_owned()));
            }
        }
        let mut names = 0;
        let mut directories = 0;
        for look in self.looks(id)? {
            names += dir::names(dir::reopen_dir(&look.like)?)?.len();
            directories += 1;
        }
        if names + 1 == members.len() + directories {
            Ok(())
        } else {
            Err(Halt::Changed("something was added to it".to_owned()))
        }
    }

    /// Removes a directory that the archive has: first its name, so that a half removed one is
    /// never taken for a model.
    pub(super) fn remove_model(&mut self, id: DirId, members: &[Member<'_>]) -> Result<i64, Halt> {
        self.is_whole(id, members)?;
        let found: Vec<&Found<'_>> = members.iter().map(|member| &member.found).collect();
        self.take_away(id, &found)
    }

    /// Removes a directory of an archive with the files of a version; the bytes that it took.
    pub(super) fn remove_files(&mut self, id: DirId, files: &[Found<'_>]) -> Result<i64, Halt> {
        let found: Vec<&Found<'_>> = files.iter().collect();
        self.take_away(id, &found)
    }

    fn take_away(&mut self, id: DirId, files: &[&Found<'_>]) -> Result<i64, Halt> {
        let looks = self.looks(id)?;
        let parent = self.parent_of(id)?;
        let own = self.inventory.directory_name(self.inventory.directory(id));
        // Until it is gone, or back, no other sysopt takes it for abandoned.
        let top = looks.first().map(|look| dir::reopen_dir(&look.like));
        let top = top.transpose()?;
        if let Some(top) = &top {
            lock(top)?;
        }
        let aside = temporary::next_name();
        dir::rename_new(&*parent, own, &*parent, &aside)?;
        self.directories.forget_below(id);
        let mut begun = false;
        let removed = remove_held(&parent, &aside, files, &looks, &mut begun);
        let added = |halt: &Halt| matches!(halt, Halt::Failed(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty);
        if removed.as_ref().is_err_and(|halt| !begun || added(halt)) {
            // It is whole still, or somebody added a file, which is theirs to see. Else what is
            // left is no model any more, and is cleared as garbage.
            let _ = dir::rename_new(&*parent, &aside, &*parent, own);
        }
        let freed = removed?;
        dir::sync(&*parent)?;
        Ok(freed)
    }
}

/// Takes the `flock` on a directory, as whoever works on it does.
fn lock(dir: &OwnedFd) -> Result<(), Halt> {
    match rustix::fs::flock(dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(Halt::Changed("somebody holds a lock on it".to_owned())),
        Err(error) => Err(Halt::Failed(error.into())),
    }
}

/// Removes the files, through the directories that were open before they were renamed.
fn remove_held(
    parent: &OwnedFd,
    aside: &OsStr,
    files: &[&Found<'_>],
    looks: &[Look],
    begun: &mut bool,
) -> Result<i64, Halt> {
    let mut freed = 0;
    for found in files {
        remove_found(found, found.open_if_readable()?.as_ref())?;
        *begun = true;
        freed += frees(found);
    }
    let top = dir::open_dir(parent, aside)?;
    for look in looks.iter().rev() {
        freed += disk(dir::look_at(&look.like)?.stat.blocks.saturating_mul(512));
        let Some(name) = look.path.file_name() else {
            continue;
        };
        let above = dir::open_below(&top, look.path.parent().unwrap_or(Path::new("")))?;
        rustix::fs::unlinkat(&above, name, AtFlags::REMOVEDIR).map_err(io::Error::from)?;
    }
    rustix::fs::unlinkat(parent, aside, AtFlags::REMOVEDIR).map_err(io::Error::from)?;
    Ok(freed)
}

/// A new empty file at a path below a directory of ours.
pub(super) fn create(top: &OwnedFd, below: &Path) -> io::Result<File> {
    let parent = dir::open_below(top, below.parent().unwrap_or(Path::new("")))?;
    let name = below.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    temporary::create(parent.as_fd(), name)
}
