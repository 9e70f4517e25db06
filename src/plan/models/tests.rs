mod laws;
mod rules;
pub(in crate::plan) mod world;
