//! What is in an archive: entered into its manifest, and expired.

use super::archive::{frees, in_use};
use super::archives::with_event;
use super::remove::remove_found;
use super::step::{Found, Halt, Step, entry_of};
use super::{Run, with};
use crate::plan::action::{ExpireModel, Subject, TakeIn};
use crate::plan::archive::{Event, ManifestLine};

impl Run<'_> {
    /// Enters into the manifest what another system archived.
    pub fn take_in(&mut self, subject: Subject, foreign: &TakeIn) -> Result<Step, Halt> {
        let id = entry_of(subject)?;
        let found = self.find(id)?;
        let file = found.open()?;
        if self.surroundings.may_have_writers(&file) {
            return Err(in_use());
        }
        let sum = self.sum(id, &found)?;
        file.sync_all()?;
        let line = ManifestLine {
            time: self.surroundings.now,
            sha256: sum.clone(),
            stored_sha256: sum,
            ..foreign.line.clone()
        };
        self.open_archive(foreign.archive)?;
        let archive = self.opened(foreign.archive)?;
        let lines = [line];
        archive
            .books
            .append(&lines)
            .map_err(with("cannot write the manifest"))?;
        archive.settle(&lines, true);
        Ok(Step::done(0))
    }

    /// Removes a version: out of the digests, into the manifest as expired, then from the disk.
    pub fn expire_model(&mut self, subject: Subject, version: &ExpireModel) -> Result<Step, Halt> {
        let known = &self.inventory.archives[version.archive].versions[version.version];
        let lines: Vec<ManifestLine> = known.files().map(|file| file.line.clone()).collect();
        let mut found = Vec::with_capacity(version.files.len());
        for id in &version.files {
            found.push(self.find(*id)?);
        }
        let mut gone = with_event(&lines, Event::Expired);
        for line in &mut gone {
            line.time = self.surroundings.now;
        }
        self.open_archive(version.archive)?;
        self.archives.sync()?;
        let archive = self.opened(version.archive)?;
        for line in &lines {
            archive.digests.remove(&line.archived_path.0);
        }
        let written = archive
            .books
            .write_digests(&archive.digests)
            .and_then(|()| archive.books.append(&gone))
            .map_err(|error| Halt::from(with("cannot write the lists of the archive")(error)));
        let removed = written.and_then(|()| match subject {
            Subject::Entry(_) | Subject::Named(_) => self.remove_version(&found),
            Subject::Directory(id) => self.remove_files(id, &found),
        });
        match removed {
            Ok(freed) => Ok(Step::done(freed)),
            Err(halt) => {
                self.opened(version.archive)?.list_again(lines);
                Err(halt)
            }
        }
    }

    /// Removes a version: its sidecars first, so that what is left is always a model. The bytes
    /// that it took.
    ///
    /// That they are gone need not last at once: one that comes back is listed again.
    fn remove_version(&mut self, found: &[Found<'_>]) -> Result<i64, Halt> {
        for found in found.iter().rev() {
            remove_found(found, found.open_if_readable()?.as_ref())?;
        }
        if let Some(found) = found.first() {
            self.archives.sync_later(&*found.parent)?;
        }
        Ok(found.iter().map(frees).sum())
    }
}
