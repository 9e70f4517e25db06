//! Which models go into the archive, under which names, and which archived versions expire.
//!
//! A model that was loaded into memory leaves no trace, so age alone cannot tell that it is in
//! use: the newest versions of a family stay, as does whatever a process holds, a symbolic link
//! points to, or the user pinned.

mod destination;
mod linked;
mod retain;
mod room;
mod survey;
#[cfg(test)]
pub(super) mod tests;
mod units;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::action::{ArchiveModel, Operation, OperationPlan, Subject, Task, Verb, shown_subject};
use super::archive::{Archive, StoredFile, Version};
use super::claims::Claims;
use super::entry::{AtimeMode, EntryId, Inventory, Kind, Role, Walk};
use super::family::Family;
use super::policy::{AgeBy, Codec, ModelsPolicy};
use super::reason::Keep;
use super::scope;
use super::time::Clock;
use crate::plan::readable;
use destination::{Names, archived_names};
use room::Room;
use survey::{Due, Survey, keep_unit};

/// Plans `archive-models`: every name below a model directory or an archive gets one verdict.
#[must_use]
pub fn plan(
    policy: &ModelsPolicy,
    inventory: &Inventory,
    claims: &Claims,
    clock: Clock,
) -> OperationPlan {
    let survey = Survey::new(policy, inventory, claims, clock);
    let mut plan = OperationPlan::new(Operation::ModelArchiving);
    keep_directories(inventory, &mut plan);
    let found = survey.models(&mut plan);
    let moved = if policy.safe_archiving {
        archive(&survey, &found.due, &mut plan)
    } else {
        delete(inventory, found.due.as_slice(), &mut plan);
        Vec::new()
    };
    retain::plan(&survey, &moved, &mut plan);
    let serves = |root| matches!(inventory.root(root).role, Role::Models | Role::Archive);
    let problems = inventory.problems.iter();
    plan.problems = problems
        .filter(|problem| serves(problem.root))
        .cloned()
        .collect();
    plan.metadata.insert("models", json!(found.models));
    plan.metadata.insert("candidates", json!(found.due.len()));
    plan.warnings.extend(super::archive::unnamed(inventory));
    describe(policy, inventory, &mut plan);
    scope::warn_of_unseen(&mut plan);
    plan
}

/// Candidates whose content may be in the archive already, because a version of theirs has the
/// same size: [`plan`] wants their digests in [`Inventory::digests`].
#[must_use]
pub fn digests_wanted(
    policy: &ModelsPolicy,
    inventory: &Inventory,
    claims: &Claims,
    clock: Clock,
) -> Vec<EntryId> {
    if !policy.safe_archiving {
        return Vec::new();
    }
    let survey = Survey::new(policy, inventory, claims, clock);
    let due = survey
        .models(&mut OperationPlan::new(Operation::ModelArchiving))
        .due;
    let stored = Stored::new(inventory);
    due.iter()
        .filter(|due| stored.of_the_same_size(&survey, due).next().is_some())
        .flat_map(|due| due.unit.files.iter().copied())
        .collect()
}

/// The family of an original path as a manifest holds it, as one string.
pub(super) fn family_key(original: &Path) -> String {
    let name = original.file_name().unwrap_or(OsStr::new(""));
    Family::of(name).key(original.parent().unwrap_or(Path::new("")))
}

/// The archived path of each file of a model that moves, and its original path.
pub(crate) fn archived_paths(
    inventory: &Inventory,
    subject: Subject,
    model: &ArchiveModel,
) -> Vec<(PathBuf, PathBuf)> {
    let name = model.original.file_name().unwrap_or_default();
    let unit = units::Unit {
        subject,
        parent: super::entry::DirId(0),
        name: name.to_os_string(),
        files: model.files.clone(),
    };
    let names = archived_names(inventory, &unit, &model.to);
    let names = names.into_iter().zip(&model.files).map(|(to, id)| {
        let original = match subject {
            Subject::Directory(_) => {
                let below = to.strip_prefix(&model.to).unwrap_or(&to);
                model.original.join(below)
            }
            Subject::Entry(_) | Subject::Named(_) => {
                let name = inventory.name(inventory.entry(*id));
                model.original.with_file_name(name)
            }
        };
        (to, original)
    });
    names.collect()
}

