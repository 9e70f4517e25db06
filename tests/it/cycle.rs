//! `cycle` and `status`: the six operations, and the books of them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use serde_json::Value;

use crate::dry_run::busy;
use crate::fixture::{DAY, Tmpfs, Tree, json_lines, mount, operation};
use crate::require;

const SIX: [&str; 6] = [
    "garbage_collection",
    "cache_cleanup",
    "log_rotation",
    "model_archiving",
    "agent_optimization",
    "process_optimization",
];

fn names(report: &Value) -> Vec<&str> {
    let list = report["operations"].as_array().unwrap();
    list.iter()
        .map(|operation| operation["operation"].as_str().unwrap())
        .collect()
}

fn state(tree: &Tree) -> Value {
    serde_json::from_slice(&fs::read(tree.path(".sysopt/state.json")).unwrap()).unwrap()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn six_operations_in_order_with_metrics_before_and_after() {
    let tree = busy();
    let (ran, report) = tree.json(&["cycle"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(names(&report), SIX);
    assert_eq!(report["outcome"], "success");
    assert_eq!(report["schema"], "sysopt.report/1");
    for when in ["system_metrics_before", "system_metrics_after"] {
        let metrics = &report[when];
        assert!(
            metrics["memory_available_bytes"].as_u64().unwrap() > 0,
            "{metrics:#}"
        );
        assert!(
            !metrics["disks"].as_array().unwrap().is_empty(),
            "{metrics:#}"
        );
    }
    assert!(
        report["system_metrics_before"]["cpu_percent"].is_null(),
        "no run before this one"
    );
    let list = report["operations"].as_array().unwrap();
    let sum = |key: &str| {
        list.iter()
            .filter_map(|operation| operation[key].as_i64())
            .sum::<i64>()
    };
    assert_eq!(report["total_bytes_freed"], sum("bytes_freed"));
    assert_eq!(report["total_items_processed"], sum("items_processed"));
    assert!(sum("items_processed") > 15);
}

#[test]
fn only_and_skip_choose_operations() {
    let tree = busy();
    let run = |args: &[&str]| {
        let (ran, report) = tree.json(&[&["cycle", "-n"], args].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        names(&report)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        run(&["--only", "logs", "--only", "cache_cleanup"]),
        SIX[1..3]
    );
    assert_eq!(
        run(&["--skip", "agents", "--skip", "garbage"]),
        [SIX[1], SIX[2], SIX[3], SIX[5]]
    );
    tree.config("[system]\ngarbage_collection = false\nprocess_optimization = false\nenable_agent_optimization = false\n");
    assert_eq!(run(&[]), SIX[1..4]);
    assert_eq!(tree.run(&["cycle", "--only", "nonsense"]).code, Some(2));
}

#[test]
fn the_books_are_private_and_kept_short() {
    let tree = Tree::new();
    tree.config("[history]\nkeep = 3\n");
    for _ in 0..5 {
        assert_eq!(tree.run(&["cycle", "--force"]).code, Some(0));
    }
    let history = json_lines(&tree.path(".sysopt/history.jsonl"));
    assert_eq!(history.len(), 3);
    for report in &history {
        assert_eq!(report["command"], "cycle");
        assert!(
            report["operations"][1].get("actions").is_none(),
            "{report:#}"
        );
    }
    let state = state(&tree);
    assert_eq!(state["schema"], "sysopt.state/1");
    assert_eq!(state["totals"]["cycles"], 5);
    assert!(state["attempt"].is_null(), "{state:#}");
    for name in ["state.json", "history.jsonl"] {
        let mode = fs::metadata(tree.path(".sysopt").join(name))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    assert_eq!(tree.names(".sysopt"), ["history.jsonl", "state.json"]);
    // A line that a killed run left half written.
    let path = tree.path(".sysopt/history.jsonl");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"schema\":\"sysopt.rep");
    fs::write(&path, text).unwrap();
    let (ran, status) = tree.json(&["status", "--history", "9"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(status["schema"], "sysopt.status/1");
    assert_eq!(tree.run(&["cycle", "--force"]).code, Some(0));
    assert_eq!(json_lines(&path).len(), 3);
}

#[test]
fn totals_add_up_over_cycles_and_single_operations() {
    let tree = busy();
    let first = tree.json(&["clean-cache"]).1;
    let second = tree.json(&["cycle", "--force"]).1;
    let sum = |key: &str| first[key].as_i64().unwrap() + second[key].as_i64().unwrap();
    let (ran, status) = tree.json(&["status"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(status["total_cycles"], 1);
    assert_eq!(status["total_bytes_freed"], sum("total_bytes_freed"));
    assert_eq!(
        status["total_items_processed"],
        sum("total_items_processed")
    );
    assert_eq!(status["average_success_rate"], 1.0);
    let before = state(&tree);
    let (ran, _) = tree.json(&["clean-cache", "./cache"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(state(&tree), before, "a typed directory leaves no state");
}

#[test]
fn a_corrupt_state_is_set_aside() {
    let tree = Tree::new();
    tree.config("# all defaults\n");
    for broken in ["", "{", "[]", "{\"schema\":\"else/1\"}", "\u{0}\u{0}"] {
        tree.write(".sysopt/state.json", broken);
        let (ran, report) = tree.json(&["cycle", "--force"]);
        assert_eq!(ran.code, Some(0), "{broken:?} {ran:?}");
        assert!(
            report["warnings"].to_string().contains("corrupt-"),
            "{broken:?} {report:#}"
        );
        assert_eq!(state(&tree)["totals"]["cycles"], 1);
        let aside: Vec<_> = tree
            .names(".sysopt")
            .into_iter()
            .filter(|name| name.starts_with("state.json.corrupt-"))
            .collect();
        assert_eq!(aside.len(), 1, "{aside:?}");
        let aside = tree.path(".sysopt").join(&aside[0]);
        assert_eq!(fs::read_to_string(&aside).unwrap(), broken);
        fs::remove_dir_all(tree.path(".sysopt")).unwrap();
    }
}

#[test]
fn a_corrupt_state_twice_in_a_second_is_no_reason_to_give_up() {
    let tree = Tree::new();
    tree.config("# all defaults\n");
    for _ in 0..3 {
        tree.write(".sysopt/state.json", "{");
        let ran = tree.run(&["cycle", "--force"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(state(&tree)["schema"], "sysopt.state/1");
    }
}

#[test]
fn a_newer_state_is_left_alone() {
    let tree = busy();
    let newer = "{\"schema\":\"sysopt.state/2\",\"new\":{\"field\":1}}";
    tree.write(".sysopt/state.json", newer);
    let before = tree.snapshot();
    for command in ["cycle", "clean-cache", "rotate-logs", "archive-models"] {
        let ran = tree.run(&[command]);
        assert_eq!(ran.code, Some(1), "{command} {ran:?}");
        assert!(ran.stderr.contains("sysopt.state/2"), "{ran:?}");
        assert_eq!(tree.snapshot(), before, "{command}");
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_base_that_cannot_be_written_costs_only_the_record() {
    if !require::own_machine(a_base_that_cannot_be_written_costs_only_the_record) {
        return;
    }
    let tree = Tree::new();
    let disk = Tmpfs::new(1 << 20);
    let cache = disk.path().join("cache");
    tree.config(&format!(
        "[cache]\ndirectories = ['{}']\nmax_size = '0'\n",
        cache.display()
    ));
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join("old"), "x").unwrap();
    crate::fixture::set_age(&cache.join("old"), 9 * DAY);
    mount(&["--bind", tree.base().to_str().unwrap()], &tree.base());
    mount(&["-o", "remount,bind,ro"], &tree.base());
    let (ran, report) = tree.json(&["cycle"]);
    let status = tree.run(&["status"]);
    let _ = std::process::Command::new("umount")
        .arg("-l")
        .arg(tree.base())
        .status();
    // Nobody would hear of a warning from cron, and every cycle would be the first.
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(!cache.join("old").exists());
    assert!(
        report["errors"].to_string().contains("write the state"),
        "{report:#}"
    );
    assert_eq!(operation(&report, SIX[1])["items_processed"], 1);
    assert_eq!(status.code, Some(0), "{status:?}");
}

#[test]
fn status_is_for_everybody_and_writes_nothing() {
    if !require::root() {
        return;
    }
    let tree = busy();
    assert_eq!(tree.run(&["cycle"]).code, Some(0));
    // Nothing here can be written by that user, and the state not even read.
    let mut command = tree.as_user(65_534, &["--format", "json", "status"]);
    let before = tree.snapshot();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["schema"], "sysopt.status/1");
    for key in [
        "current_interval_seconds",
        "consecutive_failures",
        "next_cycle",
        "total_cycles",
        "total_bytes_freed",
        "total_items_processed",
        "average_success_rate",
        "last_optimization",
        "system_metrics",
        "directories",
        "operations",
        "agents",
        "processes",
    ] {
        assert!(status.get(key).is_some(), "{key} {status:#}");
    }
    assert!(!status["directories"].as_array().unwrap().is_empty());
    let text = tree.as_user(65_534, &["status"]).output().unwrap();
    assert_eq!(text.status.code(), Some(0), "{text:?}");
    // Only owners may read without a trace.
    let mut after = tree.snapshot();
    for (path, shot) in &mut after {
        shot.3 = before[path].3;
    }
    assert!(after == before);
}

#[test]
fn status_exits_with_0_also_when_things_are_bad() {
    if !require::root() {
        return;
    }
    let tree = busy();
    fs::set_permissions(tree.path("cache"), fs::Permissions::from_mode(0o700)).unwrap();
    let output = tree.as_user(65_534, &["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    tree.write(".sysopt/state.json", "{");
    assert_eq!(tree.run(&["status"]).code, Some(0));
    assert_eq!(
        fs::read_to_string(tree.path(".sysopt/state.json")).unwrap(),
        "{"
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn one_operation_that_fails_does_not_stop_the_others() {
    if !require::root() {
        return;
    }
    let tree = busy();
    let everything = walkdir::WalkDir::new(tree.base());
    for entry in everything {
        let entry = entry.unwrap();
        rustix::fs::chownat(
            rustix::fs::CWD,
            entry.path(),
            Some(rustix::fs::Uid::from_raw(65_534)),
            Some(rustix::fs::Gid::from_raw(65_534)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }
    // The logs belong to another.
    chown(tree.path("logs"), Some(0), Some(0)).unwrap();
    let output = tree
        .as_user(65_534, &["--format", "json", "cycle"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "partial");
    for (name, success) in [(SIX[1], true), (SIX[2], false), (SIX[3], true)] {
        assert_eq!(
            operation(&report, name)["success"],
            success,
            "{name} {report:#}"
        );
    }
    let logs = operation(&report, SIX[2]);
    assert!(
        logs["errors"].to_string().contains("Permission denied"),
        "{logs:#}"
    );
    assert!(report["success_rate"].as_f64().unwrap() < 1.0);
    assert_eq!(state(&tree)["operations"][SIX[2]]["success"], false);
}
