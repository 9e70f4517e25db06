//! What `archive-models` and `restore-models` say that they freed and took, against what the
//! filesystem says; and that a dry run says the same before.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use serde_json::Value;

use crate::fixture::{DAY, Tree, operation, statuses};

/// Bytes that the models take, in their place and in the archive, without the archive's records
/// and its own directory.
fn taken(tree: &Tree) -> i64 {
    let top = tree.path("models");
    let own = [
        "",
        "archived",
        "archived/manifest.jsonl",
        "archived/SHA256SUMS",
    ];
    let own = own.map(|name| top.join(name));
    let entries = walkdir::WalkDir::new(&top).into_iter().flatten();
    let entries = entries.filter(|entry| !own.iter().any(|own| own.as_path() == entry.path()));
    let blocks = entries.map(|entry| entry.metadata().unwrap().blocks());
    i64::try_from(blocks.sum::<u64>() * 512).unwrap()
}

fn freed(report: &Value, name: &str) -> Option<i64> {
    operation(report, name)["bytes_freed"].as_i64()
}

/// A directory model and one with a sidecar, that compress well.
fn add(tree: &Tree, tag: &str, days: u32) {
    for (name, size) in [
        ("bert/config.json", 3000),
        ("bert/model.safetensors", 50_000),
        ("bert/sub/deep/tokenizer", 20_000),
        ("rf.pkl", 30_000),
        ("rf.json", 100),
    ] {
        let bytes = tag.repeat(size);
        tree.aged(Path::new("models").join(name), bytes, days * DAY);
    }
}

