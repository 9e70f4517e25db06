//! What holds for all log directories, whatever is in them.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use proptest::prelude::*;

use super::super::action::shown_subject;
use super::super::entry::Kind;
use super::super::host::Hold;
use super::super::policy::{Codec, LogMode, LogRule, MinFree};
use super::super::rotated;
use super::super::testing::{HOUR, Tree, ago, applied, file, linked, shuffled, special};
use super::tests::{globs, lines, planned, policy, rule};
use super::*;

const LOGS: [&str; 6] = [
    "a.log",
    "sub/a.log",
    "x[1].log",
    "-b\n.log",
    "gone.jsonl",
    "run-1.log",
];
const ENDS: [&str; 5] = ["", ".gz", ".zst", "-2", "-2.gz"];

/// Logs, rotated files, foreign ones and others in two directories.
fn trees() -> impl Strategy<Value = Tree> {
    trees_aged(-2)
}

/// As [`trees`], with all times at least so many hours ago.
fn trees_aged(youngest: i64) -> impl Strategy<Value = Tree> {
    let row = (
        0_usize..2,
        0_usize..6,
        0_usize..5,
        0_u64..40_000,
        youngest..90,
        any::<u8>(),
    );
    proptest::collection::vec(row, 0..30).prop_map(|rows| {
        let mut tree = Tree::new();
        let roots = ["logs", "more"].map(|shown| tree.root(Role::Logs, shown));
        let mut seen = BTreeSet::new();
        for (root, log, end, size, hours, bits) in rows {
            let log = LOGS[log];
            let name = match bits % 8 {
                0 | 1 => log.to_owned(),
                2 => format!("{log}.{}", bits / 8),
                3 => format!("{log}.gz"),
                4 => format!("other{bits}"),
                _ => format!("{log}-{}{}", ago(hours * HOUR).stamp(), ENDS[end]),
            };
            if !seen.insert((root, name.clone())) {
                continue;
            }
            let stat = match bits {
                240..=245 => special(Kind::Fifo, hours * HOUR),
                246..=249 => linked(size, hours * HOUR, 77, 2),
                _ => file(size, hours * HOUR),
            };
            let id = tree.add(roots[root], name, stat);
            if bits >= 250 {
                tree.hold(
                    id,
                    1,
                    if bits % 2 == 0 {
                        Hold::Read
                    } else {
                        Hold::Append
                    },
                );
            }
        }
        tree
    })
}

fn rules() -> impl Strategy<Value = LogRule> {
    (
        (0_u64..40_000, proptest::option::of(1_u64..90), 0_usize..5),
        (
            proptest::option::of(0_u64..90),
            proptest::option::of(0_u64..200_000),
        ),
        (proptest::option::of(0_u64..200_000), any::<u8>()),
    )
        .prop_map(
            |((size, after, files), (age, total), (short, bits))| LogRule {
                max_file_size: size,
                rotate_after: after.map(Duration::from_hours),
                max_files: files,
                max_age: age.map(Duration::from_hours),
                max_total_size: total,
                min_free: short.map(|bytes| MinFree::Bytes((50 << 30) + bytes)),
                compress: [Codec::None, Codec::Gzip(6), Codec::Zstd(3)][usize::from(bits % 3)],
                mode: [
                    LogMode::Auto,
                    LogMode::Rename,
                    LogMode::CopyTruncate,
                    LogMode::Punch,
                ][usize::from(bits >> 2 & 1) + usize::from(bits >> 6 & 2)],
                adopt: bits & 8 == 0,
                unique: bits & 0x30 == 0,
                exclude: if bits & 64 == 0 {
                    globs(&["x*"])
                } else {
                    globs(&[])
                },
                ..rule()
            },
        )
}

fn expired(inventory: &Inventory, rule: &LogRule) -> BTreeSet<EntryId> {
    let plan = planned(&policy(rule.clone()), inventory);
    let expire = plan.actions.iter().filter(|a| a.verb == Verb::Expire);
    expire
        .filter_map(|action| match action.subject {
            Subject::Entry(id) => Some(id),
            Subject::Directory(_) | Subject::Named(_) => None,
        })
        .collect()
}

