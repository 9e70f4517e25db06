//! A stray directory is never cleaned, and some directories are never worked in at all.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::fixture::{DAY, Ran, Tree, actions, operation, set_mode};
use crate::require;

/// A tree with something to do for each operation, and nothing that says that it may be done.
fn unnamed() -> Tree {
    let tree = Tree::new();
    tree.aged("models/old.pkl", b"weights", 10 * DAY);
    tree.aged("logs/app.log", vec![b'l'; 9_000], DAY);
    tree.aged("cache/a.bin", vec![1; 9_000], 3 * DAY);
    tree
}

/// A configuration that changes nothing.
const DEFAULTS: &str = "# all defaults\n";

/// Options with which a guard that failed would still have nothing to do, whatever it was let into.
const CLEAN: &[&str] = &["clean-cache", "--max-size", "1000TiB"];
const ROTATE: &[&str] = &["rotate-logs", "--max-size", "1000TiB", "--keep", "100000"];
const ARCHIVE: &[&str] = &[
    "archive-models",
    "--older-than",
    "5000w",
    "--max-archived",
    "0",
];

fn with_dir<'a>(command: &'a [&'a str], dir: &'a Path) -> Vec<&'a std::ffi::OsStr> {
    let mut all: Vec<&std::ffi::OsStr> = command.iter().map(AsRef::as_ref).collect();
    all.push(dir.as_os_str());
    all
}

