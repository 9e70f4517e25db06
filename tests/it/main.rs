//! The integration tests, as one binary: a file per subject, on a real file system.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests build and change trees themselves, and end where something is not as it should be"
)]

mod agents;
mod cache;
mod command_line;
mod config;
mod crash_cache;
mod crash_logs;
mod crash_models;
mod cycle;
mod dry_run;
mod first_tries;
mod fixture;
mod garbage;
mod generated;
mod guard;
mod laws;
mod layers;
mod locks;
mod logs;
mod models;
mod models_review;
mod names;
mod require;
mod restore;
mod streams;
mod sweep;
