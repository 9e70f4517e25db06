//! The integration tests, as one binary: a file per subject, on a real file system.

#![allow(
    clippy::disallowed_methods,
    reason = "tests build and change trees themselves"
)]

mod command_line;
mod config;
mod dry_run;
mod first_tries;
mod fixture;
mod generated;
mod layers;
mod guard;
mod locks;
mod names;
mod require;
mod streams;
