//! The operations: open, lock, look, plan; then show or apply; then report.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::directories::{self, Directories, Refusals, Wanted};
use super::evidence::{self, Basis, Host, Quiet};
use super::export;
use super::machine::{Machine, holders, host, process_owner, read_metrics, sample, writers};
use super::memory::Memory;
use super::session::{Early, Session};
use super::timetable::{self, Skipped};
use crate::exit::Exit;
use crate::fs::apply::{self, Surroundings};
use crate::fs::evidence as evidence_of_files;
use crate::fs::lock::{self, LockError, Locks};
use crate::fs::scan::{self, Scan};
use crate::fs::{books, manifest};
use crate::plan::action::{Operation, Plan};
use crate::plan::entry::{Inventory, Role};
use crate::plan::outcome::{Ended, Outcome, Status};
use crate::plan::policy::Policies;
use crate::plan::{agents, garbage, reason, restore};
use crate::report::message;
use crate::report::model::{self, Run, Verdict};
use crate::report::progress;
use crate::report::trouble::Failure;
use crate::system::open_files;

/// What is to be done.
pub struct Job<'a> {
    /// The subcommand, as reports name it.
    pub command: &'static str,
    /// In order.
    pub operations: Vec<Operation>,
    /// Where.
    pub wanted: Wanted<'a>,
    /// All operations together, with metrics before and after.
    pub cycle: bool,
    /// Not begun after so long.
    pub timeout: Option<Duration>,
    /// `--force`: rules of age hold though the clock jumped.
    pub force: bool,
    /// What to restore, where that is the job.
    pub restore: Option<restore::Wanted<'a>>,
}

/// The roles that an operation works in.
#[must_use]
pub fn roles(operation: Operation) -> &'static [Role] {
    match operation {
        Operation::GarbageCollection => &[
            Role::Archive,
            Role::Models,
            Role::Logs,
            Role::Cache,
            Role::Garbage,
        ],
        Operation::CacheCleanup => &[Role::Cache],
        Operation::LogRotation => &[Role::Logs],
        Operation::ModelArchiving => &[Role::Models, Role::Archive],
        Operation::ModelRestoring => &[Role::Models, Role::Archive, Role::Target],
        Operation::AgentOptimization | Operation::ProcessOptimization => &[],
    }
}

/// Carries out a job and reports it; the exit code.
pub fn operate(session: &Session, job: Job<'_>) -> Exit {
    let command = job.command;
    match perform(session, job) {
        Ok(exit) => exit,
        Err(early) => session.report_early(command, early),
    }
}

/// The one place that knows of dry runs.
fn perform(session: &Session, mut job: Job<'_>) -> Result<Exit, Early> {
    let dry_run = session.cli.dry_run;
    if !dry_run {
        session.refuse_stray(job.command, job.wanted.typed.is_some())?;
    }
    let directories = open(session, &job)?;
    let (_locks, mut memory) = if dry_run {
        (Locks::default(), Memory::read_only(session)?)
    } else {
        let locks = acquire(session, &directories)?;
        (locks, Memory::open(session, &job)?)
    };
    let session = &session.resumed();
    let schedule = match timetable::choose(session, &mut job, &directories, &memory) {
        Ok(schedule) => schedule,
        Err(skipped) => return Ok(skip(session, &job, *skipped, memory)),
    };
    if !dry_run {
        memory.begin(session, &job);
    }
    let ticks = memory.state.processes.host.clone();
    let before = job.cycle.then(|| read_metrics(&directories, Some(&ticks)));
    let planned = plan(session, &job, &directories, &memory);
    if planned.is_err() && !dry_run {
        memory.abandon(session, &job);
    }
    let Planned { plan, seen } = planned?;
    let outcome = if dry_run {
        Outcome::shown(plan)
    } else {
        recount(carry_out(session, &job, &directories, plan))
    };
    let mut run = Run {
        outcome: Some(&outcome),
        before,
        schedule,
        ..session.run(job.command)
    };
    let mut exit = conclude(session, &job, &directories, &seen, &memory, &mut run);
    run.warnings.append(&mut memory.warnings);
    if !dry_run {
        memory.finish(session, &job, &run, &seen);
        timetable::conclude(session, &mut run, &memory);
        if job.cycle {
            let failed = export::textfile(session, &memory.state, &outcome.plan, &seen);
            run.warnings.extend(failed);
        }
    }
    // What came up while it was written down.
    run.warnings.append(&mut memory.warnings);
    if exit == Exit::Success && !memory.failures.is_empty() {
        exit = Exit::Partial;
    }
    run.errors.append(&mut memory.failures);
    Ok(session.deliver(&mut run, exit))
}

