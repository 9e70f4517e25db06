//! `agent_optimization`: which processes are agents, how they fare, and what they are asked.

mod detect;
mod effect;
mod figures;
mod invocation;
mod links;
mod lost;
mod pace;
mod predicates;
mod reclaim;
mod rules;

use std::time::Duration;

use humansize::{BINARY, format_size};
use serde_json::{Value, json};

pub use detect::{Agent, Detected, Missing, detect};
pub use effect::{Before, Effect, Machine, Measured, Standing, Verdict, judge, metadata_after};
pub use invocation::{Invocation, Runs};
pub use links::{Segment, annotate};
pub use pace::{Pace, PaceFile, Present};
pub use predicates::Predicates;
pub use reclaim::{Reclaim, refusal, signal_number};
pub use rules::{BUILT_IN, Rule};

use super::action::{Operation, OperationPlan};
use super::entry::Inventory;
use super::policy::{AgentsPolicy, LoadPolicy};
use super::processes::{Load, Observed, Recommendation, cpu_weight, fd_pressure, rss_growing};
use super::time::Time;

/// What the plan rests on beside the rules.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The machine.
    pub observed: Observed<'a>,
    /// Shared memory that somebody holds.
    pub segments: &'a [Segment],
    /// The caller; 0 is root.
    pub caller: u32,
    /// The owner of the base.
    pub owner: Option<u32>,
    /// What has the name of the pace file.
    pub pace: &'a Present,
    /// Between two cycles.
    pub interval: Duration,
    /// The clock.
    pub now: Time,
}

/// The processes that are agents as far as is known, of which more has to be read before there can
/// be a plan: their executables may exclude some yet.
#[must_use]
pub fn figures_wanted(policy: &AgentsPolicy, table: &super::processes::ProcessTable) -> Vec<u32> {
    let detected = detect(policy, table);
    let pid = |agent: &Agent| agent.process.pid;
    detected.agents.iter().map(pid).collect()
}

/// The analysis of the agents: figures, warnings and advice; and where the configuration asks for
/// them, signals and the pace file.
#[must_use]
pub fn plan(
    policy: &AgentsPolicy,
    load: &LoadPolicy,
    given: &Given<'_>,
    inventory: &mut Inventory,
) -> OperationPlan {
    let mut plan = OperationPlan::new(Operation::AgentOptimization);
    let observed = &given.observed;
    let detected = detect(policy, observed.table);
    let lost = lost::lost(&detected, observed);
    let rows: Vec<_> = detected
        .agents
        .iter()
        .map(|agent| figures::row(agent, given, inventory, &lost))
        .collect();
    let mut advice = recommendations(&detected, load, observed);
    advice.extend(lost.iter().map(lost::Lost::advice));
    plan.message = Some(message(&detected));
    plan.warnings = warnings(&detected);
    plan.metadata.extend([
        ("matched", json!(rows.len())),
        ("agents", json!(rows)),
        ("missing", json!(detected.missing)),
        ("lost", json!(lost)),
        ("recommendations", json!(advice)),
        ("visibility", json!(observed.table.visibility)),
    ]);
    let mut results: Vec<Value> = Vec::new();
    reclaim::plan(policy, given, &detected, inventory, &mut plan, &mut results);
    pace::plan(policy, load, given, inventory, &mut plan, &mut results);
    plan.metadata.insert("results", json!(results));
    plan
}

fn recommendations(
    detected: &Detected<'_>,
    load: &LoadPolicy,
    observed: &Observed<'_>,
) -> Vec<Recommendation> {
    let loaded = Load::of(load, observed).cpu;
    let of_agent = |agent: &Agent| -> Vec<Recommendation> {
        let process = agent.process;
        let used = observed.cpu_since_last_run(process);
        let weight = loaded.then(|| cpu_weight(process, used)).flatten();
        let advice = [fd_pressure(process), rss_growing(process, observed), weight];
        advice.into_iter().flatten().collect()
    };
    let missing = detected.missing.iter().map(not_running);
    let agents = detected.agents.iter().flat_map(of_agent);
    agents.chain(missing).collect()
}

fn not_running(missing: &Missing) -> Recommendation {
    Recommendation {
        code: "not_running",
        evidence: json!({ "rule": missing.rule, "found": missing.found }),
        threshold: json!({ "expected": missing.expected }),
        command: None,
    }
}

fn message(detected: &Detected) -> String {
    let resident: u64 = detected
        .agents
        .iter()
        .filter_map(|agent| agent.process.rss_bytes)
        .sum();
    match detected.agents.len() {
        0 => "no agent runs".to_owned(),
        count => format!(
            "{count} {}, {} resident",
            if count == 1 {
                "agent runs"
            } else {
                "agents run"
            },
            format_size(resident, BINARY.decimal_places(1).decimal_zeroes(1)),
        ),
    }
}

fn warnings(detected: &Detected) -> Vec<String> {
    let problems = detected.problems.iter().map(|p| format!("agents: {p}"));
    let missing = detected.missing.iter().map(|missing| {
        format!(
            "agents: {} of {} expected by rule {} run",
            missing.found, missing.expected, missing.rule
        )
    });
    problems.chain(missing).collect()
}

#[cfg(test)]
#[path = "agents/tests.rs"]
mod tests;
