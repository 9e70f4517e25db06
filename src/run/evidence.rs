//! Plans in their order, each with the file contents that it needs read before.

use std::collections::HashMap;
use std::time::Duration;

use crate::fs::compress::Watch;
use crate::fs::evidence;
use crate::fs::roots::Roots;
use crate::plan::action::{Operation, OperationPlan, Task};
use crate::plan::agents::Present;
use crate::plan::claims::Claims;
use crate::plan::entry::{EntryId, Inventory, Kind};
use crate::plan::garbage::{GarbageEvidence, SharedMemory};
use crate::plan::host::Metrics;
use crate::plan::outcome::Outcome;
use crate::plan::policy::Policies;
use crate::plan::processes::{Observed, ProcessTable, Remembered, Sample};
use crate::plan::time::{Clock, Time};
use crate::plan::{agents, cache, clock, garbage, logs, models, processes, scope};
use crate::signal::Signals;
use crate::system;

/// Counts nothing; stops for signals.
pub struct Quiet<'a>(pub &'a Signals);

impl Watch for Quiet<'_> {
    fn read(&self, _bytes: u64) {}

    fn stop(&self) -> bool {
        self.0.received().is_some()
    }
}

/// The processes of the machine, where an operation asks for them.
#[derive(Debug, Default)]
pub struct Host {
    /// All that could be seen.
    pub table: ProcessTable,
    /// Load.
    pub metrics: Metrics,
    /// As the last run saw it.
    pub earlier: Option<Remembered>,
    /// Processor time a moment ago.
    pub sample: Option<Sample>,
    /// The caller; 0 is root.
    pub caller: u32,
    /// The owner of the base.
    pub owner: Option<u32>,
    /// What has the name of the pace file.
    pub pace: Present,
}

impl Host {
    /// What the next run compares with; `None` where this one did not look.
    #[must_use]
    pub fn remember(&self, policies: &Policies, outcome: Option<&Outcome>) -> Option<Remembered> {
        let looked = !self.table.processes.is_empty();
        let ticks = system::metrics::ticks().filter(|_| looked)?;
        let detected = agents::detect(&policies.agents, &self.table);
        let agents: Vec<_> = detected
            .agents
            .iter()
            .map(|agent| (agent.process.pid, agent.label()))
            .collect();
        let reclaimed = outcome.map_or_else(HashMap::new, reclaimed);
        let observed = self.observed(false);
        Some(Remembered::of(
            &observed,
            &ticks,
            &policies.load,
            &agents,
            &reclaimed,
        ))
    }

    /// What the analysis rests on.
    #[must_use]
    pub fn observed(&self, verbose: bool) -> Observed<'_> {
        Observed {
            table: &self.table,
            metrics: &self.metrics,
            earlier: self.earlier.as_ref(),
            sample: self.sample.as_ref(),
            verbose,
        }
    }
}

/// Resident memory of the agents that were asked to collect their garbage, after that.
fn reclaimed(outcome: &Outcome) -> HashMap<u32, u64> {
    let operations = outcome.plan.operations.iter().zip(&outcome.operations);
    operations
        .flat_map(|(planned, done)| {
            let numbered = (0_u32..).zip(&planned.actions);
            numbered.filter_map(|(number, action)| match &action.task {
                Task::Reclaim(reclaim) => {
                    let measured = done.effects.get(&number)?.effects.as_ref()?;
                    Some((reclaim.pid, measured.rss_after_bytes?))
                }
                _ => None,
            })
        })
        .collect()
}

/// What the plans rest on beside the inventory.
pub struct Basis<'a> {
    /// Rules.
    pub policies: &'a Policies,
    /// Show command lines in full.
    pub verbose: bool,
    /// Between two cycles.
    pub interval: Duration,
    /// Where files are read.
    pub roots: &'a Roots,
    /// Processes.
    pub host: &'a Host,
    /// The clock of this run.
    pub clock: Clock,
    /// Ends reading.
    pub watch: &'a dyn Watch,
}