/// What a report says of the machine, its directories and the schedule when the work is done; the
/// exit code.
fn conclude(
    session: &Session,
    job: &Job<'_>,
    directories: &Directories,
    seen: &Seen,
    memory: &Memory,
    run: &mut Run<'_>,
) -> Exit {
    let start = session.ticks.clone();
    run.after = job.cycle.then(|| read_metrics(directories, start.as_ref()));
    run.warnings.extend(directories.notes.iter().cloned());
    run.warnings.extend(seen.jumped.then(|| JUMPED.to_owned()));
    if job.cycle {
        run.success_rate = Some(timetable::success_rate(session, run, memory));
    }
    let exit = judge(run, job);
    run.exit = exit.code();
    exit
}

/// A cycle before its time: says when, and leaves nothing.
fn skip(session: &Session, job: &Job<'_>, skipped: Skipped, memory: Memory) -> Exit {
    let mut run = session.run(job.command);
    run.skipped = Some(skipped.words);
    run.schedule = Some(skipped.schedule);
    run.warnings = memory.warnings;
    session.deliver(&mut run, Exit::Success)
}

/// Opens the directories of a job.
pub fn open(session: &Session, job: &Job<'_>) -> Result<Directories, Early> {
    session.check_base()?;
    directories::open(&session.config, &job.wanted, &session.surroundings).map_err(refused)
}

/// How a run ends that would work where it must not.
pub fn refused(refusals: Refusals) -> Early {
    let failure = |(path, why)| Failure {
        path: Some(path),
        error: why,
        ..Failure::default()
    };
    Early::new(Exit::Usage, refusals.into_iter().map(failure).collect())
}

fn acquire(session: &Session, directories: &Directories) -> Result<Locks, Early> {
    let stop = || session.signals.received().is_some();
    lock::acquire(&directories.roots, session.lock_wait, &stop).map_err(|error| not_locked(&error))
}

/// How a run ends that cannot have the directories for itself.
pub fn not_locked(error: &LockError) -> Early {
    match error {
        LockError::Held(_) => Early::line(Exit::Locked, error),
        LockError::Refused(..) => Early::line(Exit::Failure, error),
        LockError::Stopped(_) => Early {
            interrupted: true,
            ..Early::line(Exit::Partial, error)
        },
    }
}

/// A plan, with what it was made from beside the inventory.
pub struct Planned {
    /// What will be done.
    pub plan: Plan,
    /// What it rests on.
    pub seen: Seen,
}

/// What a plan rests on beside the inventory.
#[derive(Debug, Default)]
pub struct Seen {
    /// The processes.
    pub host: Host,
    /// The clock jumped: rules of age are suspended.
    pub jumped: bool,
}

/// Said where rules of age are suspended.
pub const JUMPED: &str = "the clock jumped since the last run, so nothing is judged by its age; \
                      --force overrides";

/// Looks, and decides.
pub fn plan(
    session: &Session,
    job: &Job<'_>,
    directories: &Directories,
    memory: &Memory,
) -> Result<Planned, Early> {
    let sample = sample(job);
    let mut inventory = look(session, directories);
    if session.signals.received().is_some() {
        return Err(Early::interrupted());
    }
    if let Some(models) = job.restore {
        let plan = super::restore::plan(session, directories, &mut inventory, models)?;
        let operations = vec![plan];
        let plan = Plan {
            inventory,
            operations,
        };
        return Ok(Planned {
            plan,
            seen: Seen::default(),
        });
    }
    let clock = evidence::clock(session.now, &inventory, memory.state.last_run, job.force);
    let host = host(session, job, directories, memory, sample);
    let basis = Basis {
        policies: &session.config.policies,
        verbose: session.cli.verbose,
        interval: session.config.intervals.optimization,
        roots: &directories.roots,
        host: &host,
        clock,
        watch: &Quiet(&session.signals),
    };
    let operations = evidence::plan_all(&job.operations, &basis, &mut inventory);
    let plan = Plan {
        inventory,
        operations,
    };
    let jumped = clock.jumped;
    Ok(Planned {
        plan,
        seen: Seen { host, jumped },
    })
}

