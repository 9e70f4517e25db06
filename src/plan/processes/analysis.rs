//! `process_optimization`: what all processes together do to the machine.

use std::cmp::Reverse;

use serde::Serialize;
use serde_json::{Value, json};

use super::advice::BUSY_PERCENT;
use super::{
    Process, ProcessTable, Recommendation, Remembered, State, command_line, cpu_weight,
    fd_pressure, rss_growing,
};
use crate::plan::action::{Operation, OperationPlan};
use crate::plan::host::{Metrics, percent};
use crate::plan::policy::LoadPolicy;

/// How many of the largest are named.
const TOP: usize = 5;

/// Characters of a command line; only a verbose report shows more.
const COMMAND: usize = 80;

/// A parent reaps its children within moments; one that lies longer was forgotten.
const FORGOTTEN_SECONDS: u64 = 60;

/// Stall of this share of time is high load by itself (`some`, over 10 s).
const STALLED_PERCENT: f64 = 20.0;

/// A process that ended and that its parent has not reaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Zombie {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Who should reap it.
    pub parent: Option<u32>,
    /// The parent's name.
    pub parent_name: Option<String>,
    /// Since it started; when it ended is not recorded by the kernel.
    pub age_seconds: Option<u64>,
}

/// Zombies that started over a minute ago, or at an unknown time.
#[must_use]
pub fn zombies(table: &ProcessTable) -> Vec<Zombie> {
    table
        .processes
        .iter()
        .filter(|process| process.state == State::Zombie)
        .map(|process| Zombie {
            pid: process.pid,
            name: process.name.clone(),
            parent: process.parent,
            parent_name: process
                .parent
                .and_then(|parent| table.get(parent))
                .map(|parent| parent.name.clone()),
            age_seconds: table.age(process).map(|age| age.as_secs()),
        })
        .filter(|zombie| zombie.age_seconds.is_none_or(|age| age > FORGOTTEN_SECONDS))
        .collect()
}

/// The analysis: figures and advice, no actions.
#[must_use]
pub fn plan(
    load: &LoadPolicy,
    table: &ProcessTable,
    metrics: &Metrics,
    earlier: Option<&Remembered>,
) -> OperationPlan {
    let mut plan = OperationPlan::new(Operation::ProcessOptimization);
    let zombies = zombies(table);
    let advice = recommendations(load, table, metrics, earlier, &zombies);
    plan.message = Some(message(table, metrics, zombies.len(), advice.len()));
    plan.metadata.extend([
        ("processes", json!(table.processes.len())),
        ("zombies", json!(zombies)),
        ("top_by_memory", top_by_memory(table, metrics, earlier)),
        ("top_by_cpu", top_by_cpu(table, metrics, earlier)),
        ("fd_pressure", under_fd_pressure(table)),
        ("recommendations", json!(advice)),
        ("visibility", json!(table.visibility)),
    ]);
    plan
}

