//! Taking away the head of a log that is in a rotated file, and completing what a killed run began.
//!
//! What a record says is compared with the log and with the rotated file before anything goes, so
//! that a log which somebody truncated, replaced or wrote to otherwise ends the rotation without
//! harm.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use super::record::Record;
use super::step::{self, Found, Halt, Step, entry_of, vanished};
use super::{Run, disk, with};
use crate::fs::collapse;
use crate::fs::compress::{self, CHUNK, Watch, forget_pages};
use crate::fs::dir::{self, Seen};
use crate::plan::action::Subject;
use crate::plan::cutting::{Cutting, Intent, Stage};
use crate::plan::host::Hold;

/// What came of it.
#[derive(Default)]
pub struct Released {
    /// Allocated bytes that the log gave back.
    pub freed: i64,
    pub note: Option<String>,
}

impl Released {
    fn noted(note: &str) -> Self {
        Self {
            freed: 0,
            note: Some(note.to_owned()),
        }
    }
}

impl Run<'_> {
    /// Completes the rotation that a run was killed in.
    pub fn resume(&mut self, subject: Subject, planned: &Intent) -> Result<Step, Halt> {
        let found = self.find_any(entry_of(subject)?)?;
        let file = found.open()?;
        let record = Record::take_over(&*found.parent, found.name)?;
        if record.intent != *planned || found.seen.stat.inode != planned.inode {
            return Err(Halt::Changed("its record changed meanwhile".to_owned()));
        }
        let released = self.release(&found, &file, record, true)?;
        Ok(Step {
            note: released.note,
            ..Step::done(released.freed)
        })
    }

    /// Takes the head of the log away. With `compare`, the head is first compared with the rotated
    /// file again: somebody may have written to it.
    pub fn release(
        &mut self,
        found: &Found<'_>,
        file: &File,
        mut record: Record,
        compare: bool,
    ) -> Result<Released, Halt> {
        let parent = &*found.parent;
        let (log, seen) = dir::open_to_change(parent, found.name).map_err(vanished)?;
        let intent = record.intent.clone();
        if seen.identity() != found.seen.identity() || seen.stat.size < intent.cut {
            // Moving to the front makes a log shorter than the cut.
            record.end(parent)?;
            return Ok(Released::default());
        }
        let mut released = Released::default();
        if intent.stage == Stage::Archived {
            if compare && !self.is_kept(found, file, &intent, Holes::AreGivenBack)? {
                record.end(parent)?;
                return Ok(Released::noted(
                    "its head is not what was rotated any more, so it stays",
                ));
            }
            if intent.method == Cutting::Truncate {
                released = self.truncate(found, file, &log, &intent)?;
                record.end(parent)?;
                return Ok(released);
            }
            released.freed = give_back(&log, intent.cut)?;
            if intent.method == Cutting::Collapse {
                let mut punched = intent.clone();
                punched.stage = Stage::Punched;
                record = record.advance(parent, punched)?;
            }
        }
        if intent.method == Cutting::Collapse {
            released.note = self.move_to_front(found, &log, &intent)?;
        }
        record.end(parent)?;
        Ok(released)
    }

    /// Takes back a rotation of which the log has lost nothing; of another the rotated file and the
    /// record stay, and the next run goes on from there.
    pub fn take_back(&self, found: &Found<'_>, file: &File, made: &Seen) -> Result<(), Halt> {
        let parent = &*found.parent;
        let record = Record::take_over(parent, found.name)?;
        let to = record.intent.to(found.name);
        if record.intent.stage == Stage::Archived
            && dir::look(parent, &to)?.identity() == made.identity()
            && self.is_kept(found, file, &record.intent, Holes::AreData)?
        {
            step::unlink(parent, &to)?;
            record.end(parent)?;
        }
        Ok(())
    }

    /// Whether all of the log's head is in the rotated file.
    fn is_kept(
        &self,
        found: &Found<'_>,
        file: &File,
        intent: &Intent,
        holes: Holes,
    ) -> Result<bool, Halt> {
        let (stored, _) = match dir::open_file(&*found.parent, &intent.to(found.name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        let stop = || self.surroundings.stop();
        match is_in(file, intent, &stored, holes, &stop) {
            Err(error) if compress::is_stopped(&error) => Err(Halt::Stopped),
            // It does not decode, or the log ends before: it is not what was rotated.
            Err(error) if error.raw_os_error().is_none() => Ok(false),
            other => Ok(other?),
        }
    }

    /// Collapses the hole, unless that was done; what a person should know.
    fn move_to_front(
        &mut self,
        found: &Found<'_>,
        log: &File,
        intent: &Intent,
    ) -> Result<Option<String>, Halt> {
        if collapse::first_data(log)?.is_none_or(|at| at < intent.cut) {
            return Ok(None);
        }
        let holders = (self.surroundings.holders)(found.seen.identity());
        let in_the_way = |hold: Hold| matches!(hold, Hold::Write | Hold::Mapped);
        if holders.iter().any(|holder| in_the_way(holder.hold)) {
            return Ok(Some(HOLE_STAYS.to_owned()));
        }
        match collapse::collapse(log, intent.cut) {
            Ok(()) => {
                log.sync_all()?;
                *self.cut_away.entry(found.seen.identity()).or_default() += intent.cut;
                Ok(None)
            }
            Err(error) => match error.raw_os_error() {
                // A file of another layout than the filesystem's usual one.
                Some(libc::EINVAL | libc::EOPNOTSUPP) => Ok(Some(HOLE_STAYS.to_owned())),
                _ => Err(Halt::from(with("rotated, but its hole stays")(error))),
            },
        }
    }

    /// Copies the last lines, and truncates at once. What is written in between is lost.
    fn truncate(
        &mut self,
        found: &Found<'_>,
        file: &File,
        log: &File,
        intent: &Intent,
    ) -> Result<Released, Halt> {
        let name = intent.to(found.name);
        let (mut stored, _) = dir::open_to_change(&*found.parent, &name).map_err(vanished)?;
        // What a killed run added beyond this is still in the log.
        stored.set_len(intent.stored)?;
        stored.seek(SeekFrom::End(0))?;
        let before = dir::look_at(log)?.stat;
        let mut copied = intent.cut;
        loop {
            let size = dir::look_at(log)?.stat.size;
            if size == copied {
                break;
            }
            let range = copied..size;
            compress::encode_part(file, range, &stored, intent.codec(), self.surroundings)
                .map_err(with("cannot copy its last lines"))?;
            let last = size - copied <= LAST;
            copied = size;
            if last {
                break;
            }
        }
        log.set_len(0)?;
        stored.sync_all()?;
        log.sync_all()?;
        forget_pages(&stored);
        *self.cut_away.entry(found.seen.identity()).or_default() += copied;
        let freed = before.blocks.saturating_mul(512);
        Ok(Released {
            freed: disk(freed),
            note: Some("copied and truncated: what was written in between is lost".to_owned()),
        })
    }
}

/// Fewer bytes than this are copied in one go before a log is truncated.
const LAST: u64 = 64 * 1024;

const HOLE_STAYS: &str = "the log keeps its apparent size and begins with a hole";

/// Punches the head; allocated bytes that the log gave back. It lasts before anything is recorded
/// that follows from it.
fn give_back(log: &File, cut: u64) -> Result<i64, Halt> {
    let before = dir::look_at(log)?.stat.blocks;
    collapse::punch(log, cut).map_err(with("rotated, but its head could not be given back"))?;
    let after = dir::look_at(log)?.stat.blocks;
    log.sync_all()?;
    Ok(disk(before.saturating_mul(512)) - disk(after.saturating_mul(512)))
}

/// What blocks of a log's head are that read as zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holes {
    /// A killed run punched them.
    AreGivenBack,
    /// Nothing was punched yet.
    AreData,
}

/// Whether each block of the log's head is in the stored file at its place.
fn is_in(
    file: &File,
    intent: &Intent,
    stored: &File,
    holes: Holes,
    stop: &dyn Fn() -> bool,
) -> io::Result<bool> {
    const BLOCK: usize = 4096;
    let mut decoder = compress::decoder(stored, intent.codec())?;
    let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = intent.from;
    while at < intent.cut {
        if stop() {
            return Err(compress::stopped());
        }
        let count = usize::try_from(intent.cut - at).unwrap_or(CHUNK).min(CHUNK);
        decoder.read_exact(&mut theirs[..count])?;
        file.read_exact_at(&mut ours[..count], at)?;
        let blocks = ours[..count]
            .chunks(BLOCK)
            .zip(theirs[..count].chunks(BLOCK));
        for (ours, theirs) in blocks {
            let given_back = || holes == Holes::AreGivenBack && ours.iter().all(|byte| *byte == 0);
            if ours != theirs && !given_back() {
                return Ok(false);
            }
        }
        at += count as u64;
    }
    Ok(true)
}