/// Runs a command dry and then wet: what is said before, after, and what the disk says.
fn run(tree: &Tree, name: &str, args: &[&str]) -> (Option<i64>, Option<i64>, i64) {
    let args = [&["-C", "."], args].concat();
    let (ran, planned) = tree.json(&[&["-n"][..], &args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let before = taken(tree);
    let (ran, report) = tree.json(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!statuses(&report, name).is_empty(), "{report:#}");
    (
        freed(&planned, name),
        freed(&report, name),
        before - taken(tree),
    )
}

#[test]
fn what_is_freed_and_taken_is_what_the_filesystem_says() {
    for codec in ["none", "zstd", "gzip"] {
        let tree = Tree::new();
        tree.config(&format!("[models]\ncompression = '{codec}'\n"));
        add(&tree, "a", 30);
        let (planned, said, measured) = run(&tree, "model_archiving", &["archive-models"]);
        assert_eq!(said, Some(measured), "{codec}");
        assert!((measured > 0) == (codec != "none"), "{codec}: {measured}");
        let exact = (codec == "none").then_some(measured);
        assert_eq!(planned, exact, "{codec}");
        let args = ["restore-models", "--all"];
        let (planned, said, measured) = run(&tree, "model_restoring", &args);
        assert_eq!((planned, said), (Some(measured), Some(measured)), "{codec}");
        assert!(measured < 0, "{codec}");
        let again = run(&tree, "model_restoring", &args);
        assert_eq!(again, (Some(0), Some(0), 0), "{codec}: they are there");
        // Content that the archive has.
        let args = ["archive-models", "--older-than", "0s"];
        let (planned, said, measured) = run(&tree, "model_archiving", &args);
        assert_eq!((planned, said), (Some(measured), Some(measured)), "{codec}");
        assert!(measured > 0, "{codec}");
        add(&tree, "b", 20);
        run(&tree, "model_archiving", &args);
        let args = ["archive-models", "--max-archived", "1"];
        let (planned, said, measured) = run(&tree, "model_archiving", &args);
        assert_eq!((planned, said), (Some(measured), Some(measured)), "{codec}");
        assert!(measured > 0, "{codec}");
    }
}

/// Puts something in the way.
type Harm<T> = fn(&T);

#[test]
fn what_is_in_the_way_of_a_directory_is_known_before() {
    let harms: [(&str, Harm<Path>); 6] = [
        ("another content", |at| {
            fs::write(at.join("config.json"), "b".repeat(3000)).unwrap();
        }),
        ("another size", |at| {
            fs::write(at.join("config.json"), "b").unwrap();
        }),
        ("a file more", |at| {
            fs::write(at.join("sub/more"), "b").unwrap();
        }),
        ("a file less", |at| {
            fs::remove_file(at.join("config.json")).unwrap();
        }),
        ("a file of that name", |at| {
            fs::remove_dir_all(at).unwrap();
            fs::write(at, "b").unwrap();
        }),
        ("an empty directory", |at| {
            fs::remove_dir_all(at).unwrap();
            fs::create_dir(at).unwrap();
        }),
    ];
    for (what, harm) in harms {
        for (more, place) in [
            (&["--all"][..], "models"),
            (&["bert", "--to", "out"], "out"),
        ] {
            let tree = Tree::new();
            add(&tree, "a", 30);
            let args = ["-C", ".", "archive-models"];
            assert_eq!(tree.run(&args).code, Some(0), "{what}");
            let args = [&["-C", ".", "restore-models"], more].concat();
            assert_eq!(tree.run(&args).code, Some(0), "{what}");
            harm(&tree.path(place).join("bert"));
            is_refused(&tree, &args, &format!("{place}/bert"), what);
        }
    }
}

/// A restore is refused by the dry run as by the run, for what is in the way, and changes nothing.
fn is_refused(tree: &Tree, args: &[&str], path: &str, what: &str) {
    let before = tree.snapshot();
    let said = |dry: &[&str]| {
        let (ran, report) = tree.json(&[dry, args].concat());
        let model = operation(&report, "model_restoring").clone();
        (
            ran.code,
            model["errors"].clone(),
            model["bytes_freed"].clone(),
        )
    };
    let planned = said(&["-n"]);
    assert_eq!(planned.0, Some(3), "{what}");
    assert_eq!(planned.1[0]["path"], path, "{what}");
    assert_eq!(said(&[]), planned, "{what}");
    let mut after = tree.snapshot();
    after.retain(|path, _| !path.ends_with("manifest.jsonl") && !path.starts_with(".sysopt"));
    for (path, shot) in after {
        assert_eq!(before.get(&path), Some(&shot), "{what}: {}", path.display());
    }
}

#[test]
fn what_is_in_the_way_elsewhere_is_known_before() {
    let harms: [(&str, Harm<Tree>); 4] = [
        ("out/rf.pkl", |tree| drop(tree.write("out/rf.pkl", "b"))),
        ("out/rf.pkl", |tree| {
            drop(tree.write("out/rf.pkl", "b".repeat(30_000)));
        }),
        ("out/rf.json", |tree| drop(tree.write("out/rf.json", "b"))),
        ("out/rf.pkl", |tree| {
            fs::create_dir_all(tree.path("out/rf.pkl")).unwrap();
        }),
    ];
    for (path, harm) in harms {
        let tree = Tree::new();
        add(&tree, "a", 30);
        let args = ["-C", ".", "archive-models"];
        assert_eq!(tree.run(&args).code, Some(0), "{path}");
        harm(&tree);
        let args = ["-C", ".", "restore-models", "rf.pkl", "--to", "out"];
        is_refused(&tree, &args, path, path);
    }
    // Not even through a link on the way.
    let tree = Tree::new();
    tree.aged("models/sub/rf.pkl", b"weights", 30 * DAY);
    let args = ["-C", ".", "archive-models"];
    assert_eq!(tree.run(&args).code, Some(0));
    fs::remove_dir(tree.path("models/sub")).unwrap();
    symlink(tree.outside(), tree.path("models/sub")).unwrap();
    let args = ["-C", ".", "restore-models", "rf.pkl"];
    is_refused(&tree, &args, "models/sub", "a link");
}
