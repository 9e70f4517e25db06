//! `rotate-logs`: logs that grew too large or too old are taken away from their writers, what an
//! earlier run left is compressed, and old rotated files expire.
//!
//! 1. Every file gets its place: a live log, a rotated file of a log, a file of a `unique` rule, or
//!    none of these ([`survey`]). The first rule that matches a log owns it ([`rules`]).
//! 2. Logs that are due are rotated where nothing can be lost ([`due`]).
//! 3. Rotated files beyond their limits expire ([`expire`]).
//! 4. Leftovers and files of a `unique` rule that stay are compressed in place ([`finish`]).

mod due;
mod estimate;
mod expire;
mod finish;
mod rules;
mod survey;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use serde_json::json;

use super::action::{Hook, Operation, OperationPlan, Rotate, Subject, Task, Verb};
use super::claims::Claims;
use super::entry::{EntryId, Inventory, Role};
use super::order;
use super::policy::{LogRule, LogsPolicy};
use super::reason::{Keep, Reason, Words};
use super::scope;
use super::time::Clock;
use crate::plan::readable;
use survey::{Names, Survey};

/// What is decided before retention.
#[derive(Default)]
struct Decided {
    /// The log, its series, why, and how.
    rotates: Vec<(EntryId, usize, Reason, Rotate)>,
    kept: Vec<(EntryId, Keep)>,
}

/// What `rotate-logs` will do. Each entry below a root of [`Role::Logs`] gets one verdict.
///
/// The estimate is exact for what expires. For what is compressed it uses the ratio of the newest
/// compressed rotated file of the same log (see [`expansion_wanted`]), and where there is none, the
/// whole is `None`.
#[must_use]
pub fn plan(
    policy: &LogsPolicy,
    inventory: &Inventory,
    claims: &Claims,
    clock: Clock,
) -> OperationPlan {
    let mut plan = scope::begin(Operation::LogRotation, inventory, Role::Logs);
    let survey = Survey::take(policy, inventory, claims);
    let names = survey.names_beside_live();
    let decided = decide(&survey, &names, clock);
    let fates = expire::judge(&survey, &names, &decided, claims, clock);
    plan.estimate = estimate::bytes(&survey, &decided, &fates);
    describe(&mut plan, &survey, &decided);
    emit(&mut plan, &survey, decided, fates);
    plan
}

/// The newest compressed rotated file of each log that this plan compresses: the estimate needs to
/// know how large they are uncompressed ([`Inventory::expanded`]).
#[must_use]
pub fn expansion_wanted(
    policy: &LogsPolicy,
    inventory: &Inventory,
    claims: &Claims,
    clock: Clock,
) -> Vec<EntryId> {
    let survey = Survey::take(policy, inventory, claims);
    let names = survey.names_beside_live();
    let decided = decide(&survey, &names, clock);
    let fates = expire::judge(&survey, &names, &decided, claims, clock);
    let mut wanted = estimate::samples(&survey, &decided, &fates);
    wanted.retain(|id| !inventory.expanded.contains_key(id));
    wanted
}

fn decide(survey: &Survey, names: &Names, clock: Clock) -> Decided {
    let mut decided = Decided::default();
    for (index, series) in survey.series.iter().enumerate() {
        if !survey.rule(series).unique {
            for id in &series.live {
                due::decide(survey, names, index, *id, clock, &mut decided);
            }
        }
    }
    decided
}

/// Leftovers first, then rotations, then what expires; each by path.
fn emit(plan: &mut OperationPlan, survey: &Survey, mut decided: Decided, mut fates: expire::Fates) {
    let inventory = survey.inventory;
    for (id, reason) in &survey.kept {
        plan.keep(Subject::Entry(*id), reason.clone());
    }
    for (id, reason) in decided.kept.into_iter().chain(fates.kept) {
        plan.keep(Subject::Entry(id), reason);
    }
    let by_path = |a: &EntryId, b: &EntryId| order::entries(inventory, *a, *b);
    fates.compresses.sort_by(|a, b| by_path(&a.0, &b.0));
    decided.rotates.sort_by(|a, b| by_path(&a.0, &b.0));
    fates.expires.sort_by(|a, b| by_path(&a.0, &b.0));
    fates.undone.sort_by(by_path);
    for id in fates.undone {
        let reason = Reason::Unfinished;
        plan.act(Verb::Delete, Subject::Entry(id), reason, Task::Unlink);
    }
    for (id, _, reason, task) in fates.compresses {
        let task = Task::Compress(Box::new(task));
        plan.act(Verb::Compress, Subject::Entry(id), reason, task);
    }
    let mut rotations = vec![None; survey.series.len()];
    for (id, series, reason, task) in decided.rotates {
        let rotated = task.to.clone();
        let task = Task::Rotate(Box::new(task));
        let number = plan.act(Verb::Rotate, Subject::Entry(id), reason, task);
        let rule = survey.rule(&survey.series[series]);
        rotations[series] = Some(notify(plan, rule, Subject::Entry(id), number, rotated));
    }
    for (id, series, reason) in fates.expires {
        let number = plan.act(Verb::Expire, Subject::Entry(id), reason, Task::Unlink);
        plan.actions[number as usize].set_needs(rotations[series]);
    }
}

/// Tells the writer of a log that was renamed; the last thing that has to succeed before anything of
/// that log is removed.
fn notify(
    plan: &mut OperationPlan,
    rule: &LogRule,
    log: Subject,
    rotation: u32,
    rotated: OsString,
) -> u32 {
    let mut last = rotation;
    if let Some(signal) = &rule.signal {
        let reason = Reason::Signal(Box::new(signal.clone()));
        let task = Task::Signal(Box::new(signal.clone()));
        last = plan.act(Verb::Signal, log, reason, task);
        plan.actions[last as usize].set_needs(Some(rotation));
    }
    if let Some(argv) = &rule.post_rotate {
        let reason = Reason::PostRotate(Box::new(Words(argv.join(" "))));
        let hook = Hook {
            argv: argv.clone(),
            timeout: rule.hook_timeout,
            rotated,
        };
        last = plan.act(Verb::Hook, log, reason, Task::Hook(Box::new(hook)));
        plan.actions[last as usize].set_needs(Some(rotation));
    }
    last
}

fn describe(plan: &mut OperationPlan, survey: &Survey, decided: &Decided) {
    let live = survey.series.iter().map(|series| series.live.len());
    let copies = survey.series.iter().map(|series| series.copies.len());
    plan.metadata.insert("logs", json!(live.sum::<usize>()));
    plan.metadata
        .insert("rotated_files", json!(copies.sum::<usize>()));
    plan.metadata
        .insert("visibility", json!(survey.inventory.open.visibility));
    let unsupported: Vec<(EntryId, &str)> = decided
        .kept
        .iter()
        .filter_map(|(id, reason)| match reason {
            Keep::Unsupported(what) => Some((*id, *what)),
            _ => None,
        })
        .collect();
    let first = unsupported
        .iter()
        .min_by(|a, b| order::entries(survey.inventory, a.0, b.0));
    if let Some((id, what)) = first {
        let path = survey.inventory.shown_path(survey.inventory.entry(*id));
        let others = match unsupported.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        plan.warnings.push(format!(
            "{}{others} is due and was left alone: {what}",
            readable::path(path)
        ));
    }
}