/// The clock, and whether it jumped; with `force` it did not.
#[must_use]
pub fn clock(now: Time, inventory: &Inventory, last_run: Option<Time>, force: bool) -> Clock {
    if force {
        return Clock::at(now);
    }
    let newest = inventory
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::File)
        .map(|entry| entry.mtime)
        .max();
    clock::judge(now, last_run, newest)
}

/// Plans operations in their order; what one acts on, the next ones leave alone.
#[must_use]
pub fn plan_all(
    operations: &[Operation],
    basis: &Basis<'_>,
    inventory: &mut Inventory,
) -> Vec<OperationPlan> {
    let mut claims = Claims::none(inventory);
    let mut plans: Vec<OperationPlan> = operations
        .iter()
        .map(|operation| {
            let plan = plan_one(*operation, basis, inventory, &claims);
            claims.add(&plan);
            plan
        })
        .collect();
    if operations.contains(&Operation::GarbageCollection) {
        let detected = agents::detect(&basis.policies.agents, &basis.host.table);
        agents::annotate(&mut plans, &detected);
    }
    scope::tell_the_rest(&mut plans, inventory);
    plans
}

fn plan_one(
    operation: Operation,
    basis: &Basis<'_>,
    inventory: &mut Inventory,
    claims: &Claims,
) -> OperationPlan {
    let Basis {
        policies,
        roots,
        host,
        clock,
        watch,
        ..
    } = basis;
    match operation {
        Operation::GarbageCollection => {
            let evidence = garbage_evidence(basis, inventory);
            garbage::plan(&policies.garbage, inventory, &evidence, *clock)
        }
        Operation::CacheCleanup => cache::plan(&policies.cache, inventory, claims, *clock),
        Operation::LogRotation => {
            let wanted = logs::expansion_wanted(&policies.logs, inventory, claims, *clock);
            evidence::add_expanded(roots, inventory, &wanted);
            let wanted = logs::leases_wanted(&policies.logs, inventory, claims, *clock);
            evidence::add_unseen_writers(roots, inventory, &wanted);
            logs::plan(&policies.logs, inventory, claims, *clock)
        }
        Operation::ModelArchiving => {
            let wanted = models::digests_wanted(&policies.models, inventory, claims, *clock);
            evidence::add_digests(roots, inventory, &wanted, *watch);
            models::plan(&policies.models, inventory, claims, *clock)
        }
        Operation::AgentOptimization => plan_agents(basis, inventory),
        Operation::ProcessOptimization => {
            processes::plan(&policies.load, &host.observed(basis.verbose))
        }
        Operation::ModelRestoring => OperationPlan::new(operation),
    }
}

fn plan_agents(basis: &Basis<'_>, inventory: &mut Inventory) -> OperationPlan {
    let (policies, host) = (basis.policies, basis.host);
    let segments = system::segments::held(&inventory.open);
    let given = agents::Given {
        observed: host.observed(basis.verbose),
        segments: &segments,
        caller: host.caller,
        owner: host.owner,
        pace: &host.pace,
        interval: basis.interval,
        now: basis.clock.now,
    };
    agents::plan(&policies.agents, &policies.load, &given, inventory)
}

/// What processes left behind.
fn garbage_evidence(basis: &Basis<'_>, inventory: &Inventory) -> GarbageEvidence {
    let dead = |id: &EntryId| {
        let mtime = inventory.entry(*id).mtime;
        evidence::head(basis.roots, inventory, *id, PID_FILE)
            .ok()
            .and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok())
            .is_some_and(|pid| system::processes::pid_is_dead(pid, mtime))
    };
    GarbageEvidence {
        dead_pid_files: garbage::pid_files_wanted(inventory)
            .into_iter()
            .filter(dead)
            .collect(),
        zombies: system::garbage::zombies(&basis.host.table),
        shm: system::garbage::shm(&inventory.open, basis.clock.now)
            .into_iter()
            .map(|segment| SharedMemory {
                path: format!("/dev/shm/{}", segment.name),
                bytes: segment.bytes,
            })
            .collect(),
    }
}

/// Bytes of a pid file that are read: a number and a line end.
const PID_FILE: u64 = 64;
