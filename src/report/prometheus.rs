//! The state of sysopt as metrics, in the text format of Prometheus 0.0.4, for
//! `status --format prometheus` and the textfile collector of `node_exporter`.
//!
//! No timestamps (the collector refuses them), and no label that grows without bound: operations,
//! kinds and paths of directories, names of rules; never a pid or an argument.

use std::fmt::{Display, Write as _};
use std::path::PathBuf;

use super::name;
use crate::plan::action::Operation;
use crate::plan::time::Time;

/// What the metrics say. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// When the last cycle began.
    pub last_run: Option<Time>,
    /// When the last cycle began in which everything succeeded.
    pub last_success: Option<Time>,
    /// Seconds that the last cycle took.
    pub run_duration: Option<f64>,
    /// The exit code of the last cycle.
    pub exit_code: Option<u8>,
    /// Each operation that ever ran, as it ran last.
    pub operations: Vec<OperationGauge>,
    /// Share of successes of the last cycle, from 0 to 1.
    pub success_rate: Option<f64>,
    /// Failed cycles in a row.
    pub consecutive_failures: u32,
    /// Seconds that failures add to the interval.
    pub backoff_seconds: u64,
    /// Kind, path and allocated bytes of each directory.
    pub directories: Vec<(&'static str, PathBuf, u64)>,
    /// The agents of each rule; empty where nobody looked.
    pub agents: Vec<AgentGauge>,
    /// Allocated bytes of deleted files that a process holds open.
    pub deleted_open_bytes: u64,
}

/// An operation as it ran last.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationGauge {
    /// Which.
    pub operation: Operation,
    /// Whether all of its items succeeded.
    pub success: bool,
    /// Allocated bytes given back.
    pub bytes_freed: i64,
    /// Actions done.
    pub items: u64,
}

/// The agents of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentGauge {
    /// The rule's name.
    pub rule: String,
    /// How many run.
    pub matched: u64,
    /// Their resident memory; `None` where it could not be read.
    pub rss_bytes: Option<u64>,
}

/// Renders the metrics.
#[must_use]
pub fn write(gauges: &Gauges) -> String {
    let mut page = Page::default();
    let seconds = |time: Option<Time>| time.map(Time::seconds);
    let one = |value: Option<String>| value.map(|value| (Vec::new(), value)).into_iter().collect();
    page.family(
        "last_run_timestamp_seconds",
        "When the last cycle began.",
        one(text(seconds(gauges.last_run))),
    );
    page.family(
        "last_success_timestamp_seconds",
        "When the last cycle began in which everything succeeded.",
        one(text(seconds(gauges.last_success))),
    );
    page.family(
        "run_duration_seconds",
        "How long the last cycle took.",
        one(text(gauges.run_duration)),
    );
    page.family(
        "exit_code",
        "Exit code of the last cycle.",
        one(text(gauges.exit_code)),
    );
    page.operations(&gauges.operations);
    page.family(
        "success_rate",
        "Share of successes of the last cycle, from 0 to 1.",
        one(text(gauges.success_rate)),
    );
    page.family(
        "consecutive_failures",
        "Failed cycles in a row.",
        one(text(Some(gauges.consecutive_failures))),
    );
    page.family(
        "backoff_seconds",
        "What failures add to the interval between cycles.",
        one(text(Some(gauges.backoff_seconds))),
    );
    page.directories(&gauges.directories);
    page.agents(&gauges.agents);
    page.family(
        "deleted_open_bytes",
        "Allocated bytes of deleted files that a process holds open.",
        one(text(Some(gauges.deleted_open_bytes))),
    );
    page.text
}

fn text(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

type Labels = Vec<(&'static str, String)>;

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// One metric with its samples; nothing where there is none.
    fn family(&mut self, name: &str, help: &str, samples: Vec<(Labels, String)>) {
        if samples.is_empty() {
            return;
        }
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP sysopt_{name} {help}");
        let _ = writeln!(self.text, "# TYPE sysopt_{name} gauge");
        for (labels, value) in samples {
            let labels: Vec<String> = labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escape(value)))
                .collect();
            let labels = match labels.join(",") {
                empty if empty.is_empty() => empty,
                list => format!("{{{list}}}"),
            };
            let _ = writeln!(self.text, "sysopt_{name}{labels} {value}");
        }
    }

    fn operations(&mut self, operations: &[OperationGauge]) {
        let samples = |value: fn(&OperationGauge) -> String| {
            let sample = |gauge: &OperationGauge| {
                (
                    vec![("operation", gauge.operation.name().to_owned())],
                    value(gauge),
                )
            };
            operations.iter().map(sample).collect()
        };
        self.family(
            "operation_success",
            "Whether the operation succeeded when it ran last.",
            samples(|gauge| u8::from(gauge.success).to_string()),
        );
        self.family(
            "operation_bytes_freed",
            "Disk that the operation gave back when it ran last.",
            samples(|gauge| gauge.bytes_freed.to_string()),
        );
        self.family(
            "operation_items",
            "Items that the operation processed when it ran last.",
            samples(|gauge| gauge.items.to_string()),
        );
    }

    fn directories(&mut self, directories: &[(&'static str, PathBuf, u64)]) {
        let samples = directories
            .iter()
            .map(|(kind, path, bytes)| {
                let labels = vec![
                    ("kind", (*kind).to_owned()),
                    ("path", name::json(path).into_owned()),
                ];
                (labels, bytes.to_string())
            })
            .collect();
        self.family(
            "directory_bytes",
            "Allocated bytes of the directory, as sysopt found it.",
            samples,
        );
    }

    fn agents(&mut self, agents: &[AgentGauge]) {
        let label = |gauge: &AgentGauge| vec![("rule", gauge.rule.clone())];
        let matched = agents
            .iter()
            .map(|gauge| (label(gauge), gauge.matched.to_string()));
        self.family(
            "agents_matched",
            "Agents that run, by the rule that found them.",
            matched.collect(),
        );
        let resident = agents
            .iter()
            .filter_map(|gauge| Some((label(gauge), gauge.rss_bytes?.to_string())));
        self.family(
            "agent_rss_bytes",
            "Resident memory of the agents of a rule.",
            resident.collect(),
        );
    }
}

/// The value of a label: backslash, quote and line end are escaped, and nothing else.
fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_has_a_family_with_help_and_type() {
        let gauges = Gauges {
            last_run: Some(Time::from_parts(1_764_018_000, 5)),
            operations: vec![OperationGauge {
                operation: Operation::LogRotation,
                success: false,
                bytes_freed: -4096,
                items: 2,
            }],
            directories: vec![("cache", PathBuf::from("/a \"b\"\\\nc"), 7)],
            ..Gauges::default()
        };
        let text = write(&gauges);
        for line in [
            "# TYPE sysopt_last_run_timestamp_seconds gauge",
            "sysopt_last_run_timestamp_seconds 1764018000",
            "sysopt_operation_success{operation=\"log_rotation\"} 0",
            "sysopt_operation_bytes_freed{operation=\"log_rotation\"} -4096",
            "sysopt_directory_bytes{kind=\"cache\",path=\"/a \\\"b\\\"\\\\\\nc\"} 7",
            "sysopt_consecutive_failures 0",
            "sysopt_deleted_open_bytes 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        for unknown in ["success_rate", "exit_code", "agents_matched"] {
            assert!(!text.contains(unknown), "{unknown}\n{text}");
        }
    }
}
