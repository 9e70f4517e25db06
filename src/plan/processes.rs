//! The process table as data, and what it says about the machine: an analysis, never an action.

mod advice;
mod analysis;
mod growth;
mod load;
mod observed;
mod redact;
mod remembered;
mod unit;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::host::Visibility;
use super::time::Time;

pub use advice::Recommendation;
pub use analysis::{Zombie, plan, units_wanted, zombies};
pub use load::Load;
pub use observed::{Observed, Sample};
pub use redact::command_line;
pub use remembered::{Label, Remembered, RememberedProcess};

pub(super) use advice::{cpu_weight, fd_pressure, rss_growing};
pub(super) use growth::growth;

/// What a process is doing (`proc_pid_stat(5)`, field 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// On a processor, or waiting for one.
    Running,
    /// Waits for an event.
    Sleeping,
    /// Waits for storage and takes no signals.
    DiskSleep,
    /// Stopped by a signal.
    Stopped,
    /// Stopped by a debugger.
    Tracing,
    /// Ended; its parent has not asked how.
    Zombie,
    /// About to go.
    Dead,
    /// An idle kernel thread.
    Idle,
    /// A letter that we do not know.
    #[default]
    Unknown,
}

/// One process. What could not be read is `None`, never 0. What may hold a secret is never
/// serialised; [`command_line`] shows the arguments with secrets taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its parent's.
    pub parent: Option<u32>,
    /// `/proc/PID/comm`: at most 15 bytes, and what the process itself chose.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// A thread of the kernel.
    pub kernel: bool,
    /// Real user id.
    pub uid: Option<u32>,
    /// The name of that user.
    pub user: Option<String>,
    /// The argument vector, empty arguments included; empty of kernel threads and zombies.
    #[serde(skip)]
    pub arguments: Vec<OsString>,
    /// Of its environment, the `NAME=VALUE` that a rule asks for, and nothing else.
    #[serde(skip)]
    pub environment: Vec<OsString>,
    /// The executable; read of agents, and where a rule asks for it.
    #[serde(skip)]
    pub exe: Option<PathBuf>,
    /// The working directory; read where a rule asks for it.
    #[serde(skip)]
    pub cwd: Option<PathBuf>,
    /// Path of its control group; read where a rule or the analysis asks for it.
    pub cgroup: Option<String>,
    /// When it started, in clock ticks after boot.
    pub start_ticks: Option<u64>,
    /// Processor time used, in clock ticks.
    pub cpu_ticks: Option<u64>,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// Resident memory, what is shared counted in shares (`Pss`); read of agents alone, for JSON.
    pub pss_bytes: Option<u64>,
    /// Memory in swap.
    pub swap_bytes: Option<u64>,
    /// A bit for each signal that it handles (`SigCgt`).
    #[serde(skip)]
    pub caught: Option<u64>,
    /// Threads.
    pub threads: Option<u32>,
    /// From -20 (first served) to 19.
    pub nice: Option<i32>,
    /// File descriptors in use.
    pub open_files: Option<u64>,
    /// How many it may have (`RLIMIT_NOFILE`, soft); `None` also where there is no limit, or where
    /// few are in use and nobody asks.
    pub open_files_limit: Option<u64>,
}

impl Process {
    /// Whether it is a program that runs: neither a kernel thread nor ended.
    #[must_use]
    pub const fn is_live_program(&self) -> bool {
        !self.kernel && !matches!(self.state, State::Zombie | State::Dead)
    }

    /// More than 80 % of its descriptors are in use: (open, limit).
    #[must_use]
    pub fn fd_pressure(&self) -> Option<(u64, u64)> {
        let (open, limit) = (self.open_files?, self.open_files_limit?);
        (u128::from(open) * 100 > u128::from(limit) * 80).then_some((open, limit))
    }
}

