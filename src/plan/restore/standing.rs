//! What stands where models go.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::super::action::Place;
use super::super::archive::{ManifestLine, Version};
use super::super::entry::{DirId, EntryId, Inventory, Kind, Role, RootId, Walk};
use super::super::models::hexadecimal;
use super::goes_to;

/// The files and directories of the directories that models are restored to.
pub(super) struct Standing<'a> {
    inventory: &'a Inventory,
    files: BTreeMap<(RootId, PathBuf), EntryId>,
    directories: BTreeMap<(RootId, PathBuf), DirId>,
}

/// What was found at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing in the way, as far as could be seen.
    Free,
    /// The same model.
    Same,
    /// Something else, with its path below the root.
    Other(PathBuf),
}

impl<'a> Standing<'a> {
    pub(super) fn of(inventory: &'a Inventory, to: Option<RootId>) -> Self {
        let reached = |root: RootId| match to {
            Some(to) => root == to,
            None => inventory.root(root).role == Role::Models,
        };
        let entries = inventory.entry_ids().map(|id| (id, inventory.entry(id)));
        let files = entries
            .map(|(id, entry)| (id, entry, inventory.root_of(entry)))
            .filter(|(.., root)| reached(*root))
            .map(|(id, entry, root)| ((root, inventory.relative_path(entry)), id));
        let rows = inventory
            .directory_ids()
            .map(|id| (id, inventory.directory(id).root));
        let directories = rows
            .filter(|(_, root)| reached(*root))
            .map(|(id, root)| ((root, inventory.directory_path(id)), id));
        Self {
            inventory,
            files: files.collect(),
            directories: directories.collect(),
        }
    }

    /// What stands at the place of a version, or on the way to it.
    pub(super) fn at(&self, place: &Place, version: &Version) -> Found {
        let mut above = place.path.ancestors().skip(1);
        if let Some(file) = above.find(|path| self.file(place.root, path).is_some()) {
            return Found::Other(file.to_path_buf());
        }
        if version.directory {
            self.whole(place, version)
        } else {
            self.each(place, version)
        }
    }

    fn file(&self, root: RootId, path: &Path) -> Option<EntryId> {
        self.files.get(&(root, path.to_path_buf())).copied()
    }

    /// A model with its sidecars: what stands of them has to be the same.
    fn each(&self, place: &Place, version: &Version) -> Found {
        let mut found = Found::Same;
        for file in version.files() {
            let path = goes_to(version, file, &place.path);
            if self.directories.contains_key(&(place.root, path.clone())) {
                return Found::Other(path);
            }
            match self
                .file(place.root, &path)
                .map(|id| self.is_same(id, &file.line))
            {
                Some(Some(true)) => {}
                Some(Some(false)) => return Found::Other(path),
                Some(None) | None => found = Found::Free,
            }
        }
        found
    }

    /// A directory: it has to be the same as a whole.
    fn whole(&self, place: &Place, version: &Version) -> Found {
        let other = || Found::Other(place.path.clone());
        if self.file(place.root, &place.path).is_some() {
            return other();
        }
        let top = (place.root, place.path.clone());
        let below = |key: &(RootId, PathBuf)| key.0 == place.root && key.1.starts_with(&place.path);
        let mut rows = self.directories.range(top.clone()..);
        let rows = rows.by_ref().take_while(|(key, _)| below(key));
        let walks: Vec<Walk> = rows
            .map(|(_, id)| self.inventory.directory(*id).walk)
            .collect();
        if walks.is_empty() || walks.iter().any(|walk| *walk != Walk::Walked) {
            return Found::Free;
        }
        let standing = self.files.range(top..).take_while(|(key, _)| below(key));
        let mut standing: HashMap<&Path, EntryId> =
            standing.map(|(key, id)| (key.1.as_path(), *id)).collect();
        let mut found = Found::Same;
        for file in version.files() {
            let path = goes_to(version, file, &place.path);
            let Some(id) = standing.remove(path.as_path()) else {
                return other();
            };
            match self.is_same(id, &file.line) {
                Some(true) => {}
                Some(false) => return other(),
                None => found = Found::Free,
            }
        }
        if standing.is_empty() { found } else { other() }
    }

    /// Whether a file is what a line records; `None` where its digest is not known.
    fn is_same(&self, id: EntryId, line: &ManifestLine) -> Option<bool> {
        let entry = self.inventory.entry(id);
        if entry.kind != Kind::File || entry.size != line.size {
            return Some(false);
        }
        let digest = self.inventory.digests.get(&id)?;
        let known = !line.sha256.is_empty();
        known.then(|| line.sha256.eq_ignore_ascii_case(&hexadecimal(digest)))
    }
}
