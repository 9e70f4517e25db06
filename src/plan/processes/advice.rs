//! What a person could do about a process: code, evidence, threshold, command. Never done by us.

use serde_json::{Value, json};

use super::growth::threshold;
use super::{Observed, Process, growth, unit};

/// Processor use of one process that is worth a word, in percent of one processor.
pub(super) const BUSY_PERCENT: f64 = 50.0;

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Recommendation {
    /// What is the matter, for scripts.
    pub code: &'static str,
    /// The figures that were seen.
    pub evidence: Value,
    /// The figure that they are beyond.
    pub threshold: Value,
    /// What to run; `None` where no command would do.
    pub command: Option<String>,
}

/// A process that is about to run out of file descriptors.
pub(in crate::plan) fn fd_pressure(process: &Process) -> Option<Recommendation> {
    let (open, limit) = process.fd_pressure()?;
    Some(Recommendation {
        code: "fd_pressure",
        evidence: json!({
            "pid": process.pid, "name": process.name,
            "open_files": open, "open_files_limit": limit,
        }),
        threshold: json!({ "percent_of_limit": 80 }),
        command: Some(format!(
            "prlimit --pid {} --nofile={}:",
            process.pid,
            limit.saturating_mul(2)
        )),
    })
}

/// A process whose memory grew in each of the last runs.
pub(in crate::plan) fn rss_growing(
    process: &Process,
    observed: &Observed<'_>,
) -> Option<Recommendation> {
    let growth = growth(&observed.rss_series(process))?;
    Some(Recommendation {
        code: "rss_growing",
        evidence: json!({
            "pid": process.pid, "name": process.name,
            "rss_bytes": growth.rss_bytes, "grown_bytes": growth.grown_bytes,
        }),
        threshold: threshold(),
        command: unit::restart(process),
    })
}

/// A busy process of a service, on a machine whose processors are busy: a smaller share for it.
pub(in crate::plan) fn cpu_weight(
    process: &Process,
    cpu_percent: Option<f64>,
) -> Option<Recommendation> {
    let used = cpu_percent.filter(|used| *used > BUSY_PERCENT)?;
    Some(Recommendation {
        code: "cpu_weight",
        evidence: json!({ "pid": process.pid, "name": process.name, "cpu_percent": used }),
        threshold: json!({ "cpu_percent": BUSY_PERCENT }),
        command: unit::lower_weight(process),
    })
}

/// A process that took over half of a processor since the last run.
pub(super) fn cpu_busy(process: &Process, observed: &Observed<'_>) -> Option<Recommendation> {
    let used = observed.cpu_since_last_run(process);
    Some(Recommendation {
        code: "cpu_busy",
        ..cpu_weight(process, used)?
    })
}
