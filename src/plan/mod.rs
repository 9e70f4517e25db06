//! Deciding: pure functions from a policy, an inventory and a clock to a plan.
//!
//! Nothing here reads the disk, the clock or the environment, and nothing prints, so every rule is
//! tested as a table or a law. Each file that an operation looked at gets exactly one verdict: an
//! action with a [`reason::Reason`], or a [`reason::Keep`].

pub mod action;
pub mod agents;
pub mod archive;
pub mod cache;
pub mod claims;
pub mod clock;
pub mod cutting;
pub mod due;
pub mod entry;
pub mod family;
pub mod foreign;
pub mod garbage;
pub mod host;
pub mod lists;
pub mod locked;
pub mod logs;
pub mod models;
pub mod names;
pub mod order;
pub mod outcome;
pub mod policy;
pub mod processes;
pub mod readable;
pub mod reason;
pub mod restore;
pub mod retention;
pub mod rotated;
pub mod scope;
pub mod time;
pub mod versions;

#[cfg(test)]
pub(crate) mod testing;
