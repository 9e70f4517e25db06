//! Archiving, expiry and restoring, killed and failed at every call: every model is complete under a
//! listed name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fixture::{DAY, Tmpfs, Tree, json_lines, peek, sums_hold};
use crate::sweep::{Scenario, World, sweeps};

// Archives

const MODELS: [(&str, &[u8]); 4] = [
    ("a.pkl", b"weights of a"),
    ("deep/er/b.pt", b"weights of b"),
    ("-new\nline.onnx", b"weights of c"),
    ("deep/a.pkl", b"weights of another a"),
];

fn add_models(tree: &Tree) {
    for (name, bytes) in MODELS {
        tree.aged(Path::new("models").join(name), bytes, 10 * DAY);
    }
}

fn models() -> World {
    let tree = Tree::new();
    tree.config("[models]\narchive_after = '7d'\n");
    add_models(&tree);
    World::new(tree)
}

fn models_elsewhere() -> World {
    let tree = Tree::new();
    let other = Tmpfs::new(4 << 20);
    // Not the mount itself, so that a run makes directories of its own there.
    let archive = other.path().join("vault");
    tree.config(&format!(
        "[models]\narchive_directory = '{}'\n",
        archive.display()
    ));
    add_models(&tree);
    World::archived_on(tree, archive, other)
}

/// Files in an archive by their path in it, but for its records and what is in the making.
fn stored(archive: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(archive).into_iter().flatten();
    entries
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(archive).unwrap().to_path_buf())
        .filter(|path| path != Path::new("manifest.jsonl") && path != Path::new("SHA256SUMS"))
        .filter(|path| {
            let mut parts = path.iter();
            !parts.any(|part| part.as_bytes().starts_with(b".sysopt-"))
        })
        .map(|path| {
            let bytes = fs::read(archive.join(&path)).unwrap();
            (path, bytes)
        })
        .collect()
}

/// Archived paths that the manifest lists; a torn last line is none.
fn listed(archive: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(archive.join("manifest.jsonl")).unwrap_or_default();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["archived_path"].as_str().unwrap().into())
        .collect()
}

fn every_model_is_somewhere(world: &World) {
    let (stored, listed) = (stored(&world.archive), listed(&world.archive));
    for (name, bytes) in MODELS {
        let place = world.tree.path("models").join(name);
        let here = peek(&place).is_ok_and(|found| found == bytes);
        let there = stored
            .iter()
            .any(|(path, found)| found == bytes && listed.contains(path));
        assert!(here || there, "{name:?} is lost: {stored:?} {listed:?}");
    }
    for (path, bytes) in &stored {
        assert!(
            MODELS.iter().any(|(_, whole)| whole == bytes),
            "{} is half written",
            path.display()
        );
    }
    both_verify(world);
}

/// `sha256sum -c` and `restore-models --verify` say the same at every instant: that all is right,
/// or, where a run ended before it wrote the first list, that there is nothing to check it by.
pub fn both_verify(world: &World) {
    let list = world.archive.join("SHA256SUMS");
    let empty = fs::metadata(list).map_or(true, |list| list.len() == 0);
    let unchecked = empty && !stored(&world.archive).is_empty();
    assert!(sums_hold(&world.archive), "sha256sum -c");
    let verified = world.tree.run(&["restore-models", "--verify"]);
    let code = if unchecked { 3 } else { 0 };
    assert_eq!(verified.code, Some(code), "{verified:?}");
}

fn every_model_is_archived(world: &World) {
    assert_eq!(stored(&world.archive).len(), MODELS.len());
    none_is_in_place(world);
    is_recorded(world);
}

fn none_is_in_place(world: &World) {
    for (name, _) in MODELS {
        assert!(!world.tree.path("models").join(name).exists(), "{name:?}");
    }
}

/// The records name what is there, and nothing else.
fn is_recorded(world: &World) {
    json_lines(&world.archive.join("manifest.jsonl"));
    let stored = stored(&world.archive);
    let sums = fs::read_to_string(world.archive.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), stored.len(), "{sums}");
    both_verify(world);
}

