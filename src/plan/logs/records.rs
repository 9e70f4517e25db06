//! Rotations that a run was killed in: what their records say of the logs beside them.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;

use super::super::cutting::{self, Intent, Stage};
use super::super::entry::{DirId, EntryId, Inventory, Kind, Role};

/// The records in the log directories.
#[derive(Default)]
pub(super) struct Records<'a> {
    /// What is to be completed, by log.
    pub(super) pending: HashMap<EntryId, &'a Intent>,
    /// Records that are of no use any more, and whether it is because their log was replaced.
    pub(super) obsolete: Vec<(EntryId, bool)>,
    /// Rotated files whose logs have not given up their heads: they must stay as they are.
    pub(super) rotating: HashSet<EntryId>,
}

impl Records<'_> {
    /// Whether an entry is decided on here: a log that is to be completed, or a record that goes.
    pub(super) fn decide_on(&self, id: EntryId) -> bool {
        self.pending.contains_key(&id) || self.obsolete.iter().any(|(record, _)| *record == id)
    }
}

impl<'a> Records<'a> {
    pub(super) fn read(inventory: &'a Inventory) -> Self {
        let mut records = Self::default();
        let intents = &inventory.logs.intents;
        if intents.is_empty() {
            return records;
        }
        let names = names_beside(inventory, intents.keys());
        for (record, intent) in intents {
            let entry = inventory.entry(*record);
            let Some(log) = cutting::log_of(inventory.name(entry)) else {
                continue;
            };
            let find = |name: &OsStr| names.get(&(entry.directory, name)).copied();
            let rotated = find(&intent.to(log));
            let same = find(log).filter(|id| is_log_of(inventory, *id, intent));
            match same {
                // The rotated file got its name, or is not needed any more.
                Some(log) if rotated.is_some() || intent.stage == Stage::Punched => {
                    records.pending.insert(log, intent);
                    records.rotating.extend(rotated);
                }
                same => records.obsolete.push((*record, same.is_none())),
            }
        }
        records
    }
}

fn is_log_of(inventory: &Inventory, id: EntryId, intent: &Intent) -> bool {
    let entry = inventory.entry(id);
    entry.kind == Kind::File && entry.inode == intent.inode && entry.links == 1
}

fn names_beside<'a>(
    inventory: &'a Inventory,
    records: impl Iterator<Item = &'a EntryId>,
) -> HashMap<(DirId, &'a OsStr), EntryId> {
    let wanted: HashSet<DirId> = records.map(|id| inventory.entry(*id).directory).collect();
    let in_logs = |id: &EntryId| {
        let entry = inventory.entry(*id);
        wanted.contains(&entry.directory)
            && inventory.root(inventory.root_of(entry)).role == Role::Logs
    };
    let named = |id: EntryId| {
        let entry = inventory.entry(id);
        ((entry.directory, inventory.name(entry)), id)
    };
    inventory.entry_ids().filter(in_logs).map(named).collect()
}
