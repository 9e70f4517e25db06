//! Bytecode whose source is gone.

use std::collections::HashSet;
use std::ffi::OsStr;

use super::super::entry::{DirId, EntryId, Inventory, LinkTarget};
use super::super::names;

/// The modules beside the `__pycache__` directories.
pub(super) struct Sources<'a> {
    /// By `__pycache__`, each with the directory that holds it.
    modules: HashSet<(DirId, &'a OsStr)>,
}

impl<'a> Sources<'a> {
    /// A broken link is a source as long as it stays: `without_broken` says that this plan removes
    /// them, and then their bytecode goes with them instead of in the next run.
    pub(super) fn find(inventory: &'a Inventory, without_broken: bool) -> Self {
        let parents: HashSet<DirId> = inventory
            .directories
            .iter()
            .filter(|row| inventory.directory_name(row) == "__pycache__")
            .filter_map(|row| row.parent)
            .collect();
        let mut modules = HashSet::new();
        if !parents.is_empty() {
            let beside = |directory: &DirId| parents.contains(directory);
            for (entry, id) in inventory.entries.iter().zip(inventory.entry_ids()) {
                let broken = inventory.links.get(&id) == Some(&LinkTarget::Broken);
                if !beside(&entry.directory) || (broken && without_broken) {
                    continue;
                }
                if let Some(module) = module(inventory.name(entry)) {
                    modules.insert((entry.directory, module));
                }
            }
        }
        modules.extend(unseen(inventory, &parents));
        Self { modules }
    }

    /// Whether the entry is bytecode in a `__pycache__`, and if so, whether its source is gone.
    /// Bytecode elsewhere can be imported without a source and is never garbage.
    pub(super) fn is_orphan(&self, inventory: &Inventory, id: EntryId) -> Option<bool> {
        let entry = inventory.entry(id);
        let module = names::bytecode_module(inventory.name(entry))?;
        let cache = inventory.directory(entry.directory);
        let parent = cache.parent?;
        (inventory.directory_name(cache) == "__pycache__")
            .then(|| !self.modules.contains(&(parent, module)))
    }
}

/// The modules whose source is there, by its name, and cannot be looked at.
fn unseen<'a>(
    inventory: &'a Inventory,
    parents: &HashSet<DirId>,
) -> impl Iterator<Item = (DirId, &'a OsStr)> {
    inventory.problems.iter().filter_map(|problem| {
        let module = problem.path.file_name().and_then(module);
        let is_here = |id: &DirId| {
            let above = problem.path.parent();
            above.is_some_and(|above| inventory.shown_directory(*id) == above)
        };
        let directory = module.and_then(|_| parents.iter().copied().find(is_here));
        directory.zip(module)
    })
}

/// The module of `X.py` or, on other systems' trees, `X.pyw`.
fn module(name: &OsStr) -> Option<&OsStr> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = name.as_bytes();
    let stem = bytes
        .strip_suffix(b".py")
        .or_else(|| bytes.strip_suffix(b".pyw"));
    stem.map(OsStr::from_bytes)
}
