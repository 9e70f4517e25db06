//! Directory models and models with sidecars, archived, expired and restored, killed and failed at
//! every call: each file is complete in its place or under a listed name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::crash_models::both_verify;
use crate::fixture::{DAY, Tmpfs, Tree, peek};
use crate::sweep::{Scenario, World, sweeps};

/// Long enough to be worth compressing.
const FILES: [(&str, &[u8]); 5] = [
    ("bert/config.json", &[b'c'; 500]),
    ("bert/model.safetensors", &[b'm'; 600]),
    ("bert/sub/tokenizer", &[b't'; 700]),
    ("rf.pkl", &[b'r'; 800]),
    ("rf.json", &[b'j'; 900]),
];

fn add(tree: &Tree) {
    for (name, bytes) in FILES {
        tree.aged(Path::new("models").join(name), bytes, 10 * DAY);
    }
}

fn here() -> World {
    let tree = Tree::new();
    tree.config("[models]\n");
    add(&tree);
    World::new(tree)
}

fn compressed() -> World {
    let tree = Tree::new();
    tree.config("[models]\ncompression = 'zstd'\n");
    add(&tree);
    World::new(tree)
}

fn elsewhere() -> World {
    let tree = Tree::new();
    let other = Tmpfs::new(4 << 20);
    let archive = other.path().join("vault");
    tree.config(&format!(
        "[models]\narchive_directory = '{}'\ncompression = 'gzip'\n",
        archive.display()
    ));
    add(&tree);
    World::archived_on(tree, archive, other)
}

/// The original bytes of a stored file.
fn original(path: &Path, codec: &str) -> Option<Vec<u8>> {
    if codec == "none" {
        return fs::read(path).ok();
    }
    let mut command = Command::new(codec);
    command.args(["-d", "-c"]).stdin(fs::File::open(path).ok()?);
    let output = command.stderr(Stdio::null()).output().unwrap();
    output.status.success().then_some(output.stdout)
}

/// Original paths of the files that the archive lists and has, each complete.
fn archived(world: &World) -> Vec<PathBuf> {
    let text = fs::read_to_string(world.archive.join("manifest.jsonl")).unwrap_or_default();
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let lines = whole.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found = Vec::new();
    for line in lines {
        let text = |key: &str| line[key].as_str().unwrap();
        let stored = original(&world.archive.join(text("archived_path")), text("codec"));
        let wanted = FILES
            .iter()
            .find(|(name, _)| Path::new(text("original_path")).ends_with(name));
        if stored.is_some_and(|stored| wanted.is_some_and(|(_, bytes)| stored == *bytes)) {
            found.push(PathBuf::from(wanted.unwrap().0));
        }
    }
    found
}

fn every_file_is_somewhere(world: &World) {
    let archived = archived(world);
    for (name, bytes) in FILES {
        let place = world.tree.path("models").join(name);
        let here = peek(&place).is_ok_and(|found| found == bytes);
        let there = archived.contains(&PathBuf::from(name));
        assert!(here || there, "{name} is lost: {archived:?}");
    }
    // A directory is whole where it is seen.
    let seen = world.tree.path("models/bert").exists();
    let whole = FILES[..3]
        .iter()
        .all(|(name, _)| world.tree.path("models").join(name).exists());
    assert!(!seen || whole, "half a directory");
    both_verify(world);
}

fn everything_is_archived(world: &World) {
    let archived = archived(world);
    for (name, _) in FILES {
        assert!(archived.contains(&PathBuf::from(name)), "{name}");
        assert!(!world.tree.path("models").join(name).exists(), "{name}");
    }
    both_verify(world);
}

const ARCHIVE_UNITS: Scenario = Scenario {
    build: here,
    args: &["archive-models"],
    holds: every_file_is_somewhere,
    settled: everything_is_archived,
    ..Scenario::BLANK
};

const COMPRESS_UNITS: Scenario = Scenario {
    build: compressed,
    ..ARCHIVE_UNITS
};

const ARCHIVE_UNITS_ELSEWHERE: Scenario = Scenario {
    build: elsewhere,
    ..ARCHIVE_UNITS
};

fn stored() -> World {
    let world = elsewhere();
    let ran = world.tree.run(&["archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    world
}

const RESTORE_UNITS: Scenario = Scenario {
    build: stored,
    args: &["restore-models", "--all"],
    holds: |world| {
        assert!(archived(world).len() >= FILES.len(), "the copies stay");
        every_file_is_somewhere(world);
        for (name, bytes) in FILES {
            if let Ok(found) = peek(&world.tree.path("models").join(name)) {
                assert_eq!(found, bytes, "{name} is half written");
            }
        }
    },
    settled: |world| {
        for (name, bytes) in FILES {
            let place = world.tree.path("models").join(name);
            assert_eq!(fs::read(&place).unwrap(), bytes, "{name}");
        }
        both_verify(world);
    },
    always_acts: true,
    ..Scenario::BLANK
};

// Expiry

fn versions() -> World {
    let tree = Tree::new();
    tree.config("[models]\n");
    for days in [30, 20] {
        for (name, _) in FILES {
            let bytes = format!("{name} of {days} days ago");
            tree.aged(Path::new("models").join(name), bytes, days * DAY);
        }
        let ran = tree.run(&["archive-models"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    World::new(tree)
}

/// How many whole versions of so many days ago there are, of the directory and of the file.
fn whole_versions(world: &World, days: u32) -> [bool; 2] {
    let mut files = FILES.map(|(name, _)| {
        let bytes = format!("{name} of {days} days ago").into_bytes();
        let entries = walkdir::WalkDir::new(&world.archive).into_iter().flatten();
        let mut files = entries.filter(|entry| entry.file_type().is_file());
        files.any(|entry| {
            let making = entry.path().to_str().unwrap().contains(".sysopt-");
            !making && fs::read(entry.path()).unwrap() == bytes
        })
    });
    files[..3].sort_unstable();
    assert_eq!(files[0], files[2], "half a directory of {days} days ago");
    assert!(files[3] || !files[4], "a sidecar without its model");
    [files[0], files[3]]
}

const EXPIRE_UNITS: Scenario = Scenario {
    build: versions,
    args: &["archive-models", "--max-archived", "1"],
    holds: |world| {
        assert_eq!(whole_versions(world, 20), [true, true]);
        whole_versions(world, 30);
        both_verify(world);
    },
    settled: |world| {
        assert_eq!(whole_versions(world, 30), [false, false]);
        both_verify(world);
    },
    ..Scenario::BLANK
};

sweeps! {
    expire_units: EXPIRE_UNITS;
    archive_units: ARCHIVE_UNITS;
    compress_units: COMPRESS_UNITS;
    archive_units_elsewhere: ARCHIVE_UNITS_ELSEWHERE;
    restore_units: RESTORE_UNITS;
}
