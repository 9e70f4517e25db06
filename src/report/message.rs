//! One line on what an operation did, or would do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::model::{Tally, View};
use super::name;
use super::rows::{Check, Rows};
use crate::plan::action::{Operation, Task, Verb};
use crate::plan::outcome::Status;
use crate::plan::reason::size;

/// The word of an action, as it stands in JSON.
#[must_use]
pub const fn name(verb: Verb) -> &'static str {
    match verb {
        Verb::RemoveDirectory => "remove_directory",
        other => present(other),
    }
}

/// What could not be done, as it reads behind "cannot".
#[must_use]
pub const fn tried(verb: Verb) -> &'static str {
    match verb {
        Verb::Delete | Verb::Evict | Verb::Expire | Verb::RemoveDirectory => "remove",
        Verb::Hook => "run the hook for",
        Verb::Pace => "write",
        other => present(other),
    }
}

/// The infinitive.
#[must_use]
pub const fn present(verb: Verb) -> &'static str {
    match verb {
        Verb::Delete => "delete",
        Verb::Evict => "evict",
        Verb::Rotate => "rotate",
        Verb::Compress => "compress",
        Verb::Archive => "archive",
        Verb::Expire => "expire",
        Verb::Restore => "restore",
        Verb::RemoveDirectory => "remove",
        Verb::Signal => "signal",
        Verb::Hook => "hook",
        Verb::Pace => "pace",
    }
}

/// The past tense.
#[must_use]
pub const fn past(verb: Verb) -> &'static str {
    match verb {
        Verb::Delete => "deleted",
        Verb::Evict => "evicted",
        Verb::Rotate => "rotated",
        Verb::Compress => "compressed",
        Verb::Archive => "archived",
        Verb::Expire => "expired",
        Verb::Restore => "restored",
        Verb::RemoveDirectory => "removed",
        Verb::Signal => "signalled",
        Verb::Hook => "ran",
        Verb::Pace => "paced",
    }
}

/// `1 log`, `2 logs`.
#[must_use]
pub fn count(number: u64, [one, many]: [&str; 2]) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The line: `rotated 2 logs, freed 120.0 MiB`, `would rotate 2 logs, free 120.0 MiB`.
#[must_use]
pub fn message(view: View) -> String {
    let tally = view.tally();
    let what = match (view.rows, &view.plan.message) {
        (Some(rows), _) => answer(rows),
        (None, Some(words)) => {
            let words = name::line(words).into_owned();
            let deeds = deeds(view, tally);
            if deeds.is_empty() || view.plan.actions.is_empty() {
                words
            } else {
                format!("{words}; {deeds}")
            }
        }
        (None, None) => deeds(view, tally),
    };
    let rest = remainder(view, tally);
    let rotation = view.plan.operation == Operation::LogRotation;
    match (what.is_empty(), rest.is_empty()) {
        (false, true) => what,
        (false, false) => format!("{what}; {rest}"),
        (true, true) => nothing(view.plan.operation).to_owned(),
        // A log may have been renamed whose compression failed.
        (true, false) if rotation && tally.failed > 0 => rest,
        (true, false) => format!("nothing done; {rest}"),
    }
}

fn deeds(view: View, tally: Tally) -> String {
    let mut counts: BTreeMap<(Verb, bool), u64> = BTreeMap::new();
    for item in view.items() {
        if matches!(item.status, Status::Planned | Status::Done) {
            let directory = item.action.task == Task::RemoveDirectory;
            *counts.entry((item.action.verb, directory)).or_default() += 1;
        }
    }
    let planned = tally.planned > 0;
    let mut parts: Vec<String> = counts
        .iter()
        .map(|(&(verb, directory), &number)| {
            let word = match (planned, verb) {
                (true, Verb::Hook) => "run",
                (true, Verb::Pace) => "write",
                (false, Verb::Pace) => "wrote",
                (true, verb) => present(verb),
                (false, verb) => past(verb),
            };
            let nouns = nouns(view.plan.operation, verb, directory);
            format!("{word} {}", count(number, nouns))
        })
        .collect();
    let removes = counts
        .keys()
        .any(|(verb, _)| matches!(verb, Verb::Delete | Verb::Evict | Verb::Expire));
    parts.extend(freed(view.bytes_freed(), planned, removes));
    if parts.is_empty() {
        return String::new();
    }
    let text = parts.join(", ");
    if planned {
        format!("would {text}")
    } else {
        text
    }
}

