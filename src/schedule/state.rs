//! The state between runs: `.sysopt/state.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Rules;
use super::interval::{Backoff, Standing};
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
    /// The last run that changed or may have changed something, whatever came of it, by a clock
    /// that could be trusted.
    pub last_run: Option<Time>,
    /// A cycle that has begun and not yet ended: found by the next cycle, it is a failure.
    pub attempt: Option<Time>,
    /// The last cycle that ended, or that is known not to have come to its end.
    pub last_cycle: Option<Cycle>,
    /// When the last cycle began in which everything succeeded.
    pub last_success: Option<Time>,
    /// Operations by their name, as they last ran.
    pub operations: BTreeMap<Operation, LastRun>,
    /// Since the state was made.
    pub totals: Totals,
    /// Failed cycles in a row.
    pub consecutive_failures: u32,
    /// How often they have stretched the interval ([`Backoff::interval`]).
    pub backoff_steps: u32,
    /// Processor time and agents at the end of the last run.
    pub processes: Remembered,
}

/// How a cycle ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cycle {
    /// When it began.
    pub timestamp: Option<Time>,
    /// The word of its report, or [`CRASHED`].
    pub outcome: String,
    /// The exit code; `None` where it did not come to its end.
    pub exit_code: Option<u8>,
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
    /// A signal or a time limit ended it before all was tried.
    pub unfinished: bool,
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
    /// The code that it ends with; `None` where that is not known.
    pub exit_code: Option<u8>,
    /// Each operation that ran.
    pub operations: Vec<(Operation, LastRun)>,
    /// Rules of age were suspended: the clock had jumped.
    pub jumped: bool,
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

    /// The interval between cycles as failures have stretched it.
    #[must_use]
    pub fn interval(&self, rules: &Rules) -> Duration {
        rules.backoff.interval(self.backoff_steps)
    }

    /// When the last cycle began.
    #[must_use]
    pub fn last_cycle_began(&self) -> Option<Time> {
        self.last_cycle.as_ref().and_then(|cycle| cycle.timestamp)
    }

    /// A cycle begins.
    #[must_use]
    pub fn begun(mut self, now: Time) -> Self {
        self.attempt = Some(now);
        self
    }

    /// The cycle that had begun ended before it could do anything.
    #[must_use]
    pub fn abandoned(mut self) -> Self {
        self.attempt = None;
        self
    }

    /// A cycle that began and never ended, while none is at work, has crashed: a failure.
    #[must_use]
    pub fn recovered(mut self, backoff: &Backoff) -> Self {
        if let Some(attempt) = self.attempt.take() {
            self.count(backoff, false);
            self.last_cycle = Some(Cycle {
                timestamp: Some(attempt),
                outcome: CRASHED.to_owned(),
                ..Cycle::default()
            });
        }
        self
    }

    /// A run of single operations has ended.
    #[must_use]
    pub fn finished(mut self, run: &Finished) -> Self {
        for (operation, last) in &run.operations {
            self.operations.insert(*operation, *last);
            // A sum that is not ours (a damaged file) stays at its end.
            let totals = &mut self.totals;
            totals.items_processed = totals.items_processed.saturating_add(last.items_processed);
            totals.bytes_freed = totals.bytes_freed.saturating_add(last.bytes_freed);
        }
        // A run far in the future of all that is known proves nothing: the next one is protected
        // too.
        let ahead = run.jumped && self.last_run.is_some_and(|last| last <= run.started);
        if !ahead {
            self.last_run = Some(run.started);
        }
        self.processes = run.processes.clone();
        self
    }

    /// A cycle has ended; `enabled` are the operations that the configuration wants.
    #[must_use]
    pub fn finished_cycle(self, run: &Finished, enabled: &[Operation], backoff: &Backoff) -> Self {
        let mut state = self.finished(run);
        let success_rate = state.success_rate(&[], enabled);
        state.attempt = None;
        state.totals.cycles += 1;
        state.totals.success_rates += success_rate;
        state.count(backoff, success_rate >= THRESHOLD);
        if run.outcome == SUCCESS {
            state.last_success = Some(run.started);
        }
        state.last_cycle = Some(Cycle {
            timestamp: Some(run.started),
            outcome: run.outcome.to_owned(),
            exit_code: run.exit_code,
            duration_seconds: run.duration.as_secs_f64(),
            success_rate,
            items_processed: run.operations.iter().map(|(_, l)| l.items_processed).sum(),
            bytes_freed: run.operations.iter().map(|(_, l)| l.bytes_freed).sum(),
        });
        state
    }

    fn count(&mut self, backoff: &Backoff, success: bool) {
        let standing = Standing {
            failures: self.consecutive_failures,
            steps: self.backoff_steps,
        };
        let next = backoff.after(standing, success);
        self.consecutive_failures = next.failures;
        self.backoff_steps = next.steps;
    }

    /// The share of successes among operations, from 0 to 1: as they ran now, else as they ran
    /// last; 1 where none ever ran.
    #[must_use]
    pub fn success_rate(&self, now: &[(Operation, bool)], among: &[Operation]) -> f64 {
        let result = |operation: &Operation| {
            let ran = now.iter().find(|(ran, _)| ran == operation);
            let last = || self.operations.get(operation).map(|last| last.success);
            ran.map(|(_, success)| *success).or_else(last)
        };
        share(among.iter().filter_map(result))
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

/// The `outcome` of a cycle that never ended.
pub const CRASHED: &str = "crashed";

const SUCCESS: &str = "success";

/// From this share of successes on, a cycle has succeeded.
pub const THRESHOLD: f64 = 0.8;

/// The share of successes, from 0 to 1; 1 of nothing.
fn share(results: impl Iterator<Item = bool>) -> f64 {
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
    use proptest::prelude::*;

    use super::*;

    type Case<'a> = (&'a str, &'a [(Operation, bool)], &'a [Operation], f64);

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_mins(30),
        max_consecutive_failures: 3,
        multiplier: 2.0,
        max_interval: Duration::from_hours(4),
        reset_after_success: true,
    };

    fn run(successes: &[bool]) -> Finished {
        Finished {
            started: Time::from_parts(7, 0),
            outcome: "partial",
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

    fn cycle(state: State, successes: &[bool]) -> State {
        state.finished_cycle(&run(successes), &Operation::CYCLE, &BACKOFF)
    }

    #[test]
    fn a_cycle_adds_up_and_an_operation_by_hand_does_too() {
        let state = State::new().begun(Time::from_parts(7, 0));
        let state = cycle(state, &[true; 6]).finished(&run(&[true]));
        assert_eq!(state.totals.cycles, 1);
        assert_eq!(state.totals.items_processed, 14);
        assert_eq!(state.totals.bytes_freed, 70);
        assert_eq!(state.average_success_rate(), Some(1.0));
        assert_eq!(state.attempt, None);
    }

    #[test]
    fn failures_count_in_a_row_and_one_success_forgets_them() {
        let bad = [true, false, false, true, true, true];
        let state = cycle(cycle(State::new(), &bad), &bad);
        assert_eq!((state.consecutive_failures, state.backoff_steps), (2, 0));
        let state = cycle(state, &bad);
        assert_eq!((state.consecutive_failures, state.backoff_steps), (3, 1));
        let good = [true, true, true, true, true, false];
        let state = cycle(state, &good);
        assert_eq!((state.consecutive_failures, state.backoff_steps), (0, 0));
    }

    #[test]
    fn what_was_not_due_counts_with_its_last_result() {
        use Operation as O;
        let last = |success| LastRun {
            success,
            ..LastRun::default()
        };
        let mut state = State::new();
        state.operations.insert(O::LogRotation, last(false));
        state.operations.insert(O::CacheCleanup, last(true));
        let table: [Case; 6] = [
            ("nothing enabled", &[], &[], 1.0),
            ("never ran", &[], &[O::ModelArchiving], 1.0),
            ("last results", &[], &[O::LogRotation, O::CacheCleanup], 0.5),
            (
                "this run over the last",
                &[(O::LogRotation, true)],
                &[O::LogRotation, O::CacheCleanup],
                1.0,
            ),
            (
                "one ran, one did not, one never did",
                &[(O::GarbageCollection, true)],
                &[O::GarbageCollection, O::LogRotation, O::ModelArchiving],
                0.5,
            ),
            (
                "switched off since",
                &[(O::GarbageCollection, true)],
                &[O::GarbageCollection],
                1.0,
            ),
        ];
        for (case, now, among, expected) in table {
            let rate = state.success_rate(now, among);
            assert!((rate - expected).abs() < 1e-9, "{case}: {rate}");
        }
    }

    #[test]
    fn a_crash_is_a_failure_and_counts_once() {
        let mut state = State::new();
        for crash in 1..=4 {
            let began = Time::from_parts(crash, 0);
            state = state.begun(began).recovered(&BACKOFF);
            let again = state.clone().recovered(&BACKOFF);
            assert_eq!(again, state, "what is known is not counted again");
            assert_eq!(state.last_cycle_began(), Some(began));
            assert_eq!(i64::from(state.consecutive_failures), crash);
        }
        assert_eq!(state.backoff_steps, 2);
        assert_eq!(state.totals.cycles, 0, "only those that ended");
        let state = cycle(state, &[true; 6]);
        assert_eq!((state.consecutive_failures, state.backoff_steps), (0, 0));
    }

    #[test]
    fn a_run_ahead_of_time_leaves_the_last_trusted_one() {
        let at = |seconds, jumped| Finished {
            started: Time::from_parts(seconds, 0),
            jumped,
            ..Finished::default()
        };
        let last = |state: &State| state.last_run.map(Time::seconds);
        let state = State::new().finished(&at(1000, false));
        let ahead = state.clone().finished(&at(9000, true));
        assert_eq!(last(&ahead), Some(1000), "the clock is ahead");
        let back = state.clone().finished(&at(500, true));
        assert_eq!(last(&back), Some(500), "the clock was set back");
        let forced = state.finished(&at(9000, false));
        assert_eq!(last(&forced), Some(9000), "it is trusted again");
    }

    #[test]
    fn what_is_written_reads_back() -> serde_json::Result<()> {
        let state = cycle(State::new(), &[true, false]);
        let text = serde_json::to_string(&state)?;
        assert_eq!(serde_json::from_str::<State>(&text)?, state);
        Ok(())
    }

    proptest! {
        /// Whatever happens in whatever order: the sums only grow, the interval keeps its bounds,
        /// and a cycle in which all succeeded leaves no failure behind.
        #[test]
        fn any_history_leaves_a_sound_state(
            events in proptest::collection::vec((0_u8..4, any::<[bool; 6]>()), 0..30),
        ) {
            let mut state = State::new();
            for (kind, successes) in events {
                let cycles = state.totals.cycles;
                let now = Time::from_parts(7, 0);
                state = match kind {
                    0 => state.begun(now).recovered(&BACKOFF),
                    1 => state.begun(now).abandoned(),
                    2 => state.finished(&run(&successes)),
                    _ => cycle(state.begun(now), &successes),
                };
                prop_assert_eq!(state.totals.cycles, cycles + u64::from(kind == 3));
                prop_assert_eq!(state.attempt, None);
                let interval = BACKOFF.interval(state.backoff_steps);
                prop_assert!(interval >= BACKOFF.base && interval <= BACKOFF.max_interval);
                prop_assert!(state.backoff_steps <= state.consecutive_failures);
                if kind == 3 && successes == [true; 6] {
                    prop_assert_eq!(state.consecutive_failures, 0);
                }
                let rate = state.success_rate(&[], &Operation::CYCLE);
                prop_assert!((0.0..=1.0).contains(&rate));
            }
        }
    }
}
