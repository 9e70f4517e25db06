//! What the process table says about files: the evidence for "in use".

use std::collections::HashMap;

/// How a process holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// Open for reading alone.
    Read,
    /// Mapped into memory; there may be no descriptor.
    Mapped,
    /// Open for writing with `O_APPEND`.
    Append,
    /// Open for writing at its own offset.
    Write,
}

/// One process that holds a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// `/proc/PID/comm`.
    pub name: String,
    /// The strongest way in which it holds the file.
    pub hold: Hold,
}

/// A file without a name that a process keeps alive.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeletedFile {
    /// Process id of the first holder found.
    pub pid: u32,
    /// Its name.
    pub process: String,
    /// The path that the kernel remembers.
    pub path: String,
    /// Allocated bytes.
    pub bytes: u64,
    /// Device and inode.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

/// How many processes could be looked into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Visibility {
    /// Processes seen.
    pub processes: u32,
    /// Of these, how many did not let us see their files (another user's, not root).
    pub hidden: u32,
}

/// One pass over `/proc/*/fd` and `/proc/*/maps`.
#[derive(Clone, Debug, Default)]
pub struct OpenFiles {
    /// Who holds which regular file, by device and inode; sorted by pid.
    pub holders: HashMap<(u64, u64), Vec<Holder>>,
    /// Files with no name left.
    pub deleted: Vec<DeletedFile>,
    /// How far the check saw.
    pub visibility: Visibility,
}

impl OpenFiles {
    /// Who holds a file, first the one that holds it strongest.
    #[must_use]
    pub fn holder(&self, identity: (u64, u64)) -> Option<&Holder> {
        self.holders
            .get(&identity)?
            .iter()
            .max_by_key(|holder| (holder.hold, std::cmp::Reverse(holder.pid)))
    }

    /// A process that has the file open for writing.
    #[must_use]
    pub fn writer(&self, identity: (u64, u64)) -> Option<&Holder> {
        self.holder(identity)
            .filter(|holder| matches!(holder.hold, Hold::Append | Hold::Write))
    }
}

/// Load and room of the machine at one instant. What could not be read is `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// Busy share of all processors since an earlier reading, in percent.
    pub cpu_percent: Option<f64>,
    /// Processors online.
    pub cpus: Option<u32>,
    /// Used share of memory, in percent of the total.
    pub memory_percent: Option<f64>,
    /// Bytes of memory (`MemTotal`, or the limit of the control group).
    pub memory_total_bytes: Option<u64>,
    /// Bytes that new programs could use (`MemAvailable`).
    pub memory_available_bytes: Option<u64>,
    /// Used share of swap, in percent; `None` where there is no swap.
    pub swap_percent: Option<f64>,
    /// Load averages over 1, 5 and 15 minutes.
    pub load_average: Option<[f64; 3]>,
    /// Pressure stall information, "some" over 10 seconds, in percent.
    pub pressure: Pressure,
    /// Since boot.
    pub uptime_seconds: Option<u64>,
    /// The filesystems of the configured directories, once each.
    pub disks: Vec<Disk>,
}

/// Share of time in which tasks waited for a resource (`Documentation/accounting/psi.rst`).
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Pressure {
    /// Processor.
    pub cpu: Option<f64>,
    /// Memory.
    pub memory: Option<f64>,
    /// Storage.
    pub io: Option<f64>,
}

/// A filesystem.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Disk {
    /// The first configured directory on it.
    pub path: String,
    /// As `df` computes it: used of what users can use.
    pub used_percent: Option<f64>,
    /// Bytes available.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Inodes available; `None` where they are not counted.
    pub free_inodes: Option<u64>,
    /// Mounted read-only.
    pub read_only: bool,
}

/// Processor time since boot, to take differences of (`/proc/stat`, in clock ticks).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Ticks {
    /// Boot id of the kernel; figures of another boot are not comparable.
    pub boot_id: String,
    /// Not idle.
    pub busy: u64,
    /// In all.
    pub total: u64,
}
