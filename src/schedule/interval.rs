//! The time between two cycles: how failures stretch it, and what brings it back.

use std::time::Duration;

/// `[error_handling]`, and the interval that it stretches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The interval without failures.
    pub base: Duration,
    /// From so many failures in a row on, the interval grows.
    pub max_consecutive_failures: u32,
    /// By this with each failure, at least 1.
    pub multiplier: f64,
    /// Up to this, or the base where that is longer.
    pub max_interval: Duration,
    /// A success brings the base back at once; without it, each success takes back one failure's
    /// worth.
    pub reset_after_success: bool,
}

/// How the last cycles went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Failed cycles in a row.
    pub failures: u32,
    /// How often the interval was multiplied.
    pub steps: u32,
}

impl Backoff {
    /// The interval after so many multiplications: from the base up to the cap.
    #[must_use]
    pub fn interval(&self, steps: u32) -> Duration {
        if steps == 0 {
            // As it is written, to the nanosecond.
            return self.base;
        }
        let exponent = i32::try_from(steps).unwrap_or(i32::MAX);
        let seconds = self.base.as_secs_f64() * self.multiplier.powi(exponent);
        // What is beyond a `Duration`, infinity too, is beyond the cap.
        let stretched = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        stretched.clamp(self.base, self.cap())
    }

    fn cap(&self) -> Duration {
        self.max_interval.max(self.base)
    }

    /// The standing after one more cycle.
    #[must_use]
    pub fn after(&self, standing: Standing, success: bool) -> Standing {
        if success {
            let steps = if self.reset_after_success {
                0
            } else {
                standing.steps.saturating_sub(1)
            };
            return Standing { failures: 0, steps };
        }
        let failures = standing.failures.saturating_add(1);
        // At the cap a further step would change nothing but how long it takes to come back.
        let grows = failures >= self.max_consecutive_failures
            && self.interval(standing.steps) < self.interval(standing.steps.saturating_add(1));
        Standing {
            failures,
            steps: standing.steps.saturating_add(u32::from(grows)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    const DEFAULT: Backoff = Backoff {
        base: minutes(30),
        max_consecutive_failures: 3,
        multiplier: 2.0,
        max_interval: minutes(240),
        reset_after_success: true,
    };

    /// The intervals, in minutes, after each of some cycles; `+` is a success, `-` a failure.
    fn intervals(backoff: &Backoff, cycles: &str) -> Vec<u64> {
        let mut standing = Standing::default();
        cycles
            .chars()
            .map(|cycle| {
                standing = backoff.after(standing, cycle == '+');
                backoff.interval(standing.steps).as_secs() / 60
            })
            .collect()
    }

    #[test]
    fn the_third_failure_in_a_row_begins_to_stretch_the_interval() {
        let lasting = Backoff {
            reset_after_success: false,
            ..DEFAULT
        };
        let once = Backoff {
            max_consecutive_failures: 1,
            multiplier: 1.5,
            max_interval: minutes(60),
            ..DEFAULT
        };
        let short_cap = Backoff {
            max_interval: minutes(5),
            ..DEFAULT
        };
        let flat = Backoff {
            multiplier: 1.0,
            ..DEFAULT
        };
        let table: [(&str, Backoff, &str, &[u64]); 8] = [
            ("as given", DEFAULT, "+--", &[30, 30, 30]),
            ("grows", DEFAULT, "-----", &[30, 30, 60, 120, 240]),
            ("cap", DEFAULT, "-------", &[30, 30, 60, 120, 240, 240, 240]),
            ("reset", DEFAULT, "----+--", &[30, 30, 60, 120, 30, 30, 30]),
            (
                "without a reset, step by step",
                lasting,
                "------++++",
                &[30, 30, 60, 120, 240, 240, 120, 60, 30, 30],
            ),
            ("at once, up to the cap", once, "---+", &[45, 60, 60, 30]),
            ("a cap below the base", short_cap, "----", &[30; 4]),
            ("times one", flat, "----+", &[30; 5]),
        ];
        for (case, backoff, cycles, expected) in table {
            assert_eq!(intervals(&backoff, cycles), expected, "{case}");
        }
    }

    fn backoffs() -> impl Strategy<Value = Backoff> {
        let span = || (1_u64..10_000_000_000).prop_map(Duration::from_millis);
        (span(), 1_u32..6, 1.0_f64..1000.0, span(), any::<bool>()).prop_map(
            |(base, most, multiplier, max_interval, reset_after_success)| Backoff {
                base,
                max_consecutive_failures: most,
                multiplier,
                max_interval,
                reset_after_success,
            },
        )
    }

    fn standings() -> impl Strategy<Value = Standing> {
        (any::<u32>(), any::<u32>()).prop_map(|(failures, steps)| Standing { failures, steps })
    }

    proptest! {
        #[test]
        fn never_below_the_base_and_never_above_the_cap(
            backoff in backoffs(),
            standing in standings(),
            cycles in proptest::collection::vec(any::<bool>(), 0..40),
        ) {
            let mut standing = standing;
            for success in cycles {
                standing = backoff.after(standing, success);
                let interval = backoff.interval(standing.steps);
                prop_assert!(interval >= backoff.base);
                prop_assert!(interval <= backoff.max_interval.max(backoff.base));
            }
        }

        #[test]
        fn a_failure_never_shortens_and_a_success_never_stretches(
            backoff in backoffs(),
            standing in standings(),
        ) {
            let now = backoff.interval(standing.steps);
            let failed = backoff.after(standing, false);
            let succeeded = backoff.after(standing, true);
            prop_assert!(backoff.interval(failed.steps) >= now);
            prop_assert!(backoff.interval(succeeded.steps) <= now);
            prop_assert_eq!(succeeded.failures, 0);
        }

        #[test]
        fn one_success_resets_whatever_was(backoff in backoffs(), standing in standings()) {
            let backoff = Backoff { reset_after_success: true, ..backoff };
            let after = backoff.after(standing, true);
            prop_assert_eq!(after, Standing::default());
            prop_assert_eq!(backoff.interval(after.steps), backoff.base);
        }

        #[test]
        fn as_many_successes_as_failures_bring_the_base_back(
            backoff in backoffs(),
            failures in 0_usize..60,
        ) {
            let mut standing = Standing::default();
            for success in [false, true] {
                for _ in 0..failures {
                    standing = backoff.after(standing, success);
                }
            }
            prop_assert_eq!(backoff.interval(standing.steps), backoff.base);
        }
    }
}
