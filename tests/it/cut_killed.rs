//! A run that is killed while it takes away the head of a log is completed by the next: with the
//! writers still at work, every line is there once.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixture::{HOUR, Ran, Tmpfs, Tree, actions, lines, operation};
use crate::require;
use crate::writers::{Writers, archives_are_valid, can_collapse, every_line_once, records};

const LOGS: &str = "log_rotation";
/// Calls at which a rotation is killed; of what has no number here, the next one is as good.
const CALLS: [&str; 14] = [
    "fallocate",
    "renameat2",
    "renameat",
    "unlinkat",
    "fsync",
    "lseek",
    "flock",
    "fchmod",
    "fchown",
    "utimensat",
    "ftruncate",
    "write",
    "pread64",
    "fcntl",
];

fn configure(tree: &Tree, mode: &str) {
    tree.config(&format!(
        "[logs]\nmax_file_size = '16KiB'\nmax_files_per_logger = 0\nmode = '{mode}'\n"
    ));
}

/// Runs sysopt so that it is killed before the Nth call of that name.
fn killed_at(tree: &Tree, call: &str, number: usize) -> Ran {
    let kill = format!("inject={call}:signal=KILL:when={number}");
    traced(tree, &["-e", &format!("trace={call}"), "-e", &kill])
}

/// Runs sysopt so that the Nth call of that name is refused.
fn refused_at(tree: &Tree, (call, number): &(String, usize), error: &str) -> Ran {
    let refuse = format!("inject={call}:error={error}:when={number}");
    traced(tree, &["-e", &format!("trace={call}"), "-e", &refuse])
}

/// Runs sysopt under strace, which leaves what it saw beside the base.
fn traced(tree: &Tree, options: &[&str]) -> Ran {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]);
    command.arg(tree.outside().join("trace")).args(options);
    command.arg(env!("CARGO_BIN_EXE_sysopt"));
    tree.prepare(&mut command, &["--threads", "1", "rotate-logs"]);
    Ran::from(command.output().unwrap())
}

