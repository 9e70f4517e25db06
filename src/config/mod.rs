//! What the user wants: found, read, checked, and ready to use.

pub mod error;
pub mod literal;
pub mod forbidden;
mod keys;
pub mod locate;
mod read;
mod settings;
mod tree;
mod value;
