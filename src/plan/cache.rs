//! `clean-cache`: the least recently used files go, until the directories are within their limits.
//!
//! 1. What must never go is set aside, each with its reason ([`keep`]).
//! 2. The names of one inode are one unit, and so is a repository of the Hugging Face hub
//!    ([`repositories`]); units are ordered by their last use ([`units`]).
//! 3. Age, the limit of each directory, the limit of all together, and free space choose units, in
//!    this order and each from the least recently used ([`budget`]).
//! 4. Directories that this empties go too ([`emptied`]).

mod budget;
mod emptied;
mod figures;
mod keep;
mod last_use;
mod repositories;
mod units;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use super::action::{Operation, OperationPlan, Subject, Task, Verb};
use super::claims::Claims;
use super::entry::{EntryId, Inventory, Role};
use super::policy::CachePolicy;
use super::reason::{Duration32, Keep, Reason};
use super::scope;
use super::time::{Clock, Time};
use budget::{Cause, Ledger};
use emptied::Emptied;
use keep::Rules;
pub use last_use::LastUse;
use units::Units;

/// What `clean-cache` will do. Each entry below a root of [`Role::Cache`] gets one verdict.
///
/// `claims` are the entries on which an earlier operation of the run acts: they are left to it, and
/// count as gone. The estimate is exact.
#[must_use]
pub fn plan(
    policy: &CachePolicy,
    inventory: &Inventory,
    claims: &Claims,
    clock: Clock,
) -> OperationPlan {
    let mut plan = scope::begin(Operation::CacheCleanup, inventory, Role::Cache);
    let rules = Rules::new(policy, inventory, claims, clock);
    let units = Units::collect(inventory, &rules, &mut plan);
    let mut ledger = Ledger::open(policy, inventory, claims);
    let causes = ledger.choose(&units, clock);
    let seen = inventory.open.visibility.looked;
    if !seen {
        // What was chosen stays.
        ledger = Ledger::open(policy, inventory, claims);
    }
    let mut emptied = Emptied::new(inventory);
    let chosen = causes.iter().filter(|cause| cause.is_some()).count();
    plan.actions.reserve_exact(chosen);
    for (unit, cause) in units.order.iter().zip(&causes) {
        match cause {
            Some(cause) if seen => {
                evict(&mut plan, &mut emptied, &units, *unit, *cause, clock.now);
            }
            Some(_) => stay(&mut plan, &units, *unit, &Keep::Unseen),
            None => stay(&mut plan, &units, *unit, &Keep::WithinBudget),
        }
    }
    emptied.remove(&mut plan);
    let freed = ledger.freed.saturating_add(plan.directory_bytes(inventory));
    plan.estimate = Some(i64::try_from(freed).unwrap_or(i64::MAX));
    figures::describe(&mut plan, inventory, &ledger);
    scope::warn_of_unseen(&mut plan);
    plan
}

fn stay(plan: &mut OperationPlan, units: &Units, unit: EntryId, keep: &Keep) {
    for id in units.members(&unit) {
        plan.keep(Subject::Entry(*id), keep.clone());
    }
}

fn evict(
    plan: &mut OperationPlan,
    emptied: &mut Emptied,
    units: &Units,
    unit: EntryId,
    cause: Cause,
    now: Time,
) {
    let ago = Duration32::between(units.used(unit), now);
    let members = units.members(&unit);
    let mut before = None;
    for id in members {
        let reason = match cause {
            Cause::Age => Reason::Unused(ago),
            Cause::Directory => Reason::LeastRecentlyUsed(ago),
            Cause::Total => Reason::OverTotal(ago),
            Cause::Space => Reason::LowSpace(ago),
        };
        let task = match (units.repository(unit), before) {
            (Some(_), None) => Task::UnlinkFirst(Box::new(members[1..].to_vec())),
            _ => Task::Unlink,
        };
        let number = plan.act(Verb::Evict, Subject::Entry(*id), reason, task);
        if units.repository(unit).is_some() {
            // What is left of a repository must be whole enough to be used.
            plan.actions[number as usize].set_needs(before);
            before = Some(number);
        }
        emptied.evicted(*id, number);
    }
    if let (Some(repository), Some(last)) = (units.repository(unit), before) {
        emptied.whole(repository, last);
    }
}
