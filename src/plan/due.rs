//! When something that stays would be acted on, if nothing changes: the answer of `--explain`.

use std::path::PathBuf;

use super::action::{OperationPlan, Subject};
use super::cache::LastUse;
use super::entry::{Entry, EntryId, Inventory, Role};
use super::policy::{LogRule, Policies};
use super::reason::{Keep, size};
use super::rotated;
use super::time::Time;

/// When a verdict of "kept" ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Not before this instant; `None` where time alone does not decide.
    pub at: Option<Time>,
    /// What else has to come.
    pub condition: Option<String>,
}

impl Due {
    fn when(condition: impl Into<String>) -> Self {
        Self {
            at: None,
            condition: Some(condition.into()),
        }
    }
}

/// When an item that `plan` keeps for `reason` falls due.
#[must_use]
pub fn of(
    policies: &Policies,
    inventory: &Inventory,
    plan: &OperationPlan,
    subject: Subject,
    reason: &Keep,
    now: Time,
) -> Due {
    let Subject::Entry(id) = subject else {
        return Due::default();
    };
    match reason {
        Keep::RecentlyUsed(_) | Keep::FutureTime => Due {
            at: Some(
                LastUse::new(inventory)
                    .of(id)
                    .after(policies.cache.preserve_recent),
            ),
            condition: Some("if a limit is exceeded then".to_owned()),
        },
        Keep::WithinBudget => within_budget(policies, inventory, plan, id),
        Keep::ModelUsed(times) => Due {
            at: Some(now.after(times.limit.saturating_sub(times.age()))),
            condition: None,
        },
        Keep::Newest => Due::when("when its family has newer versions"),
        Keep::InUse(held) | Keep::Writer(held) | Keep::Locked(held) => {
            Due::when(format!("when pid {} lets go of it", held.pid))
        }
        Keep::Unseen => Due::when("where there is a /proc to look at"),
        Keep::LinkedElsewhere | Keep::SeveralLinks => Due::when("when its other names are gone"),
        Keep::ClockJumped => Due::when("with --force"),
        Keep::BelowSize(_) | Keep::Empty => live_log(policies, inventory, id, reason),
        Keep::Retained => rotated_log(policies, inventory, id),
        _ => Due::default(),
    }
}

/// Its age, or the growth of its directory by what is left of the budget and by all that goes
/// before it.
fn within_budget(
    policies: &Policies,
    inventory: &Inventory,
    plan: &OperationPlan,
    id: EntryId,
) -> Due {
    let entry = inventory.entry(id);
    let root = inventory.root_of(entry);
    let used = LastUse::new(inventory);
    let own = used.of(id);
    let (mut left, mut before) = (0, 0);
    for kept in &plan.kept {
        let Subject::Entry(other) = kept.subject else {
            continue;
        };
        let row = inventory.entry(other);
        if inventory.root_of(row) == root && !matches!(kept.reason, Keep::Garbage) {
            left += row.disk_usage();
            if kept.reason == Keep::WithinBudget && used.of(other) < own {
                before += row.disk_usage();
            }
        }
    }
    let free = policies.cache.limit.saturating_sub(left);
    let grows = size(free.saturating_add(before));
    let shown = inventory.root(root).shown.display();
    Due {
        at: policies.cache.max_age.map(|age| own.after(age)),
        condition: Some(format!(
            "when {shown} grows by more than {grows}: {} are free and {} go before it",
            size(free),
            size(before)
        )),
    }
}

/// The rule that owns a log: the first that matches.
fn rule<'a>(
    policies: &'a Policies,
    inventory: &Inventory,
    entry: &Entry,
    name: &std::ffi::OsStr,
) -> Option<&'a LogRule> {
    let root = inventory.root(inventory.root_of(entry));
    if root.role != Role::Logs {
        return None;
    }
    let below = inventory.directory_path(entry.directory).join(name);
    let path: PathBuf = root.path.join(&below);
    policies.logs.rules.iter().find(|rule| {
        let here = rule
            .directories
            .as_ref()
            .is_none_or(|list| list.iter().any(|directory| path.starts_with(directory)));
        here && rule.patterns.matches(&below) && !rule.exclude.matches(&below)
    })
}

/// The instants at which a log was rotated, as the names of its rotated files tell.
fn rotations(inventory: &Inventory, log: &Entry, name: &std::ffi::OsStr) -> Vec<Time> {
    let beside = inventory.entries.iter();
    let beside = beside.filter(|entry| entry.directory == log.directory);
    let parsed = beside.filter_map(|entry| rotated::parse(inventory.name(entry)));
    let mut times: Vec<Time> = parsed
        .filter(|copy| copy.log == name)
        .map(|copy| copy.time)
        .collect();
    times.sort_unstable();
    times
}

fn live_log(policies: &Policies, inventory: &Inventory, id: EntryId, reason: &Keep) -> Due {
    let entry = inventory.entry(id);
    let name = inventory.name(entry);
    let Some(rule) = rule(policies, inventory, entry, name) else {
        return Due::default();
    };
    if *reason == Keep::Empty {
        return Due::when("when something is written to it");
    }
    let born = entry.atime.min(entry.mtime).min(entry.ctime);
    let last = rotations(inventory, entry, name).pop().unwrap_or(born);
    Due {
        at: rule.rotate_after.map(|after| last.after(after)),
        condition: Some(format!("when it reaches {}", size(rule.max_file_size))),
    }
}

fn rotated_log(policies: &Policies, inventory: &Inventory, id: EntryId) -> Due {
    let entry = inventory.entry(id);
    let Some(copy) = rotated::parse(inventory.name(entry)) else {
        return Due::default();
    };
    let Some(rule) = rule(policies, inventory, entry, copy.log) else {
        return Due::default();
    };
    let newer = rotations(inventory, entry, copy.log);
    let newer = newer.iter().filter(|time| **time > copy.time).count();
    let more = rule.max_files.saturating_sub(newer);
    Due {
        at: rule.max_age.map(|age| copy.time.after(age)),
        condition: (rule.max_files > 0)
            .then(|| format!("when its log was rotated {more} more times")),
    }
}