/// The next run puts everything in order, and the one after it finds nothing begun.
fn completes(tree: &Tree, what: &str) {
    let ran = tree.run(&["--threads", "1", "rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{what}: {ran:?}");
    assert!(records(tree, "logs").is_empty(), "{what}: {ran:?}");
}

/// Kills rotations at every step-th of their calls while somebody writes.
fn sweep(tree: &Tree, writers: Writers, step: usize) {
    let (begun, mut killed) = (Instant::now(), 0);
    for call in CALLS {
        for number in (1..500).step_by(step) {
            writers.wait_for(24 << 10);
            let ran = killed_at(tree, call, number);
            if ran.signal != Some(9) {
                assert_eq!(ran.code, Some(0), "{call} {number}: {ran:?}");
                break;
            }
            killed += 1;
            completes(tree, &format!("{call} {number}"));
        }
    }
    let written = writers.end();
    assert!(killed > 15, "{killed} points are no proof");
    every_line_once(tree, "logs/app.log", &written);
    archives_are_valid(tree, "logs/app.log");
    let _ = writeln!(
        std::io::stderr(),
        "killed at {killed} calls in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

/// Kills rotations after a while, so many times.
fn at_random(tree: &Tree, writers: Writers, times: u32) {
    writers.wait_for(256 << 10);
    let begun = Instant::now();
    completes(tree, "undisturbed");
    let whole = u32::try_from(begun.elapsed().as_micros()).unwrap();
    let (mut state, mut killed) = (times, 0);
    for _ in 0..times {
        writers.wait_for(256 << 10);
        let mut command = tree.command(&["rotate-logs"]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        std::thread::sleep(Duration::from_micros(u64::from((state >> 8) % whole)));
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
    }
    completes(tree, "at last");
    let written = writers.end();
    assert!(killed > times / 4, "{killed} of {times} were killed");
    every_line_once(tree, "logs/app.log", &written);
    archives_are_valid(tree, "logs/app.log");
}

fn ready<F: Fn()>(test: F) -> bool {
    require::tool("strace") && can_collapse() && require::own_machine(test)
}

#[test]
fn a_rotation_killed_at_many_calls_is_completed() {
    if ready(a_rotation_killed_at_many_calls_is_completed) {
        let tree = Tree::new();
        configure(&tree, "auto");
        let writers = Writers::append(&tree.path("logs/app.log"), 1, 0.01);
        sweep(&tree, writers, 3);
    }
}

#[test]
#[ignore = "slow: every call"]
fn a_rotation_killed_at_every_call_is_completed() {
    if ready(a_rotation_killed_at_every_call_is_completed) {
        let tree = Tree::new();
        configure(&tree, "auto");
        let writers = Writers::append(&tree.path("logs/app.log"), 2, 0.01);
        sweep(&tree, writers, 1);
        let filesystem = Tmpfs::new(512 << 20);
        let tree = Tree::on(&filesystem);
        configure(&tree, "punch");
        let writers = Writers::overwrite(&tree.path("logs/app.log"), 0.01);
        sweep(&tree, writers, 1);
    }
}

#[test]
fn rotations_killed_at_random_moments_are_completed() {
    if ready(rotations_killed_at_random_moments_are_completed) {
        let tree = Tree::new();
        configure(&tree, "copy-truncate");
        let writers = Writers::append(&tree.path("logs/app.log"), 4, 0.002);
        at_random(&tree, writers, 20);
    }
}

#[test]
#[ignore = "slow: forty kills each under 1, 4 and 16 writers, on two filesystems"]
fn many_rotations_killed_at_random_moments_are_completed() {
    if ready(many_rotations_killed_at_random_moments_are_completed) {
        for count in [1, 4, 16] {
            let tree = Tree::new();
            configure(&tree, "copy-truncate");
            let writers = Writers::append(&tree.path("logs/app.log"), count, 0.01);
            at_random(&tree, writers, 40);
            let filesystem = Tmpfs::new(2 << 30);
            let tree = Tree::on(&filesystem);
            configure(&tree, "punch");
            let writers = Writers::append(&tree.path("logs/app.log"), count, 0.01);
            at_random(&tree, writers, 40);
        }
    }
}

/// The calls of a rotation from that on which takes the head away, each with its number among those
/// of its name.
fn calls_from(tree: &Tree, first: &str) -> Vec<(String, usize)> {
    let ran = traced(tree, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = fs::read(tree.outside().join("trace")).unwrap();
    let text = String::from_utf8_lossy(&text);
    let mut numbers = HashMap::new();
    let all = text.lines().filter_map(|line| {
        let call = line.split_once('(')?.0.split_whitespace().last()?;
        let number = numbers.entry(call.to_owned()).or_default();
        *number += 1;
        Some((call.to_owned(), *number))
    });
    all.skip_while(|(call, _)| call != first).collect()
}

/// A rotation is refused at each call from that on which takes the head away: whatever becomes of
/// it, no line is lost.
fn refused_from(first: &str, due: impl Fn() -> Tree) {
    const CALLS: [&str; 12] = [
        "fallocate",
        "ftruncate",
        "fsync",
        "statx",
        "openat",
        "fchmod",
        "fchown",
        "renameat",
        "renameat2",
        "unlinkat",
        "lseek",
        "flock",
    ];
    let calls = calls_from(&due(), first).into_iter();
    let points: Vec<_> = calls
        .filter(|(call, _)| CALLS.contains(&call.as_str()))
        .collect();
    assert!(points.len() > 5, "{points:?}");
    let all = lines("app", 40_000);
    for point in points {
        // Errors that the next run would meet as well.
        let error = if point.0 == "fallocate" {
            "EOPNOTSUPP"
        } else {
            "EACCES"
        };
        let tree = due();
        let ran = refused_at(&tree, &point, error);
        let what = format!("{point:?} {error}: {ran:?} {:?}", tree.files());
        assert!(written(&tree) == all, "{what}");
        completes(&tree, &what);
        assert!(written(&tree) == all, "{what}");
    }
}

/// All that was written to the log, which may begin with a hole.
fn written(tree: &Tree) -> Vec<u8> {
    let mut stream = tree.stream("logs/app.log");
    stream.retain(|byte| *byte != 0);
    stream
}

fn is_due(tree: Tree, mode: &str) -> Tree {
    configure(&tree, mode);
    tree.aged("logs/app.log", lines("app", 40_000), HOUR);
    tree
}

/// What another run would be refused too is taken back: but only while the log has all its lines.
#[test]
fn a_rotation_refused_after_the_head_is_gone_keeps_the_rotated_file() {
    if !ready(a_rotation_refused_after_the_head_is_gone_keeps_the_rotated_file) {
        return;
    }
    refused_from("fallocate", || is_due(Tree::new(), "copy-truncate"));
    let filesystem = Tmpfs::new(64 << 20);
    refused_from("fallocate", || is_due(Tree::on(&filesystem), "punch"));
    refused_from("ftruncate", || {
        is_due(Tree::on(&filesystem), "copy-truncate")
    });
}

/// A log whose rotation was killed before it was punched (1) or collapsed (2).
fn half_way(fallocates: usize) -> Tree {
    let tree = Tree::new();
    configure(&tree, "copy-truncate");
    tree.aged("logs/app.log", lines("app", 200_000), HOUR);
    let ran = killed_at(&tree, "fallocate", fallocates);
    assert_eq!(ran.signal, Some(9), "{ran:?}");
    assert_eq!(records(&tree, "logs"), [".app.log.sysopt-rotation"]);
    tree
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_dry_run_shows_what_is_to_be_completed() {
    if !ready(a_dry_run_shows_what_is_to_be_completed) {
        return;
    }
    for fallocates in [1, 2] {
        let tree = half_way(fallocates);
        let before = tree.snapshot();
        let (ran, report) = tree.json(&["-n", "rotate-logs"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(tree.snapshot(), before);
        let action = &operation(&report, LOGS)["actions"][0];
        let rotated = tree.rotated("logs/app.log").remove(0);
        let name = rotated.file_name().unwrap().to_str().unwrap();
        assert_eq!(action["action"], "rotate");
        assert_eq!(action["path"], "logs/app.log");
        assert_eq!(action["to"], format!("logs/{name}"));
        assert!(
            action["reason"].as_str().unwrap().contains("half way"),
            "{action}"
        );
        let (ran, report) = tree.json(&["rotate-logs"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(actions(&report, LOGS)[0].2, "done");
        assert!(tree.stream("logs/app.log") == lines("app", 200_000));
        let (_, report) = tree.json(&["-n", "rotate-logs"]);
        assert!(actions(&report, LOGS).is_empty(), "{report:#}");
    }
}

type Meddle = fn(&Tree);

/// What others do to a log after a kill ends the rotation without harm.
#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_log_that_others_changed_after_a_kill_is_not_cut() {
    if !ready(a_log_that_others_changed_after_a_kill_is_not_cut) {
        return;
    }
    let truncate: Meddle = |tree| drop(fs::File::create(tree.path("logs/app.log")).unwrap());
    let regrow: Meddle =
        |tree| fs::write(tree.path("logs/app.log"), lines("new", 400_000)).unwrap();
    let replace: Meddle = |tree| {
        fs::rename(tree.path("logs/app.log"), tree.path("logs/old.txt")).unwrap();
        fs::write(tree.path("logs/app.log"), lines("new", 10_000)).unwrap();
    };
    let remove: Meddle = |tree| fs::remove_file(tree.path("logs/app.log")).unwrap();
    for (case, meddle) in [
        ("truncate", truncate),
        ("regrow", regrow),
        ("replace", replace),
        ("remove", remove),
    ] {
        for fallocates in [1, 2] {
            let tree = half_way(fallocates);
            meddle(&tree);
            let before = fs::read(tree.path("logs/app.log")).ok();
            let rotated = tree.rotated("logs/app.log");
            let archive = fs::read(&rotated[0]).unwrap();
            let (ran, report): (Ran, Value) = tree.json(&["rotate-logs", "--max-size", "1GiB"]);
            let what = format!("{case} {fallocates}: {report:#}");
            assert_eq!(ran.code, Some(0), "{what}");
            assert_eq!(fs::read(tree.path("logs/app.log")).ok(), before, "{what}");
            assert_eq!(fs::read(&rotated[0]).unwrap(), archive, "{what}");
            assert!(records(&tree, "logs").is_empty(), "{what}");
        }
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn two_runs_never_complete_the_same_rotation() {
    if !ready(two_runs_never_complete_the_same_rotation) {
        return;
    }
    let tree = half_way(2);
    let record = OpenOptions::new()
        .read(true)
        .open(tree.path("logs/.app.log.sysopt-rotation"))
        .unwrap();
    rustix::fs::flock(&record, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(actions(&report, LOGS)[0].2, "changed", "{report:#}");
    assert_eq!(records(&tree, "logs").len(), 1);
    drop(record);
    completes(&tree, "after the other run");
    assert!(tree.stream("logs/app.log") == lines("app", 200_000));
}
