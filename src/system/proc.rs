//! `/proc` through descriptors: one for it, one for each process, so that a pid that is taken again
//! meanwhile is never mistaken for the process that was opened.

use std::ffi::{CStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat};
use rustix::io::{Errno, Result, read};
use rustix::path::Arg;

/// Directory entries are read in pieces of this size.
const ENTRIES: usize = 16 << 10;

/// A directory of `/proc`.
pub(super) struct Dir(OwnedFd);

impl Dir {
    /// `/proc` itself.
    pub(super) fn root() -> Result<Self> {
        open_directory(CWD, c"/proc").map(Self)
    }

    /// A directory below this one.
    pub(super) fn below(&self, name: impl Arg) -> Result<Self> {
        open_directory(self.0.as_fd(), name).map(Self)
    }

    /// The directory of a process, or `task/TID` of one.
    pub(super) fn number(&self, number: u32) -> Result<Self> {
        self.below(number.to_string())
    }

    /// The names that are numbers, in order.
    pub(super) fn numbers(&self) -> Result<Vec<u32>> {
        let mut numbers = Vec::new();
        self.each(|name| numbers.extend(name.to_str().ok().and_then(|n| n.parse::<u32>().ok())))?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Every name but `.` and `..`.
    pub(super) fn each(&self, mut visit: impl FnMut(&CStr)) -> Result<()> {
        let mut buffer = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(&self.0, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                visit(name);
            }
        }
        Ok(())
    }

    /// A whole file into the buffer.
    pub(super) fn read<'b>(&self, name: impl Arg, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::empty())?;
        buffer.clear();
        loop {
            buffer.reserve(4096);
            match read(&file, rustix::buffer::spare_capacity(buffer)) {
                Ok(0) => return Ok(buffer),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where a symbolic link says it leads.
    pub(super) fn link(&self, name: impl Arg) -> Result<PathBuf> {
        let target = readlinkat(&self.0, name, Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn open_directory(at: BorrowedFd<'_>, name: impl Arg) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}
