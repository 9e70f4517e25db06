//! `rotate-logs` on a real file system: no line is lost, and what is kept is what was asked for.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::fixture::{
    DAY, HOUR, Ran, Tmpfs, Tree, actions, kept, lines, operation, peek, statuses, unpack,
};
use crate::require;

const LOGS: &str = "log_rotation";
/// An access control list as the kernel stores it: `u::rw-,u:65534:r--,g::r--,m::r--,o::---`.
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 254, 255, 0, 0, 4, 0, 4, 0, 255, 255,
    255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

fn due(text: &str) -> Tree {
    let tree = Tree::new();
    tree.config(&format!("[logs]\nmax_file_size = '4KiB'\n{text}"));
    tree
}

fn rotate(tree: &Tree) -> Value {
    let (ran, report) = tree.json(&["-v", "rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    report
}

/// The value of an extended attribute.
fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    let size = rustix::fs::getxattr(path, name, &mut value).ok()?;
    Some(value[..size].to_vec())
}

/// The suffix of a codec.
fn suffix(path: &Path) -> &str {
    path.extension()
        .and_then(|suffix| suffix.to_str())
        .filter(|suffix| matches!(*suffix, "gz" | "zst"))
        .unwrap_or_default()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_rotated_log_is_the_log_to_the_last_byte() {
    let tree = due("");
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let logs = [
        ("logs/app.log", lines("app", 10_000)),
        ("logs/sub/new\nline.log", lines("sub", 9_000)),
        ("logs/svc[12].log", b"no end of line".repeat(900)),
        ("logs/-rf.jsonl", binary),
    ];
    for (log, bytes) in &logs {
        tree.aged(log, bytes, HOUR);
    }
    tree.aged("logs/small.log", lines("small", 1000), HOUR);
    tree.aged("logs/empty.log", b"", HOUR);
    tree.aged("logs/readme.txt", vec![b'x'; 9000], HOUR);
    let report = rotate(&tree);
    assert_eq!(statuses(&report, LOGS), ["done"; 4]);
    for (log, bytes) in &logs {
        let rotated = tree.rotated(log);
        assert_eq!(rotated.len(), 1, "{rotated:?}");
        let decoded = Command::new("zcat").arg(&rotated[0]).output().unwrap();
        assert!(decoded.status.success(), "{decoded:?}");
        assert!(decoded.stdout == *bytes, "{log:?} is not what it was");
        assert_eq!(fs::metadata(tree.path(log)).unwrap().len(), 0);
    }
    let kept = kept(&report, LOGS);
    assert!(
        kept["logs/small.log"].contains("is not over 4.0 KiB"),
        "{kept:?}"
    );
    assert_eq!(kept["logs/empty.log"], "empty");
    assert_eq!(fs::read(tree.path("logs/readme.txt")).unwrap().len(), 9000);
    assert_eq!(statuses(&rotate(&tree), LOGS), [""; 0]);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_limit_itself_is_enough() {
    let tree = due("");
    tree.aged("logs/at.log", vec![b'x'; 4096], HOUR);
    tree.aged("logs/under.log", vec![b'x'; 4095], HOUR);
    rotate(&tree);
    assert_eq!(tree.rotated("logs/at.log").len(), 1);
    assert_eq!(tree.rotated("logs/under.log").len(), 0);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn both_files_keep_mode_owner_times_attributes_and_access_list() {
    if !require::root() {
        return;
    }
    let tree = due("");
    let log = tree.write("logs/app.log", lines("app", 9_000));
    chown(&log, Some(1234), Some(2345)).unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o640)).unwrap();
    rustix::fs::setxattr(
        &log,
        "user.origin",
        b"trader",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    rustix::fs::setxattr(
        &log,
        "system.posix_acl_access",
        &ACL,
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    crate::fixture::set_age(&log, 3 * DAY);
    let before = fs::metadata(&log).unwrap();
    rotate(&tree);
    let rotated = tree.rotated("logs/app.log").remove(0);
    for path in [&log, &rotated] {
        let now = fs::metadata(path).unwrap();
        assert_eq!((now.uid(), now.gid()), (1234, 2345), "{}", path.display());
        assert_eq!(now.mode(), before.mode(), "{}", path.display());
        assert_eq!(attribute(path, "user.origin").unwrap(), b"trader");
        assert_eq!(attribute(path, "system.posix_acl_access").unwrap(), ACL);
    }
    let packed = fs::metadata(&rotated).unwrap();
    assert_eq!(packed.mtime_nsec(), before.mtime_nsec());
    assert_eq!(packed.mtime(), before.mtime());
    assert_ne!(fs::metadata(&log).unwrap().ino(), before.ino());
}

/// Its writers could not write to a log of ours.
#[test]
fn a_log_of_another_user_is_not_replaced_by_one_of_ours() {
    if !require::root() {
        return;
    }
    let tree = due("");
    let theirs = tree.write("logs/app.log", lines("app", 9_000));
    chown(&theirs, Some(1234), Some(2345)).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o644)).unwrap();
    let ours = tree.write("logs/own.log", lines("own", 9_000));
    let directories = ["", "logs", "sysopt.toml"].map(|below| tree.path(below));
    for path in directories.iter().chain([&ours, &tree.home()]) {
        chown(path, Some(5678), Some(5678)).unwrap();
    }
    let before = fs::metadata(&theirs).unwrap().ino();
    let args = ["--format", "json", "rotate-logs"];
    let ran = Ran::from(tree.command_as(5678, &args).output().unwrap());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.contains("user 1234"), "{ran:?}");
    assert_eq!(fs::metadata(&theirs).unwrap().ino(), before, "{ran:?}");
    assert!(
        tree.rotated("logs/app.log").is_empty(),
        "{:?}",
        tree.files()
    );
    assert!(tree.stream("logs/own.log") == lines("own", 9_000));
    assert_eq!(fs::metadata(&ours).unwrap().uid(), 5678);
    assert_eq!(tree.rotated("logs/own.log").len(), 1);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn rotated_names_never_meet() {
    let tree = due("max_files_per_logger = 50\n");
    let mut all = Vec::new();
    for round in 0..5 {
        let bytes = lines(&format!("round {round}"), 5000);
        let log = tree.path("logs/app.log");
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(log)
            .unwrap();
        file.write_all(&bytes).unwrap();
        drop(file);
        all.extend(bytes);
        rotate(&tree);
    }
    // Runs within a second: `-2`, `-3` follow the first, in this order.
    assert_eq!(tree.rotated("logs/app.log").len(), 5);
    assert!(tree.stream("logs/app.log") == all);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_name_that_is_taken_is_not_replaced() {
    let tree = due("max_files_per_logger = 50\n");
    tree.aged("logs/app.log", lines("app", 5000), HOUR);
    // Every name of the next minute is taken, by a file or by a directory.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    for second in 0..20 {
        let time = rustix_stamp(now.as_secs() + second);
        tree.write(format!("logs/app.log-{time}.zst"), b"theirs");
        fs::create_dir(tree.path(format!("logs/app.log-{time}-2"))).unwrap();
    }
    rotate(&tree);
    let ours: Vec<PathBuf> = tree.rotated("logs/app.log");
    let ours: Vec<_> = ours.iter().filter(|path| suffix(path) == "gz").collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert!(ours[0].to_string_lossy().ends_with("-3.gz"), "{ours:?}");
    assert!(unpack(ours[0]) == lines("app", 5000));
    let theirs = tree.names("logs");
    assert_eq!(theirs.len(), 42, "{theirs:?}");
}

/// `YYYYMMDDTHHMMSSZ` of a unix time, by date(1).
fn rustix_stamp(seconds: u64) -> String {
    let output = Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%Y%m%dT%H%M%SZ"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn retention_keeps_the_newest_and_only_its_own() {
    let tree = due("max_files_per_logger = 2\n");
    let packed = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    for log in ["svc[12].log", "svc1.log", "svc.log"] {
        for day in 1..5 {
            let name = format!("logs/{log}-2026010{day}T000000Z.gz");
            tree.aged(name, packed(log), DAY);
        }
    }
    // None of these is a rotated file of sysopt.
    let strangers = [
        "svc.log-20260101T000000Z.bak",
        "svc.log-20261301T000000Z.gz",
        "svc.log.1",
        "svc.log.2.gz",
        "svc.log-20260101.gz",
        "svc.log.2026-01-01",
    ];
    for name in strangers {
        tree.aged(Path::new("logs").join(name), b"theirs", 90 * DAY);
    }
    // The newest by its name is the oldest by its time.
    crate::fixture::set_age(&tree.path("logs/svc.log-20260104T000000Z.gz"), 300 * DAY);
    let report = rotate(&tree);
    assert_eq!(statuses(&report, LOGS), ["done"; 6]);
    for log in ["svc[12].log", "svc1.log", "svc.log"] {
        let names: Vec<_> = tree
            .names("logs")
            .into_iter()
            .filter(|name| {
                name.starts_with(&format!("{log}-2026010")) && name.len() == log.len() + 20
            })
            .collect();
        let expected = [3, 4].map(|day| format!("{log}-2026010{day}T000000Z.gz"));
        assert_eq!(names, expected);
    }
    for name in strangers {
        assert!(tree.path("logs").join(name).exists(), "{name}");
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn retention_by_age_and_by_total_and_never_the_last() {
    let tree = due("max_age = '10d'\nmax_files_per_logger = 0\n");
    let stamp = |days: u64| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        rustix_stamp(now.unwrap().as_secs() - days * 86_400)
    };
    for days in [1, 9, 11, 30] {
        tree.aged(format!("logs/a.log-{}.gz", stamp(days)), b"x", DAY);
    }
    tree.aged(format!("logs/b.log-{}.gz", stamp(40)), b"x", DAY);
    tree.aged("logs/keep.log", b"live\n", HOUR);
    rotate(&tree);
    assert_eq!(tree.rotated("logs/a.log").len(), 2);
    let tree = due("max_total_size = '10KiB'\n");
    for (log, day) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
        let name = format!("logs/{log}.log-2026010{day}T000000Z.gz");
        tree.aged(name, vec![b'x'; 4096], DAY);
    }
    rotate(&tree);
    assert_eq!(
        tree.names("logs"),
        ["a.log-20260103T000000Z.gz", "b.log-20260104T000000Z.gz"],
        "the oldest of the directory go, whose ever they are"
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn retention_runs_when_nothing_rotates_and_not_after_a_failure() {
    if !require::root() {
        return;
    }
    let tree = due("max_files_per_logger = 1\n");
    tree.aged("logs/app.log", lines("app", 9000), HOUR);
    for day in 1..4 {
        tree.aged(format!("logs/app.log-2026010{day}T000000Z.gz"), b"x", DAY);
    }
    // Immutable: a rename is refused, as a full disk or a dying one would.
    let log = tree.path("logs/app.log");
    let chattr = |flag: &str| {
        let changed = Command::new("chattr").arg(flag).arg(&log).status();
        changed.is_ok_and(|status| status.success())
    };
    if !chattr("+i") {
        require::missing("chattr +i on this filesystem");
        return;
    }
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert!(chattr("-i"));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(report["outcome"], "failure", "{report:#}");
    let list = actions(&report, LOGS);
    assert_eq!(list[0].2, "failed", "{list:?}");
    assert!(list[1..].iter().all(|(.., status)| status == "not_reached"));
    assert_eq!(tree.rotated("logs/app.log").len(), 3);
    assert!(ran.stderr.contains("sysopt: cannot "), "{ran:?}");
    assert_eq!(peek(&log).unwrap(), lines("app", 9000));
    rotate(&tree);
    assert_eq!(tree.rotated("logs/app.log").len(), 1);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn leftovers_of_earlier_runs_are_finished() {
    let tree = due("");
    // Rotated and not compressed; and compressed, with the source still there.
    let (first, second) = (lines("first", 5000), lines("second", 5000));
    tree.aged("logs/a.log-20260101T000000Z", &first, DAY);
    tree.aged("logs/b.log-20260101T000000Z", &second, DAY);
    let plain = tree.path("logs/b.log-20260101T000000Z");
    let packed = Command::new("gzip").arg("-k").arg(&plain).status().unwrap();
    assert!(packed.success());
    // The same name, and another content: neither may go.
    tree.aged("logs/c.log-20260101T000000Z", &first, DAY);
    let other = fs::read(tree.path("logs/b.log-20260101T000000Z.gz")).unwrap();
    tree.aged("logs/c.log-20260101T000000Z.gz", &other, DAY);
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(statuses(&report, LOGS), ["done", "done", "failed"]);
    assert_eq!(
        tree.names("logs"),
        [
            "a.log-20260101T000000Z.gz",
            "b.log-20260101T000000Z.gz",
            "c.log-20260101T000000Z",
            "c.log-20260101T000000Z.gz"
        ]
    );
    assert!(tree.stream("logs/a.log") == first);
    assert!(tree.stream("logs/b.log") == second);
    assert!(unpack(&tree.path("logs/c.log-20260101T000000Z")) == first);
    assert!(unpack(&tree.path("logs/c.log-20260101T000000Z.gz")) == second);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_log_with_a_writer_is_kept_with_its_pid_and_the_cure() {
    if !require::own_machine(a_log_with_a_writer_is_kept_with_its_pid_and_the_cure) {
        return;
    }
    let tree = due("");
    let log = tree.aged("logs/app.log", lines("app", 9000), HOUR);
    let held = OpenOptions::new().write(true).open(&log).unwrap();
    let mut writer = Command::new("sleep")
        .arg("60")
        .stdout(held)
        .spawn()
        .unwrap();
    let before = tree.snapshot();
    let report = rotate(&tree);
    let pid = writer.id();
    let reason = kept(&report, LOGS)["logs/app.log"].clone();
    assert!(
        reason.starts_with(&format!("open for writing by pid {pid} (sleep); ")),
        "{reason}"
    );
    assert!(reason.contains("mode = \"rename\""), "{reason}");
    let after = tree.snapshot();
    let logs = |shot: &crate::fixture::Shot| {
        let mut shot = shot.clone();
        shot.retain(|path, _| path.starts_with("logs"));
        shot
    };
    assert_eq!(logs(&after), logs(&before));
    writer.kill().unwrap();
    writer.wait().unwrap();
    rotate(&tree);
    assert_eq!(tree.rotated("logs/app.log").len(), 1);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn in_rename_mode_the_writer_goes_on_and_no_line_is_lost() {
    let tree = due("mode = 'rename'\nsettle = '0s'\n");
    let log = tree.aged("logs/app.log", lines("app", 9000), HOUR);
    let mut old = OpenOptions::new().append(true).open(&log).unwrap();
    let report = rotate(&tree);
    let action = &operation(&report, LOGS)["actions"][0];
    assert_eq!(action["status"], "deferred", "{action:#}");
    assert_eq!(operation(&report, LOGS)["bytes_freed"], 0);
    let rotated = tree.rotated("logs/app.log");
    assert_eq!(suffix(&rotated[0]), "", "{rotated:?}");
    // The writer has not noticed; another one opens the log by its name.
    old.write_all(b"late\n").unwrap();
    let mut new = OpenOptions::new().append(true).open(&log).unwrap();
    new.write_all(b"new\n").unwrap();
    drop(new);
    // It is still open, so it stays as it is.
    rotate(&tree);
    assert_eq!(suffix(&tree.rotated("logs/app.log")[0]), "");
    old.write_all(b"later\n").unwrap();
    drop(old);
    rotate(&tree);
    let rotated = tree.rotated("logs/app.log");
    assert_eq!((rotated.len(), suffix(&rotated[0])), (1, "gz"));
    let mut all = lines("app", 9000);
    all.extend_from_slice(b"late\nlater\nnew\n");
    assert!(tree.stream("logs/app.log") == all);
}

#[test]
fn a_busy_writer_that_reopens_loses_no_line() {
    let tree = due("mode = 'rename'\nsettle = '1s'\nmax_files_per_logger = 1000\n");
    fs::create_dir(tree.path("logs")).unwrap();
    let log = tree.path("logs/app.log");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut runs = Vec::new();
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut all = Vec::new();
            // Bounded, so that a failure ends it too.
            for number in 0..20_000 {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(Duration::from_micros(100));
                // As a logger does that opens its file for each line.
                let line = format!("line {number} {}\n", "x".repeat(90));
                let mut file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&log)
                    .unwrap();
                file.write_all(line.as_bytes()).unwrap();
                all.extend(line.into_bytes());
            }
            all
        });
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(60));
            let ran = tree.run(&["rotate-logs"]);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            runs.push(ran.stdout);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(tree.rotated("logs/app.log").len() > 3, "{runs:#?}");
    let (mut found, mut expected) = (sorted(&tree.stream("logs/app.log")), sorted(&written));
    found.sort();
    expected.sort();
    // A line may go to the renamed file after the first line of the new one: the order within the
    // writer's open file is all that a rename can promise.
    assert!(
        found == expected,
        "{} lines of {}",
        found.len(),
        expected.len()
    );
}

fn sorted(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn other_codecs_and_none() {
    let tree = due("compress_old_logs = 'zstd'\n");
    tree.aged("logs/app.log", lines("app", 50_000), HOUR);
    rotate(&tree);
    let rotated = tree.rotated("logs/app.log");
    assert_eq!(suffix(&rotated[0]), "zst");
    if require::tool("zstd") {
        let decoded = Command::new("zstdcat").arg(&rotated[0]).output().unwrap();
        assert!(
            decoded.stdout == lines("app", 50_000),
            "{:?}",
            decoded.status
        );
    }
    let tree = due("compress_old_logs = 'none'\n");
    let log = tree.aged("logs/app.log", lines("app", 9_000), HOUR);
    let inode = fs::metadata(log).unwrap().ino();
    rotate(&tree);
    let rotated = tree.rotated("logs/app.log");
    assert_eq!(
        fs::metadata(&rotated[0]).unwrap().ino(),
        inode,
        "only renamed"
    );
    assert_eq!(statuses(&rotate(&tree), LOGS), [""; 0], "it is no leftover");
    let (ran, _) = tree.json(&["rotate-logs", "--compress", "gzip"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(tree.stream("logs/app.log") == lines("app", 9_000));
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn force_rotates_what_is_small_but_not_what_is_empty() {
    let tree = due("");
    tree.aged("logs/small.log", b"one line\n", HOUR);
    tree.aged("logs/empty.log", b"", HOUR);
    let (ran, report) = tree.json(&["rotate-logs", "--force"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(statuses(&report, LOGS), ["done"]);
    assert!(tree.stream("logs/small.log") == b"one line\n");
    assert_eq!(tree.rotated("logs/empty.log").len(), 0);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_log_per_run_is_compressed_in_place() {
    let tree = due("unique = true\nmax_age = '20d'\n");
    tree.aged("logs/run-1.log", lines("one", 900), DAY);
    tree.aged("logs/run-2.log", lines("two", 900), 30 * DAY);
    tree.aged(
        "logs/run-3.log",
        lines("three", 900),
        Duration::from_secs(2),
    );
    let held = tree.aged("logs/run-4.log", lines("four", 900), DAY);
    let reader = File::open(&held).unwrap();
    rotate(&tree);
    assert_eq!(
        tree.names("logs"),
        ["run-1.log.gz", "run-3.log", "run-4.log"]
    );
    assert!(unpack(&tree.path("logs/run-1.log.gz")) == lines("one", 900));
    drop(reader);
    rotate(&tree);
    assert_eq!(
        tree.names("logs"),
        ["run-1.log.gz", "run-3.log", "run-4.log.gz"]
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn rotated_files_of_others_count_only_when_adopted() {
    let tree = due("max_files_per_logger = 2\n");
    let names = [
        "app.log.1",
        "app.log.2.gz",
        "app.log.3.gz",
        "app.log-20240101.gz",
    ];
    for (age, name) in (1..).zip(names) {
        tree.aged(Path::new("logs").join(name), b"theirs\n", age * DAY);
    }
    tree.aged("logs/app.log", b"live\n", HOUR);
    let report = rotate(&tree);
    assert_eq!(statuses(&report, LOGS), [""; 0]);
    assert!(kept(&report, LOGS)["logs/app.log.1"].contains("adopt = true"));
    tree.config("[logs]\nadopt = true\nmax_files_per_logger = 2\n");
    let report = rotate(&tree);
    assert_eq!(statuses(&report, LOGS), ["done"; 2], "{report:#}");
    let left = tree.names("logs");
    assert!(left.contains(&"app.log.1".to_owned()), "{left:?}");
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn several_names_symlinks_and_mapped_logs_stay() {
    let tree = due("");
    let linked = tree.aged("logs/linked.log", lines("linked", 9000), HOUR);
    fs::hard_link(&linked, tree.path("second name")).unwrap();
    let target = tree.outside().join("target.log");
    fs::write(&target, lines("target", 9000)).unwrap();
    symlink(&target, tree.path("logs/link.log")).unwrap();
    let report = rotate(&tree);
    assert_eq!(statuses(&report, LOGS), [""; 0]);
    let kept = kept(&report, LOGS);
    assert_eq!(kept["logs/linked.log"], "has several names");
    assert!(kept["logs/link.log"].contains("symbolic link"), "{kept:?}");
    assert_eq!(fs::read(&target).unwrap(), lines("target", 9000));
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_full_disk_loses_nothing_and_the_next_run_converges() {
    if !require::own_machine(a_full_disk_loses_nothing_and_the_next_run_converges) {
        return;
    }
    let disk = Tmpfs::new(1 << 20);
    let tree = Tree::on(&disk);
    tree.config("[logs]\nmax_file_size = '4KiB'\n");
    // Digits that hardly compress.
    let noise: Vec<u8> = (0_u64..60_000)
        .map(|n| b'0' + u8::try_from(n.wrapping_mul(6_364_136_223_846_793_005) >> 40 & 63).unwrap())
        .collect();
    for log in ["logs/a.log", "logs/b.log"] {
        tree.aged(log, &noise, HOUR);
    }
    let filler = tree.outside().join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let (ran, report) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(statuses(&report, LOGS), ["failed"; 2]);
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
    for log in ["logs/a.log", "logs/b.log"] {
        assert!(tree.stream(log) == noise, "{log}");
    }
    let half: Vec<_> = tree
        .names("logs")
        .into_iter()
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(half.is_empty(), "{half:?}");
    fs::remove_file(filler).unwrap();
    rotate(&tree);
    for log in ["logs/a.log", "logs/b.log"] {
        assert!(tree.stream(log) == noise, "{log}");
        let rotated = tree.rotated(log);
        assert!(
            rotated.iter().all(|path| suffix(path) == "gz"),
            "{rotated:?}"
        );
    }
    assert_eq!(statuses(&rotate(&tree), LOGS), [""; 0]);
}
