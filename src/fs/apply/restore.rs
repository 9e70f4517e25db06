//! Bringing a model back, bit for bit, without ever replacing a different file.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::archive::copy_proved;
use super::archives::make_path;
use super::step::{Halt, Step, entry_of};
use super::{Run, disk, with};
use crate::fs::compress::Watch;
use crate::fs::dir;
use crate::fs::evidence;
use crate::fs::temporary::{Temporary, times};
use crate::plan::action::{Place, Restore, Subject};
use crate::plan::archive::{Event, ManifestLine};
use crate::plan::entry::Owner;
use crate::plan::time::Time;

impl Run<'_> {
    /// Copies the archived file under a temporary name, proves its digest, and publishes it.
    pub fn restore(&mut self, subject: Subject, restore: &Restore) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find(id)?;
        let stored = found.open()?;
        if restore.line.codec != "none" {
            return Err(Halt::Failed(io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "stored with {}, which this version cannot read",
                    restore.line.codec
                ),
            )));
        }
        let parent = self.destination(&restore.to)?;
        let name = restore
            .to
            .path
            .file_name()
            .ok_or_else(|| Halt::Failed(io::ErrorKind::InvalidInput.into()))?;
        if let Some(mut step) = already_there(&parent, name, &restore.line, self.surroundings)? {
            let there = "it is there already, with the same content".to_owned();
            step.note = self.record_use(restore).or(Some(there));
            return Ok(step);
        }
        let made = Temporary::new(&parent).map_err(with("cannot restore"))?;
        copy_proved(&stored, &made, &restore.line.sha256, self.surroundings)?;
        let line = &restore.line;
        // Owner and mode are those of the stored file, which kept the model's. The manifest says
        // the same, but whoever owns the archive can write there what they like.
        made.resemble(
            &stored,
            &found.seen,
            Some(times(self.surroundings.now, Time(line.mtime_ns))),
        )?;
        made.file().sync_all()?;
        let written = dir::look_at(made.file())?.stat.blocks;
        // Recorded before it appears: a model that is back counts as used from now on.
        let note = self.record_use(restore);
        made.publish(name).map_err(with("cannot publish"))?;
        dir::sync(&parent)?;
        Ok(Step {
            note,
            ..Step::done(-disk(written.saturating_mul(512)))
        })
    }

    /// Records that a model is back in its place. An archive that can only be read gives its
    /// models back all the same: what could not be recorded is only told.
    fn record_use(&mut self, restore: &Restore) -> Option<String> {
        if !restore.home {
            return None;
        }
        let line = ManifestLine {
            event: Event::Restored,
            time: self.surroundings.now,
            ..restore.line.clone()
        };
        let opened = self.open_archive(restore.archive);
        let recorded = opened
            .and_then(|()| self.opened(restore.archive))
            .and_then(|archive| Ok(archive.books.append(&line)?));
        match recorded {
            Err(Halt::Failed(error)) => Some(format!(
                "the manifest could not be told, so only its access time says that it is used: \
                 {error}"
            )),
            _ => None,
        }
    }

    /// The directory that the model goes to, made where it is missing.
    fn destination(&self, to: &Place) -> Result<OwnedFd, Halt> {
        let root = self.surroundings.roots.get(to.root);
        let below = to.path.parent().unwrap_or(Path::new(""));
        let owner = root.seen.map_or(
            Owner {
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
                mode: 0o755,
            },
            |seen| Owner {
                mode: (seen.stat.owner.mode & 0o777) | 0o700,
                ..seen.stat.owner
            },
        );
        let made = match &root.fd {
            Some(fd) => dir::make_below(fd, below, owner),
            None => {
                make_path(&root.spec.path, owner).and_then(|top| dir::make_below(top, below, owner))
            }
        };
        Ok(made.map_err(with("cannot make the directory"))?)
    }
}

/// The name is taken: by the same content, which is as good as restored, or by another file,
/// which stays.
fn already_there(
    parent: &OwnedFd,
    name: &OsStr,
    line: &ManifestLine,
    watch: &dyn Watch,
) -> Result<Option<Step>, Halt> {
    match dir::look(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let same = |(file, seen): (File, dir::Seen)| -> io::Result<bool> {
        Ok(seen.stat.size == line.size
            && evidence::hex(evidence::digest(&file, watch)?) == line.sha256)
    };
    if dir::open_file(parent, name).and_then(same)? {
        return Ok(Some(Step::done(0)));
    }
    Err(Halt::Failed(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "another file has its name and stays; restore elsewhere with --to DIR",
    )))
}
