//! What a file name alone says about a file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A temporary file of a sysopt run: `.sysopt-*.tmp`.
#[must_use]
pub fn is_own_temporary(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".sysopt-") && name.ends_with(b".tmp")
}

/// A lock file: `lock`, `LOCK` (`LevelDB`), `*.lock`, and the `.#*` links that Emacs makes.
#[must_use]
pub fn is_lock(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name == b"lock" || name == b"LOCK" || name.ends_with(b".lock") || name.starts_with(b".#")
}

/// A pid file: `*.pid`.
#[must_use]
pub fn is_pid_file(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".pid")
}

/// The tag of <https://bford.info/cachedir/>.
#[must_use]
pub fn is_cache_tag(name: &OsStr) -> bool {
    name == "CACHEDIR.TAG"
}

/// A database of `SQLite` or LMDB.
#[must_use]
pub fn is_database(name: &OsStr) -> bool {
    let ends: [&[u8]; 6] = [b".db", b".db3", b".sqlite", b".sqlite3", b".mdb", b".lmdb"];
    ends.iter().any(|end| name.as_bytes().ends_with(end))
}

/// The database to which a journal belongs (<https://www.sqlite.org/tempfiles.html>), or the locks
/// of an LMDB that is a file of its own (`MDB_NOSUBDIR`).
#[must_use]
pub fn journal_of(name: &OsStr) -> Option<&OsStr> {
    let ends: [&[u8]; 4] = [b"-wal", b"-shm", b"-journal", b"-lock"];
    let base = ends
        .iter()
        .find_map(|end| name.as_bytes().strip_suffix(*end));
    base.filter(|base| !base.is_empty()).map(OsStr::from_bytes)
}

/// A file that somebody writes and then renames, or that a desktop leaves behind.
#[must_use]
pub fn is_temporary(name: &OsStr) -> bool {
    let ends: [&[u8]; 7] = [
        b".tmp",
        b".temp",
        b".part",
        b".partial",
        b".incomplete",
        b".crdownload",
        b"~",
    ];
    let name = name.as_bytes();
    name == b".DS_Store"
        || name == b"Thumbs.db"
        || ends
            .iter()
            .any(|end| name.len() > end.len() && name.ends_with(end))
}

/// What an NFS client keeps of a file that was removed while open.
#[must_use]
pub fn is_nfs_remnant(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".nfs")
}

/// The module of which `X.cpython-312.pyc` is the bytecode: `X`
/// (<https://peps.python.org/pep-3147/>). Tags of other implementations are known too; tags that
/// are not known are nobody's.
#[must_use]
pub fn bytecode_module(name: &OsStr) -> Option<&OsStr> {
    let stem = name.as_bytes().strip_suffix(b".pyc")?;
    let tags: [&[u8]; 3] = [b".cpython-", b".pypy", b".graalpy"];
    let at = (1..stem.len()).find(|at| tags.iter().any(|tag| stem[*at..].starts_with(tag)))?;
    Some(OsStr::from_bytes(&stem[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        type Test = fn(&OsStr) -> bool;
        let table: [(Test, &[&str], &[&str]); 7] = [
            (
                is_cache_tag,
                &["CACHEDIR.TAG"],
                &["cachedir.tag", "CACHEDIR.TAG.bak"],
            ),
            (
                is_own_temporary,
                &[".sysopt-1.tmp"],
                &["sysopt-1.tmp", ".sysopt-1", "a.sysopt-1.tmp"],
            ),
            (
                is_lock,
                &["lock", "LOCK", "a.lock", ".lock", ".#notes"],
                &["clock", "locks", "a.lock.bin"],
            ),
            (is_pid_file, &["a.pid"], &["pid", "a.pid.bin"]),
            (
                is_database,
                &["a.db", "x.sqlite3", "data.mdb", "lock.mdb"],
                &["db", "a.db-wal", "a.dbx"],
            ),
            (
                is_temporary,
                &["a.tmp", "a~", "Thumbs.db", "x.crdownload"],
                &["tmp", "~", ".tmp", "a.part1"],
            ),
            (is_nfs_remnant, &[".nfs0001"], &["a.nfs"]),
        ];
        for (test, yes, no) in table {
            assert!(yes.iter().all(|name| test(OsStr::new(name))), "{yes:?}");
            assert!(!no.iter().any(|name| test(OsStr::new(name))), "{no:?}");
        }
    }

    #[test]
    fn bytecode_names_its_module() {
        let table = [
            ("a.cpython-312.pyc", Some("a")),
            ("a.b.cpython-312.opt-1.pyc", Some("a.b")),
            ("test_x.cpython-311-pytest-8.3.2.pyc", Some("test_x")),
            ("a.pypy310.pyc", Some("a")),
            ("a.pyc", None),
            (".cpython-312.pyc", None),
            ("a.cpython-312.pyc.140213", None),
        ];
        for (name, module) in table {
            assert_eq!(
                bytecode_module(OsStr::new(name)),
                module.map(OsStr::new),
                "{name}"
            );
        }
    }

    #[test]
    fn a_journal_names_its_database() {
        assert_eq!(journal_of(OsStr::new("a.db-wal")), Some(OsStr::new("a.db")));
        assert_eq!(
            journal_of(OsStr::new("Cookies-journal")),
            Some(OsStr::new("Cookies"))
        );
        assert_eq!(journal_of(OsStr::new("x-lock")), Some(OsStr::new("x")));
        assert_eq!(journal_of(OsStr::new("-wal")), None);
        assert_eq!(journal_of(OsStr::new("wal")), None);
    }
}
