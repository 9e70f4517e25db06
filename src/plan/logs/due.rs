//! Which logs are due, and whether they can be taken away without losing a line.

use std::ffi::OsStr;
use std::time::Duration;

use super::super::action::Rotate;
use super::super::entry::{Entry, EntryId};
use super::super::host::{Hold, Holder};
use super::super::policy::{LogMode, LogRule};
use super::super::reason::{Exceeds, Keep, Older, Reason};
use super::super::rotated;
use super::super::time::{Clock, Time};
use super::Decided;
use super::survey::{Names, Series, Survey, held_by};

/// A run from cron that starts a little earlier than the last must not slip a whole period.
const SLACK: Duration = Duration::from_mins(1);
/// The share of a period that the slack may be: a twentieth.
const SLACK_SHARE: u32 = 20;

/// The cures name only what this version can do: no signal, no copy-truncate, no punch.
const APPENDS: &str = "if it reopens its log, mode = \"rename\" rotates it, and compresses it once \
                       the writer lets go";
const OVERWRITES: &str = "let it append (>>); if it reopens its log, mode = \"rename\" rotates it, \
                          and compresses it once the writer lets go";

/// Decides on one log.
pub(super) fn decide(
    survey: &Survey,
    names: &Names,
    index: usize,
    id: EntryId,
    clock: Clock,
    decided: &mut Decided,
) {
    let series = &survey.series[index];
    let rule = survey.rule(series);
    let directory = survey.inventory.entry(id).directory;
    let verdict = due(survey, series, id, clock).and_then(|reason| {
        if let Some(obstacle) = obstacle(survey, series, id) {
            return Err(obstacle);
        }
        let taken = |name: &OsStr| names.contains(&(directory, name));
        let newest = series.copies.keys().next_back();
        let newest = newest.map(|copy| (copy.time, copy.serial));
        let to =
            rotated::free_name(series.log, clock.now, newest, taken).ok_or(Keep::NameTooLong)?;
        Ok((reason, to))
    });
    match verdict {
        Ok((reason, to)) => {
            let rotate = Rotate {
                to,
                compress: rule.compress,
                settle: rule.settle,
                despite_writers: rule.mode == LogMode::Rename
                    || rule.signal.is_some()
                    || rule.post_rotate.is_some(),
            };
            decided.rotates.push((id, index, reason, rotate));
        }
        Err(keep) => decided.kept.push((id, keep)),
    }
}

/// Why a log is to be rotated, or why not.
fn due(survey: &Survey, series: &Series, id: EntryId, clock: Clock) -> Result<Reason, Keep> {
    let rule = survey.rule(series);
    let entry = survey.inventory.entry(id);
    // A punched log keeps its apparent size and begins with a hole.
    let bytes = match rule.mode {
        LogMode::Punch => entry.size.min(entry.disk_usage()),
        LogMode::Auto | LogMode::Rename | LogMode::CopyTruncate => entry.size,
    };
    let over = Box::new(Exceeds {
        bytes,
        limit: rule.max_file_size,
    });
    if bytes == 0 {
        return Err(Keep::Empty);
    }
    if bytes >= rule.max_file_size {
        return Ok(Reason::Size(over));
    }
    let old = too_old(rule, last_rotation(series, entry), clock.now);
    match old {
        Some(older) if !clock.jumped => Ok(Reason::RotateAfter(Box::new(older))),
        _ if survey.policy.force => Ok(Reason::Forced),
        Some(_) => Err(Keep::ClockJumped),
        None => Err(Keep::BelowSize(over)),
    }
}

fn too_old(rule: &LogRule, last: Time, now: Time) -> Option<Older> {
    let limit = rule.rotate_after?;
    let age = now.since(last);
    let slack = SLACK.min(limit / SLACK_SHARE);
    (age > limit.saturating_sub(slack)).then_some(Older { age, limit })
}

/// The last rotation as the names of the rotated files tell it, else the earliest of the log's
/// times. The scan knows no time of birth, but a file is at least as old as each of its times:
/// mtime and ctime move with every line, atime stays at the birth of a log that nobody reads. So a
/// log that was never rotated comes late where it is read all the time, and never too early.
fn last_rotation(series: &Series, entry: &Entry) -> Time {
    let newest = series.copies.keys().next_back();
    newest.map_or(entry.atime.min(entry.mtime).min(entry.ctime), |copy| {
        copy.time
    })
}

/// What keeps a log that is due from being rotated by a rename.
fn obstacle(survey: &Survey, series: &Series, id: EntryId) -> Option<Keep> {
    let rule = survey.rule(series);
    if survey.inventory.entry(id).links > 1 {
        return Some(Keep::SeveralLinks);
    }
    let holders = survey.holders(id);
    let mapped = holders.iter().find(|holder| holder.hold == Hold::Mapped);
    if let Some(holder) = mapped {
        return Some(Keep::InUse(Box::new(held_by(holder, None))));
    }
    match rule.mode {
        LogMode::Rename => None,
        LogMode::Auto if rule.signal.is_some() || rule.post_rotate.is_some() => None,
        LogMode::Auto => writer(holders),
        LogMode::CopyTruncate => Some(Keep::Unsupported(
            "mode = \"copy-truncate\" is not built yet",
        )),
        LogMode::Punch => Some(Keep::Unsupported("mode = \"punch\" is not built yet")),
    }
}

/// A writer that would go on writing to the renamed file. One that overwrites is named before one
/// that appends: its cure helps both.
fn writer(holders: &[Holder]) -> Option<Keep> {
    let writers = holders
        .iter()
        .filter(|holder| matches!(holder.hold, Hold::Append | Hold::Write));
    let strongest = writers.max_by_key(|holder| (holder.hold, std::cmp::Reverse(holder.pid)))?;
    let advice = match strongest.hold {
        Hold::Write => OVERWRITES,
        _ => APPENDS,
    };
    Some(Keep::Writer(Box::new(held_by(strongest, Some(advice)))))
}
