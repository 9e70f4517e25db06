//! What the state keeps of the processes, so that a run from cron can give averages since the last.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{Observed, Process, ProcessTable};
use crate::plan::host::{Ticks, percent};
use crate::plan::policy::LoadPolicy;

/// More agents than anyone runs; keeps the state small where a rule matches everything.
const MOST: usize = 256;

/// Of the other processes, so many that used most processor time, and as many that hold most
/// memory: who is not among them was not the matter then, and is not yet now.
const LARGEST: usize = 32;

/// Readings of memory that are kept.
const SERIES: usize = 8;

/// An agent that uses less than this, in percent of one processor, idles.
const IDLE_PERCENT: f64 = 0.1;

/// Figures of one run that the next one compares with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// Processor time of the machine, with the boot id.
    pub host: Ticks,
    /// Clock ticks since boot.
    pub uptime_ticks: u64,
    /// Processor use between that run and the one before, in percent.
    pub cpu_percent: Option<f64>,
    /// Processor use was over its threshold.
    pub cpu_high: bool,
    /// Memory use was over its threshold.
    pub memory_high: bool,
    /// The agents, at most 256, and the largest of the other processes.
    pub processes: Vec<RememberedProcess>,
}

/// One process; pid and start are its identity within a boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Resident memory in the last runs, oldest first, this one last.
    pub rss_series: Vec<u64>,
    /// When it was last seen at work, in clock ticks after boot.
    pub active_ticks: Option<u64>,
    /// Of an agent: which.
    pub agent: Option<Label>,
    /// Of an agent that was asked to collect its garbage: its resident memory after that.
    pub reclaimed_bytes: Option<u64>,
}

/// What an agent is called, whatever its pid.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Label {
    /// The rule that it matches.
    pub rule: String,
    /// Its name.
    pub name: String,
    /// It is an agent because its parent is one.
    pub child: bool,
}

impl Remembered {
    /// What to keep of this run: the machine, the agents, the largest other processes, and what
    /// came of asking agents for memory (resident bytes by pid).
    #[must_use]
    pub fn of(
        observed: &Observed<'_>,
        ticks: &Ticks,
        load: &LoadPolicy,
        agents: &[(u32, Label)],
        reclaimed: &HashMap<u32, u64>,
    ) -> Self {
        let (table, metrics) = (observed.table, observed.metrics);
        let over = |value: Option<f64>, limit| value.is_some_and(|value| value > limit);
        let mut known = HashSet::new();
        let labelled = agents
            .iter()
            .take(MOST)
            .map(|(pid, label)| (*pid, Some(label)));
        let others = largest(table).into_iter().map(|pid| (pid, None));
        let processes = labelled
            .chain(others)
            .filter(|(pid, _)| known.insert(*pid))
            .filter_map(|(pid, label)| {
                let asked = reclaimed.get(&pid).copied();
                remembered(observed, table.get(pid)?, label.cloned(), asked)
            });
        Self {
            host: ticks.clone(),
            uptime_ticks: table.uptime_ticks,
            cpu_percent: metrics.cpu_percent,
            cpu_high: over(metrics.cpu_percent, load.cpu_percent),
            memory_high: over(metrics.memory_percent, load.memory_percent),
            processes: processes.collect(),
        }
    }

    /// Whether it is of the same boot, so that clock ticks can be compared.
    #[must_use]
    pub fn is_of(&self, table: &ProcessTable) -> bool {
        !table.boot_id.is_empty() && self.host.boot_id == table.boot_id
    }

