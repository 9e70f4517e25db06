//! The rules of `rotate-logs` as tables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::action::{Action, item_bytes, shown_subject};
use super::super::entry::{Kind, RootId, Stat};
use super::super::host::{Hold, Visibility};
use super::super::policy::{Codec, Globs, LogMode, LogRule, MinFree, Signal};
use super::super::rotated;
use super::super::testing::{
    DAY, HOUR, MIB, MINUTE, NOW, Tree, ago, applied, file, linked, special,
};
use super::*;

pub(super) fn rule() -> LogRule {
    LogRule {
        directories: None,
        patterns: globs(&["*.log", "*.jsonl"]),
        exclude: Globs::default(),
        max_file_size: MIB,
        rotate_after: None,
        max_files: 5,
        max_age: None,
        max_total_size: None,
        min_free: None,
        compress: Codec::Gzip(6),
        mode: LogMode::Auto,
        adopt: false,
        unique: false,
        preserve_recent: Duration::from_hours(2),
        settle: Duration::from_secs(5),
        signal: None,
        post_rotate: None,
        hook_timeout: Duration::from_secs(30),
    }
}

pub(super) fn globs(patterns: &[&str]) -> Globs {
    Globs::new(patterns).unwrap_or_default()
}

pub(super) fn policy(rule: LogRule) -> LogsPolicy {
    LogsPolicy {
        rules: vec![rule],
        force: false,
    }
}

pub(super) fn planned(policy: &LogsPolicy, inventory: &Inventory) -> OperationPlan {
    plan(policy, inventory, &Claims::none(inventory), Clock::at(NOW))
}

/// Each action as `verb path [-> name]`.
pub(super) fn lines(inventory: &Inventory, plan: &OperationPlan) -> Vec<String> {
    let line = |action: &super::super::action::Action| {
        let verb = format!("{:?}", action.verb).to_lowercase();
        let path = shown_subject(inventory, action.subject);
        let to = match &action.task {
            Task::Rotate(task) => {
                format!(" -> {}{}", task.to.display(), task.compress.suffix())
            }
            Task::Cut(task) => format!(" ~> {}{}", task.to.display(), task.compress.suffix()),
            Task::Resume(_) => " resumed".to_owned(),
            Task::Compress(task) if task.published => format!(" == {}", task.to.display()),
            Task::Compress(task) => format!(" -> {}", task.to.display()),
            _ => String::new(),
        };
        format!("{verb} {}{to}", path.display())
    };
    plan.actions.iter().map(line).collect()
}

fn logs() -> (Tree, RootId) {
    let mut tree = Tree::new();
    let root = tree.root(Role::Logs, "logs");
    (tree, root)
}

fn stamped(log: &str, seconds_ago: i64, end: &str) -> String {
    format!("{log}-{}{end}", ago(seconds_ago).stamp())
}

fn code(plan: &OperationPlan, id: EntryId) -> Option<&'static str> {
    let kept = plan
        .kept
        .iter()
        .find(|kept| kept.subject == Subject::Entry(id))?;
    Some(kept.reason.code())
}

#[test]
fn a_log_is_due_at_its_size_and_never_when_empty() {
    let (mut tree, root) = logs();
    let small = tree.add(root, "small.log", file(MIB - 1, DAY));
    let empty = tree.add(root, "empty.log", file(0, DAY));
    let other = tree.add(root, "data.csv", file(MIB, DAY));
    tree.add(root, "-a [1]\n.log", file(MIB, DAY));
    let plan = planned(&policy(rule()), &tree.inventory);
    assert_eq!(
        lines(&tree.inventory, &plan),
        ["rotate logs/-a [1]\n.log -> -a [1]\n.log-20251124T210000Z.gz"]
    );
    let codes = [small, empty, other].map(|id| code(&plan, id));
    assert_eq!(codes, [Some("below_size"), Some("empty"), Some("no_match")]);
    let mut forced = policy(rule());
    forced.force = true;
    let plan = planned(&forced, &tree.inventory);
    assert_eq!(plan.actions.len(), 2);
    assert_eq!(plan.actions[1].reason, Reason::Forced);
    assert_eq!(code(&plan, empty), Some("empty"));
}

