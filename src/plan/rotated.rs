//! Names of rotated logs: made, and read back. Names are parsed as bytes and never globbed, so
//! that a log called `svc[12].log` is nobody else's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::policy::Codec;
use super::time::Time;

/// The longest file name on the filesystems of Linux (`NAME_MAX`).
pub const NAME_MAX: usize = 255;
/// Room that is left for the suffix of any codec, so that compressing later fits too.
const SUFFIX_MAX: usize = 4;
/// `-20261123T210000Z`.
const STAMP: usize = 17;

/// How the bytes of a file are stored, as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// As they are.
    Plain,
    /// `.gz`.
    Gzip,
    /// `.zst`.
    Zstd,
}

impl Form {
    /// What its names end with.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The form that a codec writes.
    #[must_use]
    pub const fn of(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::Plain,
            Codec::Gzip(_) => Self::Gzip,
            Codec::Zstd(_) => Self::Zstd,
        }
    }
}

/// A name that sysopt gave: `LOG-YYYYMMDDTHHMMSSZ[-N][.gz|.zst]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated<'a> {
    /// Name of the log.
    pub log: &'a OsStr,
    /// When it was rotated, to the second.
    pub time: Time,
    /// 1 for the first of that second; from 2 on it is in the name.
    pub serial: u32,
    /// Compressed or not.
    pub form: Form,
}

/// A name that logrotate or a Python handler gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign<'a> {
    /// Name of the log.
    pub log: &'a OsStr,
    /// Its place among the others.
    pub order: Order,
}

/// The place of a foreign rotated file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `.1` is the newest.
    Index(u32),
    /// The date in its name. The handlers write local time, and it is read as UTC: good enough to
    /// order them.
    Date(Time),
}

/// Splits a name into what is before the suffix of a codec, and the form.
#[must_use]
pub fn split_form(name: &OsStr) -> (&OsStr, Form) {
    let bytes = name.as_bytes();
    for form in [Form::Gzip, Form::Zstd] {
        if let Some(stem) = bytes.strip_suffix(form.suffix().as_bytes()) {
            return (OsStr::from_bytes(stem), form);
        }
    }
    (name, Form::Plain)
}

/// Reads a name that sysopt gave.
#[must_use]
pub fn parse(name: &OsStr) -> Option<Rotated<'_>> {
    let (stem, form) = split_form(name);
    let stem = stem.as_bytes();
    let (stamped, serial) = split_serial(stem).unwrap_or((stem, 1));
    let (log, stamp) = stamped.split_at_checked(stamped.len().checked_sub(STAMP)?)?;
    if log.is_empty() {
        return None;
    }
    Some(Rotated {
        log: OsStr::from_bytes(log),
        time: parse_stamp(stamp)?,
        serial,
        form,
    })
}

/// Reads a name that logrotate or a Python handler gave. A name of ours is not foreign.
#[must_use]
pub fn parse_foreign(name: &OsStr) -> Option<Foreign<'_>> {
    if parse(name).is_some() {
        return None;
    }
    let bytes = name.as_bytes();
    let stem = [".gz", ".zst", ".bz2", ".xz"]
        .iter()
        .find_map(|suffix| bytes.strip_suffix(suffix.as_bytes()))
        .unwrap_or(bytes);
    let at = stem.iter().rposition(|byte| *byte == b'.');
    let (log, order) = at
        .and_then(|at| Some((&stem[..at], dotted(&stem[at + 1..])?)))
        .or_else(|| dashed(stem))?;
    (!log.is_empty()).then_some(Foreign {
        log: OsStr::from_bytes(log),
        order,
    })
}

/// The rotated name of a log without the suffix of a codec.
#[must_use]
pub fn stem(log: &OsStr, time: Time, serial: u32) -> OsString {
    let mut name = log.to_os_string();
    name.push("-");
    name.push(time.stamp());
    if serial > 1 {
        name.push(format!("-{serial}"));
    }
    name
}

