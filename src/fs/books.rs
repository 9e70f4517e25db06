//! sysopt's own records: state, history, manifests, digests. The one writer of them.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use super::digests::{self, Digests};
use super::dir;
use super::temporary::Temporary;
use crate::plan::archive::{DIGESTS, MANIFEST, ManifestLine};
use crate::plan::entry::Owner;
use crate::plan::time::Time;

/// Records are read back whole; one larger than this is not ours.
const LARGEST: u64 = 64 * 1024 * 1024;

/// No run takes so long over one record.
const LEFTOVER: Duration = Duration::from_hours(1);

/// A directory of records.
#[derive(Debug)]
pub struct Books {
    dir: OwnedFd,
}

impl Books {
    /// Opens the directory of the state, if it exists.
    ///
    /// # Errors
    /// Those of `open(2)`; a symbolic link in its place is refused.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (parent, name) = split(path)?;
        let dir = dir::open_dir(dir::open_root(parent)?, name)?;
        Ok(Self { dir })
    }

    /// Opens the directory of the state, making it and those above it where they are missing, with
    /// the owner of the nearest that is there.
    ///
    /// # Errors
    /// Those of `open(2)` and `mkdir(2)`.
    pub fn make(path: &Path) -> io::Result<Self> {
        let (mut above, _) = split(path)?;
        let parent = loop {
            match (dir::open_root(above), above.parent()) {
                (Err(error), Some(next)) if error.kind() == io::ErrorKind::NotFound => above = next,
                (other, _) => break other?,
            }
        };
        let owner = Owner {
            mode: 0o755,
            ..dir::look_at(&parent)?.stat.owner
        };
        let missing = path.strip_prefix(above).unwrap_or(path);
        let dir = dir::make_below(&parent, missing, owner)?;
        Ok(Self { dir })
    }

    /// Its device and inode.
    ///
    /// # Errors
    /// Those of `statx(2)`.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        Ok(dir::look_at(&self.dir)?.identity())
    }

    /// Reads a record; `None` where there is none.
    ///
    /// # Errors
    /// Those of reading; `InvalidData` for what is no regular file, or too large to be ours.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let (file, seen) = match dir::open_file(&self.dir, name.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if is_no_file(&error) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            other => other?,
        };
        if seen.stat.size > LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too large"));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Replaces a record, atomically and synced, mode 0600, with the directory's owner.
    ///
    /// # Errors
    /// Those of writing; the old record is then still there.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let owner = Owner {
            mode: 0o600,
            ..dir::look_at(&self.dir)?.stat.owner
        };
        replace(&self.dir, name.as_ref(), bytes, owner)
    }

    /// Removes what runs that ended early left half written: unlocked, and an hour old.
    pub fn clear_leftovers(&self, now: Time) {
        for name in dir::names(&self.dir).unwrap_or_default() {
            if dir::is_temporary(&name)
                && let Ok((file, seen)) = dir::open_file(&self.dir, &name)
                && now.since(seen.stat.mtime) >= LEFTOVER
                && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                // One that cannot be removed is tried again by the next run.
                let _ = rustix::fs::unlinkat(&self.dir, &name, AtFlags::empty());
            }
        }
    }

    /// Moves a record aside under a name that is free; the new name.
    ///
    /// # Errors
    /// Those of `renameat2(2)`.
    pub fn set_aside(&self, name: &str, stamp: &str) -> io::Result<String> {
        let mut aside = format!("{name}.corrupt-{stamp}");
        for number in 2.. {
            match dir::rename_new(&self.dir, name.as_ref(), &self.dir, aside.as_ref()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    aside = format!("{name}.corrupt-{stamp}-{number}");
                }
                other => return other.map(|()| aside),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl AsFd for Books {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Of opening: a symbolic link, a directory, a FIFO or the like has the name.
fn is_no_file(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    path.parent()
        .zip(path.file_name())
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

fn replace(dir: &OwnedFd, name: &OsStr, bytes: &[u8], owner: Owner) -> io::Result<()> {
    let made = Temporary::new(dir)?;
    let mut file = made.file();
    file.write_all(bytes)?;
    made.own(owner)?;
    file.sync_all()?;
    made.replace(name)?;
    dir::sync(dir)
}

/// Writes a new file of ours by its path, and never over one (`config --init`).
///
/// # Errors
/// `AlreadyExists` where the name is taken; else those of writing.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (parent, name) = split(path)?;
    let parent = dir::open_root(if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    })?;
    let owner = dir::look_at(&parent)?.stat.owner;
    if dir::look(&parent, name).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let made = Temporary::new(&parent)?;
    let mut file = made.file();
    file.write_all(bytes)?;
    made.own(Owner {
        mode: 0o644,
        ..owner
    })?;
    file.sync_all()?;
    made.publish(name)?;
    dir::sync(&parent)
}

/// Replaces the file of metrics, atomically, mode 0644, with its directory's owner.
///
/// # Errors
/// Something other than a regular file has its name; else those of writing: the old metrics are
/// then still there.
pub fn write_textfile(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (parent, name) = split(path)?;
    let parent = dir::open_root(parent)?;
    match dir::look(&parent, name) {
        Ok(seen) if !seen.is_file() => {
            let why = "it is there, and not a regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let owner = Owner {
        mode: 0o644,
        ..dir::look_at(&parent)?.stat.owner
    };
    replace(&parent, name, bytes, owner)
}

/// The open records of an archive.
#[derive(Debug)]
pub struct ArchiveBooks {
    dir: OwnedFd,
    manifest: File,
    owner: Owner,
    /// A failed line is still in the manifest.
    torn: Cell<bool>,
}

impl ArchiveBooks {
    /// Opens the manifest for appending, making it where it is missing and cutting off a line that
    /// a killed run left unfinished.
    ///
    /// # Errors
    /// Those of opening and reading.
    pub fn open(archive: impl AsFd) -> io::Result<Self> {
        let dir = archive.as_fd().try_clone_to_owned()?;
        let owner = Owner {
            mode: 0o644,
            ..dir::look_at(&dir)?.stat.owner
        };
        let flags =
            OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let manifest = match rustix::fs::openat(&dir, MANIFEST, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(rustix::io::Errno::NOENT) => {
                // A manifest always has its list: what that lacks has never been here.
                if dir::look(&dir, DIGESTS.as_ref()).is_err() {
                    replace(&dir, DIGESTS.as_ref(), b"", owner)?;
                }
                let fd = rustix::fs::openat(
                    &dir,
                    MANIFEST,
                    flags | OFlags::CREATE | OFlags::EXCL,
                    Mode::from_raw_mode(0o600),
                )?;
                dir::own(&fd, owner)?;
                dir::sync(&dir)?;
                File::from(fd)
            }
            Err(error) => return Err(error.into()),
        };
        let seen = dir::look_at(&manifest)?;
        // Lines are appended: through a hard link they would land in another's file.
        if !seen.is_file() || seen.stat.links > 1 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the manifest is not a regular file with one name",
            ));
        }
        let books = Self {
            dir,
            manifest,
            owner,
            torn: Cell::new(false),
        };
        books.cut_torn_line()?;
        Ok(books)
    }

    fn cut_torn_line(&self) -> io::Result<()> {
        let mut file = &self.manifest;
        let length = file.metadata()?.len();
        let mut end = length;
        let mut block = [0_u8; 4096];
        while end > 0 {
            let start = end.saturating_sub(4096);
            let count = usize::try_from(end - start).unwrap_or(0);
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut block[..count])?;
            if let Some(at) = block[..count].iter().rposition(|byte| *byte == b'\n') {
                end = start + at as u64 + 1;
                break;
            }
            end = start;
        }
        if end < length {
            file.set_len(end)?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// Appends lines and waits until they are on disk.
    ///
    /// # Errors
    /// Those of writing; lines that could be written only in part are cut off again.
    pub fn append(&self, lines: &[ManifestLine]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        if self.torn.get() {
            self.cut_torn_line()?;
            self.torn.set(false);
        }
        let before = self.manifest.metadata()?.len();
        let written = (&self.manifest)
            .write_all(&bytes)
            .and_then(|()| self.manifest.sync_data());
        if written.is_err() {
            self.torn.set(self.manifest.set_len(before).is_err());
        }
        written
    }

    /// Replaces `SHA256SUMS`, unless it says the same already.
    ///
    /// # Errors
    /// Those of writing; the old list is then still there.
    pub fn write_digests(&self, digests: &Digests) -> io::Result<()> {
        let text = digests::format(digests);
        if self.digests_are(&text) {
            return Ok(());
        }
        replace(&self.dir, DIGESTS.as_ref(), &text, self.owner)
    }

    fn digests_are(&self, text: &[u8]) -> bool {
        dir::open_file(&self.dir, DIGESTS.as_ref()).is_ok_and(|(file, seen)| {
            let mut now = Vec::new();
            seen.stat.size == text.len() as u64
                && file.take(text.len() as u64).read_to_end(&mut now).is_ok()
                && now == text
        })
    }
}
