//! JSON: its shape, its honesty, its modest use of memory.

use std::path::PathBuf;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{PLAIN, render, to_json};
use crate::plan::action::{Operation, OperationPlan, Plan};
use crate::plan::entry::Role;
use crate::plan::outcome::Outcome;
use crate::report::model::{Report, Run, operations};
use crate::report::sample::{MIB, Tree, cycle, evict, planned, run};
use crate::report::trouble::Failure;

/// The keys of a JSON object in the order in which they stand.
fn keys<T: serde::Serialize>(value: &T) -> String {
    struct Keys;
    impl<'de> serde::de::Visitor<'de> for Keys {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    let text = serde_json::to_string(value).unwrap();
    let mut parser = serde_json::Deserializer::from_str(&text);
    let keys = serde::Deserializer::deserialize_map(&mut parser, Keys).unwrap();
    keys.join(" ")
}

#[test]
fn the_json_has_the_fields_of_the_contract_in_order() {
    let outcome = cycle();
    let mut run = run(&outcome, false);
    assert_eq!(
        keys(&Report::new(&run)),
        "schema version command dry_run timestamp cycle_duration_seconds base config outcome \
         success_rate total_items_processed total_bytes_freed system_metrics_before \
         system_metrics_after operations warnings errors"
    );
    let fields =
        "operation success items_processed bytes_freed duration_seconds message metadata actions";
    for (verbose, rest) in [(false, "errors"), (true, "kept errors")] {
        run.verbose = verbose;
        let view = operations(&run).nth(2).unwrap();
        assert_eq!(keys(&view), format!("{fields} {rest}"));
    }
}

#[test]
fn the_json_tells_the_same_as_the_outcome() {
    let outcome = cycle();
    let report = to_json(&run(&outcome, false));
    for (pointer, expected) in [
        ("/schema", json!("sysopt.report/1")),
        ("/timestamp", json!("2026-11-23T21:00:00Z")),
        ("/outcome", json!("partial")),
        ("/base", json!("/srv/bot")),
        ("/cycle_duration_seconds", json!(0.41)),
        ("/total_items_processed", json!(6)),
        ("/total_bytes_freed", json!(208 * MIB)),
        ("/system_metrics_after/memory_percent", json!(40.2)),
        ("/operations/1/operation", json!("cache_cleanup")),
        ("/operations/1/success", json!(true)),
        ("/operations/1/metadata/kept", json!({ "recently_used": 1 })),
        ("/operations/1/metadata/atime/cache", json!("relatime")),
        ("/operations/1/actions/2/status", json!("changed")),
        ("/operations/2/success", json!(false)),
        (
            "/operations/2/actions/0",
            json!({
                "action": "rotate",
                "path": "logs/app.log",
                "to": "logs/app.log-20261123T210000Z.gz",
                "bytes": 200 * MIB,
                "reason": "size 200.0 MiB is over 100.0 MiB",
                "status": "deferred",
                "note": "still open for writing by pid 812 (agent)",
            }),
        ),
        (
            "/operations/2/errors",
            json!([
                { "path": "logs/secret", "action": null,
                  "error": "Permission denied (os error 13)" },
                { "path": "logs/api.log", "action": "rotate",
                  "error": "Permission denied (os error 13)" },
            ]),
        ),
        ("/warnings", json!(["logs/odd\nname is strange"])),
        ("/errors", json!([])),
    ] {
        assert_eq!(report.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert_eq!(report.pointer("/operations/1/kept"), None);
}

#[test]
fn a_dry_run_that_cannot_tell_says_null() {
    let outcome = planned();
    let report = to_json(&run(&outcome, true));
    assert_eq!(report["operations"][2]["bytes_freed"], Value::Null);
    assert_eq!(report["total_bytes_freed"], Value::Null);
    assert_eq!(report["system_metrics_after"], Value::Null);
    assert_eq!(report["total_items_processed"], 9);
    assert_eq!(report["operations"][3]["actions"][0]["status"], "planned");
}

#[test]
fn a_name_that_is_not_utf8_has_its_bytes_in_json() {
    let outcome = planned();
    let report = to_json(&run(&outcome, true));
    let actions = &report["operations"][1]["actions"];
    assert_eq!(actions[2]["path"], "cache/caf\\xe9.bin");
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(actions[2]["path_base64"].as_str().unwrap())
        .unwrap();
    assert_eq!(bytes, b"cache/caf\xe9.bin");
    assert_eq!(actions[3]["path"], "cache/two\nlines");
    assert_eq!(actions[3].get("path_base64"), None);
}

#[test]
fn a_run_without_a_plan_is_reported_too() {
    let run = Run {
        command: "rotate-logs".to_owned(),
        dry_run: true,
        errors: vec![Failure {
            path: Some(PathBuf::from("/srv/bot")),
            action: Some("lock".to_owned()),
            error: "Permission denied (os error 13)".to_owned(),
            below: Vec::new(),
        }],
        exit: 1,
        ..Run::default()
    };
    let report = to_json(&run);
    assert_eq!(report["outcome"], "failure");
    assert_eq!(report["operations"], json!([]));
    assert_eq!(report["success_rate"], 0.0);
    assert_eq!(report["config"], Value::Null);
    assert_eq!(report["errors"][0]["action"], "lock");
    assert_eq!(render(&run, PLAIN, true), "");
    let line = Report::new(&run).troubles().next().unwrap().to_string();
    assert_eq!(line, "cannot lock '/srv/bot': Permission denied");
}

/// Counts what is written and keeps nothing.
#[derive(Default)]
struct Meter {
    bytes: u64,
    most: usize,
}

impl std::io::Write for Meter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.most = self.most.max(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn many_actions_are_streamed() {
    const FILES: u64 = 200_000;
    let mut tree = Tree::default();
    let (_, top) = tree.root(Role::Cache, "cache");
    let mut plan = OperationPlan::new(Operation::CacheCleanup);
    for number in 0..FILES {
        let file = tree.file(top, format!("file-{number}").as_bytes(), 1);
        evict(&mut plan, file);
    }
    let outcome = Outcome::shown(Plan {
        inventory: tree.inventory,
        operations: vec![plan],
    });
    let run = run(&outcome, true);
    let mut meter = Meter::default();
    serde_json::to_writer(&mut meter, &Report::new(&run)).unwrap();
    assert!(meter.bytes > FILES * 100);
    assert!(meter.most < 1024, "a piece of {} bytes", meter.most);
    let text = render(&run, PLAIN, true);
    assert!(text.contains("… and 199990 more"), "{text}");
    assert_eq!(text.lines().count(), 15);
}
