//! The process table: sysinfo for what every platform has, `/proc` for what it drops or rounds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use super::metrics;
use crate::plan::agents::Standing;
use crate::plan::host::Visibility;
use crate::plan::policy::AgentsPolicy;
use crate::plan::processes::{Process, ProcessTable, Sample, State};
use crate::plan::time::Time;
#[cfg(all(target_os = "linux", not(sysopt_portable)))]
use linux as platform;
#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
use portable as platform;

/// A process may be this much younger than its pid file by the clocks alone.
const SLACK_NANOSECONDS: i64 = 60_000_000_000;

/// Every process. Of environments only what a rule asks for is kept, and of pid files only those
/// that a rule names are read.
#[must_use]
pub fn read(agents: &AgentsPolicy) -> ProcessTable {
    let mut processes = listed();
    let rules = || agents.rules.iter();
    let variables: Vec<&str> = rules().filter_map(|rule| rule.env.as_deref()).collect();
    platform::complete(&mut processes, &variables);
    let hertz = platform::ticks_per_second();
    let visible = |process: &&Process| process.kernel || process.open_files.is_some();
    let hidden = processes.len() - processes.iter().filter(visible).count();
    ProcessTable {
        boot_id: metrics::boot_id(),
        booted: metrics::booted(),
        uptime_ticks: platform::uptime_ticks(hertz),
        ticks_per_second: hertz,
        own: std::process::id(),
        visibility: Visibility {
            looked: platform::LOOKS,
            processes: u32::try_from(processes.len()).unwrap_or(u32::MAX),
            hidden: u32::try_from(hidden).unwrap_or(u32::MAX),
            hidepid: platform::hidepid(),
        },
        processes,
        pid_files: pid_files(rules().filter_map(|rule| rule.pid_file.as_deref())),
    }
}

