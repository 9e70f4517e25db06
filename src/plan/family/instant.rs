//! Dates, times and Unix times in a name. All are read as UTC: versions are only compared with
//! their own family, whose clock is the same.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::mark::{digits, ends_at, number};

/// 2001 to 2100: other numbers of ten digits are not taken for a Unix time.
const UNIX: std::ops::Range<u64> = 1_000_000_000..4_102_444_800;
/// Other numbers of eight digits are not taken for a date.
const YEARS: std::ops::Range<u64> = 1980..2100;

/// Seconds since the epoch, nanoseconds, and the length of the instant with which a text begins.
pub(super) fn instant_at(text: &[u8]) -> Option<(i64, u32, usize)> {
    let count = digits(text);
    let (when, length) = match count {
        4 => {
            let (date, length) = dashed_date(text)?;
            with_time(text, date, length)
        }
        8 => with_time(text, date(&text[..4], &text[4..6], &text[6..8])?, 8),
        10 | 12 | 14 | 17 | 20 => match packed(&text[..count]) {
            Some(when) => (when, count),
            None => return unix_time(text, count),
        },
        13 => return unix_time(text, count),
        _ => return None,
    };
    if !ends_at(text, length) {
        return None;
    }
    let stamp = TimeZone::UTC.to_timestamp(when).ok()?;
    let nanoseconds = u32::try_from(stamp.subsec_nanosecond()).unwrap_or(0);
    Some((stamp.as_second(), nanoseconds, length))
}

/// Seconds with ten digits, which may have a fraction; milliseconds with thirteen.
fn unix_time(text: &[u8], count: usize) -> Option<(i64, u32, usize)> {
    let value = number(&text[..count])?;
    let (seconds, milliseconds) = match count {
        10 => (value, 0),
        13 => (value / 1000, value % 1000),
        _ => return None,
    };
    let mut nanoseconds = u32::try_from(milliseconds * 1_000_000).ok()?;
    let mut length = count;
    if count == 10 && text.get(count) == Some(&b'.') {
        let parts = digits(&text[count + 1..]);
        let end = count + 1 + parts;
        if (1..=9).contains(&parts) && ends_at(text, end) {
            nanoseconds = fraction(&text[count + 1..end])?;
            length = end;
        }
    }
    (UNIX.contains(&seconds) && ends_at(text, length)).then_some((
        i64::try_from(seconds).ok()?,
        nanoseconds,
        length,
    ))
}

/// Up to nine digits behind a point, in nanoseconds.
fn fraction(text: &[u8]) -> Option<u32> {
    let missing = 9_u32.checked_sub(u32::try_from(text.len()).ok()?)?;
    u32::try_from(number(text)? * 10_u64.pow(missing)).ok()
}

fn date(year: &[u8], month: &[u8], day: &[u8]) -> Option<Date> {
    let year = number(year).filter(|year| YEARS.contains(year))?;
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(number(month)?).ok()?,
        i8::try_from(number(day)?).ok()?,
    )
    .ok()
}

fn time(hour: &[u8], minute: &[u8], second: &[u8], nanoseconds: u32) -> Option<Time> {
    Time::new(
        i8::try_from(number(hour)?).ok()?,
        i8::try_from(number(minute)?).ok()?,
        i8::try_from(number(second)?).ok()?,
        i32::try_from(nanoseconds).ok()?,
    )
    .ok()
}

/// `2025-08-09`, `2025_08_09`, `2025.08.09`.
fn dashed_date(text: &[u8]) -> Option<(Date, usize)> {
    let [y @ .., dash, m1, m2, again, d1, d2] = text.get(..10)? else {
        return None;
    };
    let same = dash == again && matches!(dash, b'-' | b'_' | b'.');
    let date = date(y, &[*m1, *m2], &[*d1, *d2])?;
    (same && digits(&text[8..]) == 2).then_some((date, 10))
}

/// `20250809104603` without separators, from the hour to microseconds.
fn packed(text: &[u8]) -> Option<DateTime> {
    let date = date(&text[..4], &text[4..6], &text[6..8])?;
    let part = |from: usize| text.get(from..from + 2).unwrap_or(b"0");
    let nanoseconds = text.get(14..).filter(|rest| !rest.is_empty());
    let nanoseconds = nanoseconds.map_or(Some(0), fraction)?;
    Some(date.to_datetime(time(part(8), part(10), part(12), nanoseconds)?))
}

/// A date at `0..from`, and the time that may follow it.
fn with_time(text: &[u8], date: Date, from: usize) -> (DateTime, usize) {
    let alone = (date.to_datetime(Time::midnight()), from);
    match text.get(from) {
        Some(b'_' | b'-' | b'T' | b't' | b' ' | b'.') => {}
        _ => return alone,
    }
    match clock_at(&text[from + 1..]) {
        Some((time, length)) => (date.to_datetime(time), from + 1 + length),
        None => alone,
    }
}

/// `104603`, `1046`, `10-46-03`, `10:46`, each with a fraction and a `Z` if it likes.
fn clock_at(text: &[u8]) -> Option<(Time, usize)> {
    let (parts, mut length): ([&[u8]; 3], usize) = match digits(text) {
        6 => ([&text[..2], &text[2..4], &text[4..6]], 6),
        4 => ([&text[..2], &text[2..4], b"0"], 4),
        2 => {
            let joint = *text.get(2)?;
            let known = matches!(joint, b'-' | b'_' | b':' | b'.');
            if !known || digits(&text[3..]) != 2 {
                return None;
            }
            let seconds = text.get(5) == Some(&joint) && digits(&text[6..]) == 2;
            let third = if seconds { &text[6..8] } else { b"0" };
            (
                [&text[..2], &text[3..5], third],
                if seconds { 8 } else { 5 },
            )
        }
        _ => return None,
    };
    let mut nanoseconds = 0;
    if let Some(b'.' | b'_' | b'-') = text.get(length) {
        let count = digits(&text[length + 1..]);
        let end = length + 1 + count;
        // Milliseconds or microseconds, as `%f` writes them.
        if length >= 6 && matches!(count, 3 | 6) {
            nanoseconds = fraction(&text[length + 1..end])?;
            length = end;
        }
    }
    if text.get(length) == Some(&b'Z') {
        length += 1;
    }
    let time = time(parts[0], parts[1], parts[2], nanoseconds)?;
    ends_at(text, length).then_some((time, length))
}
