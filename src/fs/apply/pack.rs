//! Compressing rotated files and finished ones, several at a time.
//!
//! Logs are renamed and their writers told first; then what nobody writes to is compressed, and
//! while that goes on, the writers of the rest let go. Each file stands or falls on its own:
//! temporary, synced, read back, published, directory synced, and only then is its source removed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::step::{self, Halt, Step, entry_of, vanished};
use super::{Run, Surroundings, disk, with};
use crate::fs::compress::{self, Encoder, Watch, forget_pages, in_order};
use crate::fs::dir::{self, Seen};
use crate::fs::lease::{self, Use};
use crate::fs::temporary::{Temporary, times};
use crate::plan::action::{Compress, Rotate, Subject};
use crate::plan::outcome::Status;
use crate::plan::policy::Codec;

/// A file that is to be compressed.
pub struct Job {
    /// Of its action.
    pub number: u32,
    source: Source,
    to: OsString,
    codec: Codec,
    /// How long to wait for its writers; `None` for a file that no run has just rotated.
    settle: Option<Duration>,
    /// Left alone where a process has it open in any way.
    exclusive: bool,
}

/// A file, open, with its place.
pub struct Source {
    pub parent: OwnedFd,
    pub name: OsString,
    pub file: File,
    pub seen: Seen,
}

/// What came of the action of that number.
type Packed = (u32, Result<Step, Halt>);

impl Job {
    /// What becomes of a log that was just renamed.
    pub fn rotated(number: u32, rotate: &Rotate, source: Source) -> Self {
        let mut to = rotate.to.clone();
        to.push(rotate.compress.suffix());
        Self {
            number,
            source,
            to,
            codec: rotate.compress,
            settle: Some(rotate.settle),
            exclusive: false,
        }
    }

    fn is_busy(&self, surroundings: &Surroundings<'_>) -> bool {
        surroundings.may_have_writers(&self.source.file)
            || (self.exclusive && lease::users(&self.source.file) == Use::Busy)
    }

    /// How it ends where a process does not let go of it.
    fn left(&self) -> Step {
        match self.settle {
            Some(_) => rotated_only(&self.source.name),
            None => Step {
                status: Status::Deferred,
                freed: 0,
                note: Some("a process has it open".to_owned()),
            },
        }
    }

    /// What was rotated stays rotated, whatever becomes of its compression.
    fn ends(&self, packed: Result<Step, Halt>) -> Result<Step, Halt> {
        if self.settle.is_none() {
            return packed;
        }
        packed.or_else(|halt| match halt {
            Halt::Stopped | Halt::Changed(_) => Ok(self.left()),
            Halt::Failed(error) => Err(Halt::Failed(io::Error::new(
                error.kind(),
                format!(
                    "rotated to {}, but not compressed: {error}",
                    self.source.name.display()
                ),
            ))),
            Halt::Unmet => Err(halt),
        })
    }
}

impl Run<'_> {
    /// Compresses a file that no run has finished, beside itself.
    pub fn compress(
        &mut self,
        number: u32,
        subject: Subject,
        task: &Compress,
    ) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find(id)?;
        let source = Source {
            parent: found.parent.try_clone()?,
            name: found.name.to_owned(),
            file: found.open()?,
            seen: found.seen,
        };
        let job = Job {
            number,
            source,
            to: task.to.clone(),
            codec: task.codec,
            settle: None,
            exclusive: task.exclusive,
        };
        if job.is_busy(self.surroundings) {
            return Ok(job.left());
        }
        if task.published {
            return finish_published(&job, self.surroundings);
        }
        let begun = job.left();
        self.pending.push(job);
        Ok(begun)
    }

    /// Compresses what is pending, what nobody writes to first.
    pub fn pack_pending(&mut self) -> Vec<Packed> {
        let surroundings = self.surroundings;
        let jobs = std::mem::take(&mut self.pending);
        let (busy, free): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| job.is_busy(surroundings));
        let mut packed = pack_all(&free, surroundings);
        drop(free);
        let (busy, free) = self.wait_for_writers(busy);
        packed.extend(pack_all(&free, surroundings));
        packed.extend(busy.iter().map(|job| (job.number, Ok(job.left()))));
        packed
    }

    /// Waits until nobody writes to these any more; those that somebody still writes to, and those
    /// that are free. The time is shared by all logs of a run: a hundred writers that never let go
    /// must not hold it for minutes.
    fn wait_for_writers(&mut self, mut busy: Vec<Job>) -> (Vec<Job>, Vec<Job>) {
        const STEP: Duration = Duration::from_millis(50);
        let mut free = Vec::new();
        loop {
            let surroundings = self.surroundings;
            let mut still = Vec::new();
            for job in busy {
                let to = if job.is_busy(surroundings) {
                    &mut still
                } else {
                    &mut free
                };
                to.push(job);
            }
            busy = still;
            let longest = busy.iter().filter_map(|job| job.settle).max();
            if surroundings.stop() || longest.is_none_or(|longest| self.waited >= longest) {
                return (busy, free);
            }
            std::thread::sleep(STEP);
            self.waited += STEP;
        }
    }
}

