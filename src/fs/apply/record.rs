//! The record beside a log whose head is being taken away ([`crate::plan::cutting`]).
//!
//! Whoever works on the log has a `flock` on the record, so that no two runs take away its head
//! twice.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;

use rustix::fs::FlockOperation;

use super::step::{self, Halt, vanished};
use super::with;
use crate::fs::dir;
use crate::fs::temporary::Temporary;
use crate::plan::cutting::{self, Intent};
use crate::plan::entry::Owner;

/// A record that this run holds.
pub struct Record {
    name: OsString,
    /// Keeps the lock.
    file: File,
    pub intent: Intent,
}

impl Record {
    /// Writes the record of a rotation that begins. It belongs to the log's owner.
    pub fn begin(parent: impl AsFd, log: &OsStr, intent: Intent) -> Result<Self, Halt> {
        let name = cutting::record_name(log);
        let made = written(&parent, &intent, dir::look(&parent, log)?.stat.owner)?;
        let file = made.file().try_clone()?;
        made.publish(&name).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Halt::Failed(io::Error::new(
                error.kind(),
                format!(
                    "{} exists, and is no record of a rotation that can be completed",
                    name.display()
                ),
            )),
            _ => Halt::from(error),
        })?;
        dir::sync(&parent)?;
        Ok(Self { name, file, intent })
    }

    /// Takes over the record of a run that was killed.
    pub fn take_over(parent: impl AsFd, log: &OsStr) -> Result<Self, Halt> {
        let name = cutting::record_name(log);
        let (file, seen) = dir::open_file(&parent, &name).map_err(vanished)?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Halt::Changed("another sysopt is at work on it".to_owned()));
        }
        // Replaced before it was locked: the run that did so is at work.
        let now = dir::look(&parent, &name).map_err(vanished)?;
        let mut text = Vec::new();
        (&file).take(LONGEST).read_to_end(&mut text)?;
        match Intent::parse(log, &text).filter(|_| now.identity() == seen.identity()) {
            Some(intent) => Ok(Self { name, file, intent }),
            None => Err(Halt::Changed("its record changed meanwhile".to_owned())),
        }
    }

    /// Records how far it came, all at once.
    pub fn advance(self, parent: impl AsFd, intent: Intent) -> Result<Self, Halt> {
        let owner = dir::look_at(&self.file)?.stat.owner;
        let made = written(&parent, &intent, owner)?;
        let file = made.file().try_clone()?;
        made.replace(&self.name)?;
        dir::sync(&parent)?;
        Ok(Self {
            name: self.name,
            file,
            intent,
        })
    }

    /// The rotation is complete, or given up.
    pub fn end(self, parent: impl AsFd) -> Result<(), Halt> {
        step::unlink(&parent, &self.name)
            .map_err(with("rotated, but its record could not be removed"))?;
        dir::sync(&parent)?;
        Ok(())
    }
}

/// No record is longer.
const LONGEST: u64 = 4096;

fn written(parent: impl AsFd, intent: &Intent, owner: Owner) -> Result<Temporary, Halt> {
    let doing = "cannot record the rotation";
    let made = Temporary::new(parent).map_err(with(doing))?;
    made.own(Owner {
        mode: owner.mode & 0o666,
        ..owner
    })
    .map_err(with(doing))?;
    made.file()
        .write_all(&intent.to_line())
        .and_then(|()| made.file().sync_all())
        .map_err(with(doing))?;
    Ok(made)
}
