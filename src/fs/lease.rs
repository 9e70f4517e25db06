//! Whether anyone has a file open: the kernel's own answer, by a lease held for an instant.
//!
//! A read lease is refused while anyone has the file open for writing, a write lease while anyone
//! but us has it open or mapped at all (`fcntl(2)`, `F_SETLEASE`). Only the owner and `CAP_LEASE`
//! may ask; filesystems without leases say `EINVAL`. Neither rustix nor nix offers the call.

use std::fs::File;
use std::io;

/// What the kernel says of other users of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nobody else.
    Free,
    /// Somebody.
    Busy,
    /// It may not or cannot say; what `/proc` showed must do.
    Unknown,
}

/// Whether anyone has the file open for writing.
#[must_use]
pub fn writers(file: &File) -> Use {
    imp::ask(file, imp::READ)
}

/// Whether anyone else has the file open or mapped in any way.
#[must_use]
pub fn users(file: &File) -> Use {
    imp::ask(file, imp::WRITE)
}

/// The same as [`users`], and keeps the lease until the file is closed, so that whoever opens the
/// file meanwhile waits.
#[must_use]
pub fn hold_against_users(file: &File) -> Use {
    imp::hold(file, imp::WRITE)
}

/// A broken lease is announced with SIGIO, whose default is to end the process.
///
/// # Errors
/// Those of `sigaction(2)`.
pub fn ignore_break_signal() -> io::Result<()> {
    let ignored = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGIO, ignored).map(drop)
}

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod imp {
    use std::os::fd::AsRawFd;

    use super::{File, Use, io};

    pub const READ: libc::c_int = libc::F_RDLCK;
    pub const WRITE: libc::c_int = libc::F_WRLCK;

    pub fn ask(file: &File, kind: libc::c_int) -> Use {
        let answer = hold(file, kind);
        if answer == Use::Free {
            // A lease that cannot be given back is given back when the file is closed.
            set(file, libc::F_UNLCK);
        }
        answer
    }

    pub fn hold(file: &File, kind: libc::c_int) -> Use {
        if set(file, kind) {
            return Use::Free;
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN) => Use::Busy,
            _ => Use::Unknown,
        }
    }

    #[allow(unsafe_code, reason = "no crate offers F_SETLEASE")]
    fn set(file: &File, kind: libc::c_int) -> bool {
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and F_SETLEASE takes
        // an integer and touches no memory of ours.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 }
    }
}

#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
mod imp {
    use super::{File, Use};

    pub const READ: i32 = 0;
    pub const WRITE: i32 = 1;

    pub const fn ask(_file: &File, _kind: i32) -> Use {
        Use::Unknown
    }

    pub const fn hold(_file: &File, _kind: i32) -> Use {
        Use::Unknown
    }
}

#[cfg(all(test, target_os = "linux", not(sysopt_portable)))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_who_writes_and_who_reads() -> io::Result<()> {
        let named = tempfile::NamedTempFile::new()?;
        let ours = File::open(named.path())?;
        assert_eq!(writers(&ours), Use::Busy, "tempfile holds it for writing");
        let path = named.into_temp_path();
        assert_eq!(writers(&ours), Use::Free);
        assert_eq!(users(&ours), Use::Free);
        let reader = File::open(&path)?;
        assert_eq!(writers(&ours), Use::Free);
        assert_eq!(users(&ours), Use::Busy);
        drop(reader);
        assert_eq!(users(&ours), Use::Free);
        Ok(())
    }
}
