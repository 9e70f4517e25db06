//! What runs now, and when the rest is due.
//!
//! Every answer comes from stamps of the wall clock, so it has to be harmless when that clock is
//! set: a stamp in the future says nothing, and what it belongs to is due.

use std::time::Duration;

use super::Rules;
use super::state::{LastRun, State};
use crate::plan::action::Operation;
use crate::plan::time::Time;

/// Whether something runs now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Due {
    /// Yes.
    Now(Why),
    /// Not before this instant.
    At(Time),
}

/// Why something runs now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// `--force`.
    Forced,
    /// It is part of every cycle.
    Always,
    /// It never ran.
    First,
    /// Its time has come.
    Elapsed,
    /// Its last run ended before all was tried.
    Unfinished,
    /// Its last run lies in the future: the clock was set back.
    ClockSetBack,
    /// A filesystem that it works on is so full, in percent.
    Pressure(f64),
}

impl Due {
    /// Whether it runs now.
    #[must_use]
    pub const fn is_now(self) -> bool {
        matches!(self, Self::Now(_))
    }

    /// When it runs, where that is not now.
    #[must_use]
    pub const fn later(self) -> Option<Time> {
        match self {
            Self::Now(_) => None,
            Self::At(time) => Some(time),
        }
    }
}

/// Cron starts a little sooner or later than an interval ago: a twentieth of it, and at most a
/// minute, is as good as the whole.
#[must_use]
pub fn slack(interval: Duration) -> Duration {
    (interval / 20).min(Duration::from_mins(1))
}

/// Whether something that began last at `last` and runs once in `interval` runs now.
#[must_use]
pub fn by_interval(last: Option<Time>, interval: Duration, now: Time) -> Due {
    match last {
        None => Due::Now(Why::First),
        Some(last) if last > now => Due::Now(Why::ClockSetBack),
        Some(last) if now.since(last) >= interval.saturating_sub(slack(interval)) => {
            Due::Now(Why::Elapsed)
        }
        Some(last) => Due::At(last.after(interval)),
    }
}

/// Whether a cycle runs now.
#[must_use]
pub fn cycle(state: &State, rules: &Rules, now: Time, force: bool) -> Due {
    if force {
        return Due::Now(Why::Forced);
    }
    by_interval(state.last_cycle_began(), state.interval(rules), now)
}

