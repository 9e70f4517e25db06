//! What the user wants: found, read, checked, and ready to use.

pub mod error;
pub mod literal;
mod keys;
mod settings;
mod tree;
mod value;
