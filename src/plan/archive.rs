//! The archive of a model directory as its manifest describes it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::entry::{EntryId, Inventory, Role, RootId, Walk};
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
}

/// A file in an archive, with what the manifest says of it.
#[derive(Clone, Debug)]
pub struct Version {
    /// The last line for this path.
    pub line: ManifestLine,
    /// The file itself; `None` where it is missing.
    pub entry: Option<EntryId>,
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
    /// What it holds, one per archived path.
    pub versions: Vec<Version>,
    /// Files in it without a manifest line.
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
            unlisted: Vec::new(),
            restored: HashMap::new(),
            torn: false,
            unreadable: false,
            digests: BTreeMap::new(),
            corrections: Vec::new(),
        }
    }

    /// Whether the two lists lack something of what the archive holds.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let listed = |version: &Version| {
            let sum = self.digests.get(&version.line.archived_path.0);
            sum.is_some_and(|sum| sum.eq_ignore_ascii_case(&version.line.stored_sha256))
        };
        !self.unreadable
            && (self.torn || !self.corrections.is_empty() || !self.versions.iter().all(listed))
    }
}

impl Version {
    /// Whether its file, which is of this size, cannot be what was archived.
    #[must_use]
    pub fn is_damaged(&self, size: u64) -> bool {
        self.line.codec == "none" && size != self.line.size
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
