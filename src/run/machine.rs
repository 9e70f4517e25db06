//! The machine as a run sees it: load, room, processes, and who writes to a file.

use std::os::fd::AsFd;

use super::directories::Directories;
use super::evidence::Host;
use super::memory::Memory;
use super::operate::Job;
use super::session::Session;
use crate::fs::lease::Use;
use crate::fs::roots;
use crate::plan::host::{Disk, Metrics, Ticks};
use crate::plan::time::Time;
use crate::system::{metrics, open_files, processes};

/// The process table, where an operation of the job looks at processes.
pub fn host(session: &Session, job: &Job<'_>, directories: &Directories, memory: &Memory) -> Host {
    if !job.cycle {
        return Host {
            earlier: Some(memory.state.processes.clone()),
            ..Host::default()
        };
    }
    let ticks = &memory.state.processes.host;
    Host {
        table: processes::read(&session.config.policies.agents),
        metrics: read_metrics(directories, Some(ticks)),
        earlier: Some(memory.state.processes.clone()),
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
        let (Some(fd), Some(stat)) = (&root.fd, root.seen) else {
            continue;
        };
        if seen.contains(&stat.device) {
            continue;
        }
        seen.push(stat.device);
        if let Ok(filesystem) = roots::filesystem(fd.as_fd(), stat.device) {
            let mounted = roots::mount_point(&root.resolved, stat.device);
            disks.push(metrics::disk(&mounted, &filesystem));
        }
    }
    disks
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

/// The user that a process belongs to, if it is the one that a pid file of that time names.
#[must_use]
pub fn process_owner(pid: u32, written: Time) -> Option<u32> {
    if processes::pid_is_dead(pid, written) {
        return None;
    }
    processes::owner(pid)
}
