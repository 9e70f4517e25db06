//! The process table: from `/proc`, each file read once; where there is none, from sysinfo, which
//! drops empty arguments and rounds start times.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::metrics;
use crate::plan::agents::{Predicates, Standing};
use crate::plan::host::Visibility;
use crate::plan::policy::{AgentRule, AgentsPolicy};
use crate::plan::processes::{Process, ProcessTable, Sample};
use crate::plan::time::Time;

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod linux;
#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
mod portable;

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
use linux as platform;
#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
use portable as platform;

/// A process may be this much younger than its pid file by the clocks alone.
const SLACK_NANOSECONDS: i64 = 60_000_000_000;

/// Every process. What only some rules look at is read where one does, and of pid files only those
/// that a rule names.
#[must_use]
pub fn read(agents: &AgentsPolicy) -> ProcessTable {
    let (processes, denied) = platform::listed(&Predicates::of(agents));
    let hertz = platform::ticks_per_second();
    let visible = |process: &&Process| process.kernel || process.open_files.is_some();
    let hidden = processes.len() - processes.iter().filter(visible).count() + denied;
    let pid_file = |rule: &'_ AgentRule| rule.pid_file.clone();
    ProcessTable {
        boot_id: metrics::boot_id(),
        booted: metrics::booted(),
        uptime_ticks: platform::uptime_ticks(hertz),
        ticks_per_second: hertz,
        own: std::process::id(),
        visibility: Visibility {
            looked: platform::LOOKS,
            processes: u32::try_from(processes.len() + denied).unwrap_or(u32::MAX),
            hidden: u32::try_from(hidden).unwrap_or(u32::MAX),
            hidepid: platform::hidepid(),
        },
        processes,
        pid_files: pid_files(agents.rules.iter().filter_map(pid_file)),
    }
}

/// Adds what only agents are asked for: the executable, the control group, the limit of
/// descriptors; and with `proportional` shared memory in shares, which costs the kernel a walk
/// through their memory (0.1 ms at least, 14 ms per GiB).
pub fn add_figures(table: &mut ProcessTable, pids: &[u32], proportional: bool) {
    for_each(table, pids, |process| {
        platform::add_figures(process, proportional);
    });
}

/// Adds the control groups of these processes, where they are not known.
pub fn add_control_groups(table: &mut ProcessTable, pids: &[u32]) {
    for_each(table, pids, platform::add_control_group);
}

fn for_each(table: &mut ProcessTable, pids: &[u32], mut add: impl FnMut(&mut Process)) {
    for pid in pids {
        if let Ok(at) = table.processes.binary_search_by_key(pid, |p| p.pid) {
            add(&mut table.processes[at]);
        }
    }
}

/// The processor time of every process, to be compared with a later reading.
#[must_use]
pub fn sample() -> Sample {
    let hertz = platform::ticks_per_second();
    Sample {
        boot_id: metrics::boot_id(),
        uptime_ticks: platform::uptime_ticks(hertz),
        ticks: platform::cpu_ticks(),
    }
}

/// A process as it is at this instant; `None` where there is none of that id, or it has ended.
#[must_use]
pub fn standing(pid: u32) -> Option<Standing> {
    platform::standing(pid)
}

/// Whether the process that a pid file names is gone: there is none of that id, or it started
/// after the file was written, so that the id was taken again. A process that we may not signal is
/// there.
#[must_use]
pub fn pid_is_dead(pid: u32, file_mtime: Time) -> bool {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    match test_kill_process(id) {
        Err(Errno::SRCH) => true,
        Err(Errno::PERM) | Ok(()) => platform::started(pid)
            .is_some_and(|start| start.0.saturating_sub(file_mtime.0) > SLACK_NANOSECONDS),
        Err(_) => false,
    }
}

/// The user that a process belongs to, as the process table tells it: root where the kernel hides
/// it (`proc(5)`). `None` where there is no such process, or no such table.
#[must_use]
pub fn owner(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let entry = std::fs::metadata(format!("/proc/{pid}")).ok()?;
    Some(entry.uid())
}

/// The live pid in each file.
fn pid_files(paths: impl Iterator<Item = PathBuf>) -> BTreeMap<PathBuf, u32> {
    paths
        .filter_map(|path| {
            let (pid, written) = pid_file(&path)?;
            (!pid_is_dead(pid, written)).then_some((path, pid))
        })
        .collect()
}

/// The number at the start of a regular file, and when that file was last written.
fn pid_file(path: &Path) -> Option<(u32, Time)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = open(path, flags | platform::NO_ATIME, Mode::empty())
        .or_else(|_| open(path, flags, Mode::empty()))
        .ok()?;
    let stat = fstat(&file).ok()?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return None;
    }
    let mut buffer = [0_u8; 32];
    let length = rustix::io::read(&file, &mut buffer).ok()?;
    let text = std::str::from_utf8(&buffer[..length]).ok()?;
    let pid = text.split_whitespace().next()?.parse().ok()?;
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    Some((pid, Time::from_parts(stat.st_mtime, nanoseconds)))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#[path = "processes_tests.rs"]
mod tests;
