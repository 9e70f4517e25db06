//! One run at a time, and runs that are told to end, or killed, in the middle of their work.
//!
//! Nothing here sleeps until something has probably happened: a test waits for what it can see,
//! such as the temporary file of a compression that has begun.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::{DAY, Tree, finish, operation, statuses, within};

const LOGS: &str = "log_rotation";
/// In the order in which they are rotated.
const NAMES: [&str; 3] = ["logs/a.log", "logs/b.log", "logs/c.log"];
const ROTATE: [&str; 3] = ["--format", "json", "rotate-logs"];
/// A run that was told to end does so within two seconds; a busy machine may take longer.
const SOON: Duration = Duration::from_secs(10);
/// For what must come, however busy the machine is.
const LONG: Duration = Duration::from_mins(1);
/// A rotation that takes about half a second for each MiB.
const SLOW: &str = "[logs]\nmax_file_size = '1MiB'\n\
                    compress_old_logs = 'zstd'\ncompression_level = 19\n";
/// The same with little work.
const FAST: &str = "[logs]\nmax_file_size = '1MiB'\n\
                    compress_old_logs = 'zstd'\ncompression_level = 1\n";
/// What a user has who says nothing about compression.
const GZIP: &str = "[logs]\nmax_file_size = '1MiB'\n";
const MIB: u64 = 1 << 20;

// Trees

/// Lines of noise, which hardly get shorter by compression.
fn noise(bytes: u64) -> Vec<u8> {
    let mut noise = Vec::new();
    let source = File::open("/dev/urandom").unwrap();
    source.take(bytes).read_to_end(&mut noise).unwrap();
    for byte in &mut noise {
        *byte = if *byte < 3 { b'\n' } else { b'!' + *byte % 64 };
    }
    noise.push(b'\n');
    noise
}

/// Logs that are due, each of the same lines, and what is in each.
fn due(config: &str, bytes: u64) -> (Tree, Vec<u8>) {
    let tree = Tree::new();
    tree.config(config);
    let lines = noise(bytes);
    for log in NAMES {
        tree.write(log, &lines);
    }
    (tree, lines)
}

/// Something to do for each operation.
fn busy_tree() -> Tree {
    let tree = Tree::new();
    tree.config(
        "[cache]\nmax_size = '1KiB'\n[logs]\nmax_file_size = '1KiB'\n\
         [models]\narchive_after = '7d'\n",
    );
    tree.aged("cache/old", vec![1; 100_000], DAY);
    tree.write("logs/a.log", "a line\n".repeat(1000));
    tree.aged("models/a.pkl", b"weights", 30 * DAY);
    tree
}

/// The lock that another run, or systemd-tmpfiles, would hold.
fn hold(directory: &Path) -> File {
    let held = File::open(directory).unwrap();
    held.lock().unwrap();
    held
}

fn no_line_is_lost(tree: &Tree, lines: &[u8], what: &str) {
    for log in NAMES {
        assert!(
            tree.stream(log) == lines,
            "{log}: lines are lost or doubled, {what}: {:?}",
            tree.names("logs")
        );
    }
}

/// Temporary files beside the logs.
fn temporaries(tree: &Tree) -> Vec<String> {
    let ours = |name: &String| name.starts_with(".sysopt-");
    tree.names("logs").into_iter().filter(ours).collect()
}

/// Each log was rotated once and compressed, and nothing is left to do.
fn is_settled(tree: &Tree, lines: &[u8], suffix: &str, what: &str) {
    no_line_is_lost(tree, lines, what);
    for log in NAMES {
        let rotated = tree.rotated(log);
        assert_eq!(rotated.len(), 1, "{what}: {rotated:?}");
        assert_eq!(rotated[0].extension().unwrap(), suffix, "{what}");
        assert_eq!(fs::metadata(tree.path(log)).unwrap().len(), 0, "{what}");
    }
    let (ran, report) = tree.json(&["-n", "rotate-logs"]);
    assert_eq!(statuses(&report, LOGS).len(), 0, "{what}: {ran:?}");
}

// Runs

/// A run that has begun to compress the first of the logs.
fn compressing(tree: &Tree, args: &[&str]) -> Child {
    let mut child = tree.spawn(args);
    until_it_compresses(tree, &mut child);
    child
}