/// Everything that decisions rest on, but for file contents.
pub fn look(session: &Session, directories: &Directories) -> Inventory {
    let stop = || session.signals.received().is_some();
    let state = books::Books::open(&session.config.state_directory)
        .and_then(|books| books.identity())
        .ok();
    let mut inventory = scan::scan(&Scan {
        roots: &directories.roots,
        state,
        stop: &stop,
    });
    manifest::add_archives(
        &directories.roots,
        &mut inventory,
        directories.archives.clone(),
        &session.config.policies.models.patterns,
    );
    inventory.open = open_files::read(&directories.roots.devices());
    evidence_of_files::add_log_states(&directories.roots, &mut inventory);
    inventory
}

fn carry_out(session: &Session, job: &Job<'_>, directories: &Directories, plan: Plan) -> Outcome {
    let deadline = job
        .timeout
        .and_then(|timeout| session.started.checked_add(timeout));
    let stop = || {
        session.signals.received().map(Ended::Signal).or_else(|| {
            deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
                .then_some(Ended::Timeout)
        })
    };
    let progress = progress::on_stderr(!session.cli.no_progress && !session.cli.quiet);
    apply::apply(
        plan,
        &Surroundings {
            roots: &directories.roots,
            stop: &stop,
            progress: &*progress,
            writers: &writers,
            holders: &holders,
            threads: threads(session),
            process: &process_owner,
            now: session.now,
            machine: &Machine,
        },
    )
}

/// As many as were asked for, else one for each processor that we may use.
fn threads(session: &Session) -> usize {
    let processors = std::thread::available_parallelism();
    session
        .cli
        .threads
        .or(processors.ok())
        .map_or(1, NonZeroUsize::get)
}

/// Figures that a plan foresaw follow what was done.
fn recount(mut outcome: Outcome) -> Outcome {
    let plan = &mut outcome.plan;
    for (planned, done) in plan.operations.iter_mut().zip(&outcome.operations) {
        if planned.operation == Operation::AgentOptimization {
            planned.metadata = agents::metadata_after(planned, done);
        }
        if planned.operation == Operation::GarbageCollection {
            planned.metadata = garbage::metadata_after(planned, &plan.inventory, &done.statuses);
        }
    }
    outcome
}

/// The exit code of a run that came to its end.
pub fn judge(run: &mut Run<'_>, job: &Job<'_>) -> Exit {
    let Some(outcome) = run.outcome else {
        return Exit::Failure;
    };
    if outcome.ended == Some(Ended::Timeout) {
        run.errors.push(timed_out(job, outcome));
    }
    for operation in &outcome.operations {
        for (path, error) in &operation.faults {
            run.errors.push(Failure {
                path: Some(path.clone()),
                action: Some("write".to_owned()),
                error: error.clone(),
                ..Failure::default()
            });
        }
    }
    match model::verdict(run) {
        Verdict::Success | Verdict::Skipped => Exit::Success,
        Verdict::Partial | Verdict::Failure | Verdict::Interrupted => Exit::Partial,
    }
}

fn timed_out(job: &Job<'_>, outcome: &Outcome) -> Failure {
    let left = outcome
        .operations
        .iter()
        .flat_map(|operation| &operation.statuses)
        .filter(|status| **status == Status::NotReached)
        .count() as u64;
    let limit = job.timeout.map(reason::span).unwrap_or_default();
    let left = message::count(left, ["item was not reached", "items were not reached"]);
    Failure {
        error: format!("--timeout: {limit} had passed before all was done, and {left}"),
        ..Failure::default()
    }
}

/// Whether any operation of the policies would look at anything.
#[must_use]
pub fn enabled(operation: Operation, policies: &Policies) -> bool {
    match operation {
        Operation::GarbageCollection => policies.garbage.enabled,
        Operation::AgentOptimization => policies.agents.enabled,
        Operation::ProcessOptimization => policies.load.enabled,
        _ => true,
    }
}
