//! The archive of a model directory as its manifest describes it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::action::Subject;
use super::entry::{EntryId, Inventory, Role, RootId, Walk};
use super::policy::Codec;
use super::readable;
use super::time::Time;

/// The `schema` of a manifest line.
pub const MANIFEST_SCHEMA: &str = "sysopt.manifest/1";
/// The manifest's name in its archive.
pub const MANIFEST: &str = "manifest.jsonl";
/// The list of stored digests that `sha256sum -c` reads.
pub const DIGESTS: &str = "SHA256SUMS";

/// What to tell of archives in the model directories that `archive_directory` does not name (any
/// more): their models are neither listed nor expired.
#[must_use]
pub fn unnamed(inventory: &Inventory) -> Vec<String> {
    let rows = inventory
        .directory_ids()
        .map(|id| (id, inventory.directory(id)));
    rows.filter(|(_, row)| {
        row.walk == Walk::Archive && inventory.root(row.root).role == Role::Models
    })
    .map(|(id, _)| {
        let path = readable::path(inventory.shown_directory(id));
        format!("'{path}' is an archive that archive_directory does not name; it is left as it is")
    })
    .collect()
}

/// What a manifest line records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A file went into the archive.
    #[default]
    Archived,
    /// A model came back to its place: it counts as used at that time.
    Restored,
    /// A version was expired from the archive.
    Expired,
}

/// A path as text; where it is not UTF-8, its bytes in base64 stand beside the escaped text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredPath(pub PathBuf);

/// One line of `manifest.jsonl`. The last line for an archived path holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestLine {
    /// [`MANIFEST_SCHEMA`].
    pub schema: String,
    /// What happened.
    #[serde(default)]
    pub event: Event,
    /// Where the model was: relative to the model directory where the archive lies in it, else
    /// absolute.
    pub original_path: StoredPath,
    /// Where it is, relative to the archive.
    pub archived_path: StoredPath,
    /// Bytes of the original.
    pub size: u64,
    /// sha256 of the original bytes, in hexadecimal.
    pub sha256: String,
    /// sha256 of the stored bytes, in hexadecimal; the same where nothing is compressed.
    pub stored_sha256: String,
    /// Last change of the original's content, nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Permissions, `st_mode & 07777`.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The family, with its directory: versions of one model share it.
    pub family: String,
    /// When this line was written.
    pub time: Time,
    /// `none`, `gzip` or `zstd`.
    pub codec: String,
    /// The archived path of the model that it goes with: of a sidecar the model's file, of a file
    /// in a directory model that directory. `None` for a model that is one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<StoredPath>,
}

/// A file in an archive, with what the manifest says of it.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// The last line for this path.
    pub line: ManifestLine,
    /// The file itself; `None` where it is missing.
    pub entry: Option<EntryId>,
}

/// A version of a model: a file with its sidecars, or a directory with all that is in it.
#[derive(Clone, Debug)]
pub struct Version {
    /// Where it is, relative to the archive.
    pub path: PathBuf,
    /// Where it was, as its lines record it.
    pub original: PathBuf,
    /// It is a directory.
    pub directory: bool,
    /// Its file or directory; `None` where that is missing.
    pub at: Option<Subject>,
    /// The model; of a directory, the first of its files.
    pub model: StoredFile,
    /// Its sidecars, or the other files of the directory, by path.
    pub others: Vec<StoredFile>,
}

/// An archive: a directory with a manifest, or the place where one will be made.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Its root in the inventory.
    pub root: RootId,
    /// The model directories that it serves.
    pub models: Vec<RootId>,
    /// Whether it lies inside its (one) model directory, so that original paths are relative.
    pub inside: bool,
    /// What it holds, in the order of their paths.
    pub versions: Vec<Version>,
    /// What another system archived here: named as we name versions, and in no manifest.
    pub foreign: Vec<Version>,
    /// Files in it without a manifest line, with those of [`Self::foreign`].
    pub unlisted: Vec<EntryId>,
    /// When each original path was last restored in place.
    pub restored: HashMap<PathBuf, Time>,
    /// The last line was torn by a crash and is ignored.
    pub torn: bool,
    /// The manifest could not be read: what it lists is not known, and nothing may be added.
    pub unreadable: bool,
    /// What [`DIGESTS`] lists.
    pub digests: BTreeMap<PathBuf, String>,
    /// Lines that make the manifest say what is there, after a run that was killed or failed
    /// between a line and its deed.
    pub corrections: Vec<ManifestLine>,
}

