//! Housekeeping for machines that run ML and trading agents.

pub mod cli;
pub mod exit;
pub mod fs;
pub mod plan;
pub mod report;
pub mod schedule;
pub mod signal;
pub mod system;
