//! On a disk with little space or none: what frees space works, what needs space fails and says
//! so, and nothing is lost either way.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::fixture::{DAY, HOUR, Ran, Tmpfs, Tree, lines, mount, operation, peek, statuses, used};
use crate::require;

const CONFIG: &str = "\
[cache]\nmax_size = '64KiB'\ncleanup_threshold = 1.0\n\
[logs]\nmax_file_size = '64KiB'\nmax_files_per_logger = 2\n\
[models]\nkeep_latest = 0\nmax_archived_models = 1\n";

/// Bytes that are left free. A page or a block is 4 KiB.
const LEVELS: [u64; 8] = [
    0,
    4 << 10,
    8 << 10,
    12 << 10,
    20 << 10,
    36 << 10,
    68 << 10,
    260 << 10,
];

/// A tree on a filesystem of its own, with something to do for each operation.
struct Disk {
    tree: Tree,
    filler: File,
}

impl Disk {
    fn on(filesystem: &Tmpfs) -> Self {
        let tree = Tree::on(filesystem);
        tree.config(CONFIG);
        for number in 0..8_u8 {
            let age = u32::from(20 - number) * DAY;
            tree.aged(format!("cache/f{number}"), vec![number; 16 << 10], age);
        }
        tree.aged("logs/app.log", lines("new", 200_000), HOUR);
        for day in 1..6 {
            let name = format!("logs/old.log-2026010{day}T000000Z");
            tree.aged(name, lines("old", 8_000), DAY);
        }
        tree.aged("models/m.pkl", lines("model", 20_000), 30 * DAY);
        let filler = File::create(tree.outside().join("filler")).unwrap();
        Self { tree, filler }
    }

    /// Leaves so much free, as near as the filesystem lets itself be filled.
    fn leave(&self, free: u64) {
        let mut filler = &self.filler;
        while filler.write_all(&[b'f'; 4096]).is_ok() {}
        let _ = filler.sync_all();
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.saturating_sub(free)).unwrap();
        let _ = filler.sync_all();
    }

    fn run(&self, args: &[&str]) -> (Ran, Value) {
        self.tree.json(&[&["-C", "."], args].concat())
    }

    fn nothing_is_lost(&self, what: &str) {
        assert!(
            self.tree.stream("logs/app.log") == lines("new", 200_000),
            "lines: {what}"
        );
        assert!(self.tree.path("logs/app.log").exists(), "{what}");
        let model = lines("model", 20_000);
        let places = walkdir::WalkDir::new(self.tree.path("models")).into_iter();
        let copies = places
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file())
            .filter(|entry| peek(entry.path()).unwrap() == model)
            .count();
        assert!(copies > 0, "the model: {what}");
        for number in 4..8_u8 {
            let kept = peek(&self.tree.path(format!("cache/f{number}"))).unwrap();
            assert_eq!(kept, vec![number; 16 << 10], "{what}");
        }
        let last = ["", ".gz"].map(|suffix| format!("logs/old.log-20260105T000000Z{suffix}"));
        let there = |name: &String| self.tree.path(name).exists();
        assert!(last.iter().any(there), "{what}");
    }

    fn no_rubbish(&self, what: &str) {
        let names = walkdir::WalkDir::new(self.tree.base()).into_iter();
        let rubbish = names
            .filter_map(Result::ok)
            .find(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"));
        assert!(rubbish.is_none(), "{rubbish:?}: {what}");
    }
}

/// What was not done is a failure that is told; what was done is done.
fn is_honest(ran: &Ran, report: &Value, name: &str) {
    let mut statuses = statuses(report, name).into_iter();
    let failed = statuses.any(|status| status == "failed");
    // Records of the archive belong to no action.
    let errors = format!("{}{}", operation(report, name)["errors"], report["errors"]);
    let told = errors.contains("No space left") || errors.contains("no room");
    assert_eq!(ran.code, Some(if told { 3 } else { 0 }), "{ran:?}");
    assert!(told || !failed, "{ran:?}");
}

