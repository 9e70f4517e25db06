//! What has gone wrong with logrotate, one test for each.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::fixture::{DAY, HOUR, Tmpfs, Tree, kept, lines, statuses, unpack};
use crate::require;

const LOGS: &str = "log_rotation";

fn due(text: &str) -> Tree {
    let tree = Tree::new();
    tree.config(&format!("[logs]\nmax_file_size = '4KiB'\n{text}"));
    tree
}

fn rotate(tree: &Tree) -> serde_json::Value {
    let (ran, report) = tree.json(&["-v", "rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    report
}

/// A log that could not be compressed was overwritten by the next rotation.
#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_01_what_could_not_be_compressed_is_not_overwritten_by_the_next_run() {
    if !require::own_machine(
        trap_01_what_could_not_be_compressed_is_not_overwritten_by_the_next_run,
    ) {
        return;
    }
    let disk = Tmpfs::new(2 << 20);
    let tree = Tree::on(&disk);
    tree.config("[logs]\nmax_file_size = '4KiB'\nmax_files_per_logger = 1000\n");
    let mut all = Vec::new();
    let log = tree.path("logs/a.log");
    fs::create_dir(tree.path("logs")).unwrap();
    for round in 0_u8..4 {
        let mut noise = 0x9E37_79B9_7F4A_7C15 ^ u64::from(round);
        let more: Vec<u8> = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise.to_le_bytes()
        })
        .take(5000)
        .flatten()
        .collect();
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        file.write_all(&more).unwrap();
        all.extend(more);
        drop(file);
        let filler = tree.outside().join("filler");
        // Room for the new log, and not for what is compressed.
        let mut file = File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let full = file.metadata().unwrap().len();
        file.set_len(full.saturating_sub(8192)).unwrap();
        drop(file);
        let ran = tree.run(&["rotate-logs"]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(tree.stream("logs/a.log") == all, "round {round}");
        fs::remove_file(filler).unwrap();
    }
    rotate(&tree);
    assert!(tree.stream("logs/a.log") == all);
    let packed = tree.rotated("logs/a.log");
    let packed = packed
        .iter()
        .all(|path| path.extension() == Some("gz".as_ref()));
    assert!(packed, "{:?}", tree.names("logs"));
}

/// Switching compression on destroyed the last file; another suffix or a lower count left files for
/// ever.
#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_02_no_suffix_and_no_count_orphans_or_destroys_a_rotated_file() {
    let tree = due("compress_old_logs = 'none'\n");
    let codecs = ["none", "gzip", "zstd", "none", "zstd"];
    let mut all = Vec::new();
    for (round, codec) in codecs.into_iter().enumerate() {
        let bytes = lines(&format!("round {round}"), 5000);
        tree.write("logs/a.log", &bytes);
        all.extend(bytes);
        let ran = tree.run(&["rotate-logs", "--compress", codec, "--keep", "9"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(tree.stream("logs/a.log") == all, "after {codec}");
    }
    assert_eq!(tree.rotated("logs/a.log").len(), 5);
    let ran = tree.run(&["rotate-logs", "--compress", "gzip", "--keep", "2"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        tree.rotated("logs/a.log").len(),
        2,
        "{:?}",
        tree.names("logs")
    );
    let last = [lines("round 3", 5000), lines("round 4", 5000)].concat();
    assert!(tree.stream("logs/a.log") == last);
}

/// Two logs of one name shared their rotated files.
#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_04_logs_of_one_name_in_two_directories_have_their_own_files() {
    let tree = due("max_files_per_logger = 1\n");
    for directory in ["logs/x", "logs/y", "data/logs"] {
        tree.aged(format!("{directory}/app.log"), lines(directory, 9000), HOUR);
        tree.aged(
            format!("{directory}/app.log-20260101T000000Z.gz"),
            b"old",
            DAY,
        );
    }
    rotate(&tree);
    for directory in ["logs/x", "logs/y", "data/logs"] {
        let log = format!("{directory}/app.log");
        assert_eq!(tree.rotated(&log).len(), 1, "{directory}");
        assert!(tree.stream(&log) == lines(directory, 9000), "{directory}");
    }
}

/// The name of a log was used as a glob.
#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_05_a_log_named_like_a_pattern_is_nobody_elses() {
    let tree = due("max_files_per_logger = 1\n");
    let others = ["svc1.log", "svc2.log", "svc*.log", "svc?.log"];
    for name in others {
        let log = Path::new("logs").join(name);
        tree.aged(&log, b"live", HOUR);
        let rotated = format!("logs/{name}-20260101T000000Z.gz");
        tree.aged(rotated, b"only one", 30 * DAY);
    }
    let log = "logs/svc[12].log";
    for stamp in ["20260101T000000Z", "20260102T000000Z"] {
        tree.aged(format!("{log}-{stamp}.gz"), b"old", 30 * DAY);
    }
    tree.aged(log, lines("svc", 9000), HOUR);
    rotate(&tree);
    assert_eq!(tree.rotated(log).len(), 1);
    assert!(tree.stream(log) == lines("svc", 9000));
    for name in others {
        let rotated = tree.path(format!("logs/{name}-20260101T000000Z.gz"));
        assert_eq!(fs::read(rotated).unwrap(), b"only one", "{name}");
    }
}

