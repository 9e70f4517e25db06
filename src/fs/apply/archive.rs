//! Moving models into an archive, and removing versions from it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Access, AtFlags};

use super::remove::remove_found;
use super::step::{Found, Halt, Step, vanished};
use super::store::{Made, store};
use super::{Run, disk, with};
use crate::fs::dir;
use crate::fs::evidence;
use crate::fs::lease::{self, Use};
use crate::fs::temporary::{Temporary, times};
use crate::plan::action::{ArchiveModel, Subject};
use crate::plan::archive::{Event, MANIFEST_SCHEMA, ManifestLine, StoredPath};
use crate::plan::entry::EntryId;
use crate::plan::models::archived_paths;
use crate::plan::policy::Codec;

/// A file of a model that moves, read.
pub(super) struct Member<'a> {
    pub found: Found<'a>,
    /// sha256 of its bytes, in hexadecimal.
    pub sum: String,
}

impl<'a> Run<'a> {
    /// Moves a model: the manifest first, then renames that replace nothing.
    pub fn archive(&mut self, subject: Subject, model: &ArchiveModel) -> Result<Step, Halt> {
        let members = self.read_members(model)?;
        let lines = self.lines(subject, model, &members);
        if model.stored {
            return self.join_stored(subject, &members, model, &lines);
        }
        match self.move_in(subject, model, &members, lines.clone(), true) {
            // One device may be mounted twice, and nothing is renamed from mount to mount.
            Err(Halt::Failed(error)) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.move_in(subject, model, &members, lines, false)
            }
            moved => moved,
        }
    }

    /// Finds and reads all files of a model.
    ///
    /// Reading counts as use where the access time cannot be spared, so whether the model may
    /// move is asked before: a failure must not look like a reason to keep it.
    fn read_members(&mut self, model: &ArchiveModel) -> Result<Vec<Member<'a>>, Halt> {
        let mut found = Vec::with_capacity(model.files.len());
        for id in &model.files {
            let one = self.find(*id)?;
            if lease::users(&one.open()?) == Use::Busy {
                return Err(in_use());
            }
            found.push((*id, one));
        }
        self.open_archive(model.archive)?;
        let mut members = Vec::with_capacity(found.len());
        for (id, found) in found {
            may_change(&found)?;
            let sum = self.sum(id, &found)?;
            members.push(Member { found, sum });
        }
        Ok(members)
    }

    /// The digest of a file: the plan's, where it was read for that and did not change since.
    pub(super) fn sum(&self, id: EntryId, found: &Found<'_>) -> Result<String, Halt> {
        if let Some(sum) = self.inventory.digests.get(&id) {
            return Ok(evidence::hex(*sum));
        }
        let file = found.open()?;
        let sum = evidence::digest(&file, self.surroundings).map_err(with("cannot read"))?;
        if !found.seen.unchanged(&dir::look_at(&file)?) {
            return Err(Halt::Changed("it changed while it was read".to_owned()));
        }
        Ok(evidence::hex(sum))
    }

    /// The lines of a model that is stored as it is.
    fn lines(
        &self,
        subject: Subject,
        model: &ArchiveModel,
        members: &[Member<'_>],
    ) -> Vec<ManifestLine> {
        let paths = archived_paths(self.inventory, subject, model);
        let lines = members.iter().zip(paths).map(|(member, (to, original))| {
            let stat = member.found.seen.stat;
            ManifestLine {
                schema: MANIFEST_SCHEMA.to_owned(),
                event: Event::Archived,
                original_path: StoredPath(original),
                unit: (to != model.to).then(|| StoredPath(model.to.clone())),
                archived_path: StoredPath(to),
                size: stat.size,
                sha256: member.sum.clone(),
                stored_sha256: member.sum.clone(),
                mtime_ns: stat.mtime.0,
                mode: stat.owner.mode,
                uid: stat.owner.uid,
                gid: stat.owner.gid,
                family: model.family.clone(),
                time: self.surroundings.now,
                codec: Codec::None.name().to_owned(),
            }
        });
        lines.collect()
    }

    fn move_in(
        &mut self,
        subject: Subject,
        model: &ArchiveModel,
        members: &[Member<'_>],
        mut lines: Vec<ManifestLine>,
        rename: bool,
    ) -> Result<Step, Halt> {
        let watch = self.surroundings;
        let archive = self.opened(model.archive)?;
        let (parent, name) = archive.place(&model.to)?;
        for line in &lines {
            if archive.is_taken(&line.archived_path.0)? {
                return Err(Halt::Changed(
                    "its archived name appeared meanwhile".to_owned(),
                ));
            }
        }
        let same = rename
            && members
                .iter()
                .all(|member| member.found.seen.device == device(&parent));
        if let Subject::Directory(id) = subject {
            let whole = self.move_directory(id, model, members, &mut lines, (&parent, name), same);
            return whole.map(Step::done);
        }
        let mut made = Vec::with_capacity(members.len());
        for (member, line) in members.iter().zip(&mut lines) {
            made.push(stage(member, line, &parent, model.codec, same, watch)?);
        }
        let archive = self.opened(model.archive)?;
        archive
            .books
            .append(&lines)
            .map_err(with("cannot write the manifest"))?;
        let mut arrived = false;
        let moved = publish(members, made, &lines, &parent, &mut arrived);
        if arrived {
            self.archives.sync_later(&parent)?;
            for member in members {
                self.archives.sync_later(&*member.found.parent)?;
            }
        }
        self.opened(model.archive)?.settle(&lines, arrived);
        moved.map(Step::done)
    }

    /// The archive has the same bytes already: proved again, recorded, and the original goes.
    fn join_stored(
        &mut self,
        subject: Subject,
        members: &[Member<'_>],
        model: &ArchiveModel,
        lines: &[ManifestLine],
    ) -> Result<Step, Halt> {
        let watch = self.surroundings;
        let mut joined = Vec::with_capacity(lines.len());
        for line in lines {
            let recorded = self.recorded(model.archive, &line.archived_path.0);
            let recorded = recorded.ok_or_else(|| Halt::Failed(io::ErrorKind::NotFound.into()))?;
            let (parent, name) = self.opened(model.archive)?.place(&line.archived_path.0)?;
            let (stored, _) = dir::open_file(&parent, name).map_err(vanished)?;
            if evidence::hex(evidence::digest(&stored, watch)?) != recorded.stored_sha256
                || recorded.sha256 != line.sha256
            {
                return Err(Halt::Changed("the archived file is another now".to_owned()));
            }
            stored.sync_all()?;
            joined.push(ManifestLine {
                // Newer by this, and never older: as the plan ranks it.
                mtime_ns: line.mtime_ns.max(recorded.mtime_ns),
                codec: recorded.codec,
                stored_sha256: recorded.stored_sha256,
                ..line.clone()
            });
        }
        self.opened(model.archive)?
            .books
            .append(&joined)
            .map_err(with("cannot write the manifest"))?;
        let freed = match subject {
            Subject::Entry(_) | Subject::Named(_) => remove_all(members)?,
            Subject::Directory(id) => self.remove_model(id, members)?,
        };
        Ok(Step {
            note: Some("the archive has the same content; stored once".to_owned()),
            ..Step::done(freed)
        })
    }

    /// The line of a file.
    fn recorded(&self, archive: usize, path: &std::path::Path) -> Option<ManifestLine> {
        let mut files = self.inventory.archives[archive].files();
        let file = files.find(|file| file.line.archived_path.0 == path);
        file.map(|file| file.line.clone())
    }
}

pub(super) fn in_use() -> Halt {
    Halt::Changed("somebody uses it now".to_owned())
}

fn device(dir: &OwnedFd) -> u64 {
    dir::look_at(dir).map_or(0, |seen| seen.device)
}

/// Bytes that the removal of a file gives back.
pub(super) fn frees(found: &Found<'_>) -> i64 {
    if found.seen.stat.links > 1 {
        return 0;
    }
    disk(found.entry.disk_usage())
}

/// Whether names may be changed in the directory of a file.
fn may_change(found: &Found<'_>) -> Result<(), Halt> {
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(&*found.parent, ".", rights, AtFlags::EACCESS)
        .map_err(|error| Halt::Failed(error.into()))
}

/// A proved copy beside the archived name, where the file is not just renamed.
fn stage(
    member: &Member<'_>,
    line: &mut ManifestLine,
    parent: &OwnedFd,
    codec: Codec,
    rename: bool,
    watch: &dyn crate::fs::compress::Watch,
) -> Result<Option<(Temporary, i64)>, Halt> {
    let found = &member.found;
    let file = found.open()?;
    let codec = if rename && !super::store::is_worth(&file, codec)? {
        return Ok(None);
    } else {
        codec
    };
    let made = Temporary::new(parent).map_err(with("cannot copy"))?;
    let stored = store(&file, made.file(), &member.sum, codec, rename, watch)?;
    let Some(Made { sum, codec }) = stored else {
        return Ok(None);
    };
    let stat = found.seen.stat;
    made.resemble(&file, &found.seen, Some(times(stat.atime, stat.mtime)))?;
    made.file().sync_all()?;
    let written = dir::look_at(made.file())?.stat.blocks;
    if !found.seen.unchanged(&dir::look_at(&file)?) {
        return Err(Halt::Changed("it changed while it was copied".to_owned()));
    }
    line.stored_sha256 = sum;
    codec.name().clone_into(&mut line.codec);
    Ok(Some((made, disk(written.saturating_mul(512)))))
}

/// Gives all files of a model their archived names, the model last: until then it is in its place.
fn publish(
    members: &[Member<'_>],
    made: Vec<Option<(Temporary, i64)>>,
    lines: &[ManifestLine],
    parent: &OwnedFd,
    arrived: &mut bool,
) -> Result<i64, Halt> {
    let mut done: Vec<(&Member<'_>, &OsStr, bool)> = Vec::with_capacity(members.len());
    let mut freed = 0;
    let mut all: Vec<_> = members.iter().zip(lines).zip(made).collect();
    all.reverse();
    for ((member, line), made) in all {
        let name = line.archived_path.0.file_name().unwrap_or_default();
        let copied = made.is_some();
        let moved = match made {
            None => rename_in(&member.found, parent, name),
            Some((made, written)) => {
                freed -= written;
                made.publish(name)
                    .map_err(|error| Halt::Failed(with("cannot publish")(error)))
            }
        };
        if let Err(halt) = moved {
            for (member, name, copied) in done.iter().rev() {
                undo(&member.found, parent, name, *copied);
            }
            return Err(halt);
        }
        done.push((member, name, copied));
    }
    *arrived = true;
    if done.iter().any(|(.., copied)| *copied) {
        // A copy has to last before its original goes.
        dir::sync(parent)?;
    }
    for (member, _, copied) in &done {
        if *copied {
            remove_found(&member.found, Some(&member.found.open()?))?;
            freed += frees(&member.found);
        }
    }
    Ok(freed)
}

/// A model whose last file could not move stays as a whole.
fn undo(found: &Found<'_>, parent: &OwnedFd, name: &OsStr, copied: bool) {
    let _ = if copied {
        super::step::unlink(parent, name)
    } else {
        dir::rename_new(parent, name, found.parent.as_fd(), found.name)
    };
}

/// Removes files that the archive has.
fn remove_all(members: &[Member<'_>]) -> Result<i64, Halt> {
    let mut freed = 0;
    for member in members.iter().rev() {
        remove_found(&member.found, Some(&member.found.open()?))?;
        freed += frees(&member.found);
    }
    if let Some(member) = members.first() {
        dir::sync(&*member.found.parent)?;
    }
    Ok(freed)
}

/// One rename on the same filesystem, proved to have moved what was read.
fn rename_in(found: &Found<'_>, parent: &OwnedFd, name: &OsStr) -> Result<(), Halt> {
    let file: File = found.open()?;
    if lease::hold_against_users(&file) == Use::Busy {
        return Err(in_use());
    }
    // The digest in the manifest is of what was read before the lease.
    if !found.seen.unchanged(&dir::look_at(&file)?) {
        return Err(Halt::Changed("it changed after it was read".to_owned()));
    }
    let from = found.parent.as_fd();
    dir::rename_new(from, found.name, parent, name).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Halt::Changed("its archived name appeared meanwhile".to_owned())
        }
        _ => vanished(error),
    })?;
    // Renaming changes the change time; where no lease was granted, content may have changed too.
    let as_read = dir::look(parent, name).map(|moved| {
        moved.identity() == found.seen.identity()
            && moved.stat.size == found.seen.stat.size
            && moved.stat.mtime == found.seen.stat.mtime
    });
    let halt = match as_read {
        Ok(true) => return Ok(()),
        Ok(false) => Halt::Changed("it changed in the last instant".to_owned()),
        Err(error) => Halt::from(error),
    };
    dir::rename_new(parent, name, from, found.name)?;
    Err(halt)
}
