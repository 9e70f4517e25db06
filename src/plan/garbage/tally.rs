//! The figures of garbage collection: what was examined, dead and collected, by class.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::action::{Action, OperationPlan, Subject, Task, item_bytes};
use super::super::entry::Inventory;
use super::super::outcome::Status;
use super::super::reason::Reason;
use super::evidence::GarbageEvidence;
use super::files::{Finding, UNSEEN, frees};

/// A kind of garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Temporary files of sysopt.
    OwnTemporaries,
    /// Temporary files of others.
    TemporaryFiles,
    /// Bytecode without its source.
    Bytecode,
    /// Symbolic links that lead nowhere.
    BrokenSymlinks,
    /// Directories without a name in them.
    EmptyDirectories,
    /// Files that name a process.
    PidFiles,
    /// Files without a name that a process holds.
    DeletedOpenFiles,
    /// Processes that ended and that nobody collects.
    Zombies,
    /// Shared memory that nobody maps.
    SharedMemory,
}

impl Class {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 9] = [
        Self::OwnTemporaries,
        Self::TemporaryFiles,
        Self::Bytecode,
        Self::BrokenSymlinks,
        Self::EmptyDirectories,
        Self::PidFiles,
        Self::DeletedOpenFiles,
        Self::Zombies,
        Self::SharedMemory,
    ];

    /// Its key in `metadata.classes`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnTemporaries => "own_temporaries",
            Self::TemporaryFiles => "temporary_files",
            Self::Bytecode => "bytecode",
            Self::BrokenSymlinks => "broken_symlinks",
            Self::EmptyDirectories => "empty_directories",
            Self::PidFiles => "pid_files",
            Self::DeletedOpenFiles => "deleted_open_files",
            Self::Zombies => "zombies",
            Self::SharedMemory => "shared_memory",
        }
    }

    const fn of(reason: &Reason) -> Option<Self> {
        match reason {
            Reason::OwnTemporary => Some(Self::OwnTemporaries),
            Reason::StaleTemporary(_) => Some(Self::TemporaryFiles),
            Reason::OrphanedBytecode => Some(Self::Bytecode),
            Reason::BrokenSymlink => Some(Self::BrokenSymlinks),
            Reason::EmptyDirectory(_) => Some(Self::EmptyDirectories),
            Reason::StalePidFile => Some(Self::PidFiles),
            _ => None,
        }
    }
}

/// The figures of a class.
#[derive(Clone, Debug, Default, serde::Serialize)]
struct Figures {
    /// Looked at.
    examined: u64,
    /// Of these, garbage.
    dead: u64,
    /// Of these, removed.
    collected: u64,
    /// Examined and not removed, by reason.
    skipped: BTreeMap<&'static str, u64>,
    /// Allocated bytes of what is dead.
    bytes: u64,
    /// Of these, given back.
    bytes_collected: u64,
}

/// The figures of all classes.
#[derive(Default)]
pub(super) struct Tally {
    classes: BTreeMap<Class, Figures>,
}

impl Tally {
    pub(super) fn found(&mut self, class: Class, finding: &Finding, bytes: u64) {
        let figures = self.classes.entry(class).or_default();
        figures.examined += 1;
        match finding {
            Finding::Delete(_) => {
                figures.dead += 1;
                figures.bytes += bytes;
                figures.collected += 1;
                figures.bytes_collected += bytes;
            }
            Finding::Report => {
                figures.dead += 1;
                figures.bytes += bytes;
                *figures.skipped.entry("reported_only").or_default() += 1;
            }
            Finding::Skip(reason) => *figures.skipped.entry(reason).or_default() += 1,
        }
    }

    /// How many items stay because nobody can tell who uses them.
    pub(super) fn unseen(&self) -> u64 {
        let skipped = self.classes.values().map(|figures| &figures.skipped);
        skipped.filter_map(|skipped| skipped.get(UNSEEN)).sum()
    }

    /// What is only reported.
    pub(super) fn reported(&mut self, inventory: &Inventory, evidence: &GarbageEvidence) {
        for file in &inventory.open.deleted {
            self.found(Class::DeletedOpenFiles, &Finding::Report, file.bytes);
        }
        for _ in &evidence.zombies {
            self.found(Class::Zombies, &Finding::Report, 0);
        }
        for segment in &evidence.shm {
            self.found(Class::SharedMemory, &Finding::Report, segment.bytes);
        }
    }

    pub(super) fn metadata(
        &self,
        inventory: &Inventory,
        evidence: &GarbageEvidence,
    ) -> BTreeMap<&'static str, Value> {
        let classes = Class::ALL.map(|class| {
            let figures = self.classes.get(&class).cloned().unwrap_or_default();
            (class.name().to_owned(), json!(figures))
        });
        let deleted: Vec<Value> = inventory
            .open
            .deleted
            .iter()
            .map(|file| {
                let advice = format!(
                    "restart or signal {} (pid {}) to give the space back",
                    file.process, file.pid
                );
                let mut value = json!(file);
                value["advice"] = json!(advice);
                value
            })
            .collect();
        let dead: u64 = self.classes.values().map(|figures| figures.dead).sum();
        let mut metadata = BTreeMap::from([
            ("objects_before", json!(dead)),
            ("classes", Value::Object(classes.into_iter().collect())),
            ("deleted_open_files", json!(deleted)),
            ("zombies", json!(evidence.zombies)),
            ("shared_memory", json!(evidence.shm)),
            ("visibility", json!(inventory.open.visibility)),
        ]);
        let collected: u64 = self.classes.values().map(|figures| figures.collected).sum();
        metadata.insert("objects_after", json!(dead - collected));
        metadata
    }
}

/// The metadata of a plan after this became of its actions. An action that was not done is not
/// collected: it is skipped, for the reason that its status names. What vanished meanwhile
/// (`changed`) counts as remaining, because nobody saw what became of it. Planned actions count as
/// the plan counts them.
#[must_use]
pub fn metadata_after(
    plan: &OperationPlan,
    inventory: &Inventory,
    statuses: &[Status],
) -> BTreeMap<&'static str, Value> {
    let mut metadata = plan.metadata.clone();
    let mut remaining: u64 = 0;
    let with_status = plan.actions.iter().zip(
        statuses
            .iter()
            .copied()
            .chain(std::iter::repeat(Status::NotReached)),
    );
    for (action, status) in with_status {
        if !matches!(status, Status::Done | Status::Planned) {
            remaining += 1;
            if let Some(class) = Class::of(&action.reason)
                && let Some(classes) = metadata.get_mut("classes")
            {
                uncollect(&mut classes[class.name()], bytes(inventory, action), status);
            }
        }
    }
    if let Some(after) = metadata.get_mut("objects_after") {
        add(after, remaining);
    }
    metadata
}

fn bytes(inventory: &Inventory, action: &Action) -> u64 {
    match action.subject {
        Subject::Entry(id) => frees(inventory, id),
        // What is in a tree of ours is not counted by class.
        _ if action.task == Task::RemoveTree => 0,
        Subject::Directory(_) | Subject::Named(_) => item_bytes(inventory, action),
    }
}

fn uncollect(figures: &mut Value, bytes: u64, status: Status) {
    for (key, less) in [("collected", 1), ("bytes_collected", bytes)] {
        let value = figures[key].as_u64().unwrap_or(0);
        figures[key] = json!(value.saturating_sub(less));
    }
    if let Value::String(reason) = json!(status) {
        add(&mut figures["skipped"][reason], 1);
    }
}

fn add(value: &mut Value, more: u64) {
    *value = json!(value.as_u64().unwrap_or(0) + more);
}
