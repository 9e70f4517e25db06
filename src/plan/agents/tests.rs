use std::collections::HashMap;
use std::ffi::OsString;

use super::*;
use crate::plan::action::{Task, Verb};
use crate::plan::host::{Metrics, Ticks};
use crate::plan::policy::AgentRule;
use crate::plan::processes::{Process, ProcessTable, Remembered, State};

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

/// One run: the plan, and what the next run remembers of it.
fn run(
    policy: &AgentsPolicy,
    table: &ProcessTable,
    metrics: &Metrics,
    earlier: Option<&Remembered>,
    present: &Present,
) -> (OperationPlan, Remembered) {
    let observed = Observed {
        table,
        metrics,
        earlier,
        sample: None,
        verbose: false,
    };
    let given = Given {
        observed,
        segments: &[],
        caller: 0,
        owner: Some(1000),
        pace: present,
        interval: Duration::from_mins(30),
        now: Time::from_parts(1_795_467_600, 0),
    };
    let plan = plan(policy, &LOAD, &given, &mut Inventory::default());
    let ticks = Ticks {
        boot_id: table.boot_id.clone(),
        ..Ticks::default()
    };
    let agents: Vec<_> = detect(policy, table)
        .agents
        .iter()
        .map(|agent| (agent.process.pid, agent.label()))
        .collect();
    let next = Remembered::of(&observed, &ticks, &LOAD, &agents, &HashMap::new());
    (plan, next)
}

fn planned(policy: &AgentsPolicy, table: &ProcessTable) -> OperationPlan {
    run(policy, table, &Metrics::default(), None, &Present::Missing).0
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
    let warnings = planned(&policy, &table).warnings;
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
    let policy = policy(vec![AgentRule::default()]);
    let plan = planned(&policy, &table);
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
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
}

#[test]
fn nobody_is_no_agent() {
    let plan = planned(&policy(Vec::new()), &table(Vec::new()));
    assert_eq!(plan.message.as_deref(), Some("no agent runs"));
}

/// An agent that runs since so many ticks, in a boot that is known.
fn whale(pid: u32, start: u64, rss_mib: u64) -> Process {
    Process {
        start_ticks: Some(start),
        cpu_ticks: Some(0),
        rss_bytes: Some(rss_mib << 20),
        uid: Some(1000),
        caught: Some(1 << 9),
        ..process(pid, 1, &["python", "-m", "fund.whale"])
    }
}

fn boot(uptime: u64, processes: Vec<Process>) -> ProcessTable {
    ProcessTable {
        boot_id: "a".to_owned(),
        uptime_ticks: uptime,
        ticks_per_second: 100,
        ..table(processes)
    }
}

#[test]
fn a_leak_is_flagged_in_the_fifth_run_and_idleness_after_an_hour() {
    let policy = policy(vec![rule("whale", "fund.*")]);
    let mut earlier = None;
    for n in 1..=5_u64 {
        let table = boot(n * 180_000, vec![whale(5, 10, 100 + 10 * n)]);
        let metrics = Metrics::default();
        let (plan, next) = run(
            &policy,
            &table,
            &metrics,
            earlier.as_ref(),
            &Present::Missing,
        );
        let row = &plan.metadata["agents"][0];
        let expected: &[&str] = match n {
            1..=2 => &[],
            3..=4 => &["idle"],
            _ => &["rss_growing", "idle"],
        };
        assert_eq!(row["flags"], json!(expected), "run {n}");
        let idle = (n > 1).then(|| (n - 1) * 1800);
        assert_eq!(row["idle_seconds"], json!(idle));
        assert_eq!(row["rss_delta_bytes"], json!((n > 1).then_some(10 << 20)));
        earlier = Some(next);
    }
}

