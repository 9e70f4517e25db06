//! The integration tests, as one binary: a file per subject, on a real file system.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests build and change trees themselves, and end where something is not as it should be"
)]

mod agents;
mod attackers;
mod cache;
mod cache_units;
mod command_line;
mod config;
mod crash_books;
mod crash_cache;
mod crash_cycle;
mod crash_garbage;
mod crash_logs;
mod crash_models;
mod crash_units;
mod cut_killed;
mod cutting;
mod cycle;
mod dry_run;
mod explain;
mod first_tries;
mod fixture;
mod full_disk;
mod garbage;
mod generated;
mod guard;
mod handles;
mod laws;
mod layers;
mod locks;
mod logs;
mod models;
mod models_figures;
mod models_review;
mod models_units;
mod names;
mod notify;
mod require;
mod restore;
mod schedule;
mod schemas;
mod streams;
mod sweep;
mod traps;
mod unseen;
mod writers;
