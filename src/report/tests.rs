//! The renderings of small runs: word by word as text, by its shape as JSON.

#![allow(clippy::unwrap_used, reason = "tests")]

mod json;
mod judge;
mod status;
mod text;

use std::io::Write as _;

use serde_json::Value;

use super::look::Look;
use super::model::{Report, Run};
use super::sample::{MIB, Tree, cycle, planned, run};
use super::status_text;
use crate::plan::action::{Operation, OperationPlan, Plan, Subject, Task, Verb};
use crate::plan::entry::Role;
use crate::plan::outcome::{Outcome, Status};
use crate::plan::reason::Reason;

const PLAIN: Look = Look {
    color: false,
    unicode: true,
    width: None,
};

fn render(run: &Run, look: Look, troubles: bool) -> String {
    let mut out = Vec::new();
    super::text::write(Report::new(run), look, troubles, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn to_json(run: &Run) -> Value {
    serde_json::from_str(&serde_json::to_string(&Report::new(run)).unwrap()).unwrap()
}

/// An outcome of one operation over some cache files and logs, ended as given.
fn ended(operation: Operation, actions: &[(Verb, Status)], freed: Option<i64>) -> Outcome {
    let mut tree = Tree::default();
    let (_, top) = tree.root(Role::Cache, "cache");
    let mut plan = OperationPlan::new(operation);
    for (number, (verb, _)) in actions.iter().enumerate() {
        let file = tree.file(top, format!("f{number}").as_bytes(), MIB);
        plan.act(*verb, Subject::Entry(file), Reason::Forced, Task::Unlink);
    }
    let mut outcome = Outcome::shown(Plan {
        inventory: tree.inventory,
        operations: vec![plan],
    });
    let statuses = actions.iter().map(|(_, status)| *status);
    outcome.operations[0].statuses = statuses.collect();
    outcome.operations[0].bytes_freed = freed;
    outcome
}

fn around(outcome: &Outcome) -> Run<'_> {
    Run {
        outcome: Some(outcome),
        ..Run::default()
    }
}

#[test]
#[ignore = "prints the samples, to look at them"]
fn look_at_it() {
    let look = Look {
        color: true,
        unicode: true,
        width: Some(100),
    };
    let mut out = std::io::stderr().lock();
    for (outcome, dry) in [(planned(), true), (cycle(), false)] {
        for verbose in [false, true] {
            let mut run = run(&outcome, dry);
            run.verbose = verbose;
            writeln!(out, "\n{}", render(&run, look, true)).unwrap();
        }
    }
    status_text::write(&status::status(), look, &mut out).unwrap();
}
