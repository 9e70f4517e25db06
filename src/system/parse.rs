//! The texts of `/proc`, understood. Pure: text in, values out (`proc(5)`).

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::makedev;

use crate::plan::host::{Averages, Counters, Hold, Stall};
use crate::plan::processes::State;

/// `PF_KTHREAD` of `include/linux/sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// `O_ACCMODE` and `O_APPEND` of Linux, on every architecture that Rust knows.
const ACCESS_MODE: u32 = 0o3;
const APPEND: u32 = 0o2000;

/// What the kernel adds to the path of a file without a name.
const DELETED: &[u8] = b" (deleted)";

/// What we use of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessStat {
    pub(super) state: State,
    /// 0 has none.
    pub(super) parent: u32,
    pub(super) kernel: bool,
    pub(super) cpu_ticks: u64,
    pub(super) nice: i32,
    pub(super) threads: u32,
    pub(super) start_ticks: u64,
}

/// `/proc/PID/stat`. The name stands in parentheses and may hold any byte, parentheses too.
pub(super) fn process_stat(text: &[u8]) -> Option<ProcessStat> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Counted as in the manual, where the state is field 3.
    let field = |number: usize| fields.get(number - 3).copied();
    let number = |at: usize| field(at)?.parse::<u64>().ok();
    Some(ProcessStat {
        state: state(field(3)?),
        parent: field(4)?.parse().ok()?,
        kernel: number(9)? & KERNEL_THREAD != 0,
        cpu_ticks: number(14)?.saturating_add(number(15)?),
        nice: field(19)?.parse().ok()?,
        threads: field(20)?.parse().ok()?,
        start_ticks: number(22)?,
    })
}

/// The name in `/proc/PID/stat`; other bytes than text are replaced.
pub(super) fn name(text: &[u8]) -> Option<String> {
    let start = text.iter().position(|byte| *byte == b'(')?;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let name = text.get(start + 1..end)?;
    Some(String::from_utf8_lossy(name).into_owned())
}

fn state(letter: &str) -> State {
    match letter {
        "R" => State::Running,
        "S" => State::Sleeping,
        "D" => State::DiskSleep,
        "T" => State::Stopped,
        "t" => State::Tracing,
        "Z" => State::Zombie,
        "X" | "x" => State::Dead,
        "I" => State::Idle,
        _ => State::Unknown,
    }
}

/// `/proc/PID/cmdline`: each argument ends with NUL; empty ones count.
pub(super) fn arguments(text: &[u8]) -> Vec<OsString> {
    if text.is_empty() {
        return Vec::new();
    }
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    text.split(|byte| *byte == 0)
        .map(|argument| OsString::from_vec(argument.to_vec()))
        .collect()
}

/// Where a link of `/proc` leads, without the mark of a file that is gone. A running program that
/// was upgraded is still what it was.
pub(super) fn without_mark(target: PathBuf) -> PathBuf {
    let mut bytes = target.into_os_string().into_vec();
    if bytes.ends_with(DELETED) {
        bytes.truncate(bytes.len() - DELETED.len());
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Of `/proc/PID/environ`, exactly the wanted `NAME=VALUE`.
pub(super) fn environment(text: &[u8], wanted: &[&str]) -> Vec<OsString> {
    text.split(|byte| *byte == 0)
        .filter(|variable| wanted.iter().any(|w| w.as_bytes() == *variable))
        .map(|variable| OsString::from_vec(variable.to_vec()))
        .collect()
}

/// How `/proc/PID/fdinfo/N` says that a file is open (`flags:`, octal).
pub(super) fn hold(fdinfo: &[u8]) -> Option<Hold> {
    let text = std::str::from_utf8(fdinfo).ok()?;
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
    Some(match (flags & ACCESS_MODE, flags & APPEND != 0) {
        (0, _) => Hold::Read,
        (_, true) => Hold::Append,
        (_, false) => Hold::Write,
    })
}

/// Device and inode of each line of `/proc/PID/maps` that maps a file.
pub(super) fn mapped(text: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    text.split(|byte| *byte == b'\n').filter_map(mapping)
}

/// `address perms offset major:minor inode path`.
fn mapping(line: &[u8]) -> Option<(u64, u64)> {
    let mut fields = line.splitn(6, |byte| *byte == b' ').skip(3);
    let (device, inode) = (fields.next()?, fields.next()?);
    if inode == b"0" {
        return None;
    }
    let (major, minor) = std::str::from_utf8(device).ok()?.split_once(':')?;
    let hex = |text| u32::from_str_radix(text, 16).ok();
    let inode = std::str::from_utf8(inode).ok()?.parse().ok()?;
    Some((makedev(hex(major)?, hex(minor)?), inode))
}

/// A `flock` that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flock {
    pub(super) pid: u32,
    pub(super) identity: (u64, u64),
}

/// The `flock`s of `/proc/locks`, without those who only wait:
/// `1: FLOCK ADVISORY WRITE 708 fe:00:13 0 EOF`.
pub(super) fn flocks(text: &[u8]) -> impl Iterator<Item = Flock> {
    text.split(|byte| *byte == b'\n').filter_map(flock)
}

fn flock(line: &[u8]) -> Option<Flock> {
    let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    if fields.nth(1)? != "FLOCK" {
        return None;
    }
    let pid = fields.nth(2)?.parse().ok()?;
    let mut place = fields.next()?.splitn(3, ':');
    let (major, minor, inode) = (place.next()?, place.next()?, place.next()?);
    let hex = |text| u32::from_str_radix(text, 16).ok();
    let identity = (makedev(hex(major)?, hex(minor)?), inode.parse().ok()?);
    Some(Flock { pid, identity })
}

/// Soft limit of open files in `/proc/PID/limits`; `None` where there is none.
pub(super) fn open_files_limit(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The control group in `/proc/PID/cgroup`: of version 2, else that of systemd.
pub(super) fn cgroup(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let of = |prefix: &str| {
        let found = text.lines().find_map(|line| line.split_once(prefix));
        found.map(|(_, path)| path.to_owned())
    };
    text.lines()
        .find_map(|line| line.strip_prefix("0::"))
        .filter(|path| *path != "/")
        .map(ToOwned::to_owned)
        .or_else(|| of(":name=systemd:"))
        .or_else(|| of("0::"))
}

/// What we use of `/proc/stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Processors {
    pub(super) busy: u64,
    pub(super) total: u64,
    pub(super) count: u32,
}

/// `/proc/stat`. Time stolen by a hypervisor is busy, waiting for storage is not, and time of
/// guests is left out, since it is counted in `user` and `nice` already.
pub(super) fn processors(text: &[u8]) -> Option<Processors> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines();
    let all = lines.next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = all
        .split_ascii_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let total = ticks.iter().sum::<u64>();
    let idle = ticks.get(3)? + ticks.get(4).unwrap_or(&0);
    let count = lines.filter(|line| line.starts_with("cpu")).count();
    Some(Processors {
        busy: total - idle,
        total,
        count: u32::try_from(count).ok()?,
    })
}

