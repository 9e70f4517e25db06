//! The dry run is the run: it shows the plan that the run applies, and changes nothing.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::fixture::{DAY, HOUR, Ran, Tree};
use crate::require;

/// A tree in which every operation has something to do, with names that hurt.
pub fn busy() -> Tree {
    let tree = Tree::new();
    tree.config(
        "[cache]\nmax_size = '64KiB'\n\
         [logs]\nmax_file_size = '8KiB'\nmax_files_per_logger = 2\n\
         [models]\nmax_archived_models = 2\n\
         [garbage]\ndirectories = ['temp']\n",
    );
    for name in ["a b", "new\nline", "[12]", "-rf", "\u{1b}[31mred"] {
        tree.aged(format!("cache/deep/{name}/x.bin"), vec![1; 40_000], 3 * DAY);
        tree.aged(format!("logs/{name}.log"), vec![b'l'; 9_000], HOUR);
        tree.aged(format!("models/{name}.pkl"), name.as_bytes(), 10 * DAY);
    }
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9");
    for (directory, suffix) in [("cache", "bin"), ("logs", "log"), ("models", "pkl")] {
        let path = Path::new(directory).join(odd).with_extension(suffix);
        tree.aged(path, vec![b'x'; 9_000], 20 * DAY);
    }
    for day in 1..5 {
        let name = format!("logs/svc.log-2026010{day}T000000Z.gz");
        tree.aged(name, b"old", 30 * DAY);
    }
    tree.aged("temp/half.part", b"junk", 3 * DAY);
    tree.aged("models/keep.pkl", b"linked", 10 * DAY);
    symlink("keep.pkl", tree.path("models/latest.pkl")).unwrap();
    tree
}

/// The actions of a report, without what may differ: the status, and the time in a name.
fn actions(report: &Value) -> Vec<String> {
    let mut list = Vec::new();
    for operation in report["operations"].as_array().unwrap() {
        for action in operation["actions"].as_array().unwrap() {
            let mut action = action.clone();
            let fields = action.as_object_mut().unwrap();
            fields.remove("status");
            fields.remove("note");
            // `to` says the same, and in this the time cannot be told from the rest.
            fields.remove("to_base64");
            list.push(format!(
                "{} {}",
                operation["operation"],
                without_stamp(&action.to_string())
            ));
        }
    }
    list
}

/// `20261123T210000Z` of this year as one word.
fn without_stamp(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut at = 0;
    while at < text.len() {
        let stamp = bytes.get(at..at + 16).is_some_and(|word| {
            word[8] == b'T'
                && word[15] == b'Z'
                && word[..8].iter().chain(&word[9..15]).all(u8::is_ascii_digit)
                && !word.starts_with(b"202601")
        });
        if stamp {
            out.push_str("STAMP");
            at += 16;
        } else {
            let character = text[at..].chars().next().unwrap();
            out.push(character);
            at += character.len_utf8();
        }
    }
    out
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_actions_shown_are_the_actions_done() {
    let tree = busy();
    let before = tree.snapshot();
    let (shown, plan) = tree.json(&["-n", "cycle"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert_eq!(tree.snapshot(), before, "a dry run changes nothing");
    let (ran, report) = tree.json(&["cycle"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (planned, done) = (actions(&plan), actions(&report));
    assert!(planned.len() > 15, "{planned:#?}");
    assert_eq!(planned, done);
    assert_ne!(tree.snapshot(), before);
}

#[test]
fn each_command_changes_nothing_in_a_dry_run() {
    let tree = busy();
    let before = tree.snapshot();
    for command in [
        &[
            "-n",
            "clean-cache",
            "--max-size",
            "0",
            "--preserve-recent",
            "0s",
        ][..],
        &["-n", "rotate-logs", "--force"],
        &["archive-models", "--older-than", "0s", "-n"],
        &["cycle", "--force", "-n", "-v"],
        &["status"],
        &["config"],
        &["restore-models", "--list"],
        &["restore-models", "--verify"],
    ] {
        let ran = tree.run(command);
        assert_eq!(ran.code, Some(0), "{command:?} {ran:?}");
        assert_eq!(tree.snapshot(), before, "{command:?}");
    }
}

#[test]
fn a_dry_run_makes_no_call_that_changes_anything() {
    if !require::tool("strace") {
        return;
    }
    let tree = busy();
    let log = tree.outside().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-o"]).arg(&log);
    command.arg(env!("CARGO_BIN_EXE_sysopt"));
    tree.prepare(&mut command, &["--dry-run", "cycle"]);
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let trace = fs::read(&log).unwrap();
    let trace = String::from_utf8_lossy(&trace);
    assert!(trace.contains("getdents64"), "the trace is of a scan");
    let changing: Vec<&str> = trace.lines().filter(|line| changes(line)).collect();
    assert!(changing.is_empty(), "{changing:#?}");
}

/// Whether a line of strace is a call that could change a file, a directory or a lock.
fn changes(line: &str) -> bool {
    const CALLS: [&str; 27] = [
        "unlink",
        "rename",
        "link",
        "symlink",
        "mkdir",
        "rmdir",
        "truncate",
        "ftruncate",
        "fallocate",
        "chmod",
        "fchmod",
        "chown",
        "fchown",
        "lchown",
        "utime",
        "setxattr",
        "fsetxattr",
        "lsetxattr",
        "removexattr",
        "mknod",
        "creat",
        "flock",
        "fsync",
        "fdatasync",
        "sync_file_range",
        "copy_file_range",
        "sendfile",
    ];
    let call = line.split_whitespace().nth(1).unwrap_or_default();
    let name = call.split('(').next().unwrap_or_default();
    let plain = name
        .trim_end_matches("at2")
        .trim_end_matches("at")
        .trim_end_matches('s');
    let opens_to_write = name.starts_with("open")
        && ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
            .iter()
            .any(|flag| line.contains(flag))
        && !line.contains("\"/dev/");
    let writes =
        name.starts_with("write") && !line.contains("write(1<") && !line.contains("write(2<");
    CALLS.contains(&name) || CALLS.contains(&plain) || opens_to_write || writes
}

#[test]
fn the_last_line_says_that_nothing_was_changed() {
    let tree = busy();
    for command in ["cycle", "clean-cache", "rotate-logs", "archive-models"] {
        let ran = tree.run(&[command, "--dry-run"]);
        let last = ran.stdout.lines().last();
        assert_eq!(last, Some("nothing was changed (--dry-run)"), "{ran:?}");
    }
}
