//! `rotate-logs`: logs that grew too large or too old are taken away from their writers, what an
//! earlier run left is compressed, and old rotated files expire.
//!
//! 1. Every file gets its place: a live log, a rotated file of a log, a file of a `unique` rule, or
//!    none of these ([`survey`]). The first rule that matches a log owns it ([`rules`]).
//! 2. Rotations that a run was killed in are completed ([`records`]).
//!    Logs that are due are rotated where nothing can be lost ([`due`], [`method`]), in pieces where
//!    the disk is nearly full ([`pieces`]).
//! 3. Rotated files beyond their limits expire ([`expire`]).
//! 4. Leftovers and files of a `unique` rule that stay are compressed in place ([`finish`]).

mod due;
mod estimate;
mod expire;
mod finish;
mod method;
mod pieces;
mod records;
mod rules;
mod survey;

#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};

use serde_json::json;

use super::action::{Cut, Hook, Operation, OperationPlan, Rotate, Subject, Task, Verb};
use super::claims::Claims;
use super::entry::{EntryId, Inventory, Kind, Role};
use super::host::{Hold, Holder};
use super::order;
use super::policy::{LogMode, LogRule, LogsPolicy};
use super::reason::{Keep, Reason, Words};
use super::scope;
use super::time::Clock;
use crate::plan::readable;
use survey::{Names, Series, Survey};

/// What is decided before retention.
#[derive(Default)]
struct Decided {
    /// The log, its series, why, and how.
    rotates: Vec<(EntryId, usize, Reason, Rotate)>,
    /// The same for logs that lose their heads, with the pieces that these go to.
    cuts: Vec<(EntryId, usize, Reason, Vec<Cut>)>,
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
    scope::warn_of_unseen(&mut plan);
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

/// Logs that are due and that no process was seen to write to: whether the kernel knows of a writer
/// decides whether they may be rotated ([`Inventory::logs`]).
#[must_use]
pub fn leases_wanted(
    policy: &LogsPolicy,
    inventory: &Inventory,
    claims: &Claims,
    clock: Clock,
) -> Vec<EntryId> {
    let survey = Survey::take(policy, inventory, claims);
    let names = survey.names_beside_live();
    let decided = decide(&survey, &names, clock);
    let renamed = decided
        .rotates
        .iter()
        .map(|(id, series, ..)| (*id, *series));
    let cut = decided.cuts.iter().map(|(id, series, ..)| (*id, *series));
    renamed
        .chain(cut)
        .filter(|(id, series)| {
            method::needs_lease(&survey, survey.rule(&survey.series[*series]), *id)
        })
        .map(|(id, _)| id)
        .collect()
}

fn decide(survey: &Survey, names: &Names, clock: Clock) -> Decided {
    let mut decided = Decided::default();
    for (index, series) in survey.series.iter().enumerate() {
        if !survey.rule(series).unique {
            for id in &series.live {
                if !survey.records.pending.contains_key(id) {
                    due::decide(survey, names, index, *id, clock, &mut decided);
                }
            }
        }
    }
    decided
}

/// What was begun first, then leftovers, then rotations, then what expires; each by path.
fn emit(plan: &mut OperationPlan, survey: &Survey, mut decided: Decided, mut fates: expire::Fates) {
    let inventory = survey.inventory;
    for (id, reason) in &survey.kept {
        plan.keep(Subject::Entry(*id), reason.clone());
    }
    let untold = untold(survey);
    let told_now = |id: &EntryId| untold.iter().any(|(log, ..)| log == id);
    let kept = decided.kept.into_iter().filter(|(id, _)| !told_now(id));
    for (id, reason) in kept.chain(fates.kept) {
        plan.keep(Subject::Entry(id), reason);
    }
    let by_path = |a: &EntryId, b: &EntryId| order::entries(inventory, *a, *b);
    fates.compresses.sort_by(|a, b| by_path(&a.0, &b.0));
    decided.cuts.sort_by(|a, b| by_path(&a.0, &b.0));
    decided.rotates.sort_by(|a, b| by_path(&a.0, &b.0));
    fates.expires.sort_by(|a, b| by_path(&a.0, &b.0));
    fates.undone.sort_by(by_path);
    resume(plan, survey);
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
        rotations[series] = notify(plan, rule, Subject::Entry(id), Some(number), rotated);
    }
    for (id, rule, rotated) in untold {
        notify(plan, rule, Subject::Entry(id), None, rotated.to_owned());
    }
    for (id, series, reason, pieces) in decided.cuts {
        // Each piece makes room for the next.
        let mut before = None;
        for piece in pieces {
            let task = Task::Cut(Box::new(piece));
            let number = plan.act(Verb::Rotate, Subject::Entry(id), reason.clone(), task);
            plan.actions[number as usize].set_needs(before);
            before = Some(number);
        }
        rotations[series] = before;
    }
    for (id, series, reason) in fates.expires {
        let number = plan.act(Verb::Expire, Subject::Entry(id), reason, Task::Unlink);
        plan.actions[number as usize].set_needs(rotations[series]);
    }
}

