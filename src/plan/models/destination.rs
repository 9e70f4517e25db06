//! The names of models in their archive: `SUBDIR/STEM_YYYYMMDD.EXT`.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::super::action::Subject;
use super::super::archive::{DIGESTS, MANIFEST};
use super::super::entry::{Inventory, Root, RootId};
use super::super::family::split;
use super::survey::Due;
use super::units::{Unit, sidecar_suffix};

/// The longest file name, in bytes (`NAME_MAX`).
const LONGEST: usize = 255;

/// The names that are taken, by archive.
pub(super) struct Names(Vec<HashSet<PathBuf>>);

impl Names {
    /// Names that the manifests list, and whatever else is in the archives.
    pub(super) fn of(inventory: &Inventory) -> Self {
        let mut numbers: HashMap<RootId, usize> = HashMap::new();
        let mut taken: Vec<HashSet<PathBuf>> = Vec::new();
        for (number, archive) in inventory.archives.iter().enumerate() {
            numbers.insert(archive.root, number);
            let listed = archive.files().map(|file| &file.line.archived_path.0);
            let units = archive.versions.iter().map(|version| &version.path);
            taken.push(listed.chain(units).cloned().collect());
        }
        for entry in &inventory.entries {
            if let Some(number) = numbers.get(&inventory.root_of(entry)) {
                taken[*number].insert(inventory.relative_path(entry));
            }
        }
        for id in inventory.directory_ids() {
            if let Some(number) = numbers.get(&inventory.directory(id).root) {
                taken[*number].insert(inventory.directory_path(id));
            }
        }
        Self(taken)
    }

    /// A free name for a model, which is taken from now on; `None` where it would be too long.
    pub(super) fn give(
        &mut self,
        inventory: &Inventory,
        archive: usize,
        due: &Due,
    ) -> Option<PathBuf> {
        let inside = inventory.archives[archive].inside;
        let root = inventory.root(inventory.directory(due.unit.parent).root);
        let below = due.relative.parent().unwrap_or(Path::new(""));
        let directory = subdirectory((!inside).then_some(root), below);
        let date = due.modified.date();
        for number in 1_u32.. {
            let name = match due.unit.subject {
                Subject::Entry(_) | Subject::Named(_) => dated(&due.unit.name, &date, number),
                Subject::Directory(_) => stamped(&due.unit.name, &date, number),
            };
            let path = directory.join(name);
            let names: Vec<PathBuf> = archived_names(inventory, &due.unit, &path);
            let long = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() > LONGEST);
            if names.iter().chain([&path]).any(long) {
                return None;
            }
            let taken = &mut self.0[archive];
            if !taken.contains(&path) && !names.iter().any(|name| taken.contains(name)) {
                taken.extend(names);
                taken.insert(path.clone());
                return Some(path);
            }
        }
        None
    }
}

/// The archived paths of all files of a model, whose own one is given, in their order.
pub(super) fn archived_names(inventory: &Inventory, unit: &Unit, to: &Path) -> Vec<PathBuf> {
    let top = match unit.subject {
        Subject::Directory(id) => inventory.directory_path(id),
        Subject::Entry(_) | Subject::Named(_) => PathBuf::new(),
    };
    let names = unit.files.iter().enumerate().map(|(at, id)| {
        let entry = inventory.entry(*id);
        match unit.subject {
            Subject::Directory(_) => {
                let path = inventory.relative_path(entry);
                to.join(path.strip_prefix(&top).unwrap_or(&path))
            }
            Subject::Entry(_) if at == 0 => to.to_path_buf(),
            Subject::Entry(_) | Subject::Named(_) => {
                let own = to.file_name().unwrap_or_default();
                match sidecar_suffix(&unit.name, inventory.name(entry)) {
                    Some((true, rest)) => to.with_file_name(join(own, rest)),
                    Some((false, rest)) => to.with_file_name(join(split(own).0, rest)),
                    None => to.with_file_name(inventory.name(entry)),
                }
            }
        }
    });
    names.collect()
}

fn join(start: &OsStr, end: &OsStr) -> OsString {
    let mut name = start.to_os_string();
    name.push(end);
    name
}

/// `NAME_YYYYMMDD`: the dots in the name of a directory are no extension.
fn stamped(name: &OsStr, date: &str, number: u32) -> OsString {
    let mut stamped = name.to_os_string();
    stamped.push(format!("_{date}"));
    if number > 1 {
        stamped.push(format!("_{number}"));
    }
    stamped
}

/// `STEM_YYYYMMDD.EXT`, from the second on `STEM_YYYYMMDD_2.EXT`.
fn dated(name: &OsStr, date: &str, number: u32) -> OsString {
    let (stem, extension) = split(name);
    let mut dated = stem.to_os_string();
    dated.push("_");
    dated.push(date);
    if number > 1 {
        dated.push(format!("_{number}"));
    }
    if let Some(extension) = extension {
        dated.push(".");
        dated.push(extension);
    }
    dated
}

/// The directory of a model in its archive. One that serves several model directories begins with
/// the name of each: its shown path, without what would lead out of the archive.
fn subdirectory(root: Option<&Root>, below: &Path) -> PathBuf {
    let mut directory = root.map_or_else(PathBuf::new, prefix);
    directory.push(below);
    let first = directory
        .components()
        .next()
        .map(|part| part.as_os_str().to_os_string());
    match first {
        // These names are the archive's own.
        Some(first) if first == MANIFEST || first == DIGESTS => {
            let rest: PathBuf = directory.components().skip(1).collect();
            let mut renamed = first;
            renamed.push("_");
            Path::new(&renamed).join(rest)
        }
        _ => directory,
    }
}

fn prefix(root: &Root) -> PathBuf {
    let normal = |path: &Path| -> PathBuf {
        let parts = path.components();
        parts
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect()
    };
    let shown = normal(&root.shown);
    if shown.as_os_str().is_empty() {
        root.path.file_name().map(PathBuf::from).unwrap_or_default()
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_goes_before_the_extension() {
        for (name, number, expected) in [
            ("rf_1h.pkl", 1, "rf_1h_20251124.pkl"),
            ("rf_1h.pkl", 2, "rf_1h_20251124_2.pkl"),
            ("model.tar.gz", 1, "model.tar_20251124.gz"),
            ("model-v1.2", 3, "model-v1.2_20251124_3"),
            ("model", 1, "model_20251124"),
            (".pkl", 1, ".pkl_20251124"),
            ("-a b\n[12].pt", 1, "-a b\n[12]_20251124.pt"),
        ] {
            assert_eq!(dated(OsStr::new(name), "20251124", number), expected);
        }
    }

    #[test]
    fn an_archive_for_several_directories_keeps_them_apart() {
        let root = |shown: &str| Root {
            role: super::super::super::entry::Role::Models,
            shown: PathBuf::from(shown),
            path: PathBuf::from("/srv/bot"),
            filesystem: None,
            inode: 0,
            top: None,
        };
        for (shown, below, expected) in [
            ("models", "saved", "models/saved"),
            ("/srv/ml/models", "", "srv/ml/models"),
            ("../models", "a", "models/a"),
            (".", "a", "bot/a"),
            ("SHA256SUMS", "a", "SHA256SUMS_/a"),
        ] {
            assert_eq!(
                subdirectory(Some(&root(shown)), Path::new(below)),
                Path::new(expected)
            );
        }
        assert_eq!(
            subdirectory(None, Path::new("saved/x")),
            Path::new("saved/x")
        );
        assert_eq!(
            subdirectory(None, Path::new("manifest.jsonl/x")),
            Path::new("manifest.jsonl_/x")
        );
    }
}