/// `freed 120.0 MiB`; a figure of zero only where something was expected of it.
pub(super) fn freed(bytes: Option<i64>, planned: bool, zero: bool) -> Option<String> {
    let bytes = bytes?;
    let words = size(bytes.unsigned_abs());
    match (bytes, planned) {
        (0, _) if !zero => None,
        (0.., true) => Some(format!("free {words}")),
        (0.., false) => Some(format!("freed {words}")),
        (_, true) => Some(format!("take {words} more")),
        (_, false) => Some(format!("took {words} more")),
    }
}

/// What an action of the operation is done to, one and many.
const fn nouns(operation: Operation, verb: Verb, directory: bool) -> [&'static str; 2] {
    match (verb, operation) {
        (Verb::RemoveDirectory, _) => ["empty directory", "empty directories"],
        (Verb::Delete, _) if directory => ["empty directory", "empty directories"],
        (Verb::Delete, Operation::GarbageCollection) => ["dead object", "dead objects"],
        (Verb::Evict, _) => ["cache file", "cache files"],
        (Verb::Rotate, _) => ["log", "logs"],
        (Verb::Expire, Operation::ModelArchiving) => ["archived version", "archived versions"],
        (Verb::Compress | Verb::Expire, _) => ["rotated file", "rotated files"],
        (Verb::Archive | Verb::Restore, _) | (Verb::Delete, Operation::ModelArchiving) => {
            ["model", "models"]
        }
        (Verb::Delete, _) => ["file", "files"],
        (Verb::Signal, Operation::AgentOptimization) => ["agent", "agents"],
        (Verb::Signal, _) => ["process", "processes"],
        (Verb::Pace, _) => ["pace file", "pace files"],
        (Verb::Hook, _) => ["hook", "hooks"],
    }
}

const fn nothing(operation: Operation) -> &'static str {
    match operation {
        Operation::GarbageCollection => "nothing to collect",
        Operation::CacheCleanup => "nothing to evict",
        Operation::LogRotation => "nothing to rotate",
        Operation::ModelArchiving => "nothing to archive",
        Operation::ModelRestoring => "nothing to restore",
        Operation::AgentOptimization | Operation::ProcessOptimization => "nothing to do",
    }
}

/// What did not go as planned.
fn remainder(view: View, tally: Tally) -> String {
    let unread = view.plan.problems.len() as u64;
    let refused = view.plan.refused.len() as u64;
    [
        (tally.failed, format!("{} failed", tally.failed)),
        (refused, format!("{refused} refused")),
        (
            tally.deferred,
            format!("{} left for a later run to finish", tally.deferred),
        ),
        (
            tally.changed,
            format!("{} changed meanwhile", tally.changed),
        ),
        (
            tally.not_reached,
            format!("{} not reached", tally.not_reached),
        ),
        (
            unread,
            format!("{} not readable", count(unread, ["place", "places"])),
        ),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(_, words)| words)
    .collect::<Vec<_>>()
    .join(", ")
}

fn answer(rows: &Rows) -> String {
    match rows {
        Rows::Models(models) => {
            let versions: u64 = models.iter().map(|model| model.versions.len() as u64).sum();
            let bytes = models.iter().map(super::rows::ModelRow::bytes).sum();
            format!(
                "{} in {}, {}",
                count(models.len() as u64, ["archived model", "archived models"]),
                count(versions, ["version", "versions"]),
                size(bytes)
            )
        }
        Rows::Files(files) => {
            let mut text = format!(
                "verified {}",
                count(files.len() as u64, ["archived file", "archived files"])
            );
            let checks = [
                (Check::Ok, "ok"),
                (Check::Mismatch, "do not match"),
                (Check::Missing, "missing"),
                (Check::Unlisted, "in no list"),
                (Check::Unreadable(String::new()), "not readable"),
            ];
            let mut mark = ": ";
            for (check, words) in checks {
                let same = |row: &&super::rows::FileRow| row.check.name() == check.name();
                let number = files.iter().filter(same).count();
                if number > 0 {
                    let _ = write!(text, "{mark}{number} {words}");
                    mark = ", ";
                }
            }
            text
        }
    }
}
