//! The machine as a run sees it: load, room, processes, and who writes to a file.

use std::os::fd::AsFd;

use super::directories::Directories;
use super::evidence::Host;
use super::memory::Memory;
use super::operate::Job;
use super::session::Session;
use crate::fs::lease::Use;
use crate::fs::roots::OpenRoot;
use crate::fs::{apply, dir, roots};
use crate::plan::action::Operation;
use crate::plan::agents::{self, Present, Standing};
use crate::plan::entry::Role;
use crate::plan::host::{Disk, Holder, Metrics, Ticks};
use crate::plan::processes::{Sample, units_wanted};
use crate::plan::time::Time;
use crate::system::{metrics, open_files, processes};
use std::time::{Duration, Instant};

/// A figure of processor load means something from here on.
const SAMPLE: Duration = Duration::from_millis(500);

/// The processor time of all processes, where the job is to show what they use at the moment.
pub fn sample(job: &Job<'_>) -> Option<(Instant, Sample)> {
    (job.command == "status").then(|| (Instant::now(), processes::sample()))
}

/// The process table, where an operation of the job looks at processes; with a sample, half a
/// second after that.
pub fn host(
    session: &Session,
    job: &Job<'_>,
    directories: &Directories,
    memory: &Memory,
    sample: Option<(Instant, Sample)>,
) -> Host {
    if !job.cycle || !job.operations.iter().any(|one| looks_at_processes(*one)) {
        return Host {
            earlier: Some(memory.state.processes.clone()),
            ..Host::default()
        };
    }
    if let Some(rest) = sample
        .as_ref()
        .and_then(|(taken, _)| SAMPLE.checked_sub(taken.elapsed()))
    {
        std::thread::sleep(rest);
    }
    let policy = &session.config.policies.agents;
    let ticks = &memory.state.processes.host;
    let mut host = Host {
        table: processes::read(policy),
        metrics: read_metrics(directories, Some(ticks)),
        earlier: Some(memory.state.processes.clone()),
        sample: sample.map(|(_, sample)| sample),
        caller: rustix::process::geteuid().as_raw(),
        owner: dir::open_root(&session.config.base)
            .and_then(dir::look_at)
            .map(|seen| seen.stat.owner.uid)
            .ok(),
        pace: policy
            .pace_file
            .as_deref()
            .map_or_else(Present::default, apply::present),
    };
    let agents = agents::figures_wanted(policy, &host.table);
    processes::add_figures(&mut host.table, &agents, session.out.is_json());
    let advised = units_wanted(&host.observed(false));
    processes::add_control_groups(&mut host.table, &advised);
    host
}

/// Garbage collection tells of zombies, and whose they are.
const fn looks_at_processes(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::GarbageCollection
            | Operation::AgentOptimization
            | Operation::ProcessOptimization
    )
}

/// The machine as applying a plan reads it.
pub struct Machine;

impl agents::Machine for Machine {
    fn standing(&self, pid: u32) -> Option<Standing> {
        processes::standing(pid)
    }

    fn memory_available(&self) -> Option<u64> {
        metrics::memory_available()
    }

    fn ticks(&self) -> Option<Ticks> {
        metrics::ticks()
    }
}

/// Load and room, with processor load since an earlier reading.
pub fn read_metrics(directories: &Directories, earlier: Option<&Ticks>) -> Metrics {
    metrics::read(disks(directories), earlier).0
}

/// The filesystems of the directories, each by where it is mounted.
fn disks(directories: &Directories) -> Vec<Disk> {
    let mut seen = Vec::new();
    let mut disks = Vec::new();
    for (_, root) in directories.roots.iter() {
        if let Some(stat) = root.seen
            && !seen.contains(&stat.device)
        {
            seen.push(stat.device);
            disks.extend(disk(root));
        }
    }
    disks
}

fn disk(root: &OpenRoot) -> Option<Disk> {
    let (fd, device) = (root.fd.as_ref()?, root.seen?.device);
    let filesystem = roots::filesystem(fd.as_fd(), device).ok()?;
    let mounted = roots::mount_point(&root.resolved, device);
    Some(metrics::disk(&mounted, &filesystem))
}

/// The used share, in percent, of the fullest filesystem that has a directory of these roles.
#[must_use]
pub fn fullest(directories: &Directories, roles: &[Role]) -> Option<f64> {
    directories
        .roots
        .iter()
        .filter(|(_, root)| roles.contains(&root.spec.role))
        .filter_map(|(_, root)| disk(root)?.used_percent)
        .max_by(f64::total_cmp)
}

/// Asked where the kernel grants no lease on a file.
#[must_use]
pub fn writers(identity: (u64, u64)) -> Use {
    let open = open_files::read(&[identity.0]);
    if open.writer(identity).is_some() {
        Use::Busy
    } else if open.visibility.hidden == 0 && open.visibility.processes > 0 {
        Use::Free
    } else {
        Use::Unknown
    }
}

/// The processes that have a file open or mapped now.
#[must_use]
pub fn holders(identity: (u64, u64)) -> Vec<Holder> {
    let mut open = open_files::read(&[identity.0]);
    open.holders.remove(&identity).unwrap_or_default()
}

/// The user that a process belongs to, if it is the one that a pid file of that time names.
#[must_use]
pub fn process_owner(pid: u32, written: Time) -> Option<u32> {
    if processes::pid_is_dead(pid, written) {
        return None;
    }
    processes::owner(pid)
}
