//! What keeps a model in place.

use std::path::Path;
use std::time::Duration;

use super::world::{CLOCK, File, World, acted, globs, kept, only, paths, planned, policy};
use crate::plan::action::{Plan, Task, Verb};
use crate::plan::archive::Archive;
use crate::plan::claims::Claims;
use crate::plan::entry::{AtimeMode, Kind, LinkTarget, Role, RootId, Stat, Walk};
use crate::plan::host::Visibility;
use crate::plan::models::plan;
use crate::plan::policy::{AgeBy, ModelsPolicy};
use crate::plan::reason::Keep;
use crate::plan::testing::{DAY, Tree, ago, file, special};

pub(super) const MODELS: RootId = RootId(0);

/// A model directory whose archive does not exist yet.
pub(super) fn fresh() -> Tree {
    let mut tree = Tree::new();
    tree.root(Role::Models, "models");
    let archive = tree.root(Role::Archive, "models/archived");
    tree.inventory.roots[1].top = None;
    tree.inventory
        .archives
        .push(archive_of(archive, vec![MODELS], true));
    tree
}

pub(super) fn archive_of(root: RootId, models: Vec<RootId>, inside: bool) -> Archive {
    Archive::empty(root, models, inside)
}

#[test]
fn each_rule_that_keeps_a_model_says_so() {
    let mut tree = fresh();
    let old = file(10, 30 * DAY);
    let held = tree.add(MODELS, "held.pkl", old);
    tree.hold(held, 42, crate::plan::host::Hold::Mapped);
    tree.add(MODELS, "pinned.pkl", old);
    tree.add(MODELS, "excluded.pkl", old);
    tree.add(MODELS, "excluded/deep/a.pkl", old);
    tree.add(MODELS, "pinned/a.pkl", old);
    tree.add(MODELS, ".sysopt-1.tmp", old);
    tree.add(MODELS, "twice.pkl", Stat { links: 2, ..old });
    tree.add(MODELS, "future.pkl", file(10, -5));
    tree.add(MODELS, "pipe.pkl", special(Kind::Fifo, 30 * DAY));
    tree.add(MODELS, "mount.pkl", special(Kind::Mount, 30 * DAY));
    tree.add(MODELS, "rf_v1.pkl", old);
    tree.add(MODELS, "rf_v2.pkl", file(10, 40 * DAY));
    tree.add(MODELS, format!("{}.pkl", "x".repeat(250)), old);
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
        ("excluded/deep/a", "excluded"),
        ("pinned/a", "pinned"),
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
    assert_eq!(
        kept(&plan, "models/.sysopt-1.tmp"),
        Some("sysopt_temporary")
    );
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
fn the_user_is_told_what_is_not_known() {
    let mut tree = fresh();
    tree.inventory.filesystems[0].atime = AtimeMode::Noatime;
    let policy = policy();
    let plan = planned(&policy, tree.inventory, CLOCK);
    let warnings = &only(&plan).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("noatime"), "{warnings:?}");
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

#[test]
fn what_cannot_be_looked_at_may_be_what_makes_a_directory_a_model() {
    let mut tree = fresh();
    let root = RootId(0);
    let weights = tree.add(root, "bert/model.safetensors.pt", file(1, 30 * DAY));
    tree.add(root, "other/a.pt", file(1, 30 * DAY));
    tree.inventory.problems.push(crate::plan::entry::Problem {
        root,
        path: "models/bert/config.json".into(),
        error: "Permission denied".to_owned(),
    });
    let plan = planned(&policy(), tree.inventory, CLOCK);
    assert_eq!(
        kept(&plan, "models/bert/model.safetensors.pt"),
        Some("unreadable")
    );
    assert_eq!(kept(&plan, "models/other/a.pt"), None, "{weights:?}");
}

#[test]
fn what_an_archive_cannot_show_says_nothing_of_the_models_beside_it() {
    let mut tree = fresh();
    tree.add(MODELS, "old.pkl", file(1, 30 * DAY));
    tree.inventory.problems.push(crate::plan::entry::Problem {
        root: RootId(1),
        path: "models/archived".into(),
        error: "Not a directory".to_owned(),
    });
    let plan = planned(&policy(), tree.inventory, CLOCK);
    assert_eq!(kept(&plan, "models/old.pkl"), None);
}

#[test]
fn a_directory_model_with_a_name_deep_in_it_that_cannot_be_looked_at_stays() {
    for (name, expected) in [("net", Some("unreadable")), ("other", None)] {
        let mut tree = fresh();
        tree.add(MODELS, "net/saved_model.pb", file(1, 30 * DAY));
        tree.add(MODELS, "net/variables/a", file(1, 30 * DAY));
        tree.add(MODELS, "other/variables/a", file(1, 30 * DAY));
        tree.inventory.problems.push(crate::plan::entry::Problem {
            root: MODELS,
            path: format!("models/{name}/variables/b").into(),
            error: "Input/output error".to_owned(),
        });
        let plan = planned(&policy(), tree.inventory, CLOCK);
        assert_eq!(kept(&plan, "models/net"), expected, "{name}");
    }
}

#[test]
fn without_a_process_table_a_model_that_is_due_stays_and_is_told() {
    let mut tree = fresh();
    tree.add(MODELS, "due.pkl", file(10, 30 * DAY));
    tree.add(MODELS, "used.pkl", file(10, 1));
    tree.inventory.open.visibility = Visibility::default();
    for safe_archiving in [true, false] {
        let policy = ModelsPolicy {
            safe_archiving,
            ..policy()
        };
        let plan = planned(&policy, tree.inventory.clone(), CLOCK);
        assert!(acted(&plan).is_empty());
        assert_eq!(kept(&plan, "models/due.pkl"), Some("unseen"));
        assert_eq!(kept(&plan, "models/used.pkl"), Some("recently_used"));
        assert!(only(&plan).warnings[0].contains("1 of what was due"));
    }
}

#[test]
fn a_sidecar_goes_with_its_model_unless_it_is_excluded() {
    let mut tree = fresh();
    for name in ["rf.pkl", "rf.json", "rf.yaml"] {
        tree.add(MODELS, name, file(10, 30 * DAY));
    }
    let policy = ModelsPolicy {
        exclude: globs(&["*.yaml"]),
        ..policy()
    };
    let plan = planned(&policy, tree.inventory, CLOCK);
    let files = only(&plan).actions.iter().map(|action| match &action.task {
        Task::Archive(model) => model.files.len(),
        _ => 0,
    });
    assert_eq!(files.collect::<Vec<_>>(), [2]);
    assert_eq!(kept(&plan, "models/rf.json"), None);
    assert_eq!(kept(&plan, "models/rf.yaml"), Some("no_match"));
}

#[test]
fn a_pattern_with_a_directory_is_about_that_directory() {
    let mut tree = fresh();
    for name in ["live/rf.pkl", "rf.pkl"] {
        tree.add(MODELS, name, file(10, 30 * DAY));
    }
    let policy = ModelsPolicy {
        patterns: globs(&["live/*.pkl"]),
        ..policy()
    };
    let plan = planned(&policy, tree.inventory, CLOCK);
    assert_eq!(paths(&plan, Verb::Archive), ["models/live/rf.pkl"]);
}

#[test]
fn what_lies_in_a_directory_in_the_making_is_none_of_the_archives_files() {
    let mut tree = fresh();
    let archive = RootId(1);
    for name in [".sysopt-1.tmp/weights", "half/weights"] {
        tree.add(archive, name, file(10, 30 * DAY));
    }
    let plan = planned(&policy(), tree.inventory, CLOCK);
    let of = |name| kept(&plan, &format!("models/archived/{name}/weights"));
    assert_eq!(of(".sysopt-1.tmp"), Some("sysopt_temporary"));
    assert_eq!(of("half"), Some("unlisted"));
}

#[test]
fn a_directory_model_stays_where_not_all_of_it_can_move() {
    type Change = fn(&mut Tree, &mut Claims);
    let table: [(Option<&str>, Change); 5] = [
        (None, |_, _| {}),
        (Some("excluded"), |tree, _| {
            tree.add(MODELS, "net/notes.keep", file(1, 30 * DAY));
        }),
        (Some("unsupported"), |tree, _| {
            tree.add(MODELS, "net/pipe", special(Kind::Fifo, 30 * DAY));
        }),
        (Some("other_filesystem"), |tree, _| {
            tree.directory_as(MODELS, Path::new("net/mnt"), Walk::Mount);
        }),
        (Some("garbage"), |tree, claims| {
            let part = tree.add(MODELS, "net/x.part", file(1, 30 * DAY));
            *claims = Claims::none(&tree.inventory);
            claims.insert(part);
        }),
    ];
    let policy = ModelsPolicy {
        exclude: globs(&["*.keep"]),
        ..policy()
    };
    for (expected, change) in table {
        let mut tree = fresh();
        tree.add(MODELS, "net/saved_model.pb", file(1, 30 * DAY));
        let mut claims = Claims::none(&tree.inventory);
        change(&mut tree, &mut claims);
        let operations = vec![plan(&policy, &tree.inventory, &claims, CLOCK)];
        let inventory = tree.inventory;
        let plan = Plan {
            inventory,
            operations,
        };
        assert_eq!(kept(&plan, "models/net"), expected);
        assert_eq!(only(&plan).actions.len(), usize::from(expected.is_none()));
    }
}
