//! The words for what came of a plan: verdicts and messages.

use std::path::PathBuf;

use serde_json::json;

use super::{around, ended};
use crate::plan::action::{Operation, Subject, Verb};
use crate::plan::entry::{Problem, RootId};
use crate::plan::outcome::{Ended, Status};
use crate::plan::reason::Keep;
use crate::report::message;
use crate::report::model::{Report, Verdict, operations, verdict};
use crate::report::sample::{MIB, cycle, run};
use crate::report::trouble::Failure;

/// An operation, its actions and their ends, bytes freed, and the message.
type Case<'a> = (Operation, &'a [(Verb, Status)], Option<i64>, &'a str);

#[test]
fn messages_follow_the_mood_and_the_number() {
    use Operation::{CacheCleanup, GarbageCollection, LogRotation, ModelArchiving};
    use Status::{Changed, Deferred, Done, Failed, NotReached, Planned};
    use Verb::{Archive, Delete, Evict, Expire, Rotate};
    let free = Some(i64::try_from(120 * MIB).unwrap());
    let table: [Case; 14] = [
        (
            LogRotation,
            &[(Rotate, Done); 2],
            free,
            "rotated 2 logs, freed 120.0 MiB",
        ),
        (
            LogRotation,
            &[(Rotate, Planned); 2],
            free,
            "would rotate 2 logs, free 120.0 MiB",
        ),
        (
            LogRotation,
            &[(Rotate, Planned)],
            None,
            "would rotate 1 log",
        ),
        (LogRotation, &[], Some(0), "nothing to rotate"),
        (
            LogRotation,
            &[(Rotate, Done), (Expire, Done)],
            Some(-512),
            "rotated 1 log, expired 1 rotated file, took 512 B more",
        ),
        (
            CacheCleanup,
            &[(Evict, Done)],
            Some(0),
            "evicted 1 cache file, freed 0 B",
        ),
        (
            CacheCleanup,
            &[(Evict, Failed); 3],
            Some(0),
            "nothing done; 3 failed",
        ),
        (
            CacheCleanup,
            &[(Evict, Done), (Evict, Changed), (Evict, NotReached)],
            free,
            "evicted 1 cache file, freed 120.0 MiB; 1 changed meanwhile, 1 not reached",
        ),
        (
            LogRotation,
            &[(Rotate, Deferred)],
            Some(0),
            "nothing done; 1 left for a later run to finish",
        ),
        (
            ModelArchiving,
            &[(Archive, Done), (Expire, Done)],
            Some(512),
            "archived 1 model, expired 1 archived version, freed 512 B",
        ),
        (
            ModelArchiving,
            &[(Delete, Planned); 2],
            free,
            "would delete 2 models, free 120.0 MiB",
        ),
        (
            ModelArchiving,
            &[(Archive, Done)],
            Some(0),
            "archived 1 model",
        ),
        (
            GarbageCollection,
            &[(Delete, Done); 2],
            Some(1024),
            "deleted 2 dead objects, freed 1.0 KiB",
        ),
        (GarbageCollection, &[], Some(0), "nothing to collect"),
    ];
    for (operation, actions, freed, expected) in table {
        let outcome = ended(operation, actions, freed);
        let run = around(&outcome);
        let view = operations(&run).next().unwrap();
        assert_eq!(message::message(view), expected);
    }
}

#[test]
fn verbs_in_json_are_the_contract() {
    for verb in [
        Verb::Delete,
        Verb::Evict,
        Verb::Rotate,
        Verb::Compress,
        Verb::Archive,
        Verb::Expire,
        Verb::Restore,
        Verb::RemoveDirectory,
        Verb::Signal,
        Verb::Hook,
    ] {
        assert_eq!(json!(verb), json!(message::name(verb)));
    }
}

#[test]
fn the_verdict_follows_from_what_came_of_the_plan() {
    use Status::{Changed, Deferred, Done, Failed, NotReached, Planned};
    let table: [(&[Status], Option<Ended>, Verdict); 10] = [
        (&[], None, Verdict::Success),
        (&[Planned], None, Verdict::Success),
        (&[Done, Changed, Deferred], None, Verdict::Success),
        (&[Done, Failed], None, Verdict::Partial),
        (&[Changed, Failed], None, Verdict::Partial),
        (&[Failed, Failed], None, Verdict::Failure),
        (&[Failed, NotReached], None, Verdict::Failure),
        (&[Done, NotReached], Some(Ended::Timeout), Verdict::Partial),
        (&[Done], Some(Ended::Signal(15)), Verdict::Interrupted),
        (&[Failed], Some(Ended::Signal(2)), Verdict::Interrupted),
    ];
    for (statuses, end, expected) in table {
        let actions: Vec<_> = statuses
            .iter()
            .map(|status| (Verb::Evict, *status))
            .collect();
        let mut outcome = ended(Operation::CacheCleanup, &actions, Some(0));
        outcome.ended = end;
        assert_eq!(verdict(&around(&outcome)), expected, "{statuses:?} {end:?}");
    }
}

#[test]
fn what_cannot_be_read_counts_as_a_failure() {
    let mut outcome = ended(Operation::CacheCleanup, &[], Some(0));
    outcome.plan.operations[0].problems.push(Problem {
        root: RootId(0),
        path: PathBuf::from("cache"),
        error: "Permission denied (os error 13)".to_owned(),
    });
    assert_eq!(verdict(&around(&outcome)), Verdict::Failure);
    // Something was read, and nothing was due.
    let top = outcome.plan.inventory.roots[0].top.unwrap();
    outcome.plan.operations[0].keep(Subject::Directory(top), Keep::WithinBudget);
    assert_eq!(verdict(&around(&outcome)), Verdict::Partial);
}

#[test]
fn one_operation_that_works_makes_a_cycle_partial() {
    let outcome = cycle();
    let run = run(&outcome, false);
    let report = Report::new(&run);
    assert_eq!(report.verdict, Verdict::Partial);
    assert!((report.success_rate - 5.0 / 6.0).abs() < 1e-9);
}

#[test]
fn an_error_outside_of_the_operations_is_not_success() {
    let outcome = ended(Operation::CacheCleanup, &[], Some(0));
    let mut run = around(&outcome);
    run.errors.push(Failure {
        error: "state not written".to_owned(),
        ..Failure::default()
    });
    assert_eq!(verdict(&run), Verdict::Partial);
}