/// The first rotated name of a log, without suffix, that is not taken in any form; `None` where
/// names of that length do not exist.
///
/// A name that became free within its second is not given again: serials begin after that of the
/// newest rotated file, so that the order of the names is the order of the rotations.
#[must_use]
pub fn free_name(
    log: &OsStr,
    time: Time,
    newest: Option<(Time, u32)>,
    taken: impl Fn(&OsStr) -> bool,
) -> Option<OsString> {
    let first = match newest {
        Some((last, serial)) if last.seconds() == time.seconds() => serial.saturating_add(1),
        _ => 1,
    };
    for serial in first..u32::MAX {
        let name = stem(log, time, serial);
        if name.len() + SUFFIX_MAX > NAME_MAX {
            return None;
        }
        let in_use = [Form::Plain, Form::Gzip, Form::Zstd].iter().any(|form| {
            let mut full = name.clone();
            full.push(form.suffix());
            taken(&full)
        });
        if !in_use {
            return Some(name);
        }
    }
    None
}

/// `STEM-N`, with N from 2 and without leading zeros, so that each name is read in one way.
fn split_serial(stem: &[u8]) -> Option<(&[u8], u32)> {
    let at = stem.iter().rposition(|byte| *byte == b'-')?;
    let serial = digits(&stem[at + 1..])?;
    (serial >= 2 && stem[at + 1] != b'0').then_some((&stem[..at], serial))
}

/// `-YYYYMMDDTHHMMSSZ`.
fn parse_stamp(stamp: &[u8]) -> Option<Time> {
    let shape = [(0, b'-'), (9, b'T'), (16, b'Z')];
    if stamp.len() != STAMP || shape.iter().any(|(at, byte)| stamp[*at] != *byte) {
        return None;
    }
    let date = (&stamp[1..5], &stamp[5..7], &stamp[7..9]);
    instant(date, [&stamp[10..12], &stamp[12..14], &stamp[14..16]])
}

/// `N`, `YYYY-MM-DD`, `YYYY-MM-DD_HH`, `YYYY-MM-DD_HH-MM`, `YYYY-MM-DD_HH-MM-SS`.
fn dotted(mark: &[u8]) -> Option<Order> {
    if mark.len() <= 5 {
        return digits(mark).map(Order::Index);
    }
    let (date, time) = mark.split_at_checked(10)?;
    let parts: Vec<&[u8]> = date.split(|byte| *byte == b'-').collect();
    let [year, month, day] = parts[..] else {
        return None;
    };
    let mut clock: [&[u8]; 3] = [b"00"; 3];
    if let Some(time) = time.strip_prefix(b"_") {
        for (index, part) in time.split(|byte| *byte == b'-').enumerate() {
            *clock.get_mut(index)? = part;
        }
    } else if !time.is_empty() {
        return None;
    }
    instant((year, month, day), clock).map(Order::Date)
}

/// `LOG-YYYYMMDD`, and `LOG-YYYYMMDDHH`, `LOG-YYYYMMDD-SECONDS` (`dateext`, `dateformat`).
fn dashed(stem: &[u8]) -> Option<(&[u8], Order)> {
    let at = stem.iter().rposition(|byte| *byte == b'-')?;
    let (log, mark) = (&stem[..at], &stem[at + 1..]);
    match mark.len() {
        8 | 10 => {
            let hour = if mark.len() == 10 { &mark[8..] } else { b"00" };
            let date = (&mark[..4], &mark[4..6], &mark[6..8]);
            let by_date = instant(date, [hour, b"00", b"00"]).map(|time| (log, Order::Date(time)));
            by_date.or_else(|| dated_seconds(log, mark))
        }
        _ => None,
    }
}

fn dated_seconds<'a>(log: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], Order)> {
    let seconds = digits(mark)?;
    let (log, order) = dashed(log)?;
    let time = Time::from_parts(i64::from(seconds), 0);
    matches!(order, Order::Date(_)).then_some((log, Order::Date(time)))
}

fn instant((year, month, day): (&[u8], &[u8], &[u8]), clock: [&[u8]; 3]) -> Option<Time> {
    let two = |part: &[u8]| i8::try_from(digits(part).filter(|_| part.len() == 2)?).ok();
    let year = i16::try_from(digits(year).filter(|_| year.len() == 4)?).ok()?;
    let [hour, minute, second] = clock;
    let civil = DateTime::new(
        year,
        two(month)?,
        two(day)?,
        two(hour)?,
        two(minute)?,
        two(second)?,
        0,
    )
    .ok()?;
    let instant = TimeZone::UTC.to_timestamp(civil).ok()?;
    i64::try_from(instant.as_nanosecond()).ok().map(Time)
}

