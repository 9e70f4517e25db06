//! The rules of `clean-cache` as tables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::super::action::{Subject, shown_subject};
use super::super::entry::{AtimeMode, EntryId, Filesystem, Kind, Problem, RootId, Stat, Walk};
use super::super::host::{Hold, Visibility};
use super::super::policy::{Globs, MinFree};
use super::super::testing::{
    DAY, HOUR, MIB, MINUTE, NOW, Tree, ago, file, filesystem, linked, special,
};
use super::*;

pub(super) fn policy(limit: u64) -> CachePolicy {
    CachePolicy {
        limit,
        preserve_recent: Duration::from_hours(2),
        max_age: None,
        max_total_size: None,
        min_free: None,
        exclude: Globs::default(),
    }
}

pub(super) fn planned(policy: &CachePolicy, tree: &Tree) -> OperationPlan {
    let claims = Claims::none(&tree.inventory);
    plan(policy, &tree.inventory, &claims, Clock::at(NOW))
}

pub(super) fn acted(inventory: &Inventory, plan: &OperationPlan) -> Vec<PathBuf> {
    plan.actions
        .iter()
        .map(|action| shown_subject(inventory, action.subject))
        .collect()
}

fn cache() -> (Tree, RootId) {
    let mut tree = Tree::new();
    let root = tree.root(Role::Cache, "cache");
    (tree, root)
}

fn code(plan: &OperationPlan, subject: Subject) -> Option<&'static str> {
    let kept = plan.kept.iter().find(|kept| kept.subject == subject)?;
    Some(kept.reason.code())
}

#[test]
fn the_least_recently_used_go_until_at_the_limit() {
    let (mut tree, root) = cache();
    for (name, days) in [("new", 1), ("old", 9), ("middle", 5)] {
        tree.add(root, name, file(MIB, days * DAY));
    }
    let plan = planned(&policy(MIB), &tree);
    assert_eq!(
        acted(&tree.inventory, &plan),
        [Path::new("cache/old"), Path::new("cache/middle")]
    );
    assert_eq!(plan.estimate, Some(2 << 20));
    assert_eq!(
        plan.actions[0].reason.to_string(),
        "directory over its limit, last used 9 d ago"
    );
    assert!(plan.warnings.is_empty());
    assert!(planned(&policy(3 * MIB), &tree).actions.is_empty());
}

#[test]
fn the_last_use_is_the_later_of_both_times_but_without_access_times_the_change() {
    let (mut tree, root) = cache();
    let mut read = file(MIB, 9 * DAY);
    read.atime = ago(DAY);
    tree.add(root, "read", read);
    tree.add(root, "written", file(MIB, 5 * DAY));
    let first = |tree: &Tree| acted(&tree.inventory, &planned(&policy(MIB), tree)).remove(0);
    assert_eq!(first(&tree), Path::new("cache/written"));
    tree.inventory.filesystems[0].atime = AtimeMode::Noatime;
    assert_eq!(first(&tree), Path::new("cache/read"));
    let plan = planned(&policy(MIB), &tree);
    assert_eq!(plan.metadata["atime"], json!("noatime"));
}

#[test]
fn ties_go_by_size_then_path() {
    let (mut tree, root) = cache();
    for (name, size) in [("a-b", 1), ("b/x", MIB), ("a/x", MIB), ("a", 1)] {
        let name = if name == "a" { "c" } else { name };
        tree.add(root, name, file(size, DAY));
    }
    let plan = planned(&policy(0), &tree);
    let expected = [
        "cache/a/x",
        "cache/b/x",
        "cache/a-b",
        "cache/c",
        "cache/a",
        "cache/b",
    ];
    assert_eq!(acted(&tree.inventory, &plan), expected.map(PathBuf::from));
}

#[test]
fn what_was_used_lately_or_in_the_future_stays() {
    let (mut tree, root) = cache();
    let recent = tree.add(root, "recent", file(MIB, 2 * HOUR - 1));
    let future = tree.add(root, "future", file(MIB, -MINUTE));
    let edge = tree.add(root, "edge", file(MIB, 2 * HOUR));
    let plan = planned(&policy(0), &tree);
    assert_eq!(acted(&tree.inventory, &plan), [Path::new("cache/edge")]);
    assert_eq!(code(&plan, Subject::Entry(recent)), Some("recently_used"));
    assert_eq!(code(&plan, Subject::Entry(future)), Some("future_time"));
    assert_eq!(code(&plan, Subject::Entry(edge)), None);
    assert_eq!(plan.metadata["over_budget_bytes"], json!(2 * MIB));
    assert_eq!(
        plan.warnings,
        [
            "cache stays 2.0 MiB over its limit of 0 B: kept are 1 future time (1.0 MiB), \
          1 recently used (1.0 MiB); the largest is 'cache/recent' (1.0 MiB, used 1 h ago)"
        ]
    );
}