fn evicts(disk: &Disk, filesystem: &Path) {
    let before = used(filesystem);
    let (ran, report) = disk.run(&["clean-cache"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(statuses(&report, "cache_cleanup"), ["done"; 4]);
    let freed = report["total_bytes_freed"].as_u64().unwrap();
    assert_eq!(freed, 64 << 10, "{ran:?}");
    assert!(used(filesystem) < before, "{ran:?}");
}

fn rotates(disk: &Disk, what: &str) {
    let (ran, report) = disk.run(&["rotate-logs"]);
    is_honest(&ran, &report, "log_rotation");
    disk.nothing_is_lost(what);
    disk.no_rubbish(what);
}

fn archives(disk: &Disk, what: &str) {
    let (ran, report) = disk.run(&["archive-models"]);
    is_honest(&ran, &report, "model_archiving");
    disk.nothing_is_lost(what);
    disk.no_rubbish(what);
    let (ran, report) = disk.run(&["restore-models", "--all"]);
    assert!(matches!(ran.code, Some(0 | 3)), "{what} {ran:?}");
    if ran.code == Some(3) {
        let report = report.to_string();
        let told = report.contains("No space left") || report.contains("no room");
        assert!(told, "{ran:?}");
    }
    disk.nothing_is_lost(what);
    disk.no_rubbish(what);
}

/// With space again, all is put in order.
fn recovers(disk: &Disk, what: &str) {
    disk.filler.set_len(0).unwrap();
    let (ran, _) = disk.run(&["cycle", "--force"]);
    assert_eq!(ran.code, Some(0), "{what} {ran:?}");
    disk.nothing_is_lost(what);
    let state = fs::read(disk.tree.path(".sysopt/state.json")).unwrap();
    serde_json::from_slice::<Value>(&state).unwrap();
}

fn at_each_level(filesystem: impl Fn() -> Tmpfs) {
    for free in LEVELS {
        let what = format!("{free} bytes free");
        for operation in ["evict", "rotate", "archive", "cycle"] {
            let filesystem = filesystem();
            let disk = Disk::on(&filesystem);
            disk.leave(free);
            match operation {
                "evict" => evicts(&disk, filesystem.path()),
                "rotate" => rotates(&disk, &what),
                "archive" => archives(&disk, &what),
                _ => {
                    let (ran, report) = disk.run(&["cycle", "--force"]);
                    assert!(matches!(ran.code, Some(0 | 3)), "{what} {ran:?}");
                    assert_eq!(statuses(&report, "cache_cleanup"), ["done"; 4], "{ran:?}");
                    disk.no_rubbish(&what);
                }
            }
            disk.nothing_is_lost(&what);
            recovers(&disk, &what);
        }
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn on_a_full_tmpfs_nothing_is_lost_and_what_frees_space_works() {
    if require::own_machine(on_a_full_tmpfs_nothing_is_lost_and_what_frees_space_works) {
        at_each_level(|| Tmpfs::new(4 << 20));
    }
}

/// Mounts an ext4 of so many MiB; the image lies on the mount that is covered by it.
fn ext4(mebibytes: u64) -> Tmpfs {
    let filesystem = Tmpfs::new((mebibytes + 1) << 20);
    let image = filesystem.path().join("image");
    let file = File::create(&image).unwrap();
    file.set_len(mebibytes << 20).unwrap();
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-b", "4096", "-m", "0"])
        .arg(&image)
        .stdout(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let image = image.to_str().unwrap();
    mount(&["-o", "loop", image], filesystem.path());
    filesystem
}

#[test]
#[ignore = "slow: makes and fills an ext4 for each operation at each level"]
fn on_a_full_ext4_nothing_is_lost_and_what_frees_space_works() {
    let test = on_a_full_ext4_nothing_is_lost_and_what_frees_space_works;
    if require::tool("mkfs.ext4") && require::own_machine(test) {
        at_each_level(|| ext4(16));
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn expired_files_go_from_a_disk_without_a_free_byte() {
    if !require::own_machine(expired_files_go_from_a_disk_without_a_free_byte) {
        return;
    }
    let filesystem = Tmpfs::new(4 << 20);
    let disk = Disk::on(&filesystem);
    fs::remove_file(disk.tree.path("logs/app.log")).unwrap();
    // Compressed already: what is left to do is to expire.
    for name in disk.tree.names("logs") {
        let path = disk.tree.path("logs").join(&name);
        let packed = Command::new("gzip").arg(&path).status();
        assert!(packed.unwrap().success());
    }
    disk.leave(0);
    let before = filesystem.used();
    let (ran, report) = disk.run(&["rotate-logs"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(statuses(&report, "log_rotation"), ["done"; 3], "{ran:?}");
    let freed = report["total_bytes_freed"].as_u64().unwrap();
    assert!(freed > 0 && filesystem.used() < before, "{ran:?}");
}

#[test]
fn a_state_that_cannot_be_written_is_a_warning() {
    if !require::own_machine(a_state_that_cannot_be_written_is_a_warning) {
        return;
    }
    let filesystem = Tmpfs::new(4 << 20);
    let disk = Disk::on(&filesystem);
    disk.tree.config("[cache]\nmax_size = '1GiB'\n");
    for place in ["logs", "models"] {
        fs::remove_dir_all(disk.tree.path(place)).unwrap();
    }
    disk.leave(0);
    let (ran, report) = disk.run(&["cycle", "--force"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(report["outcome"], "success", "{ran:?}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("cannot write the state"), "{ran:?}");
    assert!(warnings.contains("No space left"), "{ran:?}");
}
