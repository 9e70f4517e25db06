//! `status`: the machine, the directories, what a cycle would do, the last one.

use serde_json::Value;

use super::directories::{Directories, Wanted};
use super::machine;
use super::memory::Memory;
use super::operate::{self, Job};
use super::session::{Early, Session};
use super::timetable;
use super::{export, history};
use crate::cli;
use crate::exit::Exit;
use crate::plan::action::{Operation, OperationPlan, Plan};
use crate::plan::entry::{Inventory, Role, RootId, Walk};
use crate::plan::outcome::Outcome;
use crate::plan::policy::Policies;
use crate::plan::time::Time;
use crate::report::message;
use crate::report::model;
use crate::report::status::{DirectoryStatus, LastCycle, OperationStatus, StatusReport};
use crate::schedule::due;
use crate::schedule::state::State;

/// Shows it; code 0 also when things are bad.
pub fn status(session: &Session, args: &cli::Status) -> Exit {
    match report(session, args) {
        Ok(report) => match session.out.status(&report, 0) {
            Ok(()) => Exit::Success,
            Err(error) => {
                crate::report::out::complain(&format_args!("cannot write the report: {error}"));
                Exit::Failure
            }
        },
        Err(early) => session.report_early("status", early),
    }
}

fn report(session: &Session, args: &cli::Status) -> Result<StatusReport, Early> {
    let job = job(session);
    let directories = operate::open(session, &job)?;
    let memory = Memory::tolerant(session);
    let operate::Planned { plan, seen } = operate::plan(session, &job, &directories, &memory)?;
    let directory_rows = directory_rows(&plan.inventory, &session.config.policies);
    let gauges = export::gauges(session, &memory.state, &plan, &seen);
    let (agents, processes) = listings(&plan, args.agents);
    let operations = operation_rows(session, plan, &directories, &memory.state);
    let mut warnings = memory.warnings;
    warnings.extend(directories.notes.iter().cloned());
    let state = memory.state;
    let last = state.last_cycle.as_ref();
    let rules = timetable::rules(&session.config);
    let interval = state.interval(&rules);
    let next_cycle = due::cycle(&state, &rules, session.now, false).later();
    Ok(StatusReport {
        timestamp: session.now,
        base: session.config.base.clone(),
        config: session.config.file.clone(),
        current_interval_seconds: interval.as_secs(),
        consecutive_failures: state.consecutive_failures,
        backing_off_until: next_cycle.filter(|_| state.backoff_steps > 0),
        next_cycle: Some(next_cycle.unwrap_or(session.now)),
        running_since: state.attempt.filter(|_| memory.at_work),
        total_cycles: state.totals.cycles,
        total_bytes_freed: state.totals.bytes_freed,
        total_items_processed: state.totals.items_processed,
        average_success_rate: state.average_success_rate(),
        last_optimization: last.map(|cycle| LastCycle {
            timestamp: cycle.timestamp.unwrap_or_default(),
            outcome: cycle.outcome.clone(),
            items_processed: cycle.items_processed,
            bytes_freed: Some(cycle.bytes_freed),
        }),
        metrics: machine::read_metrics(&directories, session.ticks.as_ref()),
        directories: directory_rows,
        operations,
        agents,
        processes,
        history: args
            .history
            .map(|count| history::read(session, usize::try_from(count).unwrap_or(usize::MAX)))
            .unwrap_or_default(),
        gauges,
        warnings,
    })
}

fn job(session: &Session) -> Job<'static> {
    let mut roles: Vec<Role> = Operation::CYCLE
        .into_iter()
        .flat_map(operate::roles)
        .copied()
        .collect();
    roles.sort_unstable();
    roles.dedup();
    Job {
        command: "status",
        operations: Operation::CYCLE.to_vec(),
        wanted: Wanted {
            roles,
            typed_base: session.typed_base(),
            ..Wanted::default()
        },
        cycle: true,
        force: false,
        timeout: None,
        restore: None,
    }
}

/// What the two analysing operations found, as their reports have it.
fn listings(plan: &Plan, all_agents: bool) -> (Value, Value) {
    let of = |operation: Operation| {
        plan.operations
            .iter()
            .find(|planned| planned.operation == operation)
            .map_or(Value::Null, |planned| listing(planned, all_agents))
    };
    (
        of(Operation::AgentOptimization),
        of(Operation::ProcessOptimization),
    )
}

fn listing(planned: &OperationPlan, all: bool) -> Value {
    match planned.metadata.get("agents") {
        Some(agents) if !all => agents.clone(),
        _ => serde_json::to_value(&planned.metadata).unwrap_or(Value::Null),
    }
}

fn operation_rows(
    session: &Session,
    plan: Plan,
    directories: &Directories,
    state: &State,
) -> Vec<OperationStatus> {
    let rules = timetable::rules(&session.config);
    let cycle = due::cycle(state, &rules, session.now, false);
    let outcome = Outcome::shown(plan);
    let mut run = session.run("status");
    run.dry_run = true;
    run.outcome = Some(&outcome);
    model::operations(&run)
        .map(|view| {
            let operation = view.plan.operation;
            let last = state.operations.get(&operation);
            let enabled = operate::enabled(operation, &session.config.policies);
            let own = timetable::operation_due(session, operation, directories, state);
            // What is due waits for the next cycle, which is not due before its own time.
            let later = own.later().max(cycle.later());
            OperationStatus {
                operation,
                enabled,
                last_run: last.and_then(|last| last.timestamp),
                last_success: last.map(|last| last.success),
                due: enabled && later.is_none(),
                next_due: later.filter(|_| enabled),
                preview: Some(message::message(view)),
            }
        })
        .collect()
}

/// Usage of each directory that exists, every inode once.
pub fn directory_rows(inventory: &Inventory, policies: &Policies) -> Vec<DirectoryStatus> {
    inventory
        .root_ids()
        .filter(|id| inventory.root(*id).top.is_some())
        .map(|id| {
            let root = inventory.root(id);
            let figures = Figures::of(inventory, id);
            DirectoryStatus {
                role: root.role,
                path: root.shown.clone(),
                usage_bytes: figures.readable.then_some(figures.usage),
                files: figures.readable.then_some(figures.files),
                oldest: figures.oldest,
                limit_bytes: match root.role {
                    Role::Cache => Some(policies.cache.limit),
                    Role::Archive => policies.models.max_archive_size,
                    _ => None,
                },
            }
        })
        .collect()
}

struct Figures {
    usage: u64,
    files: u64,
    oldest: Option<Time>,
    readable: bool,
}

impl Figures {
    fn of(inventory: &Inventory, root: RootId) -> Self {
        let mut figures = Self {
            usage: 0,
            files: 0,
            oldest: None,
            readable: true,
        };
        if let Some(top) = inventory.root(root).top {
            figures.readable = inventory.directory(top).walk != Walk::Unreadable;
        }
        let mut linked = std::collections::HashSet::new();
        for entry in &inventory.entries {
            if inventory.root_of(entry) != root {
                continue;
            }
            figures.files += 1;
            if entry.links <= 1 || linked.insert(entry.inode) {
                figures.usage += entry.disk_usage();
            }
            let older = figures.oldest.is_none_or(|oldest| entry.mtime < oldest);
            if older {
                figures.oldest = Some(entry.mtime);
            }
        }
        figures
    }
}
