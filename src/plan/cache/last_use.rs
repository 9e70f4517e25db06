//! When each file was last used, as eviction sees it.

use std::collections::HashMap;

use super::super::entry::{DirId, EntryId, Inventory, Kind};
use super::super::time::Time;
use super::repositories::Repositories;

/// The last use of files; that of a repository is the same for all of its parts.
#[derive(Debug)]
pub struct LastUse<'a> {
    inventory: &'a Inventory,
    repositories: Repositories,
    latest: HashMap<DirId, Time>,
}

impl<'a> LastUse<'a> {
    /// Finds the repositories once.
    #[must_use]
    pub fn new(inventory: &'a Inventory) -> Self {
        let repositories = Repositories::find(inventory);
        let mut latest: HashMap<DirId, Time> = HashMap::new();
        for id in inventory.entry_ids() {
            if let Some(repository) = repositories.of(inventory.entry(id).directory) {
                let latest = latest.entry(repository).or_default();
                *latest = (*latest).max(part(inventory, id));
            }
        }
        Self {
            inventory,
            repositories,
            latest,
        }
    }

    /// That of one file.
    #[must_use]
    pub fn of(&self, id: EntryId) -> Time {
        let repository = self.repositories.of(self.inventory.entry(id).directory);
        let latest = repository.and_then(|repository| self.latest.get(&repository));
        latest.copied().unwrap_or_else(|| file(self.inventory, id))
    }
}

fn file(inventory: &Inventory, id: EntryId) -> Time {
    let entry = inventory.entry(id);
    entry.used(inventory.atime_mode(inventory.root_of(entry)))
}

/// Looking at where a link leads is recorded as an access to it, so its access time says nothing.
fn part(inventory: &Inventory, id: EntryId) -> Time {
    match inventory.entry(id).kind {
        Kind::Symlink => inventory.entry(id).mtime,
        _ => file(inventory, id),
    }
}
