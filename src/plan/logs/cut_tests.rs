//! The rules for logs that lose their heads, as tables.

use std::ffi::OsStr;

use super::super::cutting::{Cuts, Cutting, Intent, Stage, record_name};
use super::super::entry::{EntryId, RootId, Stat};
use super::super::host::Hold;
use super::super::policy::{Codec, LogMode};
use super::super::rotated;
use super::super::testing::{DAY, MIB, NOW, Tree, ago, file};
use super::tests::{lines, planned, policy, rule};
use super::*;

use LogMode::{Auto, CopyTruncate, Punch, Rename};

const BOTH: Cuts = Cuts {
    block: 4096,
    collapse: true,
    punch: true,
};
const HOLES: Cuts = Cuts {
    collapse: false,
    ..BOTH
};
const NONE: Cuts = Cuts {
    punch: false,
    ..HOLES
};

fn logs(cuts: Cuts) -> (Tree, RootId) {
    let mut tree = Tree::new();
    let root = tree.root(Role::Logs, "logs");
    tree.inventory.filesystems[0].cuts = cuts;
    (tree, root)
}

/// `rename`, a way to cut, or the code under which the log is kept.
fn verdict(plan: &OperationPlan) -> String {
    match plan.actions.first().map(|action| &action.task) {
        Some(Task::Rotate(_)) => "rename".to_owned(),
        Some(Task::Cut(cut)) => format!("{:?}", cut.method).to_lowercase(),
        _ => plan.kept[0].reason.code().to_owned(),
    }
}

#[test]
fn the_mode_the_writers_and_the_filesystem_decide_together() {
    let table = [
        (Auto, None, BOTH, "rename"),
        (Auto, Some(Hold::Read), NONE, "rename"),
        (Auto, Some(Hold::Append), BOTH, "collapse"),
        (Auto, Some(Hold::Append), HOLES, "writer"),
        (Auto, Some(Hold::Append), NONE, "writer"),
        (Auto, Some(Hold::Write), BOTH, "writer"),
        (Auto, Some(Hold::Mapped), BOTH, "in_use"),
        (Rename, Some(Hold::Write), BOTH, "rename"),
        (CopyTruncate, None, BOTH, "collapse"),
        (CopyTruncate, Some(Hold::Append), BOTH, "collapse"),
        (CopyTruncate, Some(Hold::Write), BOTH, "writer"),
        (CopyTruncate, Some(Hold::Append), HOLES, "truncate"),
        (CopyTruncate, None, NONE, "truncate"),
        (CopyTruncate, Some(Hold::Write), NONE, "writer"),
        (CopyTruncate, Some(Hold::Mapped), BOTH, "in_use"),
        (Punch, Some(Hold::Write), BOTH, "punch"),
        (Punch, Some(Hold::Append), HOLES, "punch"),
        (Punch, None, NONE, "cannot_punch"),
        (Punch, Some(Hold::Mapped), BOTH, "in_use"),
    ];
    for (mode, hold, cuts, expected) in table {
        let (mut tree, root) = logs(cuts);
        let log = tree.add(root, "a.log", file(2 * MIB, DAY));
        if let Some(hold) = hold {
            tree.hold(log, 42, hold);
        }
        let mut rule = rule();
        rule.mode = mode;
        let plan = planned(&policy(rule), &tree.inventory);
        let case = format!("{} {hold:?} {cuts:?}", mode.name());
        assert_eq!(verdict(&plan), expected, "{case}");
        let lossless = expected != "truncate";
        assert_eq!(plan.metadata["lossless"], lossless, "{case}");
        assert_eq!(plan.warnings.is_empty(), lossless, "{case}");
    }
}

#[test]
fn one_writer_that_overwrites_among_those_that_append_is_enough() {
    let (mut tree, root) = logs(BOTH);
    let log = tree.add(root, "a.log", file(2 * MIB, DAY));
    for (pid, hold) in [(1, Hold::Append), (2, Hold::Write), (3, Hold::Append)] {
        tree.hold(log, pid, hold);
    }
    let plan = planned(&policy(rule()), &tree.inventory);
    let reason = plan.kept[0].reason.to_string();
    assert!(reason.contains("pid 2 "), "{reason}");
    for cure in [">>", "mode = \"punch\"", "mode = \"rename\""] {
        assert!(reason.contains(cure), "{reason}");
    }
}

