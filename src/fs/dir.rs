//! Operations on single names relative to an open directory.
//!
//! A path is resolved once, when a directory is opened; from there on nothing that others do to
//! the path can lead an effect elsewhere (the "logrotten" class of attacks on logrotate).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

pub use super::reach::open_root;
use crate::plan::entry::{Kind, Owner, Stat};
use crate::plan::time::Time;

/// What the kernel says of a name or a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// `st_dev`.
    pub device: u64,
    /// It is a directory.
    pub directory: bool,
    /// Something is mounted here.
    pub mount: bool,
    /// It can only be appended to (`chattr +a`).
    pub append_only: bool,
    /// The rest.
    pub stat: Stat,
}

impl Seen {
    /// Device and inode.
    #[must_use]
    pub const fn identity(&self) -> (u64, u64) {
        (self.device, self.stat.inode)
    }

    /// A regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        !self.directory && self.stat.kind == Kind::File
    }

    /// The same file with the same content, as far as times and size tell.
    #[must_use]
    pub fn unchanged(&self, other: &Self) -> bool {
        self.identity() == other.identity()
            && self.stat.kind == other.stat.kind
            && self.stat.size == other.stat.size
            && self.stat.mtime == other.stat.mtime
            && self.stat.ctime == other.stat.ctime
    }
}

/// Looks at a name without following a symbolic link.
///
/// # Errors
/// Those of `statx(2)`.
pub fn look(dir: impl AsFd, name: &OsStr) -> io::Result<Seen> {
    stat(
        dir.as_fd(),
        name,
        AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
    )
}

/// Looks at what a name leads to in the end.
///
/// # Errors
/// Those of `statx(2)`; a broken link is `NotFound`.
pub fn look_through(dir: impl AsFd, name: &OsStr) -> io::Result<Seen> {
    stat(dir.as_fd(), name, AtFlags::NO_AUTOMOUNT)
}

/// Looks at an open file or directory.
///
/// # Errors
/// Those of `statx(2)`.
pub fn look_at(fd: impl AsFd) -> io::Result<Seen> {
    stat(fd.as_fd(), OsStr::new(""), AtFlags::EMPTY_PATH)
}

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
fn stat(dir: BorrowedFd<'_>, name: &OsStr, flags: AtFlags) -> io::Result<Seen> {
    use rustix::fs::{StatxAttributes, StatxFlags, StatxTimestamp, makedev, statx};
    let x = match statx(dir, name, flags, StatxFlags::BASIC_STATS) {
        // Linux before 4.11, and sandboxes that filter the call.
        Err(Errno::NOSYS | Errno::PERM) => return stat_portable(dir, name, flags),
        other => other?,
    };
    let time = |t: StatxTimestamp| Time::from_parts(t.tv_sec, t.tv_nsec);
    let mode = u32::from(x.stx_mode);
    let kind = FileType::from_raw_mode(mode);
    Ok(Seen {
        device: makedev(x.stx_dev_major, x.stx_dev_minor),
        directory: kind == FileType::Directory,
        mount: x.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        append_only: x.stx_attributes.contains(StatxAttributes::APPEND),
        stat: Stat {
            kind: kind_of(kind),
            inode: x.stx_ino,
            size: x.stx_size,
            blocks: x.stx_blocks,
            links: x.stx_nlink,
            owner: Owner {
                uid: x.stx_uid,
                gid: x.stx_gid,
                mode: mode & 0o7777,
            },
            mtime: time(x.stx_mtime),
            atime: time(x.stx_atime),
            ctime: time(x.stx_ctime),
        },
    })
}

#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
fn stat(dir: BorrowedFd<'_>, name: &OsStr, flags: AtFlags) -> io::Result<Seen> {
    stat_portable(dir, name, flags)
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_lossless,
    trivial_numeric_casts,
    reason = "the fields of struct stat differ in width between platforms"
)]
fn stat_portable(dir: BorrowedFd<'_>, name: &OsStr, flags: AtFlags) -> io::Result<Seen> {
    let s = if name.is_empty() {
        rustix::fs::fstat(dir)?
    } else {
        rustix::fs::statat(dir, name, flags & AtFlags::SYMLINK_NOFOLLOW)?
    };
    let mode = s.st_mode as u32;
    let kind = FileType::from_raw_mode(s.st_mode);
    Ok(Seen {
        device: s.st_dev as u64,
        directory: kind == FileType::Directory,
        mount: false,
        append_only: false,
        stat: Stat {
            kind: kind_of(kind),
            inode: s.st_ino as u64,
            size: s.st_size as u64,
            blocks: s.st_blocks as u64,
            links: s.st_nlink as u32,
            owner: Owner {
                uid: s.st_uid,
                gid: s.st_gid,
                mode: mode & 0o7777,
            },
            mtime: Time::from_parts(s.st_mtime as i64, s.st_mtime_nsec as u32),
            atime: Time::from_parts(s.st_atime as i64, s.st_atime_nsec as u32),
            ctime: Time::from_parts(s.st_ctime as i64, s.st_ctime_nsec as u32),
        },
    })
}

