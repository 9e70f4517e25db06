//! The archive and its two lists under kills, losses and odd names: `restore-models --verify` and
//! `sha256sum -c` must say the same, and both the truth.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fixture::{DAY, Ran, Tree, actions, operation, set_age};

const MANIFEST: &str = "models/archived/manifest.jsonl";
const SUMS: &str = "models/archived/SHA256SUMS";

fn archive(tree: &Tree) -> (Ran, Value) {
    tree.json(&["-C", ".", "archive-models"])
}

/// Archives and wants it done without a word.
fn archived(tree: &Tree) {
    let (ran, _) = archive(tree);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn verify(tree: &Tree) -> Option<i32> {
    tree.run(&["-C", ".", "restore-models", "--verify"]).code
}

/// Whether `sha256sum -c` finds everything right; what an archive lists nothing in, it refuses.
fn sums_are_right(tree: &Tree, archive: &str) -> bool {
    let mut command = Command::new("sha256sum");
    command.args(["--strict", "--quiet", "-c", "SHA256SUMS"]);
    let ran = command
        .current_dir(tree.path(archive))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    ran.status.success()
}

fn sums(tree: &Tree) -> String {
    fs::read_to_string(tree.path(SUMS)).unwrap()
}

fn lines(tree: &Tree) -> Vec<Value> {
    let text = fs::read_to_string(tree.path(MANIFEST)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn append(tree: &Tree, line: &Value) {
    let mut file = fs::File::options()
        .append(true)
        .open(tree.path(MANIFEST))
        .unwrap();
    writeln!(file, "{line}").unwrap();
}

/// Names of the files in the archive, but for its books.
fn stored(tree: &Tree) -> Vec<String> {
    let files = tree.files().into_iter();
    files
        .filter_map(|path| path.strip_prefix("models/archived/").map(str::to_owned))
        .filter(|path| path != "manifest.jsonl" && path != "SHA256SUMS")
        .collect()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn the_same_content_with_another_time_is_stored_once_and_its_version_is_the_newer_one() {
    let tree = Tree::new();
    let mut newest = 0;
    for days in [20, 10, 30] {
        tree.aged("models/rf.pkl", b"weights", days * DAY);
        archived(&tree);
        assert!(!tree.path("models/rf.pkl").exists());
        assert_eq!(stored(&tree).len(), 1, "{:?}", stored(&tree));
        let last = lines(&tree).pop().unwrap();
        newest = newest.max(last["mtime_ns"].as_i64().unwrap());
        assert_eq!(last["mtime_ns"], newest, "{days} days");
        assert_eq!(verify(&tree), Some(0));
        assert!(sums_are_right(&tree, "models/archived"));
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_move_that_never_happened_is_no_loss_whatever_became_of_the_model() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"weights", 10 * DAY);
    archived(&tree);
    // Killed between the line and the rename, and the model was trained anew since then.
    let mut line = lines(&tree)[0].clone();
    line["archived_path"] = json!("rf_20250101.pkl");
    line["original_path"] = json!("rf.pkl");
    append(&tree, &line);
    tree.aged("models/rf.pkl", b"other weights", 9 * DAY);
    assert_eq!(verify(&tree), Some(0));
    let (ran, report) = archive(&tree);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        operation(&report, "model_archiving")["metadata"]["missing"],
        0
    );
    assert_eq!(verify(&tree), Some(0));
    assert!(sums_are_right(&tree, "models/archived"));
    let named = |line: &&Value| line["archived_path"] == "rf_20250101.pkl";
    let all = lines(&tree);
    let last = all.iter().rev().find(named).unwrap();
    assert_eq!(last["event"], "expired", "the manifest says so too");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_lost_version_stays_lost_for_both_also_when_the_model_is_back_in_its_place() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"weights", 10 * DAY);
    archived(&tree);
    let ran = tree.run(&["-C", ".", "restore-models", "a.pkl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    fs::remove_file(tree.path("models/archived").join(&stored(&tree)[0])).unwrap();
    assert_eq!(verify(&tree), Some(3));
    assert!(!sums_are_right(&tree, "models/archived"));
    tree.aged("models/b.pkl", b"more weights", 10 * DAY);
    archived(&tree);
    assert_eq!(verify(&tree), Some(3), "another model changes nothing");
    assert!(!sums_are_right(&tree, "models/archived"));
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_run_with_nothing_to_do_completes_the_digests_that_a_killed_one_left() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"weights", 10 * DAY);
    tree.aged("models/b.pkl", b"more weights", 10 * DAY);
    archived(&tree);
    let whole = sums(&tree);
    let first = whole.lines().next().unwrap();
    for left in [format!("{first}\n"), String::new()] {
        fs::write(tree.path(SUMS), left).unwrap();
        let right = sums_are_right(&tree, "models/archived");
        assert_eq!(
            verify(&tree),
            Some(if right { 0 } else { 3 }),
            "both say so"
        );
        let before = tree.snapshot();
        tree.json(&["-C", ".", "archive-models", "-n"]);
        assert_eq!(tree.snapshot(), before);
        let (ran, report) = archive(&tree);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(actions(&report, "model_archiving"), []);
        assert_eq!(sums(&tree), whole);
    }
    fs::remove_file(tree.path(SUMS)).unwrap();
    archived(&tree);
    assert_eq!(sums(&tree), whole);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn nothing_goes_into_an_archive_whose_manifest_cannot_be_read() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"weights", 10 * DAY);
    archived(&tree);
    let newer = json!({ "schema": "sysopt.manifest/2" }).to_string();
    for broken in ["not json", &newer] {
        let good = fs::read(tree.path(MANIFEST)).unwrap();
        let mut text = good.clone();
        writeln!(text, "{broken}").unwrap();
        fs::write(tree.path(MANIFEST), &text).unwrap();
        tree.aged("models/b.pkl", b"more weights", 10 * DAY);
        let digests = sums(&tree);
        let (ran, _) = archive(&tree);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(tree.path("models/b.pkl").exists(), "{broken}");
        assert_eq!(fs::read(tree.path(MANIFEST)).unwrap(), text);
        assert_eq!(sums(&tree), digests);
        fs::write(tree.path(MANIFEST), good).unwrap();
    }
    archived(&tree);
    assert_eq!(stored(&tree).len(), 2);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn digests_of_files_that_a_lost_manifest_listed_stay() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"weights", 10 * DAY);
    archived(&tree);
    let digests = sums(&tree);
    fs::remove_file(tree.path(MANIFEST)).unwrap();
    tree.aged("models/b.pkl", b"more weights", 10 * DAY);
    archived(&tree);
    assert!(sums(&tree).contains(&digests), "{}", sums(&tree));
    assert!(sums_are_right(&tree, "models/archived"));
    assert_eq!(stored(&tree).len(), 2);
    // It stays told, also now that there is a manifest again.
    for command in [["-C", ".", "archive-models"], ["-C", ".", "restore-models"]] {
        let ran = tree.run(&command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            ran.stderr.contains("does not list 1 of the files"),
            "{ran:?}"
        );
    }
    assert_eq!(verify(&tree), Some(3));
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_file_that_somebody_put_under_an_archived_name_is_theirs() {
    let tree = Tree::new();
    tree.config("[models]\nmax_archived_models = 1\n");
    tree.aged("models/a.pkl", b"one", 30 * DAY);
    archived(&tree);
    let name = stored(&tree).remove(0);
    tree.aged("models/a.pkl", b"two", 20 * DAY);
    archived(&tree);
    assert_eq!(stored(&tree).len(), 1, "the first one expired");
    let theirs = format!("models/archived/{name}");
    tree.aged(&theirs, b"own", DAY);
    assert_eq!(verify(&tree), Some(0));
    // The same day again: the name is taken.
    tree.aged("models/a.pkl", b"three", 30 * DAY);
    let (ran, _) = archive(&tree);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for _ in 0..2 {
        archived(&tree);
        assert_eq!(fs::read(tree.path(&theirs)).unwrap(), b"own");
        assert_eq!(verify(&tree), Some(0));
        assert!(sums_are_right(&tree, "models/archived"));
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_truncated_version_is_no_reason_to_expire_a_whole_one() {
    let tree = Tree::new();
    tree.config("[models]\nmax_archived_models = 1\n");
    tree.aged("models/a.pkl", b"one", 30 * DAY);
    archived(&tree);
    let first = stored(&tree).remove(0);
    tree.config("[models]\nmax_archived_models = 2\n");
    tree.aged("models/a.pkl", b"two", 20 * DAY);
    archived(&tree);
    let second = stored(&tree).into_iter().find(|it| *it != first).unwrap();
    let damaged = tree.path("models/archived").join(&second);
    fs::write(&damaged, b"").unwrap();
    set_age(&damaged, 20 * DAY);
    tree.config("[models]\nmax_archived_models = 1\n");
    let (ran, report) = archive(&tree);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(actions(&report, "model_archiving"), []);
    assert_eq!(stored(&tree).len(), 2);
    assert!(report["warnings"].to_string().contains("size"), "{report}");
    assert_eq!(verify(&tree), Some(3));
    assert!(!sums_are_right(&tree, "models/archived"));
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn odd_names_are_archived_verified_and_restored() {
    let tree = Tree::new();
    let names: [&[u8]; 8] = [
        b"a\nb.pkl",
        b"back\\slash.pkl",
        b"car\rriage.pkl",
        b"-v.pkl",
        b" lead.pkl",
        b"*star[12].pkl",
        b"bytes\xff\xfe.pkl",
        b"dir\n\\/x\n.pkl",
    ];
    let path = |name: &[u8]| Path::new("models").join(std::ffi::OsStr::from_bytes(name));
    for name in names {
        tree.aged(path(name), name, 10 * DAY);
    }
    archived(&tree);
    assert_eq!(verify(&tree), Some(0));
    assert!(sums_are_right(&tree, "models/archived"), "{}", {
        let bytes = fs::read(tree.path(SUMS)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let before = fs::read(tree.path(SUMS)).unwrap();
    archived(&tree);
    assert_eq!(
        fs::read(tree.path(SUMS)).unwrap(),
        before,
        "read back as written"
    );
    let ran = tree.run(&["-C", ".", "restore-models", "--all"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for name in names {
        assert_eq!(fs::read(tree.path(path(name))).unwrap(), name);
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn directories_of_one_name_share_an_archive_without_meeting() {
    let tree = Tree::new();
    let outside = tree.outside().join("other/models");
    fs::create_dir_all(&outside).unwrap();
    let store = tree.outside().join("store");
    tree.config(&format!(
        "[models]\ndirectories = ['models', '../other/models', 'x/models']\narchive_directory = '{}'\n",
        store.display()
    ));
    let homes = [
        tree.path("models/rf.pkl"),
        outside.join("rf.pkl"),
        tree.path("x/models/rf.pkl"),
    ];
    for (number, home) in homes.iter().enumerate() {
        fs::create_dir_all(home.parent().unwrap()).unwrap();
        fs::write(home, [u8::try_from(number).unwrap()]).unwrap();
        set_age(home, 10 * DAY);
    }
    archived(&tree);
    assert_eq!(verify(&tree), Some(0));
    assert!(sums_are_right(&tree, store.to_str().unwrap()));
    let ran = tree.run(&["-C", ".", "restore-models", "rf.pkl"]);
    assert_eq!(ran.code, Some(2), "which of them? {ran:?}");
    let ran = tree.run(&["-C", ".", "restore-models", "--all"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for (number, home) in homes.iter().enumerate() {
        assert_eq!(fs::read(home).unwrap(), [u8::try_from(number).unwrap()]);
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn verify_and_list_know_a_model_by_all_its_names_and_refuse_one_that_is_none() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"weights", 10 * DAY);
    tree.aged("models/b.pkl", b"more weights", 10 * DAY);
    archived(&tree);
    let names = stored(&tree);
    fs::write(tree.path("models/archived").join(&names[0]), b"WEIGHTS").unwrap();
    let date = names[0].trim_start_matches("a_").trim_end_matches(".pkl");
    let dated = format!("a.pkl@{date}");
    for (name, code) in [
        ("a.pkl", 3),
        ("models/a.pkl", 3),
        (&*dated, 3),
        (&*names[0], 3),
        ("b.pkl", 0),
        (&*names[1], 0),
        ("c.pkl", 2),
    ] {
        let ran = tree.run(&["-C", ".", "restore-models", "--verify", name]);
        assert_eq!(ran.code, Some(code), "{name} {ran:?}");
    }
    let ran = tree.run(&["-C", ".", "restore-models", "--list", "a.pkl"]);
    assert!(
        ran.stdout.contains("a.pkl") && !ran.stdout.contains("b.pkl"),
        "{ran:?}"
    );
    let ran = tree.run(&["-C", ".", "restore-models", "--list", "c.pkl"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn what_is_restored_where_it_already_is_counts_as_used() {
    let tree = Tree::new();
    tree.aged("models/a.pkl", b"weights", 10 * DAY);
    archived(&tree);
    tree.aged("models/a.pkl", b"weights", 10 * DAY);
    let ran = tree.run(&["-C", ".", "restore-models", "a.pkl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    archived(&tree);
    assert!(tree.path("models/a.pkl").exists());
}
