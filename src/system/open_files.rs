//! Who holds which file: one pass over the descriptors and mappings of every process.
//!
//! A mapped file needs no descriptor, so looking at descriptors alone misses the model in use.
//! Nothing is opened to look at it: a pipe would block, and opening counts as use.

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod linux;

use crate::plan::host::OpenFiles;

/// Every process's files on the given devices (`st_dev`) and on `/dev/shm`, and the files without
/// a name on any device. Our own process is left out.
///
/// What could not be seen is counted in the visibility, never an error.
#[must_use]
#[cfg(all(target_os = "linux", not(sysopt_portable)))]
pub fn read(devices: &[u64]) -> OpenFiles {
    linux::read(devices).unwrap_or_default()
}

/// There is no portable way to see this: nothing was looked at, and the visibility says so.
#[must_use]
#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
pub fn read(_devices: &[u64]) -> OpenFiles {
    OpenFiles::default()
}

#[cfg(all(test, not(all(target_os = "linux", not(sysopt_portable)))))]
mod tests {
    #[test]
    fn nothing_seen_is_said() {
        let seen = super::read(&[1]);
        assert!(!seen.visibility.looked && seen.holders.is_empty());
    }
}
