use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::world::{CLOCK, File, World, acted, globs, kept, only, paths, planned, policy};
use crate::plan::action::{Plan, Task, Verb};
use crate::plan::archive::Archive;
use crate::plan::claims::Claims;
use crate::plan::entry::{AtimeMode, Inventory, Kind, LinkTarget, Role, RootId, Stat, Walk};
use crate::plan::models::{digests_wanted, plan};
use crate::plan::policy::{AgeBy, Codec, ModelsPolicy};
use crate::plan::reason::{Keep, Reason};
use crate::plan::testing::{DAY, Tree, ago, file, filesystem, special};
use crate::plan::time::Clock;

const MODELS: RootId = RootId(0);

/// A model directory whose archive does not exist yet.
fn fresh() -> Tree {
    let mut tree = Tree::new();
    tree.root(Role::Models, "models");
    let archive = tree.root(Role::Archive, "models/archived");
    tree.inventory.roots[1].top = None;
    tree.inventory
        .archives
        .push(archive_of(archive, vec![MODELS], true));
    tree
}

fn archive_of(root: RootId, models: Vec<RootId>, inside: bool) -> Archive {
    Archive {
        root,
        models,
        inside,
        versions: Vec::new(),
        unlisted: Vec::new(),
        restored: std::collections::HashMap::new(),
        torn: false,
    }
}

fn destinations(plan: &Plan) -> Vec<(PathBuf, PathBuf)> {
    let actions = only(plan).actions.iter();
    let pairs = actions.filter_map(|action| {
        let (from, _) = plan.shown(action);
        match &action.task {
            Task::Archive(task) => Some((from, task.to.clone())),
            _ => None,
        }
    });
    pairs.collect()
}

