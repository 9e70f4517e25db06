//! The reports of earlier cycles: `.sysopt/history.jsonl`, a line each, the newest last.

use std::io;

use serde_json::Value;

use super::session::Session;
use crate::fs::books::Books;
use crate::report::model::{Report, Run};

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
