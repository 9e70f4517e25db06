//! What can be evicted, each inode once, in the order in which it goes.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use super::super::action::{OperationPlan, Subject};
use super::super::entry::{DirId, EntryId, Inventory, Kind, Role};
use super::super::order;
use super::super::reason::Keep;
use super::super::time::Time;
use super::keep::Rules;
use super::repositories::{Contents, Repositories};

/// All candidates. A unit is a file, all names of an inode, or a repository, and is known by the
/// first of its names: with a million files, each word here is eight megabytes.
pub(super) struct Units<'a> {
    inventory: &'a Inventory,
    rules: &'a Rules<'a>,
    /// Least recently used first; where that is equal the larger first, then by path.
    pub(super) order: Vec<EntryId>,
    /// The names of inodes that have several, inode by inode, in the order of paths.
    names: Vec<EntryId>,
    /// What is more than one name, by the first of them.
    groups: HashMap<EntryId, Group>,
}

/// Names that go together.
struct Group {
    /// Where they stand.
    names: Range<usize>,
    /// Allocated bytes of all, each inode once.
    bytes: u64,
    /// The last use of any.
    used: Time,
    /// The repository that they are.
    repository: Option<DirId>,
}

impl<'a> Units<'a> {
    /// Gives each entry that must stay its verdict, and orders the rest.
    pub(super) fn collect(
        inventory: &'a Inventory,
        rules: &'a Rules,
        plan: &mut OperationPlan,
    ) -> Self {
        let repositories = Repositories::find(inventory);
        let ours = |id: &EntryId| {
            let directory = inventory.entry(*id).directory;
            let root = inventory.directory(directory).root;
            inventory.root(root).role == Role::Cache && repositories.of(directory).is_none()
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
        for (id, contents) in repositories.contents(inventory) {
            units.add_repository(id, contents, plan);
        }
        units.sort();
        units
    }

    /// The names of a unit, in the order in which they go.
    pub(super) fn members<'b>(&'b self, unit: &'b EntryId) -> &'b [EntryId] {
        self.groups
            .get(unit)
            .and_then(|group| self.names.get(group.names.clone()))
            .unwrap_or(std::slice::from_ref(unit))
    }

    /// Allocated bytes of a unit.
    pub(super) fn bytes(&self, unit: EntryId) -> u64 {
        let group = self.groups.get(&unit);
        group.map_or_else(|| self.inventory.entry(unit).disk_usage(), |g| g.bytes)
    }

    /// The last use of a unit.
    pub(super) fn used(&self, unit: EntryId) -> Time {
        let group = self.groups.get(&unit);
        group.map_or_else(|| self.rules.used(unit), |group| group.used)
    }

    /// The repository that a unit is.
    pub(super) fn repository(&self, unit: EntryId) -> Option<DirId> {
        self.groups.get(&unit)?.repository
    }

    /// An inode goes with all its names or not at all: removing some of them frees nothing.
    fn add_group(&mut self, names: &mut [EntryId], plan: &mut OperationPlan) {
        if self.is_linked_elsewhere(names) {
            for id in names {
                plan.keep(Subject::Entry(*id), Keep::LinkedElsewhere);
            }
            return;
        }
        names.sort_by(|a, b| order::entries(self.inventory, *a, *b));
        if let Some(first) = names.first() {
            let (bytes, used) = (self.bytes(*first), self.rules.used(*first));
            self.push(names, bytes, used, None);
        }
    }

    /// Whether names of one inode are not all that it has.
    fn is_linked_elsewhere(&self, names: &[EntryId]) -> bool {
        let links = |id: &EntryId| self.inventory.entry(*id).links;
        let all = names.iter().map(links).max().unwrap_or(u16::MAX);
        all == u16::MAX || names.len() < usize::from(all)
    }

    fn push(&mut self, names: &[EntryId], bytes: u64, used: Time, repository: Option<DirId>) {
        let Some(first) = names.first().copied() else {
            return;
        };
        self.order.push(first);
        let start = self.names.len();
        self.names.extend_from_slice(names);
        let group = Group {
            names: start..self.names.len(),
            bytes,
            used,
            repository,
        };
        self.groups.insert(first, group);
    }

    /// A repository goes with all that is in it, or not at all.
    fn add_repository(&mut self, id: DirId, contents: Contents, plan: &mut OperationPlan) {
        let mut names = contents.entries;
        let (claimed, rest): (Vec<_>, Vec<_>) =
            names.drain(..).partition(|id| self.rules.is_claimed(*id));
        names = rest;
        for id in claimed {
            plan.keep(Subject::Entry(id), Keep::Garbage);
        }
        let (bytes, linked) = self.measure(&names);
        let used = names.iter().map(|id| self.used_in_repository(*id)).max();
        let used = used.unwrap_or_default();
        let obstacle = linked
            .then_some(Keep::LinkedElsewhere)
            .or_else(|| self.obstacle(id, &names, &contents.directories))
            .or_else(|| self.rules.recent_use(used));
        if let Some(reason) = obstacle {
            for id in names {
                plan.keep(Subject::Entry(id), reason.clone());
            }
            return;
        }
        names.sort_by(|a, b| {
            let rank = |id: &EntryId| self.rank(*id);
            rank(a)
                .cmp(&rank(b))
                .then_with(|| order::entries(self.inventory, *a, *b))
        });
        self.push(&names, bytes, used, Some(id));
    }

    /// Links first, contents last: whatever ends the run, no link is left without its blob.
    fn rank(&self, id: EntryId) -> u8 {
        let entry = self.inventory.entry(id);
        if entry.kind == Kind::Symlink {
            return 0;
        }
        let row = self.inventory.directory(entry.directory);
        1 + u8::from(self.inventory.directory_name(row) == "blobs")
    }

    /// Why a repository stays, by the first of its parts that must.
    fn obstacle(&self, id: DirId, names: &[EntryId], directories: &[DirId]) -> Option<Keep> {
        let inventory = self.inventory;
        let unwalked = directories
            .iter()
            .find_map(|id| Keep::unwalked(inventory.directory(*id).walk));
        let unseen = || {
            let shown = inventory.shown_directory(id);
            let mut problems = inventory.problems.iter();
            let part = problems.any(|problem| problem.path.starts_with(&shown));
            part.then_some(Keep::Unreadable)
        };
        let part = || names.iter().find_map(|id| self.rules.keep_part(*id));
        let lock = || {
            let locks = Repositories::locks(inventory, id)?;
            let mut beside = inventory.entry_ids();
            beside.find_map(|id| {
                let here = inventory.entry(id).directory == locks;
                here.then(|| self.rules.in_use(id)).flatten()
            })
        };
        unwalked.or_else(unseen).or_else(part).or_else(lock)
    }

    /// Bytes of all inodes once, and whether one has names elsewhere.
    fn measure(&self, names: &[EntryId]) -> (u64, bool) {
        let identity = |id: &EntryId| self.inventory.identity(self.inventory.entry(*id));
        let mut sorted = names.to_vec();
        sorted.sort_unstable_by_key(identity);
        let inodes = sorted.chunk_by(|a, b| identity(a) == identity(b));
        inodes.fold((0, false), |(bytes, linked), names| {
            let one = self.inventory.entry(names[0]).disk_usage();
            (bytes + one, linked || self.is_linked_elsewhere(names))
        })
    }

    /// Looking at where a link leads is recorded as an access to it, so its access time says
    /// nothing.
    fn used_in_repository(&self, id: EntryId) -> Time {
        let entry = self.inventory.entry(id);
        match entry.kind {
            Kind::Symlink => entry.mtime,
            _ => self.rules.used(id),
        }
    }

    /// By last use, with the time beside each: to look it up at each comparison costs more than
    /// the rest.
    fn sort(&mut self) {
        let mut timed: Vec<(Time, EntryId)> = self
            .order
            .iter()
            .map(|unit| (self.used(*unit), *unit))
            .collect();
        let inventory = self.inventory;
        timed.sort_unstable_by(|(used_a, a), (used_b, b)| {
            used_a
                .cmp(used_b)
                .then_with(|| Reverse(self.bytes(*a)).cmp(&Reverse(self.bytes(*b))))
                .then_with(|| order::entries(inventory, *a, *b))
        });
        for (slot, (_, unit)) in self.order.iter_mut().zip(timed) {
            *slot = unit;
        }
    }
}
