//! Removing files and the directories that this emptied.

use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;

use super::step::{self, Found, Halt, Step, entry_of, vanished};
use super::{Run, disk};
use crate::fs::dir::{self, Seen};
use crate::fs::lease::{self, Use};
use crate::plan::action::{Action, Subject, Verb};
use crate::plan::entry::{Entry, EntryId, Kind};
use crate::plan::reason::Reason;

impl<'a> Run<'a> {
    /// Removes a name whose file is what the scan saw and which nobody has open. A call to the
    /// kernel less for each of a million files counts, so it is looked at once, under the lease:
    /// from then on nobody opens it. A file that had another name in between has another change
    /// time.
    pub fn unlink(&mut self, action: &Action) -> Result<Step, Halt> {
        let entry = self.inventory.entry(entry_of(action.subject)?);
        let parent = self.directories.open_to_clean(entry.directory)?;
        let name = self.inventory.name(entry);
        let file = match entry.kind {
            Kind::File => open_to_ask(&parent, name)?,
            _ => None,
        };
        let used = |file: &File| is_used(file, lease::hold_against_users);
        if file.as_ref().is_some_and(used) {
            return Err(Halt::Changed(USED.to_owned()));
        }
        let seen = dir::look(&*parent, name).map_err(vanished)?;
        self.is_still(entry, &seen, is_for_disuse(action))?;
        if action.reason == Reason::BrokenSymlink && dir::look_through(&*parent, name).is_ok() {
            return Err(Halt::Changed("it leads somewhere now".to_owned()));
        }
        step::unlink(&*parent, name).map_err(vanished)?;
        if seen.stat.links <= 1 {
            return Ok(Step::done(disk(seen.stat.blocks.saturating_mul(512))));
        }
        file.map_or(Ok(()), |file| self.remember(&file, &seen))?;
        Ok(Step::done(0))
    }

    /// Removes the first of several names that go together, where all others may go too: it would
    /// be of no use to anybody to lose some of them.
    pub fn unlink_first(&mut self, action: &Action, others: &[EntryId]) -> Result<Step, Halt> {
        for id in others {
            let (found, file) = self.find_to_remove(*id)?;
            if file.is_some_and(|file| is_used(&file, lease::users)) {
                let path = self.inventory.shown_path(found.entry);
                let name = path.display();
                return Err(Halt::Changed(format!("somebody uses '{name}' now")));
            }
        }
        self.unlink(action)
    }

    /// Finds a file again, opened where we may read it: what the open file is needs no other look.
    fn find_to_remove(&mut self, id: EntryId) -> Result<(Found<'a>, Option<File>), Halt> {
        let inventory = self.inventory;
        let entry = inventory.entry(id);
        let parent = self.directories.open_to_clean(entry.directory)?;
        let name = inventory.name(entry);
        let file = match entry.kind {
            Kind::File => open_to_ask(&parent, name)?,
            _ => None,
        };
        let seen = match &file {
            Some(file) => dir::look_at(file)?,
            None => dir::look(&*parent, name).map_err(vanished)?,
        };
        self.is_still(entry, &seen, true)?;
        let found = Found {
            parent,
            name,
            entry,
            seen,
        };
        Ok((found, file))
    }

    /// Refuses what is not as the scan saw it; with `unread`, also what was read since then.
    fn is_still(&self, entry: &Entry, seen: &Seen, unread: bool) -> Result<(), Halt> {
        if !self.is_as_seen(entry, seen) {
            return Err(Halt::Changed(
                "it changed since it was looked at".to_owned(),
            ));
        }
        // Our own look at where a link leads is an access to it.
        if unread && entry.kind == Kind::File && seen.stat.atime > entry.atime {
            return Err(Halt::Changed(
                "it was read since it was looked at".to_owned(),
            ));
        }
        Ok(())
    }

    /// The other names of a file share its change time, which the removal of one moved.
    fn remember(&mut self, file: &File, seen: &Seen) -> Result<(), Halt> {
        let now = dir::look_at(file)?;
        if now.identity() == seen.identity() {
            self.touched
                .insert(now.identity(), (now.stat.ctime, now.stat.links));
        }
        Ok(())
    }