#[test]
fn rotate_after_counts_from_the_last_rotation_else_from_the_earliest_time() {
    let day = Duration::from_hours(24);
    let table = [
        ("rotated longer ago", Some(DAY + 1), 2 * DAY, true),
        ("rotated since", Some(DAY / 2), 2 * DAY, false),
        (
            "a minute early, as cron may be",
            Some(DAY - 30),
            2 * DAY,
            true,
        ),
        ("two minutes early", Some(DAY - 120), 2 * DAY, false),
        ("never rotated, born longer ago", None, 2 * DAY, true),
        ("never rotated, born since", None, HOUR, false),
    ];
    for (case, last, born, due) in table {
        let (mut tree, root) = logs();
        let stat = Stat {
            atime: ago(born),
            ..file(10, MINUTE)
        };
        let log = tree.add(root, "a.log", stat);
        if let Some(last) = last {
            tree.add(root, stamped("a.log", last, ".gz"), file(10, last));
        }
        let mut rule = rule();
        rule.rotate_after = Some(day);
        let policy = policy(rule);
        let plan = planned(&policy, &tree.inventory);
        assert_eq!(plan.actions.len(), usize::from(due), "{case}");
        let jumped = Clock {
            now: NOW,
            jumped: true,
        };
        let claims = Claims::none(&tree.inventory);
        let plan = super::plan(&policy, &tree.inventory, &claims, jumped);
        let expected = if due { "clock_jumped" } else { "below_size" };
        assert_eq!(code(&plan, log), Some(expected), "{case}");
    }
}

/// `weekly` slipped a day across the change to summer time, and `hourly` skipped the hour that comes
/// twice: spans between instants know neither.
#[test]
fn trap_09_a_change_of_clocks_moves_no_rotation() {
    let hour = Duration::from_hours(1);
    // When last rotated, how long since, how often; Europe's clocks change at 01:00 UTC.
    let table = [
        ("20260328T030000Z", 24, 24, true),
        ("20260328T030000Z", 23, 24, false),
        ("20260323T030000Z", 7 * 24, 7 * 24, true),
        ("20260323T030000Z", 7 * 24 - 1, 7 * 24, false),
        ("20261025T000000Z", 1, 1, true),
        ("20261025T010000Z", 1, 1, true),
        ("20261024T030000Z", 24, 24, true),
    ];
    for (stamp, since, every, due) in table {
        let (mut tree, root) = logs();
        tree.add(root, "a.log", file(10, MINUTE));
        let name = format!("a.log-{stamp}.gz");
        let last = rotated::parse(OsStr::new(&name)).unwrap().time;
        tree.add(root, &name, file(10, DAY));
        let mut rule = rule();
        rule.rotate_after = Some(every * hour);
        let now = super::super::time::Time(last.0 + since * 3_600_000_000_000);
        let claims = Claims::none(&tree.inventory);
        let plan = super::plan(&policy(rule), &tree.inventory, &claims, Clock::at(now));
        let rotates = plan.actions.iter().any(|it| it.verb == Verb::Rotate);
        assert_eq!(rotates, due, "{stamp} after {since} h");
    }
}

#[test]
fn a_log_is_only_taken_away_where_no_line_can_be_lost() {
    type Change = fn(&mut LogRule);
    let none: Change = |_| {};
    let rename: Change = |rule| rule.mode = LogMode::Rename;
    let table: [(&str, Option<Hold>, Change, Option<&str>); 8] = [
        ("nobody has it", None, none, None),
        ("read by somebody", Some(Hold::Read), none, None),
        ("appended to", Some(Hold::Append), none, None),
        ("overwritten", Some(Hold::Write), none, Some("writer")),
        ("mapped", Some(Hold::Mapped), rename, Some("in_use")),
        ("a writer that reopens", Some(Hold::Append), rename, None),
        (
            "signal",
            Some(Hold::Append),
            |rule| {
                rule.signal = Some(Signal {
                    name: "HUP".into(),
                    pid_file: "/run/x.pid".into(),
                });
            },
            None,
        ),
        (
            "hook",
            None,
            |rule| rule.post_rotate = Some(vec!["true".into()]),
            None,
        ),
    ];
    for (case, hold, change, expected) in table {
        let (mut tree, root) = logs();
        let log = tree.add(root, "a.log", file(2 * MIB, DAY));
        if let Some(hold) = hold {
            tree.hold(log, 42, hold);
        }
        let mut rule = rule();
        change(&mut rule);
        let plan = planned(&policy(rule), &tree.inventory);
        assert_eq!(code(&plan, log), expected, "{case}");
        let verbs: Vec<Verb> = plan.actions.iter().map(|action| action.verb).collect();
        let needs: Vec<_> = plan.actions.iter().map(Action::needs).collect();
        match (expected, case) {
            (Some(_), _) => assert!(verbs.is_empty(), "{case}"),
            (None, "signal") => assert_eq!(verbs, [Verb::Rotate, Verb::Signal]),
            (None, "hook") => assert_eq!(verbs, [Verb::Rotate, Verb::Hook]),
            (None, _) => assert_eq!(verbs, [Verb::Rotate], "{case}"),
        }
        assert!(needs.iter().skip(1).all(|need| *need == Some(0)), "{case}");
        let unsupported = expected == Some("unsupported");
        assert_eq!(plan.warnings.len(), usize::from(unsupported), "{case}");
    }
}

