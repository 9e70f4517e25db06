//! Removing files and the directories that this emptied.

use std::fs::File;

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;

use super::step::{self, Found, Halt, Step, entry_of, vanished};
use super::{Run, disk};
use crate::fs::compress::forget_pages;
use crate::fs::dir;
use crate::fs::lease::{self, Use};
use crate::plan::action::Subject;

impl Run<'_> {
    /// Removes a name whose file is what the scan saw and which nobody has open.
    pub fn unlink(&mut self, subject: Subject) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find(id)?;
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
        forget_pages(file);
    }
    step::unlink(&*found.parent, found.name).map_err(vanished)
}
