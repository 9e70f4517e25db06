//! Acting: the only code that changes a user's disk.
//!
//! A plan is taken by value, so it is applied at most once. Its actions run in order; one that
//! fails is reported and later ones go on, unless they need it. Before each change the file is
//! compared with what the scan saw; what has changed since then is left alone.

mod archive;
mod archives;
mod cut;
mod directory;
mod hook;
mod notify;
mod pace;
mod pack;
mod record;
mod release;
mod remove;
mod rename;
mod restore;
mod signal;
mod step;
mod store;
mod versions;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use super::compress::Watch;
use super::dir;
use super::lease::{self, Use};
use super::roots::Roots;
use crate::plan::action::{Action, Operation, OperationPlan, Plan, Task, item_bytes};
use crate::plan::agents::{Before, Machine};
use crate::plan::entry::Inventory;
use crate::plan::host::Holder;
use crate::plan::outcome::{Ended, OperationOutcome, Outcome, Progress, Status};
use crate::plan::time::Time;
use archives::Archives;
pub use pace::present;
use pack::Job;
use step::{Directories, Halt, Step};

/// What applying needs beside the plan.
pub struct Surroundings<'a> {
    /// The directories, open.
    pub roots: &'a Roots,
    /// Asked between actions, and about every quarter of a mebibyte within one.
    pub stop: &'a (dyn Fn() -> Option<Ended> + Sync),
    /// Told how far the work is.
    pub progress: &'a (dyn Progress + Sync),
    /// Whether a process has the file of this device and inode open for writing, as far as the
    /// process table tells: asked where the kernel grants no lease.
    pub writers: &'a (dyn Fn((u64, u64)) -> Use + Sync),
    /// The processes that have the file of this device and inode now, as far as the process table
    /// tells.
    pub holders: &'a (dyn Fn((u64, u64)) -> Vec<Holder> + Sync),
    /// How many threads compress at most, this one among them.
    pub threads: usize,
    /// The user that a process of that id belongs to; `None` where it is gone, or began after the
    /// given time.
    pub process: &'a (dyn Fn(u32, Time) -> Option<u32> + Sync),
    /// Written into records.
    pub now: Time,
    /// Reads processes and memory, for what is asked of agents.
    pub machine: &'a (dyn Machine + Sync),
}

impl Surroundings<'_> {
    /// Whether anyone may have the file open for writing; what cannot be known counts as yes.
    fn may_have_writers(&self, file: &File) -> bool {
        match lease::writers(file) {
            Use::Free => false,
            Use::Busy => true,
            Use::Unknown => {
                dir::look_at(file).map_or(true, |seen| (self.writers)(seen.identity()) != Use::Free)
            }
        }
    }
}

impl Watch for Surroundings<'_> {
    fn read(&self, bytes: u64) {
        self.progress.bytes(bytes);
    }

    /// Within an item only a signal ends the work; a time limit waits for its end.
    fn stop(&self) -> bool {
        matches!((self.stop)(), Some(Ended::Signal(_)))
    }

    fn threads(&self) -> usize {
        self.threads
    }
}

/// Carries out a plan, collecting every failure.
#[must_use]
pub fn apply(plan: Plan, surroundings: &Surroundings<'_>) -> Outcome {
    let mut run = Run {
        surroundings,
        inventory: &plan.inventory,
        directories: Directories::new(surroundings.roots, &plan.inventory),
        archives: Archives::default(),
        waited: Duration::ZERO,
        touched: HashMap::new(),
        cut_away: HashMap::new(),
        pending: Vec::new(),
        before: Vec::new(),
    };
    let operations = plan
        .operations
        .iter()
        .map(|operation| run.operation(operation))
        .collect();
    drop(run);
    Outcome {
        ended: (surroundings.stop)(),
        operations,
        plan,
    }
}

/// The state of one application.
struct Run<'a> {
    surroundings: &'a Surroundings<'a>,
    inventory: &'a Inventory,
    directories: Directories<'a>,
    archives: Archives,
    /// How long it has waited for writers, in all.
    waited: Duration,
    /// Change time and link count of files of which we removed another name, by device and inode.
    touched: HashMap<(u64, u64), (Time, u32)>,
    /// Bytes that were taken from the heads of logs, by device and inode.
    cut_away: HashMap<(u64, u64), u64>,
    /// Files that are compressed once the writers of as many logs as are taken together were told.
    pending: Vec<Job>,
    /// What was read before each thing asked of agents, in order.
    before: Vec<Before>,
}

/// So many files are open at once, waiting to be compressed.
const TOGETHER: usize = 32;

