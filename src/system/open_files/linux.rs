//! The pass over `/proc/*/fd`, `/proc/*/fdinfo` and `/proc/*/maps`.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::fmt::Write as _;
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, FileType, MemfdFlags, StatxFlags, fstat, makedev, memfd_create, statat, statx,
};
use rustix::io::{Errno, Result};

use super::super::parse::{self, Mount};
use super::super::proc::Dir;
use crate::plan::host::{DeletedFile, Hold, Holder, Locker, OpenFiles};

/// Device and inode.
type Identity = (u64, u64);

pub(super) fn read(devices: &[u64]) -> Result<OpenFiles> {
    let proc = Dir::root()?;
    let mut buffer = Vec::with_capacity(64 << 10);
    let mounts = proc.read(c"self/mountinfo", &mut buffer);
    let mounts = mounts.map(parse::mounts).unwrap_or_default();
    let mut pass = Pass::new(devices, &mounts);
    let pids = proc.numbers()?;
    // Where something else is mounted there is no process, not even ours.
    pass.found.visibility.looked = !pids.is_empty();
    pass.found.visibility.hidepid =
        !rustix::process::geteuid().is_root() && parse::hides_processes(&mounts);
    let own = std::process::id();
    for pid in pids.into_iter().filter(|pid| *pid != own) {
        // A process that is gone holds nothing any more.
        if let Ok(process) = proc.number(pid) {
            pass.process(pid, &process);
        }
    }
    pass.locks(&proc, own);
    Ok(pass.found)
}

struct Pass {
    devices: Devices,
    /// Where the kernel keeps files that are only memory (`memfd_create`).
    memory: Option<u64>,
    /// The directory above all, in which daemons work.
    top: Option<Identity>,
    deleted: HashSet<Identity>,
    buffer: Vec<u8>,
    found: OpenFiles,
}

/// What one process holds.
#[derive(Default)]
struct Held {
    files: HashMap<Identity, Hold>,
    deleted: Vec<(Identity, PathBuf, u64)>,
    hidden: bool,
    empty: bool,
}

impl Held {
    fn add(&mut self, identity: Identity, hold: Hold) {
        let strongest = self.files.entry(identity).or_insert(hold);
        *strongest = hold.max(*strongest);
    }
}

impl Pass {
    fn new(devices: &[u64], mounts: &[Mount]) -> Self {
        let mut devices = devices.to_vec();
        devices
            .extend(statat(rustix::fs::CWD, c"/dev/shm", AtFlags::empty()).map(|shm| shm.st_dev));
        let memory = memfd_create(c"sysopt", MemfdFlags::CLOEXEC).and_then(fstat);
        Self {
            devices: Devices::new(devices, mounts),
            memory: memory.ok().map(|stat| stat.st_dev),
            top: statat(rustix::fs::CWD, c"/", AtFlags::empty())
                .ok()
                .map(|top| (top.st_dev, top.st_ino)),
            deleted: HashSet::new(),
            buffer: Vec::with_capacity(64 << 10),
            found: OpenFiles::default(),
        }
    }

    fn process(&mut self, pid: u32, process: &Dir) {
        let mut held = Held {
            empty: true,
            ..Held::default()
        };
        self.look(process, &mut held);
        if held.empty && !held.hidden {
            self.threads(pid, process, &mut held);
        }
        self.found.visibility.processes += 1;
        if held.hidden && !self.holds_nothing(process) {
            self.found.visibility.hidden += 1;
        }
        if held.files.is_empty() && held.deleted.is_empty() {
            return;
        }
        let name = process.read(c"comm", &mut self.buffer).unwrap_or_default();
        let name = String::from_utf8_lossy(name).trim_end().to_owned();
        for (identity, hold) in held.files {
            let holders = self.found.holders.entry(identity).or_default();
            holders.push(Holder {
                pid,
                name: name.clone(),
                hold,
            });
        }
        for ((device, inode), path, bytes) in held.deleted {
            self.found.deleted.push(DeletedFile {
                pid,
                process: name.clone(),
                path: escaped(path),
                bytes,
                device,
                inode,
            });
        }
    }

    /// What `/proc/locks` shows, also of processes that hide their files from us.
    fn locks(&mut self, proc: &Dir, own: u32) {
        let Ok(text) = proc.read(c"locks", &mut self.buffer) else {
            return;
        };
        let locks: Vec<parse::Flock> = parse::flocks(text).collect();
        for lock in locks.into_iter().filter(|lock| lock.pid != own) {
            let (device, inode) = lock.identity;
            let process = proc.number(lock.pid);
            let name = process.and_then(|process| {
                let name = process.read(c"comm", &mut self.buffer)?;
                Ok(String::from_utf8_lossy(name).trim_end().to_owned())
            });
            let locker = Locker {
                pid: lock.pid,
                name: name.unwrap_or_default(),
            };
            for device in self.devices.of_mapping(device) {
                self.found.locks.insert((*device, inode), locker.clone());
            }
        }
    }

