//! What every subcommand has: what was typed, the configuration, the clock, the streams.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::cli::{ColorWhen, Format, GlobalArgs};
use crate::config::Config;
use crate::config::error::ConfigError;
use crate::config::forbidden::forbidden;
use crate::config::literal;
use crate::config::locate::Surroundings;
use crate::exit::Exit;
use crate::fs::{dir, lease, roots};
use crate::plan::host::Ticks;
use crate::plan::readable;
use crate::plan::time::Time;
use crate::report::look::Color;
use crate::report::model::Run;
use crate::report::out::{self, Out};
use crate::report::trouble::Failure;
use crate::signal::Signals;
use crate::system::metrics;

/// One run.
#[derive(Clone)]
pub struct Session {
    /// Global options.
    pub cli: GlobalArgs,
    /// The environment.
    pub surroundings: Surroundings,
    /// The effective configuration.
    pub config: Config,
    /// How long to wait for other runs.
    pub lock_wait: Duration,
    /// Signals that came.
    pub signals: Signals,
    /// Stdout and stderr.
    pub out: Out,
    /// When the run began, by the wall clock.
    pub now: Time,
    /// The same, by a clock that does not jump.
    pub started: Instant,
    /// Processor time at the beginning.
    pub ticks: Option<Ticks>,
}

/// A run that ends before it has a plan.
#[derive(Debug)]
pub struct Early {
    /// How.
    pub exit: Exit,
    /// Why, a line each.
    pub errors: Vec<Failure>,
    /// By a signal.
    pub interrupted: bool,
}

impl Early {
    /// With these errors.
    #[must_use]
    pub const fn new(exit: Exit, errors: Vec<Failure>) -> Self {
        Self {
            exit,
            errors,
            interrupted: false,
        }
    }

    /// A signal came before there was a plan.
    #[must_use]
    pub const fn interrupted() -> Self {
        Self {
            exit: Exit::Partial,
            errors: Vec::new(),
            interrupted: true,
        }
    }

    /// With one error.
    pub fn line(exit: Exit, error: &impl Display) -> Self {
        let failure = Failure {
            error: error.to_string(),
            ..Failure::default()
        };
        Self::new(exit, vec![failure])
    }
}

/// The first line says what is wrong; the place in the file and the advice stand below it.
#[must_use]
pub fn misconfigured(error: &ConfigError) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines().map(str::to_owned);
    Failure {
        error: lines.next().unwrap_or_default(),
        below: lines.collect(),
        ..Failure::default()
    }
}

/// Whether a directory is there, is not empty, and has none of our records in it.
fn is_somebody_elses(state: &Path) -> bool {
    // The default name is ours whatever is in it.
    if state.ends_with(".sysopt") {
        return false;
    }
    let names = dir::open_root(state).and_then(dir::names);
    let ours = |name: &OsString| {
        dir::is_temporary(name)
            || name
                .to_str()
                .is_some_and(|name| name.starts_with("state.json") || name == "history.jsonl")
    };
    names.is_ok_and(|names| !names.is_empty() && !names.iter().any(ours))
}

/// The state is kept where it may be.
///
/// # Errors
/// Why not: code 2.
pub fn check_state(config: &Config, surroundings: &Surroundings) -> Result<(), Early> {
    let state = &config.state_directory;
    let resolved = roots::resolve(state);
    if let Some(why) = forbidden(&resolved, surroundings, None, None) {
        return refuse(state, &format!("cannot be the state directory: it {why}"));
    }
    if config.directories.iter().any(|it| it.path == *state) {
        return refuse(state, "cannot be the state directory: it is one to work in");
    }
    if is_somebody_elses(&resolved) {
        return refuse(
            state,
            "cannot be the state directory: it holds other files; name one of its own",
        );
    }
    Ok(())
}

fn refuse(path: &Path, why: &str) -> Result<(), Early> {
    let path = readable::path(path);
    Err(Early::line(Exit::Usage, &format!("'{path}' {why}")))
}

/// The subcommand with what was typed behind it, as a shell would take it.
fn command_line(command: &str) -> String {
    let words = std::env::args_os().skip(1).map(|word| {
        let text = readable::path(&word);
        let plain = |c: char| c.is_alphanumeric() || "-_./=,:@%+".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    });
    let words: Vec<String> = words.collect();
    if words.iter().any(|word| word == command) {
        words.join(" ")
    } else {
        command.to_owned()
    }
}

/// The wall clock.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn now() -> Time {
    Time(i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
}