const fn kind_of(kind: FileType) -> Kind {
    match kind {
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::BlockDevice | FileType::CharacterDevice => Kind::Device,
        FileType::Directory | FileType::Unknown => Kind::Unknown,
    }
}

/// Opens with `O_NOATIME`, which only the owner and root may use, and without it where refused.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_quietly(dir: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    match rustix::fs::openat(dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => {}
        other => return Ok(other?),
    }
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

/// Opens a directory below another, never through a symbolic link.
///
/// # Errors
/// Those of `openat(2)`; a symbolic link is `NotADirectory` or `FilesystemLoop`.
pub fn open_dir(dir: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    open_quietly(
        dir.as_fd(),
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW,
    )
}

/// Opens a file for reading, never through a symbolic link and never waiting on a FIFO.
///
/// # Errors
/// Those of `openat(2)`; anything but a regular file is `InvalidInput`.
pub fn open_file(dir: impl AsFd, name: &OsStr) -> io::Result<(std::fs::File, Seen)> {
    let file = open_unseen(dir, name)?;
    let seen = look_at(&file)?;
    if !seen.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    Ok((file, seen))
}

/// Opens whatever has the name for reading, never through a symbolic link and never waiting on a
/// FIFO. What it is, the caller has to look at.
///
/// # Errors
/// Those of `openat(2)`.
pub fn open_unseen(dir: impl AsFd, name: &OsStr) -> io::Result<std::fs::File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    Ok(open_quietly(dir.as_fd(), name, flags)?.into())
}

/// Opens a file for reading and writing, never through a symbolic link and never waiting on a FIFO.
///
/// # Errors
/// Those of `openat(2)`; anything but a regular file is `InvalidInput`.
pub fn open_to_change(dir: impl AsFd, name: &OsStr) -> io::Result<(std::fs::File, Seen)> {
    let fd = open_quietly(
        dir.as_fd(),
        name,
        OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK,
    )?;
    let seen = look_at(&fd)?;
    if !seen.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((fd.into(), seen))
}

/// Opens the directory at a relative path, one component at a time, never through a symbolic link.
///
/// # Errors
/// Those of `openat(2)`; a path that leaves the directory is `InvalidInput`.
pub fn open_below(dir: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    walk(dir.as_fd(), path, |parent, name| open_dir(parent, name))
}

/// The same, making the directories that are missing with the given owner and permissions.
///
/// # Errors
/// Those of `openat(2)` and `mkdirat(2)`.
pub fn make_below(dir: impl AsFd, path: &Path, owner: Owner) -> io::Result<OwnedFd> {
    walk(dir.as_fd(), path, |parent, name| {
        match open_dir(parent, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dir(parent, name, owner)?;
                open_dir(parent, name)
            }
            other => other,
        }
    })
}

fn make_dir(parent: BorrowedFd<'_>, name: &OsStr, owner: Owner) -> io::Result<()> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(owner.mode & 0o777)) {
        // Another run made it meanwhile; it keeps its owner.
        Err(Errno::EXIST) => return Ok(()),
        other => other?,
    }
    let made = open_dir(parent, name)?;
    // Whoever can write the parent may have put another directory under the name meanwhile: only
    // what is ours and empty, as we made it, is given away.
    let mine = look_at(&made)?.stat.owner.uid == rustix::process::geteuid().as_raw();
    if mine && names(&made)?.is_empty() {
        own(&made, owner)?;
    }
    rustix::fs::fsync(parent)?;
    Ok(())
}

fn walk(
    dir: BorrowedFd<'_>,
    path: &Path,
    mut step: impl FnMut(BorrowedFd<'_>, &OsStr) -> io::Result<OwnedFd>,
) -> io::Result<OwnedFd> {
    let mut at = dir.try_clone_to_owned()?;
    for component in path.components() {
        match component {
            Component::Normal(name) => at = step(at.as_fd(), name)?,
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the path leaves its directory",
                ));
            }
        }
    }
    Ok(at)
}