/// Adds what only agents are asked for, because it costs the kernel a walk through their memory
/// (14 ms per GiB): shared memory in shares, swap, and the signals that they handle.
pub fn add_memory(table: &mut ProcessTable, pids: &[u32]) {
    for pid in pids {
        if let Ok(at) = table.processes.binary_search_by_key(pid, |p| p.pid) {
            platform::add_memory(&mut table.processes[at]);
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

/// What sysinfo knows. Threads are asked for unless refused.
fn listed() -> Vec<Process> {
    let Ok(mut system) = System::new() else {
        return Vec::new();
    };
    let wanted = ProcessRefreshKind::nothing()
        .without_tasks()
        .with_memory()
        .with_user(UpdateKind::Always);
    let wanted = platform::also(wanted);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, wanted);
    let users = platform::users();
    let mut processes: Vec<_> = system
        .processes()
        .values()
        .map(|process| {
            let uid = process.user_id().map(|uid| **uid);
            Process {
                pid: process.pid().as_u32(),
                parent: process.parent().map(sysinfo::Pid::as_u32),
                name: process.name().to_string_lossy().into_owned(),
                state: state(process.status()),
                uid,
                user: uid.and_then(|uid| users.get(&uid).cloned()),
                arguments: process.cmd().to_vec(),
                exe: process.exe().map(Path::to_path_buf),
                cwd: process.cwd().map(Path::to_path_buf),
                rss_bytes: Some(process.memory()),
                start_ticks: platform::start_ticks(process.start_time()),
                ..Process::default()
            }
        })
        .collect();
    processes.sort_unstable_by_key(|process| process.pid);
    processes
}

fn state(status: ProcessStatus) -> State {
    match status {
        ProcessStatus::Run => State::Running,
        ProcessStatus::Sleep => State::Sleeping,
        ProcessStatus::UninterruptibleDiskSleep => State::DiskSleep,
        ProcessStatus::Stop => State::Stopped,
        ProcessStatus::Tracing => State::Tracing,
        ProcessStatus::Zombie => State::Zombie,
        ProcessStatus::Dead => State::Dead,
        ProcessStatus::Idle => State::Idle,
        _ => State::Unknown,
    }
}

/// The live pid in each file.
fn pid_files<'a>(paths: impl Iterator<Item = &'a Path>) -> BTreeMap<PathBuf, u32> {
    paths
        .filter_map(|path| {
            let (pid, written) = pid_file(path)?;
            (!pid_is_dead(pid, written)).then(|| (path.to_path_buf(), pid))
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

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod linux {
    use std::collections::HashMap;

    use rustix::fs::{AtFlags, OFlags, statat};
    use sysinfo::ProcessRefreshKind;

    use super::super::{metrics, parse, proc::Dir};
    use crate::plan::agents::Standing;
    use crate::plan::processes::{Process, State};
    use crate::plan::time::Time;

    pub(super) const LOOKS: bool = true;
    pub(super) const NO_ATIME: OFlags = OFlags::NOATIME;

    /// sysinfo drops empty arguments, so nothing more is asked of it.
    pub(super) fn also(wanted: ProcessRefreshKind) -> ProcessRefreshKind {
        wanted
    }

    /// Whole seconds are no identity: the ticks are read instead.
    pub(super) fn start_ticks(_seconds: u64) -> Option<u64> {
        None
    }

    pub(super) fn ticks_per_second() -> u64 {
        rustix::param::clock_ticks_per_second()
    }

    pub(super) fn uptime_ticks(hertz: u64) -> u64 {
        let since = metrics::since_boot().unwrap_or_default();
        since.as_secs().saturating_mul(hertz) + u64::from(since.subsec_millis()) * hertz / 1000
    }

    pub(super) fn users() -> HashMap<u32, String> {
        let root = Dir::root();
        let mut buffer = Vec::new();
        root.and_then(|root| root.read("/etc/passwd", &mut buffer).map(parse::users))
            .unwrap_or_default()
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

    /// Adds what only `/proc` tells. Processes that ended meanwhile are left out.
    pub(super) fn complete(processes: &mut Vec<Process>, variables: &[&str]) {
        let Ok(proc) = Dir::root() else {
            return;
        };
        let mut buffer = Vec::with_capacity(16 << 10);
        processes.retain_mut(|process| {
            proc.number(process.pid)
                .ok()
                .and_then(|directory| fill(process, &directory, variables, &mut buffer))
                .is_some()
        });
    }

    fn fill(
        process: &mut Process,
        directory: &Dir,
        variables: &[&str],
        buffer: &mut Vec<u8>,
    ) -> Option<()> {
        let stat = parse::process_stat(directory.read(c"stat", buffer).ok()?)?;
        process.state = stat.state;
        process.kernel = stat.kernel;
        process.start_ticks = Some(stat.start_ticks);
        process.cpu_ticks = Some(stat.cpu_ticks);
        process.threads = Some(stat.threads);
        process.nice = Some(stat.nice);
        if stat.kernel {
            return Some(());
        }
        let text = directory.read(c"cmdline", buffer).unwrap_or_default();
        process.arguments = parse::arguments(text);
        process.cgroup = directory
            .read(c"cgroup", buffer)
            .ok()
            .and_then(parse::cgroup);
        let limits = directory.read(c"limits", buffer).ok();
        process.open_files_limit = limits.and_then(parse::open_files_limit);
        process.open_files = open_files(directory);
        process.cwd = directory.link(c"cwd").ok();
        process.exe = directory.link(c"exe").ok().map(parse::without_mark);
        if !variables.is_empty() {
            let text = directory.read(c"environ", buffer).unwrap_or_default();
            process.environment = parse::environment(text, variables);
        }
        Some(())
    }

    /// Where the process is another one by now, nothing is added.
    pub(super) fn add_memory(process: &mut Process) {
        let mut buffer = Vec::new();
        let Ok(directory) = Dir::root().and_then(|proc| proc.number(process.pid)) else {
            return;
        };
        let stat = directory
            .read(c"stat", &mut buffer)
            .ok()
            .and_then(parse::process_stat);
        if stat.map(|stat| stat.start_ticks) != process.start_ticks {
            return;
        }
        if let Ok(text) = directory.read(c"status", &mut buffer) {
            let status = parse::status(text);
            process.swap_bytes = status.swap;
            process.caught = status.caught;
        }
        let rollup = directory.read(c"smaps_rollup", &mut buffer).ok();
        process.pss_bytes = rollup.and_then(parse::proportional);
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
}

#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
mod portable {
    use std::collections::HashMap;

    use rustix::fs::OFlags;
    use sysinfo::{ProcessRefreshKind, System, UpdateKind};

    use super::super::metrics;
    use crate::plan::agents::Standing;
    use crate::plan::processes::Process;
    use crate::plan::time::Time;

    pub(super) const LOOKS: bool = false;
    pub(super) const NO_ATIME: OFlags = OFlags::empty();

    pub(super) fn also(wanted: ProcessRefreshKind) -> ProcessRefreshKind {
        wanted
            .with_cmd(UpdateKind::Always)
            .with_exe(UpdateKind::Always)
            .with_cwd(UpdateKind::Always)
    }

    pub(super) fn start_ticks(seconds: u64) -> Option<u64> {
        seconds.checked_sub(System::boot_time().ok()?)
    }

    /// Start times are whole seconds here.
    pub(super) fn ticks_per_second() -> u64 {
        1
    }

    pub(super) fn uptime_ticks(hertz: u64) -> u64 {
        let since = metrics::since_boot().unwrap_or_default();
        since.as_secs().saturating_mul(hertz)
    }

    pub(super) fn users() -> HashMap<u32, String> {
        HashMap::new()
    }

    pub(super) fn hidepid() -> bool {
        false
    }

    pub(super) fn started(_pid: u32) -> Option<Time> {
        None
    }

    pub(super) fn complete(_processes: &mut Vec<Process>, _variables: &[&str]) {}

    pub(super) fn add_memory(_process: &mut Process) {}

    pub(super) fn cpu_ticks() -> HashMap<(u32, u64), u64> {
        HashMap::new()
    }

    /// Without handles on processes nobody is signalled.
    pub(super) fn standing(_pid: u32) -> Option<Standing> {
        None
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#[path = "processes_tests.rs"]
mod tests;
