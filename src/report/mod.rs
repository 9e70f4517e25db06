//! Telling what a run did: one view of the outcome, rendered as JSON or as text.
//!
//! A report only reads: it borrows the plan and what came of it, computes nothing that is not
//! measured there, and walks over the items instead of collecting them, so that a million actions
//! take no memory here. [`out`] is the one module that writes to stdout and stderr.

mod agents;
pub mod explain;
mod findings;
mod items;
mod json;
pub mod look;
pub mod message;
pub mod model;
pub mod name;
pub mod out;
pub mod progress;
pub mod prometheus;
pub mod rows;
#[cfg(test)]
mod sample;
pub mod schedule;
pub mod status;
mod status_text;
#[cfg(test)]
mod tests;
pub mod text;
pub mod trouble;
