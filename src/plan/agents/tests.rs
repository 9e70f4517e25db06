use std::ffi::OsString;

use super::*;
use crate::plan::policy::AgentRule;

const LOAD: LoadPolicy = LoadPolicy {
    enabled: true,
    memory_percent: 85.0,
    cpu_percent: 80.0,
};

fn process(pid: u32, parent: u32, arguments: &[&str]) -> Process {
    Process {
        pid,
        parent: Some(parent),
        name: arguments.first().copied().unwrap_or_default().to_owned(),
        arguments: arguments.iter().map(OsString::from).collect(),
        rss_bytes: Some(100 << 20),
        ..Process::default()
    }
}

fn table(processes: Vec<Process>) -> ProcessTable {
    ProcessTable {
        own: 9999,
        processes,
        ..ProcessTable::default()
    }
}

fn rule(name: &str, module: &str) -> AgentRule {
    AgentRule {
        name: name.to_owned(),
        module: Some(module.to_owned()),
        ..AgentRule::default()
    }
}

fn policy(rules: Vec<AgentRule>) -> AgentsPolicy {
    AgentsPolicy {
        enabled: true,
        rules,
        ..AgentsPolicy::default()
    }
}

fn found(detected: &Detected) -> Vec<(u32, String)> {
    let pair = |agent: &Agent| (agent.process.pid, agent.rule.clone());
    detected.agents.iter().map(pair).collect()
}

#[test]
fn the_first_rule_that_holds_names_the_agent() {
    let table = table(vec![
        process(5, 1, &["python", "-m", "fund.agents.whale"]),
        process(6, 1, &["python", "-m", "fund.news"]),
        process(7, 1, &["python", "agents/shark.py"]),
        process(8, 1, &["python", "main.py"]),
    ]);
    let policy = policy(vec![rule("whale", "*.whale"), rule("fund", "fund.*")]);
    let detected = detect(&policy, &table);
    let expected = [(5, "whale"), (6, "fund"), (7, BUILT_IN)];
    assert_eq!(
        found(&detected),
        expected.map(|(pid, rule)| (pid, rule.to_owned()))
    );
    assert_eq!(detected.agents[2].name, "shark");
    assert_eq!(detected.agents[0].predicate, "module fund.agents.whale");
}

#[test]
fn every_rule_counts_its_own_for_expect() {
    let table = table(vec![process(5, 1, &["python", "-m", "fund.whale"])]);
    let expect = |name: &str, module: &str, count| AgentRule {
        expect: Some(count),
        ..rule(name, module)
    };
    let policy = policy(vec![
        expect("all", "fund.*", 1),
        expect("whale", "fund.whale", 1),
        expect("two", "fund.*", 2),
        expect("shark", "fund.shark", 1),
    ]);
    let detected = detect(&policy, &table);
    let missing: Vec<_> = detected
        .missing
        .iter()
        .map(|m| (m.rule.as_str(), m.found))
        .collect();
    assert_eq!(missing, [("two", 1), ("shark", 0)]);
    let warnings = plan(&policy, &LOAD, &table, &Metrics::default(), None).warnings;
    assert_eq!(
        warnings,
        [
            "agents: 1 of 2 expected by rule two run",
            "agents: 0 of 1 expected by rule shark run"
        ]
    );
}

#[test]
fn children_follow_where_a_rule_says_so() {
    let spawn = &[
        "python",
        "-c",
        "from multiprocessing.spawn import spawn_main",
    ][..];
    let table = table(vec![
        process(5, 1, &["python", "-m", "fund.whale"]),
        process(6, 5, spawn),
        process(7, 6, spawn),
        process(8, 5, &["sh", "-c", "sleep 9"]),
        process(9, 1, spawn),
        process(10, 5, &["python", "agents/x.py"]),
        process(11, 10, spawn),
    ]);
    let with = |include_children| {
        policy(vec![AgentRule {
            include_children,
            expect: Some(2),
            ..rule("whale", "fund.whale")
        }])
    };
    let pids = |detected: &Detected| -> Vec<u32> {
        detected.agents.iter().map(|a| a.process.pid).collect()
    };
    let (alone, all) = (with(false), with(true));
    assert_eq!(pids(&detect(&alone, &table)), [5, 10]);
    let detected = detect(&all, &table);
    assert_eq!(pids(&detected), [5, 6, 7, 10]);
    assert_eq!(detected.agents[2].predicate, "child of 6");
    assert_eq!(
        detected.missing.len(),
        1,
        "a child is not the agent expected"
    );
}

#[test]
fn we_and_our_ancestors_are_not_agents() {
    let mut table = table(vec![
        process(5, 1, &["python", "agents/run_everything.py"]),
        process(6, 5, &["python", "agents/cron.py"]),
        process(7, 6, &["python", "agents/pretends.py"]),
        process(8, 5, &["python", "agents/x.py"]),
    ]);
    table.own = 7;
    let policy = policy(Vec::new());
    assert_eq!(found(&detect(&policy, &table)), [(8, BUILT_IN.to_owned())]);
}

#[test]
fn a_wrapper_beside_its_command_is_one_agent_with_it() {
    let table = table(vec![
        process(5, 1, &["uv", "run", "agents/x.py"]),
        process(6, 5, &["python", "agents/x.py"]),
        process(7, 1, &["timeout", "60", "python", "agents/y.py"]),
    ]);
    let policy = policy(Vec::new());
    let pids: Vec<_> = found(&detect(&policy, &table))
        .iter()
        .map(|f| f.0)
        .collect();
    assert_eq!(pids, [6, 7]);
}

#[test]
fn forked_workers_with_their_parents_command_line_are_agents() {
    let worker = &["python", "agents/x.py"][..];
    let table = table(vec![process(5, 1, worker), process(6, 5, worker)]);
    let policy = policy(Vec::new());
    assert_eq!(detect(&policy, &table).agents.len(), 2);
}

#[test]
fn the_plan_reports_and_does_nothing() {
    let mut agent = process(5, 1, &["python", "agents/x.py"]);
    agent.open_files = Some(95);
    agent.open_files_limit = Some(100);
    let second = process(6, 1, &["python", "agents/y.py"]);
    let table = table(vec![agent, second]);
    let mut asks = rule("whale", "fund.whale");
    asks.reclaim_signal = Some("SIGUSR1".to_owned());
    let mut policy = policy(vec![asks, AgentRule::default()]);
    policy.pace_file = Some("run/pace.json".into());
    let plan = plan(&policy, &LOAD, &table, &Metrics::default(), None);
    assert!(plan.actions.is_empty() && plan.kept.is_empty());
    assert_eq!(
        plan.message.as_deref(),
        Some("2 agents run, 200.0 MiB resident")
    );
    assert_eq!(plan.metadata["matched"], 2);
    let row = &plan.metadata["agents"][0];
    assert_eq!(row["name"], "x");
    assert_eq!(row["predicate"], "script agents/x.py");
    assert!(row["cpu_percent"].is_null() && row["start"].is_null());
    let advice = &plan.metadata["recommendations"][0];
    assert_eq!(advice["code"], "fd_pressure");
    assert_eq!(advice["command"], "prlimit --pid 5 --nofile=200:");
    assert_eq!(plan.warnings.len(), 3, "{:?}", plan.warnings);
}

#[test]
fn nobody_is_no_agent() {
    let plan = plan(
        &policy(Vec::new()),
        &LOAD,
        &table(Vec::new()),
        &Metrics::default(),
        None,
    );
    assert_eq!(plan.message.as_deref(), Some("no agent runs"));
}
