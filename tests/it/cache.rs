//! `clean-cache` on a real file system: what goes, what stays, and what that gives back.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::fixture::{
    DAY, HOUR, Tmpfs, Tree, actions, kept, mount, operation, set_age, statuses, used,
};
use crate::require;

const CACHE: &str = "cache_cleanup";
const KIB: usize = 1024;

/// Evicts all that may go at all.
const ALL: [&str; 6] = [
    "-v",
    "clean-cache",
    "--max-size",
    "0",
    "--preserve-recent",
    "1h",
];

fn evicted(report: &serde_json::Value) -> Vec<String> {
    actions(report, CACHE)
        .into_iter()
        .filter(|(verb, ..)| verb == "evict")
        .map(|(_, path, _)| path)
        .collect()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_least_recently_used_go_first_down_to_the_threshold() {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '100KiB'\ncleanup_threshold = 0.8\n");
    // 120 KiB: 40 KiB must go to be at 80 KiB.
    for (name, age) in [("a", 1), ("b", 5), ("c", 3), ("d", 4), ("e", 2), ("f", 6)] {
        tree.aged(format!("cache/{name}"), vec![1; 20 * KIB], age * DAY);
    }
    // Read yesterday, though written long ago.
    let path = tree.path("cache/f");
    let now = SystemTime::now();
    File::open(&path)
        .unwrap()
        .set_times(
            fs::FileTimes::new()
                .set_modified(now - 6 * DAY)
                .set_accessed(now - DAY),
        )
        .unwrap();
    let (ran, report) = tree.json(&["clean-cache"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), ["cache/b", "cache/d"]);
    assert_eq!(tree.names("cache"), ["a", "c", "e", "f"]);
    assert_eq!(operation(&report, CACHE)["bytes_freed"], 40 * KIB);
    let again = tree.json(&["clean-cache"]).1;
    assert_eq!(evicted(&again), [""; 0]);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn nothing_used_lately_goes_and_the_report_says_what_is_missing() {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '8KiB'\ncleanup_threshold = 1.0\n");
    tree.aged("cache/new", vec![1; 16 * KIB], HOUR);
    tree.aged("cache/old", vec![1; 16 * KIB], 3 * HOUR);
    let future = tree.write("cache/future", vec![1; 4 * KIB]);
    let file = File::options().write(true).open(&future).unwrap();
    file.set_modified(SystemTime::now() + DAY).unwrap();
    drop(file);
    let (ran, report) = tree.json(&["-v", "clean-cache"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), ["cache/old"]);
    assert_eq!(tree.names("cache"), ["future", "new"]);
    assert_eq!(
        operation(&report, CACHE)["metadata"]["over_budget_bytes"],
        12 * KIB
    );
    assert!(
        report["warnings"].to_string().contains("over its limit"),
        "{report:#}"
    );
    let kept = kept(&report, CACHE);
    assert!(kept["cache/new"].contains("used 1 h ago"), "{kept:?}");
    assert!(kept["cache/future"].contains("future"), "{kept:?}");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_is_no_regular_file_stays() {
    let tree = Tree::new();
    let treasure = tree.outside().join("treasure");
    fs::create_dir(&treasure).unwrap();
    fs::write(treasure.join("kept.bin"), "kept").unwrap();
    set_age(&treasure.join("kept.bin"), 30 * DAY);
    tree.aged("cache/plain", b"x", 9 * DAY);
    symlink(&treasure, tree.path("cache/link")).unwrap();
    symlink("plain", tree.path("cache/alias")).unwrap();
    let fifo = CString::new(tree.path("cache/fifo").as_os_str().as_bytes()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fifo.as_c_str(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(tree.path("cache/socket")).unwrap();
    for name in ["fifo", "socket"] {
        let time = rustix::fs::Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(
            rustix::fs::CWD,
            tree.path("cache").join(name),
            &times,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }
    let (ran, report) = tree.json(&[&["-C", "."], &ALL[..]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), ["cache/plain"]);
    assert_eq!(tree.names("cache"), ["alias", "fifo", "link", "socket"]);
    assert_eq!(fs::read(treasure.join("kept.bin")).unwrap(), b"kept");
    let kept = kept(&report, CACHE);
    for (name, word) in [
        ("cache/fifo", "named pipe"),
        ("cache/socket", "socket"),
        ("cache/link", "symbolic link"),
    ] {
        assert!(kept[name].contains(word), "{kept:?}");
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn another_filesystem_is_not_entered() {
    if !require::own_machine(another_filesystem_is_not_entered) {
        return;
    }
    let tree = Tree::new();
    let elsewhere = tree.outside().join("elsewhere");
    fs::create_dir_all(tree.path("cache/bound")).unwrap();
    fs::create_dir_all(tree.path("cache/disk")).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    mount(
        &["--bind", elsewhere.to_str().unwrap()],
        &tree.path("cache/bound"),
    );
    mount(&["-t", "tmpfs", "tmpfs"], &tree.path("cache/disk"));
    let inside = tree.outside().join("one-file");
    fs::write(&inside, "bound file").unwrap();
    let onto = tree.aged("cache/bound-file", b"under", 9 * DAY);
    mount(&["--bind", inside.to_str().unwrap()], &onto);
    set_age(&onto, 9 * DAY);
    for place in ["cache/bound/a", "cache/disk/b", "cache/own"] {
        tree.aged(place, vec![1; 9 * KIB], 9 * DAY);
    }
    let (ran, report) = tree.json(&[&["-C", "."], &ALL[..]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), ["cache/own"]);
    assert!(elsewhere.join("a").exists());
    assert!(tree.path("cache/disk/b").exists());
    assert_eq!(fs::read(&inside).unwrap(), b"bound file");
    let kept = kept(&report, CACHE);
    for path in ["cache/bound", "cache/disk", "cache/bound-file"] {
        assert_eq!(kept[path], "on another filesystem", "{kept:?}");
    }
    for place in ["cache/bound", "cache/disk", "cache/bound-file"] {
        let _ = Command::new("umount").arg(tree.path(place)).status();
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn links_inside_go_together_and_links_outside_stay() {
    let tree = Tree::new();
    let before = used(tree.outside());
    let twin = tree.aged("cache/a/twin", vec![1; 64 * KIB], 9 * DAY);
    fs::create_dir(tree.path("cache/b")).unwrap();
    fs::hard_link(&twin, tree.path("cache/b/twin")).unwrap();
    let shared = tree.aged("cache/shared", vec![2; 64 * KIB], 9 * DAY);
    fs::hard_link(&shared, tree.path("kept-elsewhere")).unwrap();
    assert!(used(tree.outside()) >= before);
    let (ran, report) = tree.json(&[&["-C", "."], &ALL[..]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), ["cache/a/twin", "cache/b/twin"]);
    assert_eq!(statuses(&report, CACHE), ["done"; 4]);
    let allocated = fs::metadata(&shared).unwrap().blocks() * 512;
    // The two directories that this emptied give back their blocks too.
    let directories = 2 * fs::metadata(tree.path("cache")).unwrap().blocks() * 512;
    assert_eq!(
        operation(&report, CACHE)["bytes_freed"],
        allocated + directories
    );
    assert_eq!(tree.names("cache"), ["shared"]);
    assert_eq!(
        fs::read(tree.path("kept-elsewhere")).unwrap().len(),
        64 * KIB
    );
    assert!(kept(&report, CACHE)["cache/shared"].contains("other names"));
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_sparse_file_counts_for_its_blocks() {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '1MiB'\ncleanup_threshold = 1.0\n");
    let sparse = tree.write("cache/sparse", b"");
    let mut file = File::options().write(true).open(&sparse).unwrap();
    file.set_len(1 << 40).unwrap();
    file.write_all(&[1; 4 * KIB]).unwrap();
    file.sync_all().unwrap();
    drop(file);
    set_age(&sparse, 9 * DAY);
    tree.aged("cache/old", vec![1; 100 * KIB], 20 * DAY);
    let (_, report) = tree.json(&["clean-cache"]);
    assert_eq!(evicted(&report), [""; 0], "a terabyte of hole is no usage");
    let blocks = fs::metadata(&sparse).unwrap().blocks() * 512;
    let (_, report) = tree.json(&["clean-cache", "--max-size", "0"]);
    assert_eq!(evicted(&report), ["cache/old", "cache/sparse"]);
    assert_eq!(
        operation(&report, CACHE)["bytes_freed"],
        blocks + 100 * KIB as u64
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn directories_that_were_emptied_go_but_none_that_was_empty() {
    let tree = Tree::new();
    tree.aged("cache/deep/er/est/a", b"x", 9 * DAY);
    tree.aged("cache/half/a", b"x", 9 * DAY);
    tree.aged("cache/half/new", b"x", Duration::from_secs(1));
    fs::create_dir_all(tree.path("cache/empty")).unwrap();
    fs::create_dir_all(tree.path("cache/outer/hollow")).unwrap();
    tree.aged("cache/outer/a", b"x", 9 * DAY);
    let (ran, report) = tree.json(&[&["-C", "."], &ALL[..]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(tree.names("cache"), ["empty", "half", "outer"]);
    assert_eq!(tree.names("cache/half"), ["new"]);
    assert_eq!(tree.names("cache/outer"), ["hollow"]);
    let removed: Vec<String> = actions(&report, CACHE)
        .into_iter()
        .filter(|(verb, ..)| verb == "remove_directory")
        .map(|(_, path, _)| path)
        .collect();
    assert_eq!(
        removed,
        ["cache/deep/er/est", "cache/deep/er", "cache/deep"]
    );
    // The root stays also when nothing is left in it.
    fs::remove_dir_all(tree.path("cache")).unwrap();
    tree.aged("cache/only", b"x", 9 * DAY);
    assert_eq!(tree.run(&[&["-C", "."], &ALL[..]].concat()).code, Some(0));
    assert!(tree.path("cache").is_dir());
    assert!(tree.names("cache").is_empty());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn nested_directories_have_one_owner_each() {
    let tree = Tree::new();
    // The defaults: models in a cache, a cache in the logs.
    tree.aged("cache/models/m.pkl", vec![1; 9 * KIB], 30 * DAY);
    tree.aged("cache/x.bin", vec![1; 9 * KIB], 30 * DAY);
    tree.aged("logs/cache/x.log", vec![b'l'; 9 * KIB], 30 * DAY);
    tree.aged("logs/app.log", vec![b'l'; 9 * KIB], 30 * DAY);
    tree.aged("data/cache/x", vec![1; 9 * KIB], 30 * DAY);
    let before = tree.snapshot();
    let (ran, report) = tree.json(&[&["-C", "."], &ALL[..]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut gone = evicted(&report);
    gone.sort();
    assert_eq!(gone, ["cache/x.bin", "data/cache/x", "logs/cache/x.log"]);
    let after = tree.snapshot();
    for path in ["cache/models/m.pkl", "logs/app.log"] {
        let path = Path::new(path);
        assert_eq!(after[path], before[path], "{}", path.display());
    }
    // And the other way round: the cache in the logs holds no log.
    tree.aged("logs/cache/y.log", vec![b'l'; 9 * KIB], 30 * DAY);
    let (ran, _) = tree.json(&["-C", ".", "rotate-logs", "--max-size", "1KiB"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(tree.names("logs/cache"), ["y.log"]);
    assert_eq!(tree.rotated("logs/app.log").len(), 1);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn bytes_freed_are_bytes_that_the_filesystem_gave_back() {
    if !require::own_machine(bytes_freed_are_bytes_that_the_filesystem_gave_back) {
        return;
    }
    let disk = Tmpfs::new(8 << 20);
    let tree = Tree::on(&disk);
    tree.config("[cache]\nmax_size = '0'\n");
    for number in 0..20_usize {
        let name = format!("cache/d{}/f{number}", number % 3);
        tree.aged(name, vec![1; 1 + number * 3000], 9 * DAY);
    }
    let twin = tree.aged("cache/twin", vec![1; 50_000], 9 * DAY);
    fs::hard_link(&twin, tree.path("cache/d0/twin")).unwrap();
    // The state takes blocks as well: made before, and as large afterwards.
    tree.run(&["clean-cache", "--max-size", "1GiB"]);
    let mut command = tree.command(&["--format", "json", "clean-cache", "./cache"]);
    let before = disk.used();
    let output = command.output().unwrap();
    let freed = before - disk.used();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(operation(&report, CACHE)["bytes_freed"], freed);
    assert_eq!(report["total_bytes_freed"], freed);
    assert!(freed > 500_000, "{freed}");
    assert!(tree.names("cache").is_empty());
}

#[test]
fn a_dry_run_promises_what_a_run_gives() {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '0'\n");
    for number in 0..9_usize {
        let name = format!("cache/d{}/f{number}", number % 3);
        tree.aged(name, vec![1; 1 + number * 5000], 9 * DAY);
    }
    let planned = tree.json(&["-n", "clean-cache"]).1;
    let done = tree.json(&["clean-cache"]).1;
    assert_eq!(
        operation(&planned, CACHE)["bytes_freed"],
        operation(&done, CACHE)["bytes_freed"]
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_file_in_use_stays() {
    if !require::own_machine(a_file_in_use_stays) {
        return;
    }
    let tree = Tree::new();
    let held = tree.aged("cache/held.bin", vec![1; 9 * KIB], 9 * DAY);
    let mapped = tree.aged("cache/mapped.bin", vec![1; 9 * KIB], 9 * DAY);
    tree.aged("cache/free.bin", vec![1; 9 * KIB], 9 * DAY);
    let mut sleeper = Command::new("sleep")
        .arg("60")
        .stdin(File::open(&held).unwrap())
        .spawn()
        .unwrap();
    // A mapped file has no open descriptor.
    let script = "import mmap,sys,time,os\n\
                  f=os.open(sys.argv[1],os.O_RDONLY|os.O_NOATIME)\n\
                  m=mmap.mmap(f,0,prot=mmap.PROT_READ)\nos.close(f)\n\
                  print('ready',flush=True)\nsys.stdin.read()\n";
    let mut holder = Command::new("python3")
        .args(["-c", script])
        .arg(&mapped)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let (ran, report) = tree.json(&[&["-C", "."], &ALL[..]].concat());
    let pid = sleeper.id();
    for child in [&mut sleeper, &mut holder] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), ["cache/free.bin"]);
    assert_eq!(tree.names("cache"), ["held.bin", "mapped.bin"]);
    let kept = kept(&report, CACHE);
    assert_eq!(
        kept["cache/held.bin"],
        format!("in use by pid {pid} (sleep)")
    );
    assert!(kept["cache/mapped.bin"].contains("in use"), "{kept:?}");
    let (_, report) = tree.json(&[&["-C", "."], &ALL[..]].concat());
    assert_eq!(evicted(&report).len(), 2, "nobody has them any more");
}

#[test]
fn a_directory_that_somebody_works_in_stays_when_it_was_emptied() {
    let tree = Tree::new();
    tree.aged("cache/outer/place/a", b"x", 9 * DAY);
    tree.aged("cache/free/a", b"x", 9 * DAY);
    let mut worker = Command::new("sleep")
        .arg("60")
        .current_dir(tree.path("cache/outer/place"))
        .spawn()
        .unwrap();
    let (_, report) = tree.json(&[&["-v", "-C", "."], &ALL[..]].concat());
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!(evicted(&report).len(), 2, "{report:#}");
    assert_eq!(tree.names("cache"), ["outer"]);
    assert!(tree.path("cache/outer/place").is_dir());
    let place = &kept(&report, CACHE)["cache/outer/place"];
    assert!(place.contains("in use by"), "{place}");
}

/// Holds a run between its plan and its first change, does something, and lets it go on: strace
/// delays the first `unlinkat`.
pub fn between_plan_and_apply(
    tree: &Tree,
    args: &[&str],
    meanwhile: impl FnOnce(),
) -> serde_json::Value {
    let call = "unlinkat";
    let log = tree.outside().join("stops");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log);
    command.args(["-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:delay_enter=3s:when=1")]);
    command.arg(env!("CARGO_BIN_EXE_sysopt"));
    let mut all = vec!["--format", "json", "--threads", "1"];
    all.extend(args);
    tree.prepare(&mut command, &all);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_unlink(child.id());
    meanwhile();
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Waits until the program that strace runs is about to remove something.
fn wait_for_unlink(strace: u32) {
    let wanted = format!("{} ", libc::SYS_unlinkat);
    let children = format!("/proc/{strace}/task/{strace}/children");
    for _ in 0..12_000 {
        let pids = fs::read_to_string(&children).unwrap_or_default();
        let call = |pid: &str| fs::read_to_string(format!("/proc/{pid}/syscall"));
        let mut calls = pids.split_whitespace().filter_map(|pid| call(pid).ok());
        if calls.any(|call| call.starts_with(&wanted)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("nothing was removed in a minute");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_file_that_vanishes_or_changes_after_the_plan_is_left_alone() {
    if !require::tool("strace") {
        return;
    }
    let tree = Tree::new();
    tree.aged("cache/0-first", b"x", 20 * DAY);
    tree.aged("cache/gone", b"x", 10 * DAY);
    tree.aged("cache/changed", b"x", 10 * DAY);
    tree.aged("cache/replaced", b"x", 10 * DAY);
    tree.aged("cache/sub/file", b"x", 10 * DAY);
    tree.aged("cache/linked", b"x", 10 * DAY);
    let outside = tree.outside().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "precious").unwrap();
    let args = ["-C", ".", "clean-cache", "--max-size", "0"];
    let report = between_plan_and_apply(&tree, &args, || {
        fs::remove_file(tree.path("cache/gone")).unwrap();
        fs::write(tree.path("cache/changed"), "new content").unwrap();
        fs::remove_file(tree.path("cache/replaced")).unwrap();
        fs::write(tree.path("cache/replaced"), "y").unwrap();
        fs::remove_file(tree.path("cache/linked")).unwrap();
        symlink(outside.join("file"), tree.path("cache/linked")).unwrap();
        fs::rename(tree.path("cache/sub"), tree.path("cache/moved")).unwrap();
        symlink(&outside, tree.path("cache/sub")).unwrap();
    });
    let list = actions(&report, CACHE);
    for (verb, path, status) in &list {
        let expected = if path == "cache/0-first" {
            "done"
        } else {
            "changed"
        };
        assert_eq!(status, expected, "{verb} {path} {report:#}");
    }
    assert_eq!(list.len(), 7, "{list:?}");
    assert_eq!(report["outcome"], "success", "none of this is a failure");
    assert_eq!(
        fs::read(tree.path("cache/changed")).unwrap(),
        b"new content"
    );
    assert_eq!(fs::read(tree.path("cache/replaced")).unwrap(), b"y");
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
    assert_eq!(fs::read(tree.path("cache/moved/file")).unwrap(), b"x");
}

#[test]
fn a_directory_that_cannot_be_read_is_a_failure() {
    if !require::root() {
        return;
    }
    let tree = Tree::new();
    tree.aged("cache/a", b"x", 9 * DAY);
    tree.aged("cache/closed/b", b"x", 9 * DAY);
    let (code, report) = as_nobody(&tree, &["-n", "clean-cache", "--max-size", "0"], || {
        use std::os::unix::fs::PermissionsExt;
        let closed = fs::Permissions::from_mode(0o700);
        fs::set_permissions(tree.path("cache/closed"), closed).unwrap();
    });
    assert_eq!(code, Some(3), "{report:#}");
    let errors = operation(&report, CACHE)["errors"].to_string();
    assert!(
        errors.contains("cache/closed") && errors.contains("Permission denied"),
        "{errors}"
    );
}

/// Runs as a user who owns nothing here.
fn as_nobody(tree: &Tree, args: &[&str], close: impl FnOnce()) -> (Option<i32>, serde_json::Value) {
    let command = tree.as_user(65_534, &[&["--format", "json"], args].concat());
    close();
    let output = { command }.output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        report.unwrap_or_else(|error| panic!("{error}: {output:?}")),
    )
}

#[test]
fn databases_locks_and_foreign_trees_stay() {
    let tree = Tree::new();
    for name in [
        "CACHEDIR.TAG",
        "x.lock",
        "run.pid",
        "data.sqlite",
        "data.sqlite-wal",
        "repo/.git/HEAD",
        "repo/file",
        "app.log-20260101T000000Z.gz",
        ".sysopt/state.json",
        "Cookies",
        "Cookies-journal",
    ] {
        tree.aged(Path::new("cache").join(name), vec![1; 9 * KIB], 30 * DAY);
    }
    let before = tree.snapshot();
    let (ran, report) = tree.json(&[&["-C", "."], &ALL[..]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), [""; 0]);
    let after = tree.snapshot();
    for (path, shot) in before.iter().filter(|(path, _)| path.starts_with("cache")) {
        assert_eq!(after.get(path), Some(shot), "{}", path.display());
    }
}
