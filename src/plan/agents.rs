//! `agent_optimization`: which processes are agents, and how they fare. Nothing is done to them.

mod invocation;
mod rules;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;

use humansize::{BINARY, format_size};
use serde::Serialize;
use serde_json::json;

pub use invocation::{Invocation, Runs};
pub use rules::{BUILT_IN, Rule};

use super::action::{Operation, OperationPlan};
use super::host::Metrics;
use super::policy::{AgentsPolicy, Globs, LoadPolicy};
use super::processes::{
    Process, ProcessTable, Recommendation, Remembered, State, cpu_weight, fd_pressure, rss_growing,
};
use super::time::Time;

/// A process that is an agent.
#[derive(Clone, Debug)]
pub struct Agent<'t> {
    /// The process.
    pub process: &'t Process,
    /// The stem of its script, its module, or its own name.
    pub name: String,
    /// The rule that holds.
    pub rule: String,
    /// What that rule saw.
    pub predicate: String,
}

/// A rule of which fewer agents run than it expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The rule.
    pub rule: String,
    /// How many should run.
    pub expected: u32,
    /// How many do.
    pub found: u32,
}

/// What the rules found.
#[derive(Clone, Debug, Default)]
pub struct Detected<'t> {
    /// Sorted by pid, each process once.
    pub agents: Vec<Agent<'t>>,
    /// In the order of the rules.
    pub missing: Vec<Missing>,
    /// Rules that could not be used.
    pub problems: Vec<String>,
}

/// Which processes are agents: the configured rules in their order, then the built-in one.
#[must_use]
pub fn detect<'t>(policy: &AgentsPolicy, table: &'t ProcessTable) -> Detected<'t> {
    let mut detected = Detected::default();
    let mut rules = Vec::new();
    for rule in policy.rules.iter().map(Rule::new) {
        match rule {
            Ok(rule) => rules.push(rule),
            Err(problem) => detected.problems.push(problem),
        }
    }
    let candidates = candidates(policy, table, &mut detected.problems);
    let mut counts = vec![0_u32; rules.len()];
    for (process, invocation) in &candidates {
        let mut first = None;
        for (rule, count) in rules.iter().zip(&mut counts) {
            if let Some(predicate) = rule.matches(process, invocation, table) {
                *count += 1;
                first.get_or_insert((rule.rule.name.clone(), predicate));
            }
        }
        let built_in = || Some((BUILT_IN.to_owned(), rules::built_in(invocation)?));
        if let Some((rule, predicate)) = first.or_else(built_in) {
            detected.agents.push(Agent {
                process,
                name: name(process, invocation),
                rule,
                predicate,
            });
        }
    }
    detected.missing = missing(&rules, &counts);
    add_children(&rules, &candidates, &mut detected.agents);
    detected.agents.sort_by_key(|agent| agent.process.pid);
    detected
}

type Candidate<'t> = (&'t Process, Invocation<'t>);

/// Processes that a rule may look at: without the excluded, ourselves and our ancestors, and
/// wrappers that live beside the very command that they started.
fn candidates<'t>(
    policy: &AgentsPolicy,
    table: &'t ProcessTable,
    problems: &mut Vec<String>,
) -> Vec<Candidate<'t>> {
    let exclude = Globs::new(&policy.exclude).unwrap_or_else(|error| {
        problems.push(format!("exclude: {error}"));
        Globs::default()
    });
    let ours = table.lineage(table.own);
    let read = |process: &'t Process| (process, Invocation::read(&process.arguments));
    let mut candidates: Vec<_> = table
        .processes
        .iter()
        .filter(|process| !ours.contains(&process.pid))
        .map(read)
        .filter(|(process, invocation)| !rules::is_excluded(process, invocation, &exclude))
        .collect();
    let started: HashSet<(u32, Runs<'t>)> = candidates
        .iter()
        .filter_map(|(process, invocation)| Some((process.parent?, invocation.runs)))
        .collect();
    candidates.retain(|(process, invocation)| {
        !invocation.wrapped || !started.contains(&(process.pid, invocation.runs))
    });
    candidates
}

fn missing(rules: &[Rule], counts: &[u32]) -> Vec<Missing> {
    let short = |(rule, found): (&Rule, &u32)| {
        let expected = rule.rule.expect?;
        (*found < expected).then(|| Missing {
            rule: rule.rule.name.clone(),
            expected,
            found: *found,
        })
    };
    rules.iter().zip(counts).filter_map(short).collect()
}

