//! Files and directories on which somebody has a `flock`: the convention of systemd-tmpfiles by
//! which a program keeps its files, or all that is below a directory, from being cleaned.

use super::entry::{DirId, EntryId, Inventory};
use super::host::Locker;

/// Who has locked what, for every entry of an inventory.
#[derive(Debug)]
pub struct Locked<'a> {
    inventory: &'a Inventory,
    /// By directory, the lock on it or on one above; empty where there are none.
    below: Vec<Option<&'a Locker>>,
}

impl<'a> Locked<'a> {
    /// Matches the directories once. The lock on a configured directory is the business of the
    /// run, which waits for it or ends.
    #[must_use]
    pub fn new(inventory: &'a Inventory) -> Self {
        let mut below: Vec<Option<&Locker>> = Vec::new();
        let locks = &inventory.open.locks;
        if !locks.is_empty() {
            below = vec![None; inventory.directories.len()];
            for id in inventory.directory_ids() {
                let row = inventory.directory(id);
                below[id.0 as usize] = row.parent.and_then(|parent| {
                    let own = locks.get(&(inventory.device(row.root), row.inode));
                    below[parent.0 as usize].or(own)
                });
            }
        }
        Self { inventory, below }
    }

    /// Who keeps a directory by a lock on it or on one above.
    #[must_use]
    pub fn directory(&self, id: DirId) -> Option<&'a Locker> {
        *self.below.get(id.0 as usize)?
    }

    /// Who keeps an entry by a lock on it or on a directory above.
    #[must_use]
    pub fn by(&self, id: EntryId) -> Option<&'a Locker> {
        let entry = self.inventory.entry(id);
        let above = *self.below.get(entry.directory.0 as usize)?;
        let own = || {
            self.inventory
                .open
                .locks
                .get(&self.inventory.identity(entry))
        };
        above.or_else(own)
    }
}
