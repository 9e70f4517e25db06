//! Names as people type them, and where the files go.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{RestoreError, Wanted, digests_wanted, plan};
use crate::plan::action::{OperationPlan, Plan, Task, Verb};
use crate::plan::archive::{Archive, StoredPath, Version};
use crate::plan::entry::{Inventory, Kind, Problem, Role, Root, RootId};
use crate::plan::models::tests::world::{Archived, File, World, policy};
use crate::plan::testing::{file, special};

/// NOW is 2025-11-24, 21:00 UTC.
fn world() -> World {
    World::default()
        .archived("old_20251114.pkl", "old.pkl", File::of(10))
        .archived("saved/rf_1h_20251024.pkl", "saved/rf_1h.pkl", File::of(31))
        .archived("saved/rf_1h_20251114.pkl", "saved/rf_1h.pkl", File::of(10))
        .archived(
            "saved/rf_1h_20251114_2.pkl",
            "saved/rf_1h.pkl",
            File {
                content: 1,
                ..File::of(10)
            },
        )
        .archived("rf_24h_20251114.pkl", "rf_24h.pkl", File::of(10))
        .archived(
            "saved/rf_24h_20251114.pkl",
            "saved/rf_24h.pkl",
            File::of(10),
        )
        .archived("a/model_20251114.pt", "a/model.pt", File::of(10))
        .archived("b/model_20251104.pt", "b/model.pt", File::of(20))
}

fn inventory() -> Inventory {
    world().inventory(&policy())
}

fn named(inventory: &Inventory, names: &[&str]) -> Result<OperationPlan, Vec<RestoreError>> {
    let names: Vec<OsString> = names.iter().map(OsString::from).collect();
    plan(inventory, Wanted::Named(&names), None)
}

/// From, to, whether home.
fn moves(inventory: &Inventory, plan: OperationPlan) -> Vec<(PathBuf, PathBuf, bool)> {
    let plan = Plan {
        inventory: inventory.clone(),
        operations: vec![plan],
    };
    let actions = plan.operations[0].actions.iter();
    let moves = actions.map(|action| {
        assert_eq!(action.verb, Verb::Restore);
        let (from, to) = plan.shown(action);
        let Task::Restore(task) = &action.task else {
            panic!("not a restore")
        };
        (from, to.unwrap_or_default(), task.home)
    });
    moves.collect()
}

fn target(inventory: &mut Inventory) -> RootId {
    let id = RootId(2);
    inventory.roots.push(Root {
        role: Role::Target,
        shown: PathBuf::from("/tmp/out"),
        path: PathBuf::from("/tmp/out"),
        filesystem: None,
        inode: 0,
        top: None,
    });
    id
}

#[test]
fn a_name_means_one_version() {
    let inventory = inventory();
    for (name, archived, home) in [
        // Archived names, in every way to write them.
        ("old_20251114.pkl", "old_20251114.pkl", "old.pkl"),
        ("archived/old_20251114.pkl", "old_20251114.pkl", "old.pkl"),
        (
            "models/archived/old_20251114.pkl",
            "old_20251114.pkl",
            "old.pkl",
        ),
        (
            "./models/archived/old_20251114.pkl",
            "old_20251114.pkl",
            "old.pkl",
        ),
        (
            "/base/models/archived/old_20251114.pkl",
            "old_20251114.pkl",
            "old.pkl",
        ),
        (
            "rf_1h_20251024.pkl",
            "saved/rf_1h_20251024.pkl",
            "saved/rf_1h.pkl",
        ),
        // The file at the top, not its namesake below.
        ("rf_24h_20251114.pkl", "rf_24h_20251114.pkl", "rf_24h.pkl"),
        // Original names: the newest version, by time and then by name.
        ("old.pkl", "old_20251114.pkl", "old.pkl"),
        ("rf_1h.pkl", "saved/rf_1h_20251114.pkl", "saved/rf_1h.pkl"),
        (
            "saved/rf_1h.pkl",
            "saved/rf_1h_20251114.pkl",
            "saved/rf_1h.pkl",
        ),
        (
            "models/saved/rf_1h.pkl",
            "saved/rf_1h_20251114.pkl",
            "saved/rf_1h.pkl",
        ),
        (
            "/base/models/saved/rf_1h.pkl",
            "saved/rf_1h_20251114.pkl",
            "saved/rf_1h.pkl",
        ),
        ("rf_24h.pkl", "rf_24h_20251114.pkl", "rf_24h.pkl"),
        // Dates.
        (
            "rf_1h.pkl@20251024",
            "saved/rf_1h_20251024.pkl",
            "saved/rf_1h.pkl",
        ),
        (
            "saved/rf_1h.pkl@2025-10-24",
            "saved/rf_1h_20251024.pkl",
            "saved/rf_1h.pkl",
        ),
        (
            "rf_1h.pkl@20251114",
            "saved/rf_1h_20251114.pkl",
            "saved/rf_1h.pkl",
        ),
        ("model.pt@20251104", "b/model_20251104.pt", "b/model.pt"),
    ] {
        let plan = named(&inventory, &[name]).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        let expected = (
            Path::new("models/archived").join(archived),
            Path::new("models").join(home),
            true,
        );
        assert_eq!(moves(&inventory, plan), [expected], "{name}");
    }
}

