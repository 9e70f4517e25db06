//! The report on stdout, everything else on stderr, and what happens where they cannot be written.

use std::fs::{File, OpenOptions};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::fixture::{DAY, HOUR, Ran, Tree, finish, operation, set_mode};
use crate::require;

const OPERATIONS: [&str; 6] = [
    "garbage_collection",
    "cache_cleanup",
    "log_rotation",
    "model_archiving",
    "agent_optimization",
    "process_optimization",
];

/// A tree in which caches, logs and models have something to do.
fn tree() -> Tree {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '4KiB'\n[logs]\nmax_file_size = '8KiB'\n");
    tree.aged("cache/a.bin", vec![1; 9_000], 3 * DAY);
    tree.aged("logs/app.log", vec![b'l'; 9_000], HOUR);
    tree.aged("logs/small.log", b"line\n", HOUR);
    tree.aged("models/old.pkl", b"weights", 10 * DAY);
    tree
}

/// All that `tree` wants was done.
fn assert_worked(tree: &Tree) {
    assert!(!tree.path("cache/a.bin").exists());
    assert!(!tree.path("models/old.pkl").exists());
    assert_eq!(tree.path("logs/app.log").metadata().unwrap().len(), 0);
}

/// The type of a value, with `integer` apart from `number`.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Each field is there and is of one of the types; no field is unknown to the table.
fn assert_shape(value: &Value, shape: &[(&str, &str)], optional: &[(&str, &str)]) {
    let fields = value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"));
    for (name, kinds) in shape {
        let field = fields
            .get(*name)
            .unwrap_or_else(|| panic!("no {name} in {value:#}"));
        assert!(
            kinds.split('|').any(|one| one == kind(field)),
            "{name} is {field}, not {kinds}"
        );
    }
    for (name, field) in fields {
        let known = shape
            .iter()
            .chain(optional)
            .find(|(known, _)| known == name);
        let (_, kinds) = known.unwrap_or_else(|| panic!("unknown field {name} in {value:#}"));
        assert!(
            kinds.split('|').any(|one| one == kind(field)),
            "{name} is {field}, not {kinds}"
        );
    }
}

const REPORT: &[(&str, &str)] = &[
    ("schema", "string"),
    ("version", "string"),
    ("command", "string"),
    ("dry_run", "bool"),
    ("timestamp", "string"),
    ("cycle_duration_seconds", "number"),
    ("base", "string"),
    ("config", "string|null"),
    ("outcome", "string"),
    ("success_rate", "number"),
    ("total_items_processed", "integer"),
    ("total_bytes_freed", "integer|null"),
    ("system_metrics_before", "object|null"),
    ("system_metrics_after", "object|null"),
    ("operations", "list"),
    ("warnings", "list"),
    ("errors", "list"),
];

const METRICS: &[(&str, &str)] = &[
    ("cpu_percent", "number|null"),
    ("memory_percent", "number|null"),
    ("memory_available_bytes", "integer|null"),
    ("swap_percent", "number|null"),
    ("load_average", "list|null"),
    ("pressure", "object|null"),
    ("pressure_averages", "object"),
    ("deltas", "object"),
    ("disks", "list"),
];

const DISK: &[(&str, &str)] = &[
    ("path", "string"),
    ("used_percent", "number|null"),
    ("free_bytes", "integer"),
    ("total_bytes", "integer"),
    ("free_inodes", "integer|null"),
];

const OPERATION: &[(&str, &str)] = &[
    ("operation", "string"),
    ("success", "bool"),
    ("items_processed", "integer"),
    ("bytes_freed", "integer|null"),
    ("duration_seconds", "number"),
    ("message", "string"),
    ("metadata", "object"),
    ("actions", "list"),
    ("errors", "list"),
];

const ACTION: &[(&str, &str)] = &[
    ("action", "string"),
    ("path", "string"),
    ("bytes", "integer|null"),
    ("reason", "string"),
    ("status", "string"),
];

const ERROR: &[(&str, &str)] = &[
    ("path", "string|null"),
    ("action", "string|null"),
    ("error", "string"),
];

