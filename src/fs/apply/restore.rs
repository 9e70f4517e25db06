//! Bringing a model back, bit for bit, without ever replacing a different file.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::archives::{make_path, with_event};
use super::directory::{Look, TemporaryDirectory, create, finish_directories, make_directories};
use super::step::{Halt, Step};
use super::store::{bring_back, codec_of};
use super::{Run, disk, with};
use crate::fs::dir;
use crate::fs::evidence;
use crate::fs::temporary::{Temporary, copy_attributes, times};
use crate::plan::action::{Place, Restore, Subject};
use crate::plan::archive::{Event, ManifestLine, StoredFile, Version};
use crate::plan::entry::Owner;
use crate::plan::restore::{IN_THE_WAY, goes_to};
use crate::plan::time::Time;

impl Run<'_> {
    /// Copies the archived files under a temporary name, proves their digests, and publishes them.
    pub fn restore(&mut self, subject: Subject, restore: &Restore) -> Result<Step, Halt> {
        let archive = &self.inventory.archives[restore.archive];
        let version = archive.version(restore.version);
        let version = version.ok_or_else(|| Halt::Failed(io::ErrorKind::NotFound.into()))?;
        let parent = self.destination(&restore.to)?;
        let there = match subject {
            Subject::Directory(_) => self.directory_is_there(&parent, version, restore)?,
            Subject::Entry(_) | Subject::Named(_) => {
                self.files_are_there(&parent, version, restore)?
            }
        };
        if there {
            let there = "it is there already, with the same content".to_owned();
            return Ok(Step {
                note: self.record_use(restore, version).or(Some(there)),
                ..Step::done(0)
            });
        }
        match subject {
            Subject::Directory(id) => {
                let looks = self.looks(id)?;
                self.restore_directory(&parent, version, restore, &looks)
            }
            Subject::Entry(_) | Subject::Named(_) => self.restore_files(&parent, version, restore),
        }
    }

    /// A model and its sidecars, the model last: when it appears, all is there.
    fn restore_files(
        &mut self,
        parent: &OwnedFd,
        version: &Version,
        restore: &Restore,
    ) -> Result<Step, Halt> {
        let (mut made, mut written) = (Vec::new(), 0);
        let mut files: Vec<&StoredFile> = version.files().collect();
        files.reverse();
        for file in files {
            let to = goes_to(version, file, &restore.to.path);
            let name = to.file_name().unwrap_or_default().to_os_string();
            if is_there(parent, &name, &file.line, self.surroundings)? {
                continue;
            }
            let temporary = Temporary::new(parent).map_err(with("cannot restore"))?;
            self.fill(file, temporary.file())?;
            written += disk(
                dir::look_at(temporary.file())?
                    .stat
                    .blocks
                    .saturating_mul(512),
            );
            made.push((temporary, name));
        }
        // Recorded before it appears: a model that is back counts as used from now on.
        let note = self.record_use(restore, version);
        for (temporary, name) in made {
            temporary.publish(&name).map_err(with("cannot publish"))?;
        }
        dir::sync(parent)?;
        Ok(Step {
            note,
            ..Step::done(-written)
        })
    }

    /// A directory, built whole and published by one rename.
    fn restore_directory(
        &mut self,
        parent: &OwnedFd,
        version: &Version,
        restore: &Restore,
        looks: &[Look],
    ) -> Result<Step, Halt> {
        let built = TemporaryDirectory::new(parent).map_err(with("cannot restore"))?;
        make_directories(&built.fd, looks).map_err(with("cannot restore"))?;
        let mut written = 0;
        for file in version.files() {
            let below = goes_to(version, file, Path::new(""));
            let target = create(&built.fd, &below).map_err(with("cannot restore"))?;
            self.fill(file, &target)?;
            written += disk(dir::look_at(&target)?.stat.blocks.saturating_mul(512));
        }
        written += finish_directories(&built.fd, looks).map_err(with("cannot restore"))?;
        let note = self.record_use(restore, version);
        let name = restore.to.path.file_name().unwrap_or_default();
        built.publish(name).map_err(with("cannot publish"))?;
        dir::sync(parent)?;
        Ok(Step {
            note,
            ..Step::done(-written)
        })
    }

    /// Writes the original bytes of a stored file, with all that it had beside them.
    fn fill(&mut self, file: &StoredFile, target: &File) -> Result<(), Halt> {
        let line = &file.line;
        let id = file
            .entry
            .ok_or_else(|| Halt::Failed(io::ErrorKind::NotFound.into()))?;
        let found = self.find(id)?;
        let stored = found.open()?;
        let codec = codec_of(&line.codec)?;
        let original = (line.size, line.sha256.as_str());
        bring_back(&stored, target, original, codec, self.surroundings)?;
        copy_attributes(&stored, target)?;
        // Owner and mode are those of the stored file, which kept the model's. The manifest says
        // the same, but whoever owns the archive can write there what they like.
        dir::own(target, found.seen.stat.owner)?;
        let times = times(self.surroundings.now, Time(line.mtime_ns));
        rustix::fs::futimens(target, &times).map_err(io::Error::from)?;
        target.sync_all()?;
        Ok(())
    }

    /// Records that a model is back in its place. An archive that can only be read gives its
    /// models back all the same: what could not be recorded is only told.
    fn record_use(&mut self, restore: &Restore, version: &Version) -> Option<String> {
        let known = !version.model.line.sha256.is_empty();
        if !restore.home || !known {
            return None;
        }
        let line = ManifestLine {
            time: self.surroundings.now,
            // Of a directory, the directory is what counts as used.
            original_path: crate::plan::archive::StoredPath(version.original.clone()),
            ..version.model.line.clone()
        };
        let lines = with_event(&[line], Event::Restored);
        let opened = self.open_archive(restore.archive);
        let recorded = opened
            .and_then(|()| self.opened(restore.archive))
            .and_then(|archive| Ok(archive.books.append(&lines)?));
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

    /// Whether all files of a version are there already.
    fn files_are_there(
        &self,
        parent: &OwnedFd,
        version: &Version,
        restore: &Restore,
    ) -> Result<bool, Halt> {
        let mut all = true;
        for file in version.files() {
            let to = goes_to(version, file, &restore.to.path);
            let name = to.file_name().unwrap_or_default();
            all &= is_there(parent, name, &file.line, self.surroundings)?;
        }
        Ok(all)
    }

    /// Whether the directory is there already, with all its files and no other.
    fn directory_is_there(
        &self,
        parent: &OwnedFd,
        version: &Version,
        restore: &Restore,
    ) -> Result<bool, Halt> {
        let name = restore.to.path.file_name().unwrap_or_default();
        match dir::look(parent, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(seen) if !seen.directory => return Err(refused()),
            Ok(_) => {}
        }
        let top = dir::open_dir(parent, name)?;
        let paths: Vec<PathBuf> = version
            .files()
            .map(|file| goes_to(version, file, Path::new("")))
            .collect();
        if count_files(&top)? != paths.len() {
            return Err(refused());
        }
        for (file, path) in version.files().zip(&paths) {
            let below = path.parent().unwrap_or(Path::new(""));
            let parent = dir::open_below(&top, below).map_err(|_| refused())?;
            let name = path.file_name().unwrap_or_default();
            if !is_there(&parent, name, &file.line, self.surroundings)? {
                return Err(refused());
            }
        }
        Ok(true)
    }
}

fn refused() -> Halt {
    Halt::Failed(io::Error::new(io::ErrorKind::AlreadyExists, IN_THE_WAY))
}

fn count_files(top: &OwnedFd) -> io::Result<usize> {
    let mut count = 0;
    for name in dir::names(top)? {
        if dir::look(top, &name)?.directory {
            count += count_files(&dir::open_dir(top, &name)?)?;
        } else {
            count += 1;
        }
    }
    Ok(count)
}

/// Whether a file is there already: with the same content it is as good as restored, and another
/// one stays.
fn is_there(
    parent: &OwnedFd,
    name: &OsStr,
    line: &ManifestLine,
    watch: &dyn crate::fs::compress::Watch,
) -> Result<bool, Halt> {
    match dir::look(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let same = |(file, seen): (File, dir::Seen)| -> io::Result<bool> {
        Ok(seen.stat.size == line.size
            && evidence::hex(evidence::digest(&file, watch)?) == line.sha256)
    };
    if dir::open_file(parent, name).and_then(same)? {
        return Ok(true);
    }
    Err(refused())
}
