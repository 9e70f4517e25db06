//! What sysinfo knows of processes, on every platform that it knows.

use std::collections::HashMap;
use std::path::Path;

use rustix::fs::OFlags;
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use super::super::metrics;
use crate::plan::agents::{Predicates, Standing};
use crate::plan::processes::{Process, State};
use crate::plan::time::Time;

pub(super) const LOOKS: bool = false;
pub(super) const NO_ATIME: OFlags = OFlags::empty();

/// Threads are asked for unless refused.
pub(super) fn listed(_wanted: &Predicates<'_>) -> (Vec<Process>, usize) {
    let Ok(mut system) = System::new() else {
        return (Vec::new(), 0);
    };
    let wanted = ProcessRefreshKind::nothing()
        .without_tasks()
        .with_memory()
        .with_user(UpdateKind::Always)
        .with_cmd(UpdateKind::Always)
        .with_exe(UpdateKind::Always)
        .with_cwd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, wanted);
    let mut processes: Vec<_> = system.processes().values().map(process).collect();
    processes.sort_unstable_by_key(|process| process.pid);
    (processes, 0)
}

fn process(process: &sysinfo::Process) -> Process {
    Process {
        pid: process.pid().as_u32(),
        parent: process.parent().map(sysinfo::Pid::as_u32),
        name: process.name().to_string_lossy().into_owned(),
        state: state(process.status()),
        uid: process.user_id().map(|uid| **uid),
        arguments: process.cmd().to_vec(),
        exe: process.exe().map(Path::to_path_buf),
        cwd: process.cwd().map(Path::to_path_buf),
        rss_bytes: Some(process.memory()),
        start_ticks: start_ticks(process.start_time()),
        ..Process::default()
    }
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

/// Seconds after boot.
fn start_ticks(seconds: u64) -> Option<u64> {
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

pub(super) fn hidepid() -> bool {
    false
}

pub(super) fn started(_pid: u32) -> Option<Time> {
    None
}

pub(super) fn add_figures(_process: &mut Process, _proportional: bool) {}

pub(super) fn add_control_group(_process: &mut Process) {}

pub(super) fn cpu_ticks() -> HashMap<(u32, u64), u64> {
    HashMap::new()
}

/// Without handles on processes nobody is signalled.
pub(super) fn standing(_pid: u32) -> Option<Standing> {
    None
}
