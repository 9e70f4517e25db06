//! Whether the clock can be trusted: a machine whose clock jumped must not expire what is young.

use std::time::Duration;

use super::time::{Clock, Time};

/// A run that comes so much later than all that is known did not simply wait.
const SILENCE: Duration = Duration::from_hours(30 * 24);

/// Whether rules of age can be applied at `now`.
///
/// They are suspended when now is before the last recorded run, or more than 30 days after both
/// that run and the newest file seen. Without a recorded run nothing says that the clock jumped:
/// an old tree is the usual case of a first run.
#[must_use]
pub fn judge(now: Time, last_run: Option<Time>, newest_file: Option<Time>) -> Clock {
    let jumped = last_run.is_some_and(|last| {
        now < last
            || newest_file
                .is_some_and(|newest| now.since(last) > SILENCE && now.since(newest) > SILENCE)
    });
    Clock { now, jumped }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DAY, NOW, ago};
    use super::*;

    #[test]
    fn ages_are_trusted_unless_the_clock_contradicts_what_is_known() {
        let table = [
            ("first run", None, None, false),
            (
                "first run on an old tree",
                None,
                Some(ago(400 * DAY)),
                false,
            ),
            ("as usual", Some(ago(1)), Some(ago(5)), false),
            ("same instant", Some(NOW), None, false),
            ("before the last run", Some(ago(-1)), Some(ago(5)), true),
            (
                "30 days to the second",
                Some(ago(30 * DAY)),
                Some(ago(30 * DAY)),
                false,
            ),
            (
                "longer than 30 days",
                Some(ago(30 * DAY + 1)),
                Some(ago(31 * DAY)),
                true,
            ),
            (
                "30 days since the last run",
                Some(ago(30 * DAY)),
                Some(ago(31 * DAY)),
                false,
            ),
            (
                "30 days since the newest file",
                Some(ago(31 * DAY)),
                Some(ago(30 * DAY)),
                false,
            ),
            (
                "switched off, files are young",
                Some(ago(90 * DAY)),
                Some(ago(DAY)),
                false,
            ),
            (
                "run lately, files are old",
                Some(ago(DAY)),
                Some(ago(90 * DAY)),
                false,
            ),
            ("nothing to lose", Some(ago(90 * DAY)), None, false),
        ];
        for (case, last, newest, jumped) in table {
            assert_eq!(judge(NOW, last, newest).jumped, jumped, "{case}");
        }
    }
}