/// Every process at one instant.
#[derive(Clone, Debug, Default)]
pub struct ProcessTable {
    /// Boot id of the kernel.
    pub boot_id: String,
    /// When the machine booted.
    pub booted: Option<Time>,
    /// Clock ticks since then, time asleep included.
    pub uptime_ticks: u64,
    /// Clock ticks in a second (`sysconf(_SC_CLK_TCK)`).
    pub ticks_per_second: u64,
    /// Our own process.
    pub own: u32,
    /// Sorted by pid.
    pub processes: Vec<Process>,
    /// The pid in each pid file that a rule names, where it can be read and is not stale.
    pub pid_files: BTreeMap<PathBuf, u32>,
    /// How far the look went; hidden are those whose descriptors could not be counted.
    pub visibility: Visibility,
}

impl ProcessTable {
    /// The process of that id.
    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Process> {
        let at = self.processes.binary_search_by_key(&pid, |p| p.pid).ok()?;
        self.processes.get(at)
    }

    /// When a process started.
    #[must_use]
    pub fn started(&self, process: &Process) -> Option<Time> {
        let since_boot = self.span(process.start_ticks?)?;
        Some(self.booted?.after(since_boot))
    }

    /// How long ago a process started.
    #[must_use]
    pub fn age(&self, process: &Process) -> Option<Duration> {
        self.span(self.uptime_ticks.checked_sub(process.start_ticks?)?)
    }

    /// Clock ticks as time.
    #[must_use]
    pub fn span(&self, ticks: u64) -> Option<Duration> {
        let hertz = self.ticks_per_second;
        let whole = Duration::from_secs(ticks.checked_div(hertz)?);
        Some(whole + Duration::from_millis((ticks % hertz) * 1000 / hertz))
    }

    /// A process and everything that it descends from.
    #[must_use]
    pub fn lineage(&self, pid: u32) -> HashSet<u32> {
        let mut seen = HashSet::new();
        let mut at = Some(pid);
        // A table is not read in an instant: pids taken again could make it a ring.
        while let Some(pid) = at.filter(|pid| seen.insert(*pid)) {
            at = self.get(pid).and_then(|process| process.parent);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(processes: Vec<Process>) -> ProcessTable {
        ProcessTable {
            booted: Some(Time::from_parts(1000, 0)),
            uptime_ticks: 1050,
            ticks_per_second: 100,
            processes,
            ..ProcessTable::default()
        }
    }

    fn process(pid: u32, parent: Option<u32>) -> Process {
        Process {
            pid,
            parent,
            start_ticks: Some(250),
            ..Process::default()
        }
    }

    #[test]
    fn start_and_age_are_counted_from_boot() {
        let table = table(vec![process(7, None)]);
        let seven = table.get(7).unwrap_or(&table.processes[0]);
        assert_eq!(
            table.started(seven),
            Some(Time::from_parts(1002, 500_000_000))
        );
        assert_eq!(table.age(seven), Some(Duration::from_secs(8)));
        let unknown = Process::default();
        assert_eq!((table.age(&unknown), table.started(&unknown)), (None, None));
        assert_eq!(ProcessTable::default().age(seven), None);
    }

    #[test]
    fn lineage_ends_also_in_a_ring() {
        let table = table(vec![
            process(1, Some(3)),
            process(2, Some(1)),
            process(3, Some(2)),
            process(9, Some(4)),
        ]);
        assert_eq!(table.lineage(2), HashSet::from([1, 2, 3]));
        assert_eq!(table.lineage(9), HashSet::from([9, 4]));
    }

    #[test]
    fn descriptors_are_tight_above_four_fifths() {
        for (open, limit, tight) in [
            (Some(819), Some(1024), false),
            (Some(820), Some(1024), true),
            (Some(80), Some(100), false),
            (Some(0), Some(0), false),
            (None, Some(10), false),
            (Some(10), None, false),
        ] {
            let process = Process {
                open_files: open,
                open_files_limit: limit,
                ..Process::default()
            };
            assert_eq!(process.fd_pressure().is_some(), tight, "{open:?} {limit:?}");
        }
    }

    #[test]
    fn a_process_is_serialised_without_what_may_be_secret() {
        let process = Process {
            arguments: vec!["--token=hush".into()],
            environment: vec!["TOKEN=hush".into()],
            ..Process::default()
        };
        let text = serde_json::to_string(&process).unwrap_or_default();
        assert!(
            text.contains("\"pid\":0") && !text.contains("hush"),
            "{text}"
        );
    }
}