const ARCHIVE: Scenario = Scenario {
    build: models,
    args: &["archive-models"],
    holds: every_model_is_somewhere,
    settled: every_model_is_archived,
    ..Scenario::BLANK
};

const ARCHIVE_ELSEWHERE: Scenario = Scenario {
    build: models_elsewhere,
    ..ARCHIVE
};

// Content that is in the archive already

fn models_again() -> World {
    let world = models();
    let ran = world.tree.run(&["archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    add_models(&world.tree);
    world
}

const ARCHIVE_AGAIN: Scenario = Scenario {
    build: models_again,
    settled: |world| {
        // An archive that could not be read when it was looked at may get a second copy.
        assert!(stored(&world.archive).len() >= MODELS.len());
        none_is_in_place(world);
        is_recorded(world);
    },
    ..ARCHIVE
};

// Expiry of versions

fn versions() -> World {
    let tree = Tree::new();
    tree.config("[models]\nmax_archived_models = 10\n");
    for (age, version) in [(40_u32, "one"), (30, "two"), (20, "three"), (10, "four")] {
        tree.aged("models/rf.pkl", version, age * DAY);
        let ran = tree.run(&["archive-models"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    World::new(tree)
}

const EXPIRY: Scenario = Scenario {
    build: versions,
    args: &["archive-models", "--max-archived", "2"],
    holds: |world| {
        let stored = stored(&world.archive);
        for version in [&b"three"[..], b"four"] {
            assert!(stored.values().any(|bytes| bytes == version), "{stored:?}");
        }
        both_verify(world);
    },
    settled: |world| {
        assert_eq!(stored(&world.archive).len(), 2);
        is_recorded(world);
    },
    ..Scenario::BLANK
};

// What another system archived

const FOREIGN: [(&str, &[u8]); 2] = [
    ("rf_20250809.pkl", b"weights of August"),
    ("deep/er/rf_20250901.pkl", b"weights of September"),
];

fn foreign() -> World {
    let tree = Tree::new();
    tree.config("[models]\n");
    for (name, bytes) in FOREIGN {
        tree.aged(Path::new("models/archived").join(name), bytes, 60 * DAY);
    }
    World::new(tree)
}

const TAKING_IN: Scenario = Scenario {
    build: foreign,
    args: &["archive-models"],
    holds: |world| {
        let stored = stored(&world.archive);
        let all = FOREIGN.map(|(name, bytes)| (PathBuf::from(name), bytes.to_vec()));
        assert_eq!(stored, all.into());
        assert!(sums_hold(&world.archive), "sha256sum -c");
    },
    settled: |world| {
        assert_eq!(listed(&world.archive).len(), FOREIGN.len());
        is_recorded(world);
    },
    ..Scenario::BLANK
};

// Restoring

fn archived() -> World {
    let world = models();
    let ran = world.tree.run(&["archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    world
}

fn nothing_is_half_restored(world: &World) {
    for (name, bytes) in MODELS {
        let place = world.tree.path("models").join(name);
        if let Ok(found) = peek(&place) {
            assert_eq!(found, bytes, "{name:?} is half written");
        }
    }
    assert_eq!(stored(&world.archive).len(), MODELS.len());
    both_verify(world);
}

const RESTORE: Scenario = Scenario {
    build: archived,
    args: &["restore-models", "--all"],
    holds: nothing_is_half_restored,
    settled: |world| {
        for (name, bytes) in MODELS {
            let place = world.tree.path("models").join(name);
            assert_eq!(fs::read(&place).unwrap(), bytes, "{name:?}");
        }
        is_recorded(world);
    },
    always_acts: true,
    ..Scenario::BLANK
};

sweeps! {
    archive: ARCHIVE;
    archive_elsewhere: ARCHIVE_ELSEWHERE;
    archive_again: ARCHIVE_AGAIN;
    expiry_of_models: EXPIRY;
    taking_in: TAKING_IN;
    restore: RESTORE;
}