fn message(table: &ProcessTable, metrics: &Metrics, zombies: usize, advice: usize) -> String {
    let figures = [
        Some(counted(table.processes.len(), "process", "processes")),
        (zombies > 0).then(|| counted(zombies, "zombie", "zombies")),
        metrics
            .memory_percent
            .map(|used| format!("memory {used:.0} %")),
        metrics
            .load_average
            .map(|[one, ..]| format!("load {one:.2}")),
        (advice > 0).then(|| counted(advice, "recommendation", "recommendations")),
    ];
    figures.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn top_by_memory(table: &ProcessTable, metrics: &Metrics, earlier: Option<&Remembered>) -> Value {
    top(table, metrics, earlier, |process| process.rss_bytes)
}

/// By processor time since each one's start: only agents are remembered from run to run.
fn top_by_cpu(table: &ProcessTable, metrics: &Metrics, earlier: Option<&Remembered>) -> Value {
    top(table, metrics, earlier, |process| process.cpu_ticks)
}

fn top(
    table: &ProcessTable,
    metrics: &Metrics,
    earlier: Option<&Remembered>,
    by: impl Fn(&Process) -> Option<u64>,
) -> Value {
    let mut ranked: Vec<_> = table
        .processes
        .iter()
        .filter_map(|process| Some((Reverse(by(process)?), process.pid, process)))
        .filter(|(rank, ..)| rank.0 > 0)
        .collect();
    ranked.sort_unstable_by_key(|(rank, pid, _)| (*rank, *pid));
    ranked
        .iter()
        .take(TOP)
        .map(|(_, _, process)| row(process, table, metrics, earlier))
        .collect()
}

fn row(
    process: &Process,
    table: &ProcessTable,
    metrics: &Metrics,
    earlier: Option<&Remembered>,
) -> Value {
    let share = process
        .rss_bytes
        .and_then(|rss| percent(rss, metrics.memory_total_bytes?));
    json!({
        "pid": process.pid,
        "name": process.name,
        "user": process.user,
        "command": command_line(&process.arguments, COMMAND),
        "rss_bytes": process.rss_bytes,
        "memory_percent": share,
        "cpu_seconds": process.cpu_ticks.and_then(|ticks| table.span(ticks)).map(|d| d.as_secs_f64()),
        "cpu_percent": earlier.and_then(|then| then.cpu_percent(table, process)),
        "cpu_percent_since_start": since_start(table, process),
    })
}

/// Processor use over a process's whole life, in percent of one processor.
fn since_start(table: &ProcessTable, process: &Process) -> Option<f64> {
    let life = table.uptime_ticks.checked_sub(process.start_ticks?)?;
    percent(process.cpu_ticks?, life)
}

fn under_fd_pressure(table: &ProcessTable) -> Value {
    table
        .processes
        .iter()
        .filter_map(|process| {
            let (open, limit) = process.fd_pressure()?;
            Some(json!({
                "pid": process.pid, "name": process.name,
                "open_files": open, "open_files_limit": limit,
            }))
        })
        .collect()
}

fn recommendations(
    load: &LoadPolicy,
    table: &ProcessTable,
    metrics: &Metrics,
    earlier: Option<&Remembered>,
    zombies: &[Zombie],
) -> Vec<Recommendation> {
    let mut advice: Vec<_> = table.processes.iter().filter_map(fd_pressure).collect();
    let grown = |process| rss_growing(process, table, earlier);
    advice.extend(table.processes.iter().filter_map(grown));
    advice.extend(memory_share(table, metrics));
    advice.extend(memory_high(load, metrics, earlier));
    if let Some(high) = cpu_high(load, metrics, earlier) {
        advice.push(high);
        let busy = table.processes.iter().filter_map(|process| {
            let since_last = earlier.and_then(|then| then.cpu_percent(table, process));
            cpu_weight(process, since_last.or_else(|| since_start(table, process)))
        });
        advice.extend(busy.take(TOP));
    }
    if !zombies.is_empty() {
        advice.push(Recommendation {
            code: "zombies",
            evidence: json!({ "zombies": zombies }),
            threshold: json!({ "age_seconds": FORGOTTEN_SECONDS }),
            command: None,
        });
    }
    advice
}

/// Processes that hold over a tenth of memory, on a machine that is not itself tiny.
fn memory_share(table: &ProcessTable, metrics: &Metrics) -> Vec<Recommendation> {
    const SHARE: f64 = 10.0;
    let large = |process: &Process| {
        let rss = process.rss_bytes?;
        let share = percent(rss, metrics.memory_total_bytes?).filter(|share| *share > SHARE)?;
        Some(Recommendation {
            code: "memory_share",
            evidence: json!({
                "pid": process.pid, "name": process.name,
                "rss_bytes": rss, "memory_percent": share,
            }),
            threshold: json!({ "memory_percent": SHARE }),
            command: None,
        })
    };
    table.processes.iter().filter_map(large).collect()
}

/// High for two runs in a row, or with tasks that wait for memory.
fn memory_high(
    load: &LoadPolicy,
    metrics: &Metrics,
    earlier: Option<&Remembered>,
) -> Option<Recommendation> {
    let used = metrics
        .memory_percent
        .filter(|used| *used > load.memory_percent)?;
    let lasting = earlier.is_some_and(|then| then.memory_high);
    (lasting || stalled(metrics.pressure.memory)).then(|| Recommendation {
        code: "memory_high",
        evidence: json!({ "memory_percent": used, "pressure": metrics.pressure.memory }),
        threshold: json!({ "memory_percent": load.memory_percent }),
        command: None,
    })
}

fn cpu_high(
    load: &LoadPolicy,
    metrics: &Metrics,
    earlier: Option<&Remembered>,
) -> Option<Recommendation> {
    let used = metrics
        .cpu_percent
        .filter(|used| *used > load.cpu_percent)?;
    let lasting = earlier.is_some_and(|then| then.cpu_high);
    (lasting || stalled(metrics.pressure.cpu)).then(|| Recommendation {
        code: "cpu_high",
        evidence: json!({ "cpu_percent": used, "pressure": metrics.pressure.cpu }),
        threshold: json!({ "cpu_percent": load.cpu_percent, "busy_process_percent": BUSY_PERCENT }),
        command: None,
    })
}

fn stalled(pressure: Option<f64>) -> bool {
    pressure.is_some_and(|share| share > STALLED_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::host::Pressure;

    const LOAD: LoadPolicy = LoadPolicy {
        enabled: true,
        memory_percent: 85.0,
        cpu_percent: 80.0,
    };

    fn process(pid: u32, rss: u64, cpu: u64) -> Process {
        Process {
            pid,
            parent: Some(1),
            name: format!("p{pid}"),
            start_ticks: Some(0),
            rss_bytes: Some(rss),
            cpu_ticks: Some(cpu),
            ..Process::default()
        }
    }

    fn table(processes: Vec<Process>) -> ProcessTable {
        ProcessTable {
            uptime_ticks: 10_000,
            ticks_per_second: 100,
            processes,
            ..ProcessTable::default()
        }
    }

    fn pids(value: &Value) -> Vec<u64> {
        let rows = value.as_array().cloned().unwrap_or_default();
        rows.iter().filter_map(|row| row["pid"].as_u64()).collect()
    }

    #[test]
    fn the_five_largest_are_named_and_nothing_is_done() {
        let mut processes: Vec<_> = (1..=7)
            .map(|n| process(n, u64::from(n % 4) * 100, 0))
            .collect();
        processes[0].cpu_ticks = Some(500);
        processes[1].rss_bytes = None;
        let plan = plan(&LOAD, &table(processes), &Metrics::default(), None);
        assert_eq!(pids(&plan.metadata["top_by_memory"]), [3, 7, 6, 1, 5]);
        assert_eq!(pids(&plan.metadata["top_by_cpu"]), [1]);
        let first = &plan.metadata["top_by_cpu"][0];
        assert_eq!(first["cpu_seconds"], 5.0);
        assert_eq!(first["cpu_percent_since_start"], 5.0);
        assert_eq!(first["cpu_percent"], Value::Null);
        assert!(plan.actions.is_empty() && plan.kept.is_empty());
        assert_eq!(plan.estimate, Some(0));
        assert_eq!(plan.message.as_deref(), Some("7 processes"));
    }

    #[test]
    fn a_zombie_is_named_with_its_parent_once_it_is_a_minute_old() {
        let zombie = |pid, parent, start| Process {
            state: State::Zombie,
            parent,
            start_ticks: start,
            ..process(pid, 0, 0)
        };
        let table = table(vec![
            process(1, 1, 1),
            zombie(2, Some(1), Some(3_999)),
            zombie(3, Some(1), Some(3_900)),
            zombie(4, None, None),
        ]);
        let found = zombies(&table);
        assert_eq!(found.iter().map(|z| z.pid).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(found[0].parent_name.as_deref(), Some("p1"));
        assert_eq!(
            (found[0].age_seconds, found[1].age_seconds),
            (Some(61), None)
        );
    }

    #[test]
    fn high_load_must_last_or_hurt() {
        let metrics = |memory: f64, stall: f64| Metrics {
            memory_percent: Some(memory),
            pressure: Pressure {
                memory: Some(stall),
                ..Pressure::default()
            },
            ..Metrics::default()
        };
        let then = |memory_high| Remembered {
            memory_high,
            ..Remembered::default()
        };
        for (memory, stall, earlier, advised) in [
            (90.0, 0.0, None, false),
            (90.0, 0.0, Some(then(false)), false),
            (90.0, 0.0, Some(then(true)), true),
            (90.0, 21.0, None, true),
            (85.0, 21.0, Some(then(true)), false),
        ] {
            let found = memory_high(&LOAD, &metrics(memory, stall), earlier.as_ref());
            assert_eq!(found.is_some(), advised, "{memory} {stall} {earlier:?}");
        }
    }

    #[test]
    fn an_argument_with_a_secret_is_not_reported() {
        let mut one = process(1, 1, 1);
        one.arguments = vec!["bot".into(), "--api-key=hush".into()];
        let plan = plan(&LOAD, &table(vec![one]), &Metrics::default(), None);
        let text = serde_json::to_string(&plan.metadata).unwrap_or_default();
        assert!(
            text.contains("--api-key=***") && !text.contains("hush"),
            "{text}"
        );
    }
}