/// A model that this plan puts into an archive.
struct Moved<'a> {
    due: &'a Due,
    archive: usize,
    /// Number of the action.
    action: u32,
    /// The version that already has its content, by its number in the archive.
    stored: Option<usize>,
    /// Its name in the archive.
    to: PathBuf,
}

/// The versions of each original path, by archive.
///
/// Content is stored once per model. Under another name it is stored again, even in the same
/// family: a manifest has one original path for each archived one, and a name that it forgets is a
/// model that cannot be restored.
struct Stored<'a>(Vec<HashMap<&'a Path, Vec<usize>>>);

impl<'a> Stored<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        let originals = |archive: &'a Archive| {
            let mut originals: HashMap<&Path, Vec<usize>> = HashMap::new();
            for (number, version) in archive.versions.iter().enumerate() {
                let original = version.original.as_path();
                originals.entry(original).or_default().push(number);
            }
            originals
        };
        Self(inventory.archives.iter().map(originals).collect())
    }

    fn of_the_same_size(
        &self,
        survey: &'a Survey,
        due: &Due,
    ) -> impl Iterator<Item = (usize, &'a Version)> {
        let archive = due.archive.unwrap_or(usize::MAX);
        let originals = self.0.get(archive);
        let numbers = originals.and_then(|originals| originals.get(due.original.as_path()));
        let numbers = numbers.map_or(&[][..], Vec::as_slice).iter();
        numbers
            .map(move |number| {
                (
                    *number,
                    &survey.inventory.archives[archive].versions[*number],
                )
            })
            .filter(move |(_, version)| {
                same_sizes(survey, version, due) && is_whole(survey, version)
            })
    }

    /// The version with the same content.
    fn identical(&self, survey: &'a Survey, due: &Due) -> Option<usize> {
        self.of_the_same_size(survey, due)
            .filter(|(_, version)| same_content(survey, version, due))
            .max_by_key(|(_, version)| (version.model.line.time, &version.path))
            .map(|(number, _)| number)
    }
}

/// The files of a model, each with its archived path if the model were that version, and what the
/// version has there; `None` where it has nothing.
fn beside<'a>(
    survey: &'a Survey,
    version: &'a Version,
    due: &'a Due,
) -> impl Iterator<Item = (EntryId, Option<&'a StoredFile>)> {
    let names = archived_names(survey.inventory, &due.unit, &version.path);
    due.unit.files.iter().copied().zip(names).map(|(id, name)| {
        let mut stored = version.files();
        (id, stored.find(|file| file.line.archived_path.0 == name))
    })
}

fn same_sizes(survey: &Survey, version: &Version, due: &Due) -> bool {
    let size = |id| survey.inventory.entry(id).size;
    version.files().count() == due.unit.files.len()
        && beside(survey, version, due)
            .all(|(id, stored)| stored.is_some_and(|stored| stored.line.size == size(id)))
}

fn same_content(survey: &Survey, version: &Version, due: &Due) -> bool {
    let digest = |id| Some(hexadecimal(survey.inventory.digests.get(&id)?));
    beside(survey, version, due).all(|(id, stored)| {
        let both = digest(id).zip(stored);
        both.is_some_and(|(sum, stored)| stored.line.sha256.eq_ignore_ascii_case(&sum))
    })
}

/// Whether the files of a version are there, as far as their sizes can tell.
fn is_whole(survey: &Survey, version: &Version) -> bool {
    let whole = |id| {
        let regular = survey.inventory.entry(id).kind == Kind::File;
        regular && !survey.claims.contains(id)
    };
    !version.is_missing() && !version.is_damaged(survey.inventory) && version.entries().all(whole)
}

