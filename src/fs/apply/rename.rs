//! Rotating a log by renaming it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::pack::{Job, Source, rotated_only};
use super::step::{Found, Halt, Step, entry_of, vanished};
use super::{Run, with};
use crate::fs::dir;
use crate::fs::lease::{self, Use};
use crate::fs::temporary::Temporary;
use crate::plan::action::{Rotate, Subject};
use crate::plan::policy::Codec;

impl Run<'_> {
    /// Renames the log and puts an empty one in its place; the rotated file is compressed after its
    /// writers were told.
    pub fn rotate(&mut self, number: u32, subject: Subject, rotate: &Rotate) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find_live(id)?;
        let file = found.open()?;
        if !rotate.despite_writers && lease::writers(&file) == Use::Busy {
            return Err(Halt::Changed("a process opened it for writing".to_owned()));
        }
        // The new log is complete before it appears: a full disk is met before anything changes.
        if exchange_in(&found, &file, &rotate.to)? == Exchanged::Unsupported {
            let fresh = Temporary::new(&*found.parent).map_err(with("cannot make the new log"))?;
            make_like(&fresh, &file, &found)?;
            rename_away(&found, &rotate.to, fresh)?;
        }
        if rotate.compress == Codec::None {
            return Ok(Step::done(0));
        }
        let parent = found.parent.try_clone()?;
        let (file, seen) = dir::open_file(&parent, &rotate.to).map_err(vanished)?;
        self.pending.push(Job::rotated(
            number,
            rotate,
            Source {
                parent,
                name: rotate.to.clone(),
                file,
                seen,
            },
        ));
        Ok(rotated_only(&rotate.to))
    }
}

/// Makes the new log under the rotated name, and exchanges the two names: there is a log at every
/// instant, and every line has one name. A run killed before the exchange leaves an empty rotated
/// file, which the next plan removes.
fn exchange_in(found: &Found<'_>, file: &File, to: &OsStr) -> Result<Exchanged, Halt> {
    let fresh = Temporary::named(&*found.parent, to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Halt::Changed(format!("{} appeared meanwhile", to.display()))
        }
        _ => Halt::from(with("cannot make the new log")(error)),
    })?;
    make_like(&fresh, file, found)?;
    match fresh.exchange(found.name, found.seen.identity()) {
        Ok(true) => {
            dir::sync(&*found.parent)?;
            Ok(Exchanged::Yes)
        }
        Ok(false) => Err(Halt::Changed("another file has its name now".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Halt::Changed("it is gone".to_owned()))
        }
        Err(error) => match error.raw_os_error() {
            Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP) => Ok(Exchanged::Unsupported),
            _ => Err(Halt::Failed(error)),
        },
    }
}

/// Makes the new log what the log is to its writers. One that may not belong to the same user and
/// group could be closed to them.
fn make_like(fresh: &Temporary, log: &File, found: &Found<'_>) -> Result<(), Halt> {
    fresh
        .resemble(log, &found.seen, None)
        .map_err(with("cannot make the new log"))?;
    let (made, owner) = (
        dir::look_at(fresh.file())?.stat.owner,
        found.seen.stat.owner,
    );
    if (made.uid, made.gid) == (owner.uid, owner.gid) {
        return Ok(());
    }
    Err(Halt::Failed(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "cannot make the new log: we may not give it to user {} and group {}, and its writers \
             could not write to ours",
            owner.uid, owner.gid
        ),
    )))
}

/// Whether the filesystem can exchange two names.
#[derive(PartialEq, Eq)]
enum Exchanged {
    Yes,
    Unsupported,
}

/// Where names cannot be exchanged: renames the log, proves that it was the log that was renamed,
/// and publishes the new one after it.
fn rename_away(found: &Found<'_>, to: &OsStr, fresh: Temporary) -> Result<(), Halt> {
    let dir = found.parent.as_fd();
    dir::rename_new(dir, found.name, dir, to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Halt::Changed(format!("{} appeared meanwhile", to.display()))
        }
        _ => vanished(error),
    })?;
    if dir::look(dir, to)?.identity() != found.seen.identity() {
        // Another file took the name in the last instant: it goes back to where it was.
        dir::rename_new(dir, to, dir, found.name)?;
        return Err(Halt::Changed("another file has its name now".to_owned()));
    }
    match fresh.publish(found.name) {
        // A writer that made a log itself in between keeps it.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Halt::Failed(io::Error::new(
                error.kind(),
                format!("rotated, but the new log could not be put in place: {error}"),
            )));
        }
        _ => {}
    }
    dir::sync(dir)?;
    Ok(())
}
