//! One at a time: a `flock` on each directory that a run works in.
//!
//! systemd-tmpfiles honours the same lock. Safety never depends on it; it keeps two runs from
//! doing the same work and from reporting each other's changes as surprises.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::dir;
use super::roots::Roots;

/// Locks held until they are dropped.
#[derive(Debug, Default)]
pub struct Locks {
    held: Vec<OwnedFd>,
}

/// Why the directories could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has one of them.
    #[error("another sysopt works in '{}'; --lock-wait 10min waits for it", .0.display())]
    Held(PathBuf),
    /// A signal came while waiting for another process.
    #[error("ended by a signal while waiting for another sysopt in '{}'", .0.display())]
    Stopped(PathBuf),
    /// The system refused.
    #[error("cannot lock '{}': {}", .0.display(), .1)]
    Refused(PathBuf, io::Error),
}

impl Locks {
    /// How many directories are locked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing is locked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Locks one more directory, waiting for others until `deadline`, or until `stop` says so.
    ///
    /// # Errors
    /// [`LockError::Held`] where another holds it after that time, [`LockError::Stopped`] where a
    /// signal came before.
    pub fn add(
        &mut self,
        path: &Path,
        dir: impl AsFd,
        deadline: Option<Instant>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), LockError> {
        let refused = |error: io::Error| LockError::Refused(path.to_path_buf(), error);
        // A descriptor of its own: locks belong to the open file, and roots are shared.
        let own = dir::reopen_dir(dir).map_err(refused)?;
        while let Err(error) = rustix::fs::flock(&own, FlockOperation::NonBlockingLockExclusive) {
            match error {
                Errno::WOULDBLOCK => {
                    if stop() {
                        return Err(LockError::Stopped(path.to_path_buf()));
                    }
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Err(LockError::Held(path.to_path_buf()));
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                Errno::INTR => {}
                // Filesystems without locks (some network ones): safety does not depend on it.
                Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL => break,
                other => return Err(refused(other.into())),
            }
        }
        self.held.push(own);
        Ok(())
    }
}

/// Whether somebody holds the lock of a directory, as far as that can be told.
#[must_use]
pub fn is_held(dir: impl AsFd) -> bool {
    let ask = |dir: OwnedFd| rustix::fs::flock(&dir, FlockOperation::NonBlockingLockShared);
    dir::reopen_dir(dir).is_ok_and(|dir| ask(dir) == Err(Errno::WOULDBLOCK))
}

/// Locks all directories that exist, waiting for others as long as `wait` and until `stop` says
/// so. The order is that of their identities, so that two runs never wait for each other.
///
/// # Errors
/// [`LockError::Held`] where another holds one after that time, [`LockError::Stopped`] where a
/// signal came before.
pub fn acquire(roots: &Roots, wait: Duration, stop: &dyn Fn() -> bool) -> Result<Locks, LockError> {
    let deadline = Instant::now().checked_add(wait);
    let mut locks = Locks::default();
    for (path, fd) in roots.by_identity() {
        locks.add(&path, fd, deadline, stop)?;
    }
    Ok(locks)
}