#[test]
fn what_must_never_go_is_named() {
    let (mut tree, root) = cache();
    let table = [
        ("CACHEDIR.TAG", "marker"),
        ("a.lock", "marker"),
        ("deep/lock", "marker"),
        ("a.pid", "marker"),
        ("a.sqlite3", "database"),
        ("a.sqlite3-wal", "database"),
        ("gone.db-shm", "database"),
        ("Cookies", "database"),
        ("Cookies-journal", "database"),
        ("lmdb/data.mdb", "database"),
        ("lmdb/lock.mdb", "database"),
        ("one-file", "database"),
        ("one-file-lock", "database"),
        (".sysopt-x.tmp", "sysopt_temporary"),
        ("a.log-20251124T210000Z.gz", "rotated_log"),
        ("keep/deep/x", "excluded"),
        ("x.keep", "excluded"),
    ];
    let ids = table.map(|(name, _)| tree.add(root, name, file(MIB, DAY)));
    let free = tree.add(root, "lonely-journal", file(MIB, DAY));
    let mut policy = policy(0);
    policy.exclude = Globs::new(&["keep", "*.keep"]).unwrap_or_default();
    let plan = planned(&policy, &tree);
    for (id, (name, expected)) in ids.into_iter().zip(table) {
        assert_eq!(code(&plan, Subject::Entry(id)), Some(expected), "{name}");
    }
    assert_eq!(plan.actions.len(), 1);
    assert_eq!(plan.actions[0].subject, Subject::Entry(free));
}

#[test]
fn other_types_mounts_and_foreign_directories_stay() {
    let (mut tree, root) = cache();
    let link = tree.add(root, "link", special(Kind::Symlink, DAY));
    let mount = tree.add(root, "bound", special(Kind::Mount, DAY));
    let table = [
        (Walk::Mount, "other_filesystem"),
        (Walk::Root(root), "other_owner"),
        (Walk::Archive, "in_archive"),
        (Walk::State, "state"),
        (Walk::Marked(".git"), "marked"),
        (Walk::Unreadable, "unreadable"),
    ];
    let rows = table.map(|(walk, code)| (tree.directory_as(root, Path::new(code), walk), code));
    let plan = planned(&policy(0), &tree);
    assert!(plan.actions.is_empty());
    assert_eq!(code(&plan, Subject::Entry(link)), Some("not_regular"));
    assert_eq!(code(&plan, Subject::Entry(mount)), Some("other_filesystem"));
    for (id, expected) in rows {
        assert_eq!(code(&plan, Subject::Directory(id)), Some(expected));
    }
}

#[test]
fn a_file_in_use_stays_whoever_maps_or_reads_it() {
    let (mut tree, root) = cache();
    let mapped = tree.add(root, "mapped", file(MIB, DAY));
    let read = tree.add(root, "read", file(MIB, DAY));
    tree.hold(mapped, 7, Hold::Mapped);
    tree.hold(read, 8, Hold::Read);
    let plan = planned(&policy(0), &tree);
    assert!(plan.actions.is_empty());
    assert_eq!(code(&plan, Subject::Entry(mapped)), Some("in_use"));
    assert_eq!(plan.kept[1].reason.to_string(), "in use by pid 8 (python)");
}

#[test]
fn all_names_of_an_inode_go_together_and_count_once() {
    let (mut tree, root) = cache();
    let other = tree.root(Role::Cache, "other");
    let pair = [
        tree.add(root, "b", linked(MIB, 9 * DAY, 7, 2)),
        tree.add(other, "a", linked(MIB, 9 * DAY, 7, 2)),
    ];
    let half = tree.add(root, "half", linked(MIB, 9 * DAY, 8, 2));
    tree.add(root, "single", file(MIB, DAY));
    let plan = planned(&policy(2 * MIB), &tree);
    let subjects: Vec<Subject> = plan.actions.iter().map(|action| action.subject).collect();
    assert_eq!(subjects, pair.map(Subject::Entry));
    assert_eq!(plan.estimate, Some(1 << 20));
    assert_eq!(code(&plan, Subject::Entry(half)), Some("linked_elsewhere"));
    assert_eq!(plan.metadata["usage_bytes"], json!(3 * MIB));
    let evicted = |at: usize| plan.metadata["directories"][at]["evicted_bytes"].clone();
    assert_eq!((evicted(0), evicted(1)), (json!(MIB), json!(MIB)));
}