#[test]
fn an_agent_that_is_gone_is_told_with_the_one_in_its_place() {
    let policy = policy(vec![rule("whale", "fund.*")]);
    let metrics = Metrics::default();
    let first = boot(
        1_000,
        vec![whale(5, 10, 1), whale(6, 10, 1), whale(7, 10, 1)],
    );
    let (_, then) = run(&policy, &first, &metrics, None, &Present::Missing);
    let mut dead = whale(6, 10, 1);
    dead.state = State::Zombie;
    let now = boot(2_000, vec![dead, whale(9, 1_500, 1)]);
    let (plan, _) = run(&policy, &now, &metrics, Some(&then), &Present::Missing);
    let lost = plan.metadata["lost"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let told: Vec<_> = lost
        .iter()
        .map(|one| {
            (
                one["pid"].as_u64(),
                one["flag"].as_str(),
                one["replaced_by"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some(5), Some("restarted"), Some(9)),
            (Some(6), Some("zombie"), None),
            (Some(7), Some("not_running"), None)
        ]
    );
    assert_eq!(plan.metadata["agents"][0]["flags"], json!(["restarted"]));
    let other = ProcessTable {
        boot_id: "b".to_owned(),
        ..now
    };
    let (plan, _) = run(&policy, &other, &metrics, Some(&then), &Present::Missing);
    assert_eq!(
        plan.metadata["lost"],
        json!([]),
        "a boot restarts everything"
    );
}

#[test]
fn only_who_handles_the_signal_and_belongs_to_us_is_asked() {
    let asks = AgentRule {
        reclaim_signal: Some("USR1".to_owned()),
        ..rule("whale", "fund.*")
    };
    let policy = policy(vec![asks]);
    let without = Process {
        caught: Some(0),
        ..whale(6, 10, 1)
    };
    let unknown = Process {
        caught: None,
        ..whale(7, 10, 1)
    };
    let foreign = Process {
        uid: Some(1001),
        ..whale(8, 10, 1)
    };
    let table = boot(1_000, vec![whale(5, 10, 100), without, unknown, foreign]);
    let metrics = Metrics::default();
    let (plan, mut next) = run(&policy, &table, &metrics, None, &Present::Missing);
    assert_eq!(plan.actions.len(), 1);
    assert_eq!(plan.actions[0].verb, Verb::Signal);
    assert!(
        matches!(&plan.actions[0].task, Task::Reclaim(to) if (to.pid, to.start_ticks) == (5, 10))
    );
    let codes: Vec<_> = plan.kept.iter().map(|kept| kept.reason.code()).collect();
    assert_eq!(codes, ["refused"; 3]);
    // Asked before, and not grown since.
    for process in &mut next.processes {
        process.reclaimed_bytes = Some(80 << 20);
    }
    for (rss, asked) in [(95, 0), (96, 1)] {
        let table = boot(2_000, vec![whale(5, 10, rss)]);
        let (plan, _) = run(&policy, &table, &metrics, Some(&next), &Present::Missing);
        assert_eq!(
            (plan.actions.len(), plan.kept.len()),
            (asked, 1 - asked),
            "{rss}"
        );
    }
}

#[test]
fn the_pace_follows_load_that_lasts_and_no_spike() {
    let mut policy = policy(Vec::new());
    policy.pace_file = Some("/run/pace.json".into());
    let pace = |multiplier| {
        Present::Pace(PaceFile {
            multiplier,
            ..PaceFile::default()
        })
    };
    for (now, then, present, expected) in [
        (Some(95.0), Some(95.0), Present::Missing, Some(1.5)),
        (Some(95.0), Some(70.0), Present::Missing, Some(1.2)),
        (Some(95.0), Some(10.0), Present::Missing, Some(1.0)),
        (Some(95.0), None, Present::Missing, Some(1.0)),
        (Some(10.0), Some(95.0), pace(1.5), Some(1.0)),
        (Some(95.0), Some(95.0), pace(1.5), Some(1.5)),
        (Some(10.0), Some(10.0), pace(1.0), None),
        (None, Some(95.0), Present::Missing, None),
        (Some(95.0), Some(95.0), Present::Foreign, None),
    ] {
        let metrics = Metrics {
            cpu_percent: now,
            ..Metrics::default()
        };
        let earlier = Remembered {
            cpu_percent: then,
            ..Remembered::default()
        };
        let table = boot(1_000, Vec::new());
        let (plan, _) = run(&policy, &table, &metrics, Some(&earlier), &present);
        let written = plan.actions.first().map(|action| match &action.task {
            Task::Pace(pace) => pace.content.multiplier,
            other => panic!("{other:?}"),
        });
        assert_eq!(written, expected, "{now:?} {then:?} {present:?}");
        assert_eq!(plan.kept.len(), usize::from(expected.is_none()));
    }
}
