//! The JSON Schemas in `schema/`: real documents of every subcommand are valid, a field that a
//! schema does not know is not, and the configuration's is that of the table of keys.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use jsonschema::{Registry, Validator};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use sysopt::config;
use sysopt::config::locate::Surroundings;
use sysopt::config::schema::schema;

use crate::fixture::{DAY, HOUR, Ran, Tree, json_lines, lines, within};
use crate::require;

const REFRESH: &str = "SYSOPT_REGENERATE=1 cargo test --test it schemas";

fn committed(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("schema")
        .join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn validator(name: &str) -> Validator {
    let uri = |name: &str| format!("https://sysopt.invalid/schema/{name}");
    let registry = Registry::new()
        .add(uri("report.json"), committed("report.json"))
        .unwrap()
        .prepare()
        .unwrap();
    jsonschema::options()
        .with_registry(&registry)
        .with_base_uri(uri("itself.json"))
        .should_validate_formats(true)
        .build(&committed(name))
        .unwrap()
}

/// The schemas of what is written.
struct Schemas {
    report: Validator,
    status: Validator,
    explain: Validator,
}

impl Schemas {
    fn new() -> Self {
        let [report, status, explain] =
            ["report.json", "status.json", "explain.json"].map(validator);
        Self {
            report,
            status,
            explain,
        }
    }

    /// Checks a document by the schema that it names.
    fn check(&self, document: &Value, of: &str) {
        let schema = match document["schema"].as_str() {
            Some("sysopt.report/1") => &self.report,
            Some("sysopt.status/1") => &self.status,
            Some("sysopt.explain/1") => &self.explain,
            other => panic!("{of}: schema {other:?}"),
        };
        let errors: Vec<String> = schema
            .iter_errors(document)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{of}: {errors:#?}\n{document:#}");
    }

    /// Runs it and checks what it printed.
    fn run(&self, tree: &Tree, args: &[&str], code: i32) -> Value {
        let (ran, document) = tree.json(args);
        assert_eq!(ran.code, Some(code), "{args:?}: {ran:?}");
        self.check(&document, &format!("{args:?}"));
        document
    }
}

/// Something to do for each operation, and names that are not UTF-8.
fn due() -> Tree {
    let tree = Tree::new();
    tree.config(
        "[cache]\nmax_size = '16KiB'\ncleanup_threshold = 1.0\n\
         [logs]\nmax_file_size = '10KiB'\n[models]\nkeep_latest = 0\nmax_archive_size = '1KiB'\n\
         [garbage]\ndelete = ['broken_symlinks']\n\
         [[agents.rule]]\nname = 'never'\ncomm = 'no-such-agent'\nexpect = 1\n",
    );
    tree.aged("cache/old", vec![1; 16 << 10], 9 * DAY);
    tree.aged(strange(b"cache/odd"), vec![2; 8 << 10], 8 * DAY);
    tree.aged("cache/repo/.git/HEAD", "ref", 9 * DAY);
    tree.aged("logs/app.log", lines("line", 5000), HOUR);
    tree.aged(strange(b"logs/odd"), lines("line", 5000), HOUR);
    tree.aged("models/m_v1.pkl", lines("model", 300), 30 * DAY);
    tree.aged("models/m_v2.pkl", lines("model", 400), 20 * DAY);
    tree.aged(strange(b"models/odd"), lines("odd", 300), 30 * DAY);
    tree.aged("temp/x.tmp", b"stale", 9 * DAY);
    std::os::unix::fs::symlink("nowhere", tree.path("temp/broken")).unwrap();
    tree
}

/// A name with a byte that is not UTF-8; of a log, or of a model, by the directory.
fn strange(stem: &[u8]) -> std::path::PathBuf {
    let suffix: &[u8] = if stem.starts_with(b"models") {
        b"\xff.pkl"
    } else {
        b"\xff.log"
    };
    std::ffi::OsStr::from_bytes(&[stem, suffix].concat()).into()
}

#[test]
fn every_subcommand_writes_what_its_schema_says() {
    let schemas = Schemas::new();
    let tree = due();
    for args in [
        &["cycle", "-n"][..],
        &["cycle", "-n", "-v"],
        &["rotate-logs", "-n", "-v"],
        &["clean-cache", "-n", "-v"],
        &["archive-models", "-n", "-v"],
        &["archive-models", "--explain", "models/m_v1.pkl"],
        &["status"],
        &["cycle"],
        &["cycle"],
        &["cycle", "--force", "-v"],
        &["rotate-logs", "--force"],
        &["clean-cache"],
        &["archive-models"],
        &["restore-models", "--list"],
        &["restore-models", "--verify"],
        &["restore-models", "-n", "--all"],
        &["restore-models", "--all"],
        &["restore-models", "-v", "--all"],
        &["rotate-logs", "--explain", "logs/app.log"],
        &["clean-cache", "--explain", "cache"],
        &["clean-cache", "--explain", "/etc/passwd"],
        &["status", "--agents", "--history"],
    ] {
        schemas.run(&tree, args, 0);
    }
    let written = json_lines(&tree.path(".sysopt/history.jsonl"));
    assert!(written.len() > 1);
    for line in &written {
        schemas.check(line, "history");
    }
}

#[test]
fn what_fails_is_reported_as_the_schema_says() {
    let schemas = Schemas::new();
    let tree = due();
    for (args, code) in [
        (&["cycle", "--timeout", "0s"][..], 3),
        (&["restore-models", "gone"], 2),
        (&["clean-cache", "/proc"], 2),
        (&["cycle", "--timeout", "soon"], 2),
        (&["cycle", "--nonsense"], 2),
        (&["nonsense"], 2),
    ] {
        schemas.run(&tree, args, code);
    }
    schemas.run(&tree, &["cycle", "--force"], 0);
    let archived = tree.names("models/archived");
    let [first, second] = [0, 1].map(|at| {
        let models = archived.iter().filter(|name| name.starts_with("m_v"));
        tree.path("models/archived")
            .join(models.clone().nth(at).unwrap())
    });
    fs::write(&first, "other").unwrap();
    fs::remove_file(&second).unwrap();
    schemas.run(&tree, &["restore-models", "--verify"], 3);
    tree.config("[cache]\ndirectories = ['gone']\n");
    schemas.run(&tree, &["cycle", "--force"], 3);
    tree.config("[cach]\n");
    schemas.run(&tree, &["cycle"], 2);
    fs::remove_file(tree.path("sysopt.toml")).unwrap();
    schemas.run(&tree, &["cycle"], 2);
}

#[test]
fn what_is_ended_or_locked_out_is_reported_as_the_schema_says() {
    let schemas = Schemas::new();
    let tree = due();
    let held = File::open(tree.path("logs")).unwrap();
    held.lock().unwrap();
    schemas.run(&tree, &["rotate-logs"], 11);
    let child = tree.spawn(&["--format", "json", "rotate-logs", "--lock-wait", "10min"]);
    let asleep = || {
        let stat = fs::read_to_string(format!("/proc/{}/syscall", child.id()));
        stat.is_ok_and(|text| !text.starts_with("running"))
    };
    assert!(within(20 * HOUR / 3600, asleep));
    std::thread::sleep(std::time::Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.signal, Some(libc::SIGTERM), "{ran:?}");
    assert_eq!(ran.report()["outcome"], "interrupted");
    schemas.check(&ran.report(), "interrupted");
}

#[test]
fn agents_and_what_is_asked_of_them_are_as_the_schema_says() {
    if !require::own_machine(agents_and_what_is_asked_of_them_are_as_the_schema_says)
        || !require::tool("python3")
    {
        return;
    }
    let schemas = Schemas::new();
    let tree = Tree::new();
    tree.config(
        "[agents]\npace_file = 'pace.json'\n[[agents.rule]]\nname = 'whale'\n\
         script = '*whale.py'\nreclaim_signal = 'USR1'\nexpect = 2\n",
    );
    let script = tree.write(
        "agents/whale.py",
        "import signal, sys\nsignal.signal(signal.SIGUSR1, lambda *_: None)\n\
         print('up', flush=True)\nsys.stdin.read()\n",
    );
    let mut agent = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let said = agent.stdout.as_mut().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).unwrap();
    let report = schemas.run(&tree, &["cycle"], 0);
    assert!(report.to_string().contains("applied_"), "{report:#}");
    schemas.run(&tree, &["status"], 0);
    agent.kill().unwrap();
    agent.wait().unwrap();
    let report = schemas.run(&tree, &["cycle", "--force"], 0);
    assert!(report.to_string().contains("not_running"), "{report:#}");
    schemas.run(&tree, &["status", "--agents", "--history", "1"], 0);
}

/// Every object of a schema says which fields it has, so that a new one fails the tests above.
#[test]
fn no_object_takes_a_field_that_its_schema_does_not_know() {
    for name in ["report.json", "status.json", "explain.json"] {
        closed(&committed(name), name);
    }
    let schemas = Schemas::new();
    let tree = due();
    let report = tree.json(&["cycle", "-n"]).1;
    let status = tree.json(&["status", "--agents"]).1;
    let mut objects = 0;
    for (document, validator) in [(report, &schemas.report), (status, &schemas.status)] {
        assert!(validator.is_valid(&document));
        for pointer in pointers(&document, String::new()) {
            let mut changed = document.clone();
            changed.pointer_mut(&pointer).unwrap()["unheard_of"] = json!("x");
            // Counts by reason, and evidence by code, have keys of their own.
            let counts = ["/kept", "/skipped"]
                .iter()
                .any(|end| pointer.ends_with(end));
            let figures = ["/evidence", "/threshold"]
                .iter()
                .any(|part| pointer.contains(part));
            let free = counts || figures;
            assert!(free || !validator.is_valid(&changed), "{pointer}");
            objects += 1;
        }
    }
    assert!(objects > 40, "{objects}");
}

fn closed(schema: &Value, at: &str) {
    match schema {
        Value::Object(members) => {
            let of_parts = at.ends_with("/if") || at.ends_with("/then");
            if members.contains_key("properties") && !of_parts {
                assert_eq!(
                    members.get("additionalProperties"),
                    Some(&json!(false)),
                    "{at}"
                );
            }
            for (key, value) in members {
                closed(value, &format!("{at}/{key}"));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| closed(item, at)),
        _ => {}
    }
}

/// Where the objects of a document are.
fn pointers(document: &Value, at: String) -> Vec<String> {
    let mut found = Vec::new();
    match document {
        Value::Object(members) => {
            for (key, value) in members {
                found.extend(pointers(value, format!("{at}/{key}")));
            }
            found.push(at);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                found.extend(pointers(item, format!("{at}/{index}")));
            }
        }
        _ => {}
    }
    found
}

#[test]
fn the_schema_of_the_configuration_is_that_of_its_keys() {
    let text = format!("{:#}\n", schema());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/config.json");
    if std::env::var_os("SYSOPT_REGENERATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "not current; refresh: {REFRESH}");
}

/// The tree of `config --format json` as a file has it.
fn as_file(node: &Value) -> Option<Value> {
    if let Some(value) = node.get("value").filter(|_| node.get("source").is_some()) {
        return Some(value.clone()).filter(|value| !value.is_null());
    }
    match node {
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), as_file(value)?)));
            Some(Value::Object(kept.collect::<Map<_, _>>()))
        }
        Value::Array(items) => Some(items.iter().filter_map(as_file).collect()),
        _ => None,
    }
}