/// Completes rotations that a run was killed in, and clears records that are of no use any more.
fn resume(plan: &mut OperationPlan, survey: &Survey) {
    let by_path = |a: &EntryId, b: &EntryId| order::entries(survey.inventory, *a, *b);
    let mut obsolete = survey.records.obsolete.clone();
    obsolete.sort_by(|a, b| by_path(&a.0, &b.0));
    for (record, replaced) in obsolete {
        let reason = if replaced {
            Reason::LogReplaced
        } else {
            Reason::Unfinished
        };
        plan.act(Verb::Delete, Subject::Entry(record), reason, Task::Unlink);
    }
    let mut logs: Vec<_> = survey.records.pending.iter().collect();
    logs.sort_by(|a, b| by_path(a.0, b.0));
    for (log, intent) in logs {
        let task = Task::Resume(Box::new((*intent).clone()));
        plan.act(
            Verb::Rotate,
            Subject::Entry(*log),
            Reason::Interrupted,
            task,
        );
    }
}

/// A mode that can lose lines says so, whatever becomes of them.
fn describe_losses(plan: &mut OperationPlan, survey: &Survey, decided: &Decided) {
    let lossy = |cuts: &&(EntryId, usize, Reason, Vec<Cut>)| {
        cuts.3.iter().any(|cut| !cut.method.is_lossless())
    };
    let lossy: Vec<EntryId> = decided.cuts.iter().filter(lossy).map(|cut| cut.0).collect();
    plan.metadata.insert("lossless", json!(lossy.is_empty()));
    let first = lossy
        .iter()
        .min_by(|a, b| order::entries(survey.inventory, **a, **b));
    if let Some(id) = first {
        let path = survey.inventory.shown_path(survey.inventory.entry(*id));
        plan.warnings.push(format!(
            "{}{} is copied and truncated, as this filesystem cannot collapse a range: what is \
             written in between is lost (mode = \"punch\" loses nothing where holes can be punched)",
            readable::path(path),
            and_more(lossy.len()),
        ));
    }
}

fn and_more(count: usize) -> String {
    match count.saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

/// Logs that an earlier run renamed without their writer's coming to know of it: it was killed, or
/// what it did to tell it failed. The writer goes on in the rotated file, and nobody has the new
/// log. Without being told again it would do so for ever: an empty log is never due. With the
/// name of the rotated file.
fn untold<'a>(survey: &Survey<'a>) -> Vec<(EntryId, &'a LogRule, &'a OsStr)> {
    let inventory = survey.inventory;
    let writes = |holder: &Holder| matches!(holder.hold, Hold::Append | Hold::Write);
    let has_writer = |id: EntryId| survey.holders(id).iter().any(writes);
    let one = |series: &Series<'a>| {
        let rule = survey.rule(series);
        let tells = rule.signal.is_some() || rule.post_rotate.is_some();
        let renames = matches!(rule.mode, LogMode::Auto | LogMode::Rename) && !rule.unique;
        let log = series.live.first().filter(|_| tells && renames).copied()?;
        let rotated = series.copies.values().next_back()?.plain?;
        let entry = inventory.entry(log);
        let left = entry.kind == Kind::File && entry.size == 0 && !has_writer(log);
        (left && has_writer(rotated)).then(|| {
            let name = inventory.name(inventory.entry(rotated));
            (log, rule, name)
        })
    };
    survey.series.iter().filter_map(one).collect()
}

/// Tells the writer of a log that was renamed; the last thing that has to succeed before anything of
/// that log is removed.
fn notify(
    plan: &mut OperationPlan,
    rule: &LogRule,
    log: Subject,
    rotation: Option<u32>,
    rotated: OsString,
) -> Option<u32> {
    let mut last = rotation;
    if let Some(signal) = &rule.signal {
        let reason = Reason::Signal(Box::new(signal.clone()));
        let task = Task::Signal(Box::new(signal.clone()));
        let number = plan.act(Verb::Signal, log, reason, task);
        plan.actions[number as usize].set_needs(rotation);
        last = Some(number);
    }
    if let Some(argv) = &rule.post_rotate {
        let reason = Reason::PostRotate(Box::new(Words(argv.join(" "))));
        let hook = Hook {
            argv: argv.clone(),
            timeout: rule.hook_timeout,
            rotated,
        };
        let number = plan.act(Verb::Hook, log, reason, Task::Hook(Box::new(hook)));
        plan.actions[number as usize].set_needs(rotation);
        last = Some(number);
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
    describe_losses(plan, survey, decided);
}
