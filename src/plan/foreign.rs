//! Archives that the replaced system left: `STEM_YYYYMMDD.EXT`, and no manifest.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::archive::{Event, MANIFEST_SCHEMA, ManifestLine, StoredFile, StoredPath, Version};
use super::entry::{EntryId, Inventory, Kind};
use super::family::split;
use super::models::family_key;
use super::policy::{Codec, Globs};

/// The version that an unlisted file of an archive is, if its name says so. Its digests are not
/// known yet.
#[must_use]
pub fn version(
    inventory: &Inventory,
    patterns: &Globs,
    path: &Path,
    id: EntryId,
) -> Option<Version> {
    let entry = inventory.entry(id);
    let name = path.file_name()?;
    if entry.kind != Kind::File || entry.links > 1 {
        return None;
    }
    let original = path.with_file_name(undated(name)?);
    if !patterns.matches(&original) {
        return None;
    }
    let owner = inventory.owner(entry.owner);
    let line = ManifestLine {
        schema: MANIFEST_SCHEMA.to_owned(),
        event: Event::Archived,
        family: family_key(&original),
        original_path: StoredPath(original),
        archived_path: StoredPath(path.to_path_buf()),
        size: entry.size,
        sha256: String::new(),
        stored_sha256: String::new(),
        mtime_ns: entry.mtime.0,
        mode: owner.mode,
        uid: owner.uid,
        gid: owner.gid,
        time: entry.mtime,
        codec: Codec::None.name().to_owned(),
        unit: None,
    };
    let entry = Some(id);
    Some(Version::of_file(StoredFile { line, entry }))
}

/// `rf.pkl` of `rf_20250809.pkl` and `rf_20250809_2.pkl`.
fn undated(name: &OsStr) -> Option<OsString> {
    let (stem, extension) = split(name);
    let stem = stem.as_bytes();
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let cut = |stem: &[u8]| stem.iter().rposition(|byte| *byte == b'_');
    let mut at = cut(stem)?;
    if stem.len() - at <= 4 && digits(&stem[at + 1..]) && at >= 9 {
        at = cut(&stem[..at]).filter(|date| at - date == 9)?;
    }
    let date = stem.get(at + 1..at + 9)?;
    let year = std::str::from_utf8(&date[..4]).ok()?;
    let ends = stem.len() == at + 9 || stem[at + 9] == b'_';
    if at == 0 || !digits(date) || !ends || !("1980".."2100").contains(&year) {
        return None;
    }
    let mut original = OsStr::from_bytes(&stem[..at]).to_os_string();
    if let Some(extension) = extension {
        original.push(".");
        original.push(extension);
    }
    Some(original)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_date_of_a_name_is_when_it_was_archived() {
        for (name, original) in [
            ("rf_20250809.pkl", Some("rf.pkl")),
            ("rf_20250809_2.pkl", Some("rf.pkl")),
            ("rf_20250101_20250809.pkl", Some("rf_20250101.pkl")),
            ("rf_1h_20250809.joblib", Some("rf_1h.joblib")),
            ("rf.pkl", None),
            ("rf_2.pkl", None),
            ("rf_12345678.pkl", None),
            ("rf_20250809x.pkl", None),
            ("rf_20250809_104603.pkl", None),
            ("_20250809.pkl", None),
            ("_", None),
        ] {
            let expected = original.map(OsString::from);
            assert_eq!(undated(OsStr::new(name)), expected, "{name}");
        }
    }
}
