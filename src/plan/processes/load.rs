//! High load that lasts: over its threshold in two runs in a row, or felt as pressure; never a
//! spike.

use serde_json::json;

use super::advice::BUSY_PERCENT;
use super::{Observed, Recommendation};
use crate::plan::host::{Metrics, Stall};
use crate::plan::policy::LoadPolicy;

/// Which resources are short, and have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Processors.
    pub cpu: bool,
    /// Memory.
    pub memory: bool,
}

impl Load {
    /// Judges what was seen now and in the last run.
    #[must_use]
    pub fn of(policy: &LoadPolicy, observed: &Observed<'_>) -> Self {
        let (metrics, earlier) = (observed.metrics, observed.earlier);
        let over = |value: Option<f64>, limit| value.is_some_and(|value| value > limit);
        let stalls = |stall: Option<Stall>| stall.is_some_and(|stall| stall.lasts());
        let averages = &metrics.pressure_averages;
        let cpu = over(metrics.cpu_percent, policy.cpu_percent)
            && earlier.is_some_and(|then| then.cpu_high);
        let memory = over(metrics.memory_percent, policy.memory_percent)
            && earlier.is_some_and(|then| then.memory_high);
        Self {
            cpu: cpu || stalls(averages.cpu),
            memory: memory || stalls(averages.memory),
        }
    }

    pub(super) fn memory_high(
        self,
        policy: &LoadPolicy,
        metrics: &Metrics,
    ) -> Option<Recommendation> {
        self.memory.then(|| Recommendation {
            code: "memory_high",
            evidence: json!({
                "memory_percent": metrics.memory_percent,
                "pressure": metrics.pressure_averages.memory,
            }),
            threshold: json!({ "memory_percent": policy.memory_percent, "runs": 2 }),
            command: None,
        })
    }

    pub(super) fn cpu_high(self, policy: &LoadPolicy, metrics: &Metrics) -> Option<Recommendation> {
        self.cpu.then(|| Recommendation {
            code: "cpu_high",
            evidence: json!({
                "cpu_percent": metrics.cpu_percent,
                "pressure": metrics.pressure_averages.cpu,
            }),
            threshold: json!({
                "cpu_percent": policy.cpu_percent, "runs": 2,
                "busy_process_percent": BUSY_PERCENT,
            }),
            command: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ProcessTable, Remembered};
    use super::*;
    use crate::plan::host::{Averages, Stalls};

    const POLICY: LoadPolicy = LoadPolicy {
        enabled: true,
        memory_percent: 85.0,
        cpu_percent: 80.0,
    };

    fn stall(avg60: f64, avg300: f64) -> Stall {
        let some = Averages {
            avg10: 99.0,
            avg60,
            avg300,
        };
        Stall { some, full: None }
    }

    #[test]
    fn high_load_must_last_or_hurt() {
        let table = ProcessTable::default();
        for (used, stall, earlier, high) in [
            (Some(90.0), None, None, false),
            (Some(90.0), None, Some(false), false),
            (Some(90.0), None, Some(true), true),
            (Some(85.0), None, Some(true), false),
            (None, None, Some(true), false),
            (Some(90.0), Some(stall(21.0, 9.0)), None, false),
            (Some(90.0), Some(stall(21.0, 11.0)), None, true),
            (None, Some(stall(21.0, 11.0)), None, true),
        ] {
            let metrics = Metrics {
                memory_percent: used,
                pressure_averages: Stalls {
                    memory: stall,
                    ..Stalls::default()
                },
                ..Metrics::default()
            };
            let then = earlier.map(|memory_high| Remembered {
                memory_high,
                ..Remembered::default()
            });
            let observed = Observed {
                table: &table,
                metrics: &metrics,
                earlier: then.as_ref(),
                sample: None,
                verbose: false,
            };
            let load = Load::of(&POLICY, &observed);
            assert_eq!(load.memory, high, "{used:?} {stall:?} {earlier:?}");
            assert!(!load.cpu);
            assert_eq!(load.memory_high(&POLICY, &metrics).is_some(), high);
        }
    }
}
