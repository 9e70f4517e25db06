//! The plan against a model that is plain and slow: after each eviction everything that is left is
//! counted anew, inode by inode.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::super::action::Subject;
use super::super::entry::{Entry, Kind, RootId, Stat};
use super::super::host::Hold;
use super::super::policy::MinFree;
use super::super::testing::{HOUR, NOW, Tree, ago, file, linked, special};
use super::tests::{planned, policy};
use super::*;

/// Bytes that are free on the filesystem of all trees.
const FREE: u64 = 50 << 30;

/// Files, names of shared inodes, sparse files and repositories with links, in two directories. No
/// two were used at the same instant.
fn trees() -> impl Strategy<Value = Tree> {
    let row = (0_usize..2, 0_usize..5, 0_u64..40_000, 0_i64..100, 0_u8..24);
    (proptest::collection::vec(row, 0..20), 0_u32..2).prop_map(|(rows, outside)| {
        let places = [
            "",
            "d/",
            "models--a--b/blobs/",
            "models--a--b/snapshots/1/",
            "hub/datasets--c--d/",
        ];
        let names = |inode: u8| rows.iter().filter(|row| row.4 == inode).count();
        let links = |inode: u8, more| u32::try_from(names(inode)).unwrap_or(1) + more;
        let mut tree = Tree::new();
        let roots = ["cache", "other"].map(|shown| tree.root(Role::Cache, shown));
        let mut held = Vec::new();
        for (index, (root, place, size, hours, kind)) in (0_i64..).zip(rows.iter().copied()) {
            let used = hours * HOUR + index;
            let stat = match kind {
                // All names in the caches, or one elsewhere.
                0 => linked(8192, 50 * HOUR - 1, 7, links(0, 0)),
                1 => linked(12_288, 20 * HOUR - 1, 8, links(1, outside)),
                2 => Stat {
                    blocks: 8,
                    ..file(size << 20, used)
                },
                3 => Stat {
                    atime: ago(index),
                    ..special(Kind::Symlink, used)
                },
                _ => file(size, used),
            };
            let id = tree.add(roots[root], format!("{}{index}", places[place]), stat);
            if kind == 23 {
                held.push(id);
            }
        }
        for id in held {
            tree.hold(id, 1, Hold::Mapped);
        }
        tree
    })
}

fn policies() -> impl Strategy<Value = CachePolicy> {
    let some = || proptest::option::of(0_u64..200_000);
    (
        0_u64..200_000,
        0_u64..30,
        proptest::option::of(0_u64..100),
        some(),
        some(),
    )
        .prop_map(|(limit, recent, age, total, short)| CachePolicy {
            preserve_recent: Duration::from_hours(recent),
            max_age: age.map(Duration::from_hours),
            max_total_size: total,
            min_free: short.map(|bytes| MinFree::Bytes(FREE + bytes)),
            ..policy(limit)
        })
}

/// What goes together, and in which order units go: by their last use.
struct Unit {
    used: Time,
    names: Vec<EntryId>,
}

struct Model<'a> {
    policy: &'a CachePolicy,
    inventory: &'a Inventory,
    gone: BTreeSet<EntryId>,
}

