//! Housekeeping for machines that run ML and trading agents.

pub mod fs;
pub mod plan;
