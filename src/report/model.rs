//! The view of a run that every rendering shares: what counts as success, as an item, as an error.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::message;
use super::rows::Rows;
use super::schedule::Schedule;
use super::trouble::{Failure, Trouble};
use crate::plan::action::{Action, Operation, OperationPlan, Plan, Verb, shown_subject};
use crate::plan::agents::Effect;
use crate::plan::entry::Inventory;
use crate::plan::host::Metrics;
use crate::plan::outcome::{Ended, OperationOutcome, Outcome, Status};
use crate::plan::time::Time;

/// All that is known of a run when it is over, also of one that failed before there was a plan.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the run"
)]
#[derive(Clone, Debug, Default)]
pub struct Run<'a> {
    /// The subcommand.
    pub command: String,
    /// Nothing was changed.
    pub dry_run: bool,
    /// When it began.
    pub started: Time,
    /// How long it took.
    pub duration: Duration,
    /// The base, absolute.
    pub base: PathBuf,
    /// The configuration file; `None` where there is none.
    pub config: Option<PathBuf>,
    /// The plan and what came of it; `None` where the run failed before.
    pub outcome: Option<&'a Outcome>,
    /// What `restore-models --list` or `--verify` found.
    pub rows: Option<Rows>,
    /// A cycle before its time: when it is due, in words.
    pub skipped: Option<String>,
    /// Share of successes where it is not that of the operations in the plan (one that was not due
    /// counts with its last result).
    pub success_rate: Option<f64>,
    /// What was due, and when the rest is; only of a cycle.
    pub schedule: Option<Schedule>,
    /// Load before; only of a cycle.
    pub before: Option<Metrics>,
    /// Load after; only of a cycle.
    pub after: Option<Metrics>,
    /// What the user should know, beside the warnings of the plan.
    pub warnings: Vec<String>,
    /// What failed outside of the operations.
    pub errors: Vec<Failure>,
    /// A signal ended it before there was an outcome.
    pub interrupted: bool,
    /// `--verbose`.
    pub verbose: bool,
    /// Leave out the lists of items, as the history does.
    pub brief: bool,
    /// The exit code; 128 and the signal where a signal ends the run.
    pub exit: u8,
}

/// The word for a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was due is done.
    Success,
    /// Some of it failed, or was not reached in time.
    Partial,
    /// Nothing could be done.
    Failure,
    /// Nothing was due.
    Skipped,
    /// A signal ended it.
    Interrupted,
}

impl Verdict {
    /// All of them.
    const ALL: [Self; 5] = [
        Self::Success,
        Self::Partial,
        Self::Failure,
        Self::Skipped,
        Self::Interrupted,
    ];

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Judges a run; the exit code follows from it.
#[must_use]
pub fn verdict(run: &Run) -> Verdict {
    if run.skipped.is_some() {
        return Verdict::Skipped;
    }
    if run.interrupted {
        return Verdict::Interrupted;
    }
    let Some(outcome) = run.outcome else {
        return Verdict::Failure;
    };
    if matches!(outcome.ended, Some(Ended::Signal(_))) {
        return Verdict::Interrupted;
    }
    let mut operations = operations(run).peekable();
    if operations.peek().is_some() && operations.all(View::is_hopeless) {
        return Verdict::Failure;
    }
    let failed = self::operations(run).any(|operation| !operation.success());
    if failed || outcome.ended.is_some() || !run.errors.is_empty() {
        return Verdict::Partial;
    }
    Verdict::Success
}

/// The operations of a run, in order.
pub fn operations<'a>(run: &'a Run) -> impl Iterator<Item = View<'a>> {
    run.outcome.into_iter().flat_map(|outcome| {
        let plan = &outcome.plan;
        plan.operations.iter().enumerate().map(|(index, planned)| {
            let restoring = planned.operation == Operation::ModelRestoring;
            View {
                whole: plan,
                plan: planned,
                outcome: outcome.operations.get(index),
                rows: run.rows.as_ref().filter(|_| restoring),
                dry_run: run.dry_run,
                verbose: run.verbose,
                brief: run.brief,
            }
        })
    })
}

