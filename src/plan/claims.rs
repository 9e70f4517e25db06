//! Which entries an earlier operation of the same run acts on.

use super::action::{OperationPlan, Subject};
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
        }
    }

    /// Adds one entry.
    pub fn insert(&mut self, id: EntryId) {
        if let Some(word) = self.words.get_mut(id.0 as usize / 64) {
            *word |= 1 << (id.0 % 64);
        }
    }

    /// Whether an operation before acts on it.
    #[must_use]
    pub fn contains(&self, id: EntryId) -> bool {
        self.words
            .get(id.0 as usize / 64)
            .is_some_and(|word| word & (1 << (id.0 % 64)) != 0)
    }
}
