//! Sizes, durations and percentages as people type them.
//!
//! The command line and the configuration file share these rules, so they are here and pure. A
//! literal is decimal digits with a unit; arithmetic is exact, and what would overflow is refused.

use std::fmt::Write as _;
use std::time::Duration;

use crate::plan::policy::MinFree;

/// Why a literal is refused, and what to type instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: {hint}")]
pub struct LiteralError {
    /// What is wrong.
    pub problem: String,
    /// What to type.
    pub hint: String,
}

impl LiteralError {
    fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            hint: hint.into(),
        }
    }
}

const SIZE_HINT: &str = "type a number and a unit, such as 500MiB, 1GiB or 500MB";
const DURATION_HINT: &str = "type a number and a unit, such as 30s, 30min, 6h, 7d or 1w";
const NANOSECONDS: u128 = 1_000_000_000;
/// Instants are 64-bit nanoseconds, so a longer span has no meaning.
const LONGEST: u128 = i64::MAX as u128;

/// The units in which [`format_size`] writes, largest first.
const BINARY: [(&str, u64); 6] = [
    ("EiB", 1 << 60),
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// The units in which [`format_duration`] writes, largest first, in seconds.
const SPANS: [(&str, u64); 3] = [("d", 86_400), ("h", 3_600), ("min", 60)];

/// A decimal number: `whole + fraction / 10^scale`.
#[derive(Clone, Copy)]
struct Decimal {
    whole: u128,
    fraction: u128,
    scale: u32,
}

impl Decimal {
    /// The number times the unit, rounded down; `None` on overflow.
    fn times(self, unit: u128) -> Option<u128> {
        let fraction = self.fraction.checked_mul(unit)? / 10_u128.pow(self.scale);
        self.whole.checked_mul(unit)?.checked_add(fraction)
    }
}

/// Takes a number off the front of `text`: the number and the rest. `None` where there is none;
/// an inner `None` where it has too many digits.
fn take_decimal(text: &str) -> Option<(Option<Decimal>, &str)> {
    let (whole, rest) = split_digits(text);
    if whole.is_empty() {
        return None;
    }
    let (fraction, rest) = match rest.strip_prefix('.').map(split_digits) {
        Some(("", _)) => return None,
        Some(parts) => parts,
        None => ("", rest),
    };
    // Digits beyond the eighteenth weigh less than a byte of an EiB or a nanosecond of a week.
    let fraction = &fraction[..fraction.len().min(18)];
    let decimal = whole.parse().ok().map(|whole| Decimal {
        whole,
        fraction: fraction.parse().unwrap_or(0),
        scale: u32::try_from(fraction.len()).unwrap_or(0),
    });
    Some((decimal, rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn is_negative(text: &str) -> bool {
    text.starts_with(['-', '\u{2212}'])
}

fn shown(text: &str) -> String {
    let text: String = text.chars().take(40).collect();
    format!("'{}'", text.escape_debug().to_string().replace("\\'", "'"))
}

/// Reads a size in bytes: `512KiB`, `1.5GiB`, `500MB` (decimal), `100M` (1024, as du and find read
/// it), `1048576`. Any case; a fraction of a byte is rounded down.
///
/// # Errors
/// What is not a size, is negative, or is 16 EiB or more.
pub fn size(text: &str) -> Result<u64, LiteralError> {
    let typed = text.trim();
    if is_negative(typed) {
        return Err(LiteralError::new("a size cannot be negative", SIZE_HINT));
    }
    let Some((number, rest)) = take_decimal(typed) else {
        let problem = format!("{} is not a size", shown(typed));
        return Err(LiteralError::new(problem, SIZE_HINT));
    };
    let written = rest.trim_start();
    if written.is_empty() && typed.contains('.') {
        let problem = format!("{} bytes is not a whole number", shown(typed));
        return Err(LiteralError::new(problem, SIZE_HINT));
    }
    let Some(unit) = size_unit(written) else {
        let problem = format!("{} is not a unit of size", shown(written));
        return Err(LiteralError::new(problem, SIZE_HINT));
    };
    number
        .and_then(|number| number.times(unit))
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| {
            let problem = format!("{} is too large", shown(typed));
            LiteralError::new(problem, "the limit is just under 16EiB")
        })
}

fn size_unit(written: &str) -> Option<u128> {
    let unit = written.to_ascii_lowercase();
    if matches!(unit.as_str(), "" | "b" | "byte" | "bytes") {
        return Some(1);
    }
    let mut letters = unit.chars();
    let power = u32::try_from("kmgtpe".find(letters.next()?)?).ok()? + 1;
    match letters.as_str() {
        "" | "ib" => Some(1024_u128.pow(power)),
        "b" => Some(1000_u128.pow(power)),
        _ => None,
    }
}

/// Writes a size so that [`size`] reads the same number: in the largest binary unit that divides
/// it, else in bytes.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    BINARY
        .iter()
        .find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit))
        .map_or_else(
            || bytes.to_string(),
            |(name, unit)| format!("{}{name}", bytes / unit),
        )
}