#[test]
fn a_writer_that_did_not_come_to_know_of_a_rotation_is_told_again() {
    type Case = (
        &'static str,
        fn(&mut LogRule),
        u64,
        bool,
        bool,
        &'static [Verb],
    );
    let hook = |rule: &mut LogRule| rule.post_rotate = Some(vec!["true".into()]);
    let both: fn(&mut LogRule) = |rule| {
        rule.post_rotate = Some(vec!["true".into()]);
        rule.signal = Some(Signal {
            name: "HUP".into(),
            pid_file: "/run/x.pid".into(),
        });
    };
    let table: [Case; 7] = [
        ("a hook", hook, 0, true, false, &[Verb::Hook]),
        ("both", both, 0, true, false, &[Verb::Signal, Verb::Hook]),
        ("nothing to tell it with", |_| {}, 0, true, false, &[]),
        ("it has reopened its log", hook, 0, true, true, &[]),
        ("somebody wrote to the log", hook, 9, true, false, &[]),
        ("nobody is left", hook, 0, false, false, &[Verb::Compress]),
        (
            "the log stays where it is",
            |rule| {
                rule.post_rotate = Some(vec!["true".into()]);
                rule.mode = LogMode::CopyTruncate;
            },
            0,
            true,
            false,
            &[],
        ),
    ];
    for (case, change, size, old, new, expected) in table {
        let (mut tree, root) = logs();
        let log = tree.add(root, "a.log", file(size, HOUR));
        let left = tree.add(root, stamped("a.log", HOUR, ""), file(MIB, HOUR));
        tree.add(root, stamped("a.log", DAY, ".gz"), file(MIB, DAY));
        for (id, held) in [(left, old), (log, new)] {
            if held {
                tree.hold(id, 42, Hold::Append);
            }
        }
        let mut rule = rule();
        change(&mut rule);
        let plan = planned(&policy(rule), &tree.inventory);
        let verbs: Vec<Verb> = plan.actions.iter().map(|action| action.verb).collect();
        assert_eq!(verbs, expected, "{case}");
        for action in &plan.actions {
            assert_eq!(action.needs(), None, "{case}");
            if let Task::Hook(hook) = &action.task {
                assert_eq!(hook.rotated, OsStr::new(&stamped("a.log", HOUR, "")));
            }
        }
        let told = plan
            .actions
            .iter()
            .any(|a| a.subject == Subject::Entry(log));
        assert_eq!(code(&plan, log).is_none(), told, "{case}: one verdict");
    }
}

#[test]
fn a_writer_is_named_with_its_cure() {
    let (mut tree, root) = logs();
    let log = tree.add(root, "a.log", file(2 * MIB, DAY));
    tree.hold(log, 42, Hold::Write);
    let plan = planned(&policy(rule()), &tree.inventory);
    assert_eq!(
        plan.kept[0].reason.to_string(),
        "open for writing by pid 42 (python); let it append (>>); or use mode = \"punch\", which \
         loses nothing either; or, if it reopens its log, mode = \"rename\""
    );
}