type Change = fn(&mut Inventory, EntryId);

#[test]
fn what_forbids_a_cut() {
    let unseen: Change = |inventory, id| {
        inventory.logs.unseen_writers.insert(id);
    };
    let append_only: Change = |inventory, id| {
        inventory.logs.append_only.insert(id);
    };
    let small: Change = |inventory, id| inventory.entries[id.0 as usize].size = 4096;
    // A log that was punched up to its last block.
    let hole: Change = |inventory, id| {
        inventory.logs.heads.insert(id, 2 * MIB - 4096);
    };
    let table = [
        (unseen, Auto, "unseen_writer"),
        (unseen, CopyTruncate, "unseen_writer"),
        (unseen, Punch, "punch"),
        (unseen, Rename, "rename"),
        (append_only, Auto, "append_only"),
        (append_only, CopyTruncate, "append_only"),
        (append_only, Punch, "append_only"),
        (append_only, Rename, "append_only"),
        (small, CopyTruncate, "under_one_block"),
        (small, Punch, "under_one_block"),
        (small, Rename, "rename"),
        (hole, Punch, "under_one_block"),
    ];
    for (change, mode, expected) in table {
        let (mut tree, root) = logs(BOTH);
        let log = tree.add(root, "a.log", file(2 * MIB, DAY));
        change(&mut tree.inventory, log);
        let mut policy = policy(rule());
        (policy.rules[0].mode, policy.force) = (mode, true);
        let plan = planned(&policy, &tree.inventory);
        assert_eq!(verdict(&plan), expected, "{} {expected}", mode.name());
    }
}

#[test]
fn a_log_whose_head_is_a_hole_is_judged_by_what_it_takes() {
    for mode in [LogMode::Auto, LogMode::Rename, LogMode::Punch] {
        let (mut tree, root) = logs(BOTH);
        let sparse = |blocks| Stat {
            blocks,
            ..file(100 * MIB, DAY)
        };
        let small = tree.add(root, "small.log", sparse(16));
        let large = tree.add(root, "large.log", sparse(2 * MIB / 512));
        for id in [small, large] {
            tree.inventory.logs.heads.insert(id, 50 * MIB);
        }
        // The filesystem compresses it, as ZFS does: no hole.
        tree.add(root, "packed.log", sparse(16));
        let mut rule = rule();
        rule.mode = mode;
        let plan = planned(&policy(rule), &tree.inventory);
        let due: Vec<_> = plan.actions.iter().map(|action| action.subject).collect();
        assert!(!due.contains(&Subject::Entry(small)), "{}", mode.name());
        assert_eq!(due.len(), 2, "{}", mode.name());
    }
}

#[test]
fn a_log_larger_than_the_free_space_goes_in_pieces_each_after_the_one_before() {
    let (mut tree, root) = logs(BOTH);
    tree.inventory.filesystems[0].available = 2 * MIB;
    let log = tree.add(root, "a.log", file(3 * MIB, DAY));
    let taken = format!("a.log-{}-2.gz", NOW.stamp());
    let sample = tree.add(root, &taken, file(10, DAY));
    tree.hold(log, 1, Hold::Append);
    let plan = planned(&policy(rule()), &tree.inventory);
    let stem = |serial| {
        rotated::stem(OsStr::new("a.log"), NOW, serial)
            .into_string()
            .unwrap()
    };
    let expected: Vec<String> = [3, 4, 5]
        .map(|serial| format!("rotate logs/a.log ~> {}.gz", stem(serial)))
        .into();
    assert_eq!(lines(&tree.inventory, &plan), expected);
    let needs: Vec<_> = plan
        .actions
        .iter()
        .map(super::super::action::Action::needs)
        .collect();
    assert_eq!(needs, [None, Some(0), Some(1)]);
    // Where an earlier one tells that it fits, it goes in one.
    tree.inventory.expanded.insert(sample, 100);
    let plan = planned(&policy(rule()), &tree.inventory);
    assert_eq!(plan.actions.len(), 1);
    // Not compressed, it takes what it is.
    let mut uncompressed = rule();
    uncompressed.compress = Codec::None;
    assert_eq!(
        planned(&policy(uncompressed), &tree.inventory)
            .actions
            .len(),
        3
    );
}

