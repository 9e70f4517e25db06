//! `restore-models`: what comes back is what went, and nothing else is touched.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use serde_json::Value;

use crate::fixture::{DAY, HOUR, Tree, actions, operation, set_age, statuses};
use crate::require;

const RESTORING: &str = "model_restoring";
const ARCHIVING: &str = "model_archiving";

/// The days since the versions of `rf.pkl` were modified, oldest first.
const VERSIONS: [u32; 3] = [30, 20, 10];

/// Three versions of a model, and another in a subdirectory.
fn archived() -> Tree {
    let tree = Tree::new();
    tree.config("[models]\n");
    for age in VERSIONS {
        let path = tree.aged("models/rf.pkl", format!("of {age} days ago"), age * DAY);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        rustix::fs::setxattr(&path, "user.run", b"17", rustix::fs::XattrFlags::empty()).unwrap();
        let ran = tree.run(&["archive-models"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    tree.aged("models/deep/net.pt", b"network", 15 * DAY);
    let ran = tree.run(&["archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    tree
}

fn date(days: u32) -> String {
    let output = Command::new("date")
        .args(["-u", "-d", &format!("{days} days ago"), "+%Y%m%d"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn restore(tree: &Tree, args: &[&str]) -> Value {
    let (ran, report) = tree.json(&[&["restore-models"], args].concat());
    assert_eq!(ran.code, Some(0), "{args:?} {ran:?}");
    report
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_list_names_models_versions_dates_and_sizes() {
    let tree = archived();
    let report = restore(&tree, &["--list"]);
    let models = &operation(&report, RESTORING)["metadata"]["models"];
    let text = models.to_string();
    for age in VERSIONS {
        assert!(
            text.contains(&format!("models/archived/rf_{}.pkl", date(age))),
            "{models:#}"
        );
    }
    assert_eq!(models.as_array().unwrap().len(), 2, "{models:#}");
    assert_eq!(
        report,
        restore_again(&tree, &report),
        "without arguments it lists too"
    );
    let text = tree.run(&["restore-models"]).stdout;
    assert!(
        text.contains("models/rf.pkl") && text.contains("models/deep/net.pt"),
        "{text}"
    );
}

/// The list without `--list`, with the time of the other.
fn restore_again(tree: &Tree, other: &Value) -> Value {
    let mut report = restore(tree, &[]);
    for key in ["timestamp", "cycle_duration_seconds"] {
        report[key] = other[key].clone();
    }
    report
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn verify_finds_what_is_wrong_and_says_so_with_code_3() {
    let tree = archived();
    restore(&tree, &["--verify"]);
    let victim = tree.path(format!("models/archived/rf_{}.pkl", date(20)));
    let content = fs::read(&victim).unwrap();
    let mut flipped = content.clone();
    flipped[3] ^= 1;
    fs::write(&victim, &flipped).unwrap();
    set_age(&victim, 20 * DAY);
    let (ran, report) = tree.json(&["restore-models", "--verify"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let text = report.to_string();
    assert!(text.contains("mismatch"), "{report:#}");
    assert_eq!(text.matches("mismatch").count(), 1, "{report:#}");
    fs::remove_file(&victim).unwrap();
    let (ran, report) = tree.json(&["restore-models", "--verify"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(report.to_string().contains("missing"), "{report:#}");
    fs::write(&victim, content).unwrap();
    restore(&tree, &["--verify"]);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_model_is_found_by_each_of_its_names() {
    let tree = archived();
    let place = tree.path("models/rf.pkl");
    let newest = "of 10 days ago".to_owned();
    let middle = "of 20 days ago".to_owned();
    for (name, expected) in [
        ("rf.pkl".to_owned(), &newest),
        ("models/rf.pkl".to_owned(), &newest),
        (format!("rf.pkl@{}", date(20)), &middle),
        (format!("rf_{}.pkl", date(20)), &middle),
        (format!("models/archived/rf_{}.pkl", date(10)), &newest),
    ] {
        let _ = fs::remove_file(&place);
        let report = restore(&tree, &[&name]);
        assert_eq!(statuses(&report, RESTORING), ["done"], "{name}");
        assert_eq!(fs::read_to_string(&place).unwrap(), *expected, "{name}");
    }
    fs::remove_file(&place).unwrap();
    for name in ["nothing.pkl", "rf.pkl@20200101", "../rf.pkl"] {
        let before = tree.snapshot();
        let ran = tree.run(&["restore-models", name]);
        assert_eq!(ran.code, Some(2), "{name} {ran:?}");
        assert!(ran.stderr.starts_with("sysopt: "), "{name} {ran:?}");
        assert_eq!(tree.snapshot(), before, "{name}");
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_restored_model_is_the_model_that_went() {
    let tree = archived();
    let stored = tree.path(format!("models/archived/rf_{}.pkl", date(10)));
    let before = fs::metadata(&stored).unwrap();
    restore(&tree, &["rf.pkl"]);
    let place = tree.path("models/rf.pkl");
    let now = fs::metadata(&place).unwrap();
    assert_eq!(now.mode(), before.mode());
    assert_eq!((now.uid(), now.gid()), (before.uid(), before.gid()));
    assert_eq!(
        (now.mtime(), now.mtime_nsec()),
        (before.mtime(), before.mtime_nsec())
    );
    let mut value = [0; 8];
    let size = rustix::fs::getxattr(&place, "user.run", &mut value).unwrap();
    assert_eq!(&value[..size], b"17");
    assert_ne!(now.ino(), before.ino());
    let after = fs::metadata(&stored).unwrap();
    assert_eq!(
        (after.ino(), after.mtime()),
        (before.ino(), before.mtime()),
        "the copy stays"
    );
    assert_eq!(fs::read(&stored).unwrap(), fs::read(&place).unwrap());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn an_equal_file_is_no_work_and_a_different_one_is_refused() {
    let tree = archived();
    let place = tree.write("models/rf.pkl", "of 10 days ago");
    let inode = fs::metadata(&place).unwrap().ino();
    let report = restore(&tree, &["rf.pkl"]);
    assert_eq!(statuses(&report, RESTORING), ["done"]);
    assert_eq!(fs::metadata(&place).unwrap().ino(), inode);
    // Of the same size, so that only its bytes tell; and of another.
    for other in ["of 99 days ago", "mine"] {
        fs::write(&place, other).unwrap();
        let ran = tree.run(&["restore-models", "rf.pkl"]);
        assert!(matches!(ran.code, Some(2 | 3)), "{ran:?}");
        assert!(ran.stderr.contains("--to"), "the way out is named: {ran:?}");
        assert_eq!(fs::read_to_string(&place).unwrap(), other);
        assert_eq!(fs::metadata(&place).unwrap().ino(), inode);
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn all_come_home_and_to_another_directory() {
    let tree = archived();
    restore(&tree, &["--all"]);
    assert_eq!(
        fs::read_to_string(tree.path("models/rf.pkl")).unwrap(),
        "of 10 days ago"
    );
    assert_eq!(
        fs::read_to_string(tree.path("models/deep/net.pt")).unwrap(),
        "network"
    );
    let to = tree.outside().join("new/place");
    let target = to.to_str().unwrap();
    restore(
        &tree,
        &["--to", target, "net.pt", &format!("rf.pkl@{}", date(30))],
    );
    assert_eq!(fs::read_to_string(to.join("net.pt")).unwrap(), "network");
    assert_eq!(
        fs::read_to_string(to.join("rf.pkl")).unwrap(),
        "of 30 days ago"
    );
    let all = tree.outside().join("all");
    restore(&tree, &["--all", "--to", all.to_str().unwrap()]);
    assert_eq!(
        fs::read_to_string(all.join("models/deep/net.pt")).unwrap(),
        "network"
    );
    assert_eq!(
        fs::read_to_string(all.join("models/rf.pkl")).unwrap(),
        "of 10 days ago"
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_restored_model_counts_as_used() {
    for age_by in ["used", "modified"] {
        let tree = archived();
        restore(&tree, &["--all"]);
        let (ran, report) = tree.json(&["-v", "archive-models", "--age-by", age_by]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(actions(&report, ARCHIVING), [], "{age_by}");
        assert!(tree.path("models/rf.pkl").exists());
        // Restored elsewhere by the user's own copy, it is an old model like any other.
        fs::copy(
            tree.path("models/deep/net.pt"),
            tree.path("models/deep/copy.pt"),
        )
        .unwrap();
        set_age(&tree.path("models/deep/copy.pt"), 15 * DAY);
        let report = tree.json(&["archive-models", "--age-by", age_by]).1;
        let paths: Vec<_> = actions(&report, ARCHIVING)
            .into_iter()
            .map(|(_, path, _)| path)
            .collect();
        assert_eq!(paths, ["models/deep/copy.pt"], "{age_by}");
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_dry_run_and_a_damaged_copy_change_nothing() {
    let tree = archived();
    let before = tree.snapshot();
    let (ran, report) = tree.json(&["-n", "restore-models", "--all"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(statuses(&report, RESTORING), ["planned"; 2]);
    assert_eq!(tree.snapshot(), before);
    let stored = tree.path(format!("models/archived/rf_{}.pkl", date(10)));
    let mut bytes = fs::read(&stored).unwrap();
    bytes[0] ^= 1;
    fs::write(&stored, bytes).unwrap();
    set_age(&stored, 10 * DAY + HOUR);
    let (ran, report) = tree.json(&["restore-models", "rf.pkl"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(statuses(&report, RESTORING), ["failed"]);
    assert!(ran.stderr.contains("sha256"), "{ran:?}");
    assert_eq!(
        tree.names("models"),
        ["archived", "deep"],
        "nothing half restored"
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn an_archive_that_is_not_named_any_more_is_told_of() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"weights", 10 * DAY);
    let ran = tree.run(&["-C", ".", "archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    tree.config("[models]\narchive_directory = 'vault'\n");
    for command in [&["restore-models"][..], &["archive-models"]] {
        let (ran, report) = tree.json(command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let warnings = report["warnings"].to_string();
        assert!(
            warnings.contains("'models/archived' is an archive"),
            "{warnings}"
        );
    }
    assert!(tree.path("models/archived/manifest.jsonl").exists());
}

#[test]
fn who_wants_all_is_told_that_the_archive_cannot_be_read() {
    if !require::root() {
        return;
    }
    let tree = Tree::new();
    tree.aged("models/rf.pkl", "weights", 10 * DAY);
    let ran = tree.run(&["-C", ".", "archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    fs::set_permissions(tree.path("models"), fs::Permissions::from_mode(0o000)).unwrap();
    let args = ["-C", ".", "restore-models", "--all"];
    let output = tree.as_user(65_534, &args).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("cannot read 'models'"), "{output:?}");
}