#[test]
fn what_is_in_force_is_a_configuration_by_its_schema() {
    let validator = validator("config.json");
    let tree = Tree::new();
    let shown = tree.run(&["config", "--format", "json"]).report();
    let values = as_file(&shown["values"]).unwrap();
    assert_eq!(values["cache"]["max_size"], "1000MiB");
    let errors: Vec<String> = validator
        .iter_errors(&values)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{values:#}");
    // And what sysopt knows besides, the schema knows too.
    let schema = committed("config.json");
    for (name, table) in values.as_object().unwrap() {
        let known = &schema["properties"][name];
        assert!(known.is_object(), "{name}");
        for key in table.as_object().into_iter().flat_map(Map::keys) {
            assert!(known["properties"][key].is_object(), "{name}.{key}");
        }
    }
}

/// Whether sysopt takes a configuration.
fn is_taken(tree: &Tree, configuration: &Value) -> bool {
    let path = tree.write("checked.json", configuration.to_string());
    let surroundings = Surroundings {
        cwd: tree.base(),
        uid: rustix::process::geteuid().as_raw(),
        ..Surroundings::default()
    };
    config::check(&path, &surroundings).is_ok()
}

/// Every key of the schema is one of sysopt's, with each of some values: the schema takes whatever
/// sysopt takes.
#[test]
fn the_schema_refuses_nothing_that_sysopt_takes() {
    let validator = validator("config.json");
    let tree = Tree::new();
    let schema = committed("config.json");
    let values = [
        json!(true),
        json!(0),
        json!(1),
        json!(7),
        json!(0.5),
        json!(-1),
        json!("1d"),
        json!("1GiB"),
        json!("5%"),
        json!(""),
        json!("x"),
        json!("none"),
        json!("punch"),
        json!("used"),
        json!("USR1"),
        json!("A=b"),
        json!([]),
        json!(["a"]),
        json!(["pid_files"]),
        json!({ "name": "HUP", "pid_file": "x" }),
        json!({}),
        json!(null),
    ];
    let mut takes = 0;
    let tables = schema["properties"].as_object().unwrap();
    for (name, table) in tables {
        let Some(keys) = table["properties"]
            .as_object()
            .filter(|_| table["type"] == "object")
        else {
            continue;
        };
        for key in keys.keys().filter(|key| *key != "rule") {
            let mut any = false;
            for value in &values {
                let file = json!({ name: { key: value } });
                if is_taken(&tree, &file) {
                    any = true;
                    takes += 1;
                    assert!(validator.is_valid(&file), "{file}");
                }
            }
            assert!(any, "sysopt takes no value of {name}.{key}");
        }
    }
    assert!(takes > 100, "{takes}");
    for (file, valid) in [
        (json!({ "cache": { "max_sise": "1GiB" } }), false),
        (json!({ "cach": {} }), false),
        (
            json!({ "logs": { "rule": [{ "patterns": ["*.x"], "mode": "punch" }] } }),
            true,
        ),
        (json!({ "logs": { "rule": [{ "rule": [] }] } }), false),
        (
            json!({ "agents": { "rule": [{ "name": "a", "comm": "b", "expect": 2 }] } }),
            true,
        ),
        (
            json!({ "agents": { "rule": [{ "name": "a", "com": "b" }] } }),
            false,
        ),
        (json!({ "cache_directories": ["x"], "root": "." }), true),
    ] {
        assert_eq!(is_taken(&tree, &file), valid, "{file}");
        assert_eq!(validator.is_valid(&file), valid, "{file}");
    }
}