/// How many actions ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Shown, not done.
    pub planned: u64,
    /// Done.
    pub done: u64,
    /// Left alone.
    pub changed: u64,
    /// Done in part.
    pub deferred: u64,
    /// Failed.
    pub failed: u64,
    /// Not tried.
    pub not_reached: u64,
}

/// One operation, planned and applied.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The plan of all operations.
    pub whole: &'a Plan,
    /// What was planned.
    pub plan: &'a OperationPlan,
    /// What came of it; `None` where it was not reached.
    pub outcome: Option<&'a OperationOutcome>,
    /// What it found, where it only answers a question.
    pub rows: Option<&'a Rows>,
    /// Nothing was changed.
    pub dry_run: bool,
    /// List what was kept.
    pub verbose: bool,
    /// Leave out the lists of items.
    pub brief: bool,
}

/// An action with its number and its end.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Its place in the plan.
    pub number: u32,
    /// What was planned.
    pub action: &'a Action,
    /// What became of it.
    pub status: Status,
}

impl<'a> View<'a> {
    /// What the plan was made from.
    #[must_use]
    pub const fn inventory(self) -> &'a Inventory {
        &self.whole.inventory
    }

    /// The actions.
    pub fn items(self) -> impl Iterator<Item = Item<'a>> {
        let statuses: &[Status] = self.outcome.map_or(&[], |outcome| &outcome.statuses);
        (0u32..).zip(&self.plan.actions).map(|(number, action)| {
            let status = statuses.get(number as usize).copied();
            Item {
                number,
                action,
                status: status.unwrap_or(Status::NotReached),
            }
        })
    }

    /// How many ended in which way.
    #[must_use]
    pub fn tally(self) -> Tally {
        let mut tally = Tally::default();
        for item in self.items() {
            *match item.status {
                Status::Planned => &mut tally.planned,
                Status::Done => &mut tally.done,
                Status::Changed => &mut tally.changed,
                Status::Deferred => &mut tally.deferred,
                Status::Failed => &mut tally.failed,
                Status::NotReached => &mut tally.not_reached,
            } += 1;
        }
        tally
    }

    /// Actions done, or planned in a dry run.
    #[must_use]
    pub fn processed(self) -> u64 {
        let tally = self.tally();
        tally.done + tally.planned
    }

    /// Bytes that the filesystem gave back, or will; `None` where that cannot be told.
    #[must_use]
    pub fn bytes_freed(self) -> Option<i64> {
        self.outcome.map_or(Some(0), |outcome| outcome.bytes_freed)
    }

    /// No item failed, none was left out, and everything could be read.
    #[must_use]
    pub fn success(self) -> bool {
        let tally = self.tally();
        tally.failed == 0 && tally.not_reached == 0 && self.troubles().next().is_none()
    }

    /// It failed, and there is nothing that it did or even looked at with success.
    fn is_hopeless(self) -> bool {
        let tally = self.tally();
        let acted = tally.planned + tally.done + tally.changed + tally.deferred > 0;
        let looked = self.plan.actions.is_empty() && !self.plan.kept.is_empty();
        let answered = self
            .rows
            .is_some_and(|rows| rows.wrong().count() < rows.len());
        !self.success() && !acted && !looked && !answered
    }

    /// What went wrong: first what could not be read, then the actions in order.
    pub fn troubles(self) -> impl Iterator<Item = Trouble<'a>> {
        let unread = self.plan.problems.iter().map(|problem| Trouble {
            path: Some(Cow::Borrowed(problem.path.as_path())),
            action: None,
            tried: Some("read"),
            error: &problem.error,
            below: &[],
        });
        let failed = self
            .items()
            .filter(|item| item.status == Status::Failed)
            .map(move |item| Trouble {
                path: Some(Cow::Owned(shown_subject(
                    self.inventory(),
                    item.action.subject,
                ))),
                action: Some(message::name(item.action.verb)),
                tried: Some(message::tried(item.action.verb)),
                error: self.error(item.number).unwrap_or("failed"),
                below: &[],
            });
        let wrong = self.rows.into_iter().flat_map(|rows| {
            rows.wrong().map(|(path, error)| Trouble {
                path: Some(Cow::Borrowed(path)),
                action: None,
                tried: None,
                error,
                below: &[],
            })
        });
        let verb = match self.plan.operation {
            Operation::ModelArchiving => Verb::Archive,
            _ => Verb::Restore,
        };
        let refused = self.plan.refused.iter().map(move |(path, error)| Trouble {
            path: Some(Cow::Borrowed(path.as_path())),
            action: Some(message::name(verb)),
            tried: Some(message::tried(verb)),
            error,
            below: &[],
        });
        unread.chain(refused).chain(failed).chain(wrong)
    }

    /// The cause of a failure.
    #[must_use]
    pub fn error(self, number: u32) -> Option<&'a str> {
        Some(self.outcome?.errors.get(&number)?.as_str())
    }

    /// What a person should know of an action.
    #[must_use]
    pub fn note(self, number: u32) -> Option<&'a str> {
        Some(self.outcome?.notes.get(&number)?.as_str())
    }

    /// What was measured of an action on agents.
    #[must_use]
    pub fn effect(self, number: u32) -> Option<&'a Effect> {
        self.outcome?.effects.get(&number)
    }

    /// How many were kept, by the code of the reason.
    #[must_use]
    pub fn kept(self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for kept in &self.plan.kept {
            *counts.entry(kept.reason.code()).or_default() += 1;
        }
        counts
    }
}

