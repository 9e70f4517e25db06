//! Everything that is read off the machine: load, processes, and who holds which file.
//!
//! Reading is apart from understanding: the texts of `/proc` go to the pure functions of `parse`.
//! Elsewhere than on Linux, and with `--cfg sysopt_portable`, what only `/proc` tells is unknown
//! and said to be.

pub mod garbage;
pub mod metrics;
pub mod open_files;
pub mod processes;
pub mod segments;

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod parse;
#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod proc;

use crate::plan::time::Time;
use rustix::time::{ClockId, clock_gettime};

fn clock(id: ClockId) -> Time {
    let now = clock_gettime(id);
    Time::from_parts(now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}
