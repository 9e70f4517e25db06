//! Garbage collection: what no one owns any more, class by class, with true figures.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use crate::cache::between_plan_and_apply;
use crate::fixture::{DAY, HOUR, Tmpfs, Tree, actions, operation, set_age};
use crate::require;

const GARBAGE: &str = "garbage_collection";

fn collect(tree: &Tree) -> Value {
    let (ran, report) = tree.json(&["-v", "-C", ".", "cycle", "--force", "--only", "garbage"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    report
}

fn figures(report: &Value, class: &str) -> (u64, u64, u64) {
    let class = &operation(report, GARBAGE)["metadata"]["classes"][class];
    let number = |key: &str| {
        class[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key} of {class}"))
    };
    (number("examined"), number("dead"), number("collected"))
}

fn gone(report: &Value) -> Vec<String> {
    let mut gone: Vec<String> = actions(report, GARBAGE)
        .into_iter()
        .filter(|(.., status)| status == "done")
        .map(|(_, path, _)| path)
        .collect();
    gone.sort();
    gone
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn our_own_temporary_files_go_when_nobody_holds_them() {
    let tree = Tree::new();
    tree.aged("logs/.sysopt-1-0.tmp", vec![1; 9000], 2 * HOUR);
    tree.aged("cache/.sysopt-2-0.tmp", b"young", HOUR / 2);
    tree.aged("models/archived/.sysopt-3-0.tmp", b"half a model", 2 * HOUR);
    tree.write("models/archived/manifest.jsonl", "");
    let held = tree.aged("logs/.sysopt-4-0.tmp", b"held", 2 * HOUR);
    let lock = File::open(&held).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let report = collect(&tree);
    assert_eq!(
        gone(&report),
        ["logs/.sysopt-1-0.tmp", "models/archived/.sysopt-3-0.tmp"]
    );
    assert!(held.exists());
    assert_eq!(figures(&report, "own_temporaries"), (4, 2, 2));
}

#[test]
fn what_a_killed_run_left_among_the_books_goes_too() {
    let tree = Tree::new();
    assert_eq!(collect(&tree)["outcome"], "success");
    let left = tree.aged(".sysopt/.sysopt-1-0.tmp", b"half a state", 2 * HOUR);
    collect(&tree);
    assert!(!left.exists());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn temporary_files_go_from_the_temporary_directories_alone() {
    let tree = Tree::new();
    let names = [
        "a.tmp",
        "b.temp",
        "c.part",
        "d.partial",
        "e.incomplete",
        "f.crdownload",
        "g~",
        ".DS_Store",
        "Thumbs.db",
    ];
    for name in names {
        tree.aged(Path::new("temp/sub").join(name), vec![1; 5000], 2 * DAY);
    }
    tree.aged("temp/young.tmp", b"x", HOUR);
    tree.aged("temp/data.bin", b"x", 90 * DAY);
    tree.aged("cache/download.part", b"paused", 9 * DAY);
    let open = tree.aged("temp/open.tmp", b"x", 2 * DAY);
    let linked = tree.aged("temp/linked.tmp", b"x", 2 * DAY);
    fs::hard_link(&linked, tree.path("temp/other name")).unwrap();
    symlink("data.bin", tree.path("temp/link.tmp")).unwrap();
    for name in ["x.lock", ".nfs0001"] {
        tree.aged(Path::new("temp").join(name), b"x", 90 * DAY);
    }
    let reader = File::open(&open).unwrap();
    let blocks: u64 = names
        .iter()
        .map(|name| {
            fs::metadata(tree.path("temp/sub").join(name))
                .unwrap()
                .blocks()
                * 512
        })
        .sum();
    let report = collect(&tree);
    drop(reader);
    let mut expected = names.map(|name| format!("temp/sub/{name}"));
    expected.sort();
    assert_eq!(gone(&report), expected);
    assert_eq!(operation(&report, GARBAGE)["bytes_freed"], blocks);
    let class = &operation(&report, GARBAGE)["metadata"]["classes"]["temporary_files"];
    assert_eq!(class["bytes_collected"], blocks);
    assert_eq!(
        class["skipped"],
        json!({ "in_use": 1, "recent": 1, "reported_only": 1, "several_links": 1 })
    );
    assert_eq!(
        fs::read(tree.path("cache/download.part")).unwrap(),
        b"paused"
    );
    assert_eq!(
        tree.names("temp"),
        [
            ".nfs0001",
            "data.bin",
            "link.tmp",
            "linked.tmp",
            "open.tmp",
            "other name",
            "sub",
            "x.lock",
            "young.tmp"
        ]
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn as_root_only_what_belongs_to_the_owner_of_its_directory_goes() {
    if !require::root() {
        return;
    }
    let tree = Tree::new();
    let theirs = tree.aged("tmp/theirs.tmp", b"x", 2 * DAY);
    let strange = tree.aged("tmp/strange.tmp", b"x", 2 * DAY);
    chown(tree.path("tmp"), Some(1234), Some(1234)).unwrap();
    chown(&theirs, Some(1234), Some(1234)).unwrap();
    chown(&strange, Some(4321), Some(4321)).unwrap();
    set_age(&theirs, 2 * DAY);
    set_age(&strange, 2 * DAY);
    assert_eq!(gone(&collect(&tree)), ["tmp/theirs.tmp"]);
    assert!(strange.exists());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn bytecode_without_its_source_goes() {
    let tree = Tree::new();
    tree.write("models/pkg/here.py", "");
    tree.write("models/pkg/__pycache__/here.cpython-312.pyc", "x");
    tree.write("models/pkg/__pycache__/gone.cpython-312.pyc", "x");
    tree.write("models/pkg/__pycache__/gone.cpython-312.opt-1.pyc", "x");
    tree.write("models/pkg/sourceless.pyc", "importable");
    let report = collect(&tree);
    assert_eq!(
        gone(&report),
        [
            "models/pkg/__pycache__/gone.cpython-312.opt-1.pyc",
            "models/pkg/__pycache__/gone.cpython-312.pyc"
        ]
    );
    assert_eq!(figures(&report, "bytecode"), (3, 2, 2));
    assert!(tree.path("models/pkg/sourceless.pyc").exists());
}

/// Links that lead nowhere, empty directories and pid files of processes that are gone.
fn opt_in() -> Tree {
    let tree = Tree::new();
    fs::create_dir_all(tree.path("temp/empty")).unwrap();
    fs::create_dir_all(tree.path("temp/new")).unwrap();
    symlink("nowhere", tree.path("temp/broken")).unwrap();
    symlink("empty", tree.path("temp/whole")).unwrap();
    // A process that has ended, and one that runs since before its file.
    let mut ended = Command::new("true").spawn().unwrap();
    let pid = ended.id();
    ended.wait().unwrap();
    tree.write("temp/dead.pid", format!("{pid}\n"));
    tree.write("temp/live.pid", format!("{}\n", std::process::id()));
    tree.write("temp/nonsense.pid", "no number");
    set_directory_age(&tree.path("temp/empty"));
    tree
}

fn set_directory_age(path: &Path) {
    let status = Command::new("touch")
        .args(["-d", "9 days ago"])
        .arg(path)
        .status();
    assert!(status.unwrap().success());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn some_classes_are_only_reported_unless_asked_for() {
    let tree = opt_in();
    let before = tree.snapshot();
    let report = collect(&tree);
    assert_eq!(gone(&report), [""; 0]);
    for class in ["broken_symlinks", "empty_directories", "pid_files"] {
        let (_, dead, collected) = figures(&report, class);
        assert_eq!((dead, collected), (1, 0), "{class} {report:#}");
    }
    let metadata = &operation(&report, GARBAGE)["metadata"];
    let dead = metadata["objects_before"].as_u64().unwrap();
    assert!(dead >= 3, "{metadata:#}");
    assert_eq!(metadata["objects_after"], dead);
    let mut after = tree.snapshot();
    after.retain(|path, _| path.starts_with("temp"));
    let mut before = before;
    before.retain(|path, _| path.starts_with("temp"));
    assert_eq!(after, before);
    tree.config("[garbage]\ndelete = ['broken_symlinks', 'empty_directories', 'pid_files']\n");
    let report = collect(&tree);
    assert_eq!(
        gone(&report),
        ["temp/broken", "temp/dead.pid", "temp/empty"]
    );
    assert_eq!(
        tree.names("temp"),
        ["live.pid", "new", "nonsense.pid", "whole"]
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_processes_hold_is_reported_with_pid_and_bytes() {
    if !require::own_machine(what_processes_hold_is_reported_with_pid_and_bytes) {
        return;
    }
    let tree = Tree::new();
    let log = tree.write("logs/held.log", vec![1; 100_000]);
    let file = File::open(&log).unwrap();
    let mut holder = Command::new("sleep").arg("60").stdin(file).spawn().unwrap();
    let blocks = fs::metadata(&log).unwrap().blocks() * 512;
    fs::remove_file(&log).unwrap();
    // A name that only looks deleted.
    let lies = tree.write("logs/x (deleted)", "here");
    let reader = File::open(lies).unwrap();
    let report = collect(&tree);
    let words = tree
        .run(&["-C", ".", "cycle", "--only", "garbage", "--force"])
        .stdout;
    drop(reader);
    let deleted = &operation(&report, GARBAGE)["metadata"]["deleted_open_files"];
    let pid = holder.id();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(deleted.as_array().unwrap().len(), 1, "{deleted:#}");
    assert_eq!(deleted[0]["pid"], pid);
    assert_eq!(deleted[0]["bytes"], blocks);
    assert!(
        deleted[0]["advice"]
            .as_str()
            .unwrap()
            .contains(&pid.to_string())
    );
    assert!(deleted[0]["path"].as_str().unwrap().contains("held.log"));
    for part in ["in 1 deleted file that is still open", "logs/held.log"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(figures(&report, "deleted_open_files"), (1, 1, 0));
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn bytes_freed_are_bytes_that_the_filesystem_gave_back() {
    if !require::own_machine(bytes_freed_are_bytes_that_the_filesystem_gave_back) {
        return;
    }
    let disk = Tmpfs::new(4 << 20);
    let tree = Tree::on(&disk);
    collect(&tree);
    for number in 0..9_usize {
        let mut file = File::create(tree.write(format!("temp/{number}.tmp"), b"")).unwrap();
        file.write_all(&vec![1; number * 7000 + 1]).unwrap();
        drop(file);
        set_age(&tree.path(format!("temp/{number}.tmp")), 2 * DAY);
    }
    let state = || {
        let shots = tree.snapshot();
        let sysopt = shots.iter().filter(|(path, _)| path.starts_with(".sysopt"));
        sysopt
            .map(|(_, shot)| shot.1.div_ceil(4096) * 4096)
            .sum::<u64>()
    };
    let before = disk.used() - state();
    let report = collect(&tree);
    let after = disk.used() - state();
    assert_eq!(operation(&report, GARBAGE)["bytes_freed"], before - after);
    assert!(before - after > 200_000);
}

#[test]
fn an_empty_directory_that_somebody_uses_or_has_locked_stays() {
    let tree = Tree::new();
    tree.config("[garbage]\ndelete = ['empty_directories']\n");
    for name in ["free", "open", "place", "locked", "outer/inner"] {
        let path = tree.path("temp").join(name);
        fs::create_dir_all(&path).unwrap();
        set_directory_age(&path);
    }
    let lock = tree.path("temp/outer");
    let script = "exec 7<\"$1\" 8<\"$2\" 9<\"$3\"; flock 8; flock -s 9; echo; exec cat";
    let mut holder = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([tree.path("temp/open"), tree.path("temp/locked"), lock])
        .current_dir(tree.path("temp/place"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let before = fs::metadata(tree.path("temp/free")).unwrap().blocks() * 512;
    let report = collect(&tree);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(gone(&report), ["temp/free"]);
    let operation = operation(&report, GARBAGE);
    let class = &operation["metadata"]["classes"]["empty_directories"];
    assert_eq!(class["skipped"]["locked"], 2, "{class}");
    assert_eq!(class["skipped"]["in_use"], 2, "{class}");
    assert_eq!(class["bytes_collected"], before, "{class}");
    assert_eq!(operation["bytes_freed"], before);
    assert_eq!(gone(&collect(&tree)).len(), 4, "nobody has them any more");
}

#[test]
fn what_comes_to_life_after_the_plan_stays() {
    if !require::tool("strace") {
        return;
    }
    let tree = Tree::new();
    tree.config("[garbage]\ndelete = ['broken_symlinks', 'empty_directories']\n");
    tree.aged("temp/0-first.tmp", "x", 9 * DAY);
    let read = tree.aged("temp/1-read.tmp", "x", 9 * DAY);
    symlink("target", tree.path("temp/link")).unwrap();
    let directory = tree.path("temp/locked");
    fs::create_dir(&directory).unwrap();
    set_directory_age(&directory);
    let mut lock = None;
    let args = ["-C", ".", "cycle", "--force", "--only", "garbage"];
    let report = between_plan_and_apply(&tree, &args, || {
        assert_eq!(fs::read(&read).unwrap(), b"x");
        fs::write(tree.path("temp/target"), "x").unwrap();
        let file = File::open(&directory).unwrap();
        flock(&file, FlockOperation::LockShared).unwrap();
        lock = Some(file);
    });
    let list = actions(&report, GARBAGE);
    let ends: Vec<&str> = list.iter().map(|(.., status)| status.as_str()).collect();
    assert_eq!(
        ends,
        ["done", "changed", "changed", "changed"],
        "{report:#}"
    );
    assert!(read.exists() && directory.exists() && tree.path("temp/link").exists());
}
