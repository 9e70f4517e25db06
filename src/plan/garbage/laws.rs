//! What holds for garbage, whatever is found.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::super::action::shown_subject;
use super::super::entry::{Kind, LinkTarget};
use super::super::testing::{HOUR, NOW, Tree, applied, file, linked, shuffled, special};
use super::tests::{planned, policy};
use super::*;

const NAMES: [&str; 10] = [
    "a.tmp",
    ".sysopt-a.tmp",
    "p/__pycache__/a.cpython-312.pyc",
    "p/a.py",
    "x.pid",
    "data",
    "p/__pycache__/b.cpython-312.pyc",
    ".nfs1.tmp",
    "y.lock",
    "deep/e~",
];
const ROLES: [Role; 3] = [Role::Garbage, Role::Cache, Role::Archive];

fn trees() -> impl Strategy<Value = Tree> {
    let row = (0_usize..3, 0_usize..10, 0_i64..60, any::<u8>());
    proptest::collection::vec(row, 0..24).prop_map(|rows| {
        let mut tree = Tree::new();
        let shown = ["tmp", "cache", "archived"];
        let roots = [0, 1, 2].map(|at| tree.root(ROLES[at], shown[at]));
        let mut seen = BTreeSet::new();
        for (root, name, hours, bits) in rows {
            let path = if bits % 4 == 0 {
                format!("{}{}", bits / 64, NAMES[name])
            } else {
                NAMES[name].to_owned()
            };
            if !seen.insert((root, path.clone())) {
                continue;
            }
            let stat = match bits {
                200..=219 => special(Kind::Symlink, hours * HOUR),
                220..=229 => linked(4096, hours * HOUR, 5, 2),
                230..=239 => special(Kind::Socket, hours * HOUR),
                _ => file(u64::from(bits) * 512, hours * HOUR),
            };
            let id = tree.add(roots[root], path, stat);
            if bits % 2 == 0 && stat.kind == Kind::Symlink {
                tree.inventory.links.insert(id, LinkTarget::Broken);
            }
        }
        tree.directory(roots[0], "empty");
        tree
    })
}

fn policies() -> impl Strategy<Value = GarbagePolicy> {
    (0_u64..60, any::<u8>()).prop_map(|(hours, bits)| GarbagePolicy {
        stale_after: Duration::from_hours(hours),
        delete_broken_symlinks: bits & 1 == 0,
        delete_empty_directories: bits & 2 == 0,
        delete_pid_files: bits & 4 == 0,
        ..policy()
    })
}

proptest! {
    #[test]
    fn a_verdict_is_one_and_the_figures_add_up(tree in trees(), policy in policies()) {
        let plan = planned(&policy, &tree);
        let subjects: Vec<_> = plan.actions.iter().map(|a| a.subject).chain(plan.kept.iter().map(|k| k.subject)).collect();
        let distinct: BTreeSet<_> = subjects.iter().copied().collect();
        prop_assert_eq!(distinct.len(), subjects.len());
        prop_assert_eq!(&plan.metadata["objects_before"], &serde_json::json!(subjects.len()));
        prop_assert_eq!(&plan.metadata["objects_after"], &serde_json::json!(plan.kept.len()));
        for class in Class::ALL {
            let figures = &plan.metadata["classes"][class.name()];
            let skipped: u64 = figures["skipped"].as_object().into_iter().flat_map(|map| map.values())
                .filter_map(serde_json::Value::as_u64).sum();
            let total = figures["collected"].as_u64().map(|collected| collected + skipped);
            prop_assert_eq!(figures["examined"].as_u64(), total);
        }
    }

    #[test]
    fn archives_locks_and_remnants_are_never_touched(tree in trees(), policy in policies()) {
        for action in planned(&policy, &tree).actions {
            let path = shown_subject(&tree.inventory, action.subject);
            let name = path.file_name().unwrap_or_default();
            prop_assert!(!path.starts_with("archived") || names::is_own_temporary(name));
            prop_assert!(!names::is_lock(name) && !names::is_nfs_remnant(name));
        }
    }

    #[test]
    fn the_order_of_the_scan_does_not_matter(tree in trees(), policy in policies(), keys in proptest::collection::vec(any::<u64>(), 1..30)) {
        let plan = planned(&policy, &tree);
        let other = shuffled(&tree.inventory, &keys);
        let again = super::plan(&policy, &other, &GarbageEvidence::default(), Clock::at(NOW));
        let shown = |inventory: &Inventory, plan: &OperationPlan| plan.actions.iter()
            .map(|a| (shown_subject(inventory, a.subject), a.reason.to_string())).collect::<Vec<_>>();
        prop_assert_eq!(shown(&tree.inventory, &plan), shown(&other, &again));
        prop_assert_eq!((plan.estimate, plan.metadata), (again.estimate, again.metadata));
    }

    #[test]
    fn a_plan_after_a_successful_apply_is_empty(tree in trees(), policy in policies()) {
        let plan = planned(&policy, &tree);
        let mut after = applied(&tree.inventory, &plan);
        // A directory that lost a name was changed just now.
        after.directories.iter_mut().for_each(|row| row.mtime = NOW);
        let again = super::plan(&policy, &after, &GarbageEvidence::default(), Clock::at(NOW));
        prop_assert!(again.actions.is_empty());
    }

    #[test]
    fn waiting_longer_never_deletes_more(tree in trees(), mut policy in policies(), hours in 1_u64..60) {
        let acted = |policy: &GarbagePolicy| planned(policy, &tree).actions.into_iter().map(|a| a.subject).collect::<BTreeSet<_>>();
        let less = acted(&policy);
        policy.stale_after += Duration::from_hours(hours);
        prop_assert!(acted(&policy).is_subset(&less));
    }
}
