//! Dead things that are no files of ours: zombies, and shared memory that nobody holds.

use crate::plan::host::OpenFiles;
use crate::plan::time::Time;

pub use crate::plan::processes::{Zombie, zombies};

/// A segment of POSIX shared memory, or a named semaphore (`sem.*`).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Segment {
    /// Its name in `/dev/shm`.
    pub name: String,
    /// Allocated bytes.
    pub bytes: u64,
    /// Owner.
    pub uid: u32,
    /// Since it was last written.
    pub age_seconds: u64,
}

/// The segments in `/dev/shm` that no process was seen to have open or mapped, by name. Where a
/// process could hide one, only the caller's own are told of.
#[must_use]
#[cfg(all(target_os = "linux", not(sysopt_portable)))]
pub fn shm(open: &OpenFiles, now: Time) -> Vec<Segment> {
    linux::segments(c"/dev/shm", open, now).unwrap_or_default()
}

/// There is no portable way to see this.
#[must_use]
#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
pub fn shm(_open: &OpenFiles, _now: Time) -> Vec<Segment> {
    Vec::new()
}

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod linux {
    use std::ffi::CStr;

    use rustix::fs::{AtFlags, FileType, statat};
    use rustix::io::Result;

    use super::super::proc::Dir;
    use super::Segment;
    use crate::plan::host::OpenFiles;
    use crate::plan::time::Time;

    pub(super) fn segments(path: &CStr, open: &OpenFiles, now: Time) -> Result<Vec<Segment>> {
        let mut segments = Vec::new();
        if !open.visibility.looked {
            return Ok(segments);
        }
        let directory = Dir::root()?.below(path)?;
        let complete = open.visibility.is_complete();
        let caller = rustix::process::getuid().as_raw();
        directory.each(|name| {
            let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                return;
            };
            if FileType::from_raw_mode(stat.st_mode).is_file()
                && open.holder((stat.st_dev, stat.st_ino)).is_none()
                && (complete || stat.st_uid == caller)
            {
                let written = Time::from_parts(stat.st_mtime, 0);
                segments.push(Segment {
                    name: name.to_string_lossy().into_owned(),
                    bytes: u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
                    uid: stat.st_uid,
                    age_seconds: now.since(written).as_secs(),
                });
            }
        })?;
        segments.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(segments)
    }
}

#[cfg(all(test, target_os = "linux", not(sysopt_portable)))]
#[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
mod tests {
    use std::ffi::CString;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::plan::host::{Hold, Holder, Visibility};

    #[test]
    fn a_segment_that_somebody_holds_is_not_told_of() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        for name in ["held", "left", "sem.left"] {
            fs::write(directory.path().join(name), [1; 5000])?;
        }
        fs::create_dir(directory.path().join("directory"))?;
        let held = fs::metadata(directory.path().join("held"))?;
        let mut open = OpenFiles::default();
        let holder = Holder {
            pid: 1,
            name: "x".to_owned(),
            hold: Hold::Mapped,
        };
        open.holders.insert((held.dev(), held.ino()), vec![holder]);
        let path = CString::new(directory.path().as_os_str().as_bytes())?;
        let now = Time::from_parts(held.mtime() + 90, 0);
        assert!(
            linux::segments(&path, &open, now)?.is_empty(),
            "nothing was looked at"
        );
        open.visibility = Visibility {
            looked: true,
            ..Visibility::default()
        };
        let found = linux::segments(&path, &open, now)?;
        let names: Vec<_> = found.iter().map(|segment| segment.name.as_str()).collect();
        assert_eq!(names, ["left", "sem.left"]);
        assert!(found[0].bytes >= 4096 && (85..=90).contains(&found[0].age_seconds));
        Ok(())
    }
}
