//! Agents that ran in the last run and do not run any more: replaced, dead and unburied, or gone.

use serde::Serialize;
use serde_json::json;

use super::Detected;
use crate::plan::processes::{Observed, Recommendation, RememberedProcess, State};
use crate::plan::time::Time;

/// An agent of the last run that is not there any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lost {
    /// Its rule.
    pub rule: String,
    /// Its name.
    pub name: String,
    /// The pid that it had.
    pub pid: u32,
    /// When it had started.
    pub started: Option<Time>,
    /// The agent of the same rule and name that started since then.
    pub replaced_by: Option<u32>,
    /// `restarted`, `zombie` or `not_running`.
    pub flag: &'static str,
}

/// The agents of the last run, children apart, that are gone: each with the one that took its
/// place. After a boot everything is gone, and nothing is told.
pub(super) fn lost(detected: &Detected<'_>, observed: &Observed<'_>) -> Vec<Lost> {
    let table = observed.table;
    let Some(earlier) = observed.earlier.filter(|earlier| earlier.is_of(table)) else {
        return Vec::new();
    };
    let mut fresh: Vec<_> = detected
        .agents
        .iter()
        .filter(|agent| agent.process.start_ticks >= Some(earlier.uptime_ticks))
        .collect();
    let mut lost = Vec::new();
    for then in &earlier.processes {
        let Some(label) = then.agent.as_ref().filter(|label| !label.child) else {
            continue;
        };
        let now = same(then, observed);
        if now.is_some_and(|state| state != State::Zombie) {
            continue;
        }
        let same = |agent: &&super::Agent<'_>| agent.label() == *label;
        let place = fresh.iter().position(same);
        let replaced_by = place.map(|at| fresh.remove(at).process.pid);
        lost.push(Lost {
            rule: label.rule.clone(),
            name: label.name.clone(),
            pid: then.pid,
            started: table
                .booted
                .zip(table.span(then.start_ticks))
                .map(|(booted, span)| booted.after(span)),
            replaced_by,
            flag: match (replaced_by, now) {
                (Some(_), _) => "restarted",
                (None, Some(_)) => "zombie",
                (None, None) => "not_running",
            },
        });
    }
    lost
}

/// What the same process does now; `None` where it is gone.
fn same(then: &RememberedProcess, observed: &Observed<'_>) -> Option<State> {
    let process = observed.table.get(then.pid)?;
    (process.start_ticks == Some(then.start_ticks)).then_some(process.state)
}

impl Lost {
    pub(super) fn advice(&self) -> Recommendation {
        Recommendation {
            code: self.flag,
            evidence: json!(self),
            threshold: json!({ "runs": 1 }),
            command: None,
        }
    }
}
