use std::collections::HashMap;

use super::super::{Label, Remembered, Sample};
use super::*;
use crate::plan::host::Ticks;

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
        boot_id: "a".to_owned(),
        uptime_ticks: 10_000,
        ticks_per_second: 100,
        processes,
        ..ProcessTable::default()
    }
}

fn analyse(table: &ProcessTable, metrics: &Metrics, earlier: Option<&Remembered>) -> OperationPlan {
    let observed = Observed {
        table,
        metrics,
        earlier,
        sample: None,
        verbose: false,
    };
    plan(&LOAD, &observed)
}

fn pids(value: &Value) -> Vec<u64> {
    let rows = value.as_array().cloned().unwrap_or_default();
    rows.iter().filter_map(|row| row["pid"].as_u64()).collect()
}

fn codes(plan: &OperationPlan) -> Vec<String> {
    let advice = plan.metadata["recommendations"].as_array().cloned();
    advice
        .unwrap_or_default()
        .iter()
        .filter_map(|one| Some(one["code"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn the_five_largest_are_named_and_nothing_is_done() {
    let mut processes: Vec<_> = (1..=7)
        .map(|n| process(n, u64::from(n % 4) * 100, 0))
        .collect();
    processes[0].cpu_ticks = Some(500);
    processes[1].rss_bytes = None;
    let plan = analyse(&table(processes), &Metrics::default(), None);
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
fn the_busiest_are_those_of_the_sample_where_there_is_one() {
    let table = table(vec![
        process(1, 1, 9_000),
        process(2, 1, 50),
        process(3, 1, 0),
    ]);
    let metrics = Metrics::default();
    let sample = Sample {
        boot_id: "a".to_owned(),
        uptime_ticks: 9_950,
        ticks: [((1, 0), 9_000), ((2, 0), 10), ((3, 0), 0)].into(),
    };
    let observed = Observed {
        table: &table,
        metrics: &metrics,
        earlier: None,
        sample: Some(&sample),
        verbose: false,
    };
    let plan = plan(&LOAD, &observed);
    assert_eq!(pids(&plan.metadata["top_by_cpu"]), [2]);
    assert_eq!(plan.metadata["top_by_cpu"][0]["cpu_percent"], 80.0);
}

/// Five runs in which one process grows and works, and another does nothing.
#[test]
fn what_grows_and_what_is_busy_is_told_of_any_process() {
    let metrics = Metrics::default();
    let mut earlier: Option<Remembered> = None;
    let mut last = None;
    for run in 1..=5_u64 {
        let mut table = table(vec![
            process(7, (100 + 10 * run) << 20, 600 * run),
            process(8, 50 << 20, 10),
        ]);
        table.uptime_ticks = 1_000 * run;
        let observed = Observed {
            table: &table,
            metrics: &metrics,
            earlier: earlier.as_ref(),
            sample: None,
            verbose: false,
        };
        last = Some(codes(&plan(&LOAD, &observed)));
        let ticks = Ticks {
            boot_id: "a".to_owned(),
            ..Ticks::default()
        };
        let none: [(u32, Label); 0] = [];
        earlier = Some(Remembered::of(
            &observed,
            &ticks,
            &LOAD,
            &none,
            &HashMap::new(),
        ));
        if run == 4 {
            assert_eq!(last, Some(vec!["cpu_busy".to_owned()]));
        }
    }
    assert_eq!(
        last,
        Some(vec!["rss_growing".to_owned(), "cpu_busy".to_owned()])
    );
}

#[test]
fn kills_and_swap_traffic_since_the_last_run_are_told() {
    let table = table(Vec::new());
    let with = |oom_kill, pages| {
        let metrics = Metrics {
            deltas: Deltas {
                oom_kill,
                pswpin: Some(pages),
                pswpout: Some(0),
                ..Deltas::default()
            },
            ..Metrics::default()
        };
        codes(&analyse(&table, &metrics, None))
    };
    assert!(with(None, 0).is_empty());
    assert!(with(Some(0), SWAPPED_PAGES).is_empty());
    assert_eq!(
        with(Some(2), SWAPPED_PAGES + 1),
        ["oom_kill", "swap_traffic"]
    );
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
fn an_argument_with_a_secret_is_not_reported_also_in_full() {
    let mut one = process(1, 1, 1);
    one.arguments = vec![
        "bot".into(),
        "--api-key=hush".into(),
        "x".repeat(100).into(),
    ];
    let table = table(vec![one]);
    let metrics = Metrics::default();
    for verbose in [false, true] {
        let observed = Observed {
            table: &table,
            metrics: &metrics,
            earlier: None,
            sample: None,
            verbose,
        };
        let plan = plan(&LOAD, &observed);
        let text = serde_json::to_string(&plan.metadata).unwrap_or_default();
        assert!(
            text.contains("--api-key=***") && !text.contains("hush"),
            "{text}"
        );
        assert_eq!(text.contains(&"x".repeat(100)), verbose);
    }
}
