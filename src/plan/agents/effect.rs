//! What came of asking: measured from outside, two seconds later.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::plan::action::{OperationPlan, Task};
use crate::plan::host::Ticks;
use crate::plan::outcome::OperationOutcome;

/// A process as it is just before a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The boot in which it runs.
    pub boot_id: String,
    /// When it started, in clock ticks after boot.
    pub start_ticks: u64,
    /// Its real user.
    pub uid: u32,
    /// A bit for each signal that has a handler.
    pub caught: u64,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
}

/// Who reads the machine for `apply`.
pub trait Machine {
    /// A process as it is now; `None` where it is gone, or cannot be read.
    fn standing(&self, pid: u32) -> Option<Standing>;
    /// Bytes that new programs could use.
    fn memory_available(&self) -> Option<u64>;
    /// Processor time of the machine.
    fn ticks(&self) -> Option<Ticks>;
}

/// How an opt-in action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Done, and a figure moved as it was meant to.
    AppliedEffective,
    /// Done, and no figure moved enough to tell.
    AppliedNoMeasurableEffect,
    /// Not done, because it would have been wrong.
    Refused,
    /// Not done, because there was no need or no time.
    Skipped,
}

/// What was read before an action.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// Bytes that new programs could use.
    pub memory_available: Option<u64>,
    /// Resident memory of the agent.
    pub rss_bytes: Option<u64>,
    /// Processor time of the machine.
    pub ticks: Option<Ticks>,
}

/// Figures before and after. "Includes other activity": the machine does not stand still.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Change of the memory available on the whole machine.
    pub mem_available_delta_bytes: Option<i64>,
    /// Resident memory of the agent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_before_bytes: Option<u64>,
    /// And after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_after_bytes: Option<u64>,
    /// Processor use that led to the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_before_percent: Option<f64>,
    /// Processor use since the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_after_percent: Option<f64>,
    /// When the second figure was read, in seconds after the first.
    pub after_seconds: f64,
    /// What the figures hold beside the effect.
    pub note: &'static str,
}

/// An action's end, with its figures where it was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// How it ended.
    pub result: Verdict,
    /// The figures.
    pub effects: Option<Measured>,
}

impl Effect {
    /// It was not done.
    #[must_use]
    pub const fn none(result: Verdict) -> Self {
        Self {
            result,
            effects: None,
        }
    }
}

/// Memory that an agent gave back counts from here on, as does a hundredth of what it held.
const LEAST_BYTES: u64 = 1 << 20;

/// Processor use that fell by so many points.
const LEAST_POINTS: f64 = 10.0;

/// Judges what was measured: an agent that was asked should hold less, a machine whose agents were
/// asked to go slower should have less to do.
#[must_use]
pub fn judge(task: &Task, measured: Measured) -> Effect {
    let effective = match task {
        Task::Reclaim(_) => measured
            .rss_before_bytes
            .zip(measured.rss_after_bytes)
            .is_some_and(|(before, after)| {
                before.saturating_sub(after) >= (before / 100).max(LEAST_BYTES)
            }),
        Task::Pace(pace) if pace.content.multiplier > 1.0 => measured
            .cpu_before_percent
            .zip(measured.cpu_after_percent)
            .is_some_and(|(before, after)| before - after >= LEAST_POINTS),
        _ => false,
    };
    Effect {
        result: if effective {
            Verdict::AppliedEffective
        } else {
            Verdict::AppliedNoMeasurableEffect
        },
        effects: Some(measured),
    }
}

/// The metadata of a plan after this became of its actions: each result, and the memory of the
/// whole machine.
#[must_use]
pub fn metadata_after(
    plan: &OperationPlan,
    done: &OperationOutcome,
) -> BTreeMap<&'static str, serde_json::Value> {
    let mut metadata = plan.metadata.clone();
    let Some(results) = metadata.get_mut("results").and_then(|r| r.as_array_mut()) else {
        return metadata;
    };
    let planned = results.iter_mut().filter(|one| one["result"] == "planned");
    let mut first = None;
    for (number, result) in (0_u32..).zip(planned) {
        if let Some(effect) = done.effects.get(&number) {
            result["result"] = json!(effect.result);
            result["effects"] = json!(effect.effects);
            first = first.or(effect.effects.as_ref());
        }
    }
    if let Some(measured) = first {
        let effects = json!({
            "mem_available_delta_bytes": measured.mem_available_delta_bytes,
            "after_seconds": measured.after_seconds, "note": measured.note,
        });
        metadata.insert("effects", effects);
    }
    metadata
}
