//! Removing files and the directories that this emptied.

use std::fs::File;
use std::io::ErrorKind;

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;

use super::step::{self, Found, Halt, Step, entry_of, vanished};
use super::{Run, disk};
use crate::fs::dir;
use crate::fs::lease::{self, Use};
use crate::plan::action::Subject;
use crate::plan::entry::{EntryId, Kind};

impl<'a> Run<'a> {
    /// Removes a name whose file is what the scan saw and which nobody has open.
    /// With `unread`, also one that was read since then stays: it is not the least used any more.
    pub fn unlink(&mut self, subject: Subject, unread: bool) -> Result<Step, Halt> {
        let (found, file) = self.find_to_remove(entry_of(subject)?, unread)?;
        remove_found(&found, file.as_ref())?;
        let Some(file) = file.filter(|_| found.seen.stat.links > 1) else {
            let last = found.seen.stat.links <= 1;
            return Ok(Step::done(if last {
                disk(found.entry.disk_usage())
            } else {
                0
            }));
        };
        self.remember(&file)?;
        Ok(Step::done(0))
    }

    /// Removes the first of several names that go together, where all others may go too: it would
    /// be of no use to anybody to lose some of them.
    pub fn unlink_first(&mut self, subject: Subject, others: &[EntryId]) -> Result<Step, Halt> {
        for id in others {
            let (found, file) = self.find_to_remove(*id, true)?;
            if file.is_some_and(|file| is_used(&file, lease::users)) {
                let path = self.inventory.shown_path(found.entry);
                let name = path.display();
                return Err(Halt::Changed(format!("somebody uses '{name}' now")));
            }
        }
        self.unlink(subject, true)
    }

    /// Finds a file again, opened where we may read it: what the open file is needs no other look.
    fn find_to_remove(
        &mut self,
        id: EntryId,
        unread: bool,
    ) -> Result<(Found<'a>, Option<File>), Halt> {
        let inventory = self.inventory;
        let entry = inventory.entry(id);
        let parent = self.directories.open_to_clean(entry.directory)?;
        let name = inventory.name(entry);
        let opened = match entry.kind {
            Kind::File => match dir::open_file(&*parent, name) {
                Ok((file, seen)) => Some((file, seen)),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
                Err(error) => return Err(vanished(error)),
            },
            _ => None,
        };
        let (file, seen) = match opened {
            Some((file, seen)) => (Some(file), seen),
            None => (None, dir::look(&*parent, name).map_err(vanished)?),
        };
        if !self.is_as_seen(entry, &seen) {
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
        let found = Found {
            parent,
            name,
            entry,
            seen,
        };
        Ok((found, file))
    }

    /// The other names of a file share its change time, which the removal of one moved.
    fn remember(&mut self, file: &File) -> Result<(), Halt> {
        let now = dir::look_at(file)?;
        self.touched
            .insert(now.identity(), (now.stat.ctime, now.stat.links));
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
        let parent = self.directories.open_to_clean(parent)?;
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
        return Err(Halt::Changed("somebody uses it now".to_owned()));
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