/// Reads a duration: `30min`, `6h`, `7d`, `1w`, `1h30m` (`m` is minutes), `0.5h`. Every number has
/// a unit; parts add up.
///
/// # Errors
/// What is not a duration, has no unit, is negative, is in months or years (which have no fixed
/// length), in units under a second, or is over 292 years, where 64-bit nanoseconds end.
pub fn duration(text: &str) -> Result<Duration, LiteralError> {
    let typed = text.trim();
    if is_negative(typed) {
        let problem = "a duration cannot be negative";
        return Err(LiteralError::new(problem, DURATION_HINT));
    }
    let mut rest = typed;
    let mut total = 0_u128;
    loop {
        let Some((number, after)) = take_decimal(rest) else {
            let problem = format!("{} is not a duration", shown(typed));
            return Err(LiteralError::new(problem, DURATION_HINT));
        };
        let digits = &rest[..rest.len() - after.len()];
        let after = after.trim_start();
        let end = after
            .find(|c: char| c.is_ascii_digit() || c.is_whitespace())
            .unwrap_or(after.len());
        let (written, next) = after.split_at(end);
        let unit = duration_unit(written, digits)?;
        total = number
            .and_then(|number| number.times(unit))
            .and_then(|span| total.checked_add(span))
            .filter(|total| *total <= LONGEST)
            .ok_or_else(|| {
                let problem = format!("{} is too long", shown(typed));
                LiteralError::new(problem, "the limit is 106751d, 292 years")
            })?;
        rest = next.trim_start();
        if rest.is_empty() {
            return Ok(Duration::from_nanos(
                u64::try_from(total).unwrap_or(u64::MAX),
            ));
        }
    }
}

/// A unit in nanoseconds. `number` is what stands before it, for the hints.
fn duration_unit(written: &str, number: &str) -> Result<u128, LiteralError> {
    let days = |each: u64| {
        let days = number.parse().ok().and_then(|n: u64| n.checked_mul(each));
        format!("type days, such as {}d", days.unwrap_or(each))
    };
    let seconds = match written.to_ascii_lowercase().as_str() {
        "" => {
            return Err(LiteralError::new(
                format!("{number} has no unit"),
                format!("type {number}s, {number}min, {number}h or {number}d"),
            ));
        }
        // systemd reads M as months, everybody else reads m as minutes.
        "m" if written == "M" => {
            let hint = format!("type {number}min for minutes; {} for months", days(30));
            return Err(LiteralError::new("'M' could be minutes or months", hint));
        }
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "wk" | "week" | "weeks" => 604_800,
        "mo" | "mon" | "month" | "months" => {
            return Err(LiteralError::new("a month has no fixed length", days(30)));
        }
        "y" | "yr" | "year" | "years" => {
            return Err(LiteralError::new("a year has no fixed length", days(365)));
        }
        "ms" | "us" | "ns" | "msec" | "millisecond" | "milliseconds" => {
            let problem = format!("{} is finer than sysopt works", shown(written));
            return Err(LiteralError::new(problem, "type seconds, such as 1s"));
        }
        _ => {
            let problem = format!("{} is not a unit of time", shown(written));
            return Err(LiteralError::new(problem, DURATION_HINT));
        }
    };
    Ok(seconds * NANOSECONDS)
}

