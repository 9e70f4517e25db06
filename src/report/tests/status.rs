//! `status`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::PLAIN;
use crate::plan::action::Operation;
use crate::plan::entry::Role;
use crate::plan::host::{Disk, Metrics};
use crate::report::sample::{DAY, MIB, now};
use crate::report::status::{DirectoryStatus, LastCycle, OperationStatus, StatusReport};
use crate::report::status_text;

pub(super) fn status() -> StatusReport {
    let operation = |operation, last_success: Option<bool>, due: bool| OperationStatus {
        operation,
        enabled: true,
        last_run: last_success.map(|_| now().before(DAY)),
        last_success,
        due,
        next_due: Some(now().after(DAY / 4)),
        preview: due.then(|| "would rotate 1 log".to_owned()),
    };
    let directory = |role, path: &str, usage, limit| DirectoryStatus {
        role,
        path: PathBuf::from(path),
        usage_bytes: Some(usage),
        files: Some(212),
        oldest: Some(now().before(DAY * 30)),
        limit_bytes: limit,
    };
    StatusReport {
        timestamp: now(),
        base: PathBuf::from("/srv/bot"),
        current_interval_seconds: 1800,
        consecutive_failures: 1,
        next_cycle: Some(now().after(DAY / 48)),
        total_cycles: 12,
        total_bytes_freed: i64::try_from(3 * MIB).unwrap(),
        total_items_processed: 312,
        average_success_rate: Some(0.98),
        last_optimization: Some(LastCycle {
            timestamp: now().before(DAY / 48),
            outcome: "partial".to_owned(),
            items_processed: 4,
            bytes_freed: Some(1),
        }),
        metrics: Metrics {
            memory_percent: Some(41.0),
            memory_available_bytes: Some(8 * 1024 * MIB),
            load_average: Some([0.1, 0.2, 0.3]),
            disks: vec![Disk {
                path: "/srv".to_owned(),
                used_percent: Some(71.0),
                free_bytes: 29 * MIB,
                total_bytes: 100 * MIB,
                ..Disk::default()
            }],
            ..Metrics::default()
        },
        directories: vec![
            directory(Role::Cache, "cache", 1000 * MIB, Some(800 * MIB)),
            directory(Role::Logs, "logs\n/x", 5 * MIB, None),
        ],
        operations: vec![
            operation(Operation::CacheCleanup, Some(true), false),
            operation(Operation::LogRotation, Some(false), true),
            operation(Operation::ModelArchiving, None, false),
        ],
        agents: json!([{ "name": "whale", "pid": 12, "cpu_percent": 3.4, "rss_bytes": MIB }]),
        processes: json!({ "top_by_cpu": [{ "name": "a\u{1b}b", "pid": 1 }], "top_by_memory": [] }),
        ..StatusReport::default()
    }
}

#[test]
fn the_status_on_one_screen() {
    let mut out = Vec::new();
    status_text::write(&status(), PLAIN, &mut out).unwrap();
    let expected = r"sysopt status in /srv/bot
host       cpu unknown, memory 41.0 % (8.0 GiB available), load 0.10 0.20 0.30
disk       /srv             ███████░░░   71 %  29.0 MiB free of 100.0 MiB
cache      cache            ██████████  125 %  1000.0 MiB, 200.0 MiB over, 212 files, oldest 30 d
log        logs\n/x                            5.0 MiB, 212 files, oldest 30 d
cycle      last 30 min ago (partial), next in 30 min, every 30 min, 1 failure in a row
  ✓ cache     ran 1 d ago    due in 6 h
  ✗ logs      failed 1 d ago due now: would rotate 1 log
  · models    never ran      due in 6 h
agents     whale (pid 12, 3.4 % cpu, 1.0 MiB)
top cpu    a\x1bb (pid 1)
totals     12 cycles, 98 % success, 312 items, freed 3.0 MiB
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn the_status_has_the_fields_of_the_contract() {
    let value = serde_json::to_value(status()).unwrap();
    for key in "schema current_interval_seconds consecutive_failures next_cycle total_cycles \
        total_bytes_freed total_items_processed average_success_rate last_optimization \
        system_metrics directories operations agents processes"
        .split_whitespace()
    {
        assert!(value.get(key).is_some(), "{key}");
    }
    assert_eq!(value["schema"], "sysopt.status/1");
    assert_eq!(value["last_optimization"], "2026-11-23T20:30:00Z");
    let over: Vec<_> = value["directories"].as_array().unwrap().iter().collect();
    assert_eq!(over[0]["over_limit_bytes"], 200 * MIB);
    assert_eq!(over[1]["over_limit_bytes"], Value::Null);
}
