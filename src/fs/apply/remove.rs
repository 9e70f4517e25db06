//! Removing files and the directories that this emptied.

use std::fs::File;

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;

use super::step::{self, Found, Halt, Step, entry_of, vanished};
use super::{Run, disk};
use crate::fs::dir;
use crate::fs::lease::{self, Use};
use crate::plan::action::Subject;

impl Run<'_> {
    /// Removes a name whose file is what the scan saw and which nobody has open.
    /// With `unread`, also one that was read since then stays: it is not the least used any more.
    pub fn unlink(&mut self, subject: Subject, unread: bool) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find(id)?;
        if unread && found.seen.stat.atime > found.entry.atime {
            return Err(Halt::Changed(
                "it was read since it was looked at".to_owned(),
            ));
        }
        let file = found.open_if_readable()?;
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

/// Whether somebody has a `flock` on the file, as systemd-tmpfiles asks before it removes one.
fn is_locked(file: &File) -> bool {
    let asked = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
    asked == Err(Errno::WOULDBLOCK)
}

/// Removes the name of a file that was found again, under a lease where the kernel grants one, so
/// that nobody opens it in between. The lease ends when the file is closed.
pub fn remove_found(found: &Found<'_>, file: Option<&File>) -> Result<(), Halt> {
    if let Some(file) = file {
        if lease::hold_against_users(file) == Use::Busy {
            return Err(Halt::Changed("somebody uses it now".to_owned()));
        }
        // Also the sign of a sysopt that is still making the file.
        if is_locked(file) {
            return Err(Halt::Changed("somebody holds a lock on it".to_owned()));
        }
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
