//! Instants as the kernel gives them: one word, so that a million files stay small.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// An instant in nanoseconds since the Unix epoch, UTC; good until the year 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// From seconds and nanoseconds as in `struct timespec`; saturates.
    #[must_use]
    pub fn from_parts(seconds: i64, nanoseconds: u32) -> Self {
        Self(
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(i64::from(nanoseconds)),
        )
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The nanoseconds beyond [`Time::seconds`].
    #[must_use]
    pub fn subsecond(self) -> u32 {
        u32::try_from(self.0.rem_euclid(1_000_000_000)).unwrap_or(0)
    }

    /// How long `earlier` lies before this instant; zero where it does not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The instant `span` before this one; saturates.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// The instant `span` after this one; saturates.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// `20261123T210000Z`: the stamp of rotated names.
    #[must_use]
    pub fn stamp(self) -> String {
        self.utc().strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// `20261123`: the date of archived names, in UTC.
    #[must_use]
    pub fn date(self) -> String {
        self.utc().strftime("%Y%m%d").to_string()
    }

    fn utc(self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// RFC 3339 in UTC, to the second.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.utc().strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl serde::Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stamp = Timestamp::deserialize(deserializer)?.as_nanosecond();
        // What is out of reach is at the end that it lies beyond.
        let nearest = if stamp < 0 { i64::MIN } else { i64::MAX };
        Ok(Self(i64::try_from(stamp).unwrap_or(nearest)))
    }
}

/// The clock as a plan sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The instant for which the plan is made.
    pub now: Time,
    /// The clock jumped since the last run: rules of age are suspended.
    pub jumped: bool,
}

impl Clock {
    /// A clock that is trusted.
    #[must_use]
    pub const fn at(now: Time) -> Self {
        Self { now, jumped: false }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stamps_are_utc_and_split_without_loss() {
        let time = Time::from_parts(1_764_018_000, 5);
        assert_eq!(time.stamp(), "20251124T210000Z");
        assert_eq!(time.date(), "20251124");
        assert_eq!(time.to_string(), "2025-11-24T21:00:00Z");
        assert_eq!((time.seconds(), time.subsecond()), (1_764_018_000, 5));
        assert_eq!(Time(-1).seconds(), -1);
        assert_eq!(Time(-1).subsecond(), 999_999_999);
    }

    #[test]
    fn a_time_in_the_future_is_zero_ago() {
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
        assert_eq!(Time(i64::MIN).before(Duration::MAX), Time(i64::MIN));
    }

    fn read(text: &str) -> Option<Time> {
        serde_json::from_value(text.into()).ok()
    }

    #[test]
    fn times_beyond_reach_are_at_the_nearer_end() {
        assert_eq!(read("0001-01-01T00:00:00Z"), Some(Time(i64::MIN)));
        assert_eq!(read("9999-12-30T00:00:00Z"), Some(Time(i64::MAX)));
        assert_eq!(read("yesterday"), None);
    }

    #[test]
    fn a_span_moves_an_instant_and_stops_at_the_ends() {
        let span = Duration::from_nanos(4);
        assert_eq!(
            (Time(9).before(span), Time(9).after(span)),
            (Time(5), Time(13))
        );
        assert_eq!(Time(i64::MIN + 1).before(span), Time(i64::MIN));
        assert_eq!(Time(i64::MAX - 1).after(span), Time(i64::MAX));
        assert_eq!(Time(9).since(Time(5)), span);
        assert_eq!(Time::from_parts(i64::MAX, 1), Time(i64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_to_the_second(nanoseconds: i64) {
            let time = Time(nanoseconds);
            let second = Time::from_parts(time.seconds(), 0);
            prop_assert_eq!(read(&time.to_string()), Some(second));
        }

        #[test]
        fn reading_keeps_the_order(a in -9_999_i32..=9_999, b in -9_999_i32..=9_999) {
            let year = |year: i32| {
                let sign = if year < 0 { "-" } else { "" };
                let text = match year.unsigned_abs() {
                    long if year < 0 => format!("{sign}{long:06}-07-01T00:00:00Z"),
                    short => format!("{short:04}-07-01T00:00:00Z"),
                };
                read(&text)
            };
            let (Some(first), Some(second)) = (year(a.min(b)), year(a.max(b))) else {
                return Err(TestCaseError::fail("a year cannot be read"));
            };
            prop_assert!(first <= second);
        }
    }
}
