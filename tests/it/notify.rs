//! Signals and hooks after a rotation: the writer is told, and no line is lost in between.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixture::{HOUR, Tree, actions, lines, operation, statuses, unpack, within};
use crate::require;

const LOGS: &str = "log_rotation";

/// Appends numbered lines in bursts, some 20,000 in a second, and reopens its log on SIGHUP, as
/// daemons do. Says how many it wrote when its input ends.
const WRITER: &str = r#"
import os, select, signal, sys
path, name = sys.argv[1], sys.argv[2]
again = False
def hup(*_):
    global again
    again = True
signal.signal(signal.SIGHUP, hup)
open(name + ".pid", "w").write("%d\n" % os.getpid())
out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
count = 0
while True:
    if again:
        again = False
        os.close(out)
        out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, b"%s line %d of this writer, and some more of it\n" % (name.encode(), count))
    count += 1
    if count % 64 == 0 and select.select([0], [], [], 0.002)[0]:
        break
print(count)
"#;

fn writer(tree: &Tree, log: &Path, name: &str) -> Child {
    fs::create_dir_all(tree.path("run")).unwrap();
    Command::new("python3")
        .args(["-c", WRITER])
        .arg(log)
        .arg(name)
        .current_dir(tree.path("run"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How many lines it wrote in all.
fn end(mut writer: Child) -> u64 {
    drop(writer.stdin.take());
    let mut text = String::new();
    let mut said = writer.stdout.take().unwrap();
    said.read_to_string(&mut text).unwrap();
    assert!(writer.wait().unwrap().success());
    text.trim().parse().unwrap()
}

/// Every line of a writer once, in order.
fn is_complete(stream: &[u8], name: &str, count: u64) {
    let text = std::str::from_utf8(stream).unwrap();
    let prefix = format!("{name} line ");
    let own = text.lines().filter(|line| line.starts_with(&prefix));
    let mut next = 0;
    for line in own {
        let expected = format!("{prefix}{next} of this writer, and some more of it");
        assert_eq!(line, expected);
        next += 1;
    }
    assert_eq!(next, count, "lines of {name}");
}

/// Twenty rotations under each number of writers; each has a log of its own, as one signal reaches
/// one process.
#[test]
#[ignore = "slow: sixty rotations beside up to sixteen writers"]
fn trap_03_twenty_rotations_with_a_signal_lose_no_line_of_any_writer() {
    for writers in [1, 4, 16] {
        let tree = Tree::new();
        let mut config = "[logs]\nmode = 'rename'\nmax_file_size = '1KiB'\n\
                          max_files_per_logger = 1000\nsettle = '1s'\n"
            .to_owned();
        let names: Vec<String> = (0..writers).map(|n| format!("w{n}")).collect();
        for name in &names {
            let _ = write!(
                config,
                "[[logs.rule]]\npatterns = ['{name}.log']\n\
                 signal = {{ name = 'HUP', pid_file = 'run/{name}.pid' }}\n"
            );
        }
        tree.config(&config);
        fs::create_dir_all(tree.path("logs")).unwrap();
        let log = |name: &str| format!("logs/{name}.log");
        let running: Vec<Child> = names
            .iter()
            .map(|name| writer(&tree, &tree.path(log(name)), name))
            .collect();
        let all_write = || names.iter().all(|name| tree.path(log(name)).exists());
        assert!(within(Duration::from_secs(20), all_write));
        for _ in 0..20 {
            let ran = tree.run(&["rotate-logs"]);
            assert_eq!(ran.code, Some(0), "{ran:?}");
        }
        let counts: Vec<u64> = running.into_iter().map(end).collect();
        // What a writer still had open when a run ended is compressed now.
        let ran = tree.run(&["rotate-logs"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let mut rotated = 0;
        for (name, count) in names.iter().zip(counts) {
            is_complete(&tree.stream(&log(name)), name, count);
            for path in tree.rotated(&log(name)) {
                let tested = Command::new("gzip").arg("-t").arg(&path).status();
                assert!(tested.unwrap().success(), "{}", path.display());
                rotated += 1;
            }
        }
        assert!(rotated >= 10 * writers, "{rotated} of {writers} writers");
    }
}

fn hooked(text: &str) -> (Tree, Vec<u8>) {
    let tree = Tree::new();
    tree.config(&format!("[logs]\nmax_file_size = '4KiB'\n{text}"));
    let bytes = lines("app", 9000);
    tree.aged("logs/a b\n[1].log", &bytes, HOUR);
    (tree, bytes)
}

fn error(report: &Value) -> String {
    let errors = operation(report, LOGS)["errors"].as_array().unwrap();
    errors
        .first()
        .map(|error| error["error"].as_str().unwrap().to_owned())
        .unwrap_or_default()
}

fn verbs(report: &Value) -> Vec<String> {
    actions(report, LOGS)
        .into_iter()
        .map(|(verb, ..)| verb)
        .collect()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_hook_gets_its_arguments_as_they_are_and_both_names() {
    let script = "printf '%s|' \"$@\" \"$SYSOPT_LOG\" > \"$0\"; cat -- \"$SYSOPT_ROTATED\" > copy";
    let (tree, bytes) = hooked(
        &format!(
            "post_rotate = ['sh', '-c', '{}', 'said', 'a  b', '$HOME;*']\n",
            script.replace('\'', "''")
        )
        .replace("''%s|''", "\"%s|\""),
    );
    let (_, planned) = tree.json(&["-n", "rotate-logs"]);
    assert_eq!(verbs(&planned), ["rotate", "hook"]);
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(verbs(&report), ["rotate", "hook"]);
    assert_eq!(statuses(&report, LOGS), ["done", "done"]);
    let said = fs::read_to_string(tree.path("said")).unwrap();
    let log = tree.path("logs/a b\n[1].log").canonicalize().unwrap();
    assert_eq!(said, format!("a  b|$HOME;*|{}|", log.display()));
    // It sees the rotated file as it was, whole and uncompressed.
    assert!(fs::read(tree.path("copy")).unwrap() == bytes);
    let rotated = tree.rotated("logs/a b\n[1].log");
    assert!(unpack(&rotated[0]) == bytes);
    assert!(rotated[0].to_string_lossy().ends_with(".gz"));
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_hook_that_fails_is_an_error_of_its_log_and_nothing_is_removed() {
    let table = [
        ("['false']", "'false' ended with code 1"),
        (
            "['sh', '-c', 'echo one; echo no such agent >&2; exit 7']",
            "code 7: no such agent",
        ),
        ("['sh', '-c', 'kill -9 $$']", "was ended by signal 9"),
        (
            "['no-such-command-anywhere']",
            "cannot be run: No such file",
        ),
    ];
    for (argv, expected) in table {
        let (tree, bytes) = hooked(&format!(
            "post_rotate = {argv}\nmax_files_per_logger = 1\n\
             [[logs.rule]]\npatterns = ['other.log']\npost_rotate = ['true']\n"
        ));
        tree.aged(
            "logs/a b\n[1].log-20240101T000000Z.gz",
            b"old",
            400 * 24 * HOUR,
        );
        tree.aged("logs/other.log", &bytes, HOUR);
        let (ran, report) = tree.json(&["rotate-logs"]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(error(&report).contains(expected), "{}", error(&report));
        let rotated = tree.rotated("logs/a b\n[1].log");
        assert_eq!(rotated.len(), 2, "nothing expired: {rotated:?}");
        let stream = fs::read(rotated.iter().max().unwrap()).unwrap();
        assert!(stream == bytes, "its source was removed");
        assert!(tree.stream("logs/other.log") == bytes);
        let others = tree.rotated("logs/other.log");
        assert!(others[0].to_string_lossy().ends_with(".gz"), "{others:?}");
    }
}

/// Else the writer would go on in the rotated file for ever: an empty log is never due.
#[test]
fn trap_07_a_writer_that_could_not_be_told_is_told_by_the_next_run() {
    let (tree, bytes) = hooked("settle = '0s'\npost_rotate = ['sh', '-c', 'test -e ready']\n");
    let log = "logs/a b\n[1].log";
    let writer = fs::OpenOptions::new().append(true).open(tree.path(log));
    let writer = writer.unwrap();
    for _ in 0..2 {
        let (ran, report) = tree.json(&["rotate-logs"]);
        assert_eq!(ran.code, Some(3), "{report:#}");
        assert!(error(&report).contains("ended with code 1"), "{report:#}");
    }
    tree.write("ready", "");
    let (_, planned) = tree.json(&["-n", "rotate-logs"]);
    assert_eq!(verbs(&planned), ["hook"]);
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{report:#}");
    assert_eq!(statuses(&report, LOGS), ["done"]);
    // It reopens its log.
    drop(writer);
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{report:#}");
    assert_eq!(verbs(&report), ["compress"]);
    assert!(tree.stream(log) == bytes);
}

#[test]
fn a_hook_that_hangs_is_killed_with_its_children() {
    let (tree, bytes) = hooked(
        "hook_timeout = '1s'\n\
         post_rotate = ['sh', '-c', 'sleep 60 & echo $! > child; yes | head -c 300000; wait']\n",
    );
    let begun = Instant::now();
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(error(&report).contains("was killed after 1s"), "{report:#}");
    assert!(begun.elapsed() < Duration::from_secs(50));
    let child = fs::read_to_string(tree.path("child")).unwrap();
    let gone = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
    };
    assert!(within(Duration::from_secs(10), gone), "{child} lives");
    assert!(tree.stream("logs/a b\n[1].log") == bytes);
}

#[test]
fn what_a_hook_says_stays_out_of_the_report() {
    let (tree, _) = hooked("post_rotate = ['sh', '-c', 'echo said; echo said >&2']\n");
    let ran = tree.run(&["-q", "rotate-logs"]);
    let streams = (ran.code, ran.stdout.as_str(), ran.stderr.as_str());
    assert_eq!(streams, (Some(0), "", ""));
}

/// A process that ends when it gets the signal.
fn sleeper() -> Child {
    Command::new("sleep").arg("60").spawn().unwrap()
}

fn signalled(tree: &Tree) -> (Value, Option<i32>) {
    let (ran, report) = tree.json(&["rotate-logs"]);
    (report, ran.code)
}

const SIGNAL: &str = "signal = { name = 'USR1', pid_file = 'run/a.pid' }\n";

#[test]
fn an_agent_that_does_not_run_has_nothing_to_reopen() {
    let (tree, bytes) = hooked(SIGNAL);
    let (report, code) = signalled(&tree);
    assert_eq!(
        (code, statuses(&report, LOGS)),
        (Some(0), vec!["done".to_owned(), "changed".to_owned()])
    );
    assert!(tree.stream("logs/a b\n[1].log") == bytes);
    // The number of a process that began after the file was written is not that of the agent.
    let mut other = sleeper();
    tree.aged("logs/a b\n[1].log", &bytes, HOUR);
    tree.aged("run/a.pid", format!("{}\n", other.id()), HOUR);
    std::thread::sleep(Duration::from_millis(1100));
    let (report, code) = signalled(&tree);
    assert_eq!(
        (code, statuses(&report, LOGS)),
        (Some(0), vec!["done".to_owned(), "changed".to_owned()])
    );
    assert!(other.try_wait().unwrap().is_none(), "it was signalled");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn only_a_process_and_a_pid_file_of_root_or_the_logs_owner_are_signalled() {
    if !require::root() {
        return;
    }
    // Owner of the log, of the pid file, its mode, of the process; whether it is signalled.
    let table = [
        (0, 0, 0o644, 0, true),
        (1234, 1234, 0o644, 0, true),
        (1234, 0, 0o644, 1234, true),
        (1234, 4321, 0o644, 0, false),
        (1234, 1234, 0o666, 0, false),
        (1234, 1234, 0o644, 4321, false),
        (0, 0, 0o644, 4321, false),
    ];
    for (log, file, mode, process, expected) in table {
        use std::os::unix::process::{CommandExt, ExitStatusExt};
        let (tree, _) = hooked(SIGNAL);
        chown(tree.path("logs/a b\n[1].log"), Some(log), None).unwrap();
        let mut target = Command::new("sleep")
            .arg("60")
            .uid(process)
            .spawn()
            .unwrap();
        let pid_file = tree.write("run/a.pid", format!("{}\n", target.id()));
        chown(&pid_file, Some(file), None).unwrap();
        fs::set_permissions(&pid_file, fs::Permissions::from_mode(mode)).unwrap();
        let (report, code) = signalled(&tree);
        let case = format!("{log} {file} {mode:o} {process}: {report:#}");
        if expected {
            assert_eq!(code, Some(0), "{case}");
            assert_eq!(
                target.wait().unwrap().signal(),
                Some(libc::SIGUSR1),
                "{case}"
            );
        } else {
            assert_eq!(code, Some(3), "{case}");
            assert!(target.try_wait().unwrap().is_none(), "{case}");
            target.kill().unwrap();
            target.wait().unwrap();
            let rotated = tree.rotated("logs/a b\n[1].log");
            assert!(!rotated[0].to_string_lossy().ends_with(".gz"), "{case}");
        }
    }
}

#[test]
fn a_pid_file_that_is_none_is_an_error() {
    for content in ["", "x", "-5", "0", "1", "99999999999999999999"] {
        let (tree, bytes) = hooked(SIGNAL);
        tree.write("run/a.pid", content);
        let (report, code) = signalled(&tree);
        assert_eq!(code, Some(3), "{content}");
        assert!(error(&report).contains("holds no process id"), "{report:#}");
        assert!(tree.stream("logs/a b\n[1].log") == bytes);
    }
}
