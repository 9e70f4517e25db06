//! Which units go: age first, then the limits.

use std::collections::HashMap;

use super::super::claims::Claims;
use super::super::entry::{EntryId, Inventory, Role, RootId};
use super::super::policy::CachePolicy;
use super::super::time::Clock;
use super::units::Units;

/// The limit for which a unit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Age,
    Directory,
    Total,
    Space,
}

/// A cache directory and its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    pub(super) is_cache: bool,
    /// Allocated now, every inode once.
    pub(super) usage: u64,
    /// Of these, what an earlier operation removes.
    pub(super) claimed: u64,
    pub(super) evicted: u64,
    pub(super) files: u64,
}

impl Account {
    /// What will be left.
    pub(super) fn left(&self) -> u64 {
        let gone = self.claimed.saturating_add(self.evicted);
        self.usage.saturating_sub(gone)
    }
}

/// What is taken, and what goes of it.
pub(super) struct Ledger<'a> {
    pub(super) policy: &'a CachePolicy,
    inventory: &'a Inventory,
    /// By root.
    pub(super) accounts: Vec<Account>,
    /// Of all cache directories, every inode once.
    pub(super) usage: u64,
    claimed: u64,
    pub(super) freed: u64,
    /// By filesystem: bytes free now, with what earlier operations give back.
    pub(super) free: HashMap<u32, u64>,
}

impl<'a> Ledger<'a> {
    /// The state before anything goes.
    pub(super) fn open(policy: &'a CachePolicy, inventory: &'a Inventory, claims: &Claims) -> Self {
        let mut ledger = Self {
            policy,
            inventory,
            accounts: vec![Account::default(); inventory.roots.len()],
            usage: 0,
            claimed: 0,
            freed: 0,
            free: HashMap::new(),
        };
        for root in inventory.roots_of(Role::Cache) {
            ledger.accounts[usize::from(root.0)].is_cache = true;
            if let Some(index) = inventory.root(root).filesystem
                && let Some(filesystem) = inventory.filesystem(root)
                && policy.min_free.is_some()
            {
                let given = || filesystem.available + claims.bytes_on(inventory, index);
                ledger.free.entry(index).or_insert_with(given);
            }
        }
        ledger.count(claims);
        ledger
    }

    fn count(&mut self, claims: &Claims) {
        let inventory = self.inventory;
        let mut linked = Vec::new();
        for id in inventory.entry_ids() {
            let entry = inventory.entry(id);
            let root = inventory.root_of(entry);
            let account = &mut self.accounts[usize::from(root.0)];
            if !account.is_cache {
                continue;
            }
            account.files += 1;
            if entry.links > 1 {
                linked.push(id);
                continue;
            }
            let bytes = entry.disk_usage();
            account.usage += bytes;
            self.usage += bytes;
            if claims.contains(id) {
                account.claimed += bytes;
                self.claimed += bytes;
            }
        }
        self.count_linked(linked);
    }

    /// An inode counts once in each directory where it has names, and once in all.
    fn count_linked(&mut self, mut linked: Vec<EntryId>) {
        let inventory = self.inventory;
        let place = |id: EntryId| {
            let entry = inventory.entry(id);
            (inventory.identity(entry), inventory.root_of(entry))
        };
        linked.sort_unstable_by_key(|id| place(*id));
        linked.dedup_by_key(|id| place(*id));
        let mut last = None;
        for id in linked {
            let (identity, root) = place(id);
            let bytes = inventory.entry(id).disk_usage();
            self.accounts[usize::from(root.0)].usage += bytes;
            if last.replace(identity) != Some(identity) {
                self.usage += bytes;
            }
        }
    }

    /// For each unit the limit for which it goes, or none.
    pub(super) fn choose(&mut self, units: &Units, clock: Clock) -> Vec<Option<Cause>> {
        let mut causes = vec![None; units.order.len()];
        if let Some(max_age) = self.policy.max_age
            && !clock.jumped
        {
            self.pass(units, &mut causes, Cause::Age, |_, unit| {
                clock.now.since(units.used(unit)) > max_age
            });
        }
        self.pass(units, &mut causes, Cause::Directory, |ledger, unit| {
            ledger.any_root(units, unit, |root| ledger.over(root) > 0)
        });
        self.pass(units, &mut causes, Cause::Total, |ledger, _| {
            ledger.over_total() > 0
        });
        self.pass(units, &mut causes, Cause::Space, |ledger, unit| {
            ledger.any_root(units, unit, |root| ledger.missing(root) > 0)
        });
        causes
    }

    /// Bytes by which a directory will be over its limit.
    pub(super) fn over(&self, root: RootId) -> u64 {
        let account = &self.accounts[usize::from(root.0)];
        account.left().saturating_sub(self.policy.limit)
    }

    /// Bytes by which all directories together will be over `max_total_size`.
    pub(super) fn over_total(&self) -> u64 {
        let gone = self.claimed.saturating_add(self.freed);
        let left = self.usage.saturating_sub(gone);
        self.policy
            .max_total_size
            .map_or(0, |limit| left.saturating_sub(limit))
    }

    /// Bytes that the filesystem of a directory will be short of `min_free`.
    pub(super) fn missing(&self, root: RootId) -> u64 {
        let wanted = || {
            let free = self.free.get(&self.inventory.root(root).filesystem?)?;
            let total = self.inventory.filesystem(root)?.total;
            Some(self.policy.min_free?.bytes(total).saturating_sub(*free))
        };
        wanted().unwrap_or(0)
    }

    /// Goes through the units in their order and takes those that the test names at that point.
    fn pass(
        &mut self,
        units: &Units,
        causes: &mut [Option<Cause>],
        cause: Cause,
        goes: impl Fn(&Self, EntryId) -> bool,
    ) {
        for (unit, chosen) in units.order.iter().zip(causes) {
            if chosen.is_none() && goes(self, *unit) {
                *chosen = Some(cause);
                self.evict(units, *unit);
            }
        }
    }

    fn evict(&mut self, units: &Units, unit: EntryId) {
        let bytes = units.bytes(unit);
        self.freed += bytes;
        let members = units.members(&unit);
        for (index, id) in members.iter().enumerate() {
            let root = self.root(*id);
            if !members[..index].iter().any(|seen| self.root(*seen) == root) {
                self.accounts[usize::from(root.0)].evicted += bytes;
            }
        }
        let filesystem = self.inventory.root(self.root(unit)).filesystem;
        if let Some(free) = filesystem.and_then(|index| self.free.get_mut(&index)) {
            *free = free.saturating_add(bytes);
        }
    }

    fn any_root(&self, units: &Units, unit: EntryId, test: impl Fn(RootId) -> bool) -> bool {
        units.members(&unit).iter().any(|id| test(self.root(*id)))
    }

    fn root(&self, id: EntryId) -> RootId {
        self.inventory.root_of(self.inventory.entry(id))
    }
}
