//! What a run remembers of earlier ones, and leaves for later ones.
//!
//! State that cannot be written undoes no work. Because a disk is full, it is a warning; else a
//! failure beside the operations, which all succeeded.

use std::io;
use std::time::{Duration, Instant};

use super::history::{self, HISTORY};
use super::operate::{self, Job, Seen};
use super::session::{Early, Session};
use super::{directories, timetable};
use crate::exit::Exit;
use crate::fs::books::Books;
use crate::fs::lock::{self, Locks};
use crate::plan::action::Operation;
use crate::report::model::{self, Run, View};
use crate::report::trouble::Failure;
use crate::schedule::state::{Finished, LastRun, SCHEMA, State};

const STATE: &str = "state.json";

/// Others hold the state for the instant of a write: no reason to give up.
const INSTANT: Duration = Duration::from_secs(1);

/// A run by hand has done its work when it comes to write, and waits longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The state, and where it is kept.
#[derive(Debug, Default)]
pub struct Memory {
    /// As the last run left it; a cycle that crashed is counted in.
    pub state: State,
    /// What went wrong with it, for the report.
    pub warnings: Vec<String>,
    /// A cycle is at work.
    pub at_work: bool,
    /// What failed with it: no later run knows of this one.
    pub failures: Vec<Failure>,
    books: Option<Books>,
    /// The state could not be read, and stands aside from now on.
    corrupt: bool,
    /// It is there, and could not be read this time.
    unreadable: Option<io::Error>,
    /// That it cannot be written has been said.
    unwritable: bool,
    /// Held by a cycle until it ends: no two cycles with one state.
    lock: Locks,
}

