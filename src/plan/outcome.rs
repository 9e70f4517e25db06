//! What came of a plan.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::action::Plan;
use super::agents::Effect;

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Shown, not done.
    Planned,
    /// Done.
    Done,
    /// It was not what was planned any more, and was left alone.
    Changed,
    /// Done in part; a later run finishes it.
    Deferred,
    /// Tried, and failed; nothing is lost.
    Failed,
    /// Not tried: the run was ended, or what it needs failed.
    NotReached,
}

/// What became of the actions of one operation.
#[derive(Clone, Debug, Default)]
pub struct OperationOutcome {
    /// One for each action.
    pub statuses: Vec<Status>,
    /// Allocated bytes that the filesystem gave back, less what was written in their place; `None`
    /// where a dry run cannot tell.
    pub bytes_freed: Option<i64>,
    /// The cause of each failure, by action.
    pub errors: HashMap<u32, String>,
    /// What a person should know of an action (why it is deferred, what changed).
    pub notes: HashMap<u32, String>,
    /// What failed beside the actions: sysopt's own records, with the path as reports show it.
    pub faults: Vec<(PathBuf, String)>,
    /// What was measured of actions on agents, by action.
    pub effects: HashMap<u32, Effect>,
    /// How long it took.
    pub duration: Duration,
}

/// A plan, and what became of it.
#[derive(Debug)]
pub struct Outcome {
    /// The plan.
    pub plan: Plan,
    /// One for each operation.
    pub operations: Vec<OperationOutcome>,
    /// The run was ended by a signal or a time limit.
    pub ended: Option<Ended>,
}

/// Why a run stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By this signal.
    Signal(i32),
    /// By `--timeout`.
    Timeout,
}

impl Outcome {
    /// A plan that is only shown.
    #[must_use]
    pub fn shown(plan: Plan) -> Self {
        let operations = plan
            .operations
            .iter()
            .map(|operation| OperationOutcome {
                statuses: vec![Status::Planned; operation.actions.len()],
                bytes_freed: operation.estimate,
                ..OperationOutcome::default()
            })
            .collect();
        Self {
            plan,
            operations,
            ended: None,
        }
    }
}

/// Who is told how far `apply` has come.
pub trait Progress {
    /// A new operation with this many actions and bytes to read.
    fn begin(&self, operation: super::action::Operation, actions: u64, bytes: u64);
    /// An action ended.
    fn action(&self);
    /// So many more bytes were read.
    fn bytes(&self, count: u64);
}