/// Code 2, nothing on stdout, and one line on stderr with the words.
fn assert_refused(ran: &Ran, words: &str) {
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
    assert!(ran.stderr.starts_with("sysopt: "), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert!(ran.stderr.contains(words), "{words}: {ran:?}");
}

#[test]
fn no_command_works_in_a_directory_that_nobody_named() {
    let tree = unnamed();
    let before = tree.snapshot();
    for command in [
        &["cycle"][..],
        &["cycle", "--force"],
        &["archive-models"],
        &["rotate-logs", "--force"],
        &["clean-cache", "--max-size", "0"],
        &["restore-models", "old.pkl"],
    ] {
        let ran = tree.run(command);
        let typed = command.join(" ");
        assert_refused(&ran, &format!("`sysopt -C . {typed}`"));
        let preview = format!("`sysopt -C . {typed} --dry-run`");
        assert!(ran.stderr.contains(&preview), "{ran:?}");
        let (ran, report) = tree.json(command);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_eq!(report["outcome"], "failure");
        assert_eq!(report["operations"], serde_json::json!([]));
        assert_eq!(tree.snapshot(), before, "{command:?}");
    }
}

#[test]
fn looking_needs_no_name_and_leaves_no_trace() {
    let tree = unnamed();
    let before = tree.snapshot();
    for command in [
        &["-n", "cycle"][..],
        &["-n", "clean-cache", "--max-size", "0"],
        &["-n", "rotate-logs", "--force"],
        &["-n", "archive-models"],
        &["restore-models", "--list"],
        &["status"],
        &["config"],
    ] {
        let ran = tree.run(command);
        assert_eq!(ran.code, Some(0), "{command:?} {ran:?}");
        assert_ne!(ran.stdout, "", "{command:?}");
        assert_eq!(tree.snapshot(), before, "{command:?}");
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_line_that_the_refusal_names_is_the_one_that_works() {
    for (command, gone) in [
        ("cycle", "models/old.pkl"),
        ("archive-models", "models/old.pkl"),
    ] {
        let tree = unnamed();
        let preview = tree.run(&["-C", ".", command, "--dry-run"]);
        assert_eq!(preview.code, Some(0), "{preview:?}");
        assert!(tree.path(gone).exists(), "{command}");
        let ran = tree.run(&["-C", ".", command]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!tree.path(gone).exists(), "{command}");
    }
}

/// Directories that are never worked in, and why.
fn forbidden(tree: &Tree) -> Vec<(PathBuf, &'static str)> {
    let home = tree.home();
    fs::create_dir_all(tree.outside().join("xdg-cache")).unwrap();
    symlink("/", tree.outside().join("to-root")).unwrap();
    vec![
        ("/".into(), "is the root of all files"),
        ("//".into(), "is the root of all files"),
        ("/tmp/../".into(), "is the root of all files"),
        (tree.outside().join("to-root"), "is the root of all files"),
        (home.join("../home/."), "is a home directory"),
        (home, "is a home directory"),
        ("/root".into(), "is a home directory"),
        (tree.outside().join("xdg-cache"), "is the cache directory"),
        ("/proc".into(), "is below /proc"),
        ("/proc/self/fd".into(), "is below /proc"),
        ("/sys/kernel".into(), "is below /sys"),
        ("/dev/shm".into(), "is below /dev"),
        (tree.base(), "holds the configuration"),
        (".".into(), "holds the configuration"),
        ("cache/..".into(), "holds the configuration"),
        (tree.outside().to_path_buf(), "holds the home directory"),
        (tree.path(".sysopt"), "is where sysopt keeps its state"),
    ]
}

#[test]
fn a_forbidden_directory_that_is_typed_is_refused() {
    let tree = unnamed();
    tree.config(DEFAULTS);
    tree.write(".sysopt/mine.bin", b"state");
    let forbidden = forbidden(&tree);
    let before = crate::fixture::snapshot(tree.outside());
    let preview = [&["-n"], CLEAN].concat();
    for command in [CLEAN, ROTATE, ARCHIVE, &preview] {
        for (path, why) in &forbidden {
            let mut run = tree.command(&with_dir(command, path));
            run.env("XDG_CACHE_HOME", tree.outside().join("xdg-cache"));
            assert_refused(&Ran::from(run.output().unwrap()), why);
        }
    }
    assert_eq!(crate::fixture::snapshot(tree.outside()), before);
}

#[test]
fn a_forbidden_directory_of_the_configuration_is_refused() {
    for section in ["cache", "logs", "models"] {
        let tree = unnamed();
        for (path, why) in [
            ("/", "is the root of all files"),
            (".", "holds the configuration"),
            ("..", "holds "),
            ("/proc/sys", "is below /proc"),
        ] {
            tree.config(
                "[cache]\nmax_size = '1000TiB'\n[logs]\nmax_file_size = '1000TiB'\n\
                 [models]\narchive_after = '5000w'\n",
            );
            let text = fs::read_to_string(tree.path("sysopt.toml")).unwrap();
            let head = format!("[{section}]\n");
            let named = format!("{head}directories = ['{path}']\n");
            tree.config(&text.replace(&head, &named));
            let before = tree.snapshot();
            for command in [&["cycle"][..], &["-n", "cycle"]] {
                assert_refused(&tree.run(command), why);
            }
            assert_eq!(tree.snapshot(), before, "{section} {path}");
        }
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_forbidden_default_is_left_alone_with_a_note() {
    let tree = Tree::new();
    // The base is the home: its `.cache` is a default, and that of all programs.
    let cached = tree.aged("../home/.cache/pip/wheel.bin", vec![1; 9_000], 30 * DAY);
    let ours = tree.aged("../home/cache/a.bin", vec![1; 9_000], 30 * DAY);
    let home = tree.home();
    fs::write(home.join("sysopt.toml"), "[cache]\nmax_size = '1B'\n").unwrap();
    let home = home.to_str().unwrap();
    let (ran, report) = tree.json(&["-C", home, "clean-cache", "--max-size", "0"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("'.cache' is left alone: it is the cache directory"),
        "{warnings}"
    );
    assert!(cached.exists(), "what all programs cache is not ours");
    assert!(!ours.exists(), "the other default is cleaned");
    assert_eq!(actions(&report, "cache_cleanup").len(), 1);
}

#[test]
fn the_base_itself_is_not_restricted() {
    let tree = unnamed();
    for base in ["/", tree.home().to_str().unwrap()] {
        let ran = tree.run(&["-C", base, "-n", "archive-models"]);
        assert_eq!(ran.code, Some(0), "{base}: {ran:?}");
    }
}

#[test]
fn a_typed_directory_must_be_one() {
    let tree = unnamed();
    tree.config(DEFAULTS);
    tree.write("file", b"x");
    symlink("gone", tree.path("dangling")).unwrap();
    symlink("loop", tree.path("loop")).unwrap();
    symlink("file", tree.path("to-file")).unwrap();
    let before = tree.snapshot();
    for command in [
        &["clean-cache", "--max-size", "0"][..],
        &["rotate-logs", "--force"],
        &["archive-models", "--older-than", "0s"],
    ] {
        for (path, why) in [
            ("missing", "'missing': does not exist"),
            ("dangling", "'dangling': does not exist"),
            ("file", "'file': cannot be opened: Not a directory"),
            ("to-file", "'to-file': cannot be opened: Not a directory"),
            ("file/below", "'file/below': "),
            ("loop", "'loop': cannot be opened: Too many levels"),
        ] {
            assert_refused(&tree.run(&with_dir(command, path.as_ref())), why);
        }
        // One that is wrong keeps the others from being touched too.
        let mut both = with_dir(command, "missing".as_ref());
        both.extend(["cache", "logs"].map(std::ffi::OsStr::new));
        let ran = tree.run(&both);
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_typed_directory_that_cannot_be_read_is_refused() {
    if !require::root() {
        return;
    }
    let tree = unnamed();
    tree.config(DEFAULTS);
    set_mode(&tree.path("cache"), 0o700);
    let mut command = tree.command_as(65_534, &["clean-cache", "--max-size", "0", "cache"]);
    let ran = Ran::from(command.output().unwrap());
    assert_refused(&ran, "'cache': cannot be opened: Permission denied");
    assert!(tree.path("cache/a.bin").exists());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_typed_directory_may_be_a_symlink() {
    let tree = unnamed();
    tree.config(DEFAULTS);
    let store = tree.outside().join("store");
    fs::create_dir(&store).unwrap();
    symlink(&store, tree.path("linked")).unwrap();
    tree.aged("linked/a.bin", vec![1; 9_000], 3 * DAY);
    let (ran, report) = tree.json(&["clean-cache", "--max-size", "0", "linked"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let done = ("evict".into(), "linked/a.bin".into(), "done".into());
    assert_eq!(actions(&report, "cache_cleanup"), [done]);
    assert!(!store.join("a.bin").exists());
    assert!(tree.path("linked").is_symlink(), "the link itself stays");
    assert!(tree.path("cache/a.bin").exists(), "the others are not ours");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn an_archive_is_nobody_elses_directory() {
    let tree = unnamed();
    tree.config(DEFAULTS);
    let (ran, _) = tree.json(&["archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    tree.write("models/archived/deep/x", b"x");
    let before = tree.snapshot();
    for command in [
        &["clean-cache", "--max-size", "0", "--preserve-recent", "0s"][..],
        &["rotate-logs", "--force"],
        &["archive-models", "--older-than", "0s"],
    ] {
        for dir in ["models/archived", "models/archived/deep"] {
            let ran = tree.run(&with_dir(command, dir.as_ref()));
            assert_refused(&ran, "restore-models");
        }
    }
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_model_directory_is_never_cleaned_as_a_cache() {
    let tree = unnamed();
    tree.config(DEFAULTS);
    symlink("models", tree.path("alias")).unwrap();
    let before = tree.snapshot();
    for dir in ["models", "./models/", "alias"] {
        let ran = tree.run(&["clean-cache", "--max-size", "0", dir]);
        assert_refused(&ran, "is the model directory 'models' of the configuration");
    }
    assert_eq!(tree.snapshot(), before);
    // Configured as both, it is a model directory, and that is said.
    tree.config("[cache]\ndirectories = ['alias']\nmax_size = '1B'\npreserve_recent = '1s'\n");
    let before = tree.snapshot();
    let (ran, report) = tree.json(&["clean-cache"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("model directory 'models'"), "{warnings}");
    assert_eq!(actions(&report, "cache_cleanup"), []);
    assert_eq!(tree.files(), names_of(&before));
}

fn names_of(shot: &crate::fixture::Shot) -> Vec<String> {
    shot.iter()
        .filter(|(_, shot)| shot.0 & libc::S_IFMT != libc::S_IFDIR)
        .map(|(path, _)| path.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_missing_default_is_no_line_and_no_failure() {
    let tree = Tree::new();
    let (ran, report) = tree.json(&["-C", ".", "cycle"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(report["warnings"], serde_json::json!([]), "{report:#}");
    assert_eq!(operation(&report, "cache_cleanup")["success"], true);
    let text = tree.run(&["-C", ".", "clean-cache"]).stdout;
    assert!(!text.contains("data/cache"), "{text}");
}

#[test]
fn the_state_is_not_kept_among_the_files_of_others() {
    let tree = Tree::new();
    tree.aged("models/old.pkl", b"weights", 10 * DAY);
    tree.write("etc/passwd", b"theirs");
    for (state, why) in [
        ("etc", "it holds other files"),
        ("/proc/sys", "it is below /proc"),
        ("models", "it is one to work in"),
    ] {
        tree.config(&format!("state_directory = '{state}'\n"));
        let before = tree.snapshot();
        assert_refused(&tree.run(&["cycle"]), why);
        assert_eq!(tree.snapshot(), before, "{state}");
    }
    std::fs::create_dir(tree.path("empty")).unwrap();
    tree.config("state_directory = 'empty'\n");
    for _ in 0..2 {
        let ran = tree.run(&["cycle"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    assert!(tree.path("empty/state.json").exists());
}

#[test]
fn a_base_that_is_a_file_is_refused() {
    let tree = Tree::new();
    tree.write("file", b"mine");
    assert_refused(
        &tree.run(&["-C", "file", "cycle"]),
        "cannot be the base: Not a directory",
    );
}
