//! The rules of models as tables, and as laws.

mod keeping;
mod laws;
mod moving;
mod retaining;
pub(in crate::plan) mod world;
