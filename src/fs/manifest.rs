//! Reading the manifests of archives into the inventory.
//!
//! A manifest is only ever appended to, so the last line of a killed run may be torn; it is left
//! out here and cut off by the next run that writes. The last line for an archived path holds.
//!
//! A line is written before its file is moved, and the list of digests after it. So a file that is
//! missing and not in that list never arrived, and one that is in it was lost.

#[cfg(test)]
mod laws;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::digests::{self, Digests};
use super::dir;
use super::roots::Roots;
use crate::plan::action::Subject;
use crate::plan::archive::{
    Archive, DIGESTS, Event, MANIFEST, MANIFEST_SCHEMA, ManifestLine, StoredFile, Version,
};
use crate::plan::entry::{DirId, EntryId, Inventory, Problem, RootId};
use crate::plan::foreign;
use crate::plan::policy::{Codec, Globs};

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
pub fn add_archives(
    roots: &Roots,
    inventory: &mut Inventory,
    archives: Vec<Serves>,
    patterns: &Globs,
) {
    for serves in archives {
        let root = serves.root;
        let archive = match read_lines(roots, root) {
            Ok(lines) => {
                let digests = read_digests(roots, root).unwrap_or_else(|error| {
                    report(inventory, root, DIGESTS, &error);
                    None
                });
                assemble(inventory, &serves, lines, digests, patterns)
            }
            Err(error) => {
                report(inventory, root, MANIFEST, &error);
                let mut files: Vec<EntryId> = files_of(inventory, root).into_values().collect();
                files.sort_unstable();
                Archive {
                    unreadable: true,
                    unlisted: files,
                    ..Archive::empty(root, serves.models, serves.inside)
                }
            }
        };
        inventory.archives.push(archive);
    }
}

fn report(inventory: &mut Inventory, root: RootId, name: &str, error: &io::Error) {
    inventory.problems.push(Problem {
        root,
        path: inventory.root(root).shown.join(name),
        error: error.to_string(),
    });
}