#[test]
fn sparse_files_count_by_their_blocks() {
    let (mut tree, root) = cache();
    let mut sparse = file(1 << 40, DAY);
    sparse.blocks = 8;
    tree.add(root, "sparse", sparse);
    assert!(planned(&policy(4096), &tree).actions.is_empty());
    assert_eq!(planned(&policy(4095), &tree).estimate, Some(4096));
}

#[test]
fn age_comes_first_and_is_suspended_when_the_clock_jumped() {
    let (mut tree, root) = cache();
    tree.add(root, "old", file(MIB, 31 * DAY));
    tree.add(root, "young", file(MIB, 30 * DAY));
    let mut policy = policy(10 * MIB);
    policy.max_age = Some(Duration::from_hours(30 * 24));
    let plan = planned(&policy, &tree);
    assert_eq!(acted(&tree.inventory, &plan), [Path::new("cache/old")]);
    assert!(matches!(plan.actions[0].reason, Reason::Unused(_)));
    let jumped = Clock {
        now: NOW,
        jumped: true,
    };
    let claims = Claims::none(&tree.inventory);
    let plan = super::plan(&policy, &tree.inventory, &claims, jumped);
    assert!(plan.actions.is_empty());
}

#[test]
fn the_total_is_met_in_one_order_over_all_directories() {
    let (mut tree, root) = cache();
    let other = tree.root(Role::Cache, "other");
    for days in [1, 3, 5] {
        tree.add(root, format!("{days}"), file(MIB, days * DAY));
        tree.add(other, format!("{days}"), file(MIB, days * DAY + HOUR));
    }
    let mut policy = policy(10 * MIB);
    policy.max_total_size = Some(3 * MIB);
    let plan = planned(&policy, &tree);
    assert_eq!(
        acted(&tree.inventory, &plan),
        ["other/5", "cache/5", "other/3"].map(PathBuf::from)
    );
    assert!(matches!(plan.actions[0].reason, Reason::OverTotal(_)));
}

#[test]
fn free_space_is_made_on_the_filesystem_that_lacks_it() {
    let (mut tree, root) = cache();
    let other = tree.root(Role::Cache, "other");
    tree.inventory.filesystems.push(filesystem(2));
    tree.inventory.roots[1].filesystem = Some(1);
    tree.inventory.filesystems[1].available = 10 * MIB;
    for days in [2, 3, 4] {
        tree.add(root, format!("{days}"), file(MIB, days * DAY));
        tree.add(other, format!("{days}"), file(MIB, days * DAY));
    }
    let mut policy = policy(100 * MIB);
    policy.min_free = Some(MinFree::Bytes(12 * MIB));
    let plan = planned(&policy, &tree);
    assert_eq!(
        acted(&tree.inventory, &plan),
        ["other/4", "other/3"].map(PathBuf::from)
    );
    policy.min_free = Some(MinFree::Bytes(20 * MIB));
    let warnings = planned(&policy, &tree).warnings;
    assert_eq!(
        warnings,
        ["the filesystem of other stays 7.0 MiB short of min_free: it holds nothing that may go"]
    );
}

#[test]
fn only_directories_that_this_plan_empties_are_removed_deepest_first() {
    let (mut tree, root) = cache();
    let old = [
        tree.add(root, "a/b/c/1", file(MIB, 9 * DAY)),
        tree.add(root, "a/b/2", file(MIB, 8 * DAY)),
        tree.add(root, "mixed/3", file(MIB, 7 * DAY)),
        tree.add(root, "holds-empty/4", file(MIB, 6 * DAY)),
    ];
    tree.add(root, "mixed/new", file(1, MINUTE));
    tree.directory(root, "empty");
    tree.directory(root, "holds-empty/empty");
    let plan = planned(&policy(0), &tree);
    let expected = [
        "cache/a/b/c/1",
        "cache/a/b/2",
        "cache/mixed/3",
        "cache/holds-empty/4",
        "cache/a/b/c",
        "cache/a/b",
        "cache/a",
    ];
    assert_eq!(acted(&tree.inventory, &plan), expected.map(PathBuf::from));
    let needs: Vec<Option<u32>> = plan.actions[4..]
        .iter()
        .map(super::super::action::Action::needs)
        .collect();
    assert_eq!(needs, [Some(0), Some(1), Some(1)]);
    assert_eq!(plan.actions[0].subject, Subject::Entry(old[0]));
}

