//! What a plan is made of: actions with a reason each, and everything that stays.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::agents::{Pace, Reclaim};
use super::archive::ManifestLine;
use super::cutting::{Cutting, Intent};
use super::entry::{DirId, EntryId, Inventory, Problem, RootId};
use super::policy::{Codec, Signal};
use super::reason::{Keep, Reason};

/// The six parts of a cycle, in its order, and restoring.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Dead objects on disk.
    GarbageCollection,
    /// `clean-cache`.
    CacheCleanup,
    /// `rotate-logs`.
    LogRotation,
    /// `archive-models`.
    ModelArchiving,
    /// Agents.
    AgentOptimization,
    /// All processes.
    ProcessOptimization,
    /// `restore-models`; not part of a cycle.
    ModelRestoring,
}

impl Operation {
    /// The six of a cycle.
    pub const CYCLE: [Self; 6] = [
        Self::GarbageCollection,
        Self::CacheCleanup,
        Self::LogRotation,
        Self::ModelArchiving,
        Self::AgentOptimization,
        Self::ProcessOptimization,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GarbageCollection => "garbage_collection",
            Self::CacheCleanup => "cache_cleanup",
            Self::LogRotation => "log_rotation",
            Self::ModelArchiving => "model_archiving",
            Self::AgentOptimization => "agent_optimization",
            Self::ProcessOptimization => "process_optimization",
            Self::ModelRestoring => "model_restoring",
        }
    }
}

/// The word of an action in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Remove garbage, or a model where archiving is switched off.
    Delete,
    /// Remove a cache file.
    Evict,
    /// Take a log away from its writer.
    Rotate,
    /// Compress a rotated file.
    Compress,
    /// Move a model into the archive.
    Archive,
    /// Remove an old rotated file or archived version.
    Expire,
    /// Bring a model back.
    Restore,
    /// Remove an empty directory.
    RemoveDirectory,
    /// Signal a process.
    Signal,
    /// Run a hook.
    Hook,
    /// Write the pace that agents can follow.
    Pace,
}

/// What an action or a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A name that is not a directory.
    Entry(EntryId),
    /// A directory.
    Directory(DirId),
    /// Something that is not below a directory worked in, by its number in
    /// [`Inventory::named`]: an agent, the pace file.
    Named(u32),
}

/// A name below a root, which need not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The root.
    pub root: RootId,
    /// Relative to the root; directories on the way are made where they are missing.
    pub path: PathBuf,
}

/// Rename a log away and put an empty one in its place; then compress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// The rotated name without the suffix of its codec.
    pub to: OsString,
    /// What becomes of it.
    pub compress: Codec,
    /// How long to wait for its writers before compression is left to a later run.
    pub settle: Duration,
    /// Rename it even while a process has it open for writing (`mode = "rename"`); otherwise a
    /// writer that appeared since the scan keeps the log in place.
    pub despite_writers: bool,
}

/// Copy the head of a live log to a rotated file, and take it away from the log. Where it is cut is
/// found then, since the log grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The rotated name without the suffix of its codec.
    pub to: OsString,
    /// How the rotated file is compressed.
    pub compress: Codec,
    /// How the log loses its head.
    pub method: Cutting,
    /// Bytes of a block of the filesystem.
    pub block: u64,
    /// One piece of a log that is too large for the free space: at most so many bytes.
    pub at_most: Option<u64>,
}

/// Run a command after a log was rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The command and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// It is killed with all its children after so long.
    pub timeout: Duration,
    /// The name of the rotated file, which is not compressed yet.
    pub rotated: OsString,
}

/// Compress a file beside itself, then remove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compress {
    /// The compressed name.
    pub to: OsString,
    /// How.
    pub codec: Codec,
    /// The compressed name exists: a run ended between publishing it and removing the source. It
    /// is compared and, where it is the same, the source is removed.
    pub published: bool,
    /// Leave it alone where a process has it open in any way, not only for writing.
    pub exclusive: bool,
}

/// Move a model into an archive, with all that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveModel {
    /// Index into [`Inventory::archives`].
    pub archive: usize,
    /// Relative to the archive.
    pub to: PathBuf,
    /// Relative to the model directory, or absolute (see [`ManifestLine::original_path`]).
    pub original: PathBuf,
    /// The model's family, with its directory.
    pub family: String,
    /// `to` exists and has, by its digests, the same content.
    pub stored: bool,
    /// How it is stored where that saves enough.
    pub codec: Codec,
    /// The model first, then its sidecars; of a directory, all files in it.
    pub files: Vec<EntryId>,
}

