//! Directories that hold nothing any more once the plan is done.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::super::action::{OperationPlan, Subject, Task, Verb};
use super::super::entry::{DirId, EntryId, Inventory, Walk};
use super::super::order;
use super::super::reason::{Keep, Reason};

/// How many names each directory will have left.
pub(super) struct Emptied<'a> {
    inventory: &'a Inventory,
    left: Vec<u32>,
    /// The last eviction below each directory.
    last: Vec<Option<u32>>,
    /// Repositories that go whole, with what was empty in them before.
    whole: HashMap<DirId, u32>,
}

impl<'a> Emptied<'a> {
    pub(super) fn new(inventory: &'a Inventory) -> Self {
        let directories = &inventory.directories;
        Self {
            inventory,
            left: directories.iter().map(|row| row.children).collect(),
            last: vec![None; directories.len()],
            whole: HashMap::new(),
        }
    }

    /// Action `number` is the last eviction of a repository.
    pub(super) fn whole(&mut self, repository: DirId, number: u32) {
        self.whole.insert(repository, number);
    }

    /// Directories that were empty before go with the repository that they are part of.
    fn include_hollow(&mut self) {
        if self.whole.is_empty() {
            return;
        }
        let mut of: Vec<Option<u32>> = vec![None; self.left.len()];
        for id in self.inventory.directory_ids() {
            let parent = self.inventory.directory(id).parent;
            let above = parent.and_then(|parent| of[parent.0 as usize]);
            let index = id.0 as usize;
            of[index] = above.or_else(|| self.whole.get(&id).copied());
            self.last[index] = self.last[index].max(of[index]);
        }
    }

    /// Action `number` removes this entry.
    pub(super) fn evicted(&mut self, id: EntryId, number: u32) {
        let at = self.inventory.entry(id).directory;
        self.take(at, Some(number));
    }

    /// Adds the removals, deepest first. A root stays, and so does a directory that was empty
    /// before or that loses nothing to this plan.
    pub(super) fn remove(mut self, plan: &mut OperationPlan) {
        self.include_hollow();
        let mut gone = Vec::new();
        // Parents stand before their children, so backwards each directory comes after all below.
        for index in (0..self.left.len()).rev() {
            let row = self.inventory.directories[index];
            let Some(parent) = row.parent else {
                continue;
            };
            let last = self.last[index];
            if row.walk != Walk::Walked || last.is_none() || self.left[index] > 0 {
                continue;
            }
            let id = DirId(u32::try_from(index).unwrap_or(u32::MAX));
            if let Some(user) = self.inventory.directory_user(id) {
                plan.keep(Subject::Directory(id), Keep::InUse(user.into()));
            } else {
                gone.push(id);
                self.take(parent, last);
            }
        }
        gone.sort_by(|a, b| {
            let depth = |id: &DirId| Reverse(order::depth(self.inventory, *id));
            let by_path = || {
                order::subjects(
                    self.inventory,
                    Subject::Directory(*a),
                    Subject::Directory(*b),
                )
            };
            depth(a).cmp(&depth(b)).then_with(by_path)
        });
        for id in gone {
            let number = plan.act(
                Verb::RemoveDirectory,
                Subject::Directory(id),
                Reason::Emptied,
                Task::RemoveDirectory,
            );
            plan.actions[number as usize].set_needs(self.last[id.0 as usize]);
        }
    }

    fn take(&mut self, at: DirId, number: Option<u32>) {
        let index = at.0 as usize;
        self.left[index] = self.left[index].saturating_sub(1);
        self.last[index] = self.last[index].max(number);
    }
}
