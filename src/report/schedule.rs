//! What the report of a cycle says of its schedule: the interval and its changes, what was not due
//! and what ran before its time.

use crate::plan::action::Operation;
use crate::plan::time::Time;

/// The schedule as a cycle leaves it.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Schedule {
    /// Seconds between two cycles from now on.
    pub interval_seconds: u64,
    /// What it was before this cycle; `None` where that is the same.
    pub previous_interval_seconds: Option<u64>,
    /// Failed cycles in a row.
    pub consecutive_failures: u32,
    /// When the next cycle is due.
    pub next_cycle: Time,
    /// Operations that this cycle leaves out.
    pub not_due: Vec<NotDue>,
    /// Operations that run because of a full filesystem.
    pub early: Vec<Early>,
}

/// An operation that is left out.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct NotDue {
    /// Which.
    pub operation: Operation,
    /// When it is due.
    pub next_due: Time,
}

/// An operation that runs before its time.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Early {
    /// Which.
    pub operation: Operation,
    /// How full its fullest filesystem is, in percent.
    pub used_percent: f64,
}

impl Schedule {
    /// `30 → 60 minutes after 3 failures in a row`, where the interval changed.
    #[must_use]
    pub fn change(&self, arrow: &str) -> Option<String> {
        let before = self.previous_interval_seconds?;
        let after = self.interval_seconds;
        let words = match (before % 60, after % 60) {
            (0, 0) => format!("{} {arrow} {} minutes", before / 60, after / 60),
            _ => format!("{before} {arrow} {after} seconds"),
        };
        Some(match self.consecutive_failures {
            0 => format!("{words}, after a success"),
            1 => format!("{words}, after a failure"),
            failures => format!("{words}, after {failures} failures in a row"),
        })
    }

    /// `cache in 5 h, logs in 23 h`, where something was left out.
    #[must_use]
    pub fn waiting(&self, now: Time, label: fn(Operation) -> &'static str) -> Option<String> {
        let words =
            |left: &NotDue| format!("{} {}", label(left.operation), ahead(left.next_due, now));
        let list: Vec<String> = self.not_due.iter().map(words).collect();
        (!list.is_empty()).then(|| list.join(", "))
    }

    /// `cache (filesystem 93.1 % full)`, where something ran before its time.
    #[must_use]
    pub fn pressed(&self, label: fn(Operation) -> &'static str) -> Option<String> {
        let words = |early: &Early| {
            let percent = early.used_percent;
            format!(
                "{} (filesystem {percent:.1} % full)",
                label(early.operation)
            )
        };
        let list: Vec<String> = self.early.iter().map(words).collect();
        (!list.is_empty()).then(|| list.join(", "))
    }
}

/// `in 5 h`: to the nearest, and never sooner than it is by more than half a unit.
#[must_use]
pub fn ahead(time: Time, now: Time) -> String {
    let seconds = time.since(now).as_secs_f64().ceil();
    let whole = |unit: f64| (seconds / unit).round();
    match seconds {
        ..1.0 => "now".to_owned(),
        ..60.0 => format!("in {seconds} s"),
        ..7_200.0 => format!("in {} min", whole(60.0)),
        ..172_800.0 => format!("in {} h", whole(3_600.0)),
        _ => format!("in {} d", whole(86_400.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_interval_is_told_in_minutes() {
        let told = |before, after, failures| {
            Schedule {
                interval_seconds: after,
                previous_interval_seconds: before,
                consecutive_failures: failures,
                ..Schedule::default()
            }
            .change("→")
        };
        for (before, after, failures, words) in [
            (None, 1800, 0, None),
            (
                Some(1800),
                3600,
                3,
                Some("30 → 60 minutes, after 3 failures in a row"),
            ),
            (
                Some(1800),
                2700,
                1,
                Some("30 → 45 minutes, after a failure"),
            ),
            (
                Some(14_400),
                1800,
                0,
                Some("240 → 30 minutes, after a success"),
            ),
            (
                Some(90),
                120,
                4,
                Some("90 → 120 seconds, after 4 failures in a row"),
            ),
        ] {
            assert_eq!(told(before, after, failures).as_deref(), words);
        }
    }

    #[test]
    fn a_time_to_come_is_told_to_the_nearest() {
        for (seconds, words) in [
            (-5, "now"),
            (0, "now"),
            (1, "in 1 s"),
            (59, "in 59 s"),
            (1799, "in 30 min"),
            (5400, "in 90 min"),
            (21_599, "in 6 h"),
            (86_399, "in 24 h"),
            (7 * 86_400 - 1, "in 7 d"),
        ] {
            let told = ahead(Time::from_parts(seconds, 0), Time::from_parts(0, 0));
            assert_eq!(told, words, "{seconds}");
        }
    }
}
