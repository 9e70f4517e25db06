//! What `status` shows: the machine, the directories, what is due, the totals.
//!
//! Plain data that the caller has read; nothing here looks at the machine.

use std::path::PathBuf;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::json::{optional_path_entry, path_entry};
use super::prometheus::Gauges;
use crate::plan::action::Operation;
use crate::plan::entry::Role;
use crate::plan::host::Metrics;
use crate::plan::time::Time;

/// The `schema` of a status.
const SCHEMA: &str = "sysopt.status/1";

/// The answer of `status`; [`serde::Serialize`] is its JSON.
#[derive(Clone, Debug, Default)]
pub struct StatusReport {
    /// When it was asked.
    pub timestamp: Time,
    /// The base, absolute.
    pub base: PathBuf,
    /// The configuration file; `None` where there is none.
    pub config: Option<PathBuf>,
    /// Seconds between two cycles now, backing off or not.
    pub current_interval_seconds: u64,
    /// Failed cycles in a row.
    pub consecutive_failures: u32,
    /// Until when failures hold the next cycle back.
    pub backing_off_until: Option<Time>,
    /// When a cycle would run; the instant of the status where it is due.
    pub next_cycle: Option<Time>,
    /// When the cycle began that is at work now.
    pub running_since: Option<Time>,
    /// Cycles so far.
    pub total_cycles: u64,
    /// Bytes given back so far.
    pub total_bytes_freed: i64,
    /// Items so far.
    pub total_items_processed: u64,
    /// Mean share of successes; `None` before the first cycle.
    pub average_success_rate: Option<f64>,
    /// The last cycle; `None` before the first.
    pub last_optimization: Option<LastCycle>,
    /// Load and room.
    pub metrics: Metrics,
    /// The directories of the configuration that exist.
    pub directories: Vec<DirectoryStatus>,
    /// The operations, in the order of a cycle.
    pub operations: Vec<OperationStatus>,
    /// Agents: a list of objects with `name`, `pid`, `cpu_percent`, `rss_bytes`.
    pub agents: Value,
    /// Processes: a list as that of `agents`, or several lists by name.
    pub processes: Value,
    /// Earlier reports, newest first; empty unless asked for.
    pub history: Vec<Value>,
    /// The same for Prometheus.
    pub gauges: Gauges,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// The last cycle.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct LastCycle {
    /// When it began.
    pub timestamp: Time,
    /// Its outcome in one word.
    pub outcome: String,
    /// Items processed.
    pub items_processed: u64,
    /// Bytes given back; `None` where that is not known.
    pub bytes_freed: Option<i64>,
}

/// A directory that an operation works in.
#[derive(Clone, Debug)]
pub struct DirectoryStatus {
    /// What is done there.
    pub role: Role,
    /// As reports name it.
    pub path: PathBuf,
    /// Allocated bytes; `None` where they could not be read.
    pub usage_bytes: Option<u64>,
    /// Files; `None` where they could not be counted.
    pub files: Option<u64>,
    /// The oldest modification.
    pub oldest: Option<Time>,
    /// Bytes above which something would be done; `None` where there is no such limit.
    pub limit_bytes: Option<u64>,
}

/// An operation of a cycle.
#[derive(Clone, Debug, serde::Serialize)]
pub struct OperationStatus {
    /// Which.
    pub operation: Operation,
    /// Whether the configuration wants it.
    pub enabled: bool,
    /// When it last ran.
    pub last_run: Option<Time>,
    /// Whether that was a success; `None` before the first.
    pub last_success: Option<bool>,
    /// Whether a cycle would run it now.
    pub due: bool,
    /// When it is due; `None`: now, or never because it is switched off.
    pub next_due: Option<Time>,
    /// What it would do, in one line, where that is known.
    pub preview: Option<String>,
}

impl DirectoryStatus {
    /// Bytes over the limit; below zero, so many are left.
    #[must_use]
    pub fn over_limit_bytes(&self) -> Option<i64> {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        Some(signed(self.usage_bytes?) - signed(self.limit_bytes?))
    }
}

impl Serialize for DirectoryStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", &self.role)?;
        path_entry(&mut map, ["path", "path_base64"], &self.path)?;
        map.serialize_entry("usage_bytes", &self.usage_bytes)?;
        map.serialize_entry("files", &self.files)?;
        map.serialize_entry("oldest", &self.oldest)?;
        map.serialize_entry("limit_bytes", &self.limit_bytes)?;
        map.serialize_entry("over_limit_bytes", &self.over_limit_bytes())?;
        map.end()
    }
}

impl Serialize for StatusReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", SCHEMA)?;
        map.serialize_entry("version", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("timestamp", &self.timestamp)?;
        path_entry(&mut map, ["base", "base_base64"], &self.base)?;
        let config = self.config.as_deref();
        optional_path_entry(&mut map, ["config", "config_base64"], config)?;
        map.serialize_entry("current_interval_seconds", &self.current_interval_seconds)?;
        map.serialize_entry("consecutive_failures", &self.consecutive_failures)?;
        map.serialize_entry("backing_off_until", &self.backing_off_until)?;
        map.serialize_entry("next_cycle", &self.next_cycle)?;
        map.serialize_entry("running_since", &self.running_since)?;
        map.serialize_entry("total_cycles", &self.total_cycles)?;
        map.serialize_entry("total_bytes_freed", &self.total_bytes_freed)?;
        map.serialize_entry("total_items_processed", &self.total_items_processed)?;
        map.serialize_entry("average_success_rate", &self.average_success_rate)?;
        let last = self.last_optimization.as_ref();
        map.serialize_entry("last_optimization", &last.map(|cycle| cycle.timestamp))?;
        map.serialize_entry("last_cycle", &last)?;
        map.serialize_entry("system_metrics", &self.metrics)?;
        map.serialize_entry("directories", &self.directories)?;
        map.serialize_entry("operations", &self.operations)?;
        map.serialize_entry("agents", &self.agents)?;
        map.serialize_entry("processes", &self.processes)?;
        if !self.history.is_empty() {
            map.serialize_entry("history", &self.history)?;
        }
        map.serialize_entry("warnings", &self.warnings)?;
        map.end()
    }
}
