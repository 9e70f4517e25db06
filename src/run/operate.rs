//! The operations: open, lock, look, plan; then show or apply; then report.

use std::time::{Duration, Instant};

use super::directories::{self, Directories, Wanted};
use super::evidence::{self, Basis, Host, Quiet};
use super::machine::{Machine, host, read_metrics, sample, writers};
use super::memory::Memory;
use super::session::{Early, Session};
use crate::exit::Exit;
use crate::fs::apply::{self, Surroundings};
use crate::fs::lock::{self, LockError, Locks};
use crate::fs::scan::{self, Scan};
use crate::fs::{books, manifest};
use crate::plan::action::{Operation, Plan};
use crate::plan::entry::{Inventory, Role};
use crate::plan::outcome::{Ended, Outcome};
use crate::plan::policy::Policies;
use crate::plan::restore;
use crate::plan::{agents, garbage};
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
pub fn operate(session: &Session, job: &Job<'_>) -> Exit {
    match perform(session, job) {
        Ok(exit) => exit,
        Err(early) => session.report_early(job.command, early),
    }
}

/// The one place that knows of dry runs.
fn perform(session: &Session, job: &Job<'_>) -> Result<Exit, Early> {
    let dry_run = session.cli.dry_run;
    if !dry_run {
        session.refuse_stray(job.command, job.wanted.typed.is_some())?;
    }
    let directories = open(session, job)?;
    let (_locks, mut memory) = if dry_run {
        (Locks::default(), Memory::read_only(session)?)
    } else {
        let locks = acquire(session, &directories)?;
        let memory = Memory::open(session, job.wanted.typed.is_none())?;
        (locks, memory)
    };
    let ticks = memory.state.processes.host.clone();
    let before = job.cycle.then(|| read_metrics(&directories, Some(&ticks)));
    let Planned {
        plan,
        host,
        warnings,
    } = plan(session, job, &directories, &memory)?;
    memory.warnings.extend(warnings);
    let outcome = if dry_run {
        Outcome::shown(plan)
    } else {
        memory.begin(session, job);
        recount(carry_out(session, job, &directories, plan))
    };
    let start = session.ticks.clone();
    let after = job
        .cycle
        .then(|| read_metrics(&directories, start.as_ref()));
    let mut run = session.run(job.command);
    run.outcome = Some(&outcome);
    run.before = before;
    run.after = after;
    run.warnings.extend(directories.notes.iter().cloned());
    run.warnings.append(&mut memory.warnings);
    if job.cycle && session.config.export_textfile.is_some() {
        run.warnings.push(NO_EXPORT.to_owned());
    }
    let exit = judge(&mut run, &outcome);
    if !dry_run {
        run.warnings
            .extend(memory.finish(session, job, &run, &host));
    }
    Ok(session.deliver(&mut run, exit))
}

/// Opens the directories of a job.
pub fn open(session: &Session, job: &Job<'_>) -> Result<Directories, Early> {
    session.check_base()?;
    directories::open(&session.config, &job.wanted, &session.surroundings).map_err(|refusals| {
        let errors = refusals
            .into_iter()
            .map(|(path, why)| Failure {
                path: Some(path),
                error: why,
                ..Failure::default()
            })
            .collect();
        Early::new(Exit::Usage, errors)
    })
}

fn acquire(session: &Session, directories: &Directories) -> Result<Locks, Early> {
    let stop = || session.signals.received().is_some();
    lock::acquire(&directories.roots, session.lock_wait, &stop).map_err(|error| match error {
        LockError::Held(_) => Early::line(Exit::Locked, &error),
        LockError::Refused(..) => Early::line(Exit::Failure, &error),
        LockError::Stopped(_) => Early {
            interrupted: true,
            ..Early::line(Exit::Partial, &error)
        },
    })
}

/// A plan, with what it was made from beside the inventory.
pub struct Planned {
    /// What will be done.
    pub plan: Plan,
    /// The processes.
    pub host: Host,
    /// What a person should know.
    pub warnings: Vec<String>,
}

const NO_EXPORT: &str = "[export] textfile is set, and this version writes none";

const JUMPED: &str = "the clock jumped since the last run, so nothing is judged by its age; \
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
            host: Host::default(),
            warnings: Vec::new(),
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
    Ok(Planned {
        plan,
        host,
        warnings: clock
            .jumped
            .then(|| JUMPED.to_owned())
            .into_iter()
            .collect(),
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
            now: session.now,
            machine: &Machine,
        },
    )
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
pub fn judge(run: &mut Run<'_>, outcome: &Outcome) -> Exit {
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
