//! What holds for every cache, whatever is in it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::super::action::{Subject, shown_subject};
use super::super::entry::Kind;
use super::super::host::Hold;
use super::super::policy::{Globs, MinFree};
use super::super::testing::{HOUR, NOW, Tree, applied, file, linked, shuffled, special};
use super::tests::{acted, planned, policy};
use super::*;

const NAMES: [&str; 8] = [
    "a",
    "b/c",
    "b/d/e",
    "f.lock",
    "g.db",
    "b/keep/h",
    "-i\n",
    "x.log-20251124T210000Z",
];

/// Up to 24 files in two directories; pairs of names share an inode now and then.
fn trees() -> impl Strategy<Value = Tree> {
    let row = (
        0_usize..2,
        0_usize..8,
        0_u64..40_000,
        -3_i64..100,
        any::<u8>(),
    );
    proptest::collection::vec(row, 0..24).prop_map(|rows| {
        let mut tree = Tree::new();
        let roots = ["cache", "other"].map(|shown| tree.root(Role::Cache, shown));
        for (index, (root, name, size, hours, bits)) in rows.into_iter().enumerate() {
            let name = match name {
                4 if bits % 2 == 0 => format!("{index}"),
                name => format!("{}{index}", NAMES[name]),
            };
            let name = name.replace(&format!("lock{index}"), &format!("{index}.lock"));
            let stat = match bits % 16 {
                0 => special(Kind::Symlink, hours * HOUR),
                1 | 2 => linked(8192, 50 * HOUR, 7, 2),
                3 => linked(8192, 60 * HOUR, 8, 3),
                _ => file(size, hours * HOUR),
            };
            let id = tree.add(roots[root], name, stat);
            if bits % 16 == 4 {
                tree.hold(id, 1, Hold::Read);
            }
        }
        tree.directory(roots[0], "empty");
        consistent(tree)
    })
}

/// No filesystem has more names of an inode than its link count says.
fn consistent(mut tree: Tree) -> Tree {
    let entries = &mut tree.inventory.entries;
    for inode in [7, 8] {
        let names = entries.iter().filter(|entry| entry.inode == inode).count();
        for entry in entries.iter_mut().filter(|entry| entry.inode == inode) {
            entry.links = entry.links.max(u16::try_from(names).unwrap_or(u16::MAX));
        }
    }
    tree
}

fn policies() -> impl Strategy<Value = CachePolicy> {
    (
        0_u64..300_000,
        0_u64..50,
        proptest::option::of(0_u64..100),
        proptest::option::of(0_u64..300_000),
        proptest::option::of(0_u64..300_000),
    )
        .prop_map(|(limit, recent, age, total, short)| CachePolicy {
            preserve_recent: Duration::from_hours(recent),
            max_age: age.map(Duration::from_hours),
            max_total_size: total,
            min_free: short.map(|bytes| MinFree::Bytes((50 << 30) + bytes)),
            exclude: Globs::new(&["keep*"]).unwrap_or_default(),
            ..policy(limit)
        })
}

fn evictions(tree: &Tree, policy: &CachePolicy) -> BTreeSet<PathBuf> {
    let plan = planned(policy, tree);
    let evict = plan.actions.iter().filter(|a| a.verb == Verb::Evict);
    evict
        .map(|action| shown_subject(&tree.inventory, action.subject))
        .collect()
}

