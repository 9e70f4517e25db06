//! Housekeeping for machines that run ML and trading agents: `sysopt` rotates their logs, cleans
//! their caches, archives their models, collects garbage, and says truthfully what it did.
//!
//! # Three promises
//!
//! 1. **The dry run is the run.** A [`plan::action::Plan`] is a value: `--dry-run` shows it, a real
//!    run applies that same value.
//! 2. **Nothing is lost**, whatever fails or is killed: new content is complete, synced and read
//!    back before it has a final name, no name is ever replaced, and a source goes last.
//! 3. **Every figure is measured.** Bytes freed are allocated blocks that the filesystem gave back.
//!
//! # One direction, each arrow a value
//!
//! ```text
//! argv, env ──> Cli ──> Config ──> Policies ─┐
//! directories ──> scan ──> Inventory ────────┼──> Plan ──> Report            (--dry-run)
//! clock ─────────────────────────────────────┘      └──> apply ──> Outcome ──> Report ──> Exit
//! ```
//!
//! # Rooms
//!
//! | room | what it is for | knows |
//! |---|---|---|
//! | [`cli`] | what can be typed; man pages and completions come from it | – |
//! | [`exit`], [`signal`] | exit codes; the stop flag | – |
//! | [`plan`] | deciding, pure: inventory, policies, actions, reasons, retention | – |
//! | [`schedule`] | what is remembered between runs, pure | `plan` |
//! | [`config`] | the file, the defaults, the checked policies | `plan` |
//! | [`fs`] | looking at files, and every effect on them | `plan` |
//! | [`system`] | reading the machine: open files, processes, metrics | `plan` |
//! | [`report`] | one view of an outcome, as text and as JSON | `plan` |
//! | [`run`] | the use case of each subcommand | all |
//!
//! Deciding reads nothing: no disk, no clock, no environment. Acting is one function,
//! [`fs::apply::apply`]; sysopt's own records have one writer, [`fs::books`]. Whether a run is a
//! dry run is known in one function of [`run`].

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests build and change trees themselves"
    )
)]

pub mod cli;
pub mod config;
pub mod exit;
pub mod fs;
pub mod plan;
pub mod report;
pub mod run;
pub mod schedule;
pub mod signal;
pub mod system;