impl Memory {
    /// Reads the state and changes nothing.
    ///
    /// # Errors
    /// It was written by a newer version.
    pub fn read_only(session: &Session) -> Result<Self, Early> {
        let mut memory = Self::default();
        match Books::open(&session.config.state_directory) {
            Ok(books) => {
                memory.load(&books)?;
                memory.at_work = memory.state.attempt.is_some() && lock::is_held(&books);
                if !memory.at_work {
                    memory.recover(session, &books);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => memory.unreadable = Some(error),
        }
        if let Some(error) = memory.unreadable.take() {
            memory.warn("read", session, &error);
        }
        if memory.corrupt {
            let warning = "the state could not be understood; the next run sets it aside";
            memory.warnings.push(warning.to_owned());
        }
        Ok(memory)
    }

    /// The same, for `status`, which shows what it can.
    #[must_use]
    pub fn tolerant(session: &Session) -> Self {
        Self::read_only(session).unwrap_or_else(|early| Self {
            warnings: early.errors.into_iter().map(|error| error.error).collect(),
            ..Self::default()
        })
    }

    /// Reads the state and prepares to write it, unless directories were typed. A cycle locks it.
    ///
    /// # Errors
    /// Another cycle is at work; or it was written by a newer version, and is left alone.
    pub fn open(session: &Session, job: &Job<'_>) -> Result<Self, Early> {
        if job.wanted.typed.is_some() {
            return Self::read_only(session);
        }
        let mut memory = Self::default();
        match Books::make(&session.config.state_directory) {
            Ok(books) => {
                if job.cycle {
                    memory.lock = lock(session, &books, session.lock_wait.max(INSTANT))?;
                }
                memory.load(&books)?;
                books.clear_leftovers(session.now);
                if job.cycle {
                    memory.recover(session, &books);
                }
                match memory.unreadable.take() {
                    None => memory.books = Some(books),
                    Some(error) => memory.fail(session, "read the state in", &error),
                }
            }
            // What cannot be opened cannot be written either: once is enough.
            Err(error) => memory.unwritable(session, &error),
        }
        memory.set_corrupt_aside(session);
        Ok(memory)
    }

    fn load(&mut self, books: &Books) -> Result<(), Early> {
        let bytes = match books.read(STATE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(()),
            // What is no file of ours, or could never be.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.corrupt = true;
                return Ok(());
            }
            // It is there, and may be read the next time: nothing is written over it.
            Err(error) => {
                self.unreadable = Some(error);
                return Ok(());
            }
        };
        match serde_json::from_slice::<State>(&bytes) {
            Ok(state) if state.schema == SCHEMA => self.state = state,
            _ => match newer(&bytes) {
                Some(schema) => {
                    return Err(Early::line(
                        Exit::Failure,
                        &format!(
                            "the state is of schema '{schema}', which this version does not know; \
                             use the newer sysopt, or move the state directory away"
                        ),
                    ));
                }
                None => self.corrupt = true,
            },
        }
        Ok(())
    }

    /// A cycle that ended and was killed before it wrote the state is taken from the history; one
    /// that never ended counts as a failure.
    fn recover(&mut self, session: &Session, books: &Books) {
        let Some(attempt) = self.state.attempt else {
            return;
        };
        let counted = self.state.last_cycle.as_ref();
        match history::ended(books, attempt, counted) {
            Ok(None) => {}
            Ok(Some(mut finished)) => {
                finished.processes = self.state.processes.clone();
                self.warnings.push(format!(
                    "how the cycle that began at {attempt} ended is taken from {HISTORY}: {STATE} \
                     did not have it"
                ));
                self.state = self.after_cycle(session, &finished);
                return;
            }
            // How it ended is known another time.
            Err(error) => {
                self.unreadable = Some(error);
                return;
            }
        }
        self.warnings.push(format!(
            "the cycle that began at {attempt} did not come to its end; it counts as a failure"
        ));
        let rules = timetable::rules(&session.config);
        self.state = std::mem::take(&mut self.state).recovered(&rules.backoff);
    }

    fn set_corrupt_aside(&mut self, session: &Session) {
        if !self.corrupt {
            return;
        }
        let Some(books) = &self.books else { return };
        match books.set_aside(STATE, &session.now.stamp()) {
            Ok(aside) => self.warnings.push(format!(
                "the state could not be understood; it is kept as '{aside}', and a new one begins"
            )),
            Err(error) => self.warn("set aside", session, &error),
        }
    }

    fn warn(&mut self, doing: &str, session: &Session, error: &io::Error) {
        let path = session.config.state_directory.display();
        self.warnings
            .push(format!("cannot {doing} the state in '{path}': {error}"));
    }

    /// It cannot be written. A full disk is a warning; what will not pass by itself is a failure,
    /// or nobody would hear that no interval and no backing off holds any more.
    fn unwritable(&mut self, session: &Session, error: &io::Error) {
        self.unwritable = true;
        if is_full(error) {
            self.warn("write", session, error);
        } else {
            self.fail(session, "write the state in", error);
        }
    }

    fn fail(&mut self, session: &Session, doing: &str, error: &io::Error) {
        self.failures.push(Failure {
            path: Some(session.config.state_directory.clone()),
            action: Some(doing.to_owned()),
            error: error.to_string(),
            ..Failure::default()
        });
    }

    /// Writes down that a cycle begins, so that one that crashes is found.
    pub fn begin(&mut self, session: &Session, job: &Job<'_>) {
        if job.cycle {
            self.replace(session, |state| state.begun(session.now));
        }
    }

    /// Writes down that the run ended before it did anything.
    pub fn abandon(&mut self, session: &Session, job: &Job<'_>) {
        if job.cycle {
            self.replace(session, State::abandoned);
        }
    }

    fn replace(&mut self, session: &Session, next: impl FnOnce(State) -> State) {
        let Some(books) = &self.books else { return };
        self.state = next(with_schema(std::mem::take(&mut self.state)));
        if let Err(error) = write(books, &self.state) {
            self.unwritable(session, &error);
        }
    }

    /// Writes down what the run did; what could not be is among the warnings and failures.
    pub fn finish(&mut self, session: &Session, job: &Job<'_>, run: &Run<'_>, seen: &Seen) {
        if self.books.is_none() {
            return;
        }
        let finished = self.finished(session, run, seen);
        if job.cycle {
            self.finish_cycle(session, run, &finished);
        } else if let Err(error) = self.finish_by_hand(session, &finished) {
            self.unrecorded(session, STATE, &error);
        }
    }

    /// The history first: a cycle that is counted has its line.
    fn finish_cycle(&mut self, session: &Session, run: &Run<'_>, finished: &Finished) {
        let next = self.after_cycle(session, finished);
        let Some(books) = &self.books else { return };
        let keep = session.config.history_keep;
        let listed = history::append(books, run, keep, &session.now.stamp());
        let written = write(books, &next);
        self.state = next;
        match listed {
            Ok(warning) => self.warnings.extend(warning),
            Err(error) => self.unrecorded(session, HISTORY, &error),
        }
        if let Err(error) = written {
            self.unrecorded(session, STATE, &error);
        }
    }

    fn unrecorded(&mut self, session: &Session, name: &str, error: &io::Error) {
        if self.unwritable {
            return;
        }
        if is_full(error) {
            let warning = format!("the run is not recorded in {name}: {error}");
            return self.warnings.push(warning);
        }
        self.failures.push(Failure {
            path: Some(session.config.state_directory.join(name)),
            action: Some("record the run in".to_owned()),
            error: error.to_string(),
            ..Failure::default()
        });
    }

    fn finished(&self, session: &Session, run: &Run<'_>, seen: &Seen) -> Finished {
        Finished {
            started: session.now,
            duration: run.duration,
            outcome: model::verdict(run).name(),
            exit_code: Some(run.exit),
            operations: model::operations(run).map(last_run(session, run)).collect(),
            jumped: seen.jumped,
            processes: seen
                .host
                .remember(&session.config.policies, run.outcome)
                .unwrap_or_else(|| self.state.processes.clone()),
        }
    }

    /// The state after a cycle.
    fn after_cycle(&self, session: &Session, finished: &Finished) -> State {
        let enabled = timetable::enabled(&session.config);
        let backoff = timetable::rules(&session.config).backoff;
        with_schema(self.state.clone()).finished_cycle(finished, &enabled, &backoff)
    }

    /// Others may have written since this run began, so it adds to what is there now.
    fn finish_by_hand(&mut self, session: &Session, finished: &Finished) -> io::Result<()> {
        let Some(books) = &self.books else {
            return Ok(());
        };
        let busy = |early: Early| {
            let words = early.errors.into_iter().map(|failure| failure.error);
            io::Error::other(words.collect::<Vec<_>>().join(", "))
        };
        let _lock = lock(session, books, session.lock_wait.max(PATIENCE)).map_err(busy)?;
        let mut now = Self::default();
        now.load(books).map_err(busy)?;
        write(books, &with_schema(now.state).finished(finished))
    }
}

fn lock(session: &Session, books: &Books, wait: Duration) -> Result<Locks, Early> {
    let stop = || session.signals.received().is_some();
    let path = directories::shown(&session.config.base, &session.config.state_directory);
    let deadline = Instant::now().checked_add(wait);
    let mut locks = Locks::default();
    locks
        .add(&path, books, deadline, &stop)
        .map_err(|error| operate::not_locked(&error))?;
    Ok(locks)
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The schema of a state that a newer version wrote.
fn newer(bytes: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: String,
    }
    let number = |schema: &str| schema.strip_prefix("sysopt.state/")?.parse::<u32>().ok();
    let head: Head = serde_json::from_slice(bytes).ok()?;
    (number(&head.schema)? > number(SCHEMA)?).then_some(head.schema)
}

fn last_run(session: &Session, run: &Run<'_>) -> impl Fn(View<'_>) -> (Operation, LastRun) {
    let timestamp = Some(session.now);
    let ended = run.outcome.is_some_and(|outcome| outcome.ended.is_some());
    move |view| {
        let tally = view.tally();
        let last = LastRun {
            timestamp,
            success: view.success(),
            unfinished: ended && tally.not_reached + tally.deferred > 0,
            items_processed: tally.done,
            bytes_freed: view.bytes_freed().unwrap_or(0),
            duration_seconds: view
                .outcome
                .map_or(0.0, |outcome| outcome.duration.as_secs_f64()),
        };
        (view.plan.operation, last)
    }
}

fn with_schema(state: State) -> State {
    State {
        schema: SCHEMA.to_owned(),
        ..state
    }
}

fn write(books: &Books, state: &State) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(state)?;
    bytes.push(b'\n');
    books.write(STATE, &bytes)
}