/// Gives a file or directory an owner and permissions. Only root can give away; others keep what
/// they make.
///
/// # Errors
/// Those of `fchown(2)` and `fchmod(2)`.
pub fn own(fd: impl AsFd, owner: Owner) -> io::Result<()> {
    use rustix::fs::{Gid, Uid};
    let now = look_at(&fd)?.stat.owner;
    if (now.uid, now.gid) != (owner.uid, owner.gid) {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        match rustix::fs::fchown(&fd, Some(uid), Some(gid)) {
            Err(Errno::PERM) if !rustix::process::geteuid().is_root() => {
                // The group alone may be one of the caller's own.
                let _ = rustix::fs::fchown(&fd, None, Some(gid));
            }
            other => other?,
        }
    }
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(owner.mode & 0o7777))?;
    Ok(())
}

/// The names in a directory, but for `.` and `..`, in one piece of memory: a directory of a
/// million names would otherwise take a million allocations beside what is kept of them.
#[derive(Debug, Default)]
pub struct Names {
    /// Each ends with NUL.
    bytes: Vec<u8>,
    count: usize,
}

impl Names {
    /// Reads them by a descriptor that nothing was read from yet.
    ///
    /// # Errors
    /// Those of `getdents(2)`.
    pub fn read(dir: impl AsFd) -> io::Result<Self> {
        let mut names = Self::default();
        each_name(dir, |name| {
            names.bytes.extend_from_slice(name);
            names.bytes.push(0);
            names.count += 1;
        })?;
        Ok(names)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The names, in the order of the directory.
    pub fn iter(&self) -> impl Iterator<Item = &OsStr> {
        let each = self.bytes.split_inclusive(|byte| *byte == 0);
        each.map(|name| OsStr::from_bytes(&name[..name.len() - 1]))
    }

    /// Whether a name is there.
    #[must_use]
    pub fn contains(&self, wanted: &str) -> bool {
        self.iter().any(|name| name == wanted)
    }
}

#[cfg(target_os = "linux")]
fn each_name(dir: impl AsFd, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(64 << 10);
    let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            visit(name);
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn each_name(dir: impl AsFd, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
    for name in names(dir)? {
        visit(name.as_bytes());
    }
    Ok(())
}

/// The names in a directory, but for `.` and `..`.
///
/// # Errors
/// Those of `getdents(2)`.
pub fn names(dir: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    Ok(names)
}

/// Renames, and refuses to replace a file of the new name.
///
/// # Errors
/// Those of `renameat2(2)`; `AlreadyExists` where the new name is taken.
pub fn rename_new(
    from_dir: impl AsFd,
    from: &OsStr,
    to_dir: impl AsFd,
    to: &OsStr,
) -> io::Result<()> {
    #[cfg(all(target_os = "linux", not(sysopt_portable)))]
    match rustix::fs::renameat_with(
        &from_dir,
        from,
        &to_dir,
        to,
        rustix::fs::RenameFlags::NOREPLACE,
    ) {
        // Filesystems without the flag (NFS, some FUSE) say EINVAL.
        Err(Errno::INVAL | Errno::NOSYS) => {}
        other => return Ok(other?),
    }
    rustix::fs::linkat(&from_dir, from, &to_dir, to, AtFlags::empty())?;
    rustix::fs::unlinkat(&from_dir, from, AtFlags::empty())?;
    Ok(())
}

/// Exchanges two names of one directory.
///
/// # Errors
/// Those of `renameat2(2)`; `EINVAL` or `ENOSYS` where the filesystem or the system cannot.
pub fn exchange(dir: impl AsFd, one: &OsStr, other: &OsStr) -> io::Result<()> {
    #[cfg(all(target_os = "linux", not(sysopt_portable)))]
    return Ok(rustix::fs::renameat_with(
        &dir,
        one,
        &dir,
        other,
        rustix::fs::RenameFlags::EXCHANGE,
    )?);
    #[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
    {
        let _ = (dir, one, other);
        Err(Errno::NOSYS.into())
    }
}

/// Makes changes of a directory's names last through a power failure.
///
/// # Errors
/// Those of `fsync(2)`.
pub fn sync(fd: impl AsFd) -> io::Result<()> {
    match rustix::fs::fsync(fd) {
        // Directories that cannot be synced (some FUSE, CIFS) say so.
        Err(Errno::INVAL) => Ok(()),
        other => Ok(other?),
    }
}

/// Whether a name is one that sysopt gives to files in the making.
#[must_use]
pub fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".sysopt-") && name.ends_with(b".tmp")
}

/// Opens anew what a descriptor points to: its own offset, its own lock.
///
/// # Errors
/// Those of `openat(2)`.
pub fn reopen_dir(dir: impl AsFd) -> io::Result<OwnedFd> {
    open_quietly(
        dir.as_fd(),
        OsStr::new("."),
        OFlags::RDONLY | OFlags::DIRECTORY,
    )
}
