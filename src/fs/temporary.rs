//! New content under a temporary name, until it is complete.
//!
//! The maker holds a `flock` on the file, so that a run which ended early can be told from one at
//! work: unlocked and an hour old is garbage.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Timestamps};
use rustix::io::Errno;

use super::dir::{self, Seen};
use crate::plan::entry::Owner;
use crate::plan::time::Time;

/// Never over a name, never through a link.
const NEW: OFlags = OFlags::RDWR
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A file in the making; removed again unless it is published.
#[derive(Debug)]
pub struct Temporary {
    dir: OwnedFd,
    name: OsString,
    file: File,
    published: bool,
}

impl Temporary {
    /// Makes an empty file of mode 0600 beside its later name.
    ///
    /// # Errors
    /// Those of `openat(2)` and `flock(2)`.
    pub fn new(dir: impl AsFd) -> io::Result<Self> {
        let dir = dir.as_fd().try_clone_to_owned()?;
        loop {
            let name = next_name();
            match rustix::fs::openat(&dir, &name, NEW, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
                Ok(fd) => {
                    let made = Self {
                        dir,
                        name,
                        file: File::from(fd),
                        published: false,
                    };
                    rustix::fs::flock(&made.file, FlockOperation::NonBlockingLockExclusive)?;
                    return Ok(made);
                }
            }
        }
    }

    /// The file, open for reading and writing.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Takes over owner, permissions, extended attributes (with them the ACL) and, where given,
    /// times.
    ///
    /// # Errors
    /// Those of the calls; attributes that the filesystem or the kernel refuses are left out.
    pub fn resemble(&self, like: &File, seen: &Seen, times: Option<Timestamps>) -> io::Result<()> {
        copy_attributes(like, &self.file)?;
        dir::own(&self.file, seen.stat.owner)?;
        if let Some(times) = times {
            rustix::fs::futimens(&self.file, &times)?;
        }
        Ok(())
    }

    /// Sets owner and permissions.
    ///
    /// # Errors
    /// Those of `fchown(2)` and `fchmod(2)`.
    pub fn own(&self, owner: Owner) -> io::Result<()> {
        dir::own(&self.file, owner)
    }

    /// Gives the file its name, unless that is taken. The content must be synced before; the
    /// directory is to be synced after.
    ///
    /// # Errors
    /// `AlreadyExists` where the name is taken; else those of `renameat2(2)`.
    pub fn publish(mut self, name: &OsStr) -> io::Result<()> {
        dir::rename_new(&self.dir, &self.name, &self.dir, name)?;
        self.published = true;
        Ok(())
    }

    /// Makes an empty file of mode 0600 under a name that is to be exchanged.
    ///
    /// # Errors
    /// `AlreadyExists` where the name is taken; else those of `openat(2)`.
    pub fn named(dir: impl AsFd, name: &OsStr) -> io::Result<Self> {
        let dir = dir.as_fd().try_clone_to_owned()?;
        let fd = rustix::fs::openat(&dir, name, NEW, Mode::RUSR | Mode::WUSR)?;
        Ok(Self {
            dir,
            name: name.to_owned(),
            file: File::from(fd),
            published: false,
        })
    }

    /// Exchanges names with a file that is expected to have this identity. `false`: another file
    /// had the name, and has it again.
    ///
    /// # Errors
    /// Those of `renameat2(2)`, and of the look that proves the exchange: both names are as they
    /// were then.
    pub fn exchange(mut self, name: &OsStr, expected: (u64, u64)) -> io::Result<bool> {
        dir::exchange(&self.dir, &self.name, name)?;
        // From here on our name may be that of a file which must stay.
        self.published = true;
        let theirs = dir::look(&self.dir, &self.name);
        let is_expected = theirs.map(|seen| seen.identity() == expected);
        if !matches!(is_expected, Ok(true)) {
            dir::exchange(&self.dir, &self.name, name)?;
            self.published = false;
        }
        is_expected
    }

    /// Gives the file its name, replacing what has it: for sysopt's own books alone.
    ///
    /// # Errors
    /// Those of `renameat(2)`.
    pub fn replace(mut self, name: &OsStr) -> io::Result<()> {
        rustix::fs::renameat(&self.dir, &self.name, &self.dir, name)?;
        self.published = true;
        Ok(())
    }
}

/// A name that no other file of this run has.
#[must_use]
pub fn next_name() -> OsString {
    let serial = NEXT.fetch_add(1, Ordering::Relaxed);
    OsString::from(format!(".sysopt-{}-{serial}.tmp", std::process::id()))
}

/// Makes an empty file of mode 0600 in a directory that is itself in the making.
///
/// # Errors
/// Those of `openat(2)`.
pub fn create(dir: impl AsFd, name: &OsStr) -> io::Result<File> {
    let fd = rustix::fs::openat(dir, name, NEW, Mode::RUSR | Mode::WUSR)?;
    Ok(File::from(fd))
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.published {
            // What stays here is cleared by the garbage step.
            let _ = rustix::fs::unlinkat(&self.dir, &self.name, AtFlags::empty());
        }
    }
}

/// Access and modification time for `futimens(2)`.
#[must_use]
pub fn times(accessed: Time, modified: Time) -> Timestamps {
    let spec = |time: Time| rustix::fs::Timespec {
        tv_sec: time.seconds(),
        tv_nsec: time.subsecond().into(),
    };
    Timestamps {
        last_access: spec(accessed),
        last_modification: spec(modified),
    }
}

/// Copies extended attributes. What the filesystem or the kernel does not allow us is left out:
/// `trusted.*` and `security.*` are for the kernel to decide.
///
/// # Errors
/// Those of a disk that is full or fails.
pub fn copy_attributes(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    let mut list = vec![0_u8; 64 * 1024];
    let Some(length) = unless_refused(rustix::fs::flistxattr(&from, &mut list[..]))? else {
        return Ok(());
    };
    let mut value = vec![0_u8; 64 * 1024];
    for name in list[..length].split(|byte| *byte == 0) {
        if name.is_empty() {
            continue;
        }
        let size = unless_refused(rustix::fs::fgetxattr(&from, name, &mut value[..]))?;
        if let Some(size) = size {
            let none = rustix::fs::XattrFlags::empty();
            unless_refused(rustix::fs::fsetxattr(&to, name, &value[..size], none))?;
        }
    }
    Ok(())
}

fn unless_refused<T>(answer: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::ROFS)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}