#[test]
fn what_is_not_a_plain_log_stays() {
    let (mut tree, root) = logs();
    let long = format!("{}.log", "x".repeat(240));
    let table = [
        (
            tree.add(root, "l.log", special(Kind::Symlink, DAY)),
            "not_regular",
        ),
        (
            tree.add(root, "p.log", special(Kind::Fifo, DAY)),
            "not_regular",
        ),
        (
            tree.add(root, "two.log", linked(MIB, DAY, 9, 2)),
            "several_links",
        ),
        (tree.add(root, &long, file(MIB, DAY)), "name_too_long"),
        (tree.add(root, "audit.log", file(MIB, DAY)), "excluded"),
        (
            tree.add(root, stamped("audit.log", DAY, ""), file(MIB, DAY)),
            "excluded",
        ),
        (tree.add(root, "keep/a.log", file(MIB, DAY)), "excluded"),
        (
            tree.add(root, ".sysopt-a.log.tmp", file(MIB, DAY)),
            "sysopt_temporary",
        ),
        (tree.add(root, "a.log.1", file(MIB, DAY)), "foreign"),
        (
            tree.add(root, "a.log-20251123.gz", file(MIB, DAY)),
            "foreign",
        ),
        (tree.add(root, "b.csv.1", file(MIB, DAY)), "no_match"),
    ];
    let mut rule = rule();
    rule.exclude = globs(&["audit.log", "keep"]);
    let plan = planned(&policy(rule), &tree.inventory);
    assert_eq!(lines(&tree.inventory, &plan), Vec::<String>::new());
    for (id, expected) in table {
        assert_eq!(code(&plan, id), Some(expected));
    }
}

#[test]
fn a_rotated_name_is_never_one_that_exists() {
    let (mut tree, root) = logs();
    tree.add(root, "a.log", file(MIB, DAY));
    tree.add(root, stamped("a.log", 0, ".zst"), file(1, 0));
    tree.directory(root, stamped("a.log", 0, "-2"));
    let plan = planned(&policy(rule()), &tree.inventory);
    assert_eq!(
        lines(&tree.inventory, &plan),
        ["rotate logs/a.log -> a.log-20251124T210000Z-3.gz"]
    );
}

#[test]
fn the_first_rule_that_matches_owns_a_log() {
    let (mut tree, root) = logs();
    tree.add(root, "api/x.access", file(MIB, DAY));
    tree.add(root, "api/sub/x.access", file(MIB, DAY));
    tree.add(root, "x.access", file(MIB, DAY));
    tree.add(root, "api/big.log", file(MIB, DAY));
    let mut api = rule();
    api.directories = Some(vec![PathBuf::from("/base/logs/api")]);
    api.patterns = globs(&["sub/*.access", "*.log"]);
    api.exclude = globs(&["big*"]);
    api.compress = Codec::Zstd(3);
    let policy = LogsPolicy {
        rules: vec![api, rule()],
        force: false,
    };
    let plan = planned(&policy, &tree.inventory);
    assert_eq!(
        lines(&tree.inventory, &plan),
        [
            "rotate logs/api/big.log -> big.log-20251124T210000Z.gz",
            "rotate logs/api/sub/x.access -> x.access-20251124T210000Z.zst",
        ]
    );
}

#[test]
fn the_name_of_a_rotation_that_never_began_goes() {
    let (mut tree, root) = logs();
    let name = stamped("a.log", DAY, "");
    tree.add(root, "a.log", file(2 * MIB, DAY));
    tree.add(root, &name, file(0, DAY));
    let plan = planned(&policy(rule()), &tree.inventory);
    let expected = [
        format!("delete logs/{name}"),
        "rotate logs/a.log -> a.log-20251124T210000Z.gz".to_owned(),
    ];
    assert_eq!(lines(&tree.inventory, &plan), expected);
    assert_eq!(plan.actions[0].reason, Reason::Unfinished);
}

#[test]
fn the_name_of_a_rotation_that_never_began_takes_no_place_from_another() {
    let (mut tree, root) = logs();
    tree.add(root, "a.log", file(2 * MIB, DAY));
    tree.add(root, stamped("a.log", 2 * DAY, ".gz"), file(10, DAY));
    tree.add(root, stamped("a.log", DAY, ""), file(0, DAY));
    let mut two = rule();
    two.max_files = 2;
    let plan = planned(&policy(two), &tree.inventory);
    let verbs: Vec<Verb> = plan.actions.iter().map(|action| action.verb).collect();
    assert_eq!(verbs, [Verb::Delete, Verb::Rotate]);
}