impl Run<'_> {
    fn operation(&mut self, operation: &OperationPlan) -> OperationOutcome {
        let begun = Instant::now();
        let mut outcome = OperationOutcome {
            statuses: vec![Status::NotReached; operation.actions.len()],
            ..OperationOutcome::default()
        };
        let mut freed = 0;
        self.announce(operation);
        if operation.operation == Operation::ModelArchiving && (self.surroundings.stop)().is_none()
        {
            outcome.faults = self.complete_archives();
        }
        for (number, action) in (0_u32..).zip(&operation.actions) {
            if self.is_complete(action) {
                freed += self.finish_pending(&mut outcome);
            }
            let step = if (self.surroundings.stop)().is_some() {
                Err(Halt::Stopped)
            } else if let Some(halt) = unmet(action, &outcome) {
                Err(halt)
            } else {
                self.act(number, action)
            };
            if matches!(step, Err(Halt::Failed(_))) {
                self.spare(action);
            }
            freed += record(&mut outcome, number, step);
            self.surroundings.progress.action();
        }
        freed += self.finish_pending(&mut outcome);
        outcome.faults.extend(self.archives.close(self.inventory));
        self.measure(operation, &mut outcome);
        outcome.bytes_freed = Some(freed);
        outcome.duration = begun.elapsed();
        outcome
    }

    /// Whether what is pending is to be compressed before this action.
    fn is_complete(&self, next: &Action) -> bool {
        match next.task {
            // They belong to the rotation before them.
            Task::Signal(_) | Task::Hook(_) => false,
            Task::Rotate(_) | Task::Compress(_) => self.pending.len() >= TOGETHER,
            _ => true,
        }
    }

    fn finish_pending(&mut self, outcome: &mut OperationOutcome) -> i64 {
        let packed = self.pack_pending();
        packed
            .into_iter()
            .map(|(number, step)| record(outcome, number, step))
            .sum()
    }

    /// Where a hook or a signal failed, nothing of its log is removed.
    fn spare(&mut self, failed: &Action) {
        if matches!(failed.task, Task::Signal(_) | Task::Hook(_)) {
            let rotation = failed.needs();
            self.pending.retain(|job| Some(job.number) != rotation);
        }
    }

    fn announce(&self, operation: &OperationPlan) {
        let bytes = operation
            .actions
            .iter()
            .filter(|action| !is_removal(&action.task))
            .map(|action| item_bytes(self.inventory, action))
            .sum();
        self.surroundings.progress.begin(
            operation.operation,
            operation.actions.len() as u64,
            bytes,
        );
    }

    fn act(&mut self, number: u32, action: &Action) -> Result<Step, Halt> {
        match &action.task {
            Task::Unlink => self.unlink(action),
            Task::UnlinkFirst(others) => self.unlink_first(action, others),
            Task::RemoveDirectory => self.remove_directory(action.subject),
            Task::RemoveTree => self.remove_own_tree(action.subject),
            Task::Cut(cut) => self.cut(action.subject, cut),
            Task::Resume(intent) => self.resume(action.subject, intent),
            Task::Rotate(rotate) => self.rotate(number, action.subject, rotate),
            Task::Compress(compress) => self.compress(number, action.subject, compress),
            Task::Signal(signal) => self.signal(action.subject, signal),
            Task::Hook(hook) => self.hook(action.subject, hook),
            Task::Archive(model) => self.archive(action.subject, model),
            Task::TakeIn(foreign) => self.take_in(action.subject, foreign),
            Task::ExpireModel(version) => self.expire_model(action.subject, version),
            Task::Restore(restore) => self.restore(action.subject, restore),
            Task::Reclaim(reclaim) => self.reclaim(reclaim),
            Task::Pace(pace) => self.pace(pace),
        }
    }
}

/// Whether a task reads no contents.
const fn is_removal(task: &Task) -> bool {
    matches!(
        task,
        Task::Unlink | Task::UnlinkFirst(_) | Task::RemoveDirectory
    )
}

/// How an action ends whose need was not met: what was left alone for a good reason is no failure.
fn unmet(action: &Action, outcome: &OperationOutcome) -> Option<Halt> {
    match outcome.statuses.get(action.needs()? as usize) {
        Some(Status::Done | Status::Deferred) => None,
        Some(Status::Changed) => Some(Halt::Changed("what it needs was left alone".to_owned())),
        _ => Some(Halt::Unmet),
    }
}

/// Writes down what came of an action, in place of what was said of it before; the bytes that it
/// freed.
fn record(outcome: &mut OperationOutcome, number: u32, step: Result<Step, Halt>) -> i64 {
    let (status, note, freed) = match step {
        Ok(step) => (step.status, step.note, step.freed),
        Err(Halt::Changed(what)) => (Status::Changed, Some(what), 0),
        Err(Halt::Stopped) => (Status::NotReached, None, 0),
        Err(Halt::Unmet) => (
            Status::NotReached,
            Some("what it needs failed".to_owned()),
            0,
        ),
        Err(Halt::Failed(error)) => {
            outcome.errors.insert(number, error.to_string());
            (Status::Failed, None, 0)
        }
    };
    if let Some(place) = outcome.statuses.get_mut(number as usize) {
        *place = status;
    }
    match note {
        Some(note) => drop(outcome.notes.insert(number, note)),
        None => drop(outcome.notes.remove(&number)),
    }
    freed
}

/// Allocated blocks as bytes, signed for differences.
fn disk(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A failure with what was being done, kept as the kind that it is.
fn with(doing: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| {
        if super::compress::is_stopped(&error) {
            error
        } else {
            io::Error::new(error.kind(), format!("{doing}: {error}"))
        }
    }
}
