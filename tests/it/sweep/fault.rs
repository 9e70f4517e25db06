//! What can go wrong at a system call.

use super::trace::Point;

/// A way in which a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process ends before the call.
    Kill,
    /// The call is not made, and says so.
    Error(&'static str),
}

impl Fault {
    pub const KILL: Self = Self::Kill;

    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Error(name) => name,
        }
    }

    /// What strace is to do at the Nth call of a kind.
    pub fn injection(self, point: &Point) -> String {
        let what = match self {
            Self::Kill => "signal=KILL".to_owned(),
            Self::Error(name) => format!("error={name}"),
        };
        format!("inject={}:{what}:when={}", point.call, point.number)
    }

    /// The words of `strerror(3)`.
    pub fn words(self) -> &'static str {
        match self.name() {
            "EACCES" => "Permission denied",
            "EDQUOT" => "Disk quota exceeded",
            "EINTR" => "Interrupted system call",
            "EIO" => "Input/output error",
            "EMFILE" => "Too many open files",
            "ENOSPC" => "No space left on device",
            "EPERM" => "Operation not permitted",
            "EROFS" => "Read-only file system",
            name => panic!("no words for {name}"),
        }
    }
}

/// A dying disk, a full one, a quota that is used up, a door that is closed, a signal, a filesystem that
/// the kernel has made read-only: each where the manual of the call, or a filesystem, has it.
pub fn possible(point: &Point) -> Vec<Fault> {
    let names: &[&'static str] = match point.call.as_str() {
        "openat" if point.changes => &["EIO", "ENOSPC", "EDQUOT", "EACCES", "EINTR", "EROFS"],
        "openat" => &["EIO", "EACCES", "EINTR"],
        "write" | "pwrite64" => &["EIO", "ENOSPC", "EDQUOT", "EINTR", "EROFS"],
        "copy_file_range" | "sendfile" | "fsync" | "fdatasync" => {
            &["EIO", "ENOSPC", "EINTR", "EROFS"]
        }
        // A file that can only be appended to.
        "fallocate" | "ftruncate" => &["EIO", "ENOSPC", "EINTR", "EROFS", "EPERM"],
        // A copy-on-write filesystem needs space to remove a name.
        "unlink" | "unlinkat" => &["EIO", "ENOSPC", "EACCES", "EROFS"],
        "rename" | "renameat" | "renameat2" | "link" | "linkat" | "mkdir" | "mkdirat"
        | "symlinkat" => &["EIO", "ENOSPC", "EDQUOT", "EACCES", "EROFS"],
        "fchmod" | "fchmodat" | "fchown" | "fchownat" | "utimensat" => &["EIO", "EPERM", "EROFS"],
        "fsetxattr" => &["EIO", "ENOSPC", "EPERM", "EROFS"],
        "statx" | "newfstatat" | "fstat" | "fgetxattr" | "flistxattr" | "readlinkat" => {
            &["EIO", "EACCES"]
        }
        "read" | "pread64" => &["EIO", "EINTR"],
        "getdents64" => &["EIO"],
        "flock" => &["EINTR"],
        // What is held can be given back.
        "fcntl" if point.line.contains("F_UNLCK") => &[],
        "fcntl" if point.line.contains("F_SETLEASE") => &["EACCES"],
        "fcntl" if point.line.contains("F_DUPFD") => &["EMFILE"],
        _ => &[],
    };
    names.iter().map(|name| Fault::Error(name)).collect()
}