impl Archive {
    /// An archive in which nothing is known to be.
    #[must_use]
    pub fn empty(root: RootId, models: Vec<RootId>, inside: bool) -> Self {
        Self {
            root,
            models,
            inside,
            versions: Vec::new(),
            foreign: Vec::new(),
            unlisted: Vec::new(),
            restored: HashMap::new(),
            torn: false,
            unreadable: false,
            digests: BTreeMap::new(),
            corrections: Vec::new(),
        }
    }

    /// Everything that can be listed and restored: first what the manifest knows.
    pub fn all(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().chain(&self.foreign)
    }

    /// The version of that number among [`Self::all`].
    #[must_use]
    pub fn version(&self, number: usize) -> Option<&Version> {
        self.all().nth(number)
    }

    /// All files that the manifest lists.
    pub fn files(&self) -> impl Iterator<Item = &StoredFile> {
        self.versions.iter().flat_map(Version::files)
    }

    /// Whether the two lists lack something of what the archive holds.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let listed = |file: &StoredFile| {
            let sum = self.digests.get(&file.line.archived_path.0);
            sum.is_some_and(|sum| sum.eq_ignore_ascii_case(&file.line.stored_sha256))
        };
        !self.unreadable && (self.torn || !self.corrections.is_empty() || !self.files().all(listed))
    }
}

impl StoredFile {
    /// Whether its file, which is of this size, cannot be what was archived.
    #[must_use]
    pub fn is_damaged(&self, size: u64) -> bool {
        self.line.codec == "none" && size != self.line.size
    }
}

impl Version {
    /// A version of one file.
    #[must_use]
    pub fn of_file(model: StoredFile) -> Self {
        Self {
            path: model.line.archived_path.0.clone(),
            original: model.line.original_path.0.clone(),
            directory: false,
            at: model.entry.map(Subject::Entry),
            model,
            others: Vec::new(),
        }
    }

    /// All its files, the model first.
    pub fn files(&self) -> impl Iterator<Item = &StoredFile> {
        std::iter::once(&self.model).chain(&self.others)
    }

    /// The files that are there.
    pub fn entries(&self) -> impl Iterator<Item = EntryId> {
        self.files().filter_map(|file| file.entry)
    }

    /// Whether a file of it is missing.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.at.is_none() || self.files().any(|file| file.entry.is_none())
    }

    /// Whether one of its files cannot be what was archived.
    #[must_use]
    pub fn is_damaged(&self, inventory: &Inventory) -> bool {
        let damaged = |file: &StoredFile, id| file.is_damaged(inventory.entry(id).size);
        self.files()
            .any(|file| file.entry.is_some_and(|id| damaged(file, id)))
    }

    /// Bytes of the originals.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files()
            .fold(0, |sum, file| sum.saturating_add(file.line.size))
    }

    /// When the model was last modified: a directory, when the newest of its files was.
    #[must_use]
    pub fn modified(&self) -> Time {
        let all = self
            .files()
            .take(if self.directory { usize::MAX } else { 1 });
        let newest = all.map(|file| file.line.mtime_ns).max();
        Time(newest.unwrap_or(self.model.line.mtime_ns))
    }

    /// How it is compressed: `none`, unless any of its files is.
    #[must_use]
    pub fn codec(&self) -> &str {
        let compressed = self.files().map(|file| file.line.codec.as_str());
        compressed
            .into_iter()
            .find(|codec| *codec != Codec::None.name())
            .unwrap_or(Codec::None.name())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes { path: String, path_base64: String },
}

impl Serialize for StoredPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => Written::Bytes {
                path: self.0.to_string_lossy().into_owned(),
                path_base64: BASE64.encode(self.0.as_os_str().as_bytes()),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StoredPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => PathBuf::from(text),
            Written::Bytes { path_base64, .. } => PathBuf::from(OsString::from_vec(
                BASE64
                    .decode(path_base64)
                    .map_err(serde::de::Error::custom)?,
            )),
        }))
    }
}
