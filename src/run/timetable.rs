//! Whether a cycle runs now, with which operations, and what its report says of that.

use super::directories::Directories;
use super::machine;
use super::memory::Memory;
use super::operate::{self, Job};
use super::session::Session;
use crate::config::Config;
use crate::plan::action::Operation;
use crate::plan::reason::span;
use crate::report::model::{self, Run};
use crate::report::schedule::{Early, NotDue, Schedule, ahead};
use crate::schedule::Rules;
use crate::schedule::due::{self, Due, Why};
use crate::schedule::interval::Backoff;
use crate::schedule::state::State;

/// The rules of a configuration.
#[must_use]
pub const fn rules(config: &Config) -> Rules {
    let (intervals, errors) = (&config.intervals, &config.error_handling);
    Rules {
        backoff: Backoff {
            base: intervals.optimization,
            max_consecutive_failures: errors.max_consecutive_failures,
            multiplier: errors.backoff_multiplier,
            max_interval: errors.max_interval,
            reset_after_success: errors.reset_after_success,
        },
        cache: intervals.cache_cleanup,
        logs: intervals.log_rotation,
        models: intervals.model_archive,
        pressure_percent: intervals.pressure_percent,
    }
}

/// The operations of a cycle that the configuration wants.
#[must_use]
pub fn enabled(config: &Config) -> Vec<Operation> {
    let wanted = |operation: &Operation| operate::enabled(*operation, &config.policies);
    Operation::CYCLE.into_iter().filter(wanted).collect()
}

/// A cycle that does not run.
#[derive(Debug)]
pub struct Skipped {
    /// Why, and when the next one does.
    pub words: String,
    /// The same as figures.
    pub schedule: Schedule,
}

/// Leaves the operations in a cycle's job that are due; what the report says of that. `None` where
/// the job is no cycle.
///
/// # Errors
/// The cycle itself is not due.
pub fn choose(
    session: &Session,
    job: &mut Job<'_>,
    directories: &Directories,
    memory: &Memory,
) -> Result<Option<Schedule>, Box<Skipped>> {
    if !job.cycle {
        return Ok(None);
    }
    let (state, rules) = (&memory.state, rules(&session.config));
    let interval = state.interval(&rules);
    let mut schedule = Schedule {
        interval_seconds: interval.as_secs(),
        consecutive_failures: state.consecutive_failures,
        next_cycle: session.now.after(interval),
        ..Schedule::default()
    };
    if let Due::At(next) = due::cycle(state, &rules, session.now, job.force) {
        schedule.next_cycle = next;
        let words = words(session, state, &schedule);
        return Err(Box::new(Skipped { words, schedule }));
    }
    let force = job.force;
    job.operations.retain(|operation| {
        let due = operation_due(session, *operation, directories, state);
        let (operation, retained) = (*operation, force || due.is_now());
        match due {
            _ if force => {}
            Due::Now(Why::Pressure(used_percent)) => schedule.early.push(Early {
                operation,
                used_percent,
            }),
            Due::Now(_) => {}
            Due::At(next_due) => schedule.not_due.push(NotDue {
                operation,
                next_due,
            }),
        }
        retained
    });
    Ok(Some(schedule))
}

/// Whether an operation would be part of a cycle that runs now.
#[must_use]
pub fn operation_due(
    session: &Session,
    operation: Operation,
    directories: &Directories,
    state: &State,
) -> Due {
    let fullest = machine::fullest(directories, operate::roles(operation));
    let last = state.operations.get(&operation);
    due::operation(
        operation,
        last,
        &rules(&session.config),
        fullest,
        session.now,
    )
}

fn words(session: &Session, state: &State, schedule: &Schedule) -> String {
    let next = schedule.next_cycle;
    let last = state.last_cycle_began().unwrap_or_default();
    let ago = span(session.now.since(last));
    let why = match state.backoff_steps {
        0 => String::new(),
        _ => format!(
            ", backing off after {} failures in a row",
            state.consecutive_failures
        ),
    };
    format!(
        "skipped: the last cycle began {ago} ago{why}; the next is due {} ({next}), `--force` runs \
         it now",
        ahead(next, session.now)
    )
}

/// The share of successes among the operations that the configuration wants; what did not run
/// counts with its last result.
#[must_use]
pub fn success_rate(session: &Session, run: &Run<'_>, memory: &Memory) -> f64 {
    let now: Vec<(Operation, bool)> = model::operations(run)
        .map(|view| (view.plan.operation, view.success()))
        .collect();
    memory.state.success_rate(&now, &enabled(&session.config))
}

/// What the end of a cycle changed in the schedule.
pub fn conclude(session: &Session, run: &mut Run<'_>, memory: &Memory) {
    let Some(schedule) = &mut run.schedule else {
        return;
    };
    let interval = memory.state.interval(&rules(&session.config));
    let before = std::mem::replace(&mut schedule.interval_seconds, interval.as_secs());
    schedule.previous_interval_seconds =
        Some(before).filter(|before| *before != interval.as_secs());
    schedule.consecutive_failures = memory.state.consecutive_failures;
    schedule.next_cycle = session.now.after(interval);
}
