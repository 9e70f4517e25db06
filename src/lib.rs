//! Housekeeping for machines that run ML and trading agents.

pub mod cli;
pub mod config;
pub mod exit;
pub mod fs;
pub mod plan;
<<<<<<< HEAD
pub mod report;
pub mod schedule;
pub mod signal;
=======
pub mod system;
>>>>>>> d2986f6b871b2c310262931841c5e4c375308d94
