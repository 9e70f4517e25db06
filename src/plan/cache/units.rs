//! What can be evicted, each inode once, in the order in which it goes.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use super::super::action::{OperationPlan, Subject};
use super::super::entry::{EntryId, Inventory, Role};
use super::super::order;
use super::super::reason::Keep;
use super::super::time::Time;
use super::keep::Rules;

/// A file, or all names of an inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// The last use.
    pub(super) used: Time,
    /// The file, or the first of its names.
    pub(super) first: EntryId,
}

/// All candidates.
pub(super) struct Units<'a> {
    pub(super) inventory: &'a Inventory,
    /// Least recently used first; where that is equal the larger first, then by path.
    pub(super) order: Vec<Unit>,
    /// The names of inodes that have several, inode by inode, in the order of paths.
    names: Vec<EntryId>,
    /// Where the names of an inode stand, by the first of them.
    groups: HashMap<EntryId, Range<usize>>,
}

impl<'a> Units<'a> {
    /// Gives each entry that must stay its verdict, and orders the rest.
    pub(super) fn collect(
        inventory: &'a Inventory,
        rules: &Rules,
        plan: &mut OperationPlan,
    ) -> Self {
        let mut singles = Vec::new();
        let mut linked = Vec::new();
        for id in inventory.entry_ids() {
            let entry = inventory.entry(id);
            if inventory.root(inventory.root_of(entry)).role != Role::Cache {
                continue;
            }
            if let Some(reason) = rules.keep(id) {
                plan.keep(Subject::Entry(id), reason);
            } else if entry.links > 1 {
                linked.push(id);
            } else {
                let used = rules.used(id);
                singles.push(Unit { used, first: id });
            }
        }
        let identity = |id: &EntryId| inventory.identity(inventory.entry(*id));
        linked.sort_unstable_by_key(identity);
        let mut units = Self {
            inventory,
            order: singles,
            names: Vec::new(),
            groups: HashMap::new(),
        };
        for names in linked.chunk_by_mut(|a, b| identity(a) == identity(b)) {
            units.add_group(names, rules, plan);
        }
        units.sort();
        units
    }

    /// The names of a unit.
    pub(super) fn members<'b>(&'b self, unit: &'b Unit) -> &'b [EntryId] {
        self.groups
            .get(&unit.first)
            .and_then(|range| self.names.get(range.clone()))
            .unwrap_or(std::slice::from_ref(&unit.first))
    }

    /// Allocated bytes of a unit.
    pub(super) fn bytes(&self, unit: Unit) -> u64 {
        self.inventory.entry(unit.first).disk_usage()
    }

    /// An inode goes with all its names or not at all: removing some of them frees nothing.
    fn add_group(&mut self, names: &mut [EntryId], rules: &Rules, plan: &mut OperationPlan) {
        let links = |id: &EntryId| self.inventory.entry(*id).links;
        let all = names.iter().map(links).max().unwrap_or(u16::MAX);
        if all == u16::MAX || names.len() < usize::from(all) {
            for id in names {
                plan.keep(Subject::Entry(*id), Keep::LinkedElsewhere);
            }
            return;
        }
        names.sort_by(|a, b| order::entries(self.inventory, *a, *b));
        let used = names.iter().map(|id| rules.used(*id)).max();
        if let (Some(used), Some(first)) = (used, names.first().copied()) {
            self.order.push(Unit { used, first });
            let start = self.names.len();
            self.names.extend_from_slice(names);
            self.groups.insert(first, start..self.names.len());
        }
    }

    fn sort(&mut self) {
        let inventory = self.inventory;
        let size = |unit: &Unit| Reverse(inventory.entry(unit.first).disk_usage());
        self.order.sort_unstable_by(|a, b| {
            a.used
                .cmp(&b.used)
                .then_with(|| size(a).cmp(&size(b)))
                .then_with(|| order::entries(inventory, a.first, b.first))
        });
    }
}