    pub fn remove_directory(&mut self, subject: Subject) -> Result<Step, Halt> {
        let Subject::Directory(id) = subject else {
            return Err(Halt::Failed(std::io::ErrorKind::NotADirectory.into()));
        };
        let row = self.inventory.directory(id);
        let Some(parent) = row.parent else {
            return Err(Halt::Changed("a configured directory stays".to_owned()));
        };
        // A lock on the directory itself keeps it too.
        self.directories.open_to_clean(id)?;
        let parent = self.directories.open(parent)?;
        let name = self.inventory.directory_name(row);
        let seen = dir::look(&*parent, name).map_err(vanished)?;
        if seen.identity() != (self.inventory.device(row.root), row.inode) || !seen.directory {
            return Err(Halt::Changed("it was replaced".to_owned()));
        }
        self.directories.forget(id);
        match rustix::fs::unlinkat(&*parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(Step::done(disk(seen.stat.blocks.saturating_mul(512)))),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                Err(Halt::Changed("it is not empty any more".to_owned()))
            }
            Err(Errno::NOENT) => Err(Halt::Changed("it is gone".to_owned())),
            Err(error) => Err(Halt::Failed(error.into())),
        }
    }
}

const USED: &str = "somebody uses it now";

/// Whether an action is for want of use: then a file that was read since the scan stays.
fn is_for_disuse(action: &Action) -> bool {
    action.verb == Verb::Evict || matches!(action.reason, Reason::StaleTemporary(_))
}

/// Opens a file where we may read it, to ask who else has it.
fn open_to_ask(parent: &OwnedFd, name: &OsStr) -> Result<Option<File>, Halt> {
    match dir::open_unseen(parent, name) {
        Ok(file) => Ok(Some(file)),
        Err(error) => match error.kind() {
            ErrorKind::PermissionDenied => Ok(None),
            // It has a lease (`O_NONBLOCK`), so somebody has it open.
            ErrorKind::WouldBlock => Err(Halt::Changed(USED.to_owned())),
            _ => Err(vanished(error)),
        },
    }
}

/// Whether somebody has a `flock` on the file, as systemd-tmpfiles asks before it removes one.
fn is_locked(file: &File) -> bool {
    let asked = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
    asked == Err(Errno::WOULDBLOCK)
}

/// Whether somebody has the file open, mapped or locked. Where the kernel grants the lease, nobody
/// else has it open, and a `flock` needs it open: also that of a sysopt that is still making it.
fn is_used(file: &File, ask: fn(&File) -> Use) -> bool {
    match ask(file) {
        Use::Free => false,
        Use::Busy => true,
        Use::Unknown => is_locked(file),
    }
}

/// Removes the name of a file that was found again, under a lease where the kernel grants one, so
/// that nobody opens it in between. The lease ends when the file is closed.
pub fn remove_found(found: &Found<'_>, file: Option<&File>) -> Result<(), Halt> {
    if file.is_some_and(|file| is_used(file, lease::hold_against_users)) {
        return Err(Halt::Changed(USED.to_owned()));
    }
    // What was decided, and of a model proved, is about what was found then.
    let now = dir::look(&*found.parent, found.name).map_err(vanished)?;
    if !found.seen.unchanged(&now) {
        return Err(Halt::Changed("it changed meanwhile".to_owned()));
    }
    step::unlink(&*found.parent, found.name).map_err(vanished)
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests build and change trees themselves"
)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;
    use std::rc::Rc;

    use super::*;
    use crate::plan::entry::{Inventory, RootId, Walk};

    /// Finds `model`, lets somebody do something, and removes it; whether it is still there.
    fn removed_after(act: impl Fn(&Path)) -> std::io::Result<(Result<(), Halt>, bool)> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("model");
        std::fs::write(&path, b"weights")?;
        let parent = dir::open_root(dir.path())?;
        let seen = dir::look(&parent, OsStr::new("model"))?;
        let mut inventory = Inventory::default();
        let top =
            inventory.add_directory(RootId(0), None, OsStr::new(""), &seen.stat, Walk::Walked);
        let id = inventory.add_entry(top, OsStr::new("model"), &seen.stat);
        let found = Found {
            parent: Rc::new(parent),
            name: OsStr::new("model"),
            entry: inventory.entry(id),
            seen,
        };
        let file = dir::open_file(&*found.parent, found.name)?.0;
        act(&path);
        let removed = remove_found(&found, Some(&file));
        Ok((removed, path.exists()))
    }

    #[test]
    fn what_changed_since_it_was_found_is_not_removed() -> std::io::Result<()> {
        assert!(matches!(removed_after(|_| ())?, (Ok(()), false)));
        let written = removed_after(|path| drop(std::fs::write(path, b"WEIGHTS")))?;
        assert!(
            matches!(written, (Err(Halt::Changed(_)), true)),
            "{written:?}"
        );
        let replaced = removed_after(|path| {
            let new = path.with_extension("new");
            let _ = std::fs::write(&new, b"another");
            let _ = std::fs::rename(new, path);
        })?;
        assert!(
            matches!(replaced, (Err(Halt::Changed(_)), true)),
            "{replaced:?}"
        );
        Ok(())
    }
}
