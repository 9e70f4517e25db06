//! `clean-cache` among what other tools keep in a cache: repositories of the Hugging Face hub go
//! whole or stay whole, trees with another tool's mark stay, and so does what is locked.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::fixture::{DAY, HOUR, Tmpfs, Tree, actions, kept, operation, set_age, statuses};
use crate::require;

const CACHE: &str = "cache_cleanup";
const ALL: [&str; 8] = [
    "-C",
    ".",
    "-v",
    "clean-cache",
    "--max-size",
    "0",
    "--preserve-recent",
    "1h",
];

/// A repository as `huggingface_hub` lays it out, last used so long ago.
pub fn repository(tree: &Tree, name: &str, age: Duration) {
    let at = Path::new("cache/hub").join(name);
    for blob in ["b0", "b1 [12]"] {
        tree.aged(at.join("blobs").join(blob), vec![1; 20_000], age);
    }
    tree.aged(at.join("refs/main"), "rev", age);
    tree.aged(at.join(".no_exist/rev/added_tokens.json"), "", age);
    let snapshot = tree.path(at.join("snapshots/rev/sub"));
    fs::create_dir_all(&snapshot).unwrap();
    for (link, blob) in [("poetry.lock", "b0"), ("-model\n.db", "b1 [12]")] {
        link_aged(&format!("../../../blobs/{blob}"), &snapshot.join(link), age);
    }
}

fn link_aged(target: &str, link: &Path, age: Duration) {
    symlink(target, link).unwrap();
    let seconds = age.as_secs();
    let touched = Command::new("touch")
        .args(["-h", "-d", &format!("{seconds} seconds ago")])
        .arg(link)
        .status();
    assert!(touched.unwrap().success());
}

