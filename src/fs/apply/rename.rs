//! Rotating a log by renaming it, and compressing what was rotated.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::step::{self, Found, Halt, Step, entry_of, vanished};
use super::{Run, Surroundings, disk, with};
use crate::fs::compress::{self, Encoder, Watch, forget_pages};
use crate::fs::dir::{self, Seen};
use crate::fs::lease::{self, Use};
use crate::fs::temporary::{Temporary, times};
use crate::plan::action::{Compress, Rotate, Subject};
use crate::plan::outcome::Status;
use crate::plan::policy::Codec;

impl Run<'_> {
    /// Renames the log, puts an empty one in its place, and compresses the rotated file.
    pub fn rotate(&mut self, subject: Subject, rotate: &Rotate) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find_live(id)?;
        let file = found.open()?;
        if !rotate.despite_writers && lease::writers(&file) == Use::Busy {
            return Err(Halt::Changed("a process opened it for writing".to_owned()));
        }
        // The new log is complete before it appears: a full disk is met before anything changes.
        if exchange_in(&found, &file, &rotate.to)? == Exchanged::Unsupported {
            let fresh = Temporary::new(&*found.parent).map_err(with("cannot make the new log"))?;
            fresh.resemble(&file, &found.seen, None)?;
            rename_away(&found, &rotate.to, fresh)?;
        }
        if rotate.compress == Codec::None {
            return Ok(Step::done(0));
        }
        drop(file);
        self.compress_rotated(&found.parent, rotate)
    }

    fn compress_rotated(&mut self, parent: &Rc<OwnedFd>, rotate: &Rotate) -> Result<Step, Halt> {
        let (file, seen) = dir::open_file(&**parent, &rotate.to).map_err(vanished)?;
        if self.wait_for_writers(&file, rotate.settle) {
            return Ok(rotated_only(rotate));
        }
        let mut to = rotate.to.clone();
        to.push(rotate.compress.suffix());
        let source = Source {
            parent,
            name: &rotate.to,
            file: &file,
            seen,
        };
        self.compress_source(&source, &to, rotate.compress)
            .or_else(|halt| match halt {
                Halt::Stopped | Halt::Changed(_) => Ok(rotated_only(rotate)),
                Halt::Failed(error) => Err(Halt::Failed(io::Error::new(
                    error.kind(),
                    format!(
                        "rotated to {}, but not compressed: {error}",
                        rotate.to.display()
                    ),
                ))),
                Halt::Unmet => Err(halt),
            })
    }

    /// Waits until nobody writes to the file any more; whether somebody still does. The time is
    /// shared by all logs of a run: a hundred writers that never let go must not hold it for
    /// minutes.
    fn wait_for_writers(&mut self, file: &File, settle: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(50);
        while self.surroundings.may_have_writers(file) {
            if self.waited >= settle || self.surroundings.stop() {
                return true;
            }
            std::thread::sleep(STEP);
            self.waited += STEP;
        }
        false
    }

    /// Compresses a file that no run has finished, beside itself.
    pub fn compress(&mut self, subject: Subject, task: &Compress) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find(id)?;
        let file = found.open()?;
        if self.surroundings.may_have_writers(&file)
            || (task.exclusive && lease::users(&file) == Use::Busy)
        {
            return Ok(Step {
                status: Status::Deferred,
                freed: 0,
                note: Some("a process has it open".to_owned()),
            });
        }
        let source = Source {
            parent: &found.parent,
            name: found.name,
            file: &file,
            seen: found.seen,
        };
        if task.published {
            self.finish_published(&source, &task.to, task.codec)
        } else {
            self.compress_source(&source, &task.to, task.codec)
        }
    }

    fn compress_source(&self, source: &Source<'_>, to: &OsStr, codec: Codec) -> Result<Step, Halt> {
        let made = Temporary::new(&**source.parent).map_err(with("cannot compress"))?;
        let watch = self.surroundings;
        let encoder = Encoder {
            codec,
            threads: watch.threads,
            watch,
        };
        let written = encoder
            .encode(source.file, 0..source.seen.stat.size, made.file())
            .map_err(with("cannot compress"))?;
        let stat = source.seen.stat;
        made.resemble(
            source.file,
            &source.seen,
            Some(times(stat.atime, stat.mtime)),
        )
        .map_err(with("cannot give the compressed file its owner"))?;
        made.file().sync_all().map_err(with("cannot compress"))?;
        // What counts is what the disk has.
        forget_pages(made.file());
        if !encoder.verify(source.file, made.file(), &written)? {
            return Err(Halt::Failed(io::Error::other(
                "the compressed file does not read back as the original; the original stays",
            )));
        }
        source.still_unchanged(watch)?;
        let taken = dir::look_at(made.file())?.stat.blocks;
        forget_pages(made.file());
        made.publish(to).map_err(with("cannot publish"))?;
        dir::sync(&**source.parent)?;
        source.remove()?;
        Ok(Step::done(
            disk(stat.blocks.saturating_mul(512)) - disk(taken.saturating_mul(512)),
        ))
    }

    /// A run was killed between publishing the compressed file and removing its source.
    fn finish_published(
        &self,
        source: &Source<'_>,
        to: &OsStr,
        codec: Codec,
    ) -> Result<Step, Halt> {
        let (published, _) = dir::open_file(&**source.parent, to).map_err(vanished)?;
        if !reads_back(source.file, &published, codec, self.surroundings)? {
            return Err(Halt::Failed(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!(
                    "{} exists with other content; move one of them away",
                    to.display()
                ),
            )));
        }
        source.still_unchanged(self.surroundings)?;
        source.remove()?;
        Ok(Step {
            note: Some("compressed by an earlier run".to_owned()),
            ..Step::done(disk(source.seen.stat.blocks.saturating_mul(512)))
        })
    }
}

