//! What the process table says about files: the evidence for "in use".

mod kernel;

use std::collections::HashMap;

use super::entry::Filesystem;

pub use kernel::{Averages, Counters, Deltas, Stall, Stalls};

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

/// A process that has a `flock` on a file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locker {
    /// Process id.
    pub pid: u32,
    /// Its name; empty where it is not ours to see.
    pub name: String,
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

/// How many processes could be looked into. The default is the careful one: nothing was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Visibility {
    /// A process table was there to look at; where it was not, nobody knows who holds a file, and
    /// what must not be in use has to stay.
    pub looked: bool,
    /// Processes seen.
    pub processes: u32,
    /// Of these, how many did not let us see their files (another user's, not root).
    pub hidden: u32,
    /// The kernel does not even list other users' processes (`proc(5)`, `hidepid`).
    pub hidepid: bool,
}

impl Visibility {
    /// Whether every process was looked into.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.looked && self.hidden == 0 && !self.hidepid
    }
}

/// One pass over `/proc/*/fd` and `/proc/*/maps`.
#[derive(Clone, Debug, Default)]
pub struct OpenFiles {
    /// Who holds which regular file or directory, by device and inode; sorted by pid. The directory
    /// that a process works in counts too, but for the topmost, where daemons are.
    pub holders: HashMap<(u64, u64), Vec<Holder>>,
    /// Who has a `flock` on which file or directory, by device and inode.
    pub locks: HashMap<(u64, u64), Locker>,
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
    /// The same over all spans that the kernel averages, "some" and "full".
    pub pressure_averages: Stalls,
    /// What the kernel counted since the earlier reading.
    pub deltas: Deltas,
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
    /// Where it is mounted.
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

impl Disk {
    /// What a report says of a filesystem. The share is that of `df`: used of used and available,
    /// so that blocks reserved for root do not make a full disk look roomy.
    #[must_use]
    pub fn of(path: String, filesystem: &Filesystem) -> Self {
        let used = filesystem.total.saturating_sub(filesystem.free);
        Self {
            path,
            used_percent: percent(used, used.saturating_add(filesystem.available)),
            free_bytes: filesystem.available,
            total_bytes: filesystem.total,
            free_inodes: (filesystem.inodes > 0).then_some(filesystem.free_inodes),
            read_only: filesystem.read_only,
        }
    }
}

/// `part` of `whole` in percent, to one decimal; `None` of nothing.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    reason = "a percentage needs no more than 52 bits"
)]
pub fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 1000.0).round() / 10.0)
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
    /// What else the kernel counts.
    pub counters: Counters,
}

impl Ticks {
    /// What the kernel counted since an earlier reading of the same boot.
    #[must_use]
    pub fn deltas_since(&self, earlier: &Self) -> Deltas {
        if self.boot_id.is_empty() || self.boot_id != earlier.boot_id {
            return Deltas::default();
        }
        self.counters.since(&earlier.counters)
    }

    /// Busy share of all processors between an earlier reading and this one, in percent; `None`
    /// where the two cannot be compared.
    #[must_use]
    pub fn busy_percent_since(&self, earlier: &Self) -> Option<f64> {
        if self.boot_id.is_empty() || self.boot_id != earlier.boot_id {
            return None;
        }
        let busy = self.busy.checked_sub(earlier.busy)?;
        let total = self.total.checked_sub(earlier.total)?;
        percent(busy, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cutting::Cuts;
    use crate::plan::entry::AtimeMode;

    fn ticks(boot: &str, busy: u64, total: u64) -> Ticks {
        Ticks {
            boot_id: boot.to_owned(),
            busy,
            total,
            ..Ticks::default()
        }
    }

    #[test]
    fn load_is_the_difference_of_two_readings_of_one_boot() {
        for (earlier, later, expected) in [
            (ticks("a", 100, 1000), ticks("a", 150, 1200), Some(25.0)),
            (ticks("a", 0, 0), ticks("a", 1, 3), Some(33.3)),
            (ticks("a", 100, 1000), ticks("a", 100, 1000), None),
            (ticks("a", 100, 1000), ticks("b", 150, 1200), None),
            (ticks("", 100, 1000), ticks("", 150, 1200), None),
            (ticks("a", 200, 1000), ticks("a", 150, 1200), None),
        ] {
            assert_eq!(later.busy_percent_since(&earlier), expected);
        }
    }

    #[test]
    fn a_disk_is_as_full_as_df_says() {
        let filesystem = Filesystem {
            device: 1,
            total: 1000,
            free: 400,
            available: 350,
            inodes: 0,
            free_inodes: 0,
            read_only: false,
            atime: AtimeMode::Relatime,
            cuts: Cuts::default(),
        };
        let disk = Disk::of("/srv".to_owned(), &filesystem);
        assert_eq!(disk.used_percent, Some(63.2));
        assert_eq!((disk.free_bytes, disk.total_bytes), (350, 1000));
        assert_eq!(disk.free_inodes, None);
        let empty = Filesystem {
            total: 0,
            free: 0,
            available: 0,
            inodes: 9,
            free_inodes: 4,
            ..filesystem
        };
        let disk = Disk::of("/proc".to_owned(), &empty);
        assert_eq!((disk.used_percent, disk.free_inodes), (None, Some(4)));
    }

    #[test]
    fn nothing_seen_is_not_a_complete_look() {
        assert!(!Visibility::default().is_complete());
        let seen = Visibility {
            looked: true,
            processes: 9,
            ..Visibility::default()
        };
        assert!(seen.is_complete());
        assert!(!Visibility { hidden: 1, ..seen }.is_complete());
        let invisible = Visibility {
            hidepid: true,
            ..seen
        };
        assert!(!invisible.is_complete());
    }
}
