//! All effects on files, and looking at them.
//!
//! [`mod@apply`] is the only code that changes a user's disk, [`books`] the only one that writes
//! sysopt's own records.

pub mod apply;
pub mod books;
pub mod collapse;
pub mod compress;
pub mod digests;
pub mod dir;
pub mod evidence;
pub mod lease;
pub mod lock;
pub mod manifest;
mod marks;
pub mod part;
pub mod places;
mod reach;
pub mod roots;
pub mod scan;
pub mod temporary;
