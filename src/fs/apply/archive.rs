//! Moving models into an archive, and removing versions from it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Access, AtFlags};

use super::remove::remove_found;
use super::step::{Found, Halt, Step, entry_of, vanished};
use super::{Run, disk, with};
use crate::fs::compress::{self, forget_pages};
use crate::fs::dir;
use crate::fs::evidence;
use crate::fs::lease::{self, Use};
use crate::fs::temporary::{Temporary, times};
use crate::plan::action::{ArchiveModel, ExpireModel, Subject};
use crate::plan::archive::{Event, MANIFEST_SCHEMA, ManifestLine, StoredPath};
use crate::plan::policy::Codec;

impl Run<'_> {
    /// Moves a model: the manifest first, then one rename that replaces nothing.
    pub fn archive(&mut self, subject: Subject, model: &ArchiveModel) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find(id)?;
        let file = found.open()?;
        if lease::users(&file) == Use::Busy {
            return Err(Halt::Changed("somebody uses it now".to_owned()));
        }
        // Reading counts as use where the access time cannot be spared, so whether the model may
        // move is asked before: a failure must not look like a reason to keep it.
        self.open_archive(model.archive)?;
        may_change(&found)?;
        let sum = evidence::digest(&file, self.surroundings).map_err(with("cannot read"))?;
        if !found.seen.unchanged(&dir::look_at(&file)?) {
            return Err(Halt::Changed("it changed while it was read".to_owned()));
        }
        let line = self.line(&found, model, &evidence::hex(sum));
        if model.stored {
            self.join_stored(&found, &file, model, &line)
        } else {
            self.move_in(&found, &file, model, &line)
        }
    }

    fn line(&self, found: &Found<'_>, model: &ArchiveModel, sum: &str) -> ManifestLine {
        let stat = found.seen.stat;
        ManifestLine {
            schema: MANIFEST_SCHEMA.to_owned(),
            event: Event::Archived,
            original_path: StoredPath(model.original.clone()),
            archived_path: StoredPath(model.to.clone()),
            size: stat.size,
            sha256: sum.to_owned(),
            stored_sha256: sum.to_owned(),
            mtime_ns: stat.mtime.0,
            mode: stat.owner.mode,
            uid: stat.owner.uid,
            gid: stat.owner.gid,
            family: model.family.clone(),
            time: self.surroundings.now,
            codec: Codec::None.name().to_owned(),
        }
    }

    fn move_in(
        &mut self,
        found: &Found<'_>,
        file: &File,
        model: &ArchiveModel,
        line: &ManifestLine,
    ) -> Result<Step, Halt> {
        let archive = self.opened(model.archive)?;
        let (parent, name) = archive.place(&model.to)?;
        if dir::look(&parent, name).is_ok() {
            return Err(Halt::Changed(
                "its archived name appeared meanwhile".to_owned(),
            ));
        }
        archive
            .books
            .append(line)
            .map_err(with("cannot write the manifest"))?;
        let mut arrived = false;
        let here = dir::look_at(&parent).map_err(Halt::from);
        let moved = here.and_then(|here| {
            if here.device == found.seen.device {
                rename_in(found, file, &parent, name, &mut arrived)
            } else {
                self.copy_in(found, file, (&parent, name), &line.sha256, &mut arrived)
            }
        });
        self.opened(model.archive)?.settle(line, arrived);
        moved.map(Step::done)
    }

    /// The archive has the same bytes already: proved again, recorded, and the original goes.
    fn join_stored(
        &mut self,
        found: &Found<'_>,
        file: &File,
        model: &ArchiveModel,
        line: &ManifestLine,
    ) -> Result<Step, Halt> {
        let watch = self.surroundings;
        let recorded = self.recorded(model.archive, &model.to);
        let archive = self.opened(model.archive)?;
        let (parent, name) = archive.place(&model.to)?;
        let (stored, _) = dir::open_file(&parent, name).map_err(vanished)?;
        if evidence::hex(evidence::digest(&stored, watch)?) != line.sha256 {
            return Err(Halt::Changed("the archived file is another now".to_owned()));
        }
        stored.sync_all()?;
        // Newer by this, and never older: as the plan ranks it.
        let recorded = recorded.map_or(line.mtime_ns, |recorded| recorded.mtime_ns);
        archive
            .books
            .append(&ManifestLine {
                mtime_ns: line.mtime_ns.max(recorded),
                ..line.clone()
            })
            .map_err(with("cannot write the manifest"))?;
        remove_found(found, Some(file))?;
        dir::sync(&*found.parent)?;
        Ok(Step {
            note: Some("the archive has the same content; stored once".to_owned()),
            ..Step::done(disk(found.entry.disk_usage()))
        })
    }

    /// The line of a version.
    fn recorded(&self, archive: usize, path: &Path) -> Option<ManifestLine> {
        let mut versions = self.inventory.archives[archive].versions.iter();
        let version = versions.find(|version| version.line.archived_path.0 == path);
        version.map(|version| version.line.clone())
    }

    /// Another filesystem: copy, sync, read back, publish, and only then remove the original.
    fn copy_in(
        &self,
        found: &Found<'_>,
        file: &File,
        (parent, name): (&OwnedFd, &std::ffi::OsStr),
        sum: &str,
        arrived: &mut bool,
    ) -> Result<i64, Halt> {
        let stat = found.seen.stat;
        let made = Temporary::new(parent).map_err(with("cannot copy"))?;
        copy_proved(file, &made, sum, self.surroundings)?;
        made.resemble(file, &found.seen, Some(times(stat.atime, stat.mtime)))?;
        made.file().sync_all()?;
        let written = dir::look_at(made.file())?.stat.blocks;
        if !found.seen.unchanged(&dir::look_at(file)?) {
            return Err(Halt::Changed("it changed while it was copied".to_owned()));
        }
        made.publish(name).map_err(with("cannot publish"))?;
        *arrived = true;
        dir::sync(parent)?;
        remove_found(found, Some(file))?;
        dir::sync(&*found.parent)?;
        Ok(disk(stat.blocks.saturating_mul(512)) - disk(written.saturating_mul(512)))
    }

    /// Removes a version: out of the digests, into the manifest as expired, then from the disk.
    pub fn expire_model(&mut self, subject: Subject, version: &ExpireModel) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find(id)?;
        let file = found.open_if_readable()?;
        let line = self
            .recorded(version.archive, &version.path)
            .ok_or_else(|| Halt::Failed(io::ErrorKind::NotFound.into()))?;
        let gone = ManifestLine {
            event: Event::Expired,
            time: self.surroundings.now,
            ..line.clone()
        };
        self.open_archive(version.archive)?;
        let archive = self.opened(version.archive)?;
        let sum = archive.digests.remove(&version.path);
        let written = archive.books.write_digests(&archive.digests);
        let removed = written
            .and_then(|()| archive.books.append(&gone))
            .map_err(|error| Halt::from(with("cannot write the lists of the archive")(error)))
            .and_then(|()| remove_found(&found, file.as_ref()));
        if let Err(halt) = removed {
            // It is still there, and both lists have to say so.
            archive
                .digests
                .extend(sum.map(|sum| (version.path.clone(), sum)));
            let _ = archive.books.append(&line);
            return Err(halt);
        }
        let freed = if found.seen.stat.links <= 1 {
            disk(found.entry.disk_usage())
        } else {
            0
        };
        remove_found(&found, file.as_ref())?;
        dir::sync(&*found.parent)?;
        Ok(Step::done(freed))
    }
}