#[test]
fn what_garbage_collection_removes_counts_as_gone() {
    let (mut tree, root) = cache();
    let claimed: EntryId = tree.add(root, "a.tmp", file(MIB, 9 * DAY));
    tree.add(root, "b", file(MIB, 5 * DAY));
    let mut claims = Claims::none(&tree.inventory);
    claims.insert(claimed);
    let plan = plan(&policy(MIB), &tree.inventory, &claims, Clock::at(NOW));
    assert!(plan.actions.is_empty());
    assert_eq!(code(&plan, Subject::Entry(claimed)), Some("garbage"));
    assert_eq!(plan.metadata["usage_bytes"], json!(2 * MIB));
    assert_eq!(plan.metadata["over_budget_bytes"], json!(0));
}

#[test]
fn without_a_process_table_what_would_go_stays_and_is_told() {
    let (mut tree, root) = cache();
    for (name, days) in [("new", 1), ("old", 9), ("middle", 5)] {
        tree.add(root, name, file(MIB, days * DAY));
    }
    tree.inventory.open.visibility = Visibility::default();
    let plan = planned(&policy(2 * MIB), &tree);
    assert!(plan.actions.is_empty());
    let codes: Vec<_> = plan.kept.iter().map(|kept| kept.reason.code()).collect();
    assert_eq!(codes, ["unseen", "within_budget", "within_budget"]);
    assert_eq!(plan.metadata["over_budget_bytes"], MIB);
    assert_eq!(plan.estimate, Some(0));
    assert!(plan.warnings[0].contains("1.0 MiB over its limit"));
    assert!(plan.warnings[1].contains("no /proc"), "{:?}", plan.warnings);
    // Where nothing was to go, there is nothing to say.
    assert!(planned(&policy(3 * MIB), &tree).warnings.is_empty());
}

// Repositories of the Hugging Face hub

/// One that nobody used for nine days: the link to its blob, read a moment ago because somebody
/// listed it, a reference, and the blob.
fn repository(tree: &mut Tree, root: RootId, name: &str) -> [EntryId; 3] {
    let at = |below: &str| format!("hub/{name}/{below}");
    let link = Stat {
        atime: NOW,
        ..special(Kind::Symlink, 9 * DAY)
    };
    [
        tree.add(root, at("snapshots/r/model"), link),
        tree.add(root, at("refs/main"), file(40, 9 * DAY)),
        tree.add(root, at("blobs/b0"), file(MIB, 9 * DAY)),
    ]
}

#[test]
fn a_repository_goes_links_first_and_blobs_last_each_after_the_one_before() {
    let (mut tree, root) = cache();
    let parts = repository(&mut tree, root, "models--a--b");
    let plan = planned(&policy(0), &tree);
    let evicted = plan.actions.iter().filter(|it| it.verb == Verb::Evict);
    let evicted: Vec<_> = evicted.map(|it| (it.subject, it.needs())).collect();
    let [link, reference, blob] = parts.map(Subject::Entry);
    assert_eq!(
        evicted,
        [(link, None), (reference, Some(0)), (blob, Some(1))]
    );
}

#[test]
fn a_part_that_must_stay_keeps_the_whole_repository() {
    type Change = fn(&mut Tree, RootId, EntryId);
    const NAME: &str = "hub/models--a--b";
    let table: [(&str, Change); 8] = [
        ("in_use", |tree, _, blob| tree.hold(blob, 7, Hold::Mapped)),
        ("excluded", |tree, root, _| {
            tree.add(root, format!("{NAME}/blobs/x.keep"), file(1, 9 * DAY));
        }),
        ("database", |tree, root, _| {
            tree.add(root, format!("{NAME}/x.sqlite"), file(1, 9 * DAY));
        }),
        ("not_regular", |tree, root, _| {
            let pipe = special(Kind::Fifo, 9 * DAY);
            tree.add(root, format!("{NAME}/pipe"), pipe);
        }),
        ("sysopt_temporary", |tree, root, _| {
            tree.add(root, format!("{NAME}/.sysopt-1.tmp"), file(1, 9 * DAY));
        }),
        ("recently_used", |tree, root, _| {
            tree.add(root, format!("{NAME}/refs/new"), file(1, MINUTE));
        }),
        ("linked_elsewhere", |tree, root, _| {
            let half = linked(1, 9 * DAY, 77, 2);
            tree.add(root, format!("{NAME}/blobs/half"), half);
        }),
        ("in_use", |tree, root, _| {
            let lock = "hub/.locks/models--a--b/b0.lock";
            let lock = tree.add(root, lock, file(0, 9 * DAY));
            tree.hold(lock, 7, Hold::Write);
        }),
    ];
    let policy = CachePolicy {
        exclude: Globs::new(&["*.keep"]).unwrap_or_default(),
        ..policy(0)
    };
    for (expected, change) in table {
        let (mut tree, root) = cache();
        let parts = repository(&mut tree, root, "models--a--b");
        change(&mut tree, root, parts[2]);
        let plan = planned(&policy, &tree);
        assert!(plan.actions.is_empty(), "{expected}");
        for part in parts {
            assert_eq!(code(&plan, Subject::Entry(part)), Some(expected));
        }
    }
}