/// Enter into the manifest what another system archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeIn {
    /// Index into [`Inventory::archives`].
    pub archive: usize,
    /// The line, but for its digests.
    pub line: ManifestLine,
}

/// Remove a version from an archive and from its books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireModel {
    /// Index into [`Inventory::archives`].
    pub archive: usize,
    /// Its number in [`super::archive::Archive::versions`].
    pub version: usize,
    /// Its files that are there.
    pub files: Vec<EntryId>,
}

/// Copy a version from an archive to its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// Index into [`Inventory::archives`].
    pub archive: usize,
    /// Its number in [`super::archive::Archive::all`].
    pub version: usize,
    /// Bytes of the originals.
    pub size: u64,
    /// Where it goes.
    pub to: Place,
    /// Whether it returns to where it was, and so counts as used.
    pub home: bool,
}

/// What `apply` does for an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Remove the name; kept where it is in use by then if `exclusive`.
    Unlink,
    /// Remove the name, the first of several that go together, unless one of the others is in use
    /// by then or has changed.
    UnlinkFirst(Box<Vec<EntryId>>),
    /// Remove the directory if it is empty.
    RemoveDirectory,
    /// Remove a directory that sysopt made under a temporary name, with all that is in it.
    RemoveTree,
    /// See [`Rotate`].
    Rotate(Box<Rotate>),
    /// See [`Cut`].
    Cut(Box<Cut>),
    /// Complete the rotation that a run was killed in.
    Resume(Box<Intent>),
    /// See [`Signal`].
    Signal(Box<Signal>),
    /// See [`Hook`].
    Hook(Box<Hook>),
    /// See [`Compress`].
    Compress(Box<Compress>),
    /// See [`ArchiveModel`].
    Archive(Box<ArchiveModel>),
    /// See [`TakeIn`].
    TakeIn(Box<TakeIn>),
    /// See [`ExpireModel`].
    ExpireModel(Box<ExpireModel>),
    /// See [`Restore`].
    Restore(Box<Restore>),
    /// See [`Reclaim`].
    Reclaim(Box<Reclaim>),
    /// See [`Pace`].
    Pace(Box<Pace>),
}

/// One item of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// The word for it.
    pub verb: Verb,
    /// What it is done to.
    pub subject: Subject,
    /// Why.
    pub reason: Reason,
    /// The number of the action that it needs, plus one: without a word for "none" beside it, a
    /// million actions are 8 MB less.
    need: Option<NonZeroU32>,
    /// What is done.
    pub task: Task,
}

impl Action {
    /// The number of an earlier action of the operation without whose success this one is not done.
    #[must_use]
    pub fn needs(&self) -> Option<u32> {
        self.need.map(|number| number.get() - 1)
    }

    /// Makes it depend on an earlier one.
    pub fn set_needs(&mut self, number: Option<u32>) {
        self.need = number.and_then(|number| NonZeroU32::new(number.saturating_add(1)));
    }
}

/// One item that stays.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What.
    pub subject: Subject,
    /// Why.
    pub reason: Keep,
}

/// What one operation will do.
#[derive(Clone, Debug)]
pub struct OperationPlan {
    /// Which.
    pub operation: Operation,
    /// In the order in which they are applied.
    pub actions: Vec<Action>,
    /// What it looked at and leaves alone.
    pub kept: Vec<Kept>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// What was asked for and cannot be done, and why.
    pub refused: Vec<(PathBuf, String)>,
    /// What the user should know; code 0.
    pub warnings: Vec<String>,
    /// Figures for `metadata`.
    pub metadata: BTreeMap<&'static str, Value>,
    /// Bytes that the filesystem will give back; `None` where it cannot be told before.
    pub estimate: Option<i64>,
    /// One line for people, where the generic one would not do (analysis operations).
    pub message: Option<String>,
}

impl OperationPlan {
    /// An operation that does nothing yet.
    #[must_use]
    pub fn new(operation: Operation) -> Self {
        Self {
            operation,
            actions: Vec::new(),
            kept: Vec::new(),
            problems: Vec::new(),
            refused: Vec::new(),
            warnings: Vec::new(),
            metadata: BTreeMap::new(),
            estimate: Some(0),
            message: None,
        }
    }

