//! The integration tests, as one binary.

mod command_line;
mod generated;