/// Whether a cycle that runs now has this operation in it. `fullest` is the used share, in percent,
/// of the fullest filesystem that the operation works on.
#[must_use]
pub fn operation(
    operation: Operation,
    last: Option<&LastRun>,
    rules: &Rules,
    fullest: Option<f64>,
    now: Time,
) -> Due {
    let Some(interval) = rules.interval(operation) else {
        return Due::Now(Why::Always);
    };
    let elapsed = by_interval(last.and_then(|last| last.timestamp), interval, now);
    if elapsed.is_now() {
        return elapsed;
    }
    if last.is_some_and(|last| last.unfinished) {
        return Due::Now(Why::Unfinished);
    }
    match fullest {
        Some(percent) if percent > rules.pressure_percent => Due::Now(Why::Pressure(percent)),
        _ => elapsed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::interval::Backoff;
    use super::super::state::Cycle;
    use super::*;
    use crate::plan::testing::{DAY, HOUR, MINUTE, NOW, ago};

    const RULES: Rules = Rules {
        backoff: Backoff {
            base: Duration::from_mins(30),
            max_consecutive_failures: 3,
            multiplier: 2.0,
            max_interval: Duration::from_hours(4),
            reset_after_success: true,
        },
        cache: Duration::from_hours(6),
        logs: Duration::from_hours(24),
        models: Duration::from_hours(7 * 24),
        pressure_percent: 90.0,
    };

    fn ran(seconds_ago: i64) -> LastRun {
        LastRun {
            timestamp: Some(ago(seconds_ago)),
            success: true,
            ..LastRun::default()
        }
    }

    #[test]
    fn slack_is_a_twentieth_and_at_most_a_minute() {
        for (interval, expected) in [(100, 5), (1200, 60), (1800, 60), (86_400, 60), (0, 0)] {
            let slack = slack(Duration::from_secs(interval));
            assert_eq!(slack, Duration::from_secs(expected), "{interval}");
        }
    }

    #[test]
    fn a_cycle_is_due_an_interval_after_the_last_began() {
        let next = |seconds: i64| Due::At(ago(seconds));
        let table = [
            ("never", None, 0, Due::Now(Why::First)),
            ("just ran", Some(0), 0, next(-30 * MINUTE)),
            (
                "a second too soon",
                Some(29 * MINUTE - 1),
                0,
                next(-MINUTE - 1),
            ),
            (
                "within the slack",
                Some(29 * MINUTE),
                0,
                Due::Now(Why::Elapsed),
            ),
            (
                "to the second",
                Some(30 * MINUTE),
                0,
                Due::Now(Why::Elapsed),
            ),
            ("years ago", Some(900 * DAY), 0, Due::Now(Why::Elapsed)),
            ("in the future", Some(-1), 0, Due::Now(Why::ClockSetBack)),
            (
                "far in the future",
                Some(-900 * DAY),
                3,
                Due::Now(Why::ClockSetBack),
            ),
            ("backing off", Some(40 * MINUTE), 1, next(-20 * MINUTE)),
            ("backed off", Some(59 * MINUTE), 1, Due::Now(Why::Elapsed)),
            ("backing off for long", Some(HOUR), 9, next(-3 * HOUR)),
        ];
        for (case, last, steps, expected) in table {
            let state = State {
                last_cycle: last.map(|seconds| Cycle {
                    timestamp: Some(ago(seconds)),
                    ..Cycle::default()
                }),
                backoff_steps: steps,
                ..State::new()
            };
            assert_eq!(cycle(&state, &RULES, NOW, false), expected, "{case}");
            let forced = cycle(&state, &RULES, NOW, true);
            assert_eq!(forced, Due::Now(Why::Forced), "{case}");
        }
    }

    #[test]
    fn operations_are_due_by_their_intervals_or_under_pressure() {
        use Operation::{CacheCleanup as Cache, LogRotation as Logs, ModelArchiving as Models};
        let now = |why| Due::Now(why);
        let at = |seconds| Due::At(ago(seconds));
        let full = Why::Pressure(90.1);
        let table = [
            ("cache", Cache, HOUR, None, at(-5 * HOUR)),
            ("logs", Logs, HOUR, None, at(-23 * HOUR)),
            ("models", Models, DAY, None, at(-6 * DAY)),
            ("slack", Cache, 6 * HOUR - 60, None, now(Why::Elapsed)),
            ("before", Cache, 6 * HOUR - 61, None, at(-61)),
            ("room", Logs, 60, Some(90.0), at(60 - DAY)),
            ("pressure", Logs, 60, Some(90.1), now(full)),
            ("clock", Logs, -1, None, now(Why::ClockSetBack)),
        ];
        for (case, which, seconds, fullest, expected) in table {
            let due = operation(which, Some(&ran(seconds)), &RULES, fullest, NOW);
            assert_eq!(due, expected, "{case}");
        }
    }

    #[test]
    fn three_are_part_of_every_cycle_and_three_wait_whatever_came_of_them() {
        use Operation as O;
        let due = |which, last: Option<&LastRun>| operation(which, last, &RULES, None, NOW);
        let failed = LastRun {
            success: false,
            ..ran(60)
        };
        let unfinished = LastRun {
            unfinished: true,
            ..failed
        };
        for which in [
            O::GarbageCollection,
            O::AgentOptimization,
            O::ProcessOptimization,
        ] {
            assert_eq!(due(which, Some(&ran(0))), Due::Now(Why::Always));
        }
        for which in [O::CacheCleanup, O::LogRotation, O::ModelArchiving] {
            assert_eq!(due(which, None), Due::Now(Why::First));
            assert!(!due(which, Some(&failed)).is_now(), "a failure waits too");
            assert_eq!(due(which, Some(&unfinished)), Due::Now(Why::Unfinished));
        }
    }

    proptest! {
        /// Wherever the clock was when a run was recorded, and wherever it is now: nothing waits
        /// longer than its interval, and after that it is due.
        #[test]
        fn a_clock_that_was_set_is_harmless(
            last in any::<i64>(),
            now in any::<i64>(),
            millis in 1_u64..10_000_000_000,
        ) {
            let (last, now) = (Time(last), Time(now));
            let interval = Duration::from_millis(millis);
            if let Due::At(next) = by_interval(Some(last), interval, now) {
                prop_assert!(next > now);
                prop_assert!(next.since(now) <= interval);
                prop_assert!(by_interval(Some(last), interval, next).is_now());
            }
        }

        /// Once due, it stays due until it runs.
        #[test]
        fn time_makes_due_and_never_undue(
            age in 0_i64..40_000,
            more in 0_i64..40_000,
            interval in 1_u64..20_000,
        ) {
            let interval = Duration::from_secs(interval);
            let at = |age: i64| by_interval(Some(ago(age)), interval, NOW).is_now();
            prop_assert!(!at(age) || at(age + more));
        }

        /// A longer interval never makes anything due sooner.
        #[test]
        fn a_longer_interval_waits_no_less(
            age in 0_i64..40_000,
            interval in 1_u64..20_000,
            more in 0_u64..20_000,
        ) {
            let due = |seconds: u64| {
                by_interval(Some(ago(age)), Duration::from_secs(seconds), NOW).is_now()
            };
            prop_assert!(!due(interval + more) || due(interval));
        }

        /// More pressure never takes an operation out of a cycle, and none is due because of
        /// pressure below the limit.
        #[test]
        fn pressure_only_adds(age in 0_i64..700_000, percent in 0.0_f64..=100.0) {
            for which in Operation::CYCLE {
                let last = ran(age);
                let due = |fullest| operation(which, Some(&last), &RULES, fullest, NOW);
                let (calm, pressed) = (due(None), due(Some(percent)));
                prop_assert!(!calm.is_now() || pressed == calm);
                prop_assert!(percent > RULES.pressure_percent || pressed == calm);
            }
        }
    }
}