    /// Adds an action; its number is what others may need.
    pub fn act(&mut self, verb: Verb, subject: Subject, reason: Reason, task: Task) -> u32 {
        let number = u32::try_from(self.actions.len()).unwrap_or(u32::MAX);
        self.actions.push(Action {
            verb,
            subject,
            reason,
            need: None,
            task,
        });
        number
    }

    /// Allocated bytes of the directories that the actions remove.
    #[must_use]
    pub fn directory_bytes(&self, inventory: &Inventory) -> u64 {
        self.actions
            .iter()
            .filter(|action| action.task == Task::RemoveDirectory)
            .map(|action| item_bytes(inventory, action))
            .sum()
    }

    /// Adds a verdict.
    pub fn keep(&mut self, subject: Subject, reason: Keep) {
        self.kept.push(Kept { subject, reason });
    }
}

/// Everything that a run will do: shown, or applied once.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the plan was made from.
    pub inventory: Inventory,
    /// In order.
    pub operations: Vec<OperationPlan>,
}

impl Plan {
    /// Paths that an action reads as it is shown: from and to.
    #[must_use]
    pub fn shown(&self, action: &Action) -> (PathBuf, Option<PathBuf>) {
        let from = shown_subject(&self.inventory, action.subject);
        let beside = |name: &OsString| from.with_file_name(name);
        let to = match &action.task {
            Task::Unlink
            | Task::UnlinkFirst(_)
            | Task::RemoveDirectory
            | Task::RemoveTree
            | Task::ExpireModel(_)
            | Task::Signal(_)
            | Task::Hook(_)
            | Task::Reclaim(_)
            | Task::Pace(_) => None,
            Task::Rotate(rotate) => Some(beside(&packed(&rotate.to, rotate.compress))),
            Task::Cut(cut) => Some(beside(&packed(&cut.to, cut.compress))),
            Task::Resume(intent) => from.file_name().map(|log| beside(&intent.to(log))),
            Task::Compress(compress) => Some(beside(&compress.to)),
            Task::Archive(model) => Some(self.inventory.shown_archived(model.archive, &model.to)),
            Task::TakeIn(_) => Some(from.clone()),
            Task::Restore(restore) => Some(super::entry::join_shown(
                &self.inventory.root(restore.to.root).shown,
                &restore.to.path,
            )),
        };
        (from, to)
    }
}

fn packed(stem: &OsString, codec: Codec) -> OsString {
    let mut name = stem.clone();
    name.push(codec.suffix());
    name
}

/// The path of a subject as reports show it.
#[must_use]
pub fn shown_subject(inventory: &Inventory, subject: Subject) -> PathBuf {
    match subject {
        Subject::Entry(id) => inventory.shown_path(inventory.entry(id)),
        Subject::Directory(id) => inventory.shown_directory(id),
        Subject::Named(number) => inventory.named(number),
    }
}

/// The bytes that reports show for an action: what a removal would give back, else the size of
/// the file worked on.
#[must_use]
pub fn item_bytes(inventory: &Inventory, action: &Action) -> u64 {
    let sum = |ids: &mut dyn Iterator<Item = u64>| ids.fold(0, u64::saturating_add);
    match (&action.task, action.subject) {
        (Task::Archive(model), _) => {
            let files = model.files.iter();
            sum(&mut files.map(|id| inventory.entry(*id).size))
        }
        (Task::ExpireModel(version), _) => {
            let files = version.files.iter();
            sum(&mut files.map(|id| inventory.entry(*id).disk_usage()))
        }
        (Task::Restore(restore), _) => restore.size,
        (Task::Resume(intent), _) => intent.bytes(),
        (Task::Cut(cut), Subject::Entry(id)) => {
            let head = inventory.logs.heads.get(&id).copied().unwrap_or(0);
            let bytes = inventory.entry(id).size.saturating_sub(head);
            cut.at_most.map_or(bytes, |most| bytes.min(most))
        }
        (Task::Signal(_) | Task::Hook(_), _) | (_, Subject::Named(_)) => 0,
        (Task::Unlink | Task::UnlinkFirst(_), Subject::Entry(id)) => {
            inventory.entry(id).disk_usage()
        }
        (_, Subject::Entry(id)) => inventory.entry(id).size,
        (_, Subject::Directory(id)) => u64::from(inventory.directory(id).blocks) * 512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_and_a_verdict_stay_small() {
        assert!(size_of::<Action>() <= 48, "{}", size_of::<Action>());
        assert!(size_of::<Kept>() <= 32, "{}", size_of::<Kept>());
    }
}