/// Whether names may be changed in the directory of a file.
fn may_change(found: &Found<'_>) -> Result<(), Halt> {
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(&*found.parent, ".", rights, AtFlags::EACCESS)
        .map_err(|error| Halt::Failed(error.into()))
}

/// One rename on the same filesystem, proved to have moved what was read.
fn rename_in(
    found: &Found<'_>,
    file: &File,
    parent: &OwnedFd,
    name: &std::ffi::OsStr,
    arrived: &mut bool,
) -> Result<i64, Halt> {
    if lease::hold_against_users(file) == Use::Busy {
        return Err(Halt::Changed("somebody uses it now".to_owned()));
    }
    // The digest in the manifest is of what was read before the lease.
    if !found.seen.unchanged(&dir::look_at(file)?) {
        return Err(Halt::Changed("it changed after it was read".to_owned()));
    }
    let from = found.parent.as_fd();
    dir::rename_new(from, found.name, parent, name).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Halt::Changed("its archived name appeared meanwhile".to_owned())
        }
        _ => vanished(error),
    })?;
    let moved = dir::look(parent, name)?;
    let same = moved.identity() == found.seen.identity();
    // Renaming changes the change time; where no lease was granted, content may have changed too.
    let written =
        moved.stat.size != found.seen.stat.size || moved.stat.mtime != found.seen.stat.mtime;
    if !same || written {
        dir::rename_new(parent, name, from, found.name)?;
        return Err(Halt::Changed("it changed in the last instant".to_owned()));
    }
    *arrived = true;
    dir::sync(parent)?;
    dir::sync(from)?;
    Ok(0)
}

/// Copies a file from its beginning and proves the digest of what the disk gives back.
pub fn copy_proved(
    from: &File,
    made: &Temporary,
    sum: &str,
    watch: &dyn compress::Watch,
) -> Result<(), Halt> {
    use std::io::Seek;
    let mut source = from;
    source.rewind()?;
    compress::encode(source, made.file(), Codec::None, watch).map_err(with("cannot copy"))?;
    made.file().sync_all().map_err(with("cannot copy"))?;
    // Past the cache, as far as the kernel lets us: what counts is what the disk has.
    forget_pages(made.file());
    let mut written = made.file();
    written.rewind()?;
    if evidence::hex(evidence::digest(written, watch)?) == sum {
        forget_pages(made.file());
        Ok(())
    } else {
        Err(Halt::Failed(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the copy's sha256 is not {sum}; nothing was published"),
        )))
    }
}