impl Model<'_> {
    fn entry(&self, id: EntryId) -> &Entry {
        self.inventory.entry(id)
    }

    /// The path of a repository, or the number of an inode.
    fn unit_of(&self, id: EntryId) -> (PathBuf, u64) {
        let path = self.inventory.shown_path(self.entry(id));
        let mut above = path.ancestors();
        let repository = above.find(|part| {
            let name = part.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("models--") || name.starts_with("datasets--")
        });
        match repository {
            Some(repository) => (repository.to_path_buf(), 0),
            None => (PathBuf::new(), self.entry(id).inode),
        }
    }

    fn used(&self, id: EntryId) -> Time {
        let entry = self.entry(id);
        match entry.kind {
            Kind::Symlink => entry.mtime,
            _ => entry.mtime.max(entry.atime),
        }
    }

    /// Units that may go, least recently used first.
    fn candidates(&self) -> Vec<Unit> {
        let mut units: BTreeMap<_, Vec<EntryId>> = BTreeMap::new();
        for id in self.inventory.entry_ids() {
            units.entry(self.unit_of(id)).or_default().push(id);
        }
        let mut free = Vec::new();
        for ((repository, _), names) in units {
            let single = repository.as_os_str().is_empty();
            let stays = names.iter().any(|id| {
                let entry = self.entry(*id);
                let same = names
                    .iter()
                    .filter(|o| self.entry(**o).inode == entry.inode);
                let held = self.inventory.open.holder(self.inventory.identity(entry));
                held.is_some()
                    || same.count() < usize::from(entry.links)
                    || single && entry.kind != Kind::File
            });
            let used = names.iter().map(|id| self.used(*id)).max();
            let used = used.unwrap_or_default();
            if !stays && NOW.since(used) >= self.policy.preserve_recent && used <= NOW {
                free.push(Unit { used, names });
            }
        }
        free.sort_by_key(|unit| unit.used);
        free
    }

    /// Bytes of the inodes whose names the test picks.
    fn bytes(&self, test: impl Fn(EntryId) -> bool) -> u64 {
        let picked = self.inventory.entry_ids().filter(|id| test(*id));
        let inodes: BTreeMap<u64, u64> = picked
            .map(|id| (self.entry(id).inode, self.entry(id).disk_usage()))
            .collect();
        inodes.values().sum()
    }

    fn left(&self, root: RootId) -> u64 {
        self.bytes(|id| self.inventory.root_of(self.entry(id)) == root && !self.gone.contains(&id))
    }

    fn freed(&self) -> u64 {
        self.bytes(|id| self.gone.contains(&id))
    }

    /// Everything that goes, by the rules in their order.
    fn run(&mut self) {
        let units = self.candidates();
        for rule in 0..4 {
            for unit in &units {
                let mut roots = unit.names.iter();
                let over = |id: &EntryId| {
                    self.left(self.inventory.root_of(self.entry(*id))) > self.policy.limit
                };
                let goes = match rule {
                    0 => self
                        .policy
                        .max_age
                        .is_some_and(|age| NOW.since(unit.used) > age),
                    1 => roots.any(over),
                    2 => {
                        let left = self.bytes(|id| !self.gone.contains(&id));
                        self.policy.max_total_size.is_some_and(|limit| left > limit)
                    }
                    _ => match self.policy.min_free {
                        Some(MinFree::Bytes(wanted)) => FREE + self.freed() < wanted,
                        _ => false,
                    },
                };
                if goes && !self.gone.contains(&unit.names[0]) {
                    self.gone.extend(&unit.names);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_plan_is_that_of_a_model_which_counts_everything_anew(tree in trees(), policy in policies()) {
        let plan = planned(&policy, &tree);
        let mut model = Model { policy: &policy, inventory: &tree.inventory, gone: BTreeSet::new() };
        model.run();
        let evicted: BTreeSet<EntryId> = plan.actions.iter().filter_map(|action| match action.subject {
            Subject::Entry(id) => Some(id),
            _ => None,
        }).collect();
        prop_assert_eq!(&evicted, &model.gone);
        let freed = model.freed() + plan.directory_bytes(&tree.inventory);
        prop_assert_eq!(plan.estimate, i64::try_from(freed).ok());
        for root in tree.inventory.root_ids() {
            let figures = &plan.metadata["directories"][usize::from(root.0)];
            let (usage, gone) = (figures["usage_bytes"].as_u64(), figures["evicted_bytes"].as_u64());
            prop_assert_eq!(usage.zip(gone).map(|(usage, gone)| usage - gone), Some(model.left(root)));
        }
    }
}
