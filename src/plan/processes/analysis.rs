//! `process_optimization`: what all processes together do to the machine.

use std::cmp::Reverse;

use serde::Serialize;
use serde_json::{Value, json};

use super::advice::{BUSY_PERCENT, cpu_busy};
use super::{
    Load, Observed, Process, ProcessTable, Recommendation, State, cpu_weight, fd_pressure,
    rss_growing,
};
use crate::plan::action::{Operation, OperationPlan};
use crate::plan::host::{Deltas, Metrics, percent};
use crate::plan::policy::LoadPolicy;

/// How many of the largest are named.
const TOP: usize = 5;

/// A parent reaps its children within moments; one that lies longer was forgotten.
const FORGOTTEN_SECONDS: u64 = 60;

/// A process that holds more than this share of memory is worth a word, in percent.
const MEMORY_SHARE: f64 = 10.0;

/// Pages of swap traffic since the last run that are worth a word: 64 MiB of 4 KiB pages.
const SWAPPED_PAGES: u64 = 16 << 10;

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
pub fn plan(load: &LoadPolicy, observed: &Observed<'_>) -> OperationPlan {
    let mut plan = OperationPlan::new(Operation::ProcessOptimization);
    let (table, metrics) = (observed.table, observed.metrics);
    let zombies = zombies(table);
    let advice = recommendations(load, observed, &zombies);
    plan.message = Some(message(table, metrics, zombies.len(), advice.len()));
    plan.metadata.extend([
        ("processes", json!(table.processes.len())),
        ("zombies", json!(zombies)),
        ("top_by_memory", top(observed, |process| process.rss_bytes)),
        ("top_by_cpu", top_by_cpu(observed)),
        ("fd_pressure", under_fd_pressure(table)),
        ("since_last_run", json!(metrics.deltas)),
        ("pressure", json!(metrics.pressure_averages)),
        ("recommendations", json!(advice)),
        ("visibility", json!(table.visibility)),
    ]);
    plan
}

fn message(table: &ProcessTable, metrics: &Metrics, zombies: usize, advice: usize) -> String {
    let killed = metrics.deltas.oom_kill.filter(|count| *count > 0);
    let figures = [
        Some(counted(table.processes.len(), "process", "processes")),
        (zombies > 0).then(|| counted(zombies, "zombie", "zombies")),
        killed.map(|count| format!("{count} killed for want of memory")),
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

/// By processor use in the sample or since the last run, as far as that is known of any; else by
/// all processor time used.
fn top_by_cpu(observed: &Observed<'_>) -> Value {
    let compared = observed.sample.is_some() || observed.earlier.is_some();
    let recent = |process: &Process| {
        // In thousandths of a percent, to be ranked.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a percentage is small, and never below zero"
        )]
        observed.cpu(process).map(|used| (used * 1000.0) as u64)
    };
    let known = |process: &Process| recent(process).is_some_and(|used| used > 0);
    if compared && observed.table.processes.iter().any(known) {
        top(observed, recent)
    } else {
        top(observed, |process| process.cpu_ticks)
    }
}

fn top(observed: &Observed<'_>, by: impl Fn(&Process) -> Option<u64>) -> Value {
    let mut ranked: Vec<_> = observed
        .table
        .processes
        .iter()
        .filter_map(|process| Some((Reverse(by(process)?), process.pid, process)))
        .filter(|(rank, ..)| rank.0 > 0)
        .collect();
    ranked.sort_unstable_by_key(|(rank, pid, _)| (*rank, *pid));
    ranked
        .iter()
        .take(TOP)
        .map(|(_, _, process)| row(process, observed))
        .collect()
}

