//! The directories worked in: resolved once, held open until the end.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use super::collapse;
use super::dir::{self, Seen};
use crate::plan::archive::{MANIFEST, MANIFEST_SCHEMA};
use crate::plan::entry::{AtimeMode, Filesystem, Role, RootId};

/// A directory as it is configured or typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootSpec {
    /// What is done there.
    pub role: Role,
    /// Absolute; symbolic links in it are followed, once.
    pub path: PathBuf,
    /// As reports name it.
    pub shown: PathBuf,
    /// The user named it, so that it is an error where it is missing.
    pub required: bool,
    /// This run works in it; otherwise it only marks what is not the business of this run.
    pub active: bool,
    /// For an archive inside a model directory: that directory and the relative path. It is
    /// opened from there, and never through a symbolic link.
    pub inside: Option<(usize, PathBuf)>,
}

/// A directory that was looked for.
#[derive(Debug)]
pub struct OpenRoot {
    /// As configured.
    pub spec: RootSpec,
    /// Where the path leads; the path itself where the directory does not exist.
    pub resolved: PathBuf,
    /// Open, if it exists.
    pub fd: Option<OwnedFd>,
    /// What it was when it was opened.
    pub seen: Option<Seen>,
    /// Why it could not be opened, unless it is just missing.
    pub problem: Option<io::Error>,
}

/// All of them, one per directory on disk.
#[derive(Debug, Default)]
pub struct Roots {
    list: Vec<OpenRoot>,
}

/// Two names of the configuration that lead to one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice {
    /// The role that it keeps, with the name of it that counts.
    pub kept: (Role, PathBuf),
    /// The one that is dropped.
    pub dropped: (Role, PathBuf),
}

impl Roots {
    /// Opens the directories. Where two lead to the same place, the role first in [`Role`]'s order
    /// wins: what is a model directory is never cleaned as a cache.
    #[must_use]
    pub fn open(specs: Vec<RootSpec>) -> (Self, Vec<Twice>) {
        let mut opened: Vec<OpenRoot> = Vec::with_capacity(specs.len());
        for spec in specs {
            let parent = spec.inside.as_ref().map(|(index, below)| {
                (
                    opened
                        .get(*index)
                        .and_then(|root| root.fd.as_ref())
                        .map(AsFd::as_fd),
                    below.clone(),
                )
            });
            let root = open_one(&spec, parent);
            opened.push(root);
        }
        merge(opened)
    }

    /// The roots in the order of their [`RootId`].
    pub fn iter(&self) -> impl Iterator<Item = (RootId, &OpenRoot)> {
        (0_u16..).map(RootId).zip(&self.list)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: RootId) -> &OpenRoot {
        &self.list[usize::from(id.0)]
    }

    /// The open directory of a root.
    ///
    /// # Errors
    /// `NotFound` where it does not exist.
    pub fn fd(&self, id: RootId) -> io::Result<BorrowedFd<'_>> {
        self.get(id)
            .fd
            .as_ref()
            .map(AsFd::as_fd)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Those that exist and that this run works in, ordered by device and inode.
    pub fn by_identity(&self) -> impl Iterator<Item = (PathBuf, BorrowedFd<'_>)> {
        let mut list: Vec<_> = self
            .list
            .iter()
            .filter(|root| root.spec.active)
            .filter_map(|root| {
                let fd = root.fd.as_ref()?.as_fd();
                Some((root.seen?.identity(), root.spec.shown.clone(), fd))
            })
            .collect();
        list.sort_by_key(|(identity, ..)| *identity);
        list.into_iter().map(|(_, path, fd)| (path, fd))
    }

    /// Which directory on disk belongs to which root.
    #[must_use]
    pub fn identities(&self) -> HashMap<(u64, u64), RootId> {
        self.iter()
            .filter_map(|(id, root)| Some((root.seen?.identity(), id)))
            .collect()
    }

    /// Devices of the roots that exist, each once.
    #[must_use]
    pub fn devices(&self) -> Vec<u64> {
        let mut devices: Vec<u64> = self
            .list
            .iter()
            .filter_map(|root| Some(root.seen?.device))
            .collect();
        devices.sort_unstable();
        devices.dedup();
        devices
    }
}

