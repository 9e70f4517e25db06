//! Which processes are agents: the configured rules in their order, then the built-in one.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;

use super::rules::{self, BUILT_IN, Rule};
use super::{Invocation, Runs};
use crate::plan::policy::{AgentsPolicy, Globs};
use crate::plan::processes::{Label, Process, ProcessTable};

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
    /// It is one because its parent is.
    pub child: bool,
}

impl Agent<'_> {
    /// What the next run knows it by.
    #[must_use]
    pub fn label(&self) -> Label {
        Label {
            rule: self.rule.clone(),
            name: self.name.clone(),
            child: self.child,
        }
    }
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
                child: false,
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
                    child: true,
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
