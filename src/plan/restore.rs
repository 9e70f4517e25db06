//! Which archived versions are meant by the names that people type, and where they go.

mod resolve;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use serde_json::json;

use super::action::{Operation, OperationPlan, Place, Restore, Subject, Task, Verb};
use super::archive::{StoredFile, Version};
use super::entry::{EntryId, Inventory, Kind, Problem, Role, RootId, join_shown};
use super::policy::Codec;
use super::reason::Reason;
use super::versions::{self, Stored, home, shown_original};
use crate::plan::readable;
use resolve::Catalogue;
use standing::{Found, Standing};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The newest version of each model.
    All,
    /// These, each an archived name, an original name (its newest version) or `NAME@DATE`.
    Named(&'a [OsString]),
}

/// Why a model cannot be restored. Nothing is planned then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// No archive has that name.
    #[error(
        "no archived model is called '{}'{}",
        readable::path(name),
        suggest("; did you mean", nearest)
    )]
    Unknown {
        /// As typed.
        name: OsString,
        /// Original paths with a name like it, the nearest first.
        nearest: Vec<PathBuf>,
    },
    /// The model is archived, but not with that date.
    #[error("'{}' has no version of {date}; there are {}", readable::path(name), dates.join(", "))]
    NoSuchDate {
        /// As typed, without the date.
        name: OsString,
        /// `YYYYMMDD`.
        date: String,
        /// Those that there are, the newest first.
        dates: Vec<String>,
    },
    /// Several models have that name.
    #[error(
        "'{}' is ambiguous{}",
        readable::path(name),
        suggest(": it may be", candidates)
    )]
    Ambiguous {
        /// As typed.
        name: OsString,
        /// The archived files that it may mean, as they can be typed.
        candidates: Vec<PathBuf>,
    },
    /// The manifest lists the file and it is not there.
    #[error("'{}' is missing from its archive", readable::path(.0))]
    Missing(PathBuf),
    /// Whether it is there could not be seen.
    #[error(
        "cannot tell whether it is there: '{}': {error}",
        readable::path(place)
    )]
    Unseen {
        /// What could not be read, on the way to it.
        place: PathBuf,
        /// Why.
        error: String,
    },
    /// The directory that it came from is not a model directory any more.
    #[error("'{}' is in no model directory; --to DIR says where it goes", readable::path(.0))]
    NoHome(PathBuf),
    /// Two versions would become the same file.
    #[error(
        "'{}' and '{}' would both become '{}'",
        readable::path(first),
        readable::path(second),
        readable::path(to)
    )]
    Collision {
        /// Where they would go.
        to: PathBuf,
        /// An archived file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
}

/// What is said of a file that is not replaced.
pub const IN_THE_WAY: &str = "another file has its name and stays; restore elsewhere with --to DIR";

/// Where a file of a version goes, if the version goes to `to`.
#[must_use]
pub fn goes_to(version: &Version, file: &StoredFile, to: &Path) -> PathBuf {
    let original = &file.line.original_path.0;
    if version.directory {
        match original.strip_prefix(&version.original) {
            Ok(below) => to.join(below),
            Err(_) => to.to_path_buf(),
        }
    } else if *original == version.original {
        to.to_path_buf()
    } else {
        to.with_file_name(original.file_name().unwrap_or_default())
    }
}

/// Files that stand where others of the same size would go: [`plan`] wants their digests.
#[must_use]
pub fn digests_wanted(inventory: &Inventory, plan: &OperationPlan) -> Vec<EntryId> {
    let mut sizes: HashMap<(RootId, PathBuf), u64> = HashMap::new();
    for action in &plan.actions {
        let Task::Restore(restore) = &action.task else {
            continue;
        };
        let version = inventory.archives[restore.archive].version(restore.version);
        for file in version.into_iter().flat_map(Version::files) {
            let to = version.map(|version| goes_to(version, file, &restore.to.path));
            let place = (restore.to.root, to.unwrap_or_default());
            sizes.insert(place, file.line.size);
        }
    }
    let wanted = |id: &EntryId| {
        let entry = inventory.entry(*id);
        let place = (inventory.root_of(entry), inventory.relative_path(entry));
        entry.kind == Kind::File && sizes.get(&place) == Some(&entry.size)
    };
    inventory.entry_ids().filter(wanted).collect()
}

