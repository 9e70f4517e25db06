//! Whether what goes to another filesystem fits there.

use std::collections::HashMap;

use super::super::entry::Inventory;
use super::super::reason::{Keep, size};
use super::survey::Due;
use crate::plan::readable;

/// The usual size of a block, in bytes.
const BLOCK: u64 = 4096;
/// What the records take of a file that is archived, in bytes.
const LINE: u64 = 1024;
/// What an archive takes before anything is in it, in bytes.
const BEGINNING: u64 = 64 * 1024;

/// What was promised of each filesystem, and what found no room.
#[derive(Default)]
pub(super) struct Room {
    taken: HashMap<u32, u64>,
    /// By archive: bytes that do not fit.
    lacking: HashMap<usize, u64>,
}

impl Room {
    /// Takes what a model needs at most: nothing where it is only renamed.
    pub(super) fn take(
        &mut self,
        inventory: &Inventory,
        archive: usize,
        due: &Due,
    ) -> Result<(), Keep> {
        let from = inventory.root(inventory.directory(due.unit.parent).root);
        let to = inventory.root(inventory.archives[archive].root);
        let Some(target) = to.filesystem.filter(|to| Some(*to) != from.filesystem) else {
            return Ok(());
        };
        let files = due.unit.files.iter();
        let needs = files.map(|id| inventory.entry(*id).size.div_ceil(BLOCK) * BLOCK + LINE);
        let needs = needs.fold(0, u64::saturating_add);
        let taken = self.taken.entry(target).or_default();
        let available = inventory
            .filesystems
            .get(target as usize)
            .map_or(u64::MAX, |filesystem| filesystem.available);
        if taken.saturating_add(needs) > available.saturating_sub(BEGINNING) {
            let sizes = due.unit.files.iter().map(|id| inventory.entry(*id).size);
            *self.lacking.entry(archive).or_default() += sizes.sum::<u64>();
            return Err(Keep::NoRoom);
        }
        *taken += needs;
        Ok(())
    }

    pub(super) fn warnings(&self, inventory: &Inventory) -> Vec<String> {
        let mut lacking: Vec<_> = self.lacking.iter().collect();
        lacking.sort();
        let lines = lacking.into_iter().map(|(archive, bytes)| {
            let root = inventory.root(inventory.archives[*archive].root);
            format!(
                "models of {} stay in place: the filesystem of {} has no room for them",
                size(*bytes),
                readable::path(&root.shown)
            )
        });
        lines.collect()
    }
}