fn until_it_compresses(tree: &Tree, child: &mut Child) {
    let begun = within(LONG, || {
        assert_eq!(child.try_wait().unwrap(), None, "it ended too early");
        !temporaries(tree).is_empty()
    });
    assert!(begun, "nothing is compressed: {:?}", tree.names("logs"));
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Whether a process has opened a directory again to lock it.
fn is_at_the_lock(child: &Child, directory: &Path) -> bool {
    let directory = fs::canonicalize(directory).unwrap();
    let Ok(list) = fs::read_dir(format!("/proc/{}/fd", child.id())) else {
        return false;
    };
    let links = list.flatten().flat_map(|entry| fs::read_link(entry.path()));
    links.filter(|link| *link == directory).count() > 1
}

fn until_it_is_at_the_lock(child: &mut Child, directory: &Path) {
    let there = within(LONG, || {
        assert_eq!(child.try_wait().unwrap(), None, "it did not wait");
        is_at_the_lock(child, directory)
    });
    assert!(there, "it never came to the lock");
}

fn errors(report: &Value) -> String {
    let errors = report["errors"].as_array().unwrap();
    let words = errors.iter().filter_map(|error| error["error"].as_str());
    words.collect::<Vec<_>>().join("\n")
}

// One at a time

#[test]
fn a_locked_directory_is_code_11_and_nothing_is_changed() {
    let tree = busy_tree();
    let vault = tree.outside().join("vault");
    fs::create_dir(&vault).unwrap();
    let vault = vault.to_str().unwrap();
    let commands: [(&str, &[&str]); 7] = [
        ("cache", &["clean-cache"]),
        ("logs", &["rotate-logs"]),
        ("models", &["archive-models"]),
        ("models", &["restore-models", "--all", "--to", vault]),
        ("cache", &["cycle"]),
        ("models", &["cycle", "--force"]),
        ("logs", &["-q", "rotate-logs", "logs"]),
    ];
    let before = tree.snapshot();
    for (directory, args) in commands {
        let _held = hold(&tree.path(directory));
        let ran = tree.run(args);
        assert_eq!(ran.code, Some(11), "{args:?} {ran:?}");
        let words = format!("another sysopt works in '{directory}'");
        assert!(ran.stderr.contains(&words), "{args:?} {ran:?}");
        assert!(ran.stderr.contains("--lock-wait"), "{args:?} {ran:?}");
        assert_eq!(tree.snapshot(), before, "{args:?}");
    }
    let _held = hold(&tree.path("logs"));
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(11), "{ran:?}");
    assert_eq!(report["outcome"], "failure", "{report:#}");
    assert!(errors(&report).contains("another sysopt"), "{report:#}");
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_shared_lock_is_respected_too() {
    let tree = busy_tree();
    let held = File::open(tree.path("logs")).unwrap();
    held.lock_shared().unwrap();
    let before = tree.snapshot();
    let ran = tree.run(&["rotate-logs"]);
    assert_eq!(ran.code, Some(11), "{ran:?}");
    assert_eq!(tree.snapshot(), before);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_lock_on_a_directory_that_is_not_worked_in_hinders_nobody() {
    let tree = busy_tree();
    let _held = (hold(&tree.base()), hold(&tree.path("cache")));
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(statuses(&report, LOGS), ["done"]);
}

#[test]
fn the_lock_is_let_go_when_the_run_ends() {
    let tree = busy_tree();
    for _ in 0..2 {
        assert_eq!(tree.run(&["cycle", "--force"]).code, Some(0));
    }
    for directory in ["cache", "logs", "models"] {
        let open = File::open(tree.path(directory)).unwrap();
        open.try_lock().unwrap();
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn dry_runs_and_status_ask_for_no_lock() {
    let tree = busy_tree();
    let _held = ["cache", "logs", "models"].map(|directory| hold(&tree.path(directory)));
    let before = tree.snapshot();
    let commands: [&[&str]; 6] = [
        &["-n", "clean-cache"],
        &["-n", "rotate-logs"],
        &["-n", "archive-models"],
        &["-n", "cycle"],
        &["status"],
        &["config"],
    ];
    for args in commands {
        let ran = tree.run(args);
        assert_eq!(ran.code, Some(0), "{args:?} {ran:?}");
        assert_eq!(tree.snapshot(), before, "{args:?}");
    }
    let (_, report) = tree.json(&["-n", "rotate-logs"]);
    assert_eq!(statuses(&report, LOGS), ["planned"]);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn lock_wait_waits_and_then_works() {
    let tree = busy_tree();
    let before = tree.snapshot();
    let held = hold(&tree.path("logs"));
    let mut child = tree.spawn(&["--lock-wait", "1min", "rotate-logs"]);
    until_it_is_at_the_lock(&mut child, &tree.path("logs"));
    // It goes on waiting. On a slow machine this proves less, and is no less true.
    let ended = within(Duration::from_millis(200), || {
        child.try_wait().unwrap().is_some()
    });
    assert!(!ended, "{:?}", finish(child, LONG));
    assert_eq!(tree.snapshot(), before);
    drop(held);
    let ran = finish(child, LONG);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(tree.rotated("logs/a.log").len(), 1, "{ran:?}");
}

#[test]
fn lock_wait_comes_to_an_end() {
    let tree = busy_tree();
    let before = tree.snapshot();
    let _held = hold(&tree.path("logs"));
    let begun = Instant::now();
    let ran = tree.run(&["rotate-logs", "--lock-wait", "1s"]);
    assert_eq!(ran.code, Some(11), "{ran:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "it did not wait");
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_signal_ends_the_wait_for_a_lock() {
    let tree = busy_tree();
    let before = tree.snapshot();
    let _held = hold(&tree.path("logs"));
    let mut child = tree.spawn(&["--format", "json", "--lock-wait", "1h", "rotate-logs"]);
    until_it_is_at_the_lock(&mut child, &tree.path("logs"));
    send(&child, Signal::TERM);
    let ran = finish(child, SOON);
    assert_eq!(ran.signal, Some(libc::SIGTERM), "{ran:?}");
    assert_eq!(ran.report()["outcome"], "interrupted", "{ran:?}");
    assert_eq!(ran.report()["success_rate"], 0.0, "nothing was begun");
    assert_eq!(tree.snapshot(), before);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn two_runs_at_once_work_one_after_the_other() {
    let (tree, lines) = due(SLOW, 3 * MIB / 2);
    let args = ["--format", "json", "--lock-wait", "1min", "rotate-logs"];
    let mut pair = [tree.spawn(&args), tree.spawn(&args)];
    let mut seen = BTreeSet::new();
    let ended = within(LONG, || {
        // `.sysopt-PID-N.tmp`: whose it is.
        let at_work: BTreeSet<String> = temporaries(&tree)
            .iter()
            .filter_map(|name| Some(name.split('-').nth(1)?.to_owned()))
            .collect();
        assert!(at_work.len() < 2, "both work: {at_work:?}");
        seen.extend(at_work);
        pair.iter_mut()
            .all(|child| child.try_wait().unwrap().is_some())
    });
    let pair = pair.map(|child| finish(child, LONG));
    assert!(ended, "{pair:?}");
    assert!(!seen.is_empty(), "nobody was seen at work");
    let mut done = Vec::new();
    for ran in &pair {
        assert_eq!(ran.code, Some(0), "{ran:?}");
        done.extend(statuses(&ran.report(), LOGS));
    }
    assert_eq!(done, ["done"; 3], "the logs once, by either: {pair:?}");
    is_settled(&tree, &lines, "zst", "two runs");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_second_run_beside_one_at_work_leaves_it_alone() {
    let (tree, lines) = due(SLOW, 3 * MIB / 2);
    let mut first = compressing(&tree, &ROTATE);
    let second = tree.run(&["rotate-logs"]);
    let still_at_work = first.try_wait().unwrap().is_none();
    let first = finish(first, LONG);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(statuses(&first.report(), LOGS), ["done"; 3]);
    match second.code {
        Some(11) => assert!(second.stderr.contains("another sysopt"), "{second:?}"),
        Some(0) if !still_at_work => {}
        _ => panic!("{second:?}"),
    }
    is_settled(&tree, &lines, "zst", "two runs");
}

// Told to end

/// Ends a rotation by a signal while it compresses the first of three logs, and runs another.
fn interrupted((config, bytes): (&str, u64), args: &[&str], signal: Signal) {
    let (tree, lines) = due(config, bytes);
    let model = tree.aged("models/a.pkl", b"weights", 30 * DAY);
    let child = compressing(&tree, args);
    send(&child, signal);
    let begun = Instant::now();
    let ran = finish(child, SOON);
    let what = format!("{signal:?} after {:?}: {ran:?}", begun.elapsed());
    assert_eq!(ran.signal, Some(signal.as_raw()), "{what}");

    let report = ran.report();
    assert_eq!(report["outcome"], "interrupted", "{what}");
    // All were renamed, at once; a later run compresses them.
    assert_eq!(statuses(&report, LOGS), ["deferred"; 3], "{what}");
    assert_eq!(temporaries(&tree), [""; 0], "{what}");
    no_line_is_lost(&tree, &lines, &what);
    for log in NAMES {
        assert_eq!(tree.rotated(log).len(), 1, "{what}");
    }
    if args.contains(&"cycle") {
        let archiving = operation(&report, "model_archiving");
        assert_eq!(archiving["actions"][0]["status"], "not_reached", "{what}");
        assert!(model.exists(), "not reached, yet archived");
    }

    tree.config(FAST);
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(statuses(&report, LOGS), ["done"; 3], "{ran:?}");
    is_settled(&tree, &lines, "zst", "the next run");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn sigint_ends_a_rotation_with_a_report_and_loses_nothing() {
    interrupted((SLOW, 8 * MIB), &ROTATE, Signal::INT);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn sigterm_ends_a_rotation_with_a_report_and_loses_nothing() {
    interrupted((SLOW, 8 * MIB), &ROTATE, Signal::TERM);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn sighup_ends_a_cycle_before_the_operations_that_it_has_not_begun() {
    let args = ["--format", "json", "cycle", "--force"];
    interrupted((GZIP, 24 * MIB), &args, Signal::HUP);
}

/// A pipe that nobody reads and that holds no more: who writes to it stays there.
fn clogged() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while writer.write(&vec![b'x'; size]).is_ok() {}
    }
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// The first signal is answered with a report, which the run can never end writing: only a second
/// signal ends it.
fn ended_by_the_second(first: Signal, second: Signal) {
    let (tree, lines) = due(SLOW, 4 * MIB);
    let (reader, writer) = clogged();
    let mut command = tree.command(&ROTATE);
    command.stdout(Stdio::from(writer)).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(command);
    until_it_compresses(&tree, &mut child);
    send(&child, first);
    let undone = within(LONG, || temporaries(&tree).is_empty());
    assert!(undone, "the first signal was not heard");
    assert_eq!(child.try_wait().unwrap(), None, "it ended without a report");
    send(&child, second);
    let ran = finish(child, SOON);
    drop(reader);
    assert_eq!(ran.signal, Some(second.as_raw()), "{ran:?}");
    no_line_is_lost(&tree, &lines, "two signals");

    tree.config(FAST);
    let ran = tree.run(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    is_settled(&tree, &lines, "zst", "two signals, and the next run");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_second_sigint_ends_it_at_once() {
    ended_by_the_second(Signal::INT, Signal::INT);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_second_signal_of_another_kind_ends_it_at_once() {
    ended_by_the_second(Signal::INT, Signal::TERM);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn two_signals_in_the_middle_of_the_work_lose_nothing() {
    let (tree, lines) = due(SLOW, 4 * MIB);
    let child = compressing(&tree, &ROTATE);
    send(&child, Signal::INT);
    send(&child, Signal::TERM);
    let ran = finish(child, SOON);
    let ended = [Some(libc::SIGINT), Some(libc::SIGTERM)].contains(&ran.signal);
    assert!(ended, "{ran:?}");
    no_line_is_lost(&tree, &lines, "two signals");
    tree.config(FAST);
    let ran = tree.run(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    is_settled(&tree, &lines, "zst", "two signals, and the next run");
}

// Killed

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn killed_at_random_moments_a_rotation_loses_nothing() {
    const MOMENTS: u32 = 5;
    let (tree, lines) = due(GZIP, 2 * MIB);
    let begun = Instant::now();
    assert_eq!(tree.run(&["rotate-logs"]).code, Some(0));
    let mut whole = begun.elapsed();
    is_settled(&tree, &lines, "gz", "a run that nobody kills");

    let random = RandomState::new();
    let mut killed = 0;
    for attempt in 0.. {
        // Somewhere in the Nth part of the time that a whole run takes.
        let part = u32::try_from(random.hash_one(attempt) % 1000).unwrap();
        let after = whole * (1000 * killed + part) / (1000 * MOMENTS);
        let (tree, lines) = due(GZIP, 2 * MIB);
        let child = tree.spawn(&["rotate-logs"]);
        std::thread::sleep(after);
        send(&child, Signal::KILL);
        let ran = finish(child, SOON);
        let what = format!("killed after {after:?} of {whole:?}: {ran:?}");
        no_line_is_lost(&tree, &lines, &what);
        if ran.signal.is_none() {
            // It was faster than its end: the machine was busy when the first run was measured.
            whole /= 2;
            continue;
        }
        let next = tree.run(&["rotate-logs"]);
        assert_eq!(next.code, Some(0), "{next:?}, {what}");
        is_settled(&tree, &lines, "gz", &what);
        killed += 1;
        if killed == MOMENTS {
            break;
        }
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_cycle_that_was_killed_is_known_and_made_good() {
    let (tree, lines) = due(SLOW, 3 * MIB / 2);
    let state = || -> Value {
        serde_json::from_slice(&fs::read(tree.path(".sysopt/state.json")).unwrap()).unwrap()
    };
    let mut child = compressing(&tree, &["cycle"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(state()["attempt"].is_string(), "{:#}", state());
    no_line_is_lost(&tree, &lines, "killed in a cycle");
    // What was compressed slowly before is now done fast.
    tree.config(FAST);
    let (ran, report) = tree.json(&["cycle", "--force"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(report["outcome"], "success");
    assert!(state()["attempt"].is_null(), "{:#}", state());
    is_settled(&tree, &lines, "zst", "after a killed cycle");
    let history = fs::read_to_string(tree.path(".sysopt/history.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 1, "only the cycle that ended");
}