    /// Descriptors, mappings and the working directory of a process or thread.
    fn look(&mut self, process: &Dir, held: &mut Held) {
        if let Some(place) = stat(process, c"cwd") {
            self.directory(&place, held);
        }
        match process.below(c"fd") {
            Ok(descriptors) => {
                // An error in the middle is a process that ended.
                let _ = descriptors.each(|name| {
                    held.empty = false;
                    self.descriptor(process, &descriptors, name, held);
                });
            }
            Err(error) => held.hidden |= is_denied(error),
        }
        match process.read(c"maps", &mut self.buffer) {
            Ok(text) => {
                let mut last = (0, 0);
                for identity in parse::mapped(text) {
                    // A file is mapped in parts, one after the other.
                    if std::mem::replace(&mut last, identity) == identity {
                        continue;
                    }
                    held.empty = false;
                    for device in self.devices.of_mapping(identity.0) {
                        held.add((*device, identity.1), Hold::Mapped);
                    }
                }
            }
            Err(error) => held.hidden |= is_denied(error),
        }
    }

    fn descriptor(&mut self, process: &Dir, descriptors: &Dir, name: &CStr, held: &mut Held) {
        let Some(file) = stat(descriptors, name) else {
            return;
        };
        let identity = (file.device, file.inode);
        if file.directory {
            return self.directory(&file, held);
        }
        if self.devices.asked.contains(&file.device) {
            let info = format!("fdinfo/{}", name.to_string_lossy());
            match process.read(info, &mut self.buffer) {
                // A file that we cannot tell of is taken for one that is written.
                Ok(text) => held.add(identity, parse::hold(text).unwrap_or(Hold::Write)),
                Err(error) if is_denied(error) => held.add(identity, Hold::Write),
                Err(_) => {}
            }
        }
        if file.links == 0 && Some(file.device) != self.memory && self.deleted.insert(identity) {
            let path = descriptors.link(name).unwrap_or_default();
            if !path.starts_with("/memfd:") {
                held.deleted.push((identity, path, file.blocks * 512));
            }
        }
    }

    fn directory(&self, seen: &File, held: &mut Held) {
        let identity = (seen.device, seen.inode);
        if self.devices.asked.contains(&seen.device) && Some(identity) != self.top {
            held.add(identity, Hold::Read);
        }
    }

    /// Where the first thread of a process has ended, its own table is empty, and the others go on
    /// with the files.
    fn threads(&mut self, pid: u32, process: &Dir, held: &mut Held) {
        let Ok(tasks) = process.below(c"task") else {
            return;
        };
        for thread in tasks.numbers().unwrap_or_default() {
            if thread != pid
                && let Ok(thread) = tasks.number(thread)
            {
                self.look(&thread, held);
                return;
            }
        }
    }

    /// Kernel threads and zombies hide nothing: they have no files.
    fn holds_nothing(&mut self, process: &Dir) -> bool {
        let text = process.read(c"stat", &mut self.buffer).unwrap_or_default();
        parse::process_stat(text).is_none_or(|stat| {
            stat.kernel || (stat.state == crate::plan::processes::State::Zombie && stat.threads < 2)
        })
    }
}

fn is_denied(error: Errno) -> bool {
    matches!(error, Errno::ACCESS | Errno::PERM)
}

struct File {
    device: u64,
    inode: u64,
    links: u32,
    blocks: u64,
    directory: bool,
}

/// A regular file or directory behind a descriptor. The link is magic: it leads to the open file
/// itself, whose path is not walked; and a server that is gone is not asked
/// (`AT_STATX_DONT_SYNC`).
fn stat(descriptors: &Dir, name: &CStr) -> Option<File> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK | StatxFlags::BLOCKS;
    let (kind, file) = match statx(descriptors, name, AtFlags::STATX_DONT_SYNC, wanted) {
        Ok(stat) => (
            FileType::from_raw_mode(stat.stx_mode.into()),
            File {
                device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
                inode: stat.stx_ino,
                links: stat.stx_nlink,
                blocks: stat.stx_blocks,
                directory: false,
            },
        ),
        Err(Errno::NOSYS) => {
            let stat = statat(descriptors, name, AtFlags::empty()).ok()?;
            let file = File {
                device: stat.st_dev,
                inode: stat.st_ino,
                links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
                blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
                directory: false,
            };
            (FileType::from_raw_mode(stat.st_mode), file)
        }
        Err(_) => return None,
    };
    let directory = kind.is_dir();
    (directory || kind.is_file()).then_some(File { directory, ..file })
}

/// A path as a report can show it: without the kernel's mark, other bytes escaped.
fn escaped(path: PathBuf) -> String {
    let path = parse::without_mark(path);
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // A string takes everything.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Which device a mapping is on. `maps` names the device of the filesystem; `stat` names that of
/// the subvolume (btrfs) or of the layered tree (overlayfs). Where the two can differ, a mapping
/// counts for every device that it may be on: to keep a file too many is harmless.
struct Devices {
    asked: HashSet<u64>,
    /// Asked for, and not, or not surely, what `maps` would name.
    vague: Vec<u64>,
    /// Devices that `maps` names for files that `stat` says are there.
    plain: HashSet<u64>,
}

impl Devices {
    fn new(asked: Vec<u64>, mounts: &[Mount]) -> Self {
        let layered = |mount: &&Mount| matches!(mount.kind.as_str(), "btrfs" | "overlay");
        let plain: HashSet<u64> = mounts
            .iter()
            .filter(|mount| !layered(mount))
            .map(|mount| mount.device)
            .collect();
        Self {
            vague: asked
                .iter()
                .copied()
                .filter(|device| !plain.contains(device))
                .collect(),
            asked: asked.into_iter().collect(),
            plain,
        }
    }

    fn of_mapping(&self, device: u64) -> &[u64] {
        if !self.plain.contains(&device) {
            return &self.vague;
        }
        self.asked.get(&device).map_or(&[], std::slice::from_ref)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
#[path = "tests.rs"]
mod tests;
