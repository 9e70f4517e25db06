//! How many trials were made, for people and for the table of the proof.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::check::Verdict;
use super::depth::Depth;
use super::fault::Fault;
use super::trace::Point;

/// The trials of one scenario with one kind of fault.
pub struct Tally {
    name: String,
    depth: Depth,
    /// How many trials there are at the greatest depth.
    of: usize,
    begun: Instant,
    points: BTreeSet<String>,
    faults: BTreeMap<&'static str, usize>,
    not_met: usize,
    wrong: Vec<String>,
}

/// Where the lines are kept: one file per scenario, kind and depth, replaced by the next run.
pub fn lines_of(depth: Depth) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    target.join("sweep").join(depth.name())
}

impl Tally {
    pub fn new(name: &str, depth: Depth, of: usize) -> Self {
        Self {
            name: name.to_owned(),
            depth,
            of,
            begun: Instant::now(),
            points: BTreeSet::new(),
            faults: BTreeMap::new(),
            not_met: 0,
            wrong: Vec::new(),
        }
    }

    pub fn add(&mut self, point: &Point, fault: Fault, verdict: Result<Verdict, String>) {
        if verdict == Ok(Verdict::NotMet) {
            self.not_met += 1;
            return;
        }
        self.points
            .insert(format!("{} {}", point.call, point.number));
        *self.faults.entry(fault.name()).or_default() += 1;
        if let Err(wrong) = verdict {
            say(&format!("sweep: {}: {wrong}", self.name));
            self.wrong.push(wrong);
        }
    }

    /// Writes the line and fails the test where anything was wrong.
    pub fn close(self) {
        let line = self.line();
        say(&format!("sweep: {line}"));
        let kind = if self.faults.contains_key("SIGKILL") {
            "killed"
        } else {
            "refused"
        };
        let dir = lines_of(self.depth);
        fs::create_dir_all(&dir).unwrap();
        fs::write(
            dir.join(format!("{}.{kind}.json", self.name)),
            format!("{line}\n"),
        )
        .unwrap();
        let tried: usize = self.faults.values().sum();
        assert!(tried > 0, "{}: no fault was met", self.name);
        let wrong = self.wrong.len();
        assert!(
            wrong == 0,
            "{wrong} of {tried} went wrong; first: {}",
            self.wrong[0]
        );
    }

    fn line(&self) -> Value {
        json!({
            "scenario": self.name,
            "depth": self.depth.name(),
            "of": self.of,
            "points": self.points.len(),
            "faults": self.faults,
            "not_met": self.not_met,
            "losses": self.wrong.len(),
            "seconds": self.begun.elapsed().as_secs(),
        })
    }
}

/// Not println!, which the test runner keeps to itself.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
