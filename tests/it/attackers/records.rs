//! Records that another user owns: an archive's manifest and digests, the state.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{COMMANDS, MALLORY, Scene, give, link, theirs};
use crate::fixture::sha256sum;
use crate::require;

#[test]
fn records_that_are_no_files_hold_nobody_up() {
    if !require::root() {
        return;
    }
    let scene = Scene::new();
    for place in ["models/archived", ".sysopt", "models"] {
        theirs(&scene.tree.path(place));
    }
    fs::remove_dir_all(scene.tree.path(".sysopt")).unwrap();
    fs::create_dir(scene.tree.path(".sysopt")).unwrap();
    for record in [
        "models/archived/manifest.jsonl",
        "models/archived/SHA256SUMS",
        ".sysopt/state.json",
        ".sysopt/history.jsonl",
    ] {
        let made = Command::new("mkfifo").arg(scene.tree.path(record)).status();
        assert!(made.unwrap().success());
    }
    for args in COMMANDS {
        let ran = scene.run(args);
        assert!(matches!(ran.code, Some(0..=3)), "{args:?} {ran:?}");
        scene.holds(&format!("{args:?}"));
    }
    let ran = scene.run(&["status"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// An archive of the attacker's with one line in its manifest.
fn archive_with(scene: &Scene, original: &str, archived: &str, owner: (u32, u32)) -> PathBuf {
    let archive = scene.tree.path("models/archived");
    fs::create_dir_all(&archive).unwrap();
    let stored = archive.join("evil_20250101.pkl");
    fs::write(&stored, "#!/bin/sh\n").unwrap();
    let sum = sha256sum(&stored);
    let (uid, mode) = owner;
    let line = serde_json::json!({
        "schema": "sysopt.manifest/1", "event": "archived", "original_path": original,
        "archived_path": archived, "size": 10, "sha256": sum, "stored_sha256": sum,
        "mtime_ns": 1_700_000_000_000_000_000_u64, "mode": mode, "uid": uid, "gid": uid,
        "family": "evil", "time": "2025-01-01T00:00:00Z", "codec": "none"
    });
    fs::write(archive.join("manifest.jsonl"), format!("{line}\n")).unwrap();
    fs::write(archive.join("SHA256SUMS"), "").unwrap();
    give(&scene.tree.path("models"));
    stored
}

#[test]
fn a_manifest_that_lies_makes_no_program_of_root() {
    if !require::root() {
        return;
    }
    let scene = Scene::new();
    archive_with(&scene, "evil.pkl", "evil_20250101.pkl", (0, 0o4755));
    let ran = scene.run(&["restore-models", "--all"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let seen = fs::metadata(scene.tree.path("models/evil.pkl")).unwrap();
    assert_eq!((seen.uid(), seen.gid()), (MALLORY, MALLORY));
    assert_eq!(seen.mode() & 0o7000, 0, "{:o}", seen.mode());
}

#[test]
fn a_manifest_names_nothing_outside() {
    if !require::root() || !require::tool("strace") {
        return;
    }
    for (original, archived) in [
        ("../../victim/new.pkl", "evil_20250101.pkl"),
        ("a/../../../victim/new.pkl", "evil_20250101.pkl"),
        ("/victim/new.pkl", "evil_20250101.pkl"),
        ("into/new.pkl", "evil_20250101.pkl"),
        ("mine.pkl", "../../../victim/models/m.pkl"),
        ("mine.pkl", "into/m.pkl"),
        ("mine.pkl", "linked.pkl"),
    ] {
        let scene = Scene::new();
        archive_with(&scene, original, archived, (0, 0o600));
        for place in ["models", "models/archived"] {
            let place = scene.tree.path(place);
            link(&scene.victim.join("models"), &place.join("into"), MALLORY);
            let file = scene.victim.join("models/m.pkl");
            link(&file, &place.join("linked.pkl"), MALLORY);
        }
        scene.withstands_all();
        let ran = scene.run(&["restore-models", "--verify"]);
        scene.holds(&format!("{original} {archived} {ran:?}"));
    }
}

#[test]
fn a_manifest_that_is_a_name_of_another_file_is_not_written() {
    if !require::root() {
        return;
    }
    let mut scene = Scene::new();
    archive_with(&scene, "evil.pkl", "evil_20250101.pkl", (0, 0o600));
    theirs(&scene.tree.path("models"));
    let manifest = scene.tree.path("models/archived/manifest.jsonl");
    let precious = scene.victim.join("precious");
    fs::copy(&manifest, &precious).unwrap();
    fs::remove_file(&manifest).unwrap();
    fs::hard_link(&precious, &manifest).unwrap();
    scene.remember();
    for args in COMMANDS {
        let ran = scene.run(args);
        assert!(matches!(ran.code, Some(0..=3)), "{args:?} {ran:?}");
    }
    let now = fs::read(&precious).unwrap();
    assert_eq!(now, scene.before[Path::new("precious")].4.0);
}
