//! What others found out about processes, as data.

use std::collections::HashSet;

use super::super::entry::EntryId;

/// What files alone do not tell.
#[derive(Clone, Debug, Default)]
pub struct GarbageEvidence {
    /// Of the pid files asked for: those whose process is gone (`kill(pid, 0)` says ESRCH) or
    /// younger than the file.
    pub dead_pid_files: HashSet<EntryId>,
    /// Processes that ended and that their parents do not collect.
    pub zombies: Vec<Zombie>,
    /// Segments of `/dev/shm` that nobody maps.
    pub shm: Vec<SharedMemory>,
}

/// A process that ended more than a minute ago.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Zombie {
    /// Process id.
    pub pid: u32,
    /// `/proc/PID/comm`.
    pub name: String,
    /// The process that does not collect it.
    pub parent: u32,
    /// Its name.
    pub parent_name: String,
    /// Since it was started; since when it is dead the kernel does not say.
    pub age_seconds: u64,
}

/// A file in `/dev/shm`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SharedMemory {
    /// Its path.
    pub path: String,
    /// Allocated bytes.
    pub bytes: u64,
}