/// A run as reports show it; [`serde::Serialize`] is the JSON of `sysopt.report/1`.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What it is about.
    pub run: &'a Run<'a>,
    /// The word for it.
    pub verdict: Verdict,
    /// Share of the operations that succeeded.
    pub success_rate: f64,
    /// Items of all operations.
    pub items: u64,
    /// Bytes of all operations; `None` where one cannot be told.
    pub bytes_freed: Option<i64>,
    /// Bytes of the operations where they can be told.
    pub bytes_known: i64,
}

impl<'a> Report<'a> {
    /// Sums up a run.
    #[must_use]
    pub fn new(run: &'a Run<'a>) -> Self {
        let verdict = verdict(run);
        let (mut all, mut good, mut items) = (0u32, 0u32, 0);
        let (mut known, mut complete) = (0i64, true);
        for operation in operations(run) {
            all += 1;
            good += u32::from(operation.success());
            items += operation.processed();
            complete &= operation.bytes_freed().is_some();
            known = known.saturating_add(operation.bytes_freed().unwrap_or(0));
        }
        let share = if all == 0 {
            let none = matches!(verdict, Verdict::Failure | Verdict::Interrupted);
            f64::from(u8::from(!none))
        } else {
            f64::from(good) / f64::from(all)
        };
        Self {
            run,
            verdict,
            success_rate: run.success_rate.unwrap_or(share),
            items,
            bytes_freed: complete.then_some(known),
            bytes_known: known,
        }
    }

    /// The operations, in order.
    pub fn operations(self) -> impl Iterator<Item = View<'a>> {
        operations(self.run)
    }

    /// The warnings, first those of the run.
    pub fn warnings(self) -> impl Iterator<Item = &'a str> {
        let planned = self.operations().flat_map(|view| &view.plan.warnings);
        self.run.warnings.iter().chain(planned).map(String::as_str)
    }

    /// Everything that went wrong, first outside of the operations.
    pub fn troubles(self) -> impl Iterator<Item = Trouble<'a>> {
        let inside = self.operations().flat_map(View::troubles);
        self.run.errors.iter().map(Trouble::from).chain(inside)
    }
}
