//! Housekeeping for machines that run ML and trading agents.

pub mod plan;
pub mod system;
