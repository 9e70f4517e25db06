//! Metrics for Prometheus: on stdout for `status`, in a file after each cycle.

use super::operate::Seen;
use super::session::Session;
use super::{status, timetable};
use crate::fs::books;
use crate::plan::action::{Operation, Plan};
use crate::plan::agents::{self, BUILT_IN};
use crate::report::prometheus::{self, AgentGauge, Gauges, OperationGauge};
use crate::schedule::state::State;

/// Writes `[export] textfile`, where it is configured; what went wrong.
#[must_use]
pub fn textfile(session: &Session, state: &State, plan: &Plan, seen: &Seen) -> Option<String> {
    let path = session.config.export_textfile.as_ref()?;
    let text = prometheus::write(&gauges(session, state, plan, seen));
    let error = books::write_textfile(path, text.as_bytes()).err()?;
    Some(format!(
        "cannot write the metrics to '{}': {error}",
        path.display()
    ))
}

/// What the metrics say of a state, and of the machine as a plan found it.
#[must_use]
pub fn gauges(session: &Session, state: &State, plan: &Plan, seen: &Seen) -> Gauges {
    let rules = timetable::rules(&session.config);
    let last = state.last_cycle.as_ref();
    let ended = last.filter(|cycle| cycle.exit_code.is_some());
    Gauges {
        last_run: state.last_cycle_began(),
        last_success: state.last_success,
        run_duration: ended.map(|cycle| cycle.duration_seconds),
        exit_code: ended.and_then(|cycle| cycle.exit_code),
        operations: operations(state),
        success_rate: last.map(|cycle| cycle.success_rate),
        consecutive_failures: state.consecutive_failures,
        backoff_seconds: (state.interval(&rules).saturating_sub(rules.backoff.base)).as_secs(),
        directories: directories(session, plan),
        agents: matched(session, seen),
        deleted_open_bytes: plan
            .inventory
            .open
            .deleted
            .iter()
            .map(|file| file.bytes)
            .sum(),
    }
}

fn operations(state: &State) -> Vec<OperationGauge> {
    let gauge = |operation: Operation| {
        let last = state.operations.get(&operation)?;
        Some(OperationGauge {
            operation,
            success: last.success,
            bytes_freed: last.bytes_freed,
            items: last.items_processed,
        })
    };
    Operation::CYCLE.into_iter().filter_map(gauge).collect()
}

fn directories(session: &Session, plan: &Plan) -> Vec<(&'static str, std::path::PathBuf, u64)> {
    status::directory_rows(&plan.inventory, &session.config.policies)
        .into_iter()
        .filter_map(|row| {
            let path = session.config.base.join(&row.path);
            Some((row.role.name(), path, row.usage_bytes?))
        })
        .collect()
}

fn matched(session: &Session, seen: &Seen) -> Vec<AgentGauge> {
    let policy = &session.config.policies.agents;
    if seen.host.table.processes.is_empty() {
        return Vec::new();
    }
    let detected = agents::detect(policy, &seen.host.table);
    let rules = policy.rules.iter().map(|rule| rule.name.as_str());
    rules
        .chain([BUILT_IN])
        .map(|rule| {
            let of_rule = || detected.agents.iter().filter(|agent| agent.rule == rule);
            AgentGauge {
                rule: rule.to_owned(),
                matched: of_rule().count() as u64,
                rss_bytes: of_rule().map(|agent| agent.process.rss_bytes).sum(),
            }
        })
        .collect()
}