#[test]
fn a_log_without_a_writer_is_renamed_unless_it_is_too_large() {
    let (mut tree, root) = logs(BOTH);
    tree.inventory.filesystems[0].available = 2 * MIB;
    tree.add(root, "a.log", file(3 * MIB, DAY));
    assert_eq!(
        verdict(&planned(&policy(rule()), &tree.inventory)),
        "collapse"
    );
    tree.inventory.filesystems[0].available = 4 * MIB;
    assert_eq!(
        verdict(&planned(&policy(rule()), &tree.inventory)),
        "rename"
    );
}

/// A log with the record of a rotation; the inode that the record names, and what else there is.
fn recorded(inode: u64, stage: Stage, rotated_exists: bool) -> (Tree, EntryId, EntryId) {
    let (mut tree, root) = logs(BOTH);
    let stat = Stat {
        inode: 77,
        ..file(2 * MIB, DAY)
    };
    let log = tree.add(root, "a.log", stat);
    let to = format!("a.log-{}.gz", ago(DAY).stamp());
    let name = OsStr::new("a.log");
    let mut intent = Intent::new(name, inode, OsStr::new(&to), Cutting::Collapse).unwrap();
    (intent.cut, intent.stage) = (MIB, stage);
    let record = tree.add(root, record_name(name), file(200, DAY));
    tree.inventory.logs.intents.insert(record, intent);
    if rotated_exists {
        tree.add(root, &to, file(1000, DAY));
    }
    (tree, log, record)
}

#[test]
fn what_a_killed_run_began_is_completed_or_cleared() {
    let record = "delete logs/.a.log.sysopt-rotation".to_owned();
    let rotate = "rotate logs/a.log -> a.log-20251124T210000Z.gz".to_owned();
    let resume = "rotate logs/a.log resumed".to_owned();
    let table = [
        (77, Stage::Archived, true, vec![resume.clone()]),
        (77, Stage::Punched, true, vec![resume.clone()]),
        (77, Stage::Punched, false, vec![resume]),
        (
            77,
            Stage::Archived,
            false,
            vec![record.clone(), rotate.clone()],
        ),
        (
            78,
            Stage::Punched,
            true,
            vec![record.clone(), rotate.clone()],
        ),
        (78, Stage::Archived, true, vec![record, rotate]),
    ];
    for (inode, stage, rotated, expected) in table {
        let (tree, ..) = recorded(inode, stage, rotated);
        let plan = planned(&policy(rule()), &tree.inventory);
        assert_eq!(
            lines(&tree.inventory, &plan),
            expected,
            "{inode} {stage:?} {rotated}"
        );
    }
}

#[test]
fn a_rotated_file_whose_log_still_has_its_head_neither_expires_nor_changes() {
    let (mut tree, _, _) = recorded(77, Stage::Archived, true);
    let root = RootId(0);
    for hours in 1..4 {
        let name = format!("a.log-{}.gz", ago(hours * 3600).stamp());
        tree.add(root, name, file(10, DAY));
    }
    let mut rule = rule();
    rule.max_files = 1;
    let plan = planned(&policy(rule), &tree.inventory);
    let kept = |code: &str| {
        plan.kept
            .iter()
            .filter(|kept| kept.reason.code() == code)
            .count()
    };
    assert_eq!(kept("rotating"), 1);
    assert_eq!(kept("books"), 1);
    let expired = plan
        .actions
        .iter()
        .filter(|action| action.verb == Verb::Expire);
    assert_eq!(
        expired.count(),
        2,
        "the newest stays, and the one in question"
    );
}
