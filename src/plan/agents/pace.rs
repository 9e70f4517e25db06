//! The pace file: how much slower agents should go, as advice that they can read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Given;
use crate::plan::action::{OperationPlan, Subject, Task, Verb};
use crate::plan::entry::Inventory;
use crate::plan::policy::{AgentsPolicy, LoadPolicy};
use crate::plan::reason::{Keep, Reason, Words};
use crate::plan::time::Time;

/// From this share of the threshold on, agents are asked to go a little slower: 60 % of 80 %.
const MODERATE: f64 = 0.75;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PaceFile {
    /// What an agent multiplies its intervals with.
    pub multiplier: f64,
    /// Why, in words.
    pub reason: String,
    /// Until when it holds; a reader takes 1.0 after that.
    pub until: Time,
}

impl PaceFile {
    /// Reads a pace file; `None` where the bytes are none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// What has the name of the pace file now.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Present {
    /// Nothing.
    #[default]
    Missing,
    /// A pace file.
    Pace(PaceFile),
    /// Something else, which stays.
    Foreign,
}

/// A pace file to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Where, absolute.
    pub path: PathBuf,
    /// What.
    pub content: PaceFile,
    /// Processor use that led to it, in percent.
    pub cpu_percent: Option<f64>,
}

/// How much slower: by processor use that lasts.
fn multiplier(cpu_percent: f64, threshold: f64) -> f64 {
    if cpu_percent > threshold {
        1.5
    } else if cpu_percent > threshold * MODERATE {
        1.2
    } else {
        1.0
    }
}

/// What the agents should be told; `None` where the load is not known. Load has to be seen in two
/// runs, or as pressure, to slow anybody down; to be gone, in one.
fn advised(load: &LoadPolicy, given: &Given<'_>) -> Option<(f64, String)> {
    let observed = &given.observed;
    let now = observed.metrics.cpu_percent?;
    let stalls = observed
        .metrics
        .pressure_averages
        .cpu
        .is_some_and(|stall| stall.lasts());
    let then = observed.earlier.and_then(|earlier| earlier.cpu_percent);
    let level = |used| multiplier(used, load.cpu_percent);
    let lasting = if stalls {
        level(now)
    } else {
        level(now).min(then.map_or(1.0, level))
    };
    let how = if stalls { "tasks wait" } else { "in two runs" };
    let reason = if lasting > 1.0 {
        format!("cpu {now:.1} %, {how}")
    } else {
        format!("cpu {now:.1} %, no lasting load")
    };
    Some((lasting, reason))
}

pub(super) fn plan(
    policy: &AgentsPolicy,
    load: &LoadPolicy,
    given: &Given<'_>,
    inventory: &mut Inventory,
    plan: &mut OperationPlan,
    results: &mut Vec<Value>,
) {
    let Some(path) = &policy.pace_file else {
        return;
    };
    let subject = Subject::Named(inventory.name_subject(&path.to_string_lossy()));
    let result = match decide(load, given) {
        Ok((content, reason)) => {
            let task = Task::Pace(Box::new(Pace {
                path: path.clone(),
                content,
                cpu_percent: given.observed.metrics.cpu_percent,
            }));
            plan.act(Verb::Pace, subject, reason, task);
            json!({ "action": "pace", "result": "planned" })
        }
        Err(keep) => {
            let result = json!({
                "action": "pace", "result": keep.code(), "reason": keep.to_string(),
            });
            plan.keep(subject, keep);
            result
        }
    };
    results.push(result);
}

fn decide(load: &LoadPolicy, given: &Given<'_>) -> Result<(PaceFile, Reason), Keep> {
    if *given.pace == Present::Foreign {
        let why = "what has its name is no pace file, and stays; move it away";
        return Err(Keep::Refused(why.into()));
    }
    let Some((multiplier, reason)) = advised(load, given) else {
        return Err(Keep::Skipped(
            "processor use is known from the next run on".into(),
        ));
    };
    // At full pace there is nothing to prolong.
    if let Present::Pace(present) = given.pace
        && (present.multiplier - 1.0).abs() < f64::EPSILON
        && multiplier <= 1.0
    {
        return Err(Keep::Skipped("it says 1.0 already".into()));
    }
    let words = Words(format!("multiplier {multiplier:.1}: {reason}"));
    let content = PaceFile {
        multiplier,
        reason,
        // Where cron is gone, the advice is too.
        until: given.now.after(given.interval.saturating_mul(2)),
    };
    Ok((content, Reason::Agent(Box::new(words))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_those_of_the_page() {
        for (used, expected) in [
            (0.0, 1.0),
            (60.0, 1.0),
            (60.1, 1.2),
            (80.0, 1.2),
            (80.1, 1.5),
            (100.0, 1.5),
        ] {
            assert!(
                (multiplier(used, 80.0) - expected).abs() < f64::EPSILON,
                "{used}"
            );
        }
    }

    #[test]
    fn what_is_no_pace_file_is_not_taken_for_one() {
        let ours = br#"{"multiplier": 1.5, "reason": "x", "until": "2026-01-01T00:00:00Z"}"#;
        assert!(PaceFile::parse(ours).is_some());
        for other in [&b""[..], b"{}", b"[1]", b"{\"multiplier\": 1.5}", b"\xff"] {
            assert!(PaceFile::parse(other).is_none());
        }
    }
}