/// A time as RFC 3339 has it, in UTC.
fn is_utc(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range)
            .is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    text.len() == 20
        && [0..4, 5..7, 8..10, 11..13, 14..16, 17..19]
            .into_iter()
            .all(digits)
        && text.ends_with('Z')
        && &text[4..5] == "-"
        && &text[10..11] == "T"
}

fn assert_report(report: &Value) {
    let optional = [("skipped", "string"), ("schedule", "object")];
    assert_shape(report, REPORT, &optional);
    assert_eq!(report["schema"], "sysopt.report/1");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert!(is_utc(report["timestamp"].as_str().unwrap()), "{report}");
    for error in report["errors"].as_array().unwrap() {
        assert_shape(error, ERROR, &[]);
    }
    for operation in report["operations"].as_array().unwrap() {
        assert_shape(operation, OPERATION, &[("kept", "list")]);
        for action in operation["actions"].as_array().unwrap() {
            let optional = [
                ("to", "string"),
                ("path_base64", "string"),
                ("to_base64", "string"),
                ("note", "string"),
            ];
            assert_shape(action, ACTION, &optional);
        }
        for error in operation["errors"].as_array().unwrap() {
            assert_shape(error, ERROR, &[("path_base64", "string")]);
        }
    }
}

fn list<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[name].as_str().unwrap())
        .collect()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_report_of_a_cycle_has_the_shape_of_the_contract() {
    let tree = tree();
    for (args, status) in [(&["-n", "cycle"][..], "planned"), (&["cycle"], "done")] {
        let (ran, report) = tree.json(args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(ran.stderr, "");
        assert_report(&report);
        assert_eq!(report["command"], "cycle");
        assert_eq!(report["dry_run"], status == "planned");
        assert_eq!(report["outcome"], "success");
        assert_eq!(report["success_rate"], 1.0);
        assert_eq!(report["base"], tree.base().to_str().unwrap());
        assert_eq!(report["config"], tree.path("sysopt.toml").to_str().unwrap());
        assert_eq!(list(&report["operations"], "operation"), OPERATIONS);
        for name in ["system_metrics_before", "system_metrics_after"] {
            let more = [
                ("cpus", "integer"),
                ("memory_total_bytes", "integer"),
                ("uptime_seconds", "integer|number"),
            ];
            assert_shape(&report[name], METRICS, &more);
            assert_eq!(kind(&report[name]["memory_percent"]), "number");
            assert_eq!(report[name]["load_average"].as_array().unwrap().len(), 3);
            assert_eq!(report[name]["disks"].as_array().unwrap().len(), 1);
            let more = [("read_only", "bool")];
            assert_shape(&report[name]["disks"][0], DISK, &more);
        }
        let expected = [
            ("cache_cleanup", "evict", "cache/a.bin", 12_288),
            ("log_rotation", "rotate", "logs/app.log", 9_000),
            ("model_archiving", "archive", "models/old.pkl", 7),
        ];
        for (name, verb, path, bytes) in expected {
            let actions = &operation(&report, name)["actions"];
            assert_eq!(list(actions, "action"), [verb]);
            assert_eq!(list(actions, "path"), [path]);
            assert_eq!(list(actions, "status"), [status]);
            assert_eq!(actions[0]["bytes"], bytes, "{actions:#}");
        }
        let to = operation(&report, "log_rotation")["actions"][0]["to"].to_string();
        assert!(
            to.starts_with("\"logs/app.log-") && to.ends_with("Z.gz\""),
            "{to}"
        );
        assert_eq!(report["total_items_processed"], 3);
        let freed: Option<i64> = report["operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|operation| operation["bytes_freed"].as_i64())
            .sum();
        assert_eq!(report["total_bytes_freed"].as_i64(), freed);
        // How well the first log of its name compresses is not known before.
        assert_eq!(freed.is_some(), status == "done", "{report:#}");
    }
    assert_worked(&tree);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_is_kept_is_counted_by_reason_and_listed_when_asked() {
    let tree = tree();
    let (_, brief) = tree.json(&["-n", "rotate-logs"]);
    let counted = operation(&brief, "log_rotation");
    assert!(counted.get("kept").is_none(), "{counted:#}");
    let counts: u64 = counted["metadata"]["kept"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(counts, 1, "{counted:#}");
    let (_, full) = tree.json(&["-n", "-v", "rotate-logs"]);
    assert_report(&full);
    let kept = &operation(&full, "log_rotation")["kept"];
    assert_eq!(list(kept, "path"), ["logs/small.log"]);
    assert_eq!(
        kept[0]["reason"], "size 5 B is not over 8.0 KiB",
        "{kept:#}"
    );
}

#[test]
fn a_run_that_cannot_begin_reports_too() {
    let tree = tree();
    tree.config("[cache]\nmax_size = -1\n[lgos]\n");
    for command in [
        &["cycle"][..],
        &["clean-cache"],
        &["rotate-logs"],
        &["archive-models"],
        &["restore-models", "--list"],
        &["status"],
        &["-n", "cycle"],
    ] {
        let (ran, report) = tree.json(command);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_report(&report);
        assert_eq!(report["outcome"], "failure");
        assert_eq!(report["operations"], serde_json::json!([]));
        assert_eq!(report["errors"].as_array().unwrap().len(), 2, "{report:#}");
        let typed = command.iter().find(|word| !word.starts_with('-')).unwrap();
        assert_eq!(report["command"], **typed);
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_failed_item_is_code_3_and_stands_in_the_report() {
    if !require::root() {
        return;
    }
    let tree = tree();
    tree.aged("cache/closed/b.bin", vec![1; 9_000], 3 * DAY);
    // The user may empty `cache`, and may only read what is in `closed`.
    for path in ["cache", "cache/a.bin"] {
        std::os::unix::fs::chown(tree.path(path), Some(65_534), Some(65_534)).unwrap();
    }
    set_mode(&tree.path("cache/closed"), 0o755);
    let args = [
        "--format",
        "json",
        "clean-cache",
        "cache",
        "--max-size",
        "0",
    ];
    let ran = Ran::from(tree.command_as(65_534, &args).output().unwrap());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let report = ran.report();
    assert_report(&report);
    assert_eq!(report["outcome"], "partial");
    let cache = operation(&report, "cache_cleanup");
    assert_eq!(cache["success"], false);
    assert_eq!(
        cache["errors"],
        serde_json::json!([{
            "path": "cache/closed/b.bin",
            "action": "evict",
            "error": "Permission denied (os error 13)",
        }])
    );
    assert_eq!(
        ran.stderr,
        "sysopt: cannot remove 'cache/closed/b.bin': Permission denied\n"
    );
    assert!(!tree.path("cache/a.bin").exists(), "the others are done");
    assert!(tree.path("cache/closed/b.bin").exists());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn quiet_is_silent_when_all_went_well_and_loud_when_not() {
    let tree = tree();
    for args in [&["-q", "cycle"][..], &["-q", "status"], &["config", "-q"]] {
        let ran = tree.run(args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    }
    assert_worked(&tree);
    let ran = tree.run(&["-q", "clean-cache", "missing"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("'missing'"), "{ran:?}");
    tree.config("[cache]\nmax_sise = 1\n");
    let ran = tree.run(&["-q", "cycle"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("max_sise"), "{ran:?}");
}

/// Runs with a stdout of its own.
fn with_stdout(tree: &Tree, args: &[&str], stdout: impl Into<Stdio>) -> Output {
    let mut command = tree.command(args);
    command.stdout(stdout).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_report_that_cannot_be_written_is_code_1_after_the_work() {
    for format in ["text", "json"] {
        let tree = tree();
        let ran = Ran::from(with_stdout(&tree, &["--format", format, "cycle"], full()));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(
            ran.stderr,
            "sysopt: cannot write the report: No space left on device\n"
        );
        assert_worked(&tree);
    }
    let tree = tree();
    for args in [
        &["status"][..],
        &["config"],
        &["-n", "cycle"],
        &["restore-models", "--list"],
        &["config", "--check", "sysopt.toml"],
    ] {
        let ran = Ran::from(with_stdout(&tree, args, full()));
        assert_eq!(ran.code, Some(1), "{args:?} {ran:?}");
        assert!(ran.stderr.starts_with("sysopt: cannot write"), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
    // What nobody wants to read need not be written.
    let ran = Ran::from(with_stdout(&tree, &["-q", "status"], full()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn a_run_that_fails_twice_says_the_first_too() {
    let tree = tree();
    tree.config("[cache]\nmax_sise = 1\n");
    let ran = Ran::from(with_stdout(&tree, &["--format", "json", "cycle"], full()));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("max_sise"), "{ran:?}");
    assert!(
        ran.stderr
            .contains("sysopt: cannot write the report: No space left on device\n"),
        "{ran:?}"
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_reader_that_left_does_not_stop_the_work() {
    for format in ["text", "json"] {
        let tree = tree();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = Ran::from(with_stdout(&tree, &["--format", format, "cycle"], writer));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(ran.stderr, "");
        assert_worked(&tree);
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn streams_that_are_closed_do_not_stop_the_work() {
    let tree = tree();
    let mut command = std::process::Command::new("sh");
    // The descriptors are free then, and must not be taken by a file that the work opens.
    command.args(["-c", "exec \"$0\" cycle <&- >&- 2>&-"]);
    command.arg(env!("CARGO_BIN_EXE_sysopt"));
    tree.prepare::<&str>(&mut command, &[]);
    let output = command.output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_worked(&tree);
    for name in tree.files() {
        let bytes = std::fs::read(tree.path(&name)).unwrap();
        assert!(!bytes.starts_with(b"sysopt "), "the report is in {name}");
    }
}

#[test]
fn errors_are_one_line_each_with_control_characters_escaped() {
    let tree = tree();
    let ran = tree.run(&["clean-cache", "two\nlines\u{1b}[31m"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(ran.stdout, "");
    assert_eq!(
        ran.stderr,
        "sysopt: 'two\\nlines\\x1b[31m': does not exist\n"
    );
    for args in [
        &["-C", "gone\n\u{1b}]0;x\u{7}", "cycle"][..],
        &["-c", "gone\n\u{1b}]0;x\u{7}.toml", "cycle"],
        &["cycle", "--timeout", "5\n\u{1b}parsecs"],
        &["cycle", "--lock-wait", "5\n\u{1b}parsecs"],
    ] {
        let ran = tree.run(args);
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!ran.stderr.contains(control), "{args:?} {ran:?}");
        assert!(!ran.stdout.contains(control), "{args:?} {ran:?}");
        assert!(!ran.stderr.contains("gone\n"), "{ran:?}");
    }
}

#[test]
fn prometheus_is_for_status_alone() {
    let tree = tree();
    let before = tree.snapshot();
    for command in [
        &["cycle"][..],
        &["-n", "cycle"],
        &["clean-cache"],
        &["rotate-logs"],
        &["archive-models"],
        &["restore-models", "--list"],
        &["config"],
        &["config", "--init"],
    ] {
        let mut args = vec!["--format", "prometheus"];
        args.extend(command);
        let ran = tree.run(&args);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("prometheus"), "{ran:?}");
        assert_eq!(tree.snapshot(), before, "{command:?}");
    }
}

#[test]
fn color_is_for_those_who_want_it() {
    let tree = tree();
    for (args, variable, colored) in [
        (&["-n", "cycle"][..], None, false),
        (&["--color", "always", "-n", "cycle"], None, true),
        (&["-n", "cycle"], Some("CLICOLOR_FORCE"), true),
        (
            &["--color", "never", "-n", "cycle"],
            Some("CLICOLOR_FORCE"),
            false,
        ),
    ] {
        let mut command = tree.command(args);
        if let Some(name) = variable {
            command.env(name, "1");
        }
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.stdout.contains('\u{1b}'), colored, "{args:?} {ran:?}");
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn stderr_has_no_progress_where_it_is_no_terminal() {
    let tree = tree();
    let ran = finish(tree.spawn(&["cycle"]), Duration::from_secs(5));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.contains("logs/app.log"), "{ran:?}");
}