/// `/proc/pressure/*`: the averages, and the microseconds in which some task waited.
pub(super) fn pressure(text: &[u8]) -> Option<(Stall, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let line = |kind: &str| text.lines().find_map(|line| line.strip_prefix(kind));
    let some = line("some ")?;
    let stall = Stall {
        some: averages(some)?,
        full: line("full ").and_then(averages),
    };
    Some((stall, named(some, "total=")?))
}

fn averages(line: &str) -> Option<Averages> {
    Some(Averages {
        avg10: named(line, "avg10=")?,
        avg60: named(line, "avg60=")?,
        avg300: named(line, "avg300=")?,
    })
}

/// The value behind `name=` in a line of words.
fn named<T: std::str::FromStr>(line: &str, name: &str) -> Option<T> {
    let value = line.split(' ').find_map(|word| word.strip_prefix(name))?;
    value.parse().ok()
}

/// What we use of `/proc/vmstat`; times and pressure are read elsewhere.
pub(super) fn vmstat(text: &[u8]) -> Option<Counters> {
    let text = std::str::from_utf8(text).ok()?;
    let mut counters = Counters::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        let slot = match name {
            "oom_kill" => &mut counters.oom_kill,
            "pgmajfault" => &mut counters.pgmajfault,
            "pswpin" => &mut counters.pswpin,
            "pswpout" => &mut counters.pswpout,
            _ => continue,
        };
        *slot = value.trim().parse().ok();
    }
    Some(counters)
}

/// What we use of `/proc/PID/status` of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Real user id.
    pub(super) uid: Option<u32>,
    /// Bytes in swap.
    pub(super) swap: Option<u64>,
    /// Resident bytes.
    pub(super) resident: Option<u64>,
    /// A bit for each signal that has a handler.
    pub(super) caught: Option<u64>,
}

/// `/proc/PID/status`.
pub(super) fn status(text: &[u8]) -> Status {
    let text = String::from_utf8_lossy(text);
    let mut status = Status::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let first = value.split_ascii_whitespace().next().unwrap_or_default();
        match name {
            "Uid" => status.uid = first.parse().ok(),
            "VmSwap" => status.swap = kibibytes(first),
            "VmRSS" => status.resident = kibibytes(first),
            "SigCgt" => status.caught = u64::from_str_radix(first, 16).ok(),
            _ => {}
        }
    }
    status
}

/// `Pss:` of `/proc/PID/smaps_rollup`, in bytes.
pub(super) fn proportional(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    kibibytes(value.split_ascii_whitespace().next()?)
}

fn kibibytes(number: &str) -> Option<u64> {
    number.parse::<u64>().ok()?.checked_mul(1024)
}

/// A figure of `memory.stat` of a control group, in bytes.
pub(super) fn memory_stat(text: &[u8], key: &str) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)?;
    value.trim().parse().ok()
}

/// User names by id in `/etc/passwd`; the first name of an id counts (`getpwuid(3)`).
pub(super) fn users(text: &[u8]) -> HashMap<u32, String> {
    let mut users = HashMap::new();
    for line in String::from_utf8_lossy(text).lines() {
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default();
        if let Some(uid) = fields.nth(1).and_then(|uid| uid.parse().ok()) {
            users.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    users
}

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: u64,
    pub(super) kind: String,
    /// Options of the filesystem, not of the mount.
    pub(super) options: String,
}

/// `/proc/self/mountinfo`.
pub(super) fn mounts(text: &[u8]) -> Vec<Mount> {
    String::from_utf8_lossy(text)
        .lines()
        .filter_map(mount)
        .collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let (major, minor) = before.split(' ').nth(2)?.split_once(':')?;
    let mut after = after.split(' ');
    Some(Mount {
        device: makedev(major.parse().ok()?, minor.parse().ok()?),
        kind: after.next()?.to_owned(),
        options: after.nth(1)?.to_owned(),
    })
}

/// Whether `/proc` leaves out other users' processes, or lists them and lets nobody look
/// (`hidepid=1`, `2` or `4`, by number or word).
pub(super) fn hides_processes(mounts: &[Mount]) -> bool {
    let hides = |option: &str| {
        option
            .strip_prefix("hidepid=")
            .is_some_and(|how| !matches!(how, "0" | "off"))
    };
    mounts
        .iter()
        .any(|mount| mount.kind == "proc" && mount.options.split(',').any(hides))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