/// Descendants of the agents of a rule with `include_children`, as far as they are not agents yet.
fn add_children<'t>(rules: &[Rule], candidates: &[Candidate<'t>], agents: &mut Vec<Agent<'t>>) {
    let includes: HashSet<&str> = rules
        .iter()
        .filter(|rule| rule.rule.include_children)
        .map(|rule| rule.rule.name.as_str())
        .collect();
    let mut children: HashMap<u32, Vec<&Candidate<'t>>> = HashMap::new();
    for candidate in candidates {
        if let Some(parent) = candidate.0.parent {
            children.entry(parent).or_default().push(candidate);
        }
    }
    let mut known: HashSet<u32> = agents.iter().map(|agent| agent.process.pid).collect();
    let mut at = 0;
    while at < agents.len() {
        let parent = agents[at].clone();
        at += 1;
        if !includes.contains(parent.rule.as_str()) {
            continue;
        }
        for (process, invocation) in children.get(&parent.process.pid).into_iter().flatten() {
            if known.insert(process.pid) {
                agents.push(Agent {
                    process,
                    name: name(process, invocation),
                    rule: parent.rule.clone(),
                    predicate: format!("child of {}", parent.process.pid),
                });
            }
        }
    }
}

fn name(process: &Process, invocation: &Invocation) -> String {
    let shown = |text: &OsStr| text.to_string_lossy().into_owned();
    match invocation.runs {
        Runs::Script(path) => Path::new(path).file_stem().map(shown),
        Runs::Module(module) => Some(shown(module)),
        Runs::Inline | Runs::Itself => None,
    }
    .unwrap_or_else(|| process.name.clone())
}

/// An agent as reports show it.
#[derive(Clone, Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    rule: &'a str,
    predicate: &'a str,
    pid: u32,
    start: Option<Time>,
    user: Option<&'a str>,
    state: State,
    cpu_percent: Option<f64>,
    rss_bytes: Option<u64>,
    threads: Option<u32>,
    open_files: Option<u64>,
    open_files_limit: Option<u64>,
    nice: Option<i32>,
}

/// The analysis of the agents: figures, warnings and advice, no actions.
#[must_use]
pub fn plan(
    policy: &AgentsPolicy,
    load: &LoadPolicy,
    table: &ProcessTable,
    metrics: &Metrics,
    earlier: Option<&Remembered>,
) -> OperationPlan {
    let mut plan = OperationPlan::new(Operation::AgentOptimization);
    let detected = detect(policy, table);
    let cpu = |process: &Process| earlier.and_then(|then| then.cpu_percent(table, process));
    let shown: Vec<_> = detected
        .agents
        .iter()
        .map(|agent| row(agent, table, cpu(agent.process)))
        .collect();
    let loaded = metrics
        .cpu_percent
        .is_some_and(|used| used > load.cpu_percent);
    let of_agent = |agent: &Agent| -> Vec<Recommendation> {
        let process = agent.process;
        let weight = loaded.then(|| cpu_weight(process, cpu(process))).flatten();
        let advice = [
            fd_pressure(process),
            rss_growing(process, table, earlier),
            weight,
        ];
        advice.into_iter().flatten().collect()
    };
    let mut advice: Vec<_> = detected.agents.iter().flat_map(of_agent).collect();
    advice.extend(detected.missing.iter().map(not_running));
    plan.message = Some(message(&detected));
    plan.warnings = warnings(policy, &detected);
    plan.metadata.extend([
        ("matched", json!(shown.len())),
        ("agents", json!(shown)),
        ("missing", json!(detected.missing)),
        ("recommendations", json!(advice)),
        ("visibility", json!(table.visibility)),
    ]);
    plan
}

fn row<'a>(agent: &'a Agent, table: &ProcessTable, cpu_percent: Option<f64>) -> Row<'a> {
    let process = agent.process;
    Row {
        name: &agent.name,
        rule: &agent.rule,
        predicate: &agent.predicate,
        pid: process.pid,
        start: table.started(process),
        user: process.user.as_deref(),
        state: process.state,
        cpu_percent,
        rss_bytes: process.rss_bytes,
        threads: process.threads,
        open_files: process.open_files,
        open_files_limit: process.open_files_limit,
        nice: process.nice,
    }
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

fn warnings(policy: &AgentsPolicy, detected: &Detected) -> Vec<String> {
    let mut warnings: Vec<_> = detected
        .problems
        .iter()
        .map(|p| format!("agents: {p}"))
        .collect();
    for missing in &detected.missing {
        warnings.push(format!(
            "agents: {} of {} expected by rule {} run",
            missing.found, missing.expected, missing.rule
        ));
    }
    for rule in policy.rules.iter().filter(|r| r.reclaim_signal.is_some()) {
        warnings.push(format!(
            "agents: reclaim_signal of rule {} is not built yet: nothing is signalled",
            rule.name
        ));
    }
    if policy.pace_file.is_some() {
        warnings.push("agents: pace_file is not built yet: nothing is written".to_owned());
    }
    warnings
}

#[cfg(test)]
#[path = "agents/tests.rs"]
mod tests;