/// The log is rotated; a writer or a signal leaves compression to a later run.
fn rotated_only(rotate: &Rotate) -> Step {
    Step {
        status: Status::Deferred,
        freed: 0,
        note: Some(format!(
            "rotated to {}; a later run compresses it",
            rotate.to.display()
        )),
    }
}

/// A file that is being compressed.
struct Source<'a> {
    parent: &'a Rc<OwnedFd>,
    name: &'a OsStr,
    file: &'a File,
    seen: Seen,
}

impl Source<'_> {
    /// Nobody wrote to it while it was read, or has it open for writing now.
    fn still_unchanged(&self, surroundings: &Surroundings<'_>) -> Result<(), Halt> {
        let now = dir::look_at(self.file)?;
        let named = dir::look(&**self.parent, self.name).map_err(vanished)?;
        if !self.seen.unchanged(&now) || named.identity() != now.identity() {
            return Err(Halt::Changed(
                "it changed while it was compressed".to_owned(),
            ));
        }
        if surroundings.may_have_writers(self.file) {
            return Err(Halt::Changed(
                "a process opened it for writing while it was compressed".to_owned(),
            ));
        }
        Ok(())
    }

    fn remove(&self) -> Result<(), Halt> {
        forget_pages(self.file);
        step::unlink(&**self.parent, self.name)
            .map_err(with("compressed, but the original could not be removed"))?;
        dir::sync(&**self.parent)?;
        Ok(())
    }
}

/// Whether the stored file gives the bytes of the original, both read from their beginning.
fn reads_back(
    original: &File,
    stored: &File,
    codec: Codec,
    watch: &dyn Watch,
) -> Result<bool, Halt> {
    let (mut from, mut to) = (original, stored);
    from.rewind()?;
    to.rewind()?;
    // The bytes were counted when they were read for the first time.
    let quiet = Uncounted(watch);
    let decoder = compress::decoder(stored, codec)?;
    match compress::same(original, decoder, &quiet) {
        // What does not even decode does not read back.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
            ) && !compress::is_stopped(&error) =>
        {
            Ok(false)
        }
        other => Ok(other?),
    }
}

struct Uncounted<'a>(&'a dyn Watch);

impl Watch for Uncounted<'_> {
    fn read(&self, _bytes: u64) {}

    fn stop(&self) -> bool {
        self.0.stop()
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
    fresh.resemble(file, &found.seen, None)?;
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
