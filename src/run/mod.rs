//! The use case of each subcommand: load, lock, look, plan, show or apply, report.

mod configure;
mod directories;
mod evidence;
mod explain;
mod export;
mod history;
mod machine;
mod memory;
pub mod mistyped;
mod operate;
mod overrides;
mod restore;
mod session;
mod status;
mod timetable;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{self, Cli, Command, GlobalArgs};
use crate::config::locate::{self, Request, Surroundings};
use crate::config::{self, Config, literal};
use crate::exit::Exit;
use crate::plan::action::Operation;
use crate::plan::entry::Role;
use crate::report::model::Run;
use crate::report::out::{self, Out};
use directories::Wanted;
use operate::Job;
use session::{Early, Session};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an exit code.
    Code(Exit),
    /// By a signal, which the process is to die by.
    Signal(i32),
}

/// Carries out what was typed.
#[must_use]
pub fn run(cli: Cli) -> End {
    let name = name(&cli.command);
    let out = match session::streams(&cli.global, name) {
        Ok(out) => out,
        Err(early) => {
            let run = unstarted(Some(&cli.global), name);
            return End::Code(report_unstarted(run, Out::plain_text(), early));
        }
    };
    match start(cli, out) {
        Ok(end) => end,
        Err((global, early)) => {
            End::Code(report_unstarted(unstarted(Some(&global), name), out, early))
        }
    }
}

fn start(cli: Cli, out: Out) -> Result<End, (GlobalArgs, Early)> {
    let Cli { global, command } = cli;
    let keep = global.clone();
    let begin = move || -> Result<Result<(Session, Command), Exit>, Early> {
        let surroundings = Surroundings::read().map_err(|error| {
            Early::line(
                Exit::Failure,
                &format!("cannot find the current directory: {error}"),
            )
        })?;
        if let Command::Config(args) = &command
            && let Some(exit) = configure::without_configuration(args, &global, &surroundings, out)?
        {
            return Ok(Err(exit));
        }
        let config = load(&global, &command, &surroundings)?;
        Ok(Ok((
            Session::begin(global, surroundings, config, out)?,
            command,
        )))
    };
    let (session, command) = match begin().map_err(|early| (keep, early))? {
        Ok(ready) => ready,
        Err(exit) => return Ok(End::Code(exit)),
    };
    let exit = dispatch(&session, &command);
    Ok(match session.signals.received() {
        Some(signal) => End::Signal(signal),
        None => End::Code(exit),
    })
}

/// The effective configuration. `config --init` and `--check` do not need one that is right.
fn load(
    global: &GlobalArgs,
    command: &Command,
    surroundings: &Surroundings,
) -> Result<Config, Early> {
    let overrides = overrides::of(command)?;
    let request = Request {
        base: global.base.clone(),
        file: global.config.clone(),
    };
    config::load(&request, surroundings, &overrides).map_err(|errors| {
        Early::new(
            Exit::Usage,
            errors.iter().map(session::misconfigured).collect(),
        )
    })
}

/// What is known of a run that never began.
fn unstarted<'a>(global: Option<&GlobalArgs>, name: &str) -> Run<'a> {
    let base = global.and_then(|global| global.base.as_deref());
    let base = base.unwrap_or(Path::new(""));
    // Without a current directory there is nothing that it could be relative to.
    let base = Surroundings::read().map_or_else(
        |_| base.to_path_buf(),
        |around| locate::absolute(&around.cwd, base),
    );
    Run {
        command: name.to_owned(),
        dry_run: global.is_some_and(|global| global.dry_run),
        started: session::now(),
        base,
        config: global.and_then(|global| global.config.clone()),
        ..Run::default()
    }
}

fn report_unstarted(mut run: Run<'_>, out: Out, early: Early) -> Exit {
    run.errors = early.errors;
    run.exit = early.exit.code();
    match out.report(&run) {
        Ok(()) => early.exit,
        Err(error) => {
            out::complain(&format_args!("cannot write the report: {error}"));
            Exit::Failure
        }
    }
}

