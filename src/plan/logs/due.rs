//! Which logs are due, and whether they can be taken away without losing a line.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use super::super::action::{Cut, Rotate};
use super::super::entry::{Entry, EntryId};
use super::super::policy::{Codec, LogMode, LogRule};
use super::super::reason::{Exceeds, Keep, Older, Reason};
use super::super::rotated;
use super::super::time::{Clock, Time};
use super::method::{self, Method};
use super::survey::{Names, Series, Survey};
use super::{Decided, pieces};

/// A run from cron that starts a little earlier than the last must not slip a whole period.
const SLACK: Duration = Duration::from_mins(1);
/// The share of a period that the slack may be: a twentieth.
const SLACK_SHARE: u32 = 20;

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
    let method = due(survey, series, id, clock)
        .and_then(|reason| Ok((reason, method::choose(survey, index, id)?)));
    let done = method.and_then(|(reason, method)| match method {
        Method::Rename => {
            let rotate = rename(survey, series, id, names, clock)?;
            decided.rotates.push((id, index, reason, rotate));
            Ok(())
        }
        Method::Cut(cutting) => {
            let cut = Cut {
                to: OsString::new(),
                compress: survey.rule(series).compress,
                method: cutting,
                block: survey.cuts(id).block,
                at_most: None,
            };
            let pieces = pieces::split(survey, index, id, names, clock, &cut)?;
            decided.cuts.push((id, index, reason, pieces));
            Ok(())
        }
    });
    if let Err(keep) = done {
        decided.kept.push((id, keep));
    }
}

fn rename(
    survey: &Survey,
    series: &Series,
    id: EntryId,
    names: &Names,
    clock: Clock,
) -> Result<Rotate, Keep> {
    let rule = survey.rule(series);
    let directory = survey.inventory.entry(id).directory;
    let taken = |name: &OsStr| names.contains(&(directory, name));
    let newest = series.copies.keys().next_back();
    let newest = newest.map(|copy| (copy.time, copy.serial));
    let to = rotated::free_name(series.log, clock.now, newest, taken).ok_or(Keep::NameTooLong)?;
    // Where nothing tells who writes on, it is never known when to compress.
    let compress = if survey.sees() {
        rule.compress
    } else {
        Codec::None
    };
    Ok(Rotate {
        to,
        compress,
        settle: rule.settle,
        despite_writers: rule.mode == LogMode::Rename
            || rule.signal.is_some()
            || rule.post_rotate.is_some(),
    })
}

/// Why a log is to be rotated, or why not.
fn due(survey: &Survey, series: &Series, id: EntryId, clock: Clock) -> Result<Reason, Keep> {
    let rule = survey.rule(series);
    let entry = survey.inventory.entry(id);
    // A punched log keeps its apparent size and begins with a hole.
    let bytes = if survey.inventory.logs.heads.contains_key(&id) {
        entry.size.min(entry.disk_usage())
    } else {
        entry.size
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
