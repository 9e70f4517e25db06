//! Logs that stay where they are and lose their heads: copy-truncate and punch.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::fixture::{HOUR, Tmpfs, Tree, actions, kept, lines, operation, peek, statuses, within};
use crate::require;
use crate::writers::{Writers, archives_are_valid, can_collapse, every_line_once, records};

const LOGS: &str = "log_rotation";

fn configure(tree: &Tree, text: &str) {
    tree.config(&format!(
        "[logs]\nmax_file_size = '32KiB'\nmax_files_per_logger = 0\n{text}"
    ));
}

fn rotate(tree: &Tree) -> Value {
    let (ran, report) = tree.json(&["-v", "rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    report
}

/// Rotates under writers so many times, and proves that no line is lost.
fn prove(tree: &Tree, writers: Writers, rounds: usize) {
    let log = tree.path("logs/app.log");
    let before = fs::metadata(&log).unwrap().ino();
    for round in 0..rounds {
        writers.wait_for(64 << 10);
        let report = rotate(tree);
        assert_eq!(statuses(&report, LOGS), ["done"], "{round} {report:#}");
        assert_eq!(operation(&report, LOGS)["metadata"]["lossless"], true);
    }
    let written = writers.end();
    assert_eq!(
        fs::metadata(&log).unwrap().ino(),
        before,
        "it stays where it is"
    );
    assert_eq!(tree.rotated("logs/app.log").len(), rounds);
    every_line_once(tree, "logs/app.log", &written);
    archives_are_valid(tree, "logs/app.log");
    assert!(records(tree, "logs").is_empty());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_06_lines_written_while_a_log_is_rotated_are_not_lost() {
    if !require::tool("python3") || !can_collapse() {
        return;
    }
    let tree = Tree::new();
    configure(&tree, "");
    let writers = Writers::append(&tree.path("logs/app.log"), 4, 0.0);
    prove(&tree, writers, 4);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_06_a_writer_with_its_own_offset_loses_no_line_to_punch() {
    if !require::own_machine(trap_06_a_writer_with_its_own_offset_loses_no_line_to_punch) {
        return;
    }
    let filesystem = Tmpfs::new(512 << 20);
    let tree = Tree::on(&filesystem);
    configure(&tree, "mode = 'punch'\ncompress_old_logs = 'zstd'\n");
    let writers = Writers::overwrite(&tree.path("logs/app.log"), 0.0);
    prove(&tree, writers, 4);
}

#[test]
#[ignore = "slow: twenty rotations each under 1, 4 and 16 writers, on two filesystems"]
fn trap_06_twenty_rotations_under_many_writers() {
    if !can_collapse() || !require::own_machine(trap_06_twenty_rotations_under_many_writers) {
        return;
    }
    for count in [1, 4, 16] {
        let tree = Tree::new();
        configure(&tree, "mode = 'copy-truncate'\n");
        prove(
            &tree,
            Writers::append(&tree.path("logs/app.log"), count, 0.005),
            20,
        );
        let filesystem = Tmpfs::new(2 << 30);
        let tree = Tree::on(&filesystem);
        configure(&tree, "mode = 'punch'\n");
        prove(
            &tree,
            Writers::append(&tree.path("logs/app.log"), count, 0.005),
            20,
        );
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_rotated_head_has_the_mode_owner_and_times_of_its_log() {
    if !require::root() || !can_collapse() {
        return;
    }
    let tree = Tree::new();
    configure(&tree, "mode = 'copy-truncate'\n");
    for name in [&b"svc[12].log"[..], b"-rf\n.log", b"\xff \xfe.log"] {
        let below = Path::new("logs").join(OsStr::from_bytes(name));
        let all = lines("name", 100_000);
        let log = tree.aged(&below, &all, HOUR);
        std::os::unix::fs::chown(&log, Some(1234), Some(2345)).unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(&log).unwrap();
        let report = rotate(&tree);
        assert_eq!(statuses(&report, LOGS), ["done"], "{report:#}");
        let rotated = tree.rotated(below.to_str().unwrap_or("logs/-"));
        let rotated = if below.to_str().is_some() {
            rotated[0].clone()
        } else {
            let found = fs::read_dir(tree.path("logs")).unwrap();
            let mut found = found.map(|entry| entry.unwrap().path());
            found
                .find(|path| {
                    path != &log
                        && path
                            .as_os_str()
                            .as_bytes()
                            .starts_with(log.as_os_str().as_bytes())
                })
                .unwrap()
        };
        let packed = fs::metadata(&rotated).unwrap();
        assert_eq!(
            (packed.uid(), packed.gid(), packed.mode()),
            (1234, 2345, before.mode())
        );
        assert_eq!(packed.mtime(), before.mtime());
        let now = fs::metadata(&log).unwrap();
        assert_eq!(
            (now.uid(), now.mode(), now.ino()),
            (1234, before.mode(), before.ino())
        );
        let mut stream = crate::fixture::unpack(&rotated);
        assert!(
            stream.len().is_multiple_of(4096),
            "a whole number of blocks"
        );
        stream.extend(fs::read(&log).unwrap());
        assert!(stream == all);
        fs::remove_file(log).unwrap();
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_writer_that_does_not_append_keeps_its_log_from_auto_and_copy_truncate() {
    if !require::own_machine(
        a_writer_that_does_not_append_keeps_its_log_from_auto_and_copy_truncate,
    ) {
        return;
    }
    for mode in ["auto", "copy-truncate"] {
        let tree = Tree::new();
        configure(&tree, &format!("mode = '{mode}'\n"));
        let log = tree.aged("logs/app.log", lines("app", 100_000), HOUR);
        let file = OpenOptions::new().write(true).open(&log).unwrap();
        let mut writer = Command::new("sleep")
            .arg("60")
            .stdout(file)
            .spawn()
            .unwrap();
        let report = rotate(&tree);
        let reason = kept(&report, LOGS)["logs/app.log"].clone();
        let pid = format!("open for writing by pid {} (sleep); ", writer.id());
        assert!(reason.starts_with(&pid), "{reason}");
        for cure in [">>", "mode = \"punch\"", "mode = \"rename\""] {
            assert!(reason.contains(cure), "{reason}");
        }
        assert_eq!(peek(&log).unwrap(), lines("app", 100_000));
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_writer_whom_proc_does_not_show_is_known_by_the_lease() {
    if !require::own_machine(a_writer_whom_proc_does_not_show_is_known_by_the_lease) {
        return;
    }
    let tree = Tree::new();
    configure(&tree, "");
    let log = tree.aged("logs/app.log", lines("app", 100_000), HOUR);
    let _held = OpenOptions::new().append(true).open(&log).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--mount-proc"]);
    command.arg(env!("CARGO_BIN_EXE_sysopt"));
    tree.prepare(
        &mut command,
        &["-v", "--format", "json", "-n", "rotate-logs"],
    );
    let ran = crate::fixture::Ran::from(command.output().unwrap());
    let reason = kept(&ran.report(), LOGS)["logs/app.log"].clone();
    assert!(reason.contains("/proc does not show"), "{reason}");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_log_that_can_only_be_appended_to_is_kept() {
    if !require::root() {
        return;
    }
    let tree = Tree::new();
    configure(&tree, "");
    let log = tree.aged("logs/app.log", lines("app", 100_000), HOUR);
    let chattr = |flag: &str| {
        let changed = Command::new("chattr").arg(flag).arg(&log).status();
        changed.is_ok_and(|status| status.success())
    };
    if !chattr("+a") {
        require::missing("chattr +a on this filesystem");
        return;
    }
    for mode in ["auto", "rename", "copy-truncate", "punch"] {
        let (ran, report) = tree.json(&["-v", "rotate-logs", "--mode", mode]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let reason = &kept(&report, LOGS)["logs/app.log"];
        assert!(reason.contains("append-only"), "{mode}: {reason}");
    }
    assert!(chattr("-a"));
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn where_nothing_can_be_collapsed_only_the_mode_by_name_truncates_and_says_so() {
    if !require::own_machine(
        where_nothing_can_be_collapsed_only_the_mode_by_name_truncates_and_says_so,
    ) {
        return;
    }
    for codec in ["gzip", "zstd", "none"] {
        let filesystem = Tmpfs::new(64 << 20);
        let tree = Tree::on(&filesystem);
        configure(&tree, &format!("compress_old_logs = '{codec}'\n"));
        let all = lines("app", 900_000);
        let log = tree.aged("logs/app.log", &all, HOUR);
        let mut held = OpenOptions::new().append(true).open(&log).unwrap();
        let report = rotate(&tree);
        let reason = kept(&report, LOGS)["logs/app.log"].clone();
        assert!(reason.contains("cannot collapse a range"), "{reason}");
        assert_eq!(operation(&report, LOGS)["metadata"]["lossless"], true);
        let (ran, report) = tree.json(&["rotate-logs", "--mode", "copy-truncate"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(operation(&report, LOGS)["metadata"]["lossless"], false);
        assert!(
            report["warnings"].to_string().contains("is lost"),
            "{report:#}"
        );
        assert_eq!(fs::metadata(&log).unwrap().len(), 0);
        held.write_all(b"next\n").unwrap();
        let mut expected = all;
        expected.extend_from_slice(b"next\n");
        assert!(tree.stream("logs/app.log") == expected);
        archives_are_valid(&tree, "logs/app.log");
        assert!(records(&tree, "logs").is_empty());
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_log_that_was_punched_is_due_by_what_it_takes_and_goes_on_where_it_was_cut() {
    if !require::own_machine(
        a_log_that_was_punched_is_due_by_what_it_takes_and_goes_on_where_it_was_cut,
    ) {
        return;
    }
    let filesystem = Tmpfs::new(64 << 20);
    let tree = Tree::on(&filesystem);
    tree.config("[logs]\nmax_file_size = '2MiB'\nmode = 'punch'\n");
    let mut all = noise(8 << 20);
    let log = tree.aged("logs/app.log", &all, HOUR);
    rotate(&tree);
    let size = fs::metadata(&log).unwrap().len();
    assert_eq!(size, all.len() as u64, "it keeps its apparent size");
    for mode in ["punch", "auto", "rename"] {
        let (_, report) = tree.json(&["rotate-logs", "--mode", mode]);
        assert_eq!(statuses(&report, LOGS), [""; 0], "{mode}");
    }
    let more = noise(4 << 20);
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(&more).unwrap();
    drop(file);
    all.extend(more);
    assert_eq!(statuses(&rotate(&tree), LOGS), ["done"]);
    let mut stream: Vec<u8> = Vec::new();
    for path in tree.rotated("logs/app.log") {
        stream.extend(crate::fixture::unpack(&path));
    }
    let live = fs::read(&log).unwrap();
    stream.extend(live.into_iter().skip_while(|byte| *byte == 0));
    assert!(stream == all);
}

/// A log of which hardly anything can be compressed.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut text = Vec::with_capacity(bytes + 100);
    while text.len() < bytes {
        for _ in 0..5 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text.extend_from_slice(format!("{:016x}", state ^ (state >> 29)).as_bytes());
        }
        text.truncate(text.len() - usize::try_from(state >> 60).unwrap());
        text.push(b'\n');
    }
    text
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_12_the_pieces_of_a_log_on_a_full_disk_are_those_of_the_dry_run() {
    if !require::own_machine(trap_12_the_pieces_of_a_log_on_a_full_disk_are_those_of_the_dry_run) {
        return;
    }
    let filesystem = Tmpfs::new(24 << 20);
    let tree = Tree::on(&filesystem);
    configure(&tree, "mode = 'punch'\ncompress_old_logs = 'none'\n");
    let all = noise(16 << 20);
    tree.aged("logs/app.log", &all, HOUR);
    let (ran, shown) = tree.json(&["-n", "rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (ran, done) = tree.json(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let targets = |report: &Value| -> Vec<String> {
        let list = operation(report, LOGS)["actions"].as_array().unwrap();
        let to = |action: &Value| action["to"].as_str().unwrap().to_owned();
        list.iter().map(to).collect()
    };
    let (shown, done_to) = (targets(&shown), targets(&done));
    assert!(shown.len() >= 4, "{shown:?}");
    assert_eq!(shown.len(), done_to.len());
    assert!(
        statuses(&done, LOGS).iter().all(|status| status == "done"),
        "{done:#}"
    );
    for to in &done_to {
        assert!(tree.path(to).exists(), "{to}");
    }
    let mut stream: Vec<u8> = Vec::new();
    for path in tree.rotated("logs/app.log") {
        let bytes = fs::read(path).unwrap();
        assert_eq!(bytes.last(), Some(&b'\n'));
        stream.extend(bytes);
    }
    let live = fs::read(tree.path("logs/app.log")).unwrap();
    stream.extend(live.into_iter().skip_while(|byte| *byte == 0));
    assert!(stream == all);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_07_a_rotation_that_fails_on_a_full_disk_is_no_rotation() {
    if !require::own_machine(trap_07_a_rotation_that_fails_on_a_full_disk_is_no_rotation) {
        return;
    }
    for mode in ["punch", "copy-truncate"] {
        let filesystem = Tmpfs::new(8 << 20);
        let tree = Tree::on(&filesystem);
        tree.config(&format!(
            "[logs]\nmax_file_size = '32KiB'\nmax_files_per_logger = 1\nmode = '{mode}'\n"
        ));
        let all = noise(2 << 20);
        let log = tree.aged("logs/app.log", &all, HOUR);
        for day in 1..4 {
            tree.aged(format!("logs/app.log-2026010{day}T000000Z.gz"), b"", HOUR);
        }
        fs::create_dir(tree.path(".sysopt")).unwrap();
        let mut filler = fs::File::create(tree.path("filler")).unwrap();
        while filler.write_all(&[1; 4096]).is_ok() {}
        drop(filler);
        let (ran, report) = tree.json(&["rotate-logs"]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        let list = actions(&report, LOGS);
        assert_eq!(list[0].2, "failed", "{list:?}");
        assert!(
            list[1..].iter().all(|(.., status)| status == "not_reached"),
            "{list:?}"
        );
        assert!(fs::read(&log).unwrap() == all, "{mode}");
        assert_eq!(tree.rotated("logs/app.log").len(), 3, "{mode}");
        assert!(records(&tree, "logs").is_empty());
        fs::remove_file(tree.path("filler")).unwrap();
        let report = rotate(&tree);
        assert!(
            statuses(&report, LOGS)
                .iter()
                .all(|status| status == "done"),
            "{report:#}"
        );
        assert_eq!(tree.rotated("logs/app.log").len(), 1, "{mode}");
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trap_10_a_directory_swapped_for_a_link_leads_nothing_astray() {
    if !require::root() || !can_collapse() {
        return;
    }
    let tree = Tree::new();
    configure(&tree, "mode = 'copy-truncate'\n");
    let all = noise(24 << 20);
    tree.aged("logs/app.log", &all, HOUR);
    let victim = tree.outside().join("victim");
    fs::create_dir(&victim).unwrap();
    let child = tree.spawn(&["rotate-logs"]);
    let at_work = || {
        tree.names("logs")
            .iter()
            .any(|name| name.starts_with(".sysopt-"))
    };
    assert!(within(Duration::from_secs(20), at_work));
    fs::rename(tree.path("logs"), tree.path("moved")).unwrap();
    symlink(&victim, tree.path("logs")).unwrap();
    let ran = crate::fixture::finish(child, Duration::from_mins(1));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    assert_eq!(tree.rotated("moved/app.log").len(), 1);
    assert!(tree.stream("moved/app.log") == all);
}