#[test]
fn leftovers_are_finished_also_of_logs_that_are_gone_or_match_no_more() {
    let (mut tree, root) = logs();
    let at = |log: &str, end: &str| stamped(log, DAY, end);
    tree.add(root, at("gone.log", ""), file(10, DAY));
    tree.add(root, at("renamed.txt", ""), file(10, DAY));
    tree.add(root, at("both.log", ""), file(10, DAY));
    tree.add(root, at("both.log", ".zst"), file(1, DAY));
    let held = tree.add(root, at("held.log", ""), file(10, DAY));
    tree.hold(held, 1, Hold::Append);
    tree.add(root, "a.log", file(MIB, DAY));
    let plan = planned(&policy(rule()), &tree.inventory);
    let both = at("both.log", "");
    let expected = [
        format!("compress logs/{both} == {both}.zst"),
        format!("compress logs/{0} -> {0}.gz", at("gone.log", "")),
        format!("compress logs/{0} -> {0}.gz", at("renamed.txt", "")),
        "rotate logs/a.log -> a.log-20251124T210000Z.gz".to_owned(),
    ];
    assert_eq!(lines(&tree.inventory, &plan), expected);
    assert_eq!(code(&plan, held), Some("writer"));
    let mut uncompressed = rule();
    uncompressed.compress = Codec::None;
    let plan = planned(&policy(uncompressed), &tree.inventory);
    let expected = [
        format!("compress logs/{both} == {both}.zst"),
        "rotate logs/a.log -> a.log-20251124T210000Z".to_owned(),
    ];
    assert_eq!(lines(&tree.inventory, &plan), expected);
}

#[test]
fn retention_counts_what_this_run_rotates_and_waits_for_it() {
    let (mut tree, root) = logs();
    tree.add(root, "a.log", file(MIB, DAY));
    for days in 1..=3 {
        tree.add(root, stamped("a.log", days * DAY, ".gz"), file(10, DAY));
        tree.add(root, stamped("gone.log", days * DAY, ".gz"), file(10, DAY));
        tree.add(root, stamped("sub/a.log", days * DAY, ".gz"), file(10, DAY));
    }
    tree.add(root, stamped("a.log", 3 * DAY, ""), file(10, DAY));
    let mut rule = rule();
    rule.max_files = 2;
    let plan = planned(&policy(rule), &tree.inventory);
    let expected = [
        "rotate logs/a.log -> a.log-20251124T210000Z.gz".to_owned(),
        format!("expire logs/{}", stamped("a.log", 3 * DAY, "")),
        format!("expire logs/{}", stamped("a.log", 3 * DAY, ".gz")),
        format!("expire logs/{}", stamped("a.log", 2 * DAY, ".gz")),
        format!("expire logs/{}", stamped("gone.log", 3 * DAY, ".gz")),
        format!("expire logs/{}", stamped("sub/a.log", 3 * DAY, ".gz")),
    ];
    assert_eq!(lines(&tree.inventory, &plan), expected);
    let needs: Vec<Option<u32>> = plan
        .actions
        .iter()
        .map(super::super::action::Action::needs)
        .collect();
    assert_eq!(needs, [None, Some(0), Some(0), Some(0), None, None]);
    assert_eq!(
        plan.actions[3].reason.to_string(),
        "rotated file 3 of 2 kept"
    );
}

#[test]
fn a_log_with_the_name_of_a_glob_is_nobody_elses() {
    let (mut tree, root) = logs();
    for days in 1..=3 {
        tree.add(
            root,
            stamped("svc[12].log", days * DAY, ".gz"),
            file(10, DAY),
        );
        tree.add(root, stamped("svc1.log", days * DAY, ".gz"), file(10, DAY));
    }
    let mut rule = rule();
    rule.max_files = 3;
    let plan = planned(&policy(rule), &tree.inventory);
    assert!(plan.actions.is_empty());
}

#[test]
fn a_total_is_shared_by_the_logs_of_a_root() {
    let mut tree = Tree::new();
    let roots = ["logs", "more"].map(|shown| tree.root(Role::Logs, shown));
    for root in roots {
        for days in 1..=2 {
            tree.add(root, stamped("a.log", days * DAY, ".gz"), file(8192, DAY));
            tree.add(
                root,
                stamped("b.log", days * DAY + HOUR, ".gz"),
                file(8192, DAY),
            );
        }
    }
    let mut rule = rule();
    rule.max_total_size = Some(3 * 8192);
    let plan = planned(&policy(rule.clone()), &tree.inventory);
    let old = stamped("b.log", 2 * DAY + HOUR, ".gz");
    let expected = ["logs", "more"].map(|root| format!("expire {root}/{old}"));
    assert_eq!(lines(&tree.inventory, &plan), expected);
    assert_eq!(plan.estimate, Some(2 * 8192));
    rule.max_total_size = None;
    rule.min_free = Some(MinFree::Bytes((50 << 30) + 8193));
    let plan = planned(&policy(rule), &tree.inventory);
    assert_eq!(lines(&tree.inventory, &plan), expected);
}