/// Writes a duration so that [`duration`] reads the same span: `1d`, `1h30min`, `0.5s`.
#[must_use]
pub fn format_duration(span: Duration) -> String {
    let mut text = String::new();
    let mut seconds = span.as_secs();
    for (name, unit) in SPANS {
        if seconds >= unit {
            let _ = write!(text, "{}{name}", seconds / unit);
            seconds %= unit;
        }
    }
    if span.subsec_nanos() > 0 {
        let fraction = format!("{:09}", span.subsec_nanos());
        let _ = write!(text, "{seconds}.{}s", fraction.trim_end_matches('0'));
    } else if seconds > 0 || text.is_empty() {
        let _ = write!(text, "{seconds}s");
    }
    text
}

/// Reads free space to keep: a percentage from 0 to 100 such as `5%`, or a size.
///
/// # Errors
/// What is neither.
pub fn percent_or_size(text: &str) -> Result<MinFree, LiteralError> {
    let typed = text.trim();
    let Some(number) = typed.strip_suffix('%').map(str::trim_end) else {
        return size(typed).map(MinFree::Bytes);
    };
    let plain = take_decimal(number).is_some_and(|(_, rest)| rest.is_empty());
    match number.parse() {
        Ok(percent) if plain && (0.0..=100.0).contains(&percent) => Ok(MinFree::Percent(percent)),
        _ => Err(LiteralError::new(
            format!("{} is not a percentage", shown(typed)),
            "type a number from 0 to 100 with %, such as 5%, or a size such as 10GiB",
        )),
    }
}

