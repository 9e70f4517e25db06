//! Reaching a directory by its path: the one place where symbolic links are followed.
//!
//! A link on the way may be anybody's. Whoever can write a directory above ours could put a link
//! there and have root work where the link leads. So a link is followed if it belongs to root or
//! to the caller, who may decide; one of another user leads only to what is that user's own.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, OFlags};

use super::dir::open_quietly;

/// Opens a directory by its path, following symbolic links that may be trusted.
///
/// # Errors
/// Those of `open(2)`; `PermissionDenied` for a link of another user to what is not theirs.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    return match linux::without_links(path) {
        Some(opened) => opened,
        None => linux::through_links(path),
    };
    #[cfg(not(target_os = "linux"))]
    open_listed(path.as_os_str())
}

#[cfg(not(target_os = "linux"))]
fn open_listed(name: &OsStr) -> io::Result<OwnedFd> {
    use std::os::fd::AsFd;
    open_quietly(CWD.as_fd(), name, OFlags::RDONLY | OFlags::DIRECTORY)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsString;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStringExt;
    use std::path::{Component, PathBuf};

    use rustix::fs::{Mode, ResolveFlags};
    use rustix::io::Errno;

    use super::{CWD, OFlags, OsStr, OwnedFd, Path, io, open_quietly};
    use crate::fs::dir::look_at;
    use crate::plan::entry::Kind;

    /// As the kernel counts them (`path_resolution(7)`).
    const MOST_LINKS: usize = 40;

    const LISTED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

    /// Where there is no link, which is nearly always; `None` where there is, or the kernel cannot
    /// tell.
    pub(super) fn without_links(path: &Path) -> Option<io::Result<OwnedFd>> {
        let open = |flags| {
            rustix::fs::openat2(
                CWD,
                path,
                LISTED | OFlags::CLOEXEC | flags,
                Mode::empty(),
                ResolveFlags::NO_SYMLINKS,
            )
        };
        match open(OFlags::NOATIME) {
            Ok(fd) => Some(Ok(fd)),
            Err(Errno::NOENT) => Some(Err(Errno::NOENT.into())),
            Err(Errno::PERM) => open(OFlags::empty()).ok().map(Ok),
            Err(_) => None,
        }
    }

    /// One component at a time, each looked at before it is followed.
    pub(super) fn through_links(path: &Path) -> io::Result<OwnedFd> {
        let mut at = step(CWD.as_fd(), OsStr::new("."), OFlags::DIRECTORY)?;
        let mut ahead = parts(path);
        let mut links: Vec<(u32, PathBuf)> = Vec::new();
        let mut count = 0;
        while let Some(name) = ahead.pop() {
            let next = step(at.as_fd(), &name, OFlags::NOFOLLOW)?;
            let seen = look_at(&next)?;
            if seen.directory || seen.stat.kind != Kind::Symlink {
                at = next;
                continue;
            }
            count += 1;
            if count > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            let target = rustix::fs::readlinkat(&next, "", Vec::new())?.into_bytes();
            ahead.extend(parts(Path::new(&OsString::from_vec(target))));
            if !is_trusted(seen.stat.owner.uid) {
                links.push((seen.stat.owner.uid, name.into()));
            }
        }
        let owner = look_at(&at)?.stat.owner.uid;
        match links.iter().find(|(theirs, _)| *theirs != owner) {
            Some((uid, name)) => Err(stranger(*uid, name)),
            None => open_quietly(at.as_fd(), OsStr::new("."), LISTED),
        }
    }

    fn step(at: std::os::fd::BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | flags;
        Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
    }

    /// The components of a path, the first one last.
    fn parts(path: &Path) -> Vec<OsString> {
        let parts = path.components().rev();
        let real = parts.filter(|part| !matches!(part, Component::CurDir));
        real.map(|part| part.as_os_str().to_owned()).collect()
    }

    fn is_trusted(uid: u32) -> bool {
        uid == 0 || uid == rustix::process::geteuid().as_raw()
    }

    fn stranger(uid: u32, name: &Path) -> io::Error {
        io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "'{}' on its path is a symbolic link of user {uid} to what is not theirs; \
                 name the directory it leads to, or make the link as root",
                name.display()
            ),
        )
    }
}