#[test]
fn foreign_files_count_where_they_are_adopted() {
    let (mut tree, root) = logs();
    tree.add(root, "a.log.1", file(10, 3 * DAY));
    tree.add(root, "a.log.2.gz", file(10, 3 * DAY));
    tree.add(root, "a.log.2025-11-23", file(10, 9 * DAY));
    tree.add(root, stamped("a.log", 2 * DAY, ".gz"), file(10, 9 * DAY));
    let mut rule = rule();
    rule.adopt = true;
    rule.max_files = 3;
    let plan = planned(&policy(rule), &tree.inventory);
    assert_eq!(lines(&tree.inventory, &plan), ["expire logs/a.log.2.gz"]);
}

#[test]
fn a_rotated_file_that_somebody_has_open_stays() {
    let (mut tree, root) = logs();
    for days in 1..=3 {
        let id = tree.add(root, stamped("a.log", days * DAY, ".gz"), file(10, DAY));
        if days == 3 {
            tree.hold(id, 5, Hold::Read);
        }
    }
    let mut rule = rule();
    rule.max_files = 1;
    let plan = planned(&policy(rule), &tree.inventory);
    let second = stamped("a.log", 2 * DAY, ".gz");
    assert_eq!(
        lines(&tree.inventory, &plan),
        [format!("expire logs/{second}")]
    );
}

#[test]
fn unique_files_are_compressed_and_expire_in_place() {
    let (mut tree, root) = logs();
    tree.add(root, "run-1.log", file(MIB, DAY));
    let recent = tree.add(root, "run-2.log", file(MIB, HOUR));
    let held = tree.add(root, "run-3.log", file(MIB, DAY));
    tree.hold(held, 3, Hold::Read);
    tree.add(root, "run-4.log", file(MIB, 4 * DAY));
    tree.add(root, "run-4.log.gz", file(10, 4 * DAY));
    tree.add(root, "run-5.log", file(MIB, 5 * DAY));
    tree.add(root, "run-5.log.gz", file(10, 9 * DAY));
    tree.add(root, "run-6.log.gz", file(10, 6 * DAY));
    let empty = tree.add(root, "run-7.log", file(0, 6 * DAY));
    let mut rule = rule();
    rule.unique = true;
    rule.max_age = Some(Duration::from_hours(5 * 24 + 1));
    let plan = planned(&policy(rule.clone()), &tree.inventory);
    let again = rotated::stem(OsStr::new("run-5.log"), ago(5 * DAY), 1);
    let expected = [
        "compress logs/run-1.log -> run-1.log.gz".to_owned(),
        "compress logs/run-4.log == run-4.log.gz".to_owned(),
        format!("compress logs/run-5.log -> {}.gz", again.display()),
        "expire logs/run-5.log.gz".to_owned(),
        "expire logs/run-6.log.gz".to_owned(),
    ];
    assert_eq!(lines(&tree.inventory, &plan), expected);
    let codes = [recent, held, empty].map(|id| code(&plan, id));
    assert_eq!(
        codes,
        [Some("recently_used"), Some("in_use"), Some("empty")]
    );
    rule.compress = Codec::None;
    rule.max_age = Some(Duration::from_hours(4 * 24 + 1));
    let plan = planned(&policy(rule), &tree.inventory);
    let expected =
        ["run-5.log", "run-5.log.gz", "run-6.log.gz"].map(|n| format!("expire logs/{n}"));
    assert_eq!(lines(&tree.inventory, &plan), expected);
}