/// Writes free space so that [`percent_or_size`] reads the same.
#[must_use]
pub fn format_min_free(free: MinFree) -> String {
    match free {
        MinFree::Percent(percent) => format!("{percent}%"),
        MinFree::Bytes(bytes) => format_size(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIB: u64 = 1024;
    const HOUR: u64 = 3_600;

    #[test]
    fn sizes_read_as_du_and_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", KIB * KIB),
            ("512KiB", 512 * KIB),
            ("512 kib", 512 * KIB),
            (" 1GiB ", KIB * KIB * KIB),
            ("500MB", 500_000_000),
            ("500mb", 500_000_000),
            ("100M", 100 * KIB * KIB),
            ("1g", KIB * KIB * KIB),
            ("1.5GiB", 1_610_612_736),
            ("0.3KiB", 307),
            ("1.999999999999999999999999999999KiB", 2047),
            ("7B", 7),
            ("15EiB", 15 << 60),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_says_what_to_type() {
        for (text, problem) in [
            ("", "'' is not a size"),
            ("big", "'big' is not a size"),
            ("GiB", "'GiB' is not a size"),
            ("-1GiB", "a size cannot be negative"),
            ("1.5", "'1.5' bytes is not a whole number"),
            ("1.GiB", "'1.GiB' is not a size"),
            ("1,5GiB", "',5GiB' is not a unit of size"),
            ("1e9", "'e9' is not a unit of size"),
            ("1 GiB 2", "'GiB 2' is not a unit of size"),
            ("5%", "'%' is not a unit of size"),
            ("0x10", "'x10' is not a unit of size"),
            ("nan", "'nan' is not a size"),
            ("16EiB", "'16EiB' is too large"),
            (
                "18446744073709551616",
                "'18446744073709551616' is too large",
            ),
            ("1\u{1b}[31m", "'\\u{1b}[31m' is not a unit of size"),
        ] {
            let error = size(text).map_err(|error| error.problem);
            assert_eq!(error, Err(problem.to_owned()), "{text}");
        }
        let digits = "9".repeat(200);
        assert!(size(&digits).is_err_and(|error| error.problem.ends_with("is too large")));
    }

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [
            ("0s", 0),
            ("30min", 1_800),
            ("30m", 1_800),
            ("30 minutes", 1_800),
            ("6h", 6 * HOUR),
            ("6H", 6 * HOUR),
            ("7d", 7 * 24 * HOUR),
            ("1w", 7 * 24 * HOUR),
            ("1h30m", 5_400),
            ("1h 30min", 5_400),
            ("0.5h", 1_800),
            ("106751d", 106_751 * 24 * HOUR),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("1.25s"), Ok(Duration::from_millis(1_250)));
    }

    #[test]
    fn what_is_not_a_duration_says_what_to_type() {
        for (text, error) in [
            ("30", "30 has no unit: type 30s, 30min, 30h or 30d"),
            ("1h30", "30 has no unit: type 30s, 30min, 30h or 30d"),
            (
                "2 months",
                "a month has no fixed length: type days, such as 60d",
            ),
            ("1y", "a year has no fixed length: type days, such as 365d"),
            (
                "3M",
                "'M' could be minutes or months: type 3min for minutes; type days, such as 90d for months",
            ),
            (
                "5ms",
                "'ms' is finer than sysopt works: type seconds, such as 1s",
            ),
            (
                "106752d",
                "'106752d' is too long: the limit is 106751d, 292 years",
            ),
            (
                "99999999999999999999999999999999999999999999d",
                "'9999999999999999999999999999999999999999' is too long: the limit is 106751d, 292 years",
            ),
        ] {
            assert_eq!(duration(text).map_err(|e| e.to_string()), Err(error.into()));
        }
        for text in [
            "",
            "h",
            "-5min",
            "5 parsecs",
            "1h-30m",
            "1.h",
            "∞",
            "1h,",
            "5 5h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn literals_are_written_as_people_would() {
        for (bytes, text) in [
            (0, "0"),
            (1, "1"),
            (1023, "1023"),
            (KIB, "1KiB"),
            (3 << 20, "3MiB"),
            (5 << 30, "5GiB"),
            (7 << 40, "7TiB"),
            (9 << 50, "9PiB"),
            (15 << 60, "15EiB"),
            (1_610_612_736, "1536MiB"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
        for (milliseconds, text) in [
            (0, "0s"),
            (500, "0.5s"),
            (1_000, "1s"),
            (60_000, "1min"),
            (3_600_000, "1h"),
            (86_400_000, "1d"),
            (90_061_250, "1d1h1min1.25s"),
        ] {
            assert_eq!(format_duration(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn free_space_is_a_percentage_or_a_size() {
        assert_eq!(percent_or_size("5%"), Ok(MinFree::Percent(5.0)));
        assert_eq!(percent_or_size("2.5 %"), Ok(MinFree::Percent(2.5)));
        assert_eq!(percent_or_size("100%"), Ok(MinFree::Percent(100.0)));
        assert_eq!(percent_or_size("10GiB"), Ok(MinFree::Bytes(10 << 30)));
        for text in ["%", "101%", "-1%", "nan%", "inf%", "1e1%", "5%%", "five"] {
            assert!(percent_or_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_panic(text in "\\PC*|[0-9.]{0,60} ?[a-zA-Z%-]{0,6}[0-9]*[a-z]*") {
            let _ = size(&text);
            let _ = duration(&text);
            let _ = percent_or_size(&text);
        }

        #[test]
        fn a_formatted_size_reads_back(bytes in any::<u64>(), shift in 0_u32..64) {
            for bytes in [bytes, bytes << shift, bytes >> shift] {
                prop_assert_eq!(size(&format_size(bytes)), Ok(bytes));
            }
        }

        #[test]
        fn a_formatted_duration_reads_back(nanoseconds in 0_u64..=i64::MAX as u64) {
            for span in [
                Duration::from_nanos(nanoseconds),
                Duration::from_secs(nanoseconds / 1_000_000_000),
            ] {
                prop_assert_eq!(duration(&format_duration(span)), Ok(span));
            }
        }

        #[test]
        fn formatted_free_space_reads_back(percent in 0.0_f64..=100.0) {
            let free = MinFree::Percent(percent);
            prop_assert_eq!(percent_or_size(&format_min_free(free)), Ok(free));
        }

        #[test]
        fn a_larger_number_is_never_a_smaller_size(a in any::<u32>(), b in any::<u32>()) {
            for unit in ["", "K", "MB", "MiB"] {
                let read = |n: u32| size(&format!("{n}{unit}")).unwrap_or(0);
                prop_assert_eq!(a.cmp(&b), read(a).cmp(&read(b)));
            }
        }
    }
}
