//! What holds for any tree and any policy.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::world::{Archived, CLOCK, File, World, acted, only, paths, planned, policy};
use crate::plan::action::{Plan, Subject, Task, Verb, shown_subject};
use crate::plan::family::Family;
use crate::plan::models::family_key;
use crate::plan::policy::ModelsPolicy;

const NAMES: &[&str] = &[
    "rf_1h.pkl",
    "rf_24h.pkl",
    "rf.pkl",
    "rf_v2.pkl",
    "rf_v9.pkl",
    "rf_v10.pkl",
    "rf_20250809.pkl",
    "saved/rf_v1.pkl",
    "saved/rf_v3.pkl",
    "checkpoint-9000.pt",
    "checkpoint-10000.pt",
    "notes.txt",
    "a b\n[12].pkl",
    "-v.pkl",
];

fn files() -> impl Strategy<Value = File> {
    (
        0..20_i64,
        1..4_u8,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(days, content, held, twice)| File {
            days,
            size: u64::from(content) * 4096,
            content,
            held,
            links: 1 + u32::from(twice),
        })
}

fn worlds() -> impl Strategy<Value = World> {
    let name = || prop::sample::select(NAMES).prop_map(PathBuf::from);
    let models = prop::collection::btree_map(name(), files(), 0..10);
    let archived = prop::collection::btree_map(
        (0..12_u8).prop_map(|number| PathBuf::from(format!("saved/x_{number}.pkl"))),
        (name(), files(), prop::bool::weighted(0.1)).prop_map(|(original, file, missing)| {
            Archived {
                original,
                file: File { links: 1, ..file },
                missing,
            }
        }),
        0..12,
    );
    (models, archived, any::<bool>()).prop_map(|(models, archived, unlisted)| World {
        models,
        archived,
        unlisted: if unlisted {
            vec!["rf_20251120.pkl".into()]
        } else {
            Vec::new()
        },
        restored: HashMap::new(),
    })
}

fn policies() -> impl Strategy<Value = ModelsPolicy> {
    (
        0..15_u64,
        0..4_usize,
        0..4_usize,
        prop::option::of(0..100_000_u64),
        prop::bool::weighted(0.8),
    )
        .prop_map(
            |(days, keep_latest, max_archived, max_archive_size, safe_archiving)| ModelsPolicy {
                archive_after: Duration::from_hours(days * 24),
                keep_latest,
                max_archived,
                max_archive_size,
                safe_archiving,
                ..policy()
            },
        )
}

fn set(plan: &Plan) -> BTreeSet<String> {
    acted(plan)
        .into_iter()
        .map(|(verb, path)| format!("{verb:?} {path}"))
        .collect()
}

/// What a task does, with the paths of its files instead of their numbers.
fn unnumbered(plan: &Plan, task: &Task) -> String {
    let mut task = task.clone();
    let files = match &mut task {
        Task::Archive(model) => std::mem::take(&mut model.files),
        Task::ExpireModel(version) => std::mem::take(&mut version.files),
        _ => Vec::new(),
    };
    let shown = |id| shown_subject(&plan.inventory, Subject::Entry(id));
    let files: Vec<PathBuf> = files.into_iter().map(shown).collect();
    format!("{task:?} {files:?}")
}

/// All that a plan says, without the numbers of its inventory.
fn said(plan: &Plan) -> (Vec<String>, BTreeSet<String>, String) {
    let shown = |subject: Subject| shown_subject(&plan.inventory, subject);
    let only = only(plan);
    let actions = only.actions.iter();
    let actions = actions.map(|a| {
        format!(
            "{:?} {:?} {:?}",
            plan.shown(a),
            a.reason,
            (a.verb, a.needs(), unnumbered(plan, &a.task))
        )
    });
    let kept = only
        .kept
        .iter()
        .map(|k| format!("{:?} {:?}", shown(k.subject), k.reason));
    let rest = format!(
        "{:?} {:?} {:?}",
        only.metadata, only.warnings, only.estimate
    );
    (actions.collect(), kept.collect(), rest)
}

