//! What a person could do about a process: code, evidence, threshold, command. Never done by us.

use serde_json::{Value, json};

use super::{Process, ProcessTable, Remembered};

/// Growth since the last run that is worth a word: by a quarter, and by so many bytes.
const GROWTH_BYTES: u64 = 64 << 20;

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

/// A process whose memory grew by a quarter, and by 64 MiB, since the last run.
pub(in crate::plan) fn rss_growing(
    process: &Process,
    table: &ProcessTable,
    earlier: Option<&Remembered>,
) -> Option<Recommendation> {
    let before = earlier?.find(table, process)?.rss_bytes;
    let now = process.rss_bytes?;
    let limit = before
        .saturating_add(before / 4)
        .max(before.saturating_add(GROWTH_BYTES));
    (now > limit).then(|| Recommendation {
        code: "rss_growing",
        evidence: json!({
            "pid": process.pid, "name": process.name,
            "rss_bytes_before": before, "rss_bytes": now,
        }),
        threshold: json!({ "rss_bytes": limit }),
        command: None,
    })
}

/// A busy process of a service, on a machine whose processors are busy: a smaller share for it.
/// The control group is what the scheduler shares between; a nice value often changes nothing.
pub(in crate::plan) fn cpu_weight(
    process: &Process,
    cpu_percent: Option<f64>,
) -> Option<Recommendation> {
    let used = cpu_percent.filter(|used| *used > BUSY_PERCENT)?;
    Some(Recommendation {
        code: "cpu_weight",
        evidence: json!({ "pid": process.pid, "name": process.name, "cpu_percent": used }),
        threshold: json!({ "cpu_percent": BUSY_PERCENT }),
        command: unit(process)
            .map(|unit| format!("systemctl set-property --runtime {unit} CPUWeight=50")),
    })
}

/// The systemd unit of a process: the last such component of its control group.
fn unit(process: &Process) -> Option<&str> {
    process.cgroup.as_deref()?.rsplit('/').find(|part| {
        part.rsplit_once('.')
            .is_some_and(|(_, kind)| matches!(kind, "service" | "scope"))
            && !part.contains(|c: char| c.is_whitespace() || "'\"$`;&|<>()\\".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_found_in_the_control_group() {
        for (cgroup, expected) in [
            ("/system.slice/bot.service", Some("bot.service")),
            ("/system.slice/bot.service/workers", Some("bot.service")),
            (
                "/user.slice/user-1.slice/session-2.scope",
                Some("session-2.scope"),
            ),
            ("/", None),
            ("/user.slice", None),
            ("/a;rm -r x.service", None),
        ] {
            let process = Process {
                cgroup: Some(cgroup.to_owned()),
                ..Process::default()
            };
            assert_eq!(unit(&process), expected, "{cgroup}");
        }
    }

    #[test]
    fn a_small_process_may_double() {
        let grown = |before: u64, now: u64| {
            let process = Process {
                pid: 7,
                start_ticks: Some(5),
                rss_bytes: Some(now),
                ..Process::default()
            };
            let table = ProcessTable {
                boot_id: "a".to_owned(),
                ..ProcessTable::default()
            };
            let mut earlier = Remembered::default();
            earlier.host.boot_id = "a".to_owned();
            earlier.processes.push(super::super::RememberedProcess {
                pid: 7,
                start_ticks: 5,
                cpu_ticks: 0,
                rss_bytes: before,
            });
            rss_growing(&process, &table, Some(&earlier)).is_some()
        };
        let mib = |count: u64| count << 20;
        assert!(!grown(mib(10), mib(20)));
        assert!(!grown(mib(10), mib(74)));
        assert!(grown(mib(10), mib(75)));
        assert!(!grown(mib(1000), mib(1250)));
        assert!(grown(mib(1000), mib(1251)));
    }
}
