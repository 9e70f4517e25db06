//! The machine as one run sees it: now, a moment ago, and at the end of the last run.

use std::collections::HashMap;

use super::{Process, ProcessTable, Remembered};
use crate::plan::host::{Metrics, percent};

/// The processor time of every process a moment ago. Only `status` takes one: a cycle compares
/// with the last run instead, and sleeps for no figure.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Boot id of the kernel.
    pub boot_id: String,
    /// When it was taken, in clock ticks after boot.
    pub uptime_ticks: u64,
    /// Ticks used by each process, which pid and start name.
    pub ticks: HashMap<(u32, u64), u64>,
}

impl Sample {
    /// Processor use of a process since then, in percent of one processor.
    #[must_use]
    pub fn cpu_percent(&self, table: &ProcessTable, process: &Process) -> Option<f64> {
        if self.boot_id != table.boot_id {
            return None;
        }
        let then = self.ticks.get(&(process.pid, process.start_ticks?))?;
        let used = process.cpu_ticks?.checked_sub(*then)?;
        percent(used, table.uptime_ticks.checked_sub(self.uptime_ticks)?)
    }
}

/// Everything that the analysis of agents and of processes rests on.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The processes.
    pub table: &'a ProcessTable,
    /// Load and room.
    pub metrics: &'a Metrics,
    /// What the last run left; `None` before the first.
    pub earlier: Option<&'a Remembered>,
    /// A moment ago.
    pub sample: Option<&'a Sample>,
    /// Show command lines in full.
    pub verbose: bool,
}

/// Characters of a command line where it is not shown in full.
const COMMAND: usize = 80;

impl Observed<'_> {
    /// Processor use over the sample, in percent of one processor.
    #[must_use]
    pub fn cpu_in_sample(&self, process: &Process) -> Option<f64> {
        self.sample?.cpu_percent(self.table, process)
    }

    /// Processor use since the last run, in percent of one processor; of a process that started
    /// after that, since its start.
    #[must_use]
    pub fn cpu_since_last_run(&self, process: &Process) -> Option<f64> {
        let earlier = self.earlier?;
        if let Some(used) = earlier.cpu_percent(self.table, process) {
            return Some(used);
        }
        let comparable = earlier.is_of(self.table);
        let younger = process.start_ticks? >= earlier.uptime_ticks;
        if comparable && younger {
            self.cpu_since_start(process)
        } else {
            None
        }
    }

    /// Processor use over a process's whole life, in percent of one processor.
    #[must_use]
    pub fn cpu_since_start(&self, process: &Process) -> Option<f64> {
        let life = self.table.uptime_ticks.checked_sub(process.start_ticks?)?;
        percent(process.cpu_ticks?, life)
    }

    /// The best figure of the three.
    #[must_use]
    pub fn cpu(&self, process: &Process) -> Option<f64> {
        self.cpu_in_sample(process)
            .or_else(|| self.cpu_since_last_run(process))
    }

    /// Resident memory in this and earlier runs, oldest first.
    #[must_use]
    pub fn rss_series(&self, process: &Process) -> Vec<u64> {
        let then = self
            .earlier
            .and_then(|earlier| earlier.find(self.table, process));
        let mut series = then.map_or_else(Vec::new, |then| then.rss_series.clone());
        series.extend(process.rss_bytes);
        series
    }

    /// The command line without its secrets, cut unless it is wanted in full.
    #[must_use]
    pub fn command(&self, process: &Process) -> String {
        let limit = if self.verbose { usize::MAX } else { COMMAND };
        super::command_line(&process.arguments, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(uptime: u64, start: u64, cpu: u64) -> ProcessTable {
        ProcessTable {
            boot_id: "a".to_owned(),
            uptime_ticks: uptime,
            ticks_per_second: 100,
            processes: vec![Process {
                pid: 7,
                start_ticks: Some(start),
                cpu_ticks: Some(cpu),
                ..Process::default()
            }],
            ..ProcessTable::default()
        }
    }

    #[test]
    fn a_sample_is_of_the_same_process_and_boot() {
        let sample = Sample {
            boot_id: "a".to_owned(),
            uptime_ticks: 1000,
            ticks: [((7, 5), 100)].into(),
        };
        let used = |table: &ProcessTable| sample.cpu_percent(table, &table.processes[0]);
        assert_eq!(used(&table(1050, 5, 125)), Some(50.0));
        assert_eq!(used(&table(1050, 5, 100)), Some(0.0));
        assert_eq!(used(&table(1050, 6, 125)), None);
        assert_eq!(used(&table(1000, 5, 125)), None);
        let other = ProcessTable {
            boot_id: "b".to_owned(),
            ..table(1050, 5, 125)
        };
        assert_eq!(used(&other), None);
    }

    #[test]
    fn a_process_that_is_younger_than_the_last_run_is_averaged_over_its_life() {
        let metrics = Metrics::default();
        let mut earlier = Remembered {
            uptime_ticks: 1000,
            ..Remembered::default()
        };
        earlier.host.boot_id = "a".to_owned();
        let since = |table: &ProcessTable, earlier: Option<&Remembered>| {
            let observed = Observed {
                table,
                metrics: &metrics,
                earlier,
                sample: None,
                verbose: false,
            };
            observed.cpu_since_last_run(&table.processes[0])
        };
        assert_eq!(since(&table(1200, 1100, 50), Some(&earlier)), Some(50.0));
        assert_eq!(since(&table(1200, 900, 50), Some(&earlier)), None);
        assert_eq!(since(&table(1200, 1100, 50), None), None);
        earlier.host.boot_id = "b".to_owned();
        assert_eq!(since(&table(1200, 1100, 50), Some(&earlier)), None);
    }
}