proptest! {
    #[test]
    fn every_entry_has_one_verdict(tree in trees(), rule in rules()) {
        let plan = planned(&policy(rule), &tree.inventory);
        let subjects = plan.actions.iter().map(|a| a.subject).chain(plan.kept.iter().map(|k| k.subject));
        let mut entries: Vec<_> = subjects.collect();
        entries.sort();
        let all: Vec<_> = tree.inventory.entry_ids().map(Subject::Entry).collect();
        prop_assert_eq!(entries, all);
    }

    #[test]
    fn the_order_of_the_scan_does_not_matter(tree in trees(), rule in rules(), keys in proptest::collection::vec(any::<u64>(), 1..30)) {
        let policy = policy(rule);
        let plan = planned(&policy, &tree.inventory);
        let other = shuffled(&tree.inventory, &keys);
        let again = planned(&policy, &other);
        prop_assert_eq!(lines(&tree.inventory, &plan), lines(&other, &again));
        let reasons = |plan: &OperationPlan| plan.actions.iter().map(|a| (a.reason.clone(), a.needs())).collect::<Vec<_>>();
        prop_assert_eq!(reasons(&plan), reasons(&again));
        prop_assert_eq!((plan.estimate, &plan.warnings, &plan.metadata), (again.estimate, &again.warnings, &again.metadata));
        let kept = |inventory: &Inventory, plan: &OperationPlan| plan.kept.iter()
            .map(|k| (shown_subject(inventory, k.subject), k.reason.to_string())).collect::<BTreeSet<_>>();
        prop_assert_eq!(kept(&tree.inventory, &plan), kept(&other, &again));
    }

    #[test]
    // Not with rotated names stamped in the future: a file just made is older than those, and the
    // next run may expire it for space.
    fn a_plan_after_a_successful_apply_is_empty(tree in trees_aged(1), mut rule in rules()) {
        if rule.compress != Codec::None {
            // How large a compressed file becomes is only known afterwards.
            (rule.max_total_size, rule.min_free) = (None, None);
        }
        let policy = policy(rule);
        let plan = planned(&policy, &tree.inventory);
        let mut after = applied(&tree.inventory, &plan);
        after.filesystems[0].available += u64::try_from(plan.estimate.unwrap_or(0)).unwrap_or(0);
        let again = planned(&policy, &after);
        prop_assert_eq!(lines(&after, &again), Vec::<String>::new());
    }

    #[test]
    fn the_newest_rotated_file_of_a_log_stays(tree in trees(), mut rule in rules()) {
        (rule.unique, rule.adopt) = (false, false);
        let gone = expired(&tree.inventory, &rule);
        let mut newest: HashMap<_, (_, EntryId)> = HashMap::new();
        for id in tree.inventory.entry_ids() {
            let entry = tree.inventory.entry(id);
            if let (Kind::File, Some(own)) = (entry.kind, rotated::parse(tree.inventory.name(entry))) {
                let best = newest.entry((entry.directory, own.log)).or_insert(((own.time, own.serial), id));
                *best = (*best).max(((own.time, own.serial), id));
            }
        }
        let rotated: BTreeSet<_> = planned(&policy(rule), &tree.inventory).actions.into_iter()
            .filter(|action| action.verb == Verb::Rotate)
            .filter_map(|action| match action.subject {
                Subject::Entry(id) => {
                    let entry = tree.inventory.entry(id);
                    Some((entry.directory, tree.inventory.name(entry)))
                }
                Subject::Directory(_) | Subject::Named(_) => None,
            }).collect();
        for (log, (_, id)) in newest {
            prop_assert!(rotated.contains(&log) || !gone.contains(&id));
        }
    }

    #[test]
    fn raising_one_limit_never_expires_more(tree in trees(), base in rules(), which in 0_u8..4, by in 1_u64..100_000) {
        let mut less = LogRule {
            max_files: 0, max_age: None, max_total_size: None, min_free: None,
            rotate_after: None, max_file_size: u64::MAX, ..base.clone()
        };
        match which {
            0 => less.max_files = base.max_files,
            1 => less.max_age = base.max_age,
            2 => less.max_total_size = base.max_total_size,
            _ => less.min_free = base.min_free,
        }
        let mut more = less.clone();
        match which {
            0 if more.max_files > 0 => more.max_files += 1,
            0 => {}
            1 => more.max_age = more.max_age.map(|age| age + Duration::from_secs(by)),
            2 => more.max_total_size = more.max_total_size.map(|size| size + by),
            _ => more.min_free = None,
        }
        prop_assert!(expired(&tree.inventory, &more).is_subset(&expired(&tree.inventory, &less)));
    }

    #[test]
    fn raising_the_size_never_rotates_more(tree in trees(), mut rule in rules(), by in 1_u64..40_000) {
        let rotates = |rule: &LogRule| planned(&policy(rule.clone()), &tree.inventory).actions.iter()
            .filter(|action| action.verb == Verb::Rotate).map(|action| action.subject).collect::<BTreeSet<_>>();
        let less = rotates(&rule);
        rule.max_file_size += by;
        prop_assert!(rotates(&rule).is_subset(&less));
    }

    #[test]
    fn nothing_is_renamed_or_compressed_to_a_name_that_exists(tree in trees(), rule in rules()) {
        let inventory = &tree.inventory;
        let plan = planned(&policy(rule), inventory);
        let mut names: BTreeSet<_> = inventory.entries.iter()
            .map(|entry| (entry.directory, inventory.name(entry).to_os_string())).collect();
        for action in &plan.actions {
            let Subject::Entry(id) = action.subject else { continue };
            let directory = inventory.entry(id).directory;
            let to = match &action.task {
                Task::Rotate(task) => {
                    let mut name = task.to.clone();
                    name.push(task.compress.suffix());
                    prop_assert!(names.insert((directory, task.to.clone())) );
                    (task.compress != Codec::None).then_some(name)
                }
                Task::Cut(task) => {
                    let mut name = task.to.clone();
                    name.push(task.compress.suffix());
                    Some(name)
                }
                Task::Compress(task) if !task.published => Some(task.to.clone()),
                _ => None,
            };
            if let Some(to) = to {
                prop_assert!(names.insert((directory, to)));
            }
        }
        for action in &plan.actions {
            // A source is removed because its compressed form is the same: that form must stay.
            if let (Task::Compress(task), Subject::Entry(id)) = (&action.task, action.subject)
                && task.published
            {
                let form = inventory.entry_ids().find(|other| {
                    let (entry, other) = (inventory.entry(id), inventory.entry(*other));
                    entry.directory == other.directory && inventory.name(other) == task.to
                });
                prop_assert!(form.is_some_and(|form| plan.actions.iter()
                    .all(|other| other.subject != Subject::Entry(form))));
            }
        }
        prop_assert!(plan.actions.iter().all(|action| action.needs().is_none_or(|n| plan.actions[n as usize].verb == Verb::Rotate)));
    }
}