    /// The same process then: same boot, pid and start.
    #[must_use]
    pub fn find(&self, table: &ProcessTable, process: &Process) -> Option<&RememberedProcess> {
        if !self.is_of(table) {
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

    /// When a process was last seen at work, in clock ticks after boot; `None` where that cannot
    /// be told. One that idles has not been at work since the last run, or for longer.
    #[must_use]
    pub fn active_ticks(&self, table: &ProcessTable, process: &Process) -> Option<u64> {
        let used = self.cpu_percent(table, process)?;
        if used >= IDLE_PERCENT {
            return Some(table.uptime_ticks);
        }
        let then = self.find(table, process)?;
        Some(then.active_ticks.unwrap_or(self.uptime_ticks))
    }
}

fn remembered(
    observed: &Observed<'_>,
    process: &Process,
    agent: Option<Label>,
    reclaimed: Option<u64>,
) -> Option<RememberedProcess> {
    let (table, earlier) = (observed.table, observed.earlier);
    let then = earlier.and_then(|earlier| earlier.find(table, process));
    let mut rss_series = observed.rss_series(process);
    rss_series.drain(..rss_series.len().saturating_sub(SERIES));
    Some(RememberedProcess {
        pid: process.pid,
        start_ticks: process.start_ticks?,
        cpu_ticks: process.cpu_ticks?,
        rss_bytes: process.rss_bytes?,
        rss_series,
        active_ticks: earlier.and_then(|earlier| earlier.active_ticks(table, process)),
        agent,
        reclaimed_bytes: reclaimed.or_else(|| then?.reclaimed_bytes),
    })
}

/// The ids of the programs that used most processor time, and of those that hold most memory.
fn largest(table: &ProcessTable) -> HashSet<u32> {
    let by = |figure: fn(&Process) -> Option<u64>| {
        let mut ranked: Vec<(u64, u32)> = table
            .processes
            .iter()
            .filter(|process| process.is_live_program())
            .filter_map(|process| Some((figure(process)?, process.pid)))
            .collect();
        ranked.sort_unstable_by_key(|(value, pid)| (std::cmp::Reverse(*value), *pid));
        ranked.into_iter().take(LARGEST).map(|(_, pid)| pid)
    };
    by(|process| process.cpu_ticks)
        .chain(by(|process| process.rss_bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::host::Metrics;

    const LOAD: LoadPolicy = LoadPolicy {
        enabled: true,
        memory_percent: 85.0,
        cpu_percent: 80.0,
    };

    fn table(boot: &str, uptime: u64, start: u64, cpu: u64) -> ProcessTable {
        ProcessTable {
            boot_id: boot.to_owned(),
            uptime_ticks: uptime,
            ticks_per_second: 100,
            processes: vec![Process {
                pid: 7,
                start_ticks: Some(start),
                cpu_ticks: Some(cpu),
                rss_bytes: Some(cpu),
                ..Process::default()
            }],
            ..ProcessTable::default()
        }
    }

    fn remember(table: &ProcessTable, earlier: Option<&Remembered>) -> Remembered {
        let ticks = Ticks {
            boot_id: table.boot_id.clone(),
            ..Ticks::default()
        };
        let metrics = Metrics {
            cpu_percent: Some(81.0),
            ..Metrics::default()
        };
        let observed = Observed {
            table,
            metrics: &metrics,
            earlier,
            sample: None,
            verbose: false,
        };
        let agents = [(7, Label::default()), (8, Label::default())];
        Remembered::of(&observed, &ticks, &LOAD, &agents, &HashMap::new())
    }

    #[test]
    fn only_the_same_process_of_the_same_boot_is_compared() {
        let then = remember(&table("a", 1000, 5, 100), None);
        assert_eq!(
            then.processes.len(),
            1,
            "8 does not run, and 7 is kept once"
        );
        assert!(then.cpu_high && !then.memory_high);
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
    fn the_last_eight_readings_are_kept() {
        let mut then = remember(&table("a", 1000, 5, 1), None);
        for run in 2..=10 {
            then = remember(&table("a", 1000 * run, 5, run), Some(&then));
        }
        assert_eq!(then.processes[0].rss_series, (3..=10).collect::<Vec<_>>());
        let restarted = remember(&table("a", 99_000, 6, 4), Some(&then));
        assert_eq!(restarted.processes[0].rss_series, [4]);
    }

    #[test]
    fn idle_is_who_did_nothing_since_the_last_run_or_longer() {
        let first = remember(&table("a", 1_000, 5, 100), None);
        assert_eq!(first.processes[0].active_ticks, None, "nobody knows yet");
        let second = remember(&table("a", 5_000, 5, 100), Some(&first));
        assert_eq!(second.processes[0].active_ticks, Some(1_000));
        let third = remember(&table("a", 9_000, 5, 101), Some(&second));
        assert_eq!(
            third.processes[0].active_ticks,
            Some(1_000),
            "0.03 % is idle"
        );
        let fourth = remember(&table("a", 9_100, 5, 141), Some(&third));
        assert_eq!(fourth.processes[0].active_ticks, Some(9_100));
    }

    #[test]
    fn it_survives_the_state_file_also_that_of_an_older_version() {
        let then = remember(&table("a", 1000, 5, 100), None);
        let text = serde_json::to_string(&then).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Remembered>(&text).ok(), Some(then));
        assert_eq!(
            serde_json::from_str::<Remembered>("{}").ok(),
            Some(Remembered::default())
        );
        let old = r#"{"processes":[{"pid":7,"start_ticks":5,"cpu_ticks":1,"rss_bytes":2}]}"#;
        let read = serde_json::from_str::<Remembered>(old).unwrap_or_default();
        assert_eq!(read.processes[0].rss_bytes, 2);
    }
}