#[test]
fn what_is_not_one_version_is_an_error_that_helps() {
    let inventory = inventory();
    let error = |name: &str| named(&inventory, &[name]).err().unwrap_or_default();
    let paths = |paths: &[&str]| -> Vec<PathBuf> { paths.iter().map(PathBuf::from).collect() };
    assert_eq!(
        error("rf_1.pkl"),
        [RestoreError::Unknown {
            name: "rf_1.pkl".into(),
            nearest: paths(&[
                "models/saved/rf_1h.pkl",
                "models/rf_24h.pkl",
                "models/saved/rf_24h.pkl"
            ]),
        }]
    );
    for unlike in ["zzz", "", ".", "/", "ld.pkl/", "20251114.pkl"] {
        assert!(
            matches!(error(unlike)[..], [RestoreError::Unknown { .. }]),
            "{unlike}"
        );
    }
    assert_eq!(
        error("model.pt"),
        [RestoreError::Ambiguous {
            name: "model.pt".into(),
            candidates: paths(&[
                "models/archived/a/model_20251114.pt",
                "models/archived/b/model_20251104.pt"
            ]),
        }]
    );
    assert_eq!(
        error("rf_1h.pkl@20250101"),
        [RestoreError::NoSuchDate {
            name: "rf_1h.pkl".into(),
            date: "20250101".into(),
            dates: vec!["20251114".into(), "20251024".into()],
        }]
    );
    assert!(matches!(
        error("rf_1.pkl@20251114")[..],
        [RestoreError::Unknown { .. }]
    ));
    assert_eq!(
        error("old.pkz")[0].to_string(),
        "no archived model is called 'old.pkz'; did you mean 'models/old.pkl'"
    );
    // All of them are told at once, and nothing is planned.
    assert_eq!(
        named(&inventory, &["x", "old.pkl", "y"])
            .err()
            .unwrap_or_default()
            .len(),
        2
    );
}

#[test]
fn an_archived_name_that_is_also_an_original_one_is_ambiguous_until_it_is_spelled_out() {
    let world = World::default()
        .archived("rf_20251114.pkl", "rf.pkl", File::of(10))
        .archived("rf_20251114_20251114.pkl", "rf_20251114.pkl", File::of(10));
    let inventory = world.inventory(&policy());
    let errors = named(&inventory, &["rf_20251114.pkl"])
        .err()
        .unwrap_or_default();
    assert!(
        matches!(errors[..], [RestoreError::Ambiguous { .. }]),
        "{errors:?}"
    );
    for (name, to) in [
        ("models/archived/rf_20251114.pkl", "models/rf.pkl"),
        ("models/rf_20251114.pkl", "models/rf_20251114.pkl"),
    ] {
        let plan = named(&inventory, &[name]).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(moves(&inventory, plan)[0].1, Path::new(to));
    }
}

#[test]
fn any_bytes_name_a_model() {
    let raw = OsString::from_vec(b"-rf\xff\n.pkl".to_vec());
    let archived = OsString::from_vec(b"-rf\xff\n_20251114.pkl".to_vec());
    let mut world = World::default();
    let version = Archived {
        original: raw.clone().into(),
        file: File::of(10),
        missing: false,
    };
    world.archived.insert(archived.into(), version);
    let inventory = world.inventory(&policy());
    let plan = plan(&inventory, Wanted::Named(std::slice::from_ref(&raw)), None);
    let plan = plan.unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(moves(&inventory, plan)[0].1, Path::new("models").join(raw));
}