/// The subcommands, as reports name them.
const NAMES: [&str; 7] = [
    "cycle",
    "archive-models",
    "restore-models",
    "rotate-logs",
    "clean-cache",
    "status",
    "config",
];

const fn name(command: &Command) -> &'static str {
    match command {
        Command::Cycle(_) => "cycle",
        Command::ArchiveModels(_) => "archive-models",
        Command::RestoreModels(_) => "restore-models",
        Command::RotateLogs(_) => "rotate-logs",
        Command::CleanCache(_) => "clean-cache",
        Command::Status(_) => "status",
        Command::Config(_) => "config",
    }
}

fn dispatch(session: &Session, command: &Command) -> Exit {
    let name = name(command);
    match command {
        Command::Cycle(cycle) => run_cycle(session, cycle),
        Command::ArchiveModels(args) => one(
            session,
            name,
            Operation::ModelArchiving,
            (Role::Models, &args.dirs),
            args.explain.as_ref(),
        ),
        Command::RotateLogs(args) => one(
            session,
            name,
            Operation::LogRotation,
            (Role::Logs, &args.dirs),
            args.explain.as_ref(),
        ),
        Command::CleanCache(args) => one(
            session,
            name,
            Operation::CacheCleanup,
            (Role::Cache, &args.dirs),
            args.explain.as_ref(),
        ),
        Command::RestoreModels(args) => restore::restore(session, args),
        Command::Status(args) => status::status(session, args),
        Command::Config(_) => configure::configure(session),
    }
}

fn one(
    session: &Session,
    command: &'static str,
    operation: Operation,
    (role, typed): (Role, &[PathBuf]),
    explain: Option<&PathBuf>,
) -> Exit {
    let job = Job {
        command,
        operations: vec![operation],
        wanted: Wanted {
            roles: operate::roles(operation).to_vec(),
            typed: (!typed.is_empty()).then_some((role, typed)),
            typed_base: session.typed_base(),
            target: None,
        },
        cycle: false,
        force: session.config.policies.logs.force,
        timeout: None,
        restore: None,
    };
    match explain {
        Some(path) => explain::explain(session, &job, path),
        None => operate::operate(session, job),
    }
}

fn run_cycle(session: &Session, cycle: &cli::Cycle) -> Exit {
    let timeout = match cycle.timeout.as_deref().map(literal::duration).transpose() {
        Ok(timeout) => timeout,
        Err(error) => {
            let early = Early::line(Exit::Usage, &format!("--timeout: {error}"));
            return session.report_early("cycle", early);
        }
    };
    operate::operate(session, cycle_job(session, cycle, timeout))
}

fn cycle_job<'a>(session: &Session, cycle: &cli::Cycle, timeout: Option<Duration>) -> Job<'a> {
    let chosen =
        |list: &[cli::Operation], operation| list.iter().any(|typed| planned(*typed) == operation);
    let operations: Vec<Operation> = Operation::CYCLE
        .into_iter()
        .filter(|operation| {
            operate::enabled(*operation, &session.config.policies)
                && (cycle.only.is_empty() || chosen(&cycle.only, *operation))
                && !chosen(&cycle.skip, *operation)
        })
        .collect();
    let mut roles: Vec<Role> = operations
        .iter()
        .flat_map(|operation| operate::roles(*operation))
        .copied()
        .collect();
    roles.sort_unstable();
    roles.dedup();
    Job {
        command: "cycle",
        operations,
        wanted: Wanted {
            roles,
            typed_base: session.typed_base(),
            ..Wanted::default()
        },
        cycle: true,
        force: cycle.force,
        timeout,
        restore: None,
    }
}

/// The operation that was typed, in the words of a plan.
const fn planned(operation: cli::Operation) -> Operation {
    match operation {
        cli::Operation::Garbage => Operation::GarbageCollection,
        cli::Operation::Cache => Operation::CacheCleanup,
        cli::Operation::Logs => Operation::LogRotation,
        cli::Operation::Models => Operation::ModelArchiving,
        cli::Operation::Agents => Operation::AgentOptimization,
        cli::Operation::Processes => Operation::ProcessOptimization,
    }
}