proptest! {
    #[test]
    fn every_entry_has_one_verdict(tree in trees(), policy in policies()) {
        let plan = planned(&policy, &tree);
        let subjects = plan.actions.iter().map(|a| a.subject).chain(plan.kept.iter().map(|k| k.subject));
        let mut entries: Vec<_> = subjects.filter(|s| matches!(s, Subject::Entry(_))).collect();
        entries.sort();
        let all: Vec<_> = tree.inventory.entry_ids().map(Subject::Entry).collect();
        prop_assert_eq!(entries, all);
    }

    #[test]
    fn the_order_of_the_scan_does_not_matter(tree in trees(), policy in policies(), keys in proptest::collection::vec(any::<u64>(), 1..30)) {
        let plan = planned(&policy, &tree);
        let other = shuffled(&tree.inventory, &keys);
        let again = super::plan(&policy, &other, &Claims::none(&other), Clock::at(NOW));
        prop_assert_eq!(acted(&tree.inventory, &plan), acted(&other, &again));
        let reasons = |plan: &OperationPlan| plan.actions.iter().map(|a| (a.reason.clone(), a.needs())).collect::<Vec<_>>();
        prop_assert_eq!(reasons(&plan), reasons(&again));
        prop_assert_eq!((plan.estimate, &plan.warnings.len(), &plan.metadata), (again.estimate, &again.warnings.len(), &again.metadata));
    }

    #[test]
    fn a_plan_after_a_successful_apply_is_empty(tree in trees(), policy in policies()) {
        let plan = planned(&policy, &tree);
        let mut after = applied(&tree.inventory, &plan);
        after.filesystems[0].available += u64::try_from(plan.estimate.unwrap_or(0)).unwrap_or(0);
        let again = super::plan(&policy, &after, &Claims::none(&after), Clock::at(NOW));
        prop_assert_eq!(acted(&after, &again), Vec::<PathBuf>::new());
    }

    #[test]
    fn raising_one_limit_never_evicts_more(tree in trees(), base in policies(), which in 0_u8..5, by in 1_u64..200_000) {
        let mut less = CachePolicy { limit: u64::MAX, max_age: None, max_total_size: None, min_free: None, ..base.clone() };
        match which {
            1 => less.max_age = base.max_age,
            2 => less.max_total_size = base.max_total_size,
            3 => less.min_free = base.min_free,
            _ => less.limit = base.limit,
        }
        let mut more = less.clone();
        match which {
            0 => more.limit = more.limit.saturating_add(by),
            1 => more.max_age = more.max_age.map(|age| age + Duration::from_secs(by)),
            2 => more.max_total_size = more.max_total_size.map(|size| size + by),
            3 => more.min_free = None,
            _ => more.preserve_recent += Duration::from_secs(by),
        }
        prop_assert!(evictions(&tree, &more).is_subset(&evictions(&tree, &less)));
    }

    #[test]
    fn a_limit_is_met_by_the_least_recently_used_and_no_more(tree in trees(), limit in 0_u64..300_000) {
        let plan = planned(&policy(limit), &tree);
        let used = |subject| match subject {
            Subject::Entry(id) => Some(tree.inventory.entry(id).mtime),
            Subject::Directory(_) | Subject::Named(_) => None,
        };
        for root in tree.inventory.root_ids() {
            let here = |subject: Subject| matches!(subject, Subject::Entry(id) if tree.inventory.root_of(tree.inventory.entry(id)) == root);
            let single = |subject: Subject| matches!(subject, Subject::Entry(id) if tree.inventory.entry(id).links == 1);
            let evicted = plan.actions.iter().filter(|a| here(a.subject) && single(a.subject));
            let newest = evicted.filter_map(|action| used(action.subject)).max();
            let spared = plan.kept.iter().filter(|kept| kept.reason == Keep::WithinBudget && here(kept.subject));
            let oldest = spared.filter_map(|kept| used(kept.subject)).min();
            if let (Some(newest), Some(oldest)) = (newest, oldest) {
                prop_assert!(newest <= oldest);
            }
            let figures = &plan.metadata["directories"][usize::from(root.0)];
            let figure = |key: &str| figures[key].as_u64().unwrap_or(u64::MAX);
            let (usage, gone) = (figure("usage_bytes"), figure("evicted_bytes"));
            prop_assert_eq!(figure("over_budget_bytes"), (usage - gone).saturating_sub(limit));
            let candidates = plan.kept.iter().any(|kept| kept.reason == Keep::WithinBudget && here(kept.subject));
            prop_assert!(!candidates || usage - gone <= limit);
            prop_assert!(usage > limit || plan.actions.iter().all(|a| !here(a.subject) || !single(a.subject)));
        }
    }
}