#[test]
fn the_estimate_uses_the_ratio_of_the_newest_compressed_file() {
    let (mut tree, root) = logs();
    tree.add(root, "a.log", file(10 * MIB, DAY));
    tree.add(root, stamped("a.log", 2 * DAY, ".gz"), file(MIB, DAY));
    let sample = tree.add(root, stamped("a.log", DAY, ".gz"), file(MIB, DAY));
    let policy = policy(rule());
    let claims = Claims::none(&tree.inventory);
    let wanted = expansion_wanted(&policy, &tree.inventory, &claims, Clock::at(NOW));
    assert_eq!(wanted, [sample]);
    assert_eq!(planned(&policy, &tree.inventory).estimate, None);
    tree.inventory.expanded.insert(sample, 5 * MIB);
    let wanted = expansion_wanted(&policy, &tree.inventory, &claims, Clock::at(NOW));
    assert!(wanted.is_empty());
    assert_eq!(planned(&policy, &tree.inventory).estimate, Some(8 << 20));
    let mut uncompressed = rule();
    uncompressed.compress = Codec::None;
    let plan = planned(&super::tests::policy(uncompressed), &tree.inventory);
    assert_eq!(plan.estimate, Some(0));
    assert_eq!(item_bytes(&tree.inventory, &plan.actions[0]), 10 * MIB);
}

#[test]
fn names_that_are_not_text_are_kept_as_they_are() {
    let (mut tree, root) = logs();
    let log = OsStr::from_bytes(b"\xff\xfe.log");
    tree.add(root, Path::new(log), file(MIB, DAY));
    let plan = planned(&policy(rule()), &tree.inventory);
    let Task::Rotate(task) = &plan.actions[0].task else {
        return assert!(plan.actions.is_empty());
    };
    assert_eq!(task.to.as_bytes(), b"\xff\xfe.log-20251124T210000Z");
    let after = applied(&tree.inventory, &plan);
    assert!(planned(&policy(rule()), &after).actions.is_empty());
}

#[test]
fn equal_files_of_several_directories_go_in_the_order_of_paths() {
    let mut rule = rule();
    rule.max_total_size = None;
    rule.min_free = Some(MinFree::Bytes((50 << 30) + 1));
    for unique in [false, true] {
        rule.unique = unique;
        let plans = [["a", "b"], ["b", "a"]].map(|directories| {
            let (mut tree, root) = logs();
            for directory in directories {
                for days in 1..=2 {
                    let name = format!("{directory}/{}", stamped("x.log", days * DAY, ".gz"));
                    tree.add(root, name, file(4096, DAY));
                }
            }
            let plan = planned(&policy(rule.clone()), &tree.inventory);
            lines(&tree.inventory, &plan)
        });
        assert_eq!(plans[0].len(), 1);
        assert_eq!(plans[0], plans[1], "unique = {unique}");
    }
}

#[test]
fn a_finished_file_and_its_published_form_expire_together() {
    let (mut tree, root) = logs();
    tree.add(root, "run-1.log", file(MIB, 9 * DAY));
    tree.add(root, "run-1.log.gz", file(10, 9 * DAY));
    tree.add(root, "run-2.log.gz", file(10, DAY));
    let mut rule = rule();
    rule.unique = true;
    rule.max_age = Some(Duration::from_hours(5 * 24));
    let plan = planned(&policy(rule.clone()), &tree.inventory);
    let both = ["run-1.log", "run-1.log.gz"].map(|name| format!("expire logs/{name}"));
    assert_eq!(lines(&tree.inventory, &plan), both);
    rule.max_age = None;
    let plan = planned(&policy(rule), &tree.inventory);
    let finish = ["compress logs/run-1.log == run-1.log.gz"];
    assert_eq!(lines(&tree.inventory, &plan), finish);
}

#[test]
fn only_the_mode_rename_renames_despite_a_writer_that_appears_later() {
    for (mode, expected) in [(LogMode::Auto, false), (LogMode::Rename, true)] {
        let (mut tree, root) = logs();
        tree.add(root, "a.log", file(MIB, DAY));
        let mut rule = rule();
        rule.mode = mode;
        let plan = planned(&policy(rule), &tree.inventory);
        let tasks: Vec<bool> = plan
            .actions
            .iter()
            .filter_map(|action| match &action.task {
                Task::Rotate(task) => Some(task.despite_writers),
                _ => None,
            })
            .collect();
        assert_eq!(tasks, [expected], "{}", mode.name());
    }
}