#[test]
fn a_repository_with_a_name_that_cannot_be_looked_at_stays() {
    let (mut tree, root) = cache();
    let old = repository(&mut tree, root, "models--a--b");
    let other = repository(&mut tree, root, "models--a--bc");
    tree.inventory.problems.push(Problem {
        root,
        path: "cache/hub/models--a--b/snapshots".into(),
        error: "Input/output error".to_owned(),
    });
    let plan = planned(&policy(0), &tree);
    for id in old {
        assert_eq!(code(&plan, Subject::Entry(id)), Some("unreadable"));
    }
    let evicted = plan.actions.iter().filter(|a| a.verb == Verb::Evict);
    let evicted: Vec<_> = evicted.map(|action| action.subject).collect();
    assert_eq!(evicted, other.map(Subject::Entry));
}

#[test]
fn two_names_of_a_blob_in_a_repository_count_once() {
    let (mut tree, root) = cache();
    repository(&mut tree, root, "models--a--b");
    for name in ["one", "two"] {
        let path = format!("hub/models--a--b/blobs/{name}");
        tree.add(root, path, linked(MIB, 9 * DAY, 77, 2));
    }
    let plan = planned(&policy(0), &tree);
    let evicted = plan.actions.iter().filter(|it| it.verb == Verb::Evict);
    assert_eq!(evicted.count(), 5);
    let directories = i64::try_from(plan.directory_bytes(&tree.inventory)).unwrap_or(0);
    // Two blobs, and the block of the reference.
    assert_eq!(plan.estimate, Some((2 << 20) + 4096 + directories));
}

#[test]
fn what_is_collected_in_a_repository_as_garbage_is_left_to_that() {
    let (mut tree, root) = cache();
    let [link, reference, blob] = repository(&mut tree, root, "datasets--a--b");
    let mut claims = Claims::none(&tree.inventory);
    claims.insert(reference);
    let plan = plan(&policy(0), &tree.inventory, &claims, Clock::at(NOW));
    assert_eq!(code(&plan, Subject::Entry(reference)), Some("garbage"));
    let evicted = plan.actions.iter().filter(|it| it.verb == Verb::Evict);
    let evicted: Vec<_> = evicted.map(|it| it.subject).collect();
    assert_eq!(evicted, [link, blob].map(Subject::Entry));
}

#[test]
fn each_directory_is_judged_by_what_its_own_filesystem_records() {
    let (mut tree, root) = cache();
    let other = tree.root(Role::Cache, "other");
    tree.inventory.filesystems.push(Filesystem {
        atime: AtimeMode::Noatime,
        ..filesystem(2)
    });
    tree.inventory.roots[usize::from(other.0)].filesystem = Some(1);
    let read_now = Stat {
        atime: NOW,
        ..file(MIB, 9 * DAY)
    };
    let recent = tree.add(root, "read", read_now);
    let old = tree.add(other, "read", read_now);
    let plan = planned(&policy(0), &tree);
    assert_eq!(code(&plan, Subject::Entry(recent)), Some("recently_used"));
    assert_eq!(code(&plan, Subject::Entry(old)), None);
    assert_eq!(acted(&tree.inventory, &plan), [Path::new("other/read")]);
}

#[test]
fn what_is_used_this_very_instant_is_recent_and_not_in_the_future() {
    let (mut tree, root) = cache();
    tree.add(root, "now", file(MIB, 0));
    let at_once = CachePolicy {
        preserve_recent: Duration::ZERO,
        ..policy(0)
    };
    assert_eq!(planned(&at_once, &tree).actions.len(), 1);
    let kept = planned(&policy(0), &tree).kept;
    assert_eq!(kept[0].reason.code(), "recently_used");
}