fn row(process: &Process, observed: &Observed<'_>) -> Value {
    let total = observed.metrics.memory_total_bytes;
    let share = process.rss_bytes.and_then(|rss| percent(rss, total?));
    let used = process
        .cpu_ticks
        .and_then(|ticks| observed.table.span(ticks));
    json!({
        "pid": process.pid,
        "name": process.name,
        "user": process.user,
        "command": observed.command(process),
        "rss_bytes": process.rss_bytes,
        "memory_percent": share,
        "cpu_seconds": used.map(|span| span.as_secs_f64()),
        "cpu_percent": observed.cpu(process),
        "cpu_percent_since_last_run": observed.cpu_since_last_run(process),
        "cpu_percent_since_start": observed.cpu_since_start(process),
    })
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
    observed: &Observed<'_>,
    zombies: &[Zombie],
) -> Vec<Recommendation> {
    let processes = &observed.table.processes;
    let state = Load::of(load, observed);
    let mut advice: Vec<_> = processes.iter().filter_map(fd_pressure).collect();
    let grown = |process| rss_growing(process, observed);
    advice.extend(processes.iter().filter_map(grown));
    advice.extend(memory_share(observed));
    advice.extend(state.memory_high(load, observed.metrics));
    match state.cpu_high(load, observed.metrics) {
        Some(high) => {
            advice.push(high);
            let weight = |process| cpu_weight(process, recent_or_lifelong(process, observed));
            advice.extend(processes.iter().filter_map(weight).take(TOP));
        }
        None => advice.extend(
            processes
                .iter()
                .filter_map(|process| cpu_busy(process, observed))
                .take(TOP),
        ),
    }
    advice.extend(killed(&observed.metrics.deltas));
    advice.extend(swapping(&observed.metrics.deltas));
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

/// The processes of which advice can name the unit, so that their control groups have to be known
/// before there can be a plan.
#[must_use]
pub fn units_wanted(observed: &Observed<'_>) -> Vec<u32> {
    let busy = |process: &Process| {
        recent_or_lifelong(process, observed).is_some_and(|used| used > BUSY_PERCENT)
    };
    let wanted = |process: &&Process| busy(process) || rss_growing(process, observed).is_some();
    let processes = observed.table.processes.iter();
    processes
        .filter(wanted)
        .map(|process| process.pid)
        .collect()
}

fn recent_or_lifelong(process: &Process, observed: &Observed<'_>) -> Option<f64> {
    let recent = observed.cpu_since_last_run(process);
    recent.or_else(|| observed.cpu_since_start(process))
}

/// Processes that hold over a tenth of memory.
fn memory_share(observed: &Observed<'_>) -> Vec<Recommendation> {
    let total = observed.metrics.memory_total_bytes;
    let large = |process: &Process| {
        let rss = process.rss_bytes?;
        let share = percent(rss, total?).filter(|share| *share > MEMORY_SHARE)?;
        Some(Recommendation {
            code: "memory_share",
            evidence: json!({
                "pid": process.pid, "name": process.name,
                "rss_bytes": rss, "memory_percent": share,
            }),
            threshold: json!({ "memory_percent": MEMORY_SHARE }),
            command: None,
        })
    };
    observed.table.processes.iter().filter_map(large).collect()
}

fn killed(deltas: &Deltas) -> Option<Recommendation> {
    let count = deltas.oom_kill.filter(|count| *count > 0)?;
    Some(Recommendation {
        code: "oom_kill",
        evidence: json!({ "oom_kill": count, "seconds": deltas.seconds }),
        threshold: json!({ "oom_kill": 0 }),
        command: Some("journalctl --dmesg --grep='Out of memory|oom-kill'".to_owned()),
    })
}

fn swapping(deltas: &Deltas) -> Option<Recommendation> {
    let pages = deltas.pswpin?.saturating_add(deltas.pswpout?);
    (pages > SWAPPED_PAGES).then(|| Recommendation {
        code: "swap_traffic",
        evidence: json!({
            "pswpin": deltas.pswpin, "pswpout": deltas.pswpout, "seconds": deltas.seconds,
        }),
        threshold: json!({ "pages": SWAPPED_PAGES }),
        command: None,
    })
}

#[cfg(test)]
#[path = "analysis_tests.rs"]
mod tests;
