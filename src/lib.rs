//! Housekeeping for machines that run ML and trading agents.

pub mod config;
pub mod plan;
