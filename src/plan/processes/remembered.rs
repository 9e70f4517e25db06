//! What the state keeps of the processes, so that a run from cron can give averages since the last.

use serde::{Deserialize, Serialize};

use super::{Process, ProcessTable};
use crate::plan::host::{Metrics, Ticks, percent};
use crate::plan::policy::LoadPolicy;

/// More than anyone runs; keeps the state small where a rule matches everything.
const MOST: usize = 256;

/// Figures of one run that the next one compares with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// Processor time of the machine, with the boot id.
    pub host: Ticks,
    /// Clock ticks since boot.
    pub uptime_ticks: u64,
    /// Processor use was over its threshold.
    pub cpu_high: bool,
    /// Memory use was over its threshold.
    pub memory_high: bool,
    /// The agents, at most 256.
    pub processes: Vec<RememberedProcess>,
}

/// One process; pid and start are its identity within a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RememberedProcess {
    /// Process id.
    pub pid: u32,
    /// When it started, in clock ticks after boot.
    pub start_ticks: u64,
    /// Processor time used, in clock ticks.
    pub cpu_ticks: u64,
    /// Resident memory.
    pub rss_bytes: u64,
}

impl Remembered {
    /// What to keep of this run: the machine, and the processes of these ids.
    #[must_use]
    pub fn of(
        table: &ProcessTable,
        ticks: &Ticks,
        metrics: &Metrics,
        load: &LoadPolicy,
        pids: impl IntoIterator<Item = u32>,
    ) -> Self {
        let keep = |pid| {
            let process = table.get(pid)?;
            Some(RememberedProcess {
                pid,
                start_ticks: process.start_ticks?,
                cpu_ticks: process.cpu_ticks?,
                rss_bytes: process.rss_bytes?,
            })
        };
        Self {
            host: ticks.clone(),
            uptime_ticks: table.uptime_ticks,
            cpu_high: metrics.cpu_percent.is_some_and(|at| at > load.cpu_percent),
            memory_high: metrics
                .memory_percent
                .is_some_and(|at| at > load.memory_percent),
            processes: pids.into_iter().filter_map(keep).take(MOST).collect(),
        }
    }

    /// The same process then: same boot, pid and start.
    #[must_use]
    pub fn find(&self, table: &ProcessTable, process: &Process) -> Option<&RememberedProcess> {
        if table.boot_id.is_empty() || self.host.boot_id != table.boot_id {
            return None;
        }
        self.processes
            .iter()
            .find(|then| then.pid == process.pid && Some(then.start_ticks) == process.start_ticks)
    }

    /// Processor use since then, in percent of one processor.
    #[must_use]
    pub fn cpu_percent(&self, table: &ProcessTable, process: &Process) -> Option<f64> {
        let then = self.find(table, process)?;
        let used = process.cpu_ticks?.checked_sub(then.cpu_ticks)?;
        percent(used, table.uptime_ticks.checked_sub(self.uptime_ticks)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(boot: &str, uptime: u64, start: u64, cpu: u64) -> ProcessTable {
        ProcessTable {
            boot_id: boot.to_owned(),
            uptime_ticks: uptime,
            ticks_per_second: 100,
            processes: vec![Process {
                pid: 7,
                start_ticks: Some(start),
                cpu_ticks: Some(cpu),
                rss_bytes: Some(1),
                ..Process::default()
            }],
            ..ProcessTable::default()
        }
    }

    fn remember(table: &ProcessTable) -> Remembered {
        let ticks = Ticks {
            boot_id: table.boot_id.clone(),
            ..Ticks::default()
        };
        let load = LoadPolicy {
            enabled: true,
            memory_percent: 85.0,
            cpu_percent: 80.0,
        };
        Remembered::of(table, &ticks, &Metrics::default(), &load, [7, 8])
    }

    #[test]
    fn only_the_same_process_of_the_same_boot_is_compared() {
        let then = remember(&table("a", 1000, 5, 100));
        assert_eq!(then.processes.len(), 1, "8 does not run");
        for (now, expected) in [
            (table("a", 1200, 5, 150), Some(25.0)),
            (table("a", 1200, 6, 150), None),
            (table("b", 1200, 5, 150), None),
            (table("a", 1000, 5, 100), None),
            (table("a", 1200, 5, 50), None),
        ] {
            assert_eq!(then.cpu_percent(&now, &now.processes[0]), expected);
        }
    }

    #[test]
    fn it_survives_the_state_file() {
        let then = remember(&table("a", 1000, 5, 100));
        let text = serde_json::to_string(&then).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Remembered>(&text).ok(), Some(then));
        assert_eq!(
            serde_json::from_str::<Remembered>("{}").ok(),
            Some(Remembered::default())
        );
    }
}
