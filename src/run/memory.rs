//! What a run remembers of earlier ones, and leaves for later ones.
//!
//! State that cannot be written is a warning: the work is done, and what is done must not look
//! undone because a disk is full.

use std::io;

use serde_json::Value;

use super::evidence::Host;
use super::operate::Job;
use super::session::{Early, Session};
use crate::exit::Exit;
use crate::fs::books::Books;
use crate::plan::outcome::Status;
use crate::report::model::{self, Report, Run, View};
use crate::schedule::state::{Finished, LastRun, SCHEMA, State};

const STATE: &str = "state.json";
const HISTORY: &str = "history.jsonl";

/// The state, and where it is kept.
#[derive(Debug, Default)]
pub struct Memory {
    /// As the last run left it.
    pub state: State,
    /// What went wrong with it, for the report.
    pub warnings: Vec<String>,
    books: Option<Books>,
    /// The state could not be read, and stands aside from now on.
    corrupt: bool,
}

impl Memory {
    /// Reads the state and changes nothing.
    ///
    /// # Errors
    /// It was written by a newer version.
    pub fn read_only(session: &Session) -> Result<Self, Early> {
        let mut memory = Self::read(session)?;
        if memory.corrupt {
            let warning = "the state could not be understood; the next run sets it aside";
            memory.warnings.push(warning.to_owned());
        }
        Ok(memory)
    }

    fn read(session: &Session) -> Result<Self, Early> {
        let mut memory = Self::default();
        match Books::open(&session.config.state_directory) {
            Ok(books) => memory.load(&books)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => memory.warn("read", session, &error),
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

    /// Reads the state; with `record`, prepares to write it.
    ///
    /// # Errors
    /// It was written by a newer version, and is left alone.
    pub fn open(session: &Session, record: bool) -> Result<Self, Early> {
        let mut memory = Self::read(session)?;
        if record {
            match Books::make(&session.config.state_directory) {
                Ok(books) => {
                    books.clear_leftovers(session.now);
                    memory.books = Some(books);
                }
                // What cannot be read cannot be written either: once is enough.
                Err(error) if memory.warnings.is_empty() => memory.warn("write", session, &error),
                Err(_) => {}
            }
            memory.set_corrupt_aside(session);
        }
        Ok(memory)
    }

    fn load(&mut self, books: &Books) -> Result<(), Early> {
        let bytes = match books.read(STATE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.warnings
                    .push(format!("cannot read the state: {error}"));
                return Ok(());
            }
        };
        match serde_json::from_slice::<State>(&bytes) {
            Ok(state) if state.schema == SCHEMA => self.state = state,
            Ok(state) if is_newer(&state.schema) => {
                return Err(Early::line(
                    Exit::Failure,
                    &format!(
                        "the state is of schema '{}', which this version does not know; use the \
                         newer sysopt, or move the state directory away",
                        state.schema
                    ),
                ));
            }
            _ => self.corrupt = true,
        }
        Ok(())
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

    /// Writes down that a cycle begins, so that one that crashes is found.
    pub fn begin(&mut self, session: &Session, job: &Job<'_>) {
        if !job.cycle {
            return;
        }
        let state = self.with_schema().begun(session.now);
        if let Some(error) = self.write(&state) {
            self.warn("write", session, &error);
        }
        self.state = state;
    }

    /// Writes down what the run did; warnings.
    pub fn finish(
        &mut self,
        session: &Session,
        job: &Job<'_>,
        run: &Run<'_>,
        host: &Host,
    ) -> Vec<String> {
        let Some(books) = &self.books else {
            return Vec::new();
        };
        let finished = Finished {
            started: session.now,
            duration: session.started.elapsed(),
            outcome: model::verdict(run).name(),
            operations: model::operations(run).map(last_run(session)).collect(),
            processes: host
                .remember(&session.config.policies, run.outcome)
                .unwrap_or_else(|| self.state.processes.clone()),
        };
        let state = self.with_schema().finished(&finished, job.cycle);
        let mut warnings = Vec::new();
        let mut note = |result: io::Result<()>, what: &str| {
            if let Err(error) = result {
                warnings.push(format!("the run is not recorded in {what}: {error}"));
            }
        };
        note(
            to_json(&state).and_then(|bytes| books.write(STATE, &bytes)),
            STATE,
        );
        if job.cycle {
            let keep = session.config.history_keep;
            note(append_history(books, run, keep), HISTORY);
        }
        self.state = state;
        warnings
    }

    fn with_schema(&self) -> State {
        State {
            schema: SCHEMA.to_owned(),
            ..self.state.clone()
        }
    }

    fn write(&self, state: &State) -> Option<io::Error> {
        let books = self.books.as_ref()?;
        to_json(state)
            .and_then(|bytes| books.write(STATE, &bytes))
            .err()
    }
}

/// Earlier reports, newest first; those that cannot be understood are left out.
#[must_use]
pub fn history(session: &Session, count: usize) -> Vec<Value> {
    Books::open(&session.config.state_directory)
        .and_then(|books| books.read(HISTORY))
        .ok()
        .flatten()
        .map(|bytes| {
            lines(&bytes)
                .rev()
                .filter_map(|line| serde_json::from_slice(line).ok())
                .filter(|report: &Value| report.get("schema").is_some())
                .take(count)
                .collect()
        })
        .unwrap_or_default()
}

fn is_newer(schema: &str) -> bool {
    let number = |schema: &str| {
        let (name, number) = schema.split_once('/')?;
        Some((name == "sysopt.state", number.parse::<u32>().ok()?))
    };
    match (number(schema), number(SCHEMA)) {
        (Some((true, theirs)), Some((_, ours))) => theirs > ours,
        _ => false,
    }
}

fn last_run(session: &Session) -> impl Fn(View<'_>) -> (crate::plan::action::Operation, LastRun) {
    let timestamp = Some(session.now);
    move |view| {
        let done = |status: &&Status| **status == Status::Done;
        let statuses = view.outcome.map_or(&[][..], |outcome| &outcome.statuses);
        let last = LastRun {
            timestamp,
            success: view.success(),
            items_processed: statuses.iter().filter(done).count() as u64,
            bytes_freed: view.bytes_freed().unwrap_or(0),
            duration_seconds: view
                .outcome
                .map_or(0.0, |outcome| outcome.duration.as_secs_f64()),
        };
        (view.plan.operation, last)
    }
}

fn to_json(state: &State) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(state)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Whole lines; a torn one at the end is none.
fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n") && line.len() > 1)
}

fn append_history(books: &Books, run: &Run<'_>, keep: usize) -> io::Result<()> {
    let old = books.read(HISTORY)?.unwrap_or_default();
    let line = {
        let mut run = run.clone();
        run.brief = true;
        serde_json::to_vec(&Report::new(&run))?
    };
    let mut all: Vec<&[u8]> = lines(&old).collect();
    let from = all.len().saturating_sub(keep.saturating_sub(1));
    all.drain(..from);
    let mut bytes = all.concat();
    if keep > 0 {
        bytes.extend_from_slice(&line);
        bytes.push(b'\n');
    }
    books.write(HISTORY, &bytes)
}
