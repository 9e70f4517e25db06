//! The integration tests, as one binary: a file per subject, on a real file system.

#![allow(
    clippy::disallowed_methods,
    reason = "tests build and change trees themselves"
)]
#![allow(
    clippy::unwrap_used,
    reason = "what helps a test may fail as the test may"
)]

mod cache;
mod command_line;
mod crash;
mod cycle;
mod dry_run;
mod first_tries;
mod fixture;
mod garbage;
mod generated;
mod layers;
mod logs;
mod models;
mod require;
mod restore;
