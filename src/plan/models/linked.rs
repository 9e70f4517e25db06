//! What the symbolic links in the model directories lead to: moving it would break them.

use std::collections::HashSet;

use super::super::entry::{DirId, Entry, Inventory, LinkTarget, Role, Walk};

/// Targets of symbolic links.
pub(super) struct Linked {
    files: HashSet<(u64, u64)>,
    /// By directory: whether it is a target, or lies below one.
    below: Vec<bool>,
}

impl Linked {
    pub(super) fn of(inventory: &Inventory) -> Self {
        let (mut files, mut directories) = (HashSet::new(), HashSet::new());
        for (id, target) in &inventory.links {
            let root = inventory.root_of(inventory.entry(*id));
            if inventory.root(root).role == Role::Models {
                match *target {
                    LinkTarget::File(device, inode) => files.insert((device, inode)),
                    LinkTarget::Directory(device, inode) => directories.insert((device, inode)),
                    LinkTarget::Broken => false,
                };
            }
        }
        Self {
            files,
            below: below(inventory, &directories),
        }
    }

    pub(super) fn leads_to(&self, inventory: &Inventory, entry: &Entry) -> bool {
        self.files.contains(&inventory.identity(entry)) || self.below[entry.directory.0 as usize]
    }
}

fn below(inventory: &Inventory, targets: &HashSet<(u64, u64)>) -> Vec<bool> {
    let mut below = vec![false; inventory.directories.len()];
    if targets.is_empty() {
        return below;
    }
    // A directory that is another root's continues in that root's rows, which may stand before:
    // again, until nothing more is found.
    loop {
        let mut changed = false;
        for id in inventory.directory_ids() {
            let row = inventory.directory(id);
            let inside = below[id.0 as usize]
                || row.parent.is_some_and(|parent| below[parent.0 as usize])
                || targets.contains(&(inventory.device(row.root), row.inode));
            below[id.0 as usize] = inside;
            if let (true, Walk::Root(root)) = (inside, row.walk) {
                let top: Option<DirId> = inventory.root(root).top;
                if let Some(top) = top.filter(|top| !below[top.0 as usize]) {
                    below[top.0 as usize] = true;
                    changed = true;
                }
            }
        }
        if !changed {
            return below;
        }
    }
}
