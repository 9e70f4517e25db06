//! Processes as `/proc` tells of them.

use std::collections::HashMap;
use std::path::PathBuf;

use rustix::fs::{AtFlags, OFlags, statat};
use rustix::io::Errno;

use super::super::{metrics, parse, proc::Dir};
use crate::plan::agents::{Predicates, Standing};
use crate::plan::processes::{Process, State};
use crate::plan::time::Time;

pub(super) const LOOKS: bool = true;
pub(super) const NO_ATIME: OFlags = OFlags::NOATIME;

/// So many descriptors are nowhere near a limit: a program may have 20 (`_POSIX_OPEN_MAX`), so
/// that the limit of a process with no more than this is read only where it is shown.
const ROOMY: u64 = 16;

pub(super) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

pub(super) fn uptime_ticks(hertz: u64) -> u64 {
    let since = metrics::since_boot().unwrap_or_default();
    since.as_secs().saturating_mul(hertz) + u64::from(since.subsec_millis()) * hertz / 1000
}

pub(super) fn hidepid() -> bool {
    let mut buffer = Vec::new();
    let mounts =
        Dir::root().map(|root| root.read(c"self/mountinfo", &mut buffer).map(parse::mounts));
    !rustix::process::geteuid().is_root()
        && matches!(mounts, Ok(Ok(mounts)) if parse::hides_processes(&mounts))
}

/// When a process started, by the clock of today.
pub(super) fn started(pid: u32) -> Option<Time> {
    let process = Dir::root().ok()?.number(pid).ok()?;
    let mut buffer = Vec::new();
    let stat = parse::process_stat(process.read(c"stat", &mut buffer).ok()?)?;
    let hertz = ticks_per_second();
    let milliseconds = stat.start_ticks.saturating_mul(1000).checked_div(hertz)?;
    Some(metrics::booted()?.after(std::time::Duration::from_millis(milliseconds)))
}

/// Every process that can be looked at, by pid, and how many cannot (`hidepid=1`). Those that end
/// meanwhile are left out.
pub(super) fn listed(wanted: &Predicates<'_>) -> (Vec<Process>, usize) {
    let Ok(proc) = Dir::root() else {
        return (Vec::new(), 0);
    };
    let mut buffer = Vec::with_capacity(16 << 10);
    let users = proc
        .read("/etc/passwd", &mut buffer)
        .map(parse::users)
        .unwrap_or_default();
    let (mut processes, mut denied) = (Vec::new(), 0);
    for pid in proc.numbers().unwrap_or_default() {
        match proc.number(pid) {
            Ok(directory) => {
                processes.extend(process(pid, &directory, wanted, &users, &mut buffer));
            }
            Err(Errno::ACCESS | Errno::PERM) => denied += 1,
            Err(_) => {}
        }
    }
    (processes, denied)
}

fn process(
    pid: u32,
    directory: &Dir,
    wanted: &Predicates<'_>,
    users: &HashMap<u32, String>,
    buffer: &mut Vec<u8>,
) -> Option<Process> {
    let mut process = identified(pid, directory, buffer)?;
    let status = parse::status(directory.read(c"status", buffer).unwrap_or_default());
    process.uid = status.uid;
    process.user = status.uid.and_then(|uid| users.get(&uid).cloned());
    process.rss_bytes = status.resident;
    process.swap_bytes = status.swap;
    process.caught = status.caught;
    if process.kernel {
        return Some(process);
    }
    let text = directory.read(c"cmdline", buffer).unwrap_or_default();
    process.arguments = parse::arguments(text);
    process.open_files = open_files(directory);
    if process.open_files > Some(ROOMY) {
        process.open_files_limit = open_files_limit(directory, buffer);
    }
    if wanted.cgroup {
        process.cgroup = cgroup(directory, buffer);
    }
    if wanted.cwd {
        process.cwd = directory.link(c"cwd").ok();
    }
    if wanted.exe {
        process.exe = exe(directory);
    }
    if !wanted.variables.is_empty() {
        let text = directory.read(c"environ", buffer).unwrap_or_default();
        process.environment = parse::environment(text, &wanted.variables);
    }
    Some(process)
}

