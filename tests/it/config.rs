//! The configuration as a user meets it: found, refused with the place and the cure, shown, written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::fixture::{DAY, Ran, Tree, actions, finish, set_age, set_mode};
use crate::require;

/// A tree in which a cycle would have much to do.
fn tree() -> Tree {
    let tree = Tree::new();
    tree.aged("models/old.pkl", b"weights", 10 * DAY);
    tree.aged("logs/app.log", vec![b'l'; 9_000], DAY);
    tree.aged("cache/a.bin", vec![1; 9_000], 3 * DAY);
    tree
}

/// The tree stays as it is and the run ends with code 2; what it said on stderr, where `DIR` is the
/// base.
fn refused(tree: &Tree, args: &[&str]) -> String {
    let before = tree.snapshot();
    let ran = finish(tree.spawn(args), Duration::from_secs(5));
    assert_eq!(ran.code, Some(2), "{args:?} {ran:?}");
    assert_eq!(ran.stdout, "", "{args:?}");
    assert_eq!(tree.snapshot(), before, "{args:?}");
    ran.stderr.replace(tree.base().to_str().unwrap(), "DIR")
}

#[test]
fn each_wrong_value_is_shown_with_its_place_and_its_cure() {
    for (text, expected) in [
        (
            "[cache]\nmax_sise = '1GiB'\n",
            "sysopt: DIR/sysopt.toml:2:1: key 'cache.max_sise': unknown key\n\
             \x20   max_sise = '1GiB'\n    ^^^^^^^^\nhelp: did you mean 'max_size'?\n",
        ),
        (
            "# mine\n[cahce]\nmax_size = '1GiB'\n",
            "sysopt: DIR/sysopt.toml:2:2: key 'cahce': unknown key\n\
             \x20   [cahce]\n     ^^^^^\nhelp: did you mean 'cache'?\n",
        ),
        (
            "[models]\narchive_after = 7\n",
            "sysopt: DIR/sysopt.toml:2:17: key 'models.archive_after': ",
        ),
        (
            "[logs]\nmax_files_per_logger = 'five'\n",
            "sysopt: DIR/sysopt.toml:2:24: key 'logs.max_files_per_logger': ",
        ),
        (
            "[cache]\n\n  max_size = -1\n",
            "sysopt: DIR/sysopt.toml:3:14: key 'cache.max_size': a size cannot be negative\n\
             \x20     max_size = -1\n                 ^^\nhelp: ",
        ),
        (
            "[cache]\nmax_size = '99999999999TiB'\n",
            "sysopt: DIR/sysopt.toml:2:12: key 'cache.max_size': ",
        ),
        (
            "[cache]\nmax_age = '-3d'\n",
            "sysopt: DIR/sysopt.toml:2:11: key 'cache.max_age': ",
        ),
        (
            "[cache]\nmax_age = '99999999999999999999w'\n",
            "sysopt: DIR/sysopt.toml:2:11: key 'cache.max_age': ",
        ),
        (
            "[intervals]\noptimization = '3 months'\n",
            "sysopt: DIR/sysopt.toml:2:16: key 'intervals.optimization': ",
        ),
        (
            "[intervals]\noptimization_minutes = -30\n",
            "sysopt: DIR/sysopt.toml:2:24: key 'intervals.optimization_minutes': ",
        ),
        (
            "[cache]\nmax_size_mb = 99999999999999999\n",
            "sysopt: DIR/sysopt.toml:2:15: key 'cache.max_size_mb': ",
        ),
        (
            "[cache]\ncleanup_threshold = 1.5\n",
            "sysopt: DIR/sysopt.toml:2:21: key 'cache.cleanup_threshold': ",
        ),
        (
            "[cache]\nmax_size = '1GiB'\nmax_size_mb = 5\n",
            "sysopt: DIR/sysopt.toml:3:1: key 'cache.max_size_mb': ",
        ),
        (
            "[cache]\nmax_size = '1GiB\n",
            "sysopt: DIR/sysopt.toml:2:17: ",
        ),
        ("cache = 3\n", "sysopt: DIR/sysopt.toml:1:1: key 'cache': "),
        (
            "[logs]\npatterns = ['[']\n",
            "sysopt: DIR/sysopt.toml:2:13: key 'logs.patterns': ",
        ),
    ] {
        let tree = tree();
        tree.config(text);
        let said = refused(&tree, &["cycle"]);
        assert!(said.starts_with(expected), "{text}\n{said}\n{expected}");
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[2].trim_start().starts_with('^'), "no caret: {said}");
        let source = lines[1].trim_start();
        assert!(text.contains(source), "{source} is not of {text}");
        // The caret stands under the column that the first line names.
        let column: usize = lines[0].split(':').nth(3).unwrap().parse().unwrap();
        let carets = lines[2].find('^').unwrap();
        assert_eq!(carets, 4 + column - 1, "{said}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let tree = tree();
    tree.config("[cache]\nmax_sise = 1\nmax_age = 'x'\n[modles]\n");
    let said = refused(&tree, &["cycle"]);
    for place in ["toml:2:1: ", "toml:3:11: ", "toml:4:2: "] {
        assert!(said.contains(place), "{said}");
    }
    let (_, report) = tree.json(&["cycle"]);
    assert_eq!(report["errors"].as_array().unwrap().len(), 3);
}

#[test]
fn json_has_places_too() {
    for (text, expected) in [
        (
            "{\n  \"cache\": { \"max_sise\": 1 }\n}\n",
            "sysopt: DIR/bot.json:2:14: key 'cache.max_sise': unknown key\n",
        ),
        (
            "{ \"cache\": { \"max_size_mb\": -5 } }",
            "sysopt: DIR/bot.json:1:29: key 'cache.max_size_mb': ",
        ),
        ("{ \"cache\": ", "sysopt: DIR/bot.json:1:"),
        ("[]", "sysopt: DIR/bot.json:1:1: "),
        ("null", "sysopt: DIR/bot.json:1:1: "),
    ] {
        let tree = tree();
        tree.write("bot.json", text);
        let said = refused(&tree, &["-c", "bot.json", "cycle"]);
        assert!(said.starts_with(expected), "{text}\n{said}");
        assert!(said.contains('^'), "{said}");
    }
}

#[test]
fn what_is_no_text_file_is_refused() {
    let tree = tree();
    let at = tree.path("sysopt.toml");
    fs::write(&at, b"[cache]\nexclude = ['caf\xe9']\n").unwrap();
    let said = refused(&tree, &["cycle"]);
    assert!(
        said.starts_with("sysopt: DIR/sysopt.toml:2:16: this is not UTF-8\n"),
        "{said}"
    );
    fs::write(&at, b"\xff\xfe[\0c\0").unwrap();
    let said = refused(&tree, &["cycle"]);
    assert!(said.contains("UTF-16"), "{said}");
    fs::remove_file(&at).unwrap();
    fs::create_dir(&at).unwrap();
    let said = refused(&tree, &["cycle"]);
    assert!(
        said.starts_with("sysopt: DIR/sysopt.toml: this is a directory\n"),
        "{said}"
    );
    fs::remove_dir(&at).unwrap();
    let made = Command::new("mkfifo").arg(&at).status().unwrap();
    assert!(made.success());
    let said = refused(&tree, &["cycle"]);
    assert_eq!(
        said,
        "sysopt: DIR/sysopt.toml: this is not a regular file\n"
    );
    fs::remove_file(&at).unwrap();
    symlink("gone.toml", &at).unwrap();
    let said = refused(&tree, &["cycle"]);
    assert!(said.contains("No such file or directory"), "{said}");
    for args in [&["-c", "none.toml", "cycle"][..], &["-c", "", "cycle"]] {
        refused(&tree, args);
    }
}

/// A file that a full disk or a crash left empty must not mean "the defaults": those would clean.
#[test]
fn an_empty_file_is_refused() {
    for text in ["", "\n", "  \n\n", "\u{feff}"] {
        let tree = tree();
        tree.config(text);
        let said = refused(&tree, &["cycle"]);
        assert!(
            said.starts_with("sysopt: DIR/sysopt.toml: this file is empty\nhelp: "),
            "{text:?}: {said}"
        );
    }
    let tree = tree();
    tree.write("bot.json", "");
    let said = refused(&tree, &["-c", "bot.json", "cycle"]);
    assert!(said.contains("bot.json: this file is empty"), "{said}");
    tree.config("# all defaults\n");
    assert_eq!(tree.run(&["cycle"]).code, Some(0), "a comment is a choice");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_file_that_others_can_write_is_not_trusted() {
    if !require::root() {
        return;
    }
    let tree = tree();
    let config = tree.config("[cache]\nmax_size = '1B'\n");
    for mode in [0o666, 0o622, 0o664] {
        set_mode(&config, mode);
        let said = refused(&tree, &["cycle"]);
        assert!(said.contains("not trusted: others can write"), "{said}");
        assert!(said.contains(&format!("(mode {mode:04o})")), "{said}");
        assert!(said.contains("help: chmod go-w "), "{said}");
    }
    set_mode(&config, 0o644);
    std::os::unix::fs::chown(&config, Some(65_534), None).unwrap();
    let said = refused(&tree, &["cycle"]);
    assert!(said.contains("belongs to user 65534"), "{said}");
    std::os::unix::fs::chown(&config, Some(0), None).unwrap();
    set_mode(&tree.base(), 0o777);
    let said = refused(&tree, &["cycle"]);
    assert!(
        said.contains("others can write 'DIR' (mode 0777)"),
        "{said}"
    );
    set_mode(&tree.base(), 0o755);
    assert_eq!(tree.run(&["cycle"]).code, Some(0));
    assert!(!tree.path("cache/a.bin").exists());
}

/// A configuration of the replaced system, in its own spelling.
const OLD_TOML: &str = "\
[intervals]
optimization_minutes = 30
cache_cleanup_hours = 6
log_rotation_hours = 24
model_archive_days = 7

[cache]
cache_directories = ['tmp-cache']
max_size_mb = 1
cleanup_threshold = 0.5
preserve_recent_hours = 1

[logs]
log_directories = ['out']
max_file_size_mb = 1
max_files_per_logger = 5
compress_old_logs = true

[models]
model_directories = ['nets']
archive_after_days = 3
max_archived_models = 10
safe_archiving = true

[error_handling]
max_consecutive_failures = 3
max_interval_hours = 4
";

const OLD_JSON: &str = r#"{
  "intervals": { "optimization_minutes": 30, "cache_cleanup_hours": 6,
                 "log_rotation_hours": 24, "model_archive_days": 7 },
  "cache": { "cache_directories": ["tmp-cache"], "max_size_mb": 1, "cleanup_threshold": 0.5,
             "preserve_recent_hours": 1 },
  "logs": { "log_directories": ["out"], "max_file_size_mb": 1, "max_files_per_logger": 5,
            "compress_old_logs": true },
  "models": { "model_directories": ["nets"], "archive_after_days": 3, "max_archived_models": 10,
              "safe_archiving": true },
  "error_handling": { "max_consecutive_failures": 3, "max_interval_hours": 4 }
}
"#;

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_replaced_systems_files_mean_what_they_meant() {
    let mut meant = Vec::new();
    for (name, text) in [("old.toml", OLD_TOML), ("old.json", OLD_JSON)] {
        let tree = Tree::new();
        tree.write(name, text);
        let (ran, config) = tree.json(&["-c", name, "config"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let values = &config["values"];
        assert_eq!(values["cache"]["max_size"]["bytes"], 1 << 20);
        assert_eq!(values["intervals"]["optimization"]["seconds"], 1800.0);
        assert_eq!(values["models"]["archive_after"]["seconds"], 259_200.0);
        assert_eq!(values["logs"]["compress_old_logs"]["value"], "gzip");
        meant.push(without_sources(values.clone()));
        tree.aged("nets/old.pkl", b"weights", 4 * DAY);
        tree.aged("nets/new.pkl", b"weights", 2 * DAY);
        tree.aged("out/app.log", vec![b'l'; 2 << 20], DAY);
        tree.aged("tmp-cache/a.bin", vec![1; 400 << 10], 9 * DAY);
        tree.aged("tmp-cache/b.bin", vec![1; 400 << 10], 8 * DAY);
        tree.aged("cache/a.bin", vec![1; 3 << 20], 9 * DAY);
        let (ran, report) = tree.json(&["-c", name, "cycle"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let act = |verb: &str, path: &str| [(verb.into(), path.into(), "done".into())];
        assert_eq!(
            actions(&report, "cache_cleanup"),
            act("evict", "tmp-cache/a.bin"),
            "800 KiB is over half a MiB, 400 KiB is not"
        );
        assert_eq!(
            actions(&report, "log_rotation"),
            act("rotate", "out/app.log")
        );
        assert_eq!(
            actions(&report, "model_archiving"),
            act("archive", "nets/old.pkl")
        );
    }
    assert_eq!(meant[0]["cache"], meant[1]["cache"]);
    assert_eq!(meant[0], meant[1], "both languages mean the same");
}

/// The values alone: where they came from, and the base, may differ.
fn without_sources(mut values: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("source");
                map.values_mut().for_each(strip);
            }
            Value::Array(list) => list.iter_mut().for_each(strip),
            _ => {}
        }
    }
    values.as_object_mut().unwrap().remove("root");
    strip(&mut values);
    values
}

/// Which file is in force, seen through a value that differs in each.
fn in_force(mut command: Command) -> i64 {
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.report()["values"]["history"]["keep"]["value"]
        .as_i64()
        .unwrap()
}

#[test]
fn the_first_file_in_the_order_of_the_contract_is_taken() {
    let tree = Tree::new();
    let file = |number: u32| format!("root = '/srv/bot'\n[history]\nkeep = {number}\n");
    for (name, number) in [
        ("option.toml", 1),
        ("environment.toml", 2),
        ("sub/sysopt.toml", 3),
        ("sysopt.toml", 4),
        ("xdg/sysopt/sysopt.toml", 5),
        ("../home/.config/sysopt/sysopt.toml", 6),
    ] {
        tree.write(name, file(number));
    }
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut all = vec!["--format", "json", "config"];
        all.extend(args);
        let mut command = tree.command(&all);
        for (name, value) in variables {
            command.env(name, tree.path(value));
        }
        in_force(command)
    };
    let environment = ("SYSOPT_CONFIG", "environment.toml");
    let xdg = ("XDG_CONFIG_HOME", "xdg");
    assert_eq!(
        run(&["-c", "option.toml", "-C", "sub"], &[environment, xdg]),
        1
    );
    assert_eq!(run(&["-C", "sub"], &[environment, xdg]), 2);
    assert_eq!(run(&["-C", "sub"], &[xdg]), 3);
    assert_eq!(run(&[], &[xdg]), 4);
    fs::remove_file(tree.path("sysopt.toml")).unwrap();
    assert_eq!(run(&[], &[xdg]), 5);
    assert_eq!(run(&[], &[]), 6);
    // An empty variable is none, and -C looks there alone.
    assert_eq!(run(&[], &[xdg, ("NO", "x")]), 5);
    let mut command = tree.command(&["--format", "json", "config"]);
    command
        .env("SYSOPT_CONFIG", "")
        .env("XDG_CONFIG_HOME", "relative");
    assert_eq!(in_force(command), 6);
    let mut command = tree.command(&["cycle"]);
    command.env("SYSOPT_CONFIG", tree.path("gone.toml"));
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("named by SYSOPT_CONFIG"), "{ran:?}");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_users_file_without_a_base_names_absolute_directories() {
    let tree = tree();
    tree.write(
        "../home/.config/sysopt/sysopt.toml",
        "[history]\nkeep = 3\n",
    );
    let before = tree.snapshot();
    // It says nothing about where to work, and the defaults are relative to nothing.
    let ran = tree.run(&["cycle"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("sysopt -C . cycle"), "{ran:?}");
    assert_eq!(tree.snapshot(), before);
    tree.write(
        "../home/.config/sysopt/sysopt.toml",
        "[cache]\ndirectories = ['cache']\n",
    );
    let ran = tree.run(&["cycle"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains(":2:15: "), "{ran:?}");
    assert!(ran.stderr.contains("absolute"), "{ran:?}");
    let cache = tree.path("cache");
    tree.write(
        "../home/.config/sysopt/sysopt.toml",
        format!(
            "[cache]\ndirectories = ['{}']\nmax_size = '1B'\n",
            cache.display()
        ),
    );
    let ran = tree.run(&["clean-cache"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!tree.path("cache/a.bin").exists());
}

#[test]
fn what_config_prints_loads_back_as_the_same() {
    for text in [
        "# nothing\n",
        OLD_TOML,
        "[logs]\npost_rotate = ['a b', \"q\\\"\\u0007\", '']\nsignal = { name = 'HUP', pid_file = 'x' }\n\
         [[logs.rule]]\npatterns = ['*.access']\nmax_file_size = '1GiB'\n\
         [models]\npin = ['*[12]*']\n[cache]\nmin_free = '5%'\nmax_age = '1w'\n",
    ] {
        let tree = Tree::new();
        tree.config(text);
        let shown = tree.run(&["config"]);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        let back = tree.outside().join("back.toml");
        fs::write(&back, &shown.stdout).unwrap();
        let back = back.to_str().unwrap();
        let (_, first) = tree.json(&["config"]);
        let (ran, second) = tree.json(&["-c", back, "config"]);
        assert_eq!(ran.code, Some(0), "{ran:?}\n{}", shown.stdout);
        assert_eq!(
            without_sources(first["values"].clone()),
            without_sources(second["values"].clone())
        );
        assert_eq!(first["base"], second["base"]);
        assert_eq!(first["state_directory"], second["state_directory"]);
        assert_eq!(tree.run(&["config", "--check", back]).code, Some(0));
    }
}

#[test]
fn config_says_where_each_value_comes_from() {
    let tree = Tree::new();
    let file = tree.config("[cache]\nmax_size = '2GiB'\n");
    let (_, config) = tree.json(&["config"]);
    let source = |key: &str| config["values"]["cache"][key]["source"].clone();
    assert_eq!(source("max_size"), format!("{}:2", file.display()));
    assert_eq!(source("preserve_recent"), "default");
    assert_eq!(config["schema"], "sysopt.config/1");
    let text = tree.run(&["config"]).stdout;
    let line = |key: &str| {
        let of = |line: &&str| line.starts_with(key);
        text.lines().find(of).unwrap_or_default().to_owned()
    };
    assert!(
        line("max_size = \"2GiB\"").ends_with("sysopt.toml:2"),
        "{text}"
    );
    assert!(
        line("preserve_recent = \"2h\"").ends_with("# default"),
        "{text}"
    );
}

#[test]
fn init_writes_a_file_that_loads_and_never_over_one() {
    let tree = tree();
    let ran = tree.run(&["config", "--init"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let written = fs::read_to_string(tree.path("sysopt.toml")).unwrap();
    assert!(written.lines().filter(|line| line.contains('#')).count() > 50);
    let (_, with) = tree.json(&["config"]);
    fs::rename(tree.path("sysopt.toml"), tree.path("aside.toml")).unwrap();
    let (_, without) = tree.json(&["config"]);
    assert_eq!(
        without_sources(with["values"].clone()),
        without_sources(without["values"].clone()),
        "it means the same as no file"
    );
    let target = tree.path("sysopt.toml");
    for occupy in [
        (|path| fs::write(path, "mine").unwrap()) as fn(&Path),
        |path| symlink("nowhere", path).unwrap(),
        |path| fs::create_dir(path).unwrap(),
    ] {
        occupy(&target);
        let before = tree.snapshot();
        let ran = tree.run(&["config", "--init"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("exists"), "{ran:?}");
        assert_eq!(tree.snapshot(), before);
        assert!(!tree.path("nowhere").exists());
        let _ = fs::remove_file(&target).or_else(|_| fs::remove_dir(&target));
    }
    let ran = tree.run(&["-n", "config", "--init"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!target.exists());
    let ran = tree.run(&["-c", "other.toml", "config", "--init"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        fs::read_to_string(tree.path("other.toml")).unwrap(),
        written
    );
    assert_eq!(tree.run(&["-c", "other.toml", "cycle"]).code, Some(0));
}

#[test]
fn check_says_what_is_wrong_with_any_file() {
    let tree = tree();
    tree.config("[cache]\nmax_sise = 1\n");
    tree.write("good.toml", "[cache]\nmax_size = '1GiB'\n");
    // The file in force is wrong; the one that is checked is not.
    let ran = tree.run(&["config", "--check", "good.toml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, "good.toml: ok\n");
    let said = refused(&tree, &["config", "--check", "sysopt.toml"]);
    assert!(said.starts_with("sysopt: DIR/sysopt.toml:2:1: "), "{said}");
    refused(&tree, &["config", "--check", "none.toml"]);
    refused(&tree, &["config", "--check", "cache"]);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn configured_directories_that_cannot_be_worked_in_are_reported() {
    if !require::root() {
        return;
    }
    let tree = tree();
    tree.config(
        "[cache]\ndirectories = ['missing', 'closed', 'file', 'link', 'dangling', 'cache']\n\
         max_size = '1B'\n",
    );
    tree.aged("closed/x.bin", vec![1; 9_000], 3 * DAY);
    tree.write("file", b"mine");
    let store = tree.outside().join("store");
    fs::create_dir(&store).unwrap();
    fs::write(store.join("y.bin"), vec![1; 9_000]).unwrap();
    set_age(&store.join("y.bin"), 3 * DAY);
    symlink(&store, tree.path("link")).unwrap();
    symlink("gone", tree.path("dangling")).unwrap();
    set_mode(&tree.path("closed"), 0o700);
    for path in ["cache", "cache/a.bin", "../store", "../store/y.bin"] {
        std::os::unix::fs::chown(tree.path(path), Some(65_534), Some(65_534)).unwrap();
    }
    for (dry_run, status) in [(true, "planned"), (false, "done")] {
        let mut args = vec!["--format", "json", "clean-cache"];
        args.extend(dry_run.then_some("-n"));
        let ran = Ran::from(tree.command_as(65_534, &args).output().unwrap());
        // What could not be read is a failure, in a dry run too.
        assert_eq!(ran.code, Some(3), "{ran:?}");
        let report = ran.report();
        let errors = report.to_string();
        assert!(errors.contains("\"closed\""), "{report:#}");
        assert!(
            ran.stderr.contains("'closed': Permission denied"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("'file': Not a directory"), "{ran:?}");
        let missing = "'missing': No such file or directory";
        assert!(ran.stderr.contains(missing), "{ran:?}");
        let done = |path: &str| ("evict".into(), path.into(), status.into());
        let mut all = actions(&report, "cache_cleanup");
        all.sort();
        assert_eq!(all, [done("cache/a.bin"), done("link/y.bin")]);
    }
    assert_eq!(fs::read(tree.path("file")).unwrap(), b"mine");
    assert!(tree.path("closed/x.bin").exists());
    assert!(!store.join("y.bin").exists(), "the link is followed once");
    assert!(tree.path("link").is_symlink());
}

/// What a run would refuse is refused before cron finds out.
#[test]
fn a_check_knows_where_nothing_may_be_cleaned() {
    let tree = Tree::new();
    let home = tree.home();
    let home = home.to_str().unwrap();
    let above = tree.outside().to_str().unwrap().to_owned();
    for (text, place, why) in [
        (
            "[cache]\ndirectories = ['/']",
            "/",
            "is the root of all files",
        ),
        (
            "[logs]\ndirectories = ['/proc/sys']",
            "/proc/sys",
            "is below /proc",
        ),
        (
            &format!("[garbage]\ndirectories = ['{home}']"),
            home,
            "is a home directory",
        ),
        (
            &format!("[[logs.rule]]\ndirectories = ['{above}']"),
            &above,
            "holds the home directory",
        ),
        (
            "[models]\ndirectories = ['.']",
            ".",
            "holds the configuration",
        ),
        (
            "[models]\narchive_directory = '/dev/x'",
            "/dev/x",
            "is below /dev",
        ),
        ("state_directory = '/sys/x'", "/sys/x", "is below /sys"),
    ] {
        tree.config(text);
        let ran = tree.run(&["config", "--check", "sysopt.toml"]);
        assert_eq!(ran.code, Some(2), "{text}: {ran:?}");
        assert!(
            ran.stderr.contains(&format!("'{place}'")),
            "{text}: {ran:?}"
        );
        assert!(ran.stderr.contains(why), "{text}: {ran:?}");
        let run = tree.run(&["cycle"]);
        assert_eq!((run.code, run.stderr), (Some(2), ran.stderr), "{text}");
    }
    tree.config("[cache]\ndirectories = ['gone', '/srv/gone']");
    assert_eq!(
        tree.run(&["config", "--check", "sysopt.toml"]).code,
        Some(0)
    );
}
