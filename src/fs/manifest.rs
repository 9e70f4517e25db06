//! Reading the manifests of archives into the inventory.
//!
//! A manifest is only ever appended to, so the last line of a killed run may be torn; it is left
//! out here and cut off by the next run that writes. The last line for an archived path holds.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::dir;
use super::roots::Roots;
use crate::plan::archive::{
    Archive, DIGESTS, Event, MANIFEST, MANIFEST_SCHEMA, ManifestLine, Version,
};
use crate::plan::entry::{EntryId, Inventory, Problem, RootId, Walk};

/// An archive and the model directories that it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serves {
    /// Its root.
    pub root: RootId,
    /// The model directories.
    pub models: Vec<RootId>,
    /// It lies inside its only model directory.
    pub inside: bool,
}

/// Reads all manifests; what cannot be read becomes a problem of the archive's root.
pub fn add_archives(roots: &Roots, inventory: &mut Inventory, archives: Vec<Serves>) {
    for serves in archives {
        let lines = match read_lines(roots, serves.root) {
            Ok(lines) => lines,
            Err(error) => {
                // What cannot be understood must not be written to: its list of digests would lose
                // what it names.
                if let Some(top) = inventory.root(serves.root).top {
                    inventory.directories[top.0 as usize].walk = Walk::Unreadable;
                }
                inventory.problems.push(Problem {
                    root: serves.root,
                    path: inventory.root(serves.root).shown.join(MANIFEST),
                    error: error.to_string(),
                });
                Lines::default()
            }
        };
        let archive = assemble(inventory, serves, lines);
        inventory.archives.push(archive);
    }
}

/// The lines of a manifest, in order.
#[derive(Debug, Default)]
pub struct Lines {
    /// Those that could be read.
    pub lines: Vec<ManifestLine>,
    /// The last one was torn.
    pub torn: bool,
}

fn read_lines(roots: &Roots, root: RootId) -> io::Result<Lines> {
    let Ok(fd) = roots.fd(root) else {
        return Ok(Lines::default());
    };
    match dir::open_file(fd, MANIFEST.as_ref()) {
        Ok((file, _)) => parse(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lines::default()),
        Err(error) => Err(error),
    }
}

/// Parses a manifest.
///
/// # Errors
/// Those of reading; `InvalidData` for a line, other than a torn last one, that is not of a schema
/// known here.
pub fn parse(file: &File) -> io::Result<Lines> {
    let mut reader = BufReader::new(file);
    let mut read = Lines::default();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let whole = line.ends_with(b"\n");
        if whole && line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<ManifestLine>(&line) {
            Ok(parsed) if whole && parsed.schema == MANIFEST_SCHEMA => read.lines.push(parsed),
            Ok(parsed) if whole => return Err(corrupt(number, &unknown(&parsed.schema))),
            _ if !whole => read.torn = true,
            Err(error) => return Err(corrupt(number, &error.to_string())),
            Ok(_) => {}
        }
    }
    Ok(read)
}

fn unknown(schema: &str) -> String {
    format!("schema '{schema}' is not known to this version")
}

fn corrupt(line: u64, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: {why}"))
}

fn assemble(inventory: &Inventory, serves: Serves, read: Lines) -> Archive {
    let mut files = files_of(inventory, serves.root);
    let mut latest: BTreeMap<PathBuf, ManifestLine> = BTreeMap::new();
    let mut restored = HashMap::new();
    for line in read.lines {
        match line.event {
            Event::Restored => {
                restored.insert(line.original_path.0, line.time);
            }
            Event::Archived => {
                latest.insert(line.archived_path.0.clone(), line);
            }
            // The line comes before the file goes: where a run was killed between the two, the
            // file is still a version.
            Event::Expired if !files.contains_key(&line.archived_path.0) => {
                latest.remove(&line.archived_path.0);
            }
            Event::Expired => {}
        }
    }
    let mut versions: Vec<Version> = latest
        .into_iter()
        .map(|(path, line)| Version {
            line,
            entry: files.remove(&path),
        })
        .collect();
    forget_pending(inventory, &serves, &mut versions);
    let mut unlisted: Vec<EntryId> = files
        .into_iter()
        .filter(|(path, _)| !is_book(path))
        .map(|(_, id)| id)
        .collect();
    unlisted.sort_unstable();
    Archive {
        root: serves.root,
        models: serves.models,
        inside: serves.inside,
        versions,
        unlisted,
        restored,
        torn: read.torn,
    }
}

/// Drops the lines of moves that never happened: a run was killed between writing the line and
/// moving the file, which is still where it was.
fn forget_pending(inventory: &Inventory, serves: &Serves, versions: &mut Vec<Version>) {
    if versions.iter().all(|version| version.entry.is_some()) {
        return;
    }
    let mut there = HashMap::new();
    for id in inventory.entry_ids() {
        let entry = inventory.entry(id);
        let root = inventory.root_of(entry);
        if serves.models.contains(&root) {
            let below = inventory.relative_path(entry);
            let path = if serves.inside {
                below
            } else {
                inventory.root(root).path.join(below)
            };
            there.insert(path, (entry.size, entry.mtime.0));
        }
    }
    versions.retain(|version| {
        let line = &version.line;
        version.entry.is_some()
            || there.get(&line.original_path.0) != Some(&(line.size, line.mtime_ns))
    });
}

/// The archive's own records are not models.
fn is_book(path: &Path) -> bool {
    path == Path::new(MANIFEST)
        || path == Path::new(DIGESTS)
        || path.file_name().is_some_and(dir::is_temporary)
}

fn files_of(inventory: &Inventory, root: RootId) -> HashMap<PathBuf, EntryId> {
    inventory
        .entry_ids()
        .filter(|id| inventory.root_of(inventory.entry(*id)) == root)
        .map(|id| (inventory.relative_path(inventory.entry(id)), id))
        .collect()
}