/// One that is a large part of the work is compressed on all threads, block by block; of the others
/// each thread takes one at a time.
fn pack_all(jobs: &[Job], surroundings: &Surroundings<'_>) -> Vec<Packed> {
    let threads = surroundings.threads;
    let size = |job: &Job| job.source.seen.stat.size;
    let share = jobs.iter().map(size).sum::<u64>() / (2 * threads.max(1) as u64);
    let (large, small): (Vec<&Job>, Vec<&Job>) = jobs.iter().partition(|job| size(job) > share);
    let mut packed: Vec<Packed> = large
        .iter()
        .map(|job| (job.number, job.ends(pack(job, threads, surroundings))))
        .collect();
    let one = |(): &mut (), index: u64| {
        let job = usize::try_from(index).ok().and_then(|at| small.get(at));
        Ok(job.map(|job| (job.number, job.ends(pack(job, 1, surroundings)))))
    };
    let collect = |one: Option<Packed>| {
        packed.extend(one);
        Ok(())
    };
    // Each reports for itself; nothing fails as a whole.
    let all = in_order(small.len() as u64, threads, || Ok(()), one, collect);
    debug_assert!(all.is_ok());
    packed
}

fn pack(job: &Job, threads: usize, surroundings: &Surroundings<'_>) -> Result<Step, Halt> {
    if surroundings.stop() {
        return Err(Halt::Stopped);
    }
    let source = &job.source;
    let made = Temporary::new(&source.parent).map_err(with("cannot compress"))?;
    let encoder = Encoder {
        codec: job.codec,
        threads,
        watch: surroundings,
    };
    let stat = source.seen.stat;
    let written = encoder
        .encode(&source.file, 0..stat.size, made.file())
        .map_err(with("cannot compress"))?;
    let times = times(stat.atime, stat.mtime);
    made.resemble(&source.file, &source.seen, Some(times))
        .map_err(with("cannot give the compressed file its owner"))?;
    made.file().sync_all().map_err(with("cannot compress"))?;
    // What counts is what the disk has.
    forget_pages(made.file());
    if !encoder.verify(&source.file, made.file(), &written)? {
        return Err(Halt::Failed(io::Error::other(
            "the compressed file does not read back as the original; the original stays",
        )));
    }
    source.still_unchanged(surroundings)?;
    let taken = dir::look_at(made.file())?.stat.blocks;
    forget_pages(made.file());
    made.publish(&job.to).map_err(with("cannot publish"))?;
    dir::sync(&source.parent)?;
    source.remove()?;
    Ok(Step::done(
        disk(stat.blocks.saturating_mul(512)) - disk(taken.saturating_mul(512)),
    ))
}

/// A run was killed between publishing the compressed file and removing its source.
fn finish_published(job: &Job, surroundings: &Surroundings<'_>) -> Result<Step, Halt> {
    let source = &job.source;
    let (published, _) = dir::open_file(&source.parent, &job.to).map_err(vanished)?;
    if !reads_back(&source.file, &published, job.codec, surroundings)? {
        return Err(Halt::Failed(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!(
                "{} exists with other content; move one of them away",
                job.to.display()
            ),
        )));
    }
    source.still_unchanged(surroundings)?;
    source.remove()?;
    Ok(Step {
        note: Some("compressed by an earlier run".to_owned()),
        ..Step::done(disk(source.seen.stat.blocks.saturating_mul(512)))
    })
}

/// The log is rotated; a writer or a signal leaves compression to a later run.
pub fn rotated_only(to: &OsStr) -> Step {
    Step {
        status: Status::Deferred,
        freed: 0,
        note: Some(format!(
            "rotated to {}; a later run compresses it",
            to.display()
        )),
    }
}

impl Source {
    /// Nobody wrote to it while it was read, or has it open for writing now.
    fn still_unchanged(&self, surroundings: &Surroundings<'_>) -> Result<(), Halt> {
        let now = dir::look_at(&self.file)?;
        let named = dir::look(&self.parent, &self.name).map_err(vanished)?;
        if !self.seen.unchanged(&now) || named.identity() != now.identity() {
            return Err(Halt::Changed(
                "it changed while it was compressed".to_owned(),
            ));
        }
        if surroundings.may_have_writers(&self.file) {
            return Err(Halt::Changed(
                "a process opened it for writing while it was compressed".to_owned(),
            ));
        }
        Ok(())
    }

    fn remove(&self) -> Result<(), Halt> {
        forget_pages(&self.file);
        step::unlink(&self.parent, &self.name)
            .map_err(with("compressed, but the original could not be removed"))?;
        dir::sync(&self.parent)?;
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
    let decoder = compress::decoder(stored, codec)?;
    match compress::same(original, decoder, watch) {
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