/// Where models would go: [`plan`] wants to know what stands there.
#[must_use]
pub fn places(inventory: &Inventory, plan: &OperationPlan) -> Vec<PathBuf> {
    let tasks = plan.actions.iter().filter_map(|action| match &action.task {
        Task::Restore(restore) => Some(restore),
        _ => None,
    });
    let paths = tasks.flat_map(|restore| {
        let version = inventory.archives[restore.archive].version(restore.version);
        let files = version.filter(|version| !version.directory);
        let files = files.into_iter().flat_map(|version| {
            let to = |file| goes_to(version, file, &restore.to.path);
            version.files().map(to)
        });
        files.chain([restore.to.path.clone()])
    });
    paths.collect()
}

fn suggest(words: &str, paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = paths
        .iter()
        .map(|path| format!("'{}'", readable::path(path)))
        .collect();
    format!("{words} {}", quoted.join(", "))
}

/// Plans `restore-models`: home, or into a root of [`super::entry::Role::Target`].
///
/// There a model that was named gets its original file name; with [`Wanted::All`] its path below
/// the base is kept, so that models of the same name do not meet.
///
/// # Errors
/// All that is wrong with what was named. With [`Wanted::All`] a model that cannot be restored is a
/// problem of the plan, and the others are.
pub fn plan(
    inventory: &Inventory,
    wanted: Wanted,
    to: Option<RootId>,
) -> Result<OperationPlan, Vec<RestoreError>> {
    let catalogue = Catalogue::new(versions::models(inventory));
    let mut restoring = Restoring::new(inventory, to, matches!(wanted, Wanted::All));
    let mut errors = Vec::new();
    match wanted {
        Wanted::All => {
            // Who wants everything has to know of what could not be seen.
            restoring.plan.problems.extend(unseen(inventory));
            for version in catalogue.newest() {
                if let Err(error) = restoring.add(version) {
                    restoring.plan.problems.push(Problem {
                        root: inventory.archives[version.archive].root,
                        path: version.archived.clone(),
                        error: error.to_string(),
                    });
                }
            }
        }
        Wanted::Named(names) => {
            for name in names {
                let added = catalogue
                    .resolve(inventory, name)
                    .and_then(|it| restoring.add(it));
                errors.extend(added.err());
            }
        }
    }
    if errors.is_empty() {
        Ok(restoring.finish())
    } else {
        Err(errors)
    }
}

/// The versions that some names mean, by archive and number: all versions of a model, one version
/// of an archived name or `NAME@DATE`; everything where nothing is named.
///
/// # Errors
/// For each name that means nothing, or more than one thing with that date.
pub fn select(
    inventory: &Inventory,
    names: &[OsString],
) -> Result<HashSet<(usize, usize)>, Vec<RestoreError>> {
    let catalogue = Catalogue::new(versions::models(inventory));
    let mut selected = HashSet::new();
    let mut errors = Vec::new();
    if names.is_empty() {
        selected.extend(catalogue.all());
    }
    for name in names {
        let called = catalogue.called(inventory, name);
        if called.is_empty() {
            match catalogue.resolve(inventory, name) {
                Ok(version) => drop(selected.insert((version.archive, version.number))),
                Err(error) => errors.push(error),
            }
        }
        selected.extend(called);
    }
    if errors.is_empty() {
        Ok(selected)
    } else {
        Err(errors)
    }
}

/// What could not be read of the archives, and on the way to them.
fn unseen(inventory: &Inventory) -> Vec<Problem> {
    let roots = inventory.roots_of(Role::Archive);
    let places: Vec<&PathBuf> = roots.map(|id| &inventory.root(id).shown).collect();
    let concerns = |problem: &&Problem| {
        let path = &problem.path;
        let mut places = places.iter();
        places.any(|place| path.starts_with(place) || place.starts_with(path))
    };
    inventory
        .problems
        .iter()
        .filter(concerns)
        .cloned()
        .collect()
}

/// Why there is no file for a version: it is gone, or its place could not be read.
fn absent(inventory: &Inventory, version: &Stored) -> RestoreError {
    let known = inventory.archives[version.archive].version(version.number);
    let missing = known.into_iter().flat_map(Version::files);
    let missing = missing.filter(|file| file.entry.is_none());
    let paths: Vec<PathBuf> = missing
        .map(|file| inventory.shown_archived(version.archive, &file.line.archived_path.0))
        .chain([version.archived.clone()])
        .collect();
    let hides = |problem: &&Problem| paths.iter().any(|path| path.starts_with(&problem.path));
    match inventory.problems.iter().find(hides) {
        Some(problem) => RestoreError::Unseen {
            place: problem.path.clone(),
            error: problem.error.clone(),
        },
        None => RestoreError::Missing(version.archived.clone()),
    }
}

