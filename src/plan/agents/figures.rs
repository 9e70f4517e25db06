//! What is reported of each agent: figures over the sample and since the last run, and flags.

use serde::Serialize;
use serde_json::{Value, json};

use super::links;
use super::lost::Lost;
use super::{Agent, Given};
use crate::plan::entry::Inventory;
use crate::plan::processes::{Process, State, growth};
use crate::plan::time::Time;

/// An agent that did nothing for so long is flagged, in seconds.
const IDLE_SECONDS: u64 = 3600;

/// An agent as reports show it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row<'a> {
    name: &'a str,
    rule: &'a str,
    predicate: &'a str,
    pid: u32,
    parent: Option<u32>,
    start: Option<Time>,
    user: Option<&'a str>,
    state: State,
    command: String,
    cgroup: Option<&'a str>,
    /// Over the sample where there is one, else since the last run.
    cpu_percent: Option<f64>,
    cpu_percent_sample: Option<f64>,
    cpu_percent_since_last_run: Option<f64>,
    rss_bytes: Option<u64>,
    rss_delta_bytes: Option<i64>,
    pss_bytes: Option<u64>,
    swap_bytes: Option<u64>,
    threads: Option<u32>,
    open_files: Option<u64>,
    open_files_limit: Option<u64>,
    nice: Option<i32>,
    idle_seconds: Option<u64>,
    flags: Vec<&'static str>,
    deleted_open_files: Value,
    zombies: Vec<u32>,
    shared_memory: Value,
}

pub(super) fn row<'a>(
    agent: &'a Agent<'_>,
    given: &Given<'_>,
    inventory: &Inventory,
    lost: &[Lost],
) -> Row<'a> {
    let (process, observed) = (agent.process, &given.observed);
    let visible = process.open_files.is_some();
    let idle_seconds = idle_seconds(process, given);
    let zombies = links::zombies(process.pid, observed.table);
    let flags = [
        (
            lost.iter().any(|one| one.replaced_by == Some(process.pid)),
            "restarted",
        ),
        (!zombies.is_empty(), "zombie"),
        (process.fd_pressure().is_some(), "fd_pressure"),
        (
            growth(&observed.rss_series(process)).is_some(),
            "rss_growing",
        ),
        (
            idle_seconds.is_some_and(|idle| idle >= IDLE_SECONDS),
            "idle",
        ),
    ];
    let holdings = |value: Value| if visible { value } else { Value::Null };
    Row {
        name: &agent.name,
        rule: &agent.rule,
        predicate: &agent.predicate,
        pid: process.pid,
        parent: process.parent,
        start: observed.table.started(process),
        user: process.user.as_deref(),
        state: process.state,
        command: observed.command(process),
        cgroup: process.cgroup.as_deref(),
        cpu_percent: observed.cpu(process),
        cpu_percent_sample: observed.cpu_in_sample(process),
        cpu_percent_since_last_run: observed.cpu_since_last_run(process),
        rss_bytes: process.rss_bytes,
        rss_delta_bytes: rss_delta(process, given),
        pss_bytes: process.pss_bytes,
        swap_bytes: process.swap_bytes,
        threads: process.threads,
        open_files: process.open_files,
        open_files_limit: process.open_files_limit,
        nice: process.nice,
        idle_seconds,
        flags: flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, flag)| *flag)
            .collect(),
        deleted_open_files: holdings(json!(links::deleted(process.pid, &inventory.open))),
        zombies,
        shared_memory: holdings(json!(links::shared(process.pid, given.segments))),
    }
}

fn rss_delta(process: &Process, given: &Given<'_>) -> Option<i64> {
    let observed = &given.observed;
    let then = observed.earlier?.find(observed.table, process)?.rss_bytes;
    let now = process.rss_bytes?;
    i64::try_from(i128::from(now) - i128::from(then)).ok()
}

/// Since it was last seen at work; `None` where no earlier run knows it.
fn idle_seconds(process: &Process, given: &Given<'_>) -> Option<u64> {
    let (table, earlier) = (given.observed.table, given.observed.earlier?);
    let active = earlier.active_ticks(table, process)?;
    let ticks = table.uptime_ticks.checked_sub(active)?;
    Some(table.span(ticks)?.as_secs())
}
