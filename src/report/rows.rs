//! What `restore-models --list` and `--verify` found: answers, not actions.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::json::path_entry;
use super::name;
use crate::plan::reason::size;
use crate::plan::time::Time;

/// The answer to a question about an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// `--list`: the archived models.
    Models(Vec<ModelRow>),
    /// `--verify`: the archived files.
    Files(Vec<FileRow>),
}

/// An archived model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRow {
    /// Where it was, as reports show it.
    pub model: PathBuf,
    /// Its versions in the archive, newest first.
    pub versions: Vec<VersionRow>,
}

/// A version of an archived model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRow {
    /// Where it is, as reports show it.
    pub path: PathBuf,
    /// When the original was last modified.
    pub modified: Time,
    /// Bytes of the original.
    pub bytes: u64,
    /// `none`, `gzip`, `zstd`; `unlisted` where another system left it.
    pub codec: String,
}

/// A file of an archive and whether it is what was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Where it is, as reports show it.
    pub path: PathBuf,
    /// What was found.
    pub check: Check,
}

/// What was found where the manifest lists a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The digest is the one that was stored.
    Ok,
    /// Another digest.
    Mismatch,
    /// Nothing.
    Missing,
    /// A file that no list names: for `sha256sum -c` it is not there.
    Unlisted,
    /// It could not be read: what the system said.
    Unreadable(String),
}

impl ModelRow {
    /// When the newest version was last modified.
    #[must_use]
    pub fn newest(&self) -> Option<Time> {
        self.versions.iter().map(|version| version.modified).max()
    }

    /// Bytes of all versions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.versions.iter().map(|version| version.bytes).sum()
    }
}

impl ModelRow {
    /// How its versions are stored, if all are alike; else `mixed`.
    #[must_use]
    pub fn codec(&self) -> &str {
        let mut codecs = self.versions.iter().map(|version| version.codec.as_str());
        let first = codecs.next().unwrap_or("none");
        if codecs.all(|codec| codec == first) {
            first
        } else {
            "mixed"
        }
    }
}

impl Check {
    /// Its name in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Mismatch => "mismatch",
            Self::Missing => "missing",
            Self::Unlisted => "unlisted",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// What is wrong; `None` where nothing is.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Ok | Self::Unlisted => None,
            Self::Mismatch => Some("its sha256 is not the one in the manifest"),
            Self::Missing => Some("missing from the archive"),
            Self::Unreadable(error) => Some(error),
        }
    }
}

impl Rows {
    /// The key in `metadata`.
    pub(super) const fn key(&self) -> &'static str {
        match self {
            Self::Models(_) => "models",
            Self::Files(_) => "files",
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Models(rows) => rows.len(),
            Self::Files(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The files that are not what was stored, and what is wrong.
    pub fn wrong(&self) -> impl Iterator<Item = (&Path, &str)> {
        let files: &[FileRow] = match self {
            Self::Models(_) => &[],
            Self::Files(rows) => rows,
        };
        files
            .iter()
            .filter_map(|row| Some((row.path.as_path(), row.check.error()?)))
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Models(rows) => rows.serialize(serializer),
            Self::Files(rows) => rows.serialize(serializer),
        }
    }
}

impl Serialize for ModelRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        path_entry(&mut map, ["model", "model_base64"], &self.model)?;
        map.serialize_entry("versions", &self.versions.len())?;
        map.serialize_entry("newest", &self.newest())?;
        map.serialize_entry("size_bytes", &self.bytes())?;
        map.serialize_entry("codec", &self.codec())?;
        map.serialize_entry("archived", &self.versions)?;
        map.end()
    }
}

impl Serialize for VersionRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        path_entry(&mut map, ["path", "path_base64"], &self.path)?;
        map.serialize_entry("modified", &self.modified)?;
        map.serialize_entry("size_bytes", &self.bytes)?;
        map.serialize_entry("codec", &self.codec)?;
        map.end()
    }
}

impl Serialize for FileRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        path_entry(&mut map, ["path", "path_base64"], &self.path)?;
        map.serialize_entry("result", self.check.name())?;
        if let Check::Unreadable(error) = &self.check {
            map.serialize_entry("error", error)?;
        }
        map.end()
    }
}

/// A table of the models, and with `all` of their versions too.
pub(super) fn write_models(rows: &[ModelRow], all: bool, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<String> = rows.iter().map(|row| name::path(&row.model)).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).clamp(5, 48);
    if !rows.is_empty() {
        writeln!(
            out,
            "    {:<width$}  versions  newest      {:>10}  codec",
            "model", "size"
        )?;
    }
    for (row, name) in rows.iter().zip(&names) {
        let newest = row.newest().map_or_else(String::new, day);
        let (number, bytes) = (row.versions.len(), size(row.bytes()));
        writeln!(
            out,
            "    {name:<width$}  {number:>8}  {newest:<10}  {bytes:>10}  {}",
            row.codec()
        )?;
        if all {
            for version in &row.versions {
                let (path, bytes) = (name::path(&version.path), size(version.bytes));
                let day = day(version.modified);
                writeln!(out, "      {path}  {day}  {bytes}")?;
            }
        }
    }
    Ok(())
}

/// The files that are not what was stored; with `all`, every one.
pub(super) fn write_files(rows: &[FileRow], all: bool, out: &mut dyn Write) -> io::Result<()> {
    let listed = rows.iter().filter(|row| all || row.check != Check::Ok);
    for row in listed {
        let (result, path) = (row.check.name(), name::path(&row.path));
        writeln!(out, "    {result:<10}  {path}")?;
    }
    Ok(())
}

/// `2026-11-23`, in UTC.
fn day(time: Time) -> String {
    time.to_string().chars().take(10).collect()
}