fn evicted(report: &Value) -> Vec<String> {
    let actions = actions(report, CACHE).into_iter();
    let evicted = actions.filter(|(verb, ..)| verb == "evict");
    evicted.map(|(_, path, _)| path).collect()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_repository_goes_whole_links_before_blobs() {
    let tree = Tree::new();
    repository(&tree, "models--org--old", 9 * DAY);
    fs::create_dir(tree.path("cache/hub/models--org--old/empty")).unwrap();
    let lock = tree.aged("cache/hub/.locks/models--org--old/b0.lock", "", 9 * DAY);
    let (ran, report) = tree.json(&ALL);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let order: Vec<String> = evicted(&report);
    let at = |part: &str| order.iter().position(|path| path.contains(part));
    assert_eq!(order.len(), 6, "{order:?}");
    assert!(at("sub/poetry.lock").max(at("sub/-model")) < at("refs/main").min(at("blobs/b0")));
    assert!(at("refs/main").max(at(".no_exist")) < at("blobs/b0").min(at("blobs/b1 [12]")));
    assert_eq!(tree.names("cache/hub"), [".locks"]);
    assert!(lock.exists());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_repository_used_lately_in_any_part_stays_whole() {
    let tree = Tree::new();
    repository(&tree, "models--a--recent", 9 * DAY);
    set_age(
        &tree.path("cache/hub/models--a--recent/refs/main"),
        HOUR / 2,
    );
    repository(&tree, "datasets--a--held", 9 * DAY);
    repository(&tree, "spaces--a--locked", 9 * DAY);
    repository(&tree, "models--a--linked", 9 * DAY);
    let blob = |name: &str| tree.path("cache/hub").join(name).join("blobs/b0");
    fs::hard_link(blob("models--a--linked"), tree.path("elsewhere")).unwrap();
    let download = tree.aged("cache/hub/.locks/spaces--a--locked/b0.lock", "", 9 * DAY);
    let locked = File::open(download).unwrap();
    flock(&locked, FlockOperation::LockExclusive).unwrap();
    let mut holder = Command::new("sleep")
        .arg("60")
        .stdin(File::open(blob("datasets--a--held")).unwrap())
        .spawn()
        .unwrap();
    let before = tree.snapshot();
    let (ran, report) = tree.json(&ALL);
    let after = tree.snapshot();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), [""; 0]);
    let below = |path: &&std::path::PathBuf| path.starts_with("cache");
    assert!(before.keys().filter(below).eq(after.keys().filter(below)));
    let kept = kept(&report, CACHE);
    for (name, word) in [
        ("models--a--recent", "used 30 min ago"),
        ("datasets--a--held", "in use by"),
        ("spaces--a--locked", "locked (flock) by"),
        ("models--a--linked", "other names"),
    ] {
        let blob = &kept[&format!("cache/hub/{name}/blobs/b1 [12]")];
        assert!(blob.contains(word), "{name}: {blob}");
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn repositories_and_files_go_in_one_order_of_last_use() {
    let tree = Tree::new();
    repository(&tree, "models--a--older", 9 * DAY);
    tree.aged("cache/oldest", vec![1; 9000], 10 * DAY);
    tree.aged("cache/newer", vec![1; 9000], 2 * DAY);
    let usage = tree
        .json(&["-C", ".", "-n", "clean-cache", "--max-size", "1GiB"])
        .1;
    let usage = operation(&usage, CACHE)["metadata"]["usage_bytes"]
        .as_u64()
        .unwrap();
    // The oldest alone is not enough, and of the repository a byte would do.
    let limit = (usage - 12_288 - 1).to_string();
    let (_, report) = tree.json(&["-C", ".", "clean-cache", "--max-size", &limit]);
    assert_eq!(evicted(&report).len(), 7, "{report:#}");
    assert_eq!(evicted(&report)[0], "cache/oldest");
    assert_eq!(tree.names("cache"), ["newer"]);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn trees_of_other_tools_stay_and_are_named() {
    let tree = Tree::new();
    let marks = [
        ("a/.git/HEAD", ".git"),
        ("ccache/ccache.conf", "ccache"),
        ("cc/0/stats", "ccache"),
        ("dvc/.dvc/config", ".dvc"),
        ("shared/files/md5/ab/cdef", "DVC"),
        ("restic/config", "restic repository"),
        ("bare/HEAD", "bare git"),
    ];
    for (path, _) in marks {
        tree.aged(Path::new("cache").join(path), "x", 90 * DAY);
    }
    for name in ["keys", "data", "index", "snapshots"] {
        tree.aged(format!("cache/restic/{name}/x"), "x", 90 * DAY);
    }
    for name in ["objects", "refs"] {
        tree.aged(format!("cache/bare/{name}/x"), "x", 90 * DAY);
    }
    tree.aged(
        "cache/tagged/CACHEDIR.TAG",
        "# created by ccache.\n",
        90 * DAY,
    );
    tree.aged("cache/tagged/ab/object", "x", 90 * DAY);
    tree.aged("cache/plain/data", "x", 90 * DAY);
    let (ran, report) = tree.json(&ALL);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), ["cache/plain/data"]);
    let marked = operation(&report, CACHE)["metadata"]["marked"].clone();
    let marked = marked.as_array().unwrap();
    assert_eq!(marked.len(), 8, "{marked:#?}");
    for (path, mark) in marks {
        let top = format!("cache/{}", path.split('/').next().unwrap());
        let row = marked.iter().find(|row| row["path"] == top.as_str());
        let said = row.unwrap_or_else(|| panic!("{top}"))["mark"].as_str();
        assert!(said.unwrap().contains(mark), "{path}: {said:?}");
    }
    let text = tree.run(&["-C", ".", "-n", "clean-cache", "--max-size", "0"]);
    assert!(
        text.stdout.contains("and 7 more  in a tree"),
        "{}",
        text.stdout
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_somebody_has_locked_stays() {
    let tree = Tree::new();
    let file = tree.aged("cache/locked.bin", "x", 9 * DAY);
    tree.aged("cache/dir/deep/below", "x", 9 * DAY);
    tree.aged("cache/free", "x", 9 * DAY);
    // A process of its own, so that it is no descriptor of the test that is seen.
    let script = "exec 8<\"$1\" 9<\"$2\"; flock 8; flock -s 9; echo; exec cat";
    let mut holder = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([&file, &tree.path("cache/dir")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let (ran, report) = tree.json(&ALL);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(evicted(&report), ["cache/free"]);
    let kept = kept(&report, CACHE);
    for path in ["cache/locked.bin", "cache/dir/deep/below"] {
        assert!(kept[path].contains("locked (flock) by pid"), "{kept:?}");
    }
    assert_eq!(
        evicted(&tree.json(&ALL).1).len(),
        2,
        "nobody has them any more"
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_repository_gives_back_what_it_is_said_to() {
    if !require::own_machine(a_repository_gives_back_what_it_is_said_to) {
        return;
    }
    let disk = Tmpfs::new(8 << 20);
    let tree = Tree::on(&disk);
    repository(&tree, "models--org--old", 9 * DAY);
    let twin = tree.path("cache/hub/models--org--old/blobs/b0");
    fs::hard_link(&twin, twin.with_file_name("twin")).unwrap();
    set_age(&twin, 9 * DAY);
    let sparse = tree.aged("cache/hub/models--org--old/blobs/sparse", "x", 9 * DAY);
    File::options()
        .write(true)
        .open(&sparse)
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    set_age(&sparse, 9 * DAY);
    assert!(fs::metadata(&sparse).unwrap().blocks() < 64);
    let args = [
        "-C",
        ".",
        "--format",
        "json",
        "clean-cache",
        "./cache",
        "--max-size",
        "0",
    ];
    let planned = tree.run(&[&["-n"], &args[..]].concat()).report();
    let before = disk.used();
    let done = tree.run(&args).report();
    let freed = before - disk.used();
    assert!(statuses(&done, CACHE).iter().all(|status| status == "done"));
    assert_eq!(operation(&done, CACHE)["bytes_freed"], freed);
    assert_eq!(operation(&planned, CACHE)["bytes_freed"], freed);
    assert!(freed > 40_000, "{freed}");
}

/// An attacker swaps, in a loop, a directory of the cache for a link to the treasure, a file for a
/// link into it, and moves a mount over a directory, while runs go on; in all 10,000 swaps.
#[test]
#[ignore = "a slow proof: many runs against an attacker"]
fn nothing_outside_is_touched_whoever_swaps_what() {
    if !require::own_machine(nothing_outside_is_touched_whoever_swaps_what) {
        return;
    }
    let tree = Tree::new();
    let treasure = tree.outside().join("treasure");
    fs::create_dir(&treasure).unwrap();
    let outside = || -> Vec<_> {
        let names = (0..8).map(|number| treasure.join(format!("f{number}")));
        names
            .map(|path| (path.clone(), fs::read(&path).ok()))
            .collect()
    };
    for number in 0..8 {
        let path = treasure.join(format!("f{number}"));
        fs::write(&path, "precious").unwrap();
        set_age(&path, 9 * DAY);
    }
    let before = outside();
    let script = r"
import os,sys,itertools
c,t=sys.argv[1:]
n=0
def do(f,*a):
    try: f(*a)
    except OSError: return 0
    return 1
for i in itertools.count():
    d=f'{c}/d{i%4}'
    n+=do(os.rename,d,d+'.away') and do(os.symlink,t,d)
    do(os.unlink,d); do(os.rename,d+'.away',d)
    f=f'{d}/f{i%8}'
    n+=do(os.rename,f,f+'.away') and do(os.symlink,f'{t}/f{i%8}',f)
    do(os.unlink,f); do(os.rename,f+'.away',f)
    if i%200==0:
        n+=os.system(f'mount --bind {t} {d} 2>/dev/null')==0
        os.system(f'umount -l {d} 2>/dev/null')
    if i%50==0: print(n,flush=True)
";
    let swaps = tree.outside().join("swaps");
    let mut attacker = Command::new("python3")
        .args(["-c", script])
        .args([tree.path("cache"), treasure.clone()])
        .stdout(File::create(&swaps).unwrap())
        .spawn()
        .unwrap();
    let made = || {
        let text = fs::read_to_string(&swaps).unwrap_or_default();
        text.lines()
            .last()
            .and_then(|line| line.parse().ok())
            .unwrap_or(0)
    };
    let (mut runs, mut gone) = (0, 0);
    while runs < 60 || made() < 10_000_u64 {
        refill(&tree, &treasure, &attacker);
        let ran = tree.run(&[
            "-C",
            ".",
            "--format",
            "json",
            "clean-cache",
            "--max-size",
            "0",
        ]);
        gone += statuses(&ran.report(), CACHE)
            .iter()
            .filter(|s| *s == "done")
            .count();
        runs += 1;
    }
    attacker.kill().unwrap();
    attacker.wait().unwrap();
    assert_eq!(outside(), before, "after {runs} runs");
    assert!(gone > runs, "{gone} evictions in {runs} runs");
}

/// Puts files into the directories that are the cache's own at this instant, with the attacker
/// stopped: the test itself must not be led astray.
fn refill(tree: &Tree, treasure: &Path, attacker: &std::process::Child) {
    let signal = |name: &str| {
        let pid = attacker.id().to_string();
        Command::new("kill").args([name, &pid]).status().unwrap();
    };
    signal("-STOP");
    let inode = |path: &Path| fs::metadata(path).map(|seen| seen.ino()).ok();
    for number in 0..32 {
        let directory = tree.path(format!("cache/d{}", number / 8));
        let _ = fs::create_dir_all(&directory);
        let path = directory.join(format!("f{}", number % 8));
        if inode(&directory) != inode(treasure) && path.symlink_metadata().is_err() {
            fs::write(&path, "x").unwrap();
            set_age(&path, 9 * DAY);
        }
    }
    signal("-CONT");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn every_change_is_a_name_below_a_descriptor() {
    if !require::tool("strace") {
        return;
    }
    let tree = Tree::new();
    repository(&tree, "models--org--old", 9 * DAY);
    tree.aged("cache/deep/er/x [12]", "x", 9 * DAY);
    let log = tree.outside().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log);
    command.args(["-e", "trace=%file,ftruncate,fchmod,fchown,fallocate"]);
    command.arg(env!("CARGO_BIN_EXE_sysopt"));
    tree.prepare(
        &mut command,
        &["-C", ".", "clean-cache", "./cache", "--max-size", "0"],
    );
    assert!(command.output().unwrap().status.success());
    assert!(tree.names("cache/hub").is_empty());
    let text = fs::read_to_string(&log).unwrap();
    let calls = text
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim().split_once('('));
    let looks = [
        "openat",
        "statx",
        "newfstatat",
        "readlink",
        "readlinkat",
        "access",
        "execve",
    ];
    let harmless = ["getcwd", "statfs", "faccessat2", "stat", "lstat"];
    let mut changes = 0;
    for (call, arguments) in calls {
        if call.starts_with("openat") {
            let writes = ["O_CREAT", "O_TRUNC", "O_WRONLY", "O_RDWR"];
            assert!(
                !writes.iter().any(|flag| arguments.contains(flag)),
                "{arguments}"
            );
        } else if !looks.contains(&call) && !harmless.contains(&call) {
            assert_eq!(call, "unlinkat", "{arguments}");
            let (descriptor, rest) = arguments.split_once(", \"").unwrap();
            assert!(descriptor.parse::<u32>().is_ok(), "{call}({arguments}");
            let name = rest.split_once("\",").unwrap().0;
            assert!(!name.contains('/') && name != "..", "{call}({arguments}");
            changes += 1;
        }
    }
    assert!(changes >= 10, "{changes} changes");
}