/// What the versions that a plan stores once more would be called in [`set`], did they expire.
fn stored_again(plan: &Plan) -> BTreeSet<String> {
    let actions = only(plan).actions.iter();
    let again = actions.filter(|action| matches!(&action.task, Task::Archive(task) if task.stored));
    again
        .filter_map(|action| plan.shown(action).1)
        .map(|to| format!("{:?} {}", Verb::Expire, to.to_string_lossy()))
        .collect()
}

/// The family of an archived path, before and after a plan.
fn families(world: &World) -> BTreeMap<String, Vec<&Path>> {
    let mut families: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    for (path, archived) in world
        .archived
        .iter()
        .filter(|(_, archived)| !archived.missing)
    {
        families
            .entry(family_key(&archived.original))
            .or_default()
            .push(path);
    }
    families
}

proptest! {
    #[test]
    fn every_name_gets_one_verdict(world in worlds(), policy in policies()) {
        let plan = world.plan(&policy);
        let acted = only(&plan).actions.iter().map(|action| action.subject);
        let subjects: Vec<Subject> = acted.chain(only(&plan).kept.iter().map(|kept| kept.subject)).collect();
        let distinct: HashSet<Subject> = subjects.iter().copied().collect();
        let all: HashSet<Subject> = plan.inventory.entry_ids().map(Subject::Entry).collect();
        prop_assert_eq!(subjects.len(), distinct.len());
        prop_assert_eq!(distinct, all);
    }

    #[test]
    fn the_order_of_the_scan_does_not_matter(world in worlds(), policy in policies(), seed in 1..1000_u64) {
        let other = planned(&policy, world.shuffled(&policy, seed), CLOCK);
        prop_assert_eq!(said(&world.plan(&policy)), said(&other));
    }

    #[test]
    fn the_newest_of_a_versioned_family_stays(world in worlds(), policy in policies()) {
        let policy = ModelsPolicy { keep_latest: policy.keep_latest.max(1), ..policy };
        let mut newest: HashMap<String, PathBuf> = HashMap::new();
        let version = |path: &Path| Family::of(path.file_name().unwrap_or_default()).version;
        for path in world.models.keys().filter(|path| version(path).is_some()) {
            let best = newest.entry(family_key(path)).or_insert_with(|| path.clone());
            if version(path) > version(best) {
                *best = path.clone();
            }
        }
        let plan = world.plan(&policy);
        for (_, path) in acted(&plan) {
            let path = Path::new(&path).strip_prefix("models").unwrap_or(Path::new(""));
            prop_assert!(!newest.values().any(|newest| newest == path), "{:?}", path);
        }
    }

    #[test]
    fn raising_a_limit_never_acts_on_more(world in worlds(), policy in policies(), by in 1..5_usize) {
        let policy = ModelsPolicy { max_archive_size: None, ..policy };
        let plan = world.plan(&policy);
        let before = set(&plan);
        let longer = policy.archive_after + Duration::from_hours(24 * by as u64);
        let raised = [
            ModelsPolicy { archive_after: longer, ..policy.clone() },
            ModelsPolicy { keep_latest: policy.keep_latest + by, ..policy.clone() },
            // 0 keeps all: there is nothing above it.
            ModelsPolicy {
                max_archived: if policy.max_archived == 0 { 0 } else { policy.max_archived + by },
                ..policy.clone()
            },
            ModelsPolicy { max_archived: 0, ..policy.clone() },
        ];
        // A version that a model is stored as once more is safe in that run, whatever its rank.
        // Where the raised limit leaves that model in place, its rank counts again.
        let safe = stored_again(&plan);
        for raised in raised {
            let plan = world.plan(&raised);
            let still = stored_again(&plan);
            let mut more = set(&plan);
            more.retain(|act| !before.contains(act));
            let unsafe_now: BTreeSet<String> = safe.difference(&still).cloned().collect();
            prop_assert!(more.is_subset(&unsafe_now), "{:?} {:?}", more, before);
            if raised.archive_after == policy.archive_after && raised.keep_latest == policy.keep_latest {
                prop_assert!(more.is_empty(), "{:?} {:?}", more, before);
            }
        }
    }

    #[test]
    fn raising_the_size_of_the_archive_expires_no_more(
        world in worlds(), policy in policies(), limit in 0..100_000_u64, by in 1..50_000_u64,
    ) {
        let of = |limit| set(&world.plan(&ModelsPolicy { max_archive_size: Some(limit), ..policy.clone() }));
        prop_assert!(of(limit + by).is_subset(&of(limit)));
    }

    /// What a run archives it does not expire, so that a second run may have that to do, and
    /// nothing else.
    #[test]
    fn after_a_plan_is_applied_little_is_left_and_then_nothing(world in worlds(), policy in policies()) {
        let first = world.plan(&policy);
        let arrived: BTreeSet<PathBuf> = only(&first).actions.iter()
            .filter(|action| action.verb == Verb::Archive)
            .filter_map(|action| first.shown(action).1)
            .collect();
        let world = world.applied(&first);
        let second = world.plan(&policy);
        for (verb, path) in acted(&second) {
            prop_assert_eq!(verb, Verb::Expire);
            prop_assert!(arrived.contains(Path::new(&path)), "{}", path);
        }
        if policy.max_archived == 0 && policy.max_archive_size.is_none() {
            prop_assert_eq!(acted(&second), vec![]);
        }
        let world = world.applied(&second);
        prop_assert_eq!(acted(&world.plan(&policy)), vec![]);
    }

    #[test]
    fn a_burst_of_one_model_expires_no_other(world in worlds(), policy in policies(), burst in 1..20_usize) {
        let policy = ModelsPolicy { max_archive_size: None, ..policy };
        let before = world.plan(&policy);
        let mut more = world.clone();
        for number in 0..burst {
            let path = format!("burst_v{number}.pkl");
            more.archived.insert(format!("archived_{path}").into(), Archived {
                original: path.clone().into(), file: File::of(1), missing: false,
            });
            more.models.insert(path.into(), File::of(19));
        }
        let others: Vec<String> = paths(&more.plan(&policy), Verb::Expire).into_iter()
            .filter(|path| !path.contains("burst")).collect();
        prop_assert_eq!(others, paths(&before, Verb::Expire));
    }

    #[test]
    fn the_last_version_of_a_model_is_never_expired(world in worlds(), policy in policies()) {
        let plan = world.plan(&policy);
        let expired: BTreeSet<String> = paths(&plan, Verb::Expire).into_iter().collect();
        let gone = |path: &Path| expired.contains(&*Path::new("models/archived").join(path).to_string_lossy());
        for (family, versions) in families(&world) {
            let arrives = only(&plan).actions.iter().any(|action| {
                matches!(&action.task, Task::Archive(task) if task.family == family)
            });
            prop_assert!(arrives || !versions.iter().all(|path| gone(path)), "{}", family);
        }
        // Where the newest only arrives now, nothing older goes unless it did.
        for action in only(&plan).actions.iter().filter(|action| action.verb == Verb::Expire) {
            let Subject::Entry(id) = action.subject else { continue };
            let version = plan.inventory.archives[0].versions.iter().find(|v| v.model.entry == Some(id));
            let family = version.map(|v| family_key(&v.original)).unwrap_or_default();
            let arrival = only(&plan).actions.iter().position(|action| {
                matches!(&action.task, Task::Archive(task) if task.family == family)
            });
            prop_assert_eq!(arrival.is_some(), action.needs().is_some() && arrival.is_some());
        }
    }
}
