//! When a cycle runs, what is in it, and how failures stretch the time between two: with real
//! stamps in the state, by the wall clock.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Command, Stdio};
use std::thread;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::fixture::{DAY, Ran, Tree, json_lines, operation};
use crate::require;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// So many seconds ago, as the state has it.
fn ago(seconds: i64) -> String {
    let time = Timestamp::now() - SignedDuration::from_secs(seconds);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn tree() -> Tree {
    let tree = Tree::new();
    tree.config("# all defaults\n");
    for directory in ["cache", "logs", "models"] {
        fs::create_dir(tree.path(directory)).unwrap();
    }
    tree
}

fn remember(tree: &Tree, fields: &Value) {
    let mut state = json!({ "schema": "sysopt.state/1" });
    state
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    tree.write(".sysopt/state.json", state.to_string());
}

fn state(tree: &Tree) -> Value {
    serde_json::from_slice(&fs::read(tree.path(".sysopt/state.json")).unwrap()).unwrap()
}

fn last(seconds: i64, success: bool) -> Value {
    json!({ "timestamp": ago(seconds), "success": success })
}

fn names(report: &Value) -> Vec<&str> {
    let list = report["operations"].as_array().unwrap();
    list.iter()
        .map(|one| one["operation"].as_str().unwrap())
        .collect()
}

/// A cycle of `rotate-logs` on a directory that is not there fails, and so do two more.
const FAILING: &str = "[cache]\ndirectories = ['gone-a']\n[logs]\ndirectories = ['gone-b']\n\
                       [models]\ndirectories = ['gone-c']\n";

#[test]
fn a_cycle_before_its_time_is_skipped_and_leaves_nothing() {
    let tree = tree();
    assert_eq!(tree.run(&["cycle"]).code, Some(0));
    let before = tree.snapshot();
    let ran = tree.run(&["cycle"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("the next is due in"), "{ran:?}");
    assert!(ran.stdout.contains("`--force` runs it now"), "{ran:?}");
    for args in [
        &["cycle"][..],
        &["-n", "cycle"],
        &["cycle", "--only", "logs"],
    ] {
        let (ran, report) = tree.json(args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(report["outcome"], "skipped", "{report:#}");
        assert_eq!(names(&report), [""; 0]);
        assert!(report["schedule"]["next_cycle"].is_string(), "{report:#}");
    }
    assert_eq!(tree.snapshot(), before);
    let (_, report) = tree.json(&["cycle", "--force"]);
    assert_eq!(report["outcome"], "success");
    assert_eq!(names(&report).len(), 6);
    assert_eq!(json_lines(&tree.path(".sysopt/history.jsonl")).len(), 2);
}

#[test]
fn the_slack_for_cron_is_a_minute() {
    let tree = tree();
    for (seconds, outcome) in [
        (28 * MINUTE, "skipped"),
        (29 * MINUTE + 1, "success"),
        (31 * MINUTE, "success"),
        (-HOUR, "success"),
        (-900 * 24 * HOUR, "success"),
    ] {
        remember(
            &tree,
            &json!({ "last_cycle": { "timestamp": ago(seconds) } }),
        );
        let (ran, report) = tree.json(&["cycle"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(report["outcome"], outcome, "{seconds} {report:#}");
    }
}

#[test]
fn operations_run_by_their_intervals_and_the_rest_is_told() {
    let tree = tree();
    remember(
        &tree,
        &json!({
            "last_cycle": { "timestamp": ago(HOUR) },
            "operations": {
                "cache_cleanup": last(7 * HOUR, true),
                "log_rotation": last(2 * HOUR, false),
                "model_archiving": last(24 * HOUR, true),
            },
        }),
    );
    tree.config("[intervals]\npressure_percent = 100\n");
    let (ran, report) = tree.json(&["cycle"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        names(&report),
        [
            "garbage_collection",
            "cache_cleanup",
            "agent_optimization",
            "process_optimization"
        ]
    );
    let waiting = report["schedule"]["not_due"].as_array().unwrap();
    assert_eq!(waiting.len(), 2, "{report:#}");
    assert_eq!(waiting[0]["operation"], "log_rotation");
    // Four succeeded now, archiving did before, rotation did not.
    let rate = report["success_rate"].as_f64().unwrap();
    assert!((rate - 5.0 / 6.0).abs() < 1e-9, "{rate}");
    assert_eq!(state(&tree)["consecutive_failures"], 0);
}

#[test]
fn a_full_filesystem_makes_its_operations_due() {
    let tree = tree();
    tree.config("[intervals]\npressure_percent = 0\n");
    let ran = last(60, true);
    remember(
        &tree,
        &json!({
            "last_cycle": { "timestamp": ago(HOUR) },
            "operations": { "cache_cleanup": ran, "log_rotation": ran, "model_archiving": ran },
        }),
    );
    let (ran, report) = tree.json(&["cycle"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(names(&report).len(), 6, "{report:#}");
    assert_eq!(report["schedule"]["early"].as_array().unwrap().len(), 3);
}

#[test]
fn by_hand_counts_as_the_run_of_that_operation() {
    let tree = tree();
    tree.config("[intervals]\npressure_percent = 100\n");
    for command in ["rotate-logs", "archive-models", "clean-cache"] {
        assert_eq!(tree.run(&[command]).code, Some(0));
    }
    let (_, report) = tree.json(&["cycle"]);
    assert_eq!(
        names(&report),
        [
            "garbage_collection",
            "agent_optimization",
            "process_optimization"
        ]
    );
}

#[test]
fn failures_back_off_with_words_and_one_success_ends_it() {
    let tree = tree();
    tree.config(FAILING);
    for failure in 1..=3 {
        let (ran, report) = tree.json(&["cycle", "--force"]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        let schedule = &report["schedule"];
        assert_eq!(schedule["consecutive_failures"], failure, "{report:#}");
        let before = &schedule["previous_interval_seconds"];
        assert_eq!(*before == 1800, failure == 3, "{report:#}");
    }
    let ran = tree.run(&["cycle", "--force"]);
    assert!(
        ran.stdout
            .contains("60 -> 120 minutes, after 4 failures in a row"),
        "{ran:?}"
    );
    let status = tree.json(&["status"]).1;
    assert_eq!(status["current_interval_seconds"], 7200);
    assert_eq!(status["consecutive_failures"], 4);
    assert_eq!(status["backing_off_until"], status["next_cycle"]);
    let ran = tree.run(&["cycle"]);
    assert_eq!(ran.code, Some(0), "backing off is no failure: {ran:?}");
    assert!(
        ran.stdout.contains("backing off after 4 failures"),
        "{ran:?}"
    );
    tree.config("# mended\n");
    let (ran, report) = tree.json(&["cycle", "--force"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(report["schedule"]["interval_seconds"], 1800);
    assert_eq!(report["schedule"]["previous_interval_seconds"], 7200);
}

#[test]
fn a_crash_counts_and_three_hold_the_next_cycle_back() {
    let tree = tree();
    remember(
        &tree,
        &json!({ "attempt": ago(40 * MINUTE), "consecutive_failures": 2 }),
    );
    let status = tree.json(&["status"]).1;
    assert_eq!(status["consecutive_failures"], 3, "{status:#}");
    assert_eq!(status["last_cycle"]["outcome"], "crashed");
    let (ran, report) = tree.json(&["cycle"]);
    assert_eq!(report["outcome"], "skipped", "{ran:?}");
    assert!(
        report["warnings"]
            .to_string()
            .contains("counts as a failure")
    );
    let (_, report) = tree.json(&["cycle", "--force"]);
    assert_eq!(report["outcome"], "success");
    assert!(state(&tree)["attempt"].is_null());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_time_limit_says_so_and_leaves_the_rest_due() {
    let tree = tree();
    tree.aged("models/old.pkl", b"weights", 30 * DAY);
    let (ran, report) = tree.json(&["cycle", "--timeout", "0s"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(report["outcome"], "partial", "{report:#}");
    let said = "--timeout: 0 s had passed before all was done, and 1 item was not reached";
    assert!(ran.stderr.contains(said), "{ran:?}");
    assert!(tree.path("models/old.pkl").exists());
    let mut then = state(&tree);
    then["last_cycle"]["timestamp"] = ago(HOUR).into();
    fs::write(tree.path(".sysopt/state.json"), then.to_string()).unwrap();
    let (ran, report) = tree.json(&["cycle"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(operation(&report, "model_archiving")["items_processed"], 1);
}

#[test]
fn a_clock_that_is_far_ahead_protects_more_than_one_run() {
    let tree = tree();
    let old = tree.aged("models/old.pkl", b"weights", 60 * DAY);
    crate::fixture::set_age(&tree.config("# all defaults\n"), 60 * DAY);
    remember(&tree, &json!({ "last_run": ago(50 * 24 * HOUR) }));
    for _ in 0..3 {
        let (ran, report) = tree.json(&["cycle", "--only", "models"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            report["warnings"].to_string().contains("clock"),
            "{report:#}"
        );
        assert!(old.exists());
        let mut then = state(&tree);
        then["last_cycle"] = Value::Null;
        then["operations"] = json!({});
        fs::write(tree.path(".sysopt/state.json"), then.to_string()).unwrap();
    }
}

#[test]
fn a_history_that_is_not_ours_is_set_aside_and_no_report_is_lost() {
    let tree = tree();
    assert_eq!(tree.run(&["cycle"]).code, Some(0));
    let path = tree.path(".sysopt/history.jsonl");
    let mut bytes = b"\x00nonsense\n".to_vec();
    bytes.extend(fs::read(&path).unwrap());
    fs::write(&path, &bytes).unwrap();
    let (ran, report) = tree.json(&["cycle", "--force"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        report["warnings"]
            .to_string()
            .contains("history.jsonl.corrupt-"),
        "{report:#}"
    );
    assert_eq!(json_lines(&path).len(), 2);
    let aside = tree
        .names(".sysopt")
        .into_iter()
        .find(|name| name.contains("corrupt"));
    assert_eq!(
        fs::read(tree.path(".sysopt").join(aside.unwrap())).unwrap(),
        bytes
    );
}

/// Those that find another at work say so; those that come later do the work; nobody mixes it up.
fn at_once(tree: &Tree, count: usize) {
    let children: Vec<_> = (0..count)
        .map(|_| tree.spawn(&["cycle", "--force"]))
        .collect();
    let waiters = children
        .into_iter()
        .map(|child| thread::spawn(move || child.wait_with_output()));
    let mut worked = 0;
    for waiter in waiters.collect::<Vec<_>>() {
        let output = waiter.join().unwrap().unwrap();
        match output.status.code() {
            Some(0) => worked += 1,
            Some(11) => assert!(String::from_utf8_lossy(&output.stderr).contains("another sysopt")),
            _ => panic!("{output:?}"),
        }
    }
    assert!(worked > 0);
    let then = state(tree);
    assert_eq!(then["totals"]["cycles"], worked, "{then:#}");
    assert_eq!(then["consecutive_failures"], 0);
    assert_eq!(
        json_lines(&tree.path(".sysopt/history.jsonl")).len(),
        worked
    );
}

#[test]
fn many_cycles_at_once_work_one_after_the_other() {
    let tree = tree();
    tree.config("[history]\nkeep = 1000\n");
    at_once(&tree, 30);
    // Where there is no directory to lock, the state is.
    let bare = Tree::new();
    bare.config("[history]\nkeep = 1000\n");
    at_once(&bare, 30);
}

#[test]
#[ignore = "two hundred processes; .ci/run runs it"]
fn two_hundred_cycles_at_once_work_one_after_the_other() {
    let tree = tree();
    tree.config("[history]\nkeep = 1000\n");
    at_once(&tree, 200);
}

/// The tree as another user's, who is not root.
fn given_away(tree: &Tree) -> u32 {
    for entry in walkdir::WalkDir::new(tree.base()) {
        std::os::unix::fs::lchown(entry.unwrap().path(), Some(4321), Some(4321)).unwrap();
    }
    4321
}

#[test]
fn state_that_cannot_be_written_is_heard_of_also_with_quiet() {
    if !require::root() {
        return;
    }
    let tree = tree();
    let old = tree.aged("models/old.pkl", b"weights", 30 * DAY);
    fs::create_dir(tree.path(".sysopt")).unwrap();
    let user = given_away(&tree);
    std::os::unix::fs::chown(tree.path(".sysopt"), Some(0), Some(0)).unwrap();
    let output = tree.as_user(user, &["-q", "cycle"]).output().unwrap();
    let ran = Ran::from(output);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.stderr.contains("cannot write the state in '"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("Permission denied"), "{ran:?}");
    assert!(!old.exists(), "the work is done");
}

#[test]
fn state_that_cannot_be_read_is_not_written_over() {
    if !require::root() {
        return;
    }
    let tree = tree();
    assert_eq!(tree.run(&["cycle"]).code, Some(0));
    let path = tree.path(".sysopt/state.json");
    let before = fs::read(&path).unwrap();
    let user = given_away(&tree);
    std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
    for command in [&["cycle"][..], &["rotate-logs"]] {
        let ran = Ran::from(tree.as_user(user, command).output().unwrap());
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stderr.contains("cannot read the state in '"), "{ran:?}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    let ran = Ran::from(tree.as_user(user, &["status"]).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// Not what a run through it could make of another's file.
#[test]
fn a_state_that_is_a_link_is_set_aside() {
    let tree = tree();
    let other = tree.write("other", "precious");
    fs::create_dir(tree.path(".sysopt")).unwrap();
    for name in ["state.json", "history.jsonl"] {
        symlink(&other, tree.path(".sysopt").join(name)).unwrap();
    }
    let (ran, report) = tree.json(&["cycle"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("state.json.corrupt-"), "{warnings}");
    assert!(warnings.contains("history.jsonl.corrupt-"), "{warnings}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    assert_eq!(state(&tree)["totals"]["cycles"], 1);
    assert_eq!(json_lines(&tree.path(".sysopt/history.jsonl")).len(), 1);
}

#[test]
fn a_cycle_whose_line_is_written_and_whose_state_is_not_has_ended() {
    let tree = tree();
    tree.aged("models/old.pkl", b"weights", 30 * DAY);
    remember(&tree, &json!({ "consecutive_failures": 2 }));
    assert_eq!(tree.run(&["cycle"]).code, Some(0));
    let ended = state(&tree);
    // As a run leaves them that is killed in between.
    remember(
        &tree,
        &json!({ "consecutive_failures": 2, "attempt": ended["last_cycle"]["timestamp"] }),
    );
    let status = tree.json(&["status"]).1;
    assert_eq!(status["last_cycle"]["outcome"], "success", "{status:#}");
    assert_eq!(status["consecutive_failures"], 0);
    let (ran, report) = tree.json(&["cycle"]);
    assert_eq!(report["outcome"], "skipped", "{ran:?}");
    assert!(
        report["warnings"]
            .to_string()
            .contains("taken from history.jsonl")
    );
    tree.json(&["cycle", "--force"]);
    let after = state(&tree);
    assert_eq!(after["totals"]["cycles"], 2, "{after:#}");
    assert_eq!(after["totals"]["items_processed"], 1);
    assert!(after["attempt"].is_null());
    // One that began in the same second is another: its line is not there.
    let mut then = after.clone();
    then["attempt"] = then["last_cycle"]["timestamp"].clone();
    fs::write(tree.path(".sysopt/state.json"), then.to_string()).unwrap();
    let status = tree.json(&["status"]).1;
    assert_eq!(status["last_cycle"]["outcome"], "crashed", "{status:#}");
    assert_eq!(status["total_cycles"], 2);
}

#[test]
fn the_history_is_a_table_and_an_overdue_cycle_is_told() {
    let tree = tree();
    for _ in 0..3 {
        assert_eq!(tree.run(&["cycle", "--force"]).code, Some(0));
    }
    let ran = tree.run(&["status", "--history", "2"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let head = lines
        .iter()
        .position(|line| line.starts_with("history"))
        .unwrap();
    assert_eq!(lines.len(), head + 3, "{ran:?}");
    let column = |name: &str| lines[head].find(name).unwrap();
    for row in &lines[head + 1..] {
        assert_eq!(row.find("cycle"), Some(column("command")), "{ran:?}");
        assert_eq!(row.find("success"), Some(column("outcome")), "{ran:?}");
        assert!(row.contains("100 %"), "{ran:?}");
    }
    assert!(!ran.stdout.contains("overdue"), "{ran:?}");
    for (hours, words) in [(1, "next is due now"), (3, "overdue by")] {
        remember(
            &tree,
            &json!({ "last_cycle": { "timestamp": ago(hours * HOUR - 60), "outcome": "success" } }),
        );
        let ran = tree.run(&["--color", "always", "status"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains(words), "{hours}: {ran:?}");
    }
}

/// Its place does not depend on where sysopt is started.
#[test]
fn the_state_of_a_users_configuration_without_a_base_is_at_home() {
    let tree = tree();
    fs::remove_file(tree.path("sysopt.toml")).unwrap();
    let cache = tree.path("cache");
    let place = tree.home().join(".config/sysopt");
    fs::create_dir_all(&place).unwrap();
    let text = format!("[cache]\ndirectories = ['{}']\n", cache.display());
    fs::write(place.join("sysopt.toml"), text).unwrap();
    let ran = tree.run(&["cycle"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(!tree.path(".sysopt").exists());
    let state = tree.home().join(".local/state/sysopt");
    assert!(state.join("state.json").exists());
    let output = tree
        .command(&["--format", "json", "cycle"])
        .current_dir(&cache)
        .output();
    let report = Ran::from(output.unwrap()).report();
    assert_eq!(report["outcome"], "skipped", "the same state: {report:#}");
    let shown = tree.run(&["config"]).stdout;
    assert!(shown.contains(state.to_str().unwrap()), "{shown}");
}

fn promtool(metrics: &[u8]) {
    use std::io::Write as _;
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(metrics).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn metrics_are_exported_after_each_cycle() {
    if !require::tool("promtool") {
        return;
    }
    let tree = tree();
    let target = tree.outside().join("sysopt.prom");
    let quoted = tree.path("ca\"che\\x");
    fs::create_dir(&quoted).unwrap();
    tree.config(&format!(
        "[export]\ntextfile = '{}'\n[cache]\ndirectories = ['cache', 'ca\"che\\x']\n",
        target.display()
    ));
    let ran = tree.run(&["cycle"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let text = fs::read(&target).unwrap();
    promtool(&text);
    let text = String::from_utf8(text).unwrap();
    for line in [
        "sysopt_exit_code 0",
        "sysopt_success_rate 1",
        "sysopt_backoff_seconds 0",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
    assert!(
        text.contains("sysopt_operation_success{operation=\"log_rotation\"} 1"),
        "{text}"
    );
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o644);
    let status = tree.run(&["--format", "prometheus", "status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    promtool(status.stdout.as_bytes());
    let families = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("# TYPE"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(families(&status.stdout), families(&text));
    // A skipped cycle is none.
    fs::remove_file(&target).unwrap();
    tree.run(&["cycle"]);
    assert!(!target.exists());
}

#[test]
fn an_export_that_cannot_be_written_is_a_warning() {
    let tree = tree();
    let precious = tree.write("precious", "data");
    let link = tree.outside().join("link.prom");
    symlink(&precious, &link).unwrap();
    let gone = tree.outside().join("gone/x.prom");
    for target in [&link, &gone, &tree.path("logs")] {
        tree.config(&format!("[export]\ntextfile = '{}'\n", target.display()));
        let (ran, report) = tree.json(&["cycle", "--force"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            report["warnings"].to_string().contains("metrics"),
            "{report:#}"
        );
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "data");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}
