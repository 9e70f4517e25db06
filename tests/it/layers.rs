//! The layers of `src/lib.rs` hold: a module imports only from those below it.

use std::fs;
use std::path::Path;

/// Each room, and what of ours it may name.
const LAYERS: [(&str, &[&str]); 11] = [
    ("main", &["cli", "exit", "run", "signal"]),
    ("cli", &[]),
    ("exit", &[]),
    ("signal", &[]),
    ("plan", &[]),
    ("schedule", &["plan"]),
    ("config", &["plan"]),
    ("fs", &["plan"]),
    ("system", &["plan"]),
    ("report", &["plan"]),
    (
        "run",
        &[
            "cli", "config", "exit", "fs", "plan", "report", "schedule", "signal", "system",
        ],
    ),
];

/// The rooms that a source file names by `crate::` or, in the binary, `sysopt::`.
fn named(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| {
        ["crate::", "sysopt::"].into_iter().flat_map(move |start| {
            line.match_indices(start).map(move |(at, _)| {
                line[at + start.len()..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect()
            })
        })
    })
    .filter(|room: &String| !room.is_empty())
    .collect()
}

#[test]
fn a_room_names_only_those_below_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for entry in walkdir::WalkDir::new(&source) {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|suffix| suffix != "rs") {
            continue;
        }
        let below = entry.path().strip_prefix(&source).unwrap();
        let first = below.components().next().unwrap();
        let room = Path::new(first.as_os_str()).file_stem().unwrap();
        let room = room.to_str().unwrap();
        if room == "lib" {
            continue;
        }
        let (_, allowed) = LAYERS
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("src/{room} has no layer"));
        for named in named(&fs::read_to_string(entry.path()).unwrap()) {
            seen += 1;
            assert!(
                named == room || allowed.contains(&named.as_str()),
                "{} names {named}",
                below.display()
            );
        }
    }
    assert!(seen > 100, "{seen}: the test looks at nothing");
}

/// Only these files may call what changes a disk.
#[test]
fn only_apply_and_the_books_change_the_disk() {
    const MAY: [&str; 4] = [
        "fs/apply/",
        "fs/books.rs",
        "fs/collapse.rs",
        "fs/temporary.rs",
    ];
    const CHANGES: [&str; 8] = [
        "unlinkat(",
        "renameat",
        "::linkat(",
        "mkdirat(",
        "ftruncate(",
        "fallocate(",
        ".set_len(",
        "set_times(",
    ];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in walkdir::WalkDir::new(&source) {
        let entry = entry.unwrap();
        let below = entry
            .path()
            .strip_prefix(&source)
            .unwrap()
            .to_str()
            .unwrap();
        // The operations themselves are defined in one file, for these callers.
        if !entry.file_type().is_file()
            || below == "fs/dir.rs"
            || MAY.iter().any(|may| below.starts_with(may))
        {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        // What stands behind the product's code is tests.
        let code = text.split("#[cfg(test)]").next().unwrap();
        let tests = below.contains("test");
        for change in CHANGES {
            assert!(tests || !code.contains(change), "{below} calls {change}");
        }
    }
}
