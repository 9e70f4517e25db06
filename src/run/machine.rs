//! The machine as a run sees it: load, room, processes, and who writes to a file.

use std::os::fd::AsFd;

use super::directories::Directories;
use super::evidence::Host;
use super::memory::Memory;
use super::operate::Job;
use super::session::Session;
use crate::fs::lease::Use;
use crate::fs::roots::{self, OpenRoot};
use crate::plan::entry::Role;
use crate::plan::host::{Disk, Metrics, Ticks};
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
