//! Shared memory that somebody holds, with its holders.

use crate::plan::agents::Segment;
use crate::plan::host::OpenFiles;

/// The segments in `/dev/shm` that a process was seen to have open or mapped, by name.
#[must_use]
#[cfg(all(target_os = "linux", not(sysopt_portable)))]
pub fn held(open: &OpenFiles) -> Vec<Segment> {
    use rustix::fs::{AtFlags, statat};

    let mut segments = Vec::new();
    let Ok(directory) = super::proc::Dir::root().and_then(|root| root.below(c"/dev/shm")) else {
        return segments;
    };
    // What could not be listed is not told of.
    let _ = directory.each(|name| {
        let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return;
        };
        if let Some(holders) = open.holders.get(&(stat.st_dev, stat.st_ino)) {
            segments.push(Segment {
                path: format!("/dev/shm/{}", name.to_string_lossy()),
                bytes: u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
                holders: holders.iter().map(|holder| holder.pid).collect(),
            });
        }
    });
    segments.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    segments
}

/// There is no portable way to see this.
#[must_use]
#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
pub fn held(_open: &OpenFiles) -> Vec<Segment> {
    Vec::new()
}
