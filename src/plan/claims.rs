//! Which entries an earlier operation of the same run acts on.

use super::action::{OperationPlan, Subject, Task};
use super::entry::{EntryId, Inventory};

/// A set of entries: one bit each.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    words: Vec<u64>,
}

impl Claims {
    /// Nothing claimed.
    #[must_use]
    pub fn none(inventory: &Inventory) -> Self {
        Self {
            words: vec![0; inventory.entries.len().div_ceil(64)],
        }
    }

    /// Adds everything that the operation acts on.
    pub fn add(&mut self, plan: &OperationPlan) {
        for action in &plan.actions {
            if let Subject::Entry(id) = action.subject {
                self.insert(id);
            }
            if let Task::Archive(model) = &action.task {
                model.files.iter().for_each(|id| self.insert(*id));
            }
        }
    }

    /// Adds one entry.
    pub fn insert(&mut self, id: EntryId) {
        if let Some(word) = self.words.get_mut(id.0 as usize / 64) {
            *word |= 1 << (id.0 % 64);
        }
    }

    /// Bytes that a filesystem gets back from what is claimed; of files with several names,
    /// nothing.
    #[must_use]
    pub fn bytes_on(&self, inventory: &Inventory, filesystem: u32) -> u64 {
        self.words
            .iter()
            .zip(0_u32..)
            .filter(|(word, _)| **word != 0)
            .flat_map(|(word, at)| {
                (0..64_u32)
                    .filter(move |bit| word & (1 << bit) != 0)
                    .map(move |bit| inventory.entry(EntryId(at * 64 + bit)))
            })
            .filter(|entry| {
                let root = inventory.root(inventory.root_of(entry));
                entry.links <= 1 && root.filesystem == Some(filesystem)
            })
            .fold(0, |sum, entry| sum.saturating_add(entry.disk_usage()))
    }

    /// Whether an operation before acts on it.
    #[must_use]
    pub fn contains(&self, id: EntryId) -> bool {
        self.words
            .get(id.0 as usize / 64)
            .is_some_and(|word| word & (1 << (id.0 % 64)) != 0)
    }
}