#[test]
fn asked_twice_is_restored_once_and_two_versions_of_one_file_collide() {
    let inventory = inventory();
    let once = named(&inventory, &["old.pkl", "old_20251114.pkl"]);
    assert_eq!(once.map(|plan| plan.actions.len()), Ok(1));
    let errors = named(&inventory, &["rf_1h.pkl@20251024", "rf_1h.pkl@20251114"]);
    assert_eq!(
        errors.err().unwrap_or_default(),
        [RestoreError::Collision {
            to: "models/saved/rf_1h.pkl".into(),
            first: "models/archived/saved/rf_1h_20251024.pkl".into(),
            second: "models/archived/saved/rf_1h_20251114.pkl".into(),
        }]
    );
}

#[test]
fn a_missing_file_is_never_replaced_by_an_older_version() {
    let mut world = world();
    for name in ["saved/rf_1h_20251114.pkl", "saved/rf_1h_20251114_2.pkl"] {
        if let Some(lost) = world.archived.get_mut(Path::new(name)) {
            lost.missing = true;
        }
    }
    let inventory = world.inventory(&policy());
    let missing = PathBuf::from("models/archived/saved/rf_1h_20251114.pkl");
    assert_eq!(
        named(&inventory, &["rf_1h.pkl"]).err().unwrap_or_default(),
        [RestoreError::Missing(missing.clone())]
    );
    assert!(named(&inventory, &["rf_1h.pkl@20251024"]).is_ok());
    // With --all the others are restored, and the run did not do all it should.
    let all = plan(&inventory, Wanted::All, None).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(
        all.problems
            .iter()
            .map(|problem| &problem.path)
            .collect::<Vec<_>>(),
        [&missing]
    );
    assert_eq!(all.actions.len(), 5);
}

#[test]
fn a_file_whose_directory_cannot_be_read_is_not_called_missing() {
    let mut world = world();
    if let Some(hidden) = world
        .archived
        .get_mut(Path::new("saved/rf_1h_20251114.pkl"))
    {
        hidden.missing = true;
    }
    let mut inventory = world.inventory(&policy());
    let place = PathBuf::from("models/archived/saved");
    inventory.problems.push(Problem {
        root: inventory.archives[0].root,
        path: place.clone(),
        error: "Permission denied".into(),
    });
    let error = "Permission denied".into();
    assert_eq!(
        named(&inventory, &["rf_1h.pkl@20251114"])
            .err()
            .unwrap_or_default(),
        [RestoreError::Unseen { place, error }]
    );
}

#[test]
fn a_different_file_is_never_replaced() {
    let mut world = world().model(
        "old.pkl",
        File {
            size: 9,
            ..File::of(1)
        },
    );
    world = world.model("rf_24h.pkl", File::of(1));
    let mut inventory = world.inventory(&policy());
    let top = inventory.roots[0].top;
    if let Some(top) = top {
        inventory.add_entry(top, OsStr::new("dangling.pkl"), &special(Kind::Symlink, 1));
    }
    let dangling = &mut inventory.archives[0].versions[0];
    dangling.model.line.original_path = StoredPath("dangling.pkl".into());
    dangling.original = "dangling.pkl".into();
    let refused = |name: &str| -> Vec<PathBuf> {
        let plan = named(&inventory, &[name]).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(plan.actions.is_empty(), !plan.refused.is_empty(), "{name}");
        plan.refused.into_iter().map(|(path, _)| path).collect()
    };
    let models = |name: &str| vec![Path::new("models").join(name)];
    assert_eq!(refused("old.pkl"), models("old.pkl"));
    assert_eq!(refused("dangling.pkl"), models("dangling.pkl"));
    // Of the same size it may be the same: its digest tells.
    assert_eq!(refused("rf_24h.pkl"), Vec::<PathBuf>::new());
    let plan = named(&inventory, &["rf_24h.pkl"]).unwrap_or_else(|errors| panic!("{errors:?}"));
    let wanted = digests_wanted(&inventory, &plan);
    let mut read = inventory.clone();
    for (content, expected) in [([0; 32], 0), ([1; 32], 1)] {
        read.digests = wanted.iter().map(|id| (*id, content)).collect();
        assert_eq!(read.digests.len(), 1);
        let plan = named(&read, &["rf_24h.pkl"]).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(plan.refused.len(), expected);
    }
}