fn open_one(spec: &RootSpec, parent: Option<(Option<BorrowedFd<'_>>, PathBuf)>) -> OpenRoot {
    let opened = match parent {
        None => dir::open_root(&spec.path),
        Some((Some(parent), below)) => dir::open_below(parent, &below),
        Some((None, _)) => Err(io::ErrorKind::NotFound.into()),
    };
    let resolved = resolve(&spec.path);
    let opened = opened.and_then(|fd| {
        let seen = dir::look_at(&fd)?;
        proved(&resolved, &seen)?;
        Ok((fd, seen))
    });
    let (fd, seen, problem) = match opened {
        Ok((fd, seen)) => (Some(fd), Some(seen), None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None, None),
        Err(error) => (None, None, Some(error)),
    };
    OpenRoot {
        resolved,
        spec: spec.clone(),
        fd,
        seen,
        problem,
    }
}

/// The guards judge the name of a directory: it has to be that of the one that is open.
fn proved(resolved: &Path, seen: &Seen) -> io::Result<()> {
    let now = dir::look_through(rustix::fs::CWD, resolved.as_os_str())?;
    if now.identity() == seen.identity() {
        Ok(())
    } else {
        Err(io::Error::other("somebody replaced it while it was opened"))
    }
}

fn merge(opened: Vec<OpenRoot>) -> (Roots, Vec<Twice>) {
    let mut twice = Vec::new();
    let mut winner: HashMap<(u64, u64), usize> = HashMap::new();
    for (index, root) in opened.iter().enumerate() {
        let Some(seen) = root.seen else { continue };
        let first = *winner.entry(seen.identity()).or_insert(index);
        if first != index {
            let (kept, dropped) = if root.spec.role < opened[first].spec.role {
                winner.insert(seen.identity(), index);
                (index, first)
            } else {
                (first, index)
            };
            let name = |index: usize| {
                let spec = &opened[index].spec;
                (spec.role, spec.shown.clone())
            };
            twice.push(Twice {
                kept: name(kept),
                dropped: name(dropped),
            });
        }
    }
    let list = opened
        .into_iter()
        .enumerate()
        .filter(|(index, root)| {
            root.seen
                .is_none_or(|seen| winner.get(&seen.identity()) == Some(index))
        })
        .map(|(_, root)| root)
        .collect();
    (Roots { list }, twice)
}

/// The path with symbolic links followed; as it is where it does not exist.
#[must_use]
pub fn resolve(path: &Path) -> PathBuf {
    find(path).unwrap_or_else(|| path.to_path_buf())
}

/// The path with symbolic links followed; `None` where it does not exist.
#[must_use]
pub fn find(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

/// Whether there is anything of that name; a link that leads nowhere is something.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// The path without `.` and `..`, of which what stands before the last `..` is resolved: one
/// directory has one name, whatever was typed. Symbolic links after it stay as they are.
#[must_use]
pub fn without_dots(path: &Path) -> PathBuf {
    let parts: Vec<_> = path.components().collect();
    let dots = parts.iter().rposition(|part| *part == Component::ParentDir);
    let (before, after) = parts.split_at(dots.map_or(0, |at| at + 1));
    let mut resolved = resolve(&before.iter().collect::<PathBuf>());
    resolved.extend(after);
    resolved
}

/// Where the filesystem of a resolved path is mounted: its last ancestor on the same device.
#[must_use]
pub fn mount_point(resolved: &Path, device: u64) -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    resolved
        .ancestors()
        .take_while(|ancestor| {
            std::fs::symlink_metadata(ancestor).is_ok_and(|seen| seen.dev() == device)
        })
        .last()
        .unwrap_or(resolved)
        .to_path_buf()
}

/// The nearest directory above a path that exists.
///
/// # Errors
/// Those of opening it.
pub fn nearest(path: &Path) -> io::Result<(OwnedFd, Seen)> {
    for ancestor in path.ancestors().skip(1) {
        match dir::open_root(ancestor) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.and_then(|fd| dir::look_at(&fd).map(|seen| (fd, seen))),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// What `statvfs` says of the filesystem of a directory.
///
/// # Errors
/// Those of `fstatvfs(2)`.
pub fn filesystem(fd: impl AsFd, device: u64) -> io::Result<Filesystem> {
    let vfs = rustix::fs::fstatvfs(&fd)?;
    let flags = vfs.f_flag;
    let atime = if flags.bits() & 0x0400 != 0 {
        AtimeMode::Noatime
    } else if flags.bits() & 0x1000 != 0 {
        AtimeMode::Relatime
    } else {
        AtimeMode::Strict
    };
    let block = vfs.f_frsize;
    let available = if rustix::process::geteuid().is_root() {
        vfs.f_bfree
    } else {
        vfs.f_bavail
    };
    Ok(Filesystem {
        device,
        total: vfs.f_blocks.saturating_mul(block),
        free: vfs.f_bfree.saturating_mul(block),
        available: available.saturating_mul(block),
        inodes: vfs.f_files,
        free_inodes: vfs.f_ffree,
        read_only: flags.contains(StatVfsMountFlags::RDONLY),
        atime,
        cuts: collapse::cuts(&fd),
    })
}

/// The archive of sysopt that a directory is or lies in, if any: what is in it is never a
/// candidate for anything but retention and restoring.
#[must_use]
pub fn enclosing_archive(resolved: &Path) -> Option<PathBuf> {
    resolved
        .ancestors()
        .find(|ancestor| dir::open_root(ancestor).is_ok_and(|fd| has_manifest(fd.as_fd())))
        .map(Path::to_path_buf)
}

/// Whether the directory holds a manifest of sysopt.
#[must_use]
pub fn has_manifest(dir: BorrowedFd<'_>) -> bool {
    use std::io::Read;
    let Ok((file, _)) = dir::open_file(dir, MANIFEST.as_ref()) else {
        return false;
    };
    let mut head = Vec::new();
    let family = MANIFEST_SCHEMA.split('/').next().unwrap_or(MANIFEST_SCHEMA);
    file.take(4096).read_to_end(&mut head).is_ok()
        && (head.is_empty() || memmem(&head, family.as_bytes()))
}

fn memmem(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