fn to(plan: &Plan) -> Vec<String> {
    let all = destinations(plan).into_iter();
    all.map(|(_, to)| to.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn an_old_model_goes_to_a_dated_name_and_nothing_else_moves() {
    let mut tree = fresh();
    tree.add(MODELS, "old.pkl", file(10, 10 * DAY));
    tree.add(MODELS, "saved/rf_1h.pkl", file(10, 7 * DAY));
    tree.add(MODELS, "saved/rf_24h.pkl", file(10, 7 * DAY - 1));
    tree.add(MODELS, "README.md", file(10, 90 * DAY));
    let plan = planned(&policy(), tree.inventory, CLOCK);
    let expected = [
        ("models/old.pkl", "old_20251114.pkl"),
        ("models/saved/rf_1h.pkl", "saved/rf_1h_20251117.pkl"),
    ];
    assert_eq!(
        destinations(&plan),
        expected.map(|(a, b)| (a.into(), b.into()))
    );
    assert_eq!(
        kept(&plan, "models/saved/rf_24h.pkl"),
        Some("recently_used")
    );
    assert_eq!(kept(&plan, "models/README.md"), Some("no_match"));
    assert_eq!(only(&plan).estimate, Some(0));
    let Task::Archive(task) = &only(&plan).actions[1].task else {
        panic!("not archived")
    };
    assert_eq!(task.original, Path::new("saved/rf_1h.pkl"));
    assert_eq!(
        (task.family.as_str(), task.stored),
        ("saved/rf_1h.pkl", false)
    );
}

#[test]
fn each_rule_that_keeps_a_model_says_so() {
    let mut tree = fresh();
    let old = file(10, 30 * DAY);
    let held = tree.add(MODELS, "held.pkl", old);
    tree.hold(held, 42, crate::plan::host::Hold::Mapped);
    tree.add(MODELS, "pinned.pkl", old);
    tree.add(MODELS, "excluded.pkl", old);
    tree.add(MODELS, "twice.pkl", Stat { links: 2, ..old });
    tree.add(MODELS, "future.pkl", file(10, -5));
    tree.add(MODELS, "pipe.pkl", special(Kind::Fifo, 30 * DAY));
    tree.add(MODELS, "mount.pkl", special(Kind::Mount, 30 * DAY));
    tree.add(MODELS, "rf_v1.pkl", old);
    tree.add(MODELS, "rf_v2.pkl", file(10, 40 * DAY));
    tree.add(MODELS, &format!("{}.pkl", "x".repeat(250)), old);
    let target = tree.add(MODELS, "target.pkl", Stat { inode: 77, ..old });
    assert_eq!(tree.inventory.entry(target).inode, 77);
    let link = tree.add(MODELS, "current.pkl", special(Kind::Symlink, 1));
    tree.inventory.links.insert(link, LinkTarget::File(1, 77));
    let policy = ModelsPolicy {
        pin: globs(&["pinned*"]),
        exclude: globs(&["excluded*"]),
        ..policy()
    };
    let plan = planned(&policy, tree.inventory, CLOCK);
    for (name, code) in [
        ("held", "in_use"),
        ("pinned", "pinned"),
        ("excluded", "excluded"),
        ("twice", "several_links"),
        ("future", "future_time"),
        ("pipe", "not_regular"),
        ("mount", "other_filesystem"),
        ("rf_v2", "newest"),
        ("target", "link_target"),
        ("current", "not_regular"),
        (&"x".repeat(250), "name_too_long"),
    ] {
        assert_eq!(
            kept(&plan, &format!("models/{name}.pkl")),
            Some(code),
            "{name}"
        );
    }
    assert_eq!(paths(&plan, Verb::Archive), ["models/rf_v1.pkl"]);
}

#[test]
fn what_lies_below_a_linked_directory_stays_also_in_a_directory_of_its_own() {
    let mut tree = Tree::new();
    // The inner directory stands first in the table.
    let inner = tree.root(Role::Models, "models/runs/deep");
    let outer = tree.root(Role::Models, "models");
    let archive = tree.root(Role::Archive, "archive");
    tree.inventory
        .archives
        .push(archive_of(archive, vec![inner, outer], false));
    let runs = tree.directory(outer, "runs");
    tree.directory_as(outer, Path::new("runs/deep"), Walk::Root(inner));
    tree.add(outer, "runs/a/b.pkl", file(10, 30 * DAY));
    tree.add(outer, "other.pkl", file(10, 30 * DAY));
    tree.add(inner, "x/c.pkl", file(10, 30 * DAY));
    let link = tree.add(outer, "current", special(Kind::Symlink, 1));
    let inode = tree.inventory.directory(runs).inode;
    tree.inventory
        .links
        .insert(link, LinkTarget::Directory(1, inode));
    let plan = planned(&policy(), tree.inventory, CLOCK);
    assert_eq!(kept(&plan, "models/runs/a/b.pkl"), Some("link_target"));
    assert_eq!(kept(&plan, "models/runs/deep/x/c.pkl"), Some("link_target"));
    assert_eq!(paths(&plan, Verb::Archive), ["models/other.pkl"]);
}

#[test]
fn a_link_outside_the_model_directories_holds_nothing() {
    let mut tree = fresh();
    let cache = tree.root(Role::Cache, "cache");
    tree.add(
        MODELS,
        "a.pkl",
        Stat {
            inode: 77,
            ..file(10, 30 * DAY)
        },
    );
    let link = tree.add(cache, "a.pkl", special(Kind::Symlink, 1));
    tree.inventory.links.insert(link, LinkTarget::File(1, 77));
    assert_eq!(
        paths(&planned(&policy(), tree.inventory, CLOCK), Verb::Archive),
        ["models/a.pkl"]
    );
}

#[test]
fn age_is_of_the_last_use_that_counts() {
    // Days since: modified, read, restored. Archived by: used, modified, used on noatime.
    for (modified, read, restored, expected) in [
        (10, 10, None, [true, true, true]),
        (10, 0, None, [false, true, true]),
        (0, 10, None, [false, false, false]),
        (7, 7, None, [true, true, true]),
        (10, -1, None, [false, true, true]),
        (10, 10, Some(1), [false, false, false]),
        (10, 10, Some(8), [true, true, true]),
    ] {
        let by = [
            (AgeBy::Used, AtimeMode::Relatime),
            (AgeBy::Modified, AtimeMode::Strict),
            (AgeBy::Used, AtimeMode::Noatime),
        ];
        for ((age_by, atime), expected) in by.into_iter().zip(expected) {
            let mut tree = fresh();
            tree.inventory.filesystems[0].atime = atime;
            let stat = Stat {
                atime: ago(read * DAY),
                ..file(10, modified * DAY)
            };
            tree.add(MODELS, "a/m.pkl", stat);
            if let Some(days) = restored {
                let at = ago(days * DAY);
                tree.inventory.archives[0]
                    .restored
                    .insert("a/m.pkl".into(), at);
            }
            let policy = ModelsPolicy { age_by, ..policy() };
            let plan = planned(&policy, tree.inventory, CLOCK);
            let case = (modified, read, restored, age_by, atime);
            assert_eq!(!acted(&plan).is_empty(), expected, "{case:?}");
        }
    }
}

#[test]
fn the_reason_says_what_counted() {
    let mut tree = fresh();
    let read = Stat {
        atime: ago(120),
        ..file(10, 10 * DAY)
    };
    tree.add(MODELS, "read.pkl", read);
    tree.inventory.archives[0]
        .restored
        .insert("back.pkl".into(), ago(60));
    tree.add(MODELS, "back.pkl", file(10, 10 * DAY));
    let plan = planned(&policy(), tree.inventory.clone(), CLOCK);
    let mut words: Vec<String> = only(&plan)
        .kept
        .iter()
        .map(|kept| kept.reason.to_string())
        .collect();
    words.sort();
    assert_eq!(
        words,
        [
            "read 2 min ago, modified 10 d ago (--age-by modified archives it)",
            "restored 1 min ago"
        ]
    );
    let by = ModelsPolicy {
        age_by: AgeBy::Modified,
        ..policy()
    };
    let plan = planned(&by, tree.inventory, CLOCK);
    assert_eq!(paths(&plan, Verb::Archive), ["models/read.pkl"]);
    assert_eq!(
        only(&plan).actions[0].reason.to_string(),
        "not modified for 10 d, over 7 d"
    );
}

#[test]
fn a_clock_that_jumped_archives_nothing_and_still_counts_versions() {
    let mut world = World::default().model("rf.pkl", File::of(10));
    for number in 0..4 {
        world = world.archived(&format!("a_{number}.pkl"), "a.pkl", File::of(10 + number));
    }
    let policy = ModelsPolicy {
        max_archived: 3,
        ..policy()
    };
    let clock = Clock {
        jumped: true,
        ..CLOCK
    };
    let plan = planned(&policy, world.inventory(&policy), clock);
    assert_eq!(kept(&plan, "models/rf.pkl"), Some("clock_jumped"));
    assert_eq!(
        acted(&plan),
        [(Verb::Expire, "models/archived/a_3.pkl".into())]
    );
}

#[test]
fn the_newest_versions_stay_by_number_and_per_directory() {
    let mut world = World::default();
    for name in [
        "checkpoint-9000.pt",
        "checkpoint-10000.pt",
        "b/checkpoint-500.pt",
    ] {
        world = world.model(name, File::of(10));
    }
    // The newest is so also where it lies for another reason.
    world = world.model(
        "rf_v2.pkl",
        File {
            held: true,
            ..File::of(10)
        },
    );
    world = world.model("rf_v1.pkl", File::of(8));
    // Without a mark, age alone.
    world = world
        .model("rf.pkl", File::of(10))
        .model("rf_1h.pkl", File::of(10));
    let archived = |keep_latest| {
        let policy = ModelsPolicy {
            keep_latest,
            ..policy()
        };
        paths(&world.plan(&policy), Verb::Archive)
    };
    let plain = ["models/rf.pkl", "models/rf_1h.pkl"];
    assert_eq!(
        archived(1),
        [
            &["models/checkpoint-9000.pt"],
            &plain[..],
            &["models/rf_v1.pkl"]
        ]
        .concat()
    );
    assert_eq!(archived(2), plain);
    assert_eq!(archived(0).len(), 6);
}

#[test]
fn a_taken_name_is_never_given_again() {
    let mut world = World::default()
        .model("rf.pkl", File::of(10))
        .model("Rf.pkl", File::of(10))
        .archived(
            "rf_20251114.pkl",
            "rf.pkl",
            File {
                content: 1,
                ..File::of(10)
            },
        );
    world.unlisted.push("rf_20251114_2.pkl".into());
    // A line whose file is missing still owns its name.
    world = world.archived(
        "rf_20251114_3.pkl",
        "rf.pkl",
        File {
            content: 2,
            ..File::of(10)
        },
    );
    if let Some(lost) = world.archived.get_mut(Path::new("rf_20251114_3.pkl")) {
        lost.missing = true;
    }
    let plan = world.plan(&policy());
    assert_eq!(to(&plan), ["Rf_20251114.pkl", "rf_20251114_4.pkl"]);
    assert_eq!(only(&plan).metadata["missing"], 1);
    assert_eq!(only(&plan).warnings.len(), 1, "{:?}", only(&plan).warnings);
}

#[test]
fn identical_content_is_stored_once() {
    let same = File {
        content: 9,
        ..File::of(10)
    };
    let world = World::default()
        .model("rf.pkl", same)
        .model("other.pkl", same)
        .archived(
            "rf_20251001.pkl",
            "rf.pkl",
            File {
                content: 9,
                ..File::of(50)
            },
        )
        .archived(
            "rf_20251002.pkl",
            "rf.pkl",
            File {
                content: 8,
                ..File::of(49)
            },
        );
    let policy = ModelsPolicy {
        max_archived: 1,
        ..policy()
    };
    let plan = world.plan(&policy);
    let stored: Vec<(String, bool)> = only(&plan)
        .actions
        .iter()
        .filter_map(|action| match &action.task {
            Task::Archive(task) => Some((task.to.to_string_lossy().into_owned(), task.stored)),
            _ => None,
        })
        .collect();
    assert_eq!(
        stored,
        [
            ("other_20251114.pkl".into(), false),
            ("rf_20251001.pkl".into(), true)
        ]
    );
    // What it relies on stays, and is the newest now; blocks of the model and the other come back.
    assert_eq!(
        kept(&plan, "models/archived/rf_20251001.pkl"),
        Some("made_now")
    );
    assert_eq!(
        paths(&plan, Verb::Expire),
        ["models/archived/rf_20251002.pkl"]
    );
    assert_eq!(only(&plan).actions[2].needs, Some(1));
    assert_eq!(only(&plan).estimate, Some(8192));
}

#[test]
fn a_digest_is_wanted_only_where_a_version_may_be_the_same() {
    let mut world = World::default()
        .model("rf.pkl", File::of(10))
        .model("young.pkl", File::of(1))
        .model(
            "bigger.pkl",
            File {
                size: 5000,
                ..File::of(10)
            },
        )
        .model("gone.pkl", File::of(10))
        .model("new.pkl", File::of(10));
    for name in ["rf", "young", "bigger", "gone"] {
        let (path, original) = (format!("{name}_20250101.pkl"), format!("{name}.pkl"));
        world = world.archived(&path, &original, File::of(300));
    }
    if let Some(gone) = world.archived.get_mut(Path::new("gone_20250101.pkl")) {
        gone.missing = true;
    }
    let inventory = world.inventory(&policy());
    let claims = Claims::none(&inventory);
    let names = |policy: &ModelsPolicy| -> Vec<PathBuf> {
        let ids = digests_wanted(policy, &inventory, &claims, CLOCK).into_iter();
        ids.map(|id| inventory.shown_path(inventory.entry(id)))
            .collect()
    };
    assert_eq!(names(&policy()), [Path::new("models/rf.pkl")]);
    let deleting = ModelsPolicy {
        safe_archiving: false,
        ..policy()
    };
    assert!(names(&deleting).is_empty());
}

#[test]
fn one_archive_for_several_directories_keeps_them_apart() {
    let mut tree = Tree::new();
    let first = tree.root(Role::Models, "models");
    let second = tree.root(Role::Models, "ml/models");
    let archive = tree.root(Role::Archive, "/mnt/archive");
    tree.inventory.filesystems.push(filesystem(2));
    tree.inventory.roots[2].filesystem = Some(1);
    tree.inventory
        .archives
        .push(archive_of(archive, vec![first, second], false));
    for root in [first, second] {
        tree.add(root, "saved/rf.pkl", file(8192, 10 * DAY));
    }
    let plan = planned(&policy(), tree.inventory, CLOCK);
    assert_eq!(
        to(&plan),
        [
            "ml/models/saved/rf_20251114.pkl",
            "models/saved/rf_20251114.pkl"
        ]
    );
    let Task::Archive(task) = &only(&plan).actions[0].task else {
        panic!("not archived")
    };
    assert_eq!(task.original, Path::new("/base/ml/models/saved/rf.pkl"));
    assert_eq!(task.family, "/base/ml/models/saved/rf.pkl");
    assert_eq!(only(&plan).estimate, Some(0));
}

#[test]
fn without_a_readable_archive_nothing_moves() {
    let mut tree = fresh();
    tree.add(MODELS, "a.pkl", file(10, 10 * DAY));
    let mut unreadable = tree.clone();
    let archive = RootId(1);
    let stat = file(0, 0);
    let inventory = &mut unreadable.inventory;
    let top = inventory.add_directory(archive, None, OsStr::new(""), &stat, Walk::Unreadable);
    inventory.roots[1].top = Some(top);
    let plan = planned(&policy(), unreadable.inventory, CLOCK);
    assert_eq!(
        (acted(&plan), kept(&plan, "models/a.pkl")),
        (vec![], Some("unsupported"))
    );
    tree.inventory.archives.clear();
    let plan = planned(&policy(), tree.inventory, CLOCK);
    assert_eq!(
        (acted(&plan), kept(&plan, "models/a.pkl")),
        (vec![], Some("unsupported"))
    );
}

#[test]
fn deleting_follows_the_same_rules_and_says_so() {
    let world = World::default()
        .model(
            "rf_v1.pkl",
            File {
                size: 5000,
                ..File::of(10)
            },
        )
        .model("rf_v2.pkl", File::of(10))
        .model(
            "held.pkl",
            File {
                held: true,
                ..File::of(10)
            },
        );
    let policy = ModelsPolicy {
        safe_archiving: false,
        ..policy()
    };
    let plan = world.plan(&policy);
    assert_eq!(acted(&plan), [(Verb::Delete, "models/rf_v1.pkl".into())]);
    assert_eq!(only(&plan).actions[0].task, Task::Unlink);
    assert_eq!(only(&plan).estimate, Some(8192));
    assert!(matches!(only(&plan).actions[0].reason, Reason::NotUsed(_)));
}

#[test]
fn versions_expire_by_number_within_their_model() {
    let mut world = World::default();
    for (version, days) in [(9, 20), (10, 30), (11, 25), (8, 1)] {
        let original = format!("rf_v{version}.pkl");
        world = world.archived(&format!("v{version}.pkl"), &original, File::of(days));
    }
    // Older than all of them, and another model.
    world = world.archived("rf_1h.pkl", "rf_1h.pkl", File::of(900));
    let policy = ModelsPolicy {
        max_archived: 2,
        ..policy()
    };
    let plan = world.plan(&policy);
    assert_eq!(
        paths(&plan, Verb::Expire),
        ["models/archived/v8.pkl", "models/archived/v9.pkl"]
    );
    assert_eq!(
        only(&plan).actions[0].reason.to_string(),
        "version 4 of 2 kept"
    );
    assert_eq!(
        kept(&plan, "models/archived/rf_1h.pkl"),
        Some("last_version")
    );
    assert_eq!(kept(&plan, "models/archived/v10.pkl"), Some("retained"));
    assert_eq!(kept(&plan, "models/archived/manifest.jsonl"), Some("books"));
    assert_eq!(only(&plan).estimate, Some(8192));
    let all = ModelsPolicy {
        max_archived: 0,
        ..policy
    };
    assert!(acted(&world.plan(&all)).is_empty());
}

#[test]
fn an_expiry_needs_the_archiving_that_it_makes_room_for() {
    let new = File {
        content: 5,
        ..File::of(10)
    };
    let mut world = World::default()
        .model("rf.pkl", new)
        .model("b.pkl", File::of(10));
    for days in [20, 30, 40] {
        world = world.archived(&format!("rf_{days}.pkl"), "rf.pkl", File::of(days));
    }
    world = world.archived("x_50.pkl", "x.pkl", File::of(50));
    world = world.archived("x_60.pkl", "x.pkl", File::of(60));
    let needs = |policy: &ModelsPolicy| -> Vec<(String, Option<String>)> {
        let plan = world.plan(policy);
        let paths = acted(&plan);
        let expiries = only(&plan).actions.iter().zip(&paths);
        expiries
            .filter(|(action, _)| action.verb == Verb::Expire)
            .map(|(action, (_, path))| {
                (
                    path.clone(),
                    action.needs.map(|needed| paths[needed as usize].1.clone()),
                )
            })
            .collect()
    };
    let count = ModelsPolicy {
        max_archived: 3,
        ..policy()
    };
    assert_eq!(
        needs(&count),
        [(
            "models/archived/rf_40.pkl".into(),
            Some("models/rf.pkl".into())
        )]
    );
    // Only what is archived now brings it over five files, whichever model that is.
    let total = ModelsPolicy {
        max_archive_size: Some(5 * 4096),
        ..policy()
    };
    assert_eq!(
        needs(&total),
        [
            (
                "models/archived/rf_40.pkl".into(),
                Some("models/rf.pkl".into())
            ),
            (
                "models/archived/x_60.pkl".into(),
                Some("models/rf.pkl".into())
            ),
        ]
    );
    // Three files are too many as it is.
    let total = ModelsPolicy {
        max_archive_size: Some(3 * 4096),
        ..policy()
    };
    assert!(needs(&total).contains(&("models/archived/x_60.pkl".into(), None)));
}

#[test]
fn the_size_limit_takes_the_oldest_of_all_but_never_a_last_version() {
    let mut world = World::default();
    for (path, original, days) in [
        ("a1", "a.pkl", 40),
        ("a2", "a.pkl", 10),
        ("b1", "b.pkl", 30),
        ("b2", "b.pkl", 20),
        ("c1", "c.pkl", 99),
    ] {
        world = world.archived(path, original, File::of(days));
    }
    let plan = |limit: u64| {
        let policy = ModelsPolicy {
            max_archive_size: Some(limit),
            ..policy()
        };
        world.plan(&policy)
    };
    assert!(acted(&plan(5 * 4096)).is_empty());
    assert_eq!(paths(&plan(4 * 4096), Verb::Expire), ["models/archived/a1"]);
    let all = plan(1);
    assert_eq!(
        paths(&all, Verb::Expire),
        ["models/archived/a1", "models/archived/b1"]
    );
    assert_eq!(kept(&all, "models/archived/c1"), Some("last_version"));
    assert_eq!(only(&all).metadata["over_archive_bytes"], 3 * 4096 - 1);
    assert_eq!(only(&all).warnings.len(), 1);
}

#[test]
fn archived_versions_in_use_or_linked_to_stay() {
    let mut world = World::default();
    for days in [10, 20, 30, 40] {
        let held = days == 40;
        world = world.archived(
            &format!("rf_{days}.pkl"),
            "rf.pkl",
            File {
                held,
                ..File::of(days)
            },
        );
    }
    let policy = ModelsPolicy {
        max_archived: 1,
        ..policy()
    };
    let mut inventory: Inventory = world.inventory(&policy);
    let version = inventory.archives[0].versions[2].entry;
    let inode = version.map_or(0, |id| inventory.entry(id).inode);
    let top = inventory.roots[0].top;
    if let Some(top) = top {
        let link = inventory.add_entry(top, OsStr::new("current"), &special(Kind::Symlink, 1));
        inventory.links.insert(link, LinkTarget::File(1, inode));
    }
    let plan = planned(&policy, inventory, CLOCK);
    assert_eq!(paths(&plan, Verb::Expire), ["models/archived/rf_20.pkl"]);
    assert_eq!(
        kept(&plan, "models/archived/rf_30.pkl"),
        Some("link_target")
    );
    assert_eq!(kept(&plan, "models/archived/rf_40.pkl"), Some("in_use"));
}

#[test]
fn what_garbage_collection_took_is_left_to_it() {
    let mut tree = fresh();
    let id = tree.add(MODELS, "a.pkl", file(10, 10 * DAY));
    let mut claims = Claims::none(&tree.inventory);
    claims.insert(id);
    let plan = plan(&policy(), &tree.inventory, &claims, CLOCK);
    assert!(plan.actions.is_empty());
    assert_eq!(
        plan.kept
            .iter()
            .map(|kept| &kept.reason)
            .collect::<Vec<_>>(),
        [&Keep::Garbage]
    );
}

#[test]
fn directories_that_were_not_read_are_named() {
    let mut tree = fresh();
    for (name, walk) in [
        ("mnt", Walk::Mount),
        ("archived", Walk::Root(RootId(1))),
        ("old", Walk::Archive),
        (".sysopt", Walk::State),
        ("locked", Walk::Unreadable),
    ] {
        tree.directory_as(MODELS, Path::new(name), walk);
    }
    let plan = planned(&policy(), tree.inventory, CLOCK);
    for (name, code) in [
        ("mnt", "other_filesystem"),
        ("archived", "in_archive"),
        ("old", "in_archive"),
        (".sysopt", "state"),
        ("locked", "unreadable"),
    ] {
        assert_eq!(kept(&plan, &format!("models/{name}")), Some(code), "{name}");
    }
}

#[test]
fn the_user_is_told_what_is_not_done_or_not_known() {
    let mut tree = fresh();
    tree.inventory.filesystems[0].atime = AtimeMode::Noatime;
    let policy = ModelsPolicy {
        compression: Codec::Zstd(3),
        ..policy()
    };
    let plan = planned(&policy, tree.inventory, CLOCK);
    let warnings = &only(&plan).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("noatime") && warnings[1].contains("zstd"),
        "{warnings:?}"
    );
    assert_eq!(only(&plan).metadata["atime"], "noatime");
    let quiet = ModelsPolicy {
        age_by: AgeBy::Modified,
        safe_archiving: false,
        archive_after: Duration::ZERO,
        ..policy
    };
    let mut tree = fresh();
    tree.inventory.filesystems[0].atime = AtimeMode::Noatime;
    assert!(
        only(&planned(&quiet, tree.inventory, CLOCK))
            .warnings
            .is_empty()
    );
}