#[test]
fn elsewhere_a_named_model_keeps_its_name_and_all_keep_their_paths() {
    let mut inventory = inventory();
    let to = target(&mut inventory);
    let names = [OsString::from("saved/rf_1h.pkl@20251024")];
    let some =
        plan(&inventory, Wanted::Named(&names), Some(to)).unwrap_or_else(|e| panic!("{e:?}"));
    let from = "models/archived/saved/rf_1h_20251024.pkl".into();
    assert_eq!(
        moves(&inventory, some),
        [(from, "/tmp/out/rf_1h.pkl".into(), false)]
    );
    let names = ["a/model.pt", "b/model.pt"].map(OsString::from);
    let errors = plan(&inventory, Wanted::Named(&names), Some(to))
        .err()
        .unwrap_or_default();
    assert!(
        matches!(errors[..], [RestoreError::Collision { .. }]),
        "{errors:?}"
    );
    let all = plan(&inventory, Wanted::All, Some(to)).unwrap_or_else(|e| panic!("{e:?}"));
    let all: Vec<PathBuf> = moves(&inventory, all)
        .into_iter()
        .map(|(_, to, _)| to)
        .collect();
    let expected = [
        "a/model.pt",
        "b/model.pt",
        "old.pkl",
        "rf_24h.pkl",
        "saved/rf_1h.pkl",
        "saved/rf_24h.pkl",
    ];
    assert_eq!(
        all,
        expected.map(|path| Path::new("/tmp/out/models").join(path))
    );
}

#[test]
fn a_manifest_cannot_lead_out_of_its_place() {
    for bad in ["../../etc/cron.d/x", "/etc/cron.d/x", "a/../../x"] {
        let mut inventory = World::default()
            .archived("x_1.pkl", bad, File::of(1))
            .inventory(&policy());
        let homeless = Some(vec![RestoreError::NoHome(bad.into())]);
        assert_eq!(named(&inventory, &["x_1.pkl"]).err(), homeless, "{bad}");
        let to = target(&mut inventory);
        for wanted in [Wanted::All, Wanted::Named(&["x_1.pkl".into()])] {
            let plan = plan(&inventory, wanted, Some(to)).unwrap_or_else(|e| panic!("{e:?}"));
            for (_, to, _) in moves(&inventory, plan) {
                assert!(to.starts_with("/tmp/out"), "{to:?}");
                assert!(
                    to.components().all(|part| part.as_os_str() != ".."),
                    "{to:?}"
                );
            }
        }
    }
}

#[test]
fn versions_of_one_model_in_two_archives_are_one_model() {
    let mut inventory = World::default()
        .archived("rf_1.pkl", "rf.pkl", File::of(30))
        .inventory(&policy());
    let archive = RootId(2);
    let mut root = inventory.roots[1].clone();
    root.shown = "/mnt/archive".into();
    root.path = "/mnt/archive".into();
    inventory.roots.push(root);
    let top = inventory.add_directory(
        archive,
        None,
        OsStr::new(""),
        &file(0, 1),
        crate::plan::entry::Walk::Walked,
    );
    inventory.roots[2].top = Some(top);
    let id = inventory.add_entry(top, OsStr::new("rf_2.pkl"), &file(4096, 1));
    let mut version = inventory.archives[0].versions[0].clone();
    version.model.entry = Some(id);
    let line = &mut version.model.line;
    line.original_path = StoredPath("/base/models/rf.pkl".into());
    line.archived_path = StoredPath("rf_2.pkl".into());
    line.mtime_ns += 1;
    let version = Version::of_file(version.model);
    inventory.archives.push(Archive {
        root: archive,
        inside: false,
        versions: vec![version],
        ..inventory.archives[0].clone()
    });
    let plan = named(&inventory, &["rf.pkl"]).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(
        moves(&inventory, plan),
        [("/mnt/archive/rf_2.pkl".into(), "models/rf.pkl".into(), true)]
    );
}
