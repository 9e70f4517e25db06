//! Repositories of the Hugging Face hub: directories that are evicted whole or not at all.
//!
//! `models--ORG--NAME`, `datasets--*` and `spaces--*` hold contents in `blobs`, and links to them in
//! `snapshots/REVISION` (<https://huggingface.co/docs/huggingface_hub/guides/manage-cache>). A blob
//! without its links is lost room, a link without its blob an error at the next load. `refs` and
//! `.no_exist` are small files that mean nothing without the rest.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::super::entry::{DirId, EntryId, Inventory, Role, Walk};

/// Which directories belong to a repository.
#[derive(Debug, Default)]
pub(super) struct Repositories {
    /// By directory, the outermost repository above it or itself; empty where there is none.
    of: Vec<Option<DirId>>,
}

/// The entries and directories of one repository.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) entries: Vec<EntryId>,
    pub(super) directories: Vec<DirId>,
}

impl Repositories {
    pub(super) fn find(inventory: &Inventory) -> Self {
        let is_one = |id: DirId| {
            let row = inventory.directory(id);
            let root = inventory.root(row.root);
            let name = match row.parent {
                Some(_) => Some(inventory.directory_name(row)),
                None => root.path.file_name(),
            };
            root.role == Role::Cache && name.is_some_and(is_repository)
        };
        if !inventory.directory_ids().any(is_one) {
            return Self::default();
        }
        let mut of: Vec<Option<DirId>> = vec![None; inventory.directories.len()];
        // A parent stands before its children.
        for id in inventory.directory_ids() {
            let row = inventory.directory(id);
            let above = row.parent.and_then(|parent| of[parent.0 as usize]);
            of[id.0 as usize] = above.or_else(|| is_one(id).then_some(id));
        }
        Self { of }
    }

    /// The repository in which a directory lies.
    pub(super) fn of(&self, directory: DirId) -> Option<DirId> {
        self.of.get(directory.0 as usize).copied().flatten()
    }

    /// What each repository holds.
    pub(super) fn contents(&self, inventory: &Inventory) -> BTreeMap<DirId, Contents> {
        let mut all: BTreeMap<DirId, Contents> = BTreeMap::new();
        if self.of.is_empty() {
            return all;
        }
        for id in inventory.directory_ids() {
            if let Some(repository) = self.of(id) {
                all.entry(repository).or_default().directories.push(id);
            }
        }
        for id in inventory.entry_ids() {
            if let Some(repository) = self.of(inventory.entry(id).directory) {
                all.entry(repository).or_default().entries.push(id);
            }
        }
        all
    }

    /// The directory of locks beside a repository: `.locks/NAME`.
    pub(super) fn locks(inventory: &Inventory, repository: DirId) -> Option<DirId> {
        let row = inventory.directory(repository);
        let child = |parent: DirId, name: &OsStr| {
            inventory.directory_ids().find(|id| {
                let row = inventory.directory(*id);
                row.parent == Some(parent)
                    && row.walk == Walk::Walked
                    && inventory.directory_name(row) == name
            })
        };
        let locks = child(row.parent?, OsStr::new(".locks"))?;
        child(locks, inventory.directory_name(row))
    }
}

fn is_repository(name: &OsStr) -> bool {
    let kinds: [&[u8]; 3] = [b"models--", b"datasets--", b"spaces--"];
    let name = name.as_bytes();
    kinds
        .iter()
        .any(|kind| name.len() > kind.len() && name.starts_with(kind))
}
