//! `archive-models` on a real file system: what moves, what stays, and the records of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::Value;

use crate::fixture::{
    DAY, HOUR, Tmpfs, Tree, actions, json_lines, kept, operation, set_age, sha256sum, statuses,
    sums_hold,
};
use crate::require;

const MODELS: &str = "model_archiving";

fn archive(tree: &Tree, more: &[&str]) -> Value {
    let args = [&["-v", "-C", ".", "archive-models"], more].concat();
    let (ran, report) = tree.json(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    report
}

/// `YYYYMMDD` of so many days ago, by date(1).
fn date(days: u32) -> String {
    let output = Command::new("date")
        .args(["-u", "-d", &format!("{days} days ago"), "+%Y%m%d"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn moved(report: &Value) -> BTreeMap<String, String> {
    let list = operation(report, MODELS)["actions"].as_array().unwrap();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.iter()
        .filter(|action| action["action"] == "archive" && action["status"] == "done")
        .map(|action| (word(&action["path"]), word(&action["to"])))
        .collect()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_model_moves_with_all_that_belongs_to_it() {
    let tree = Tree::new();
    let names = ["old.pkl", "deep/er/net.tar.pt", "-rf.onnx", "new\nline.h5"];
    let mut inodes = Vec::new();
    for name in names {
        let path = tree.aged(Path::new("models").join(name), name, 10 * DAY);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        rustix::fs::setxattr(&path, "user.run", b"17", rustix::fs::XattrFlags::empty()).unwrap();
        inodes.push(fs::metadata(&path).unwrap());
    }
    tree.aged("models/young.pkl", b"young", DAY);
    tree.aged("models/notes.md", b"notes", 90 * DAY);
    let report = archive(&tree, &[]);
    let day = date(10);
    let expected = [
        format!("models/archived/old_{day}.pkl"),
        format!("models/archived/deep/er/net.tar_{day}.pt"),
        format!("models/archived/-rf_{day}.onnx"),
        format!("models/archived/new\nline_{day}.h5"),
    ];
    let moved = moved(&report);
    assert_eq!(moved.len(), 4, "{report:#}");
    for ((name, to), before) in names.iter().zip(&expected).zip(&inodes) {
        let now = fs::metadata(tree.path(to)).unwrap_or_else(|error| panic!("{to}: {error}"));
        assert_eq!(now.ino(), before.ino(), "a rename, not a copy");
        assert_eq!(now.mode(), before.mode());
        assert_eq!(
            (now.mtime(), now.mtime_nsec()),
            (before.mtime(), before.mtime_nsec())
        );
        let mut value = [0; 8];
        let size = rustix::fs::getxattr(tree.path(to), "user.run", &mut value).unwrap();
        assert_eq!(&value[..size], b"17");
        assert!(!tree.path("models").join(name).exists());
        assert_eq!(fs::read(tree.path(to)).unwrap(), name.as_bytes());
    }
    assert_eq!(
        operation(&report, MODELS)["bytes_freed"],
        0,
        "nothing was freed"
    );
    assert!(tree.path("models/young.pkl").exists() && tree.path("models/notes.md").exists());
    assert!(kept(&report, MODELS)["models/young.pkl"].contains("modified 1 d ago"));
    assert_eq!(statuses(&archive(&tree, &[]), MODELS), [""; 0]);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_manifest_says_what_the_disk_says() {
    let tree = Tree::new();
    let path = tree.aged("models/sub/old.pkl", b"weights", 10 * DAY);
    let before = fs::metadata(&path).unwrap();
    archive(&tree, &[]);
    let lines = json_lines(&tree.path("models/archived/manifest.jsonl"));
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    let archived = format!("sub/old_{}.pkl", date(10));
    let stored = tree.path("models/archived").join(&archived);
    let sum = sha256sum(&stored);
    assert_eq!(line["schema"], "sysopt.manifest/1");
    assert_eq!(line["original_path"], "sub/old.pkl");
    assert_eq!(line["archived_path"], archived.as_str());
    assert_eq!(line["size"], 7);
    assert_eq!(line["sha256"], sum.as_str());
    assert_eq!(line["stored_sha256"], sum.as_str());
    assert_eq!(
        line["mtime_ns"],
        before.mtime() * 1_000_000_000 + before.mtime_nsec()
    );
    assert_eq!(line["mode"], before.mode() & 0o7777);
    assert_eq!(
        (line["uid"].as_u64(), line["gid"].as_u64()),
        (Some(before.uid().into()), Some(before.gid().into()))
    );
    assert_eq!(line["codec"], "none");
    let sums = fs::read_to_string(tree.path("models/archived/SHA256SUMS")).unwrap();
    assert_eq!(sums, format!("{sum}  {archived}\n"));
    assert!(sums_hold(&tree.path("models/archived")));
    fs::write(&stored, "Weights").unwrap();
    assert!(!sums_hold(&tree.path("models/archived")), "it can fail");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn other_content_of_the_same_day_gets_another_name_and_the_same_is_stored_once() {
    let tree = Tree::new();
    for content in ["one", "two", "two", "three", "one"] {
        tree.aged("models/rf.pkl", content, 10 * DAY);
        archive(&tree, &[]);
        assert!(!tree.path("models/rf.pkl").exists());
    }
    let day = date(10);
    let names: Vec<_> = tree.names("models/archived");
    assert_eq!(
        names,
        [
            "SHA256SUMS".to_owned(),
            "manifest.jsonl".to_owned(),
            format!("rf_{day}.pkl"),
            format!("rf_{day}_2.pkl"),
            format!("rf_{day}_3.pkl"),
        ]
    );
    let content = |name: &str| fs::read_to_string(tree.path("models/archived").join(name)).unwrap();
    assert_eq!(content(&names[2]), "one");
    assert_eq!(content(&names[3]), "two");
    assert_eq!(content(&names[4]), "three");
    assert!(sums_hold(&tree.path("models/archived")));
    // What has its name without being listed is not replaced either.
    tree.write(format!("models/archived/x_{day}.pkl"), "stranger");
    tree.aged("models/x.pkl", "model", 10 * DAY);
    archive(&tree, &[]);
    assert_eq!(content(&format!("x_{day}.pkl")), "stranger");
    assert_eq!(content(&format!("x_{day}_2.pkl")), "model");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_newest_of_a_family_stays_and_horizons_are_no_versions() {
    let tree = Tree::new();
    for (name, age) in [
        ("lstm_v1.pt", 90),
        ("lstm_v2.pt", 60),
        ("lstm_v10.pt", 30),
        ("net-epoch3.ckpt", 50),
        ("net-epoch12.ckpt", 40),
        ("rf_1h.pkl", 20),
        ("rf_24h.pkl", 20),
    ] {
        tree.aged(Path::new("models").join(name), name, age * DAY);
    }
    let report = archive(&tree, &[]);
    let moved: Vec<_> = moved(&report).into_keys().collect();
    assert_eq!(
        moved,
        [
            "models/lstm_v1.pt",
            "models/lstm_v2.pt",
            "models/net-epoch3.ckpt",
            "models/rf_1h.pkl",
            "models/rf_24h.pkl",
        ]
    );
    let kept = kept(&report, MODELS);
    assert_eq!(kept["models/lstm_v10.pt"], "the newest of its family");
    assert_eq!(kept["models/net-epoch12.ckpt"], "the newest of its family");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn pinned_excluded_linked_and_read_models_stay() {
    let tree = Tree::new();
    tree.config("[models]\npin = ['champion*']\nexclude = ['scratch/**']\n");
    for name in [
        "champion.pkl",
        "scratch/x.pkl",
        "live.pkl",
        "read.pkl",
        "old.pkl",
        "deep/tied.pt",
    ] {
        tree.aged(Path::new("models").join(name), name, 20 * DAY);
    }
    symlink("live.pkl", tree.path("models/current.pkl")).unwrap();
    symlink("../deep/tied.pt", tree.path("models/deep/latest")).unwrap();
    fs::create_dir(tree.path("models/serving")).unwrap();
    symlink("../deep/tied.pt", tree.path("models/serving/now")).unwrap();
    let now = SystemTime::now();
    File::open(tree.path("models/read.pkl"))
        .unwrap()
        .set_times(
            fs::FileTimes::new()
                .set_accessed(now - HOUR)
                .set_modified(now - 20 * DAY),
        )
        .unwrap();
    let report = archive(&tree, &[]);
    let gone: Vec<_> = moved(&report).into_keys().collect();
    assert_eq!(gone, ["models/old.pkl"]);
    let kept = kept(&report, MODELS);
    assert_eq!(kept["models/champion.pkl"], "pinned");
    assert_eq!(kept["models/scratch/x.pkl"], "excluded");
    assert_eq!(kept["models/live.pkl"], "a symbolic link points to it");
    assert_eq!(kept["models/deep/tied.pt"], "a symbolic link points to it");
    assert_eq!(
        kept["models/read.pkl"],
        "read 1 h ago, modified 20 d ago (--age-by modified archives it)"
    );
    assert_eq!(
        fs::read(tree.path("models/current.pkl")).unwrap(),
        b"live.pkl"
    );
    let report = archive(&tree, &["--age-by", "modified"]);
    assert_eq!(
        moved(&report).into_keys().collect::<Vec<_>>(),
        ["models/read.pkl"]
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_model_in_use_stays_open_or_mapped() {
    if !require::own_machine(a_model_in_use_stays_open_or_mapped) || !require::tool("python3") {
        return;
    }
    let tree = Tree::new();
    let held = tree.aged("models/held.pkl", b"held", 10 * DAY);
    let mapped = tree.aged("models/mapped.pt", vec![1; 9000], 10 * DAY);
    tree.aged("models/free.pkl", b"free", 10 * DAY);
    let script = "import mmap,sys,os\n\
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
    let reader = File::open(&held).unwrap();
    let report = archive(&tree, &[]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    drop(reader);
    assert_eq!(
        moved(&report).into_keys().collect::<Vec<_>>(),
        ["models/free.pkl"]
    );
    let kept = kept(&report, MODELS);
    assert!(
        kept["models/held.pkl"].starts_with("in use by pid "),
        "{kept:?}"
    );
    assert!(
        kept["models/mapped.pt"].starts_with(&format!("in use by pid {} (python3", holder.id())),
        "{kept:?}"
    );
    assert_eq!(moved(&archive(&tree, &[])).len(), 2);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn retention_counts_versions_of_each_model() {
    let tree = Tree::new();
    tree.aged("models/rare.pkl", b"rare", 400 * DAY);
    archive(&tree, &[]);
    for age in (10..18).rev() {
        tree.aged("models/often.pkl", format!("version of {age}"), age * DAY);
        archive(&tree, &["--max-archived", "3"]);
    }
    let mut expected: Vec<String> = [10, 11, 12]
        .map(|age| format!("often_{}.pkl", date(age)))
        .into();
    expected.push(format!("rare_{}.pkl", date(400)));
    expected.sort();
    let mut names = tree.names("models/archived");
    names.retain(|name| name.ends_with("pkl"));
    assert_eq!(names, expected);
    assert!(sums_hold(&tree.path("models/archived")));
    let events = json_lines(&tree.path("models/archived/manifest.jsonl"));
    let expired = events
        .iter()
        .filter(|line| line["event"] == "expired")
        .count();
    assert_eq!(expired, 5);
    // Nothing but the last version is left of what nobody trained again.
    archive(&tree, &["--max-archived", "1"]);
    assert!(
        tree.path(format!("models/archived/rare_{}.pkl", date(400)))
            .exists()
    );
    let verified = tree.run(&["restore-models", "--verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn without_safe_archiving_models_are_deleted_and_called_so() {
    let tree = Tree::new();
    tree.config("[models]\nsafe_archiving = false\n");
    let path = tree.aged("models/old.pkl", vec![1; 9000], 10 * DAY);
    let blocks = fs::metadata(path).unwrap().blocks() * 512;
    let (ran, report) = tree.json(&["archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let expected = (
        "delete".to_owned(),
        "models/old.pkl".to_owned(),
        "done".to_owned(),
    );
    assert_eq!(actions(&report, MODELS), [expected]);
    assert_eq!(operation(&report, MODELS)["bytes_freed"], blocks);
    assert!(!tree.path("models/archived").exists());
}

fn elsewhere(tree: &Tree, directory: &Path) -> PathBuf {
    tree.config(&format!(
        "[models]\narchive_directory = '{}'\n",
        directory.display()
    ));
    let path = tree.aged("models/sub/old.pkl", vec![7; 20_000], 10 * DAY);
    rustix::fs::setxattr(&path, "user.run", b"17", rustix::fs::XattrFlags::empty()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    path
}

fn arrived(tree: &Tree, directory: &Path, before: &fs::Metadata) -> fs::Metadata {
    assert!(!tree.path("models/sub/old.pkl").exists());
    let stored = directory.join(format!("models/sub/old_{}.pkl", date(10)));
    let now = fs::metadata(&stored).unwrap_or_else(|error| panic!("{}: {error}", stored.display()));
    assert_eq!(fs::read(&stored).unwrap(), vec![7; 20_000]);
    assert_eq!(now.mode(), before.mode());
    assert_eq!((now.uid(), now.gid()), (before.uid(), before.gid()));
    assert_eq!(
        (now.mtime(), now.mtime_nsec()),
        (before.mtime(), before.mtime_nsec())
    );
    let mut value = [0; 8];
    let size = rustix::fs::getxattr(&stored, "user.run", &mut value).unwrap();
    assert_eq!(&value[..size], b"17");
    assert!(sums_hold(directory));
    let line = json_lines(&directory.join("manifest.jsonl")).remove(0);
    assert_eq!(line["sha256"], sha256sum(&stored).as_str());
    let verified = tree.run(&["restore-models", "--verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    now
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn an_absolute_archive_on_the_same_filesystem() {
    let tree = Tree::new();
    let vault = tree.outside().join("vault/deep");
    let before = fs::metadata(elsewhere(&tree, &vault)).unwrap();
    archive(&tree, &[]);
    let now = arrived(&tree, &vault, &before);
    assert_eq!(now.ino(), before.ino(), "a rename, not a copy");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn an_absolute_archive_on_another_filesystem() {
    if !require::own_machine(an_absolute_archive_on_another_filesystem) {
        return;
    }
    let (tree, disk) = (Tree::new(), Tmpfs::new(4 << 20));
    let vault = disk.path().join("vault");
    let path = elsewhere(&tree, &vault);
    chown(&path, Some(1234), Some(2345)).unwrap();
    set_age(&path, 10 * DAY);
    let before = fs::metadata(&path).unwrap();
    let report = archive(&tree, &[]);
    let now = arrived(&tree, &vault, &before);
    assert_ne!(now.dev(), before.dev());
    let taken = i64::try_from(now.blocks() * 512).unwrap();
    let given = i64::try_from(before.blocks() * 512).unwrap();
    assert_eq!(operation(&report, MODELS)["bytes_freed"], given - taken);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_full_archive_disk_leaves_the_models_where_they_are() {
    if !require::own_machine(a_full_archive_disk_leaves_the_models_where_they_are) {
        return;
    }
    let (tree, disk) = (Tree::new(), Tmpfs::new(256 << 10));
    let vault = disk.path().join("vault");
    elsewhere(&tree, &vault);
    let big = tree.aged("models/big.pt", vec![3; 400 << 10], 10 * DAY);
    // Before there is an archive, too, it is known what has no room, and it is no success.
    for command in [&["archive-models", "-n"][..], &["archive-models"]] {
        let (ran, report) = tree.json(command);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert_eq!(report["outcome"], "partial", "{report:#}");
        let model = operation(&report, MODELS);
        assert_eq!(model["errors"].as_array().unwrap().len(), 1, "{report:#}");
        assert_eq!(model["errors"][0]["path"], "models/big.pt");
        let actions = model["actions"].to_string();
        assert!(!actions.contains("big.pt"), "{actions}");
    }
    assert_eq!(fs::read(&big).unwrap(), vec![3; 400 << 10]);
    assert!(
        !tree.path("models/sub/old.pkl").exists(),
        "the small one fits"
    );
    let left: Vec<_> = walkdir::WalkDir::new(&vault)
        .into_iter()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("big") || name.starts_with(".sysopt"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(sums_hold(&vault));
    let verified = tree.run(&["restore-models", "--verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_torn_manifest_line_is_cut_off_and_nothing_else() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"a", 20 * DAY);
    archive(&tree, &[]);
    let manifest = tree.path("models/archived/manifest.jsonl");
    let whole = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("{whole}{{\"schema\":\"sysopt.mani")).unwrap();
    let before = tree.snapshot();
    let (ran, report) = tree.json(&["-C", ".", "archive-models", "-n"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        operation(&report, MODELS).to_string().contains("cut short")
            || report["warnings"].to_string().contains("cut short"),
        "{report:#}"
    );
    assert_eq!(tree.snapshot(), before);
    tree.aged("models/b.pkl", b"b", 10 * DAY);
    archive(&tree, &[]);
    let lines = json_lines(&manifest);
    assert_eq!(lines.len(), 2);
    assert!(fs::read_to_string(&manifest).unwrap().starts_with(&whole));
    let verified = tree.run(&["restore-models", "--verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn an_unknown_manifest_is_never_written_to() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"a", 20 * DAY);
    archive(&tree, &[]);
    let manifest = tree.path("models/archived/manifest.jsonl");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("manifest/1", "manifest/9")).unwrap();
    tree.aged("models/b.pkl", b"b", 10 * DAY);
    let before = tree.snapshot();
    let (ran, report) = tree.json(&["-C", ".", "archive-models"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(report.to_string().contains("manifest/9"), "{report:#}");
    let after = tree.snapshot();
    for (path, shot) in &before {
        if path.starts_with("models") {
            assert_eq!(after.get(path), Some(shot), "{}", path.display());
        }
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn an_archive_that_is_a_symlink_is_refused() {
    let tree = Tree::new();
    let trap = tree.outside().join("trap");
    fs::create_dir(&trap).unwrap();
    tree.aged("models/old.pkl", b"weights", 10 * DAY);
    symlink(&trap, tree.path("models/archived")).unwrap();
    let (ran, report) = tree.json(&["-C", ".", "archive-models"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(report["outcome"], "failure");
    assert_eq!(fs::read(tree.path("models/old.pkl")).unwrap(), b"weights");
    assert_eq!(fs::read_dir(&trap).unwrap().count(), 0);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_root_makes_belongs_to_the_owner_of_the_directory() {
    if !require::root() {
        return;
    }
    let tree = Tree::new();
    let model = tree.aged("models/sub/old.pkl", b"weights", 10 * DAY);
    chown(&model, Some(4321), Some(5432)).unwrap();
    set_age(&model, 10 * DAY);
    for directory in ["models", "models/sub"] {
        chown(tree.path(directory), Some(1234), Some(2345)).unwrap();
    }
    archive(&tree, &[]);
    for made in ["", "sub", "manifest.jsonl", "SHA256SUMS"] {
        let seen = fs::metadata(tree.path("models/archived").join(made)).unwrap();
        assert_eq!((seen.uid(), seen.gid()), (1234, 2345), "{made}");
    }
    let stored = tree.path(format!("models/archived/sub/old_{}.pkl", date(10)));
    let seen = fs::metadata(stored).unwrap();
    assert_eq!(
        (seen.uid(), seen.gid()),
        (4321, 5432),
        "a model keeps its owner"
    );
    // The owner can read and go on with it.
    let line = json_lines(&tree.path("models/archived/manifest.jsonl")).remove(0);
    assert_eq!(
        (line["uid"].as_u64(), line["gid"].as_u64()),
        (Some(4321), Some(5432))
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_cannot_be_read_for_a_while_stays_in_the_records() {
    if !require::root() {
        return;
    }
    let tree = Tree::new();
    tree.aged("models/sub/a.pkl", b"a", 20 * DAY);
    archive(&tree, &[]);
    tree.aged("models/b.pkl", b"b", 10 * DAY);
    for entry in walkdir::WalkDir::new(tree.base()) {
        chown(entry.unwrap().path(), Some(65_534), Some(65_534)).unwrap();
    }
    let sub = tree.path("models/archived/sub");
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o000)).unwrap();
    let args = ["-C", ".", "archive-models"];
    let output = tree.as_user(65_534, &args).output().unwrap();
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let sums = fs::read_to_string(tree.path("models/archived/SHA256SUMS")).unwrap();
    assert!(sums.contains("  sub/a_") && sums.contains("  b_"), "{sums}");
    assert!(sums_hold(&tree.path("models/archived")));
}
