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

/// All candidates. A unit is a file, or all names of an inode, and is known by the first of them:
/// with a million files, each word here is eight megabytes.
pub(super) struct Units<'a> {
    inventory: &'a Inventory,
    rules: &'a Rules<'a>,
    /// Least recently used first; where that is equal the larger first, then by path.
    pub(super) order: Vec<EntryId>,
    /// The names of inodes that have several, inode by inode, in the order of paths.
    names: Vec<EntryId>,
    /// Where the names of an inode stand, by the first of them.
    groups: HashMap<EntryId, Range<usize>>,
}

impl<'a> Units<'a> {
    /// Gives each entry that must stay its verdict, and orders the rest.
    pub(super) fn collect(
        inventory: &'a Inventory,
        rules: &'a Rules,
        plan: &mut OperationPlan,
    ) -> Self {
        let ours = |id: &EntryId| {
            let root = inventory.root_of(inventory.entry(*id));
            inventory.root(root).role == Role::Cache
        };
        // Room that is not used is not touched; growing would hold everything twice.
        let most = inventory.entry_ids().filter(ours).count();
        plan.kept.reserve_exact(most);
        let mut singles = Vec::with_capacity(most);
        let mut linked = Vec::new();
        for id in inventory.entry_ids().filter(ours) {
            let entry = inventory.entry(id);
            if let Some(reason) = rules.keep(id) {
                plan.keep(Subject::Entry(id), reason);
            } else if entry.links > 1 {
                linked.push(id);
            } else {
                singles.push(id);
            }
        }
        let identity = |id: &EntryId| inventory.identity(inventory.entry(*id));
        linked.sort_unstable_by_key(identity);
        let mut units = Self {
            inventory,
            rules,
            order: singles,
            names: Vec::new(),
            groups: HashMap::new(),
        };
        for names in linked.chunk_by_mut(|a, b| identity(a) == identity(b)) {
            units.add_group(names, plan);
        }
        units.sort();
        units
    }

    /// The names of a unit.
    pub(super) fn members<'b>(&'b self, unit: &'b EntryId) -> &'b [EntryId] {
        self.groups
            .get(unit)
            .and_then(|range| self.names.get(range.clone()))
            .unwrap_or(std::slice::from_ref(unit))
    }

    /// Allocated bytes of a unit.
    pub(super) fn bytes(&self, unit: EntryId) -> u64 {
        self.inventory.entry(unit).disk_usage()
    }

    /// The last use of a unit.
    pub(super) fn used(&self, unit: EntryId) -> Time {
        self.rules.used(unit)
    }

    /// An inode goes with all its names or not at all: removing some of them frees nothing.
    fn add_group(&mut self, names: &mut [EntryId], plan: &mut OperationPlan) {
        let links = |id: &EntryId| self.inventory.entry(*id).links;
        let all = names.iter().map(links).max().unwrap_or(u16::MAX);
        if all == u16::MAX || names.len() < usize::from(all) {
            for id in names {
                plan.keep(Subject::Entry(*id), Keep::LinkedElsewhere);
            }
            return;
        }
        names.sort_by(|a, b| order::entries(self.inventory, *a, *b));
        if let Some(first) = names.first().copied() {
            self.order.push(first);
            let start = self.names.len();
            self.names.extend_from_slice(names);
            self.groups.insert(first, start..self.names.len());
        }
    }

    fn sort(&mut self) {
        let (inventory, rules) = (self.inventory, self.rules);
        let size = |unit: &EntryId| Reverse(inventory.entry(*unit).disk_usage());
        self.order.sort_unstable_by(|a, b| {
            let by_use = rules.used(*a).cmp(&rules.used(*b));
            by_use
                .then_with(|| size(a).cmp(&size(b)))
                .then_with(|| order::entries(inventory, *a, *b))
        });
    }
}