fn digits(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::testing::NOW;
    use super::*;

    fn parsed(name: &str) -> Option<(&str, String, u32, Form)> {
        let found = parse(OsStr::new(name))?;
        Some((
            found.log.to_str()?,
            found.time.stamp(),
            found.serial,
            found.form,
        ))
    }

    #[test]
    fn own_names_are_read() {
        let at = || "20261123T210000Z".to_owned();
        let table = [
            ("a.log-20261123T210000Z", "a.log", 1, Form::Plain),
            ("a.log-20261123T210000Z.gz", "a.log", 1, Form::Gzip),
            ("a.log-20261123T210000Z-2.zst", "a.log", 2, Form::Zstd),
            ("a.log-20261123T210000Z-10", "a.log", 10, Form::Plain),
            (
                "svc[12].log-20261123T210000Z.gz",
                "svc[12].log",
                1,
                Form::Gzip,
            ),
            ("-x\n.log-20261123T210000Z", "-x\n.log", 1, Form::Plain),
            ("a.gz-20261123T210000Z.gz", "a.gz", 1, Form::Gzip),
        ];
        for (name, log, serial, form) in table {
            assert_eq!(parsed(name), Some((log, at(), serial, form)), "{name:?}");
        }
    }

    #[test]
    fn only_valid_dates_and_canonical_serials_are_ours() {
        for name in [
            "a.log",
            "",
            ".gz",
            "-20261123T210000Z",
            "a.log-20261323T210000Z",
            "a.log-20260230T210000Z",
            "a.log-20261123T240000Z",
            "a.log-20261123T210060Z",
            "a.log-20261123T210000",
            "a.log-20261123t210000z",
            "a.log-20261123T210000Z-1",
            "a.log-20261123T210000Z-02",
            "a.log-20261123T210000Z-",
            "a.log-20261123T210000Z-99999999999",
            "a.log-20261123T210000Z.gz.gz",
            "a.log-20261123T210000Z.bz2",
            "a.log-+2026112T210000Z",
            "a.log-99991123T210000Z",
            "a.log20261123T210000Z",
        ] {
            assert_eq!(parsed(name), None, "{name:?}");
        }
    }

    #[test]
    fn names_of_other_tools_are_told_apart() {
        let table = [
            ("a.log.1", Some("a.log"), None),
            ("a.log.2.gz", Some("a.log"), None),
            ("a.log.10.xz", Some("a.log"), None),
            ("a.log-20261123.gz", Some("a.log"), Some("20261123T000000Z")),
            ("a.log-2026112307", Some("a.log"), Some("20261123T070000Z")),
            (
                "a.log-20251124-1764018000",
                Some("a.log"),
                Some("20251124T210000Z"),
            ),
            ("a.log.2026-11-23", Some("a.log"), Some("20261123T000000Z")),
            (
                "a.log.2026-11-23_10",
                Some("a.log"),
                Some("20261123T100000Z"),
            ),
            (
                "a.log.2026-11-23_10-05",
                Some("a.log"),
                Some("20261123T100500Z"),
            ),
            (
                "a.log.2026-11-23_10-00-07",
                Some("a.log"),
                Some("20261123T100007Z"),
            ),
            ("a.log.2026-11-23_10-00-07-01", None, None),
            ("a.log.2026-13-23", None, None),
            ("a.log-20260231", None, None),
            ("a.log.99999", Some("a.log"), None),
            ("a.log.123456", None, None),
            ("a.log", None, None),
            (".1", None, None),
            ("a.log.+1", None, None),
            ("-20261123", None, None),
            ("a.log.1.tmp", None, None),
            ("a.log-20261123T210000Z", None, None),
            ("a.log.1-20261123T210000Z.gz", None, None),
        ];
        for (name, log, date) in table {
            let found = parse_foreign(OsStr::new(name));
            assert_eq!(found.and_then(|f| f.log.to_str()), log, "{name}");
            let stamp = found.and_then(|f| match f.order {
                Order::Date(time) => Some(time.stamp()),
                Order::Index(_) => None,
            });
            assert_eq!(stamp.as_deref(), date, "{name}");
        }
        let index = |name| parse_foreign(OsStr::new(name)).map(|found| found.order);
        assert_eq!(index("a.log.12.gz"), Some(Order::Index(12)));
    }

    #[test]
    fn a_name_taken_in_any_form_is_not_free() {
        let taken: HashSet<OsString> = [
            "a.log-20251124T210000Z.zst",
            "a.log-20251124T210000Z-2",
            "a.log-20251124T210000Z-4",
        ]
        .map(OsString::from)
        .into();
        let log = OsStr::new("a.log");
        let free = free_name(log, NOW, None, |name| taken.contains(name));
        assert_eq!(free, Some("a.log-20251124T210000Z-3".into()));
        let newest = Some((NOW, 4));
        let after = free_name(log, NOW, newest, |name| taken.contains(name));
        assert_eq!(after, Some("a.log-20251124T210000Z-5".into()));
        let earlier = Some((Time(NOW.0 - 1), 4));
        let of_another_second = free_name(log, NOW, earlier, |_| false);
        assert_eq!(of_another_second, Some("a.log-20251124T210000Z".into()));
        let free = free_name(OsStr::new("b.log"), NOW, None, |name| taken.contains(name));
        assert_eq!(free, Some("b.log-20251124T210000Z".into()));
    }

    #[test]
    fn a_rotated_name_leaves_room_for_its_suffix() {
        let fits = "x".repeat(NAME_MAX - STAMP - SUFFIX_MAX);
        assert!(free_name(OsStr::new(&fits), NOW, None, |_| false).is_some());
        let long = fits + "x";
        assert_eq!(free_name(OsStr::new(&long), NOW, None, |_| false), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40),
                                       tail in "[-.][-0-9TZ_.]{0,24}(\\.gz|\\.zst)?") {
            let mut name = OsStr::from_bytes(&bytes).to_os_string();
            let _ = (parse(&name), parse_foreign(&name));
            name.push(tail);
            let _ = (parse(&name), parse_foreign(&name));
        }

        #[test]
        fn a_foreign_name_begins_with_its_log(
            log in proptest::collection::vec(1_u8..=255, 1..20),
            mark in "(\\.[0-9]{1,6}|[-.]2026-?11-?2[0-9](_[0-9]{2}){0,2}|-202611[0-3][0-9](-[0-9]{1,11})?)",
            suffix in "(\\.gz|\\.zst|\\.bz2|\\.xz)?",
        ) {
            let mut name = OsStr::from_bytes(&log).to_os_string();
            name.push(mark + &suffix);
            if let Some(found) = parse_foreign(&name) {
                prop_assert!(name.as_bytes().starts_with(found.log.as_bytes()));
                prop_assert!(!found.log.is_empty() && found.log.len() < name.len());
            }
        }

        #[test]
        fn a_free_name_is_the_log_s_and_follows_its_newest(
            log in proptest::collection::vec(1_u8..=255, 1..60),
            serials in proptest::collection::btree_set(1_u32..8, 0..6), newest in 0_u32..9,
        ) {
            let log = OsStr::from_bytes(&log);
            let taken: HashSet<OsString> = serials.iter().map(|serial| stem(log, NOW, *serial)).collect();
            let last = (newest > 0).then_some((NOW, newest));
            let free = free_name(log, NOW, last, |name| taken.contains(name)).unwrap_or_default();
            let read = parse(&free).map(|found| (found.log, found.time, found.form));
            prop_assert_eq!(read, Some((log, NOW, Form::Plain)));
            prop_assert!(!taken.contains(&free));
            prop_assert!(parse(&free).is_some_and(|found| found.serial > newest));
        }

        #[test]
        fn made_names_are_read_back(log in proptest::collection::vec(1_u8..=255, 1..60),
                                    seconds in -9_000_000_000_i64..9_000_000_000,
                                    serial in 1_u32..,
                                    form in prop_oneof![Just(Form::Plain), Just(Form::Gzip), Just(Form::Zstd)]) {
            let log = OsStr::from_bytes(&log);
            let time = Time::from_parts(seconds, 0);
            let mut name = stem(log, time, serial);
            name.push(form.suffix());
            prop_assert_eq!(parse(&name), Some(Rotated { log, time, serial, form }));
            prop_assert_eq!(parse_foreign(&name), None);
        }
    }
}
