//! The pace file, one of sysopt's own books: replaced as a whole, never half written, and never in
//! the place of another file.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use super::Run;
use super::step::{Halt, Step};
use crate::fs::dir;
use crate::fs::temporary::Temporary;
use crate::plan::agents::{Before, Pace, PaceFile, Present};
use crate::plan::entry::Owner;

/// A pace file is a line; what is larger is none.
const LARGEST: u64 = 64 << 10;

impl Run<'_> {
    /// Replaces the pace file.
    pub fn pace(&mut self, pace: &Pace) -> Result<Step, Halt> {
        let (parent, name) = split(&pace.path)?;
        let directory = open_or_make(parent)?;
        if present_in(&directory, name)? == Present::Foreign {
            let why = "what has its name is no pace file, and stays";
            return Err(Halt::Changed(why.to_owned()));
        }
        write(&directory, name, &pace.content)?;
        let machine = self.surroundings.machine;
        self.before.push(Before {
            memory_available: machine.memory_available(),
            rss_bytes: None,
            ticks: machine.ticks(),
        });
        Ok(Step::done(0))
    }
}

/// What has the name of the pace file now; what cannot be read is taken for a foreign file.
#[must_use]
pub fn present(path: &Path) -> Present {
    let look = || {
        let (parent, name) = split(path)?;
        present_in(&dir::open_root(parent)?, name)
    };
    match look() {
        Ok(present) => present,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Present::Missing,
        Err(_) => Present::Foreign,
    }
}

fn present_in(directory: &OwnedFd, name: &OsStr) -> io::Result<Present> {
    let (file, _) = match dir::open_file(directory, name) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Present::Missing),
        Err(_) => return Ok(Present::Foreign),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(PaceFile::parse(&bytes).map_or(Present::Foreign, Present::Pace))
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    path.parent()
        .zip(path.file_name())
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// The directory of the file, made where it is missing, with its parent's owner; not through a
/// link in its place.
fn open_or_make(path: &Path) -> io::Result<OwnedFd> {
    let Ok((parent, name)) = split(path) else {
        return dir::open_root(path);
    };
    let parent = dir::open_root(parent)?;
    let owner = Owner {
        mode: 0o755,
        ..dir::look_at(&parent)?.stat.owner
    };
    dir::make_below(&parent, Path::new(name), owner)
}

fn write(directory: &OwnedFd, name: &OsStr, content: &PaceFile) -> io::Result<()> {
    let owner = Owner {
        mode: 0o644,
        ..dir::look_at(directory)?.stat.owner
    };
    let mut bytes = serde_json::to_vec(content)?;
    bytes.push(b'\n');
    let made = Temporary::new(directory)?;
    let mut file = made.file();
    file.write_all(&bytes)?;
    made.own(owner)?;
    file.sync_all()?;
    made.replace(name)?;
    dir::sync(directory)
}