/// Lower-case hexadecimal, as `sha256sum` prints it.
pub(super) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn archive<'a>(survey: &Survey, due: &'a [Due], plan: &mut OperationPlan) -> Vec<Moved<'a>> {
    let inventory = survey.inventory;
    let (stored, mut names) = (Stored::new(inventory), Names::of(inventory));
    let mut room = Room::default();
    let mut moved = Vec::new();
    for due in due {
        let subject = due.unit.subject;
        let number = match survey.archive_for(due) {
            Ok(number) => number,
            Err(why) => {
                keep_unit(plan, &due.unit, &Keep::Unsupported(why));
                continue;
            }
        };
        if let Err(keep) = room.take(inventory, number, due) {
            // It was due: that it stays is not as it should be.
            plan.refused
                .push((shown_subject(inventory, subject), keep.to_string()));
            keep_unit(plan, &due.unit, &keep);
            continue;
        }
        let archive = &inventory.archives[number];
        let identical = stored.identical(survey, due);
        let to = match identical {
            Some(version) => Some(archive.versions[version].path.clone()),
            None => names.give(inventory, number, due),
        };
        let Some(to) = to else {
            keep_unit(plan, &due.unit, &Keep::NameTooLong);
            continue;
        };
        let task = ArchiveModel {
            archive: number,
            to: to.clone(),
            original: due.original.clone(),
            family: due.family.clone(),
            stored: identical.is_some(),
            codec: survey.policy.compression,
            files: due.unit.files.clone(),
        };
        let task = Task::Archive(Box::new(task));
        let action = plan.act(Verb::Archive, subject, due.reason.clone(), task);
        if identical.is_some() {
            // Nothing is written; else what one filesystem gives back, another takes.
            gain(plan, disk_usage(inventory, &due.unit.files));
            if let Subject::Directory(id) = subject {
                gain(plan, inventory.blocks_below(id).saturating_mul(512));
            }
        }
        moved.push(Moved {
            due,
            archive: number,
            action,
            stored: identical,
            to,
        });
    }
    if survey.policy.compression != Codec::None && moved.iter().any(|it| it.stored.is_none()) {
        // What compression saves cannot be told before.
        plan.estimate = None;
    }
    let files = moved.iter().flat_map(|moved| &moved.due.unit.files);
    let bytes: u64 = files.map(|id| inventory.entry(*id).size).sum();
    plan.metadata.insert("archived_bytes", json!(bytes));
    plan.warnings.extend(room.warnings(inventory));
    moved
}

fn disk_usage(inventory: &Inventory, files: &[EntryId]) -> u64 {
    let usage = files.iter().map(|id| inventory.entry(*id).disk_usage());
    usage.fold(0, u64::saturating_add)
}

fn delete(inventory: &Inventory, due: &[Due], plan: &mut OperationPlan) {
    for due in due {
        for id in &due.unit.files {
            let subject = Subject::Entry(*id);
            plan.act(Verb::Delete, subject, due.reason.clone(), Task::Unlink);
        }
        gain(plan, disk_usage(inventory, &due.unit.files));
    }
}

fn gain(plan: &mut OperationPlan, bytes: u64) {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    plan.estimate = plan.estimate.map(|sum| sum.saturating_add(bytes));
}

/// Directories that the scan did not look into.
fn keep_directories(inventory: &Inventory, plan: &mut OperationPlan) {
    for id in inventory.directory_ids() {
        let directory = inventory.directory(id);
        if !matches!(
            inventory.root(directory.root).role,
            Role::Models | Role::Archive
        ) {
            continue;
        }
        let keep = match directory.walk {
            Walk::Root(root) if inventory.root(root).role == Role::Archive => Some(Keep::InArchive),
            walk => Keep::unwalked(walk),
        };
        if let Some(keep) = keep {
            plan.keep(Subject::Directory(id), keep);
        }
    }
}

/// What the user should know beside the items.
fn describe(policy: &ModelsPolicy, inventory: &Inventory, plan: &mut OperationPlan) {
    let roots = || {
        inventory
            .roots_of(Role::Models)
            .filter(|id| inventory.root(*id).top.is_some())
    };
    let trust = |mode: AtimeMode| match mode {
        AtimeMode::Noatime => 0,
        AtimeMode::Relatime => 1,
        AtimeMode::Strict => 2,
    };
    let least = roots()
        .map(|id| inventory.atime_mode(id))
        .min_by_key(|mode| trust(*mode));
    plan.metadata.insert("atime", json!(least));
    plan.metadata
        .insert("visibility", json!(inventory.open.visibility));
    let blind: Vec<String> = roots()
        .filter(|id| inventory.atime_mode(*id) == AtimeMode::Noatime)
        .map(|id| readable::path(&inventory.root(id).shown))
        .collect();
    if policy.age_by == AgeBy::Used && !blind.is_empty() {
        plan.warnings.push(format!(
            "reads are not recorded in {} (noatime): only its modification tells the age of a \
             model there",
            blind.join(", ")
        ));
    }
    plan.warnings.extend(super::lists::warnings(inventory));
}
