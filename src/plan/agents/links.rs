//! What agents hold of the things that garbage collection reports: deleted files, zombies, shared
//! memory.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::Detected;
use crate::plan::action::{Operation, OperationPlan};
use crate::plan::host::OpenFiles;
use crate::plan::processes::{ProcessTable, State};

/// A segment of `/dev/shm` that somebody holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// Its path.
    pub path: String,
    /// Allocated bytes.
    pub bytes: u64,
    /// Who has it open or mapped.
    #[serde(skip)]
    pub holders: Vec<u32>,
}

/// How much of a kind an agent holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Held {
    count: u64,
    bytes: u64,
}

fn sum(bytes: impl Iterator<Item = u64>) -> Held {
    bytes.fold(Held::default(), |held, bytes| Held {
        count: held.count + 1,
        bytes: held.bytes.saturating_add(bytes),
    })
}

/// Files without a name that a process keeps alive.
pub(super) fn deleted(pid: u32, open: &OpenFiles) -> Held {
    let files = open.deleted.iter().filter(|file| file.pid == pid);
    sum(files.map(|file| file.bytes))
}

/// Shared memory that a process has open or mapped.
pub(super) fn shared(pid: u32, segments: &[Segment]) -> Held {
    let held = segments.iter().filter(|s| s.holders.contains(&pid));
    sum(held.map(|segment| segment.bytes))
}

/// Children that ended and that a process has not reaped.
pub(super) fn zombies(pid: u32, table: &ProcessTable) -> Vec<u32> {
    table
        .processes
        .iter()
        .filter(|process| process.state == State::Zombie && process.parent == Some(pid))
        .map(|process| process.pid)
        .collect()
}

/// Names the agent beside each deleted file and zombie that garbage collection reports.
pub fn annotate(plans: &mut [OperationPlan], detected: &Detected<'_>) {
    let agents: HashMap<u64, Value> = detected
        .agents
        .iter()
        .map(|agent| {
            let value = json!({ "name": agent.name, "rule": agent.rule });
            (u64::from(agent.process.pid), value)
        })
        .collect();
    let garbage = plans
        .iter_mut()
        .filter(|plan| plan.operation == Operation::GarbageCollection);
    for plan in garbage {
        for (list, key) in [("deleted_open_files", "pid"), ("zombies", "parent")] {
            let rows = plan.metadata.get_mut(list).and_then(Value::as_array_mut);
            for row in rows.into_iter().flatten() {
                let holder = row[key].as_u64().and_then(|pid| agents.get(&pid));
                row["agent"] = holder.cloned().unwrap_or(Value::Null);
            }
        }
    }
}
