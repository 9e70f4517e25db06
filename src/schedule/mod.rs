//! What sysopt remembers between runs, and what follows from it. Pure: a state and an instant go
//! in, what is due and the next state come out; `run` reads and writes it.

pub mod due;
pub mod interval;
pub mod state;

#[cfg(test)]
mod laws;

use std::time::Duration;

use crate::plan::action::Operation;
use interval::Backoff;

/// How often things run: `[intervals]` and `[error_handling]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Between two cycles, and how failures stretch that.
    pub backoff: Backoff,
    /// Between two cleanings of the caches.
    pub cache: Duration,
    /// Between two rotations.
    pub logs: Duration,
    /// Between two archivings.
    pub models: Duration,
    /// A filesystem fuller than this, in percent, makes all operations on it due.
    pub pressure_percent: f64,
}

impl Rules {
    /// The time between two runs of an operation; `None`: it runs in every cycle.
    #[must_use]
    pub const fn interval(&self, operation: Operation) -> Option<Duration> {
        match operation {
            Operation::CacheCleanup => Some(self.cache),
            Operation::LogRotation => Some(self.logs),
            Operation::ModelArchiving => Some(self.models),
            Operation::GarbageCollection
            | Operation::AgentOptimization
            | Operation::ProcessOptimization
            | Operation::ModelRestoring => None,
        }
    }
}
