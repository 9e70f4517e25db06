//! The order of paths, so that no plan depends on the order of a scan.
//!
//! Paths are compared component by component as bytes, as `Path` does, but where they stand in the
//! directory table: sorting a million names allocates nothing.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::action::Subject;
use super::entry::{DirId, EntryId, Inventory};

/// A directory, and what was last left below it on the way up.
#[derive(Clone, Copy)]
struct At<'a> {
    directory: DirId,
    below: Option<&'a OsStr>,
}

/// Compares the paths of two entries.
#[must_use]
pub fn entries(inventory: &Inventory, left: EntryId, right: EntryId) -> Ordering {
    subjects(inventory, Subject::Entry(left), Subject::Entry(right))
}

/// Compares the paths of two subjects; roots stand in the order of their shown paths.
#[must_use]
pub fn subjects(inventory: &Inventory, left: Subject, right: Subject) -> Ordering {
    let (mut a, mut b) = (start(inventory, left), start(inventory, right));
    let (mut deep_a, mut deep_b) = (depth(inventory, a.directory), depth(inventory, b.directory));
    while a.directory != b.directory {
        if deep_a == 0 && deep_b == 0 {
            return tops(inventory, a.directory, b.directory);
        }
        let (lift_a, lift_b) = (deep_a >= deep_b, deep_b >= deep_a);
        if lift_a {
            a = up(inventory, a);
            deep_a -= 1;
        }
        if lift_b {
            b = up(inventory, b);
            deep_b -= 1;
        }
    }
    a.below
        .map(OsStr::as_bytes)
        .cmp(&b.below.map(OsStr::as_bytes))
}

/// How many directories lie between a directory and its root.
#[must_use]
pub fn depth(inventory: &Inventory, id: DirId) -> usize {
    std::iter::successors(inventory.directory(id).parent, |parent| {
        inventory.directory(*parent).parent
    })
    .count()
}

fn start(inventory: &Inventory, subject: Subject) -> At<'_> {
    match subject {
        Subject::Entry(id) => At {
            directory: inventory.entry(id).directory,
            below: Some(inventory.name(inventory.entry(id))),
        },
        Subject::Directory(id) => At {
            directory: id,
            below: None,
        },
        // Beside the directories, and never sorted among their files.
        Subject::Named(_) => At {
            directory: DirId(0),
            below: None,
        },
    }
}

fn up<'a>(inventory: &'a Inventory, at: At<'a>) -> At<'a> {
    let row = inventory.directory(at.directory);
    At {
        directory: row.parent.unwrap_or(at.directory),
        below: Some(inventory.directory_name(row)),
    }
}

fn tops(inventory: &Inventory, left: DirId, right: DirId) -> Ordering {
    let shown = |id| &inventory.root(inventory.directory(id).root).shown;
    shown(left).cmp(shown(right)).then(left.cmp(&right))
}

#[cfg(test)]
mod tests {
    use super::super::entry::Role;
    use super::super::testing::{Tree, file};
    use super::*;

    #[test]
    fn paths_stand_in_the_order_of_their_components() {
        let mut tree = Tree::new();
        let second = tree.root(Role::Cache, "z");
        let first = tree.root(Role::Cache, "cache");
        let names = ["a/b/c", "a-b", "a/b.c", "b", "a/a/z/z", "\u{e9}", "a/b/b/b"];
        let mut ids: Vec<_> = [second, first]
            .into_iter()
            .flat_map(|root| names.map(|name| (root, name)))
            .map(|(root, name)| Subject::Entry(tree.add(root, name, file(1, 1))))
            .collect();
        ids.push(Subject::Directory(tree.directory(first, "a/b")));
        let inventory = tree.inventory;
        let shown = |id| super::super::action::shown_subject(&inventory, id);
        let mut expected = ids.clone();
        expected.sort_by_key(|id| shown(*id));
        ids.sort_by(|a, b| subjects(&inventory, *a, *b));
        assert_eq!(ids, expected);
    }
}
