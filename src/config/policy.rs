//! The parts of the configuration that are not policies of [`crate::plan`].

use std::path::PathBuf;
use std::time::Duration;

use crate::plan::entry::Role;

/// `[intervals]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intervals {
    /// Between two cycles.
    pub optimization: Duration,
    /// Between two cleanings of the caches.
    pub cache_cleanup: Duration,
    /// Between two rotations.
    pub log_rotation: Duration,
    /// Between two archivings.
    pub model_archive: Duration,
    /// A filesystem fuller than this, in percent, makes all operations on it due.
    pub pressure_percent: f64,
}

/// `[error_handling]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorHandling {
    /// From so many failures in a row on, the interval grows.
    pub max_consecutive_failures: u32,
    /// By this with each failure, at least 1.
    pub backoff_multiplier: f64,
    /// Up to this.
    pub max_interval: Duration,
    /// A success forgets the failures before it.
    pub reset_after_success: bool,
}

/// Whether somebody asked for a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryOrigin {
    /// Built in: that it is missing, or may not be worked in, is worth a note at most.
    Default,
    /// The configuration file names it.
    File,
}

/// A directory to be worked in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// What is done in it.
    pub role: Role,
    /// Absolute, not resolved.
    pub path: PathBuf,
    /// As it was written.
    pub written: PathBuf,
    /// Who named it.
    pub origin: DirectoryOrigin,
}
