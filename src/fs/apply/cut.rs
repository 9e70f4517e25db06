//! Rotating a log that stays where it is: its head goes to a rotated file, and then away.
//!
//! 1. A cut is fixed: a block boundary behind a line end. What is written meanwhile stays behind it.
//! 2. The head is compressed, synced, and read back.
//! 3. The record is synced, the rotated file gets its name, and only then does the log lose its head
//!    ([`super::release`]). A run killed in between is completed by the next.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::record::Record;
use super::step::{Found, Halt, Step, entry_of, vanished};
use super::{Run, Surroundings, disk, with};
use crate::fs::collapse;
use crate::fs::compress::{self, Watch, forget_pages};
use crate::fs::dir;
use crate::fs::lease::{self, Use};
use crate::fs::part::Part;
use crate::fs::temporary::{Temporary, times};
use crate::plan::action::{Cut, Subject};
use crate::plan::cutting::{Cutting, Intent};
use crate::plan::host::{Hold, Holder};
use crate::plan::policy::Codec;

/// How far before the end a line end is looked for.
const SEARCHED: u64 = 16 << 20;
/// What a truncating copy still reads in one go before it truncates.
const TAIL: u64 = 256 * 1024;
/// How often it catches up with writers.
const ROUNDS: u32 = 4;

/// What goes to the rotated file.
pub struct Head {
    pub range: Range<u64>,
    /// It ends with a line.
    pub whole_lines: bool,
}

impl Run<'_> {
    /// Copies the head of a log to a rotated file, and takes it from the log.
    pub fn cut(&mut self, subject: Subject, cut: &Cut) -> Result<Step, Halt> {
        let found = self.find_live(entry_of(subject)?)?;
        let file = found.open()?;
        self.surroundings
            .may_be_cut(&file, found.seen.identity(), cut.method)?;
        // A log that we may not change is met before there is anything to undo.
        drop(dir::open_to_change(&*found.parent, found.name).map_err(vanished)?);
        let mut head = find_head(&file, found.seen.stat.size, cut)?;
        let made = self.copy(&found, &file, &mut head, cut)?;
        // A long time may have passed.
        let writers = self
            .surroundings
            .may_be_cut(&file, found.seen.identity(), cut.method)?;
        let to = packed_name(cut);
        let stored = dir::look_at(made.file())?;
        let mut intent = Intent::new(found.name, found.seen.stat.inode, &to, cut.method)
            .ok_or_else(|| Halt::Failed(io::ErrorKind::InvalidFilename.into()))?;
        (intent.from, intent.cut, intent.stored) =
            (head.range.start, head.range.end, stored.stat.size);
        let record = Record::begin(&*found.parent, found.name, intent)?;
        forget_pages(made.file());
        if let Err(error) = made.publish(&to) {
            record.end(&*found.parent)?;
            return Err(match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    Halt::Changed(format!("{} appeared meanwhile", to.display()))
                }
                _ => Halt::from(with("cannot publish")(error)),
            });
        }
        dir::sync(&*found.parent)?;
        let overwritten = writers.iter().any(|holder| holder.hold == Hold::Write);
        let released = match self.release(&found, &file, record, overwritten) {
            Err(Halt::Failed(error)) if will_never_do(&error) => {
                self.take_back(&found, &file, &stored)?;
                return Err(Halt::Failed(error));
            }
            other => other?,
        };
        Ok(Step {
            note: released.note.or_else(|| broken_line(&head)),
            ..Step::done(released.freed - disk(stored.stat.blocks.saturating_mul(512)))
        })
    }

    /// The rotated file, complete, synced and read back, without a name.
    fn copy(
        &self,
        found: &Found<'_>,
        file: &File,
        head: &mut Head,
        cut: &Cut,
    ) -> Result<Temporary, Halt> {
        let watch = self.surroundings;
        let made = Temporary::new(&*found.parent).map_err(with("cannot copy its head"))?;
        let encode = |range: Range<u64>| {
            compress::encode_part(file, range, made.file(), cut.compress, watch).map_err(truncated)
        };
        encode(head.range.clone())?;
        if cut.method == Cutting::Truncate {
            for _ in 0..ROUNDS {
                let size = dir::look_at(file)?.stat.size;
                if size.saturating_sub(head.range.end) <= TAIL {
                    break;
                }
                encode(head.range.end..size)?;
                head.range.end = size;
            }
        }
        let stat = found.seen.stat;
        made.resemble(file, &found.seen, Some(times(stat.atime, stat.mtime)))
            .map_err(with("cannot give the rotated file its owner"))?;
        made.file()
            .sync_all()
            .map_err(with("cannot copy its head"))?;
        if reads_back(file, head.range.clone(), made.file(), cut.compress, watch)? {
            Ok(made)
        } else {
            Err(Halt::Changed(
                "its head changed while it was copied".to_owned(),
            ))
        }
    }
}

