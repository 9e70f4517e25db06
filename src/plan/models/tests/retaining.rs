//! Which archived versions expire.

use std::ffi::OsStr;
use std::path::Path;

use super::world::{CLOCK, File, World, acted, kept, only, paths, planned, policy};
use crate::plan::action::Verb;
use crate::plan::entry::{EntryId, Inventory, Kind, LinkTarget};
use crate::plan::foreign;
use crate::plan::host::Visibility;
use crate::plan::policy::ModelsPolicy;
use crate::plan::testing::special;
use crate::plan::time::Clock;

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
                    action
                        .needs()
                        .map(|needed| paths[needed as usize].1.clone()),
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
    let version = inventory.archives[0].versions[2].model.entry;
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
fn storing_a_version_once_more_makes_it_newer_and_never_older() {
    let policy = ModelsPolicy {
        max_archived: 2,
        ..policy()
    };
    // The model in place has the content of the version of 20 days ago, and its own time.
    for (in_place, expired) in [
        (10, "models/archived/rf_30.pkl"),
        (25, "models/archived/rf_30.pkl"),
        (99, "models/archived/rf_30.pkl"),
    ] {
        let mut world = World::default().model("rf.pkl", File::of(in_place));
        for (days, content) in [(15, 1), (20, 0), (30, 2)] {
            let file = File {
                content,
                ..File::of(days)
            };
            world = world.archived(&format!("rf_{days}.pkl"), "rf.pkl", file);
        }
        let plan = world.plan(&policy);
        assert_eq!(paths(&plan, Verb::Expire), [expired], "{in_place}");
        let world = world.applied(&plan);
        assert_eq!(acted(&world.plan(&policy)), [], "{in_place}");
        let days = world.archived[Path::new("rf_20.pkl")].file.days;
        assert_eq!(days, in_place.min(20));
    }
}

#[test]
fn without_a_process_table_no_version_expires() {
    let mut world = World::default();
    for days in [10, 20, 30] {
        world = world.archived(&format!("rf_{days}.pkl"), "rf.pkl", File::of(days));
    }
    let mut policy = ModelsPolicy {
        max_archived: 1,
        max_archive_size: Some(4096),
        ..policy()
    };
    let mut inventory = world.inventory(&policy);
    inventory.open.visibility = Visibility::default();
    let plan = planned(&policy, inventory.clone(), CLOCK);
    assert!(acted(&plan).is_empty());
    assert_eq!(kept(&plan, "models/archived/rf_30.pkl"), Some("unseen"));
    assert_eq!(kept(&plan, "models/archived/rf_20.pkl"), Some("unseen"));
    assert_eq!(
        kept(&plan, "models/archived/rf_10.pkl"),
        Some("last_version")
    );
    // All three stay over the limit.
    assert_eq!(only(&plan).metadata["over_archive_bytes"], 2 * 4096);
    assert!(only(&plan).warnings[0].contains("8.0 KiB over"));
    policy.max_archive_size = Some(3 * 4096);
    let plan = planned(&policy, inventory, CLOCK);
    assert!(!only(&plan).metadata.contains_key("over_archive_bytes"));
}

#[test]
fn what_another_system_archived_is_taken_in_where_the_manifest_and_its_users_are_known() {
    let path = Path::new("rf_20250809.pkl");
    let world = World {
        unlisted: vec![path.into()],
        ..World::default()
    };
    let table = [
        (true, true, 1, None),
        // Nothing is written to a manifest that cannot be read.
        (false, true, 0, Some("unlisted")),
        (true, false, 0, Some("unseen")),
    ];
    for (readable, seen, actions, expected) in table {
        let policy = policy();
        let mut inventory = world.inventory(&policy);
        let id = inventory
            .entry_ids()
            .find(|id| inventory.name(inventory.entry(*id)) == path.as_os_str())
            .unwrap_or(EntryId(0));
        let version = foreign::version(&inventory, &policy.patterns, path, id);
        inventory.archives[0].foreign.extend(version);
        inventory.archives[0].unreadable = !readable;
        inventory.open.visibility.looked = seen;
        let plan = planned(&policy, inventory, CLOCK);
        assert_eq!(only(&plan).actions.len(), actions, "{readable} {seen}");
        assert_eq!(kept(&plan, "models/archived/rf_20250809.pkl"), expected);
    }
}
