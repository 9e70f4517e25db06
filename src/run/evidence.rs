//! Plans in their order, each with the file contents that it needs read before.

use crate::fs::compress::Watch;
use crate::fs::evidence;
use crate::fs::roots::Roots;
use crate::plan::action::{Operation, OperationPlan};
use crate::plan::claims::Claims;
use crate::plan::entry::{Inventory, Kind};
use crate::plan::policy::Policies;
use crate::plan::time::{Clock, Time};
use crate::plan::{cache, clock, garbage, logs, models};
use crate::run::operate::roles;
use crate::signal::Signals;

/// Counts nothing; stops for signals.
pub struct Quiet<'a>(pub &'a Signals);

impl Watch for Quiet<'_> {
    fn read(&self, _bytes: u64) {}

    fn stop(&self) -> bool {
        self.0.received().is_some()
    }
}

/// The clock, unless it jumped.
#[must_use]
pub fn clock(now: Time, inventory: &Inventory, last_run: Option<Time>) -> Clock {
    let newest = inventory
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::File)
        .map(|entry| entry.mtime)
        .max();
    clock::judge(now, last_run, newest)
}