/// The lock was on the state file: lost when that was replaced, and held by whoever could read it.
#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_08_the_lock_is_on_the_directories_and_no_reader_of_the_state_holds_a_run() {
    use rustix::fs::{FlockOperation, flock};
    let tree = due("");
    tree.aged("logs/a.log", lines("a", 9000), HOUR);
    rotate(&tree);
    let state: Vec<File> = tree
        .names(".sysopt")
        .iter()
        .map(|name| File::open(tree.path(".sysopt").join(name)).unwrap())
        .collect();
    for file in &state {
        flock(file, FlockOperation::NonBlockingLockExclusive).unwrap();
    }
    tree.aged("logs/a.log", lines("b", 9000), HOUR);
    assert_eq!(statuses(&rotate(&tree), LOGS), ["done"]);
    // The state was replaced meanwhile: the lock is where it was.
    let directory = File::open(tree.path("logs")).unwrap();
    flock(&directory, FlockOperation::NonBlockingLockExclusive).unwrap();
    let ran = tree.run(&["rotate-logs"]);
    assert_eq!(ran.code, Some(11), "{ran:?}");
}

/// A FIFO was rotated, a second match dropped the rest of its pattern, and attributes were lost.
#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_11_special_files_and_second_matches_do_no_harm_and_attributes_stay() {
    let tree = due("[[logs.rule]]\npatterns = ['a.log', '*.log']\n\
         [[logs.rule]]\ndirectories = ['logs']\npatterns = ['a.*']\n");
    for name in ["a", "b", "z"] {
        tree.aged(format!("logs/{name}.log"), lines(name, 9000), HOUR);
    }
    let name = "user.origin";
    let log = tree.path("logs/b.log");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&log, name, b"trader", flags).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.path("logs/c.log"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let child = tree.spawn(&["--format", "json", "-v", "rotate-logs"]);
    let ran = crate::fixture::finish(child, Duration::from_mins(1));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.report();
    assert_eq!(statuses(&report, LOGS), ["done"; 3]);
    assert!(kept(&report, LOGS)["logs/c.log"].contains("named pipe"));
    for path in [&log, &tree.rotated("logs/b.log")[0]] {
        let mut value = [0; 16];
        let size = rustix::fs::getxattr(path, name, &mut value).unwrap();
        assert_eq!(&value[..size], b"trader", "{}", path.display());
    }
    for name in ["a", "b", "z"] {
        let rotated = tree.rotated(&format!("logs/{name}.log"));
        assert_eq!(rotated.len(), 1);
        assert!(unpack(&rotated[0]) == lines(name, 9000));
    }
}