/// The list of digests; `None` where there is none.
fn read_digests(roots: &Roots, root: RootId) -> io::Result<Option<Digests>> {
    let Ok(fd) = roots.fd(root) else {
        return Ok(None);
    };
    match dir::open_file(fd, DIGESTS.as_ref()) {
        Ok((mut file, _)) => {
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok(Some(digests::parse(&text)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
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
pub fn parse(from: impl Read) -> io::Result<Lines> {
    let mut reader = BufReader::new(from);
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

/// What the manifest says of an archived path.
struct Listed {
    line: ManifestLine,
    /// When the content under that name was modified, by any line: a file keeps the first.
    times: Vec<i64>,
    expired: bool,
}

fn assemble(
    inventory: &Inventory,
    serves: &Serves,
    read: Lines,
    digests: Option<Digests>,
    patterns: &Globs,
) -> Archive {
    let mut theirs: Vec<EntryId> = Vec::new();
    let mut files = files_of(inventory, serves.root);
    let mut archive = Archive::empty(serves.root, serves.models.clone(), serves.inside);
    archive.torn = read.torn;
    let mut listed: BTreeMap<PathBuf, Listed> = BTreeMap::new();
    for line in read.lines {
        match line.event {
            Event::Restored => {
                archive.restored.insert(line.original_path.0, line.time);
            }
            Event::Archived => archived(&mut listed, line),
            Event::Expired => {
                if let Some(known) = listed.get_mut(&line.archived_path.0) {
                    known.expired = true;
                }
            }
        }
    }
    // A directory that cannot be read may hold what seems to be missing.
    let known = !inventory.problems.iter().any(|p| p.root == archive.root);
    let mut stored = Vec::new();
    for (path, listed) in listed {
        let entry = files.get(&path).copied();
        let never = entry.is_none()
            && known
            && digests.as_ref().is_some_and(|all| !all.contains_key(&path));
        let event = match entry {
            _ if listed.expired => {
                if entry.is_none_or(|id| !is_still(inventory, id, &listed)) {
                    theirs.extend(entry);
                    continue;
                }
                Some(Event::Archived)
            }
            _ if never => Some(Event::Expired),
            _ => None,
        };
        let line = listed.line;
        archive.corrections.extend(event.map(|event| ManifestLine {
            event,
            ..line.clone()
        }));
        if !never {
            files.remove(&path);
            stored.push(StoredFile { line, entry });
        }
    }
    archive.versions = versions(inventory, archive.root, stored);
    archive.digests = digests.unwrap_or_default();
    files.retain(|path, _| !is_book(path));
    let mut unlisted: Vec<(PathBuf, EntryId)> = files.into_iter().collect();
    unlisted.sort();
    let foreign = unlisted
        .iter()
        // Elsewhere nothing but a manifest says where a file was.
        .filter(|_| archive.inside)
        // What the list of digests has was ours, until the manifest was lost.
        .filter(|(path, id)| !archive.digests.contains_key(path) && !theirs.contains(id))
        .filter_map(|(path, id)| foreign::version(inventory, patterns, path, *id));
    archive.foreign = foreign.collect();
    archive.unlisted = unlisted.into_iter().map(|(_, id)| id).collect();
    archive.unlisted.sort_unstable();
    archive
}

/// The files of the manifest, put together to the models that they are.
fn versions(inventory: &Inventory, root: RootId, stored: Vec<StoredFile>) -> Vec<Version> {
    let mut units: BTreeMap<PathBuf, Vec<StoredFile>> = BTreeMap::new();
    for file in stored {
        let path = file.line.unit.as_ref().unwrap_or(&file.line.archived_path);
        units.entry(path.0.clone()).or_default().push(file);
    }
    let directories: HashMap<PathBuf, DirId> = if units.values().any(|files| files.len() > 1) {
        inventory
            .directory_ids()
            .filter(|id| inventory.directory(*id).root == root)
            .map(|id| (inventory.directory_path(id), id))
            .collect()
    } else {
        HashMap::new()
    };
    let versions = units
        .into_iter()
        .flat_map(|(path, files)| unit(path, files, &directories));
    versions.collect()
}

/// A model that is one file, with its sidecars; a directory; or sidecars whose model never came,
/// of which each is a version by itself.
fn unit(
    path: PathBuf,
    mut files: Vec<StoredFile>,
    directories: &HashMap<PathBuf, DirId>,
) -> Vec<Version> {
    let model = files
        .iter()
        .position(|file| file.line.archived_path.0 == path);
    if let Some(model) = model {
        let mut version = Version::of_file(files.remove(model));
        version.others = files;
        return vec![version];
    }
    let original = files
        .first()
        .and_then(|first| directory_of(&path, &first.line));
    let Some(original) = original else {
        return files.into_iter().map(Version::of_file).collect();
    };
    let model = files.remove(0);
    vec![Version {
        at: directories.get(&path).copied().map(Subject::Directory),
        path,
        original,
        directory: true,
        model,
        others: files,
    }]
}

/// Where a directory model was, by one of its files; `None` where that does not lie in it.
fn directory_of(path: &Path, line: &ManifestLine) -> Option<PathBuf> {
    let below = line.archived_path.0.strip_prefix(path).ok()?;
    let original = &line.original_path.0;
    let depth = below.components().count();
    let top = original.ancestors().nth(depth)?;
    (original.strip_prefix(top).ok()? == below).then(|| top.to_path_buf())
}

fn archived(listed: &mut BTreeMap<PathBuf, Listed>, line: ManifestLine) {
    let mut times = listed
        .remove(&line.archived_path.0)
        .map_or(Vec::new(), |known| known.times);
    times.push(line.mtime_ns);
    let path = line.archived_path.0.clone();
    listed.insert(
        path,
        Listed {
            line,
            times,
            expired: false,
        },
    );
}

/// Whether a file is the version whose line says that it expired: that line comes before the file
/// goes, so a run may have been killed between the two. Any other file of that name is somebody's.
fn is_still(inventory: &Inventory, id: EntryId, listed: &Listed) -> bool {
    let entry = inventory.entry(id);
    let compressed = listed.line.codec != Codec::None.name();
    (compressed || entry.size == listed.line.size) && listed.times.contains(&entry.mtime.0)
}

/// The archive's own records are not models.
fn is_book(path: &Path) -> bool {
    path == Path::new(MANIFEST) || path == Path::new(DIGESTS) || path.iter().any(dir::is_temporary)
}

fn files_of(inventory: &Inventory, root: RootId) -> HashMap<PathBuf, EntryId> {
    inventory
        .entry_ids()
        .filter(|id| inventory.root_of(inventory.entry(*id)) == root)
        .map(|id| (inventory.relative_path(inventory.entry(id)), id))
        .collect()
}