/// The streams as they were asked for.
///
/// # Errors
/// A format that the subcommand does not have.
pub fn streams(cli: &GlobalArgs, command: &str) -> Result<Out, Early> {
    let format = match cli.format {
        Format::Text => out::Format::Text,
        Format::Json => out::Format::Json,
        Format::Prometheus if command == "status" => out::Format::Prometheus,
        Format::Prometheus => {
            return Err(Early::line(
                Exit::Usage,
                &"--format prometheus is for status; text and json are for all",
            ));
        }
    };
    Ok(Out::new(format, color(cli.color), cli.quiet))
}

const fn color(when: ColorWhen) -> Color {
    match when {
        ColorWhen::Auto => Color::Auto,
        ColorWhen::Always => Color::Always,
        ColorWhen::Never => Color::Never,
    }
}

impl Session {
    /// Begins a run with a configuration that was loaded.
    ///
    /// # Errors
    /// `--lock-wait` is not a duration, or signals cannot be listened to.
    pub fn begin(
        cli: GlobalArgs,
        surroundings: Surroundings,
        config: Config,
        out: Out,
    ) -> Result<Self, Early> {
        let lock_wait = match &cli.lock_wait {
            None => Duration::ZERO,
            Some(text) if text == "0" => Duration::ZERO,
            Some(text) => literal::duration(text)
                .map_err(|error| Early::line(Exit::Usage, &format!("--lock-wait: {error}")))?,
        };
        let failed = |error: std::io::Error| Early::line(Exit::Failure, &error);
        let signals = Signals::listen().map_err(failed)?;
        lease::ignore_break_signal().map_err(failed)?;
        let mut config = config;
        config.base = roots::without_dots(&config.base);
        Ok(Self {
            cli,
            surroundings,
            config,
            lock_wait,
            signals,
            out,
            now: now(),
            started: Instant::now(),
            ticks: metrics::ticks(),
        })
    }

    /// The same run, by the clock as it is now: what others wrote while it waited for them is not
    /// in its future.
    #[must_use]
    pub fn resumed(&self) -> Self {
        Self {
            now: now(),
            ..self.clone()
        }
    }

    /// The base is there, and the state is kept where it may be.
    ///
    /// # Errors
    /// What is wrong with them: code 2.
    pub fn check_base(&self) -> Result<(), Early> {
        let base = &self.config.base;
        if let Err(error) = dir::open_root(base)
            && !matches!(error.kind(), std::io::ErrorKind::PermissionDenied)
        {
            return refuse(base, &format!("cannot be the base: {error}"));
        }
        check_state(&self.config, &self.surroundings)
    }

    /// A directory that nobody named is never cleaned.
    ///
    /// # Errors
    /// There is no configuration file, `-C` or DIR; the lines to type instead.
    pub fn refuse_stray(&self, command: &str, typed: bool) -> Result<(), Early> {
        // A file of the user's or the system's without a root may name no directory at all.
        let named = self.config.default_directories || !self.config.directories.is_empty();
        if typed || self.cli.base.is_some() || (self.config.file.is_some() && named) {
            return Ok(());
        }
        let typed = command_line(command);
        Err(Early::line(
            Exit::Usage,
            &format!(
                "no configuration, -C or DIR says where to work; `sysopt -C . {typed}` works in \
                 this directory, `sysopt -C . {typed} --dry-run` shows what it would do"
            ),
        ))
    }

    /// What is reported of every run.
    #[must_use]
    pub fn run<'a>(&self, command: &str) -> Run<'a> {
        Run {
            command: command.to_owned(),
            dry_run: self.cli.dry_run,
            started: self.now,
            duration: self.started.elapsed(),
            base: self.config.base.clone(),
            config: self.config.file.clone(),
            verbose: self.cli.verbose,
            ..Run::default()
        }
    }

    /// Writes the report; the exit code, which is 1 where that failed.
    pub fn deliver(&self, run: &mut Run<'_>, exit: Exit) -> Exit {
        run.exit = exit.code();
        run.duration = self.started.elapsed();
        match self.out.report(run) {
            Ok(()) => exit,
            Err(error) => {
                out::complain(&format_args!("cannot write the report: {error}"));
                Exit::Failure
            }
        }
    }

    /// Reports a run that ended before it had a plan.
    pub fn report_early(&self, command: &str, early: Early) -> Exit {
        let mut run = self.run(command);
        run.errors = early.errors;
        run.interrupted = early.interrupted;
        self.deliver(&mut run, early.exit)
    }

    /// A path that was typed, made absolute: relative to `-C` if that was given.
    #[must_use]
    pub fn typed_base(&self) -> PathBuf {
        match &self.cli.base {
            Some(_) => self.config.base.clone(),
            None => self.surroundings.cwd.clone(),
        }
    }
}
