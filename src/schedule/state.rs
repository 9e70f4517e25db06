//! The state between runs: `.sysopt/state.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::action::Operation;
use crate::plan::processes::Remembered;
use crate::plan::time::Time;

/// The `schema` of a state.
pub const SCHEMA: &str = "sysopt.state/1";

/// Everything that is remembered. Fields of a later version are kept out, missing ones are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// [`SCHEMA`].
    pub schema: String,
    /// The last run that changed or may have changed something, whatever came of it.
    pub last_run: Option<Time>,
    /// A cycle that has begun and not yet ended: found by the next run, it is a failure.
    pub attempt: Option<Time>,
    /// The last cycle that ended.
    pub last_cycle: Option<Cycle>,
    /// Operations by their name, as they last ran.
    pub operations: BTreeMap<Operation, LastRun>,
    /// Since the state was made.
    pub totals: Totals,
    /// Failed cycles in a row.
    pub consecutive_failures: u32,
    /// Processor time and agents at the end of the last run.
    pub processes: Remembered,
}

/// How a cycle ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cycle {
    /// When it began.
    pub timestamp: Option<Time>,
    /// The word of its report.
    pub outcome: String,
    /// Seconds that it took.
    pub duration_seconds: f64,
    /// Share of operations that succeeded, from 0 to 1.
    pub success_rate: f64,
    /// Actions done.
    pub items_processed: u64,
    /// Allocated bytes given back.
    pub bytes_freed: i64,
}

/// How an operation last ran, in a cycle or by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastRun {
    /// When.
    pub timestamp: Option<Time>,
    /// Whether all of its items succeeded.
    pub success: bool,
    /// Actions done.
    pub items_processed: u64,
    /// Allocated bytes given back.
    pub bytes_freed: i64,
    /// Seconds that it took.
    pub duration_seconds: f64,
}

/// Sums over all recorded runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Cycles that ended.
    pub cycles: u64,
    /// Sum of their success rates.
    pub success_rates: f64,
    /// Allocated bytes given back by cycles and by operations run by hand.
    pub bytes_freed: i64,
    /// Actions done.
    pub items_processed: u64,
}

/// What a run hands over to be remembered.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// When it began.
    pub started: Time,
    /// How long it took.
    pub duration: Duration,
    /// The word of its report.
    pub outcome: &'static str,
    /// Each operation that ran.
    pub operations: Vec<(Operation, LastRun)>,
    /// Processor time and agents at its end.
    pub processes: Remembered,
}

impl State {
    /// A state without a past.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            ..Self::default()
        }
    }

    /// A cycle begins.
    #[must_use]
    pub fn begun(mut self, now: Time) -> Self {
        self.attempt = Some(now);
        self
    }

    /// A run of single operations, or of a cycle, has ended.
    #[must_use]
    pub fn finished(mut self, run: &Finished, cycle: bool) -> Self {
        for (operation, last) in &run.operations {
            self.operations.insert(*operation, *last);
            // A sum that is not ours (a damaged file) stays at its end.
            let totals = &mut self.totals;
            totals.items_processed = totals.items_processed.saturating_add(last.items_processed);
            totals.bytes_freed = totals.bytes_freed.saturating_add(last.bytes_freed);
        }
        self.last_run = Some(run.started);
        self.processes = run.processes.clone();
        if cycle {
            self.attempt = None;
            self.count_cycle(run);
        }
        self
    }

    fn count_cycle(&mut self, run: &Finished) {
        let success_rate = success_rate(run.operations.iter().map(|(_, last)| last.success));
        self.totals.cycles += 1;
        self.totals.success_rates += success_rate;
        self.consecutive_failures = if success_rate >= THRESHOLD {
            0
        } else {
            self.consecutive_failures.saturating_add(1)
        };
        self.last_cycle = Some(Cycle {
            timestamp: Some(run.started),
            outcome: run.outcome.to_owned(),
            duration_seconds: run.duration.as_secs_f64(),
            success_rate,
            items_processed: run.operations.iter().map(|(_, l)| l.items_processed).sum(),
            bytes_freed: run.operations.iter().map(|(_, l)| l.bytes_freed).sum(),
        });
    }

    /// Mean success rate of all cycles; `None` before the first.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "2^52 cycles of a minute are eight billion years"
    )]
    pub fn average_success_rate(&self) -> Option<f64> {
        (self.totals.cycles > 0).then(|| self.totals.success_rates / self.totals.cycles as f64)
    }
}

/// From this share of successes on, a cycle has succeeded.
pub const THRESHOLD: f64 = 0.8;

/// The share of successes, from 0 to 1; 1 where nothing ran.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "there are seven operations")]
pub fn success_rate(results: impl Iterator<Item = bool>) -> f64 {
    let (mut good, mut all) = (0_u32, 0_u32);
    for success in results {
        all += 1;
        good += u32::from(success);
    }
    if all == 0 {
        1.0
    } else {
        f64::from(good) / f64::from(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(successes: &[bool]) -> Finished {
        Finished {
            started: Time::from_parts(7, 0),
            operations: Operation::CYCLE
                .into_iter()
                .zip(successes)
                .map(|(operation, success)| {
                    let last = LastRun {
                        success: *success,
                        items_processed: 2,
                        bytes_freed: 10,
                        ..LastRun::default()
                    };
                    (operation, last)
                })
                .collect(),
            ..Finished::default()
        }
    }

    #[test]
    fn a_cycle_adds_up_and_an_operation_by_hand_does_too() {
        let state = State::new()
            .begun(Time::from_parts(7, 0))
            .finished(&run(&[true; 6]), true)
            .finished(&run(&[true]), false);
        assert_eq!(state.totals.cycles, 1);
        assert_eq!(state.totals.items_processed, 14);
        assert_eq!(state.totals.bytes_freed, 70);
        assert_eq!(state.average_success_rate(), Some(1.0));
        assert_eq!(state.attempt, None);
    }

    #[test]
    fn failures_count_in_a_row_and_one_success_forgets_them() {
        let bad = run(&[true, false, false, true, true, true]);
        let state = State::new().finished(&bad, true).finished(&bad, true);
        assert_eq!(state.consecutive_failures, 2);
        let good = run(&[true, true, true, true, true, false]);
        assert_eq!(state.finished(&good, true).consecutive_failures, 0);
    }

    #[test]
    fn what_is_written_reads_back() -> serde_json::Result<()> {
        let state = State::new().finished(&run(&[true, false]), true);
        let text = serde_json::to_string(&state)?;
        assert_eq!(serde_json::from_str::<State>(&text)?, state);
        Ok(())
    }
}
