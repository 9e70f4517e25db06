//! The reports of earlier cycles: `.sysopt/history.jsonl`, a line each, the newest last.

use std::io;
use std::time::Duration;

use serde_json::Value;

use super::operate::JUMPED;
use super::session::Session;
use crate::fs::books::Books;
use crate::plan::action::Operation;
use crate::plan::time::Time;
use crate::report::model::{Report, Run, Verdict};
use crate::schedule::state::{Cycle, Finished, LastRun};

/// Its name in the state directory.
pub const HISTORY: &str = "history.jsonl";

/// Earlier reports, newest first; those that cannot be understood are left out.
#[must_use]
pub fn read(session: &Session, count: usize) -> Vec<Value> {
    Books::open(&session.config.state_directory)
        .and_then(|books| books.read(HISTORY))
        .ok()
        .flatten()
        .map(|bytes| lines(&bytes).rev().filter_map(report).take(count).collect())
        .unwrap_or_default()
}

/// The cycle that began at `began`, where the last line says how it ended, and it is not the one
/// that is `counted` already. What a line does not say is left open.
///
/// # Errors
/// Those of reading.
pub fn ended(books: &Books, began: Time, counted: Option<&Cycle>) -> io::Result<Option<Finished>> {
    let bytes = match books.read(HISTORY) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        other => other?,
    };
    let bytes = bytes.unwrap_or_default();
    let last = lines(&bytes).next_back();
    let ended: Option<Ended> = last.and_then(|line| serde_json::from_slice(line).ok());
    Ok(ended
        .filter(|ended| ended.command == "cycle" && ended.timestamp == began)
        .filter(|ended| !counted.is_some_and(|cycle| ended.is(cycle)))
        .map(Ended::finished))
}

/// What the schedule needs of a report.
#[derive(serde::Deserialize)]
struct Ended {
    command: String,
    timestamp: Time,
    cycle_duration_seconds: f64,
    outcome: String,
    operations: Vec<EndedOperation>,
    warnings: Vec<String>,
    errors: Vec<Value>,
}

#[derive(serde::Deserialize)]
struct EndedOperation {
    operation: Operation,
    success: bool,
    items_processed: u64,
    bytes_freed: Option<i64>,
    duration_seconds: f64,
}

impl Ended {
    /// Two cycles may begin in one second, but do not take the same microseconds.
    fn is(&self, cycle: &Cycle) -> bool {
        let difference = (self.cycle_duration_seconds - cycle.duration_seconds).abs();
        cycle.timestamp == Some(self.timestamp) && difference < 1e-6
    }

    fn finished(self) -> Finished {
        let verdict = Verdict::named(&self.outcome);
        // A line does not say what was left out: all of it is due again.
        let unfinished = verdict == Some(Verdict::Interrupted) || !self.errors.is_empty();
        let began = self.timestamp;
        let ran = |it: EndedOperation| {
            let last = LastRun {
                timestamp: Some(began),
                success: it.success,
                unfinished,
                items_processed: it.items_processed,
                bytes_freed: it.bytes_freed.unwrap_or(0),
                duration_seconds: it.duration_seconds,
            };
            (it.operation, last)
        };
        Finished {
            started: began,
            duration: Duration::try_from_secs_f64(self.cycle_duration_seconds).unwrap_or_default(),
            outcome: verdict.map_or("", Verdict::name),
            exit_code: match verdict {
                Some(Verdict::Success) => Some(0),
                Some(Verdict::Partial | Verdict::Failure) => Some(3),
                _ => None,
            },
            jumped: self.warnings.iter().any(|warning| warning == JUMPED),
            operations: self.operations.into_iter().map(ran).collect(),
            ..Finished::default()
        }
    }
}

/// Adds the report of a run, of which the last `keep` are kept. A history that is not ours is set
/// aside, and what of it can be understood begins the new one; a warning then.
///
/// # Errors
/// Those of reading and writing: the history is then what it was.
pub fn append(
    books: &Books,
    run: &Run<'_>,
    keep: usize,
    stamp: &str,
) -> io::Result<Option<String>> {
    let (old, warning) = match books.read(HISTORY) {
        Ok(old) => understood(books, old.unwrap_or_default(), stamp)?,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => set_aside(books, stamp)?,
        Err(error) => return Err(error),
    };
    let mut all: Vec<&[u8]> = lines(&old).collect();
    let from = all.len().saturating_sub(keep.saturating_sub(1));
    all.drain(..from);
    let mut bytes = all.concat();
    if keep > 0 {
        let mut run = run.clone();
        run.brief = true;
        serde_json::to_writer(&mut bytes, &Report::new(&run))?;
        bytes.push(b'\n');
    }
    books.write(HISTORY, &bytes)?;
    Ok(warning)
}

/// The lines that are reports. Where others are among them, the whole is set aside first.
fn understood(books: &Books, old: Vec<u8>, stamp: &str) -> io::Result<(Vec<u8>, Option<String>)> {
    if lines(&old).all(|line| report(line).is_some()) {
        return Ok((old, None));
    }
    let (_, warning) = set_aside(books, stamp)?;
    let good = lines(&old).filter(|line| report(line).is_some());
    Ok((good.collect::<Vec<_>>().concat(), warning))
}

fn set_aside(books: &Books, stamp: &str) -> io::Result<(Vec<u8>, Option<String>)> {
    let aside = books.set_aside(HISTORY, stamp)?;
    let warning = format!(
        "the history could not be understood; it is kept as '{aside}', and a new one begins"
    );
    Ok((Vec::new(), Some(warning)))
}

fn report(line: &[u8]) -> Option<Value> {
    let report: Value = serde_json::from_slice(line).ok()?;
    report.get("schema").is_some().then_some(report)
}

/// Whole lines; a torn one at the end, which a killed run left, is none.
fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n") && line.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_reports_have_a_schema() {
        let bytes = b"{\"schema\":\"a\"}\n\n{\"schema\":\"b\"}\n{\"sch";
        let found: Vec<&[u8]> = lines(bytes).collect();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|line| report(line).is_some()));
        for other in ["[]", "{}", "\u{0}", "{\"schema\""] {
            assert_eq!(report(other.as_bytes()), None, "{other}");
        }
    }
}
