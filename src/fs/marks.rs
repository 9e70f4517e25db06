//! What tells that a directory in a cache is another tool's: to remove single files from it would
//! break it, and that tool cleans it itself.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::BorrowedFd;

use super::dir::{self, Names};

/// What the tag of ccache says beside the signature.
const CCACHE: &[u8] = b"ccache";

/// Names that tell something, alone or together.
const TELLING: [&str; 15] = [
    ".git",
    "HEAD",
    "objects",
    "refs",
    ".dvc",
    "files",
    "ccache.conf",
    "CACHEDIR.TAG",
    "config",
    "keys",
    "data",
    "index",
    "snapshots",
    "version",
    "0",
];

/// The mark of the tool to which a directory belongs, as reports name it.
pub(super) fn find(own_name: &OsStr, fd: BorrowedFd<'_>, names: &Names) -> Option<&'static str> {
    let mut seen = [false; TELLING.len()];
    for name in names
        .iter()
        .filter(|name| name.len() <= "CACHEDIR.TAG".len())
    {
        if let Some(at) = TELLING.iter().position(|telling| name == *telling) {
            seen[at] = true;
        }
    }
    let has = |wanted: &str| {
        TELLING
            .iter()
            .zip(seen)
            .any(|(name, seen)| seen && *name == wanted)
    };
    let all = |wanted: &[&str]| wanted.iter().all(|name| has(name));
    if has(".git") {
        Some(".git")
    } else if all(&["HEAD", "objects", "refs"]) {
        Some("HEAD, objects, refs: a bare git repository")
    } else if has(".dvc") || own_name == ".dvc" {
        Some(".dvc")
    } else if has("files") && is_dvc_store(fd) {
        Some("files/md5: a DVC cache")
    } else if has("ccache.conf")
        || (has("CACHEDIR.TAG") && tag_names(fd, CCACHE))
        || (has("0") && has_stats(fd))
    {
        Some("ccache")
    } else if all(&["config", "keys", "data", "index", "snapshots"]) {
        Some("config, keys, data, index, snapshots: a restic repository")
    } else if all(&["version", "index", "snapshots"]) {
        Some("version, index, snapshots: a restic cache")
    } else {
        None
    }
}

/// The cache of DVC 3 (`files/md5/00` to `ff`), also where it is shared and not below `.dvc`.
fn is_dvc_store(fd: BorrowedFd<'_>) -> bool {
    let files = dir::open_dir(fd, OsStr::new("files"));
    files.is_ok_and(|files| dir::look(&files, OsStr::new("md5")).is_ok_and(|md5| md5.directory))
}

/// What `CACHEDIR.TAG` says beside the signature.
fn tag_names(fd: BorrowedFd<'_>, tool: &[u8]) -> bool {
    let mut text = Vec::new();
    dir::open_file(fd, OsStr::new("CACHEDIR.TAG"))
        .and_then(|(file, _)| file.take(1024).read_to_end(&mut text))
        .is_ok()
        && text.windows(tool.len()).any(|window| window == tool)
}

/// ccache keeps the figures of each of its directories `0` to `f` in a file in it.
fn has_stats(fd: BorrowedFd<'_>) -> bool {
    let first = dir::open_dir(fd, OsStr::new("0"));
    first.is_ok_and(|first| dir::look(&first, OsStr::new("stats")).is_ok_and(|s| s.is_file()))
}