/// What `stat` tells of a process, its identity with it.
fn identified(pid: u32, directory: &Dir, buffer: &mut Vec<u8>) -> Option<Process> {
    let text = directory.read(c"stat", buffer).ok()?;
    let stat = parse::process_stat(text)?;
    Some(Process {
        pid,
        parent: Some(stat.parent).filter(|parent| *parent > 0),
        name: parse::name(text)?,
        state: stat.state,
        kernel: stat.kernel,
        start_ticks: Some(stat.start_ticks),
        cpu_ticks: Some(stat.cpu_ticks),
        threads: Some(stat.threads),
        nice: Some(stat.nice),
        ..Process::default()
    })
}

/// Where the process is another one by now, nothing is added.
pub(super) fn add_figures(process: &mut Process, proportional: bool) {
    let mut buffer = Vec::new();
    let Some(directory) = opened_again(process, &mut buffer) else {
        return;
    };
    process.exe = process.exe.take().or_else(|| exe(&directory));
    if process.open_files_limit.is_none() {
        process.open_files_limit = open_files_limit(&directory, &mut buffer);
    }
    if process.cgroup.is_none() {
        process.cgroup = cgroup(&directory, &mut buffer);
    }
    if proportional {
        let rollup = directory.read(c"smaps_rollup", &mut buffer).ok();
        process.pss_bytes = rollup.and_then(parse::proportional);
    }
}

/// Where the process is another one by now, nothing is added.
pub(super) fn add_control_group(process: &mut Process) {
    let mut buffer = Vec::new();
    if process.cgroup.is_none()
        && let Some(directory) = opened_again(process, &mut buffer)
    {
        process.cgroup = cgroup(&directory, &mut buffer);
    }
}

/// The directory of the same process; `None` where another one has its id.
fn opened_again(process: &Process, buffer: &mut Vec<u8>) -> Option<Dir> {
    let directory = Dir::root().ok()?.number(process.pid).ok()?;
    let stat = parse::process_stat(directory.read(c"stat", buffer).ok()?)?;
    (Some(stat.start_ticks) == process.start_ticks).then_some(directory)
}

fn exe(directory: &Dir) -> Option<PathBuf> {
    directory.link(c"exe").ok().map(parse::without_mark)
}

fn cgroup(directory: &Dir, buffer: &mut Vec<u8>) -> Option<String> {
    let text = directory.read(c"cgroup", buffer).ok()?;
    parse::cgroup(text)
}

fn open_files_limit(directory: &Dir, buffer: &mut Vec<u8>) -> Option<u64> {
    let text = directory.read(c"limits", buffer).ok()?;
    parse::open_files_limit(text)
}

pub(super) fn cpu_ticks() -> HashMap<(u32, u64), u64> {
    let Ok(proc) = Dir::root() else {
        return HashMap::new();
    };
    let mut buffer = Vec::with_capacity(1 << 10);
    let pids = proc.numbers().unwrap_or_default();
    pids.into_iter()
        .filter_map(|pid| {
            let text = proc.read(format!("{pid}/stat"), &mut buffer).ok()?;
            let stat = parse::process_stat(text)?;
            Some(((pid, stat.start_ticks), stat.cpu_ticks))
        })
        .collect()
}

pub(super) fn standing(pid: u32) -> Option<Standing> {
    let directory = Dir::root().ok()?.number(pid).ok()?;
    let mut buffer = Vec::new();
    let status = parse::status(directory.read(c"status", &mut buffer).ok()?);
    let stat = parse::process_stat(directory.read(c"stat", &mut buffer).ok()?)?;
    if matches!(stat.state, State::Zombie | State::Dead) {
        return None;
    }
    Some(Standing {
        boot_id: metrics::boot_id(),
        start_ticks: stat.start_ticks,
        uid: status.uid?,
        caught: status.caught?,
        rss_bytes: status.resident,
    })
}

/// How many descriptors there are: since Linux 6.2 the size of the directory, else counted.
fn open_files(process: &Dir) -> Option<u64> {
    let directory = process.below(c"fd").ok()?;
    let size = statat(&directory, c".", AtFlags::empty()).ok()?.st_size;
    match u64::try_from(size) {
        Ok(size) if size > 0 => Some(size),
        _ => {
            let mut count = 0;
            directory.each(|_| count += 1).ok()?;
            Some(count)
        }
    }
}
