//! Where models go, and what is stored once.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::keeping::{MODELS, archive_of, fresh};
use super::world::{CLOCK, File, World, acted, kept, only, paths, planned, policy};
use crate::plan::action::{Plan, Task, Verb};
use crate::plan::claims::Claims;
use crate::plan::entry::{Inventory, Role, RootId, Walk};
use crate::plan::models::{digests_wanted, plan};
use crate::plan::policy::ModelsPolicy;
use crate::plan::reason::Reason;
use crate::plan::testing::{DAY, Tree, file, filesystem};

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
    assert_eq!(only(&plan).actions[2].needs(), Some(1));
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
fn the_longest_name_is_one_of_255_bytes() {
    for (stem, moves) in [(242, true), (243, false)] {
        let mut tree = fresh();
        tree.add(
            MODELS,
            format!("{}.pkl", "x".repeat(stem)),
            file(10, 10 * DAY),
        );
        let plan = planned(&policy(), tree.inventory, CLOCK);
        assert_eq!(only(&plan).actions.len(), usize::from(moves), "{stem}");
    }
}

#[test]
fn a_stored_file_that_is_damaged_or_going_is_not_relied_on() {
    let world =
        World::default()
            .model("rf.pkl", File::of(10))
            .archived("rf_1.pkl", "rf.pkl", File::of(50));
    let inventory = world.inventory(&policy());
    let Some(stored) = inventory.archives[0].versions[0].model.entry else {
        panic!("missing")
    };
    let relied_on = |inventory: &Inventory, claims: &Claims| {
        let plan = plan(&policy(), inventory, claims, CLOCK);
        plan.actions
            .iter()
            .any(|action| matches!(&action.task, Task::Archive(task) if task.stored))
    };
    let mut claims = Claims::none(&inventory);
    assert!(relied_on(&inventory, &claims));
    let mut cut = inventory.clone();
    cut.entries[stored.0 as usize].size -= 1;
    assert!(!relied_on(&cut, &claims));
    claims.insert(stored);
    assert!(!relied_on(&inventory, &claims));
}
