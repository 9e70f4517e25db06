//! What the kernel counts since boot, as differences between two readings; and how long tasks
//! waited, as it averages that itself.

use serde::{Deserialize, Serialize};

use super::percent;

/// Pressure that is high load by itself: over so many percent of the last minute …
const STALLED_MINUTE: f64 = 20.0;
/// … and of the last five, so that a spike is none.
const STALLED_FIVE_MINUTES: f64 = 10.0;

/// Counts since boot (`/proc/vmstat`, and `total=` of `/proc/pressure`), to take differences of.
/// What the kernel does not count is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// When they were read, in milliseconds after boot.
    pub milliseconds: u64,
    /// Processes that were killed for want of memory.
    pub oom_kill: Option<u64>,
    /// Page faults that had to wait for storage.
    pub pgmajfault: Option<u64>,
    /// Pages read from swap.
    pub pswpin: Option<u64>,
    /// Pages written to swap.
    pub pswpout: Option<u64>,
    /// Microseconds in which some task waited for a processor.
    pub cpu_stalled: Option<u64>,
    /// The same for memory.
    pub memory_stalled: Option<u64>,
    /// The same for storage.
    pub io_stalled: Option<u64>,
}

/// What happened between two readings of one boot; all `None` where they cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deltas {
    /// Between the readings.
    pub seconds: Option<f64>,
    /// Processes killed for want of memory.
    pub oom_kill: Option<u64>,
    /// Page faults that had to wait for storage.
    pub pgmajfault: Option<u64>,
    /// Pages read from swap.
    pub pswpin: Option<u64>,
    /// Pages written to swap.
    pub pswpout: Option<u64>,
    /// Share of the time in which some task waited for a processor, in percent.
    pub cpu_pressure: Option<f64>,
    /// The same for memory.
    pub memory_pressure: Option<f64>,
    /// The same for storage.
    pub io_pressure: Option<f64>,
}

impl Counters {
    /// The differences to an earlier reading of the same boot. A count that went backwards was
    /// another one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Deltas {
        let Some(span) = self.milliseconds.checked_sub(earlier.milliseconds) else {
            return Deltas::default();
        };
        let count = |now: Option<u64>, then: Option<u64>| now?.checked_sub(then?);
        let share = |now, then| percent(count(now, then)?, span.saturating_mul(1000));
        Deltas {
            seconds: Some(std::time::Duration::from_millis(span).as_secs_f64()),
            oom_kill: count(self.oom_kill, earlier.oom_kill),
            pgmajfault: count(self.pgmajfault, earlier.pgmajfault),
            pswpin: count(self.pswpin, earlier.pswpin),
            pswpout: count(self.pswpout, earlier.pswpout),
            cpu_pressure: share(self.cpu_stalled, earlier.cpu_stalled),
            memory_pressure: share(self.memory_stalled, earlier.memory_stalled),
            io_pressure: share(self.io_stalled, earlier.io_stalled),
        }
    }
}

/// Shares of time as the kernel averages them, in percent (`Documentation/accounting/psi.rst`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Averages {
    /// Over 10 seconds.
    pub avg10: f64,
    /// Over a minute.
    pub avg60: f64,
    /// Over five minutes.
    pub avg300: f64,
}

/// How tasks waited for one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stall {
    /// Some task waited.
    pub some: Averages,
    /// All tasks waited at once; `None` where the kernel does not say.
    pub full: Option<Averages>,
}

/// How tasks waited, for each resource; `None` where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stalls {
    /// Processor.
    pub cpu: Option<Stall>,
    /// Memory.
    pub memory: Option<Stall>,
    /// Storage.
    pub io: Option<Stall>,
}

impl Stall {
    /// Whether tasks waited for so long that it is no spike: over 20 % of the last minute and over
    /// 10 % of the last five.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.some.avg60 > STALLED_MINUTE && self.some.avg300 > STALLED_FIVE_MINUTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(milliseconds: u64, count: u64) -> Counters {
        Counters {
            milliseconds,
            oom_kill: Some(count),
            pswpin: None,
            memory_stalled: Some(count * 1_000_000),
            ..Counters::default()
        }
    }

    #[test]
    fn differences_are_of_what_was_counted_both_times() {
        let deltas = counters(20_000, 7).since(&counters(10_000, 5));
        assert_eq!(deltas.seconds, Some(10.0));
        assert_eq!((deltas.oom_kill, deltas.pswpin), (Some(2), None));
        assert_eq!(deltas.memory_pressure, Some(20.0));
        let backwards = counters(20_000, 4).since(&counters(10_000, 5));
        assert_eq!(backwards.oom_kill, None);
        assert_eq!(
            counters(5, 9).since(&counters(10, 5)),
            Deltas::default(),
            "an earlier reading that is later"
        );
        let at_once = counters(10, 9).since(&counters(10, 9));
        assert_eq!((at_once.oom_kill, at_once.memory_pressure), (Some(0), None));
    }

    #[test]
    fn a_spike_of_pressure_does_not_last() {
        for (avg60, avg300, lasts) in [
            (20.0, 50.0, false),
            (20.1, 10.0, false),
            (20.1, 10.1, true),
            (90.0, 9.0, false),
        ] {
            let some = Averages {
                avg10: 100.0,
                avg60,
                avg300,
            };
            let stall = Stall { some, full: None };
            assert_eq!(stall.lasts(), lasts, "{avg60} {avg300}");
        }
    }
}
