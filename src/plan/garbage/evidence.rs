//! What others found out about processes, as data.

use std::collections::HashSet;

use super::super::entry::EntryId;
use super::super::processes::Zombie;

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

/// A file in `/dev/shm`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SharedMemory {
    /// Its path.
    pub path: String,
    /// Allocated bytes.
    pub bytes: u64,
}