impl Surroundings<'_> {
    /// Whether a log may lose its head now: who writes to it. What has changed since the plan was
    /// made leaves it alone.
    pub(super) fn may_be_cut(
        &self,
        file: &File,
        identity: (u64, u64),
        method: Cutting,
    ) -> Result<Vec<Holder>, Halt> {
        let holders = (self.holders)(identity);
        let is = |hold: Hold| holders.iter().find(|holder| holder.hold == hold);
        let writes = |holder: &&Holder| matches!(holder.hold, Hold::Write | Hold::Append);
        let obstacle = if let Some(holder) = is(Hold::Mapped) {
            format!("pid {} ({}) has it mapped now", holder.pid, holder.name)
        } else if method == Cutting::Punch {
            return Ok(holders);
        } else if let Some(holder) = is(Hold::Write) {
            format!(
                "pid {} ({}) writes to it now, and does not append",
                holder.pid, holder.name
            )
        } else if !holders.iter().any(|holder| writes(&holder)) && lease::writers(file) == Use::Busy
        {
            "somebody writes to it now whom /proc does not show".to_owned()
        } else {
            return Ok(holders);
        };
        Err(Halt::Changed(obstacle))
    }
}

/// Whether another run would be refused as well.
fn will_never_do(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ExecutableFileBusy
    )
}

fn packed_name(cut: &Cut) -> OsString {
    let mut name = cut.to.clone();
    name.push(cut.compress.suffix());
    name
}

fn broken_line(head: &Head) -> Option<String> {
    (!head.whole_lines).then(|| {
        "cut within a line: no line ends at a block boundary near its end; the rest of the line \
         is in the log"
            .to_owned()
    })
}

/// What the log has lost is `changed`, not a failure.
fn truncated(error: io::Error) -> Halt {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        Halt::Changed("it was truncated meanwhile".to_owned())
    } else {
        Halt::from(with("cannot copy its head")(error))
    }
}

/// The bytes of the log that are rotated: from where its data begins to the last block boundary
/// that follows a line end, and that has data behind it.
fn find_head(file: &File, size: u64, cut: &Cut) -> Result<Head, Halt> {
    let block = cut.block.max(1);
    let from = collapse::first_data(file)?.unwrap_or(size) / block * block;
    if cut.method == Cutting::Truncate {
        return Ok(Head {
            range: from..size,
            whole_lines: true,
        });
    }
    let mut last = size.saturating_sub(1) / block * block;
    if let Some(most) = cut.at_most {
        last = last.min(from.saturating_add(most) / block * block);
    }
    let first = (from + block).max(last.saturating_sub(SEARCHED) / block * block);
    let mut any = None;
    let mut at = last;
    while at >= first {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at - 1).map_err(truncated)?;
        if (byte[0] == b'\n' || any.is_none()) && collapse::is_data(file, at)? {
            if byte[0] == b'\n' {
                return Ok(Head {
                    range: from..at,
                    whole_lines: true,
                });
            }
            any = Some(at);
        }
        at -= block;
    }
    any.map(|at| Head {
        range: from..at,
        whole_lines: false,
    })
    .ok_or_else(|| Halt::Changed("it has less than a block to cut off now".to_owned()))
}

/// Whether the stored file gives the bytes of that range of the log.
fn reads_back(
    file: &File,
    range: Range<u64>,
    stored: &File,
    codec: Codec,
    watch: &dyn Watch,
) -> Result<bool, Halt> {
    use std::io::Seek as _;
    let mut from_start = stored;
    from_start.rewind()?;
    let decoder = compress::decoder(stored, codec)?;
    // The bytes were counted when they were read for the first time.
    match compress::same(Part::new(file, range), decoder, &Uncounted(watch)) {
        Err(error) if compress::is_stopped(&error) => Err(Halt::Stopped),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(truncated(error)),
        Ok(same) => Ok(same),
    }
}

struct Uncounted<'a>(&'a dyn Watch);

impl Watch for Uncounted<'_> {
    fn read(&self, _bytes: u64) {}

    fn stop(&self) -> bool {
        self.0.stop()
    }
}