/// The usual size of a block, in bytes.
const BLOCK: u64 = 4096;

/// Allocated bytes of a copy, as near as can be told before: what the archived file takes, and of a
/// compressed one whole blocks.
fn takes(inventory: &Inventory, version: &Version) -> u64 {
    let files = version.files().map(|file| match file.entry {
        Some(id) if file.line.codec == Codec::None.name() => inventory.entry(id).disk_usage(),
        _ => file.line.size.div_ceil(BLOCK).saturating_mul(BLOCK),
    });
    let directories = match version.at {
        Some(Subject::Directory(id)) => inventory.blocks_below(id).saturating_mul(512),
        _ => 0,
    };
    files.fold(directories, u64::saturating_add)
}

struct Restoring<'a> {
    inventory: &'a Inventory,
    to: Option<RootId>,
    whole_paths: bool,
    standing: Standing<'a>,
    given: HashMap<Place, PathBuf>,
    chosen: HashSet<(usize, usize)>,
    bytes: u64,
    /// Allocated bytes of what is restored.
    taken: u64,
    plan: OperationPlan,
}

impl<'a> Restoring<'a> {
    fn new(inventory: &'a Inventory, to: Option<RootId>, whole_paths: bool) -> Self {
        Self {
            inventory,
            to,
            whole_paths,
            standing: Standing::of(inventory, to),
            given: HashMap::new(),
            chosen: HashSet::new(),
            bytes: 0,
            taken: 0,
            plan: OperationPlan::new(Operation::ModelRestoring),
        }
    }

    fn add(&mut self, version: &Stored) -> Result<(), RestoreError> {
        let archive = &self.inventory.archives[version.archive];
        let whole = version.at.zip(archive.version(version.number));
        let Some((subject, whole)) = whole else {
            return Err(absent(self.inventory, version));
        };
        let place = self.place(version)?;
        if !self.chosen.insert((version.archive, version.number)) {
            return Ok(());
        }
        let shown = join_shown(&self.inventory.root(place.root).shown, &place.path);
        if let Some(first) = self.given.get(&place) {
            let (first, second) = (first.clone(), version.archived.clone());
            return Err(RestoreError::Collision {
                to: shown,
                first,
                second,
            });
        }
        let found = self.standing.at(&place, whole);
        if let Found::Other(path) = found {
            // A state of the disk, not a mistake on the command line: the other models come back.
            let other = join_shown(&self.inventory.root(place.root).shown, &path);
            self.plan.refused.push((other, IN_THE_WAY.to_owned()));
            return Ok(());
        }
        self.given.insert(place.clone(), version.archived.clone());
        let restore = Restore {
            archive: version.archive,
            version: version.number,
            size: version.size,
            to: place,
            home: self.to.is_none(),
        };
        let task = Task::Restore(Box::new(restore));
        self.plan
            .act(Verb::Restore, subject, Reason::Requested, task);
        if found == Found::Free {
            self.bytes = self.bytes.saturating_add(version.size);
            self.taken = self.taken.saturating_add(takes(self.inventory, whole));
        }
        Ok(())
    }

    fn place(&self, version: &Stored) -> Result<Place, RestoreError> {
        let archive = &self.inventory.archives[version.archive];
        let original = archive
            .version(version.number)
            .map(|version| &version.original);
        let Some(original) = original else {
            return Err(RestoreError::Missing(version.archived.clone()));
        };
        let homeless = || RestoreError::NoHome(original.clone());
        let Some(root) = self.to else {
            let (root, path) = home(self.inventory, archive, original).ok_or_else(homeless)?;
            return Ok(Place { root, path });
        };
        let path: PathBuf = if self.whole_paths {
            let shown = shown_original(self.inventory, archive, original);
            let parts = shown.components().map(|part| match part {
                Component::Normal(name) => Some(name),
                _ => None,
            });
            parts.flatten().collect()
        } else {
            original.file_name().map(PathBuf::from).unwrap_or_default()
        };
        if path.as_os_str().is_empty() {
            return Err(homeless());
        }
        Ok(Place { root, path })
    }

    fn finish(mut self) -> OperationPlan {
        self.plan
            .metadata
            .insert("models", json!(self.plan.actions.len()));
        self.plan
            .metadata
            .insert("restored_bytes", json!(self.bytes));
        let taken = self.taken;
        self.plan.estimate = Some(0_i64.saturating_sub_unsigned(taken));
        self.plan
    }
}