#[test]
fn without_a_process_table_only_what_loses_no_line_is_done() {
    let table = [
        (LogMode::Auto, Some("unseen")),
        // Its lines go on to be in one of the two files.
        (LogMode::Rename, None),
        // A writer that does not append would fill what it lost with zeros.
        (LogMode::CopyTruncate, Some("unseen")),
        (LogMode::Punch, None),
    ];
    for (mode, expected) in table {
        let (mut tree, root) = logs();
        let log = tree.add(root, "a.log", file(2 * MIB, DAY));
        tree.inventory.open.visibility = Visibility::default();
        let plan = planned(&policy(LogRule { mode, ..rule() }), &tree.inventory);
        assert_eq!(code(&plan, log), expected, "{mode:?}");
        assert_eq!(plan.actions.len(), usize::from(expected.is_none()));
        assert_eq!(plan.warnings.len(), usize::from(expected.is_some()));
        if let Some(Task::Rotate(rotate)) = plan.actions.first().map(|action| &action.task) {
            assert_eq!(rotate.compress, Codec::None);
        }
    }
}

#[test]
fn without_a_process_table_rotated_files_are_neither_compressed_nor_expired() {
    let (mut tree, root) = logs();
    let names = [
        stamped("a.log", 3 * DAY, ".gz"),
        stamped("a.log", 2 * DAY, ""),
        stamped("a.log", DAY, ".gz"),
    ];
    let ids = names.map(|name| tree.add(root, name, file(MIB, DAY)));
    let limits = LogRule {
        max_files: 2,
        ..rule()
    };
    let seen = planned(&policy(limits.clone()), &tree.inventory);
    assert_eq!(seen.actions.len(), 2);
    tree.inventory.open.visibility = Visibility::default();
    let plan = planned(&policy(limits), &tree.inventory);
    assert!(plan.actions.is_empty());
    let codes = ids.map(|id| code(&plan, id));
    assert_eq!(codes, [Some("unseen"), Some("unseen"), Some("retained")]);
    assert!(plan.warnings[0].contains("2 of what was due"));
}

#[test]
fn without_a_process_table_a_file_written_once_is_not_taken_for_finished() {
    let (mut tree, root) = logs();
    let run = tree.add(root, "run-1.log", file(MIB, DAY));
    let unique = LogRule {
        unique: true,
        ..rule()
    };
    assert_eq!(
        planned(&policy(unique.clone()), &tree.inventory)
            .actions
            .len(),
        1
    );
    tree.inventory.open.visibility = Visibility::default();
    let plan = planned(&policy(unique), &tree.inventory);
    assert!(plan.actions.is_empty());
    assert_eq!(code(&plan, run), Some("unseen"));
}

#[test]
fn the_kernel_is_asked_for_writers_where_it_matters_and_no_process_shows_one() {
    let signal = Signal {
        name: "HUP".into(),
        pid_file: "/run/x.pid".into(),
    };
    let told = LogRule {
        signal: Some(signal),
        ..rule()
    };
    let hooked = LogRule {
        post_rotate: Some(vec!["true".into()]),
        ..rule()
    };
    let of = |mode| LogRule { mode, ..rule() };
    let table = [
        ("auto", of(LogMode::Auto), None, true),
        ("auto, a reader", of(LogMode::Auto), Some(Hold::Read), true),
        (
            "auto, a writer",
            of(LogMode::Auto),
            Some(Hold::Append),
            false,
        ),
        ("its writer is told", told, None, false),
        ("a hook", hooked, None, false),
        ("copy-truncate", of(LogMode::CopyTruncate), None, true),
        ("rename", of(LogMode::Rename), None, false),
        ("punch", of(LogMode::Punch), None, false),
    ];
    for (case, rule, hold, expected) in table {
        let (mut tree, root) = logs();
        let log = tree.add(root, "a.log", file(2 * MIB, DAY));
        if let Some(hold) = hold {
            tree.hold(log, 42, hold);
        }
        let claims = Claims::none(&tree.inventory);
        let wanted = leases_wanted(&policy(rule), &tree.inventory, &claims, Clock::at(NOW));
        assert_eq!(wanted, vec![log; usize::from(expected)], "{case}");
    }
}

#[test]
fn a_log_is_due_only_after_its_time_less_the_slack() {
    let hourly = LogRule {
        rotate_after: Some(Duration::from_hours(1)),
        ..rule()
    };
    for (seconds, expected) in [(HOUR - MINUTE, 0), (HOUR - MINUTE + 1, 1)] {
        let (mut tree, root) = logs();
        tree.add(root, "a.log", file(1, seconds));
        let plan = planned(&policy(hourly.clone()), &tree.inventory);
        assert_eq!(plan.actions.len(), expected, "{seconds}");
    }
}
