//! From a name that somebody typed to the one version that it means.
//!
//! A name is tried as a whole path, then as a path below its archive or model directory, then as
//! the end of a path. The first of these that finds something decides; where it finds several, none
//! is chosen.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::super::entry::Inventory;
use super::super::versions::{Model, Stored, home};
use super::RestoreError;

/// What can be asked for.
pub(super) struct Catalogue(Vec<Model>);

#[derive(Clone, Copy)]
enum Tier {
    Whole,
    Below,
    End,
}

const TIERS: [Tier; 3] = [Tier::Whole, Tier::Below, Tier::End];

impl Catalogue {
    pub(super) const fn new(models: Vec<Model>) -> Self {
        Self(models)
    }

    /// The newest version of each model.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Stored> {
        self.0.iter().filter_map(|model| model.versions.first())
    }

    /// All versions, by archive and number.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, usize)> {
        let versions = self.0.iter().flat_map(|model| &model.versions);
        versions.map(|version| (version.archive, version.number))
    }

    /// All versions of the models of that name, and those archived under it, by archive and
    /// number.
    pub(super) fn called(&self, inventory: &Inventory, typed: &OsStr) -> Vec<(usize, usize)> {
        let name = plain(Path::new(typed));
        for tier in TIERS {
            let models = self.0.iter().flat_map(|model| {
                let all = is_called(inventory, model, &name, tier);
                let versions = model.versions.iter();
                let name = &name;
                versions
                    .filter(move |version| all || is_archived_as(inventory, version, name, tier))
            });
            let found: Vec<(usize, usize)> = models
                .map(|version| (version.archive, version.number))
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// The version that a name means.
    pub(super) fn resolve(
        &self,
        inventory: &Inventory,
        typed: &OsStr,
    ) -> Result<&Stored, RestoreError> {
        let name = plain(Path::new(typed));
        for tier in TIERS {
            let named = self.named(inventory, &name, tier);
            let mut found: Vec<&Stored> = named
                .iter()
                .filter_map(|model| model.versions.first())
                .collect();
            let archived = self.0.iter().flat_map(|model| &model.versions);
            found
                .extend(archived.filter(|version| is_archived_as(inventory, version, &name, tier)));
            found.sort_by(|a, b| a.archived.cmp(&b.archived));
            found.dedup_by_key(|version| (version.archive, version.number));
            match found.as_slice() {
                [] => {}
                [version] => return Ok(version),
                several => return Err(ambiguous(typed, several)),
            }
        }
        match split_date(typed) {
            Some((name, date)) => self.dated(inventory, typed, name, &date),
            None => Err(self.unknown(typed)),
        }
    }

    /// The models of that name.
    fn named(&self, inventory: &Inventory, name: &Path, tier: Tier) -> Vec<&Model> {
        let models = self.0.iter();
        models
            .filter(|model| is_called(inventory, model, name, tier))
            .collect()
    }

    /// The version of a date, the newest of several.
    fn dated(
        &self,
        inventory: &Inventory,
        typed: &OsStr,
        name: &OsStr,
        date: &str,
    ) -> Result<&Stored, RestoreError> {
        let path = plain(Path::new(name));
        for tier in TIERS {
            let models = self.named(inventory, &path, tier);
            let versions = || models.iter().flat_map(|model| &model.versions);
            // Newest first in each model. Content that came again is newer than its name, and
            // another system may have written another date: a name that was read counts too.
            let of_the_day = models.iter().filter_map(|model| {
                let mut versions = model.versions.iter();
                let modified = versions.find(|version| version.modified.date() == date);
                let mut versions = model.versions.iter();
                modified.or_else(|| versions.find(|version| is_dated(&version.archived, date)))
            });
            match of_the_day.collect::<Vec<_>>().as_slice() {
                [] if models.is_empty() => {}
                [] => {
                    let mut dates: Vec<String> = versions().map(|v| v.modified.date()).collect();
                    dates.sort_unstable_by(|a, b| b.cmp(a));
                    dates.dedup();
                    let (name, date) = (name.to_os_string(), date.to_owned());
                    return Err(RestoreError::NoSuchDate { name, date, dates });
                }
                [version] => return Ok(version),
                several => return Err(ambiguous(typed, several)),
            }
        }
        Err(self.unknown(typed))
    }

    /// Up to three models whose name is like the one typed.
    fn unknown(&self, typed: &OsStr) -> RestoreError {
        let last = |path: &Path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let asked = split_date(typed).map_or(typed, |(name, _)| name);
        let asked = last(Path::new(asked)).unwrap_or_default();
        let likeness =
            |path: &Path| last(path).map_or(0.0, |name| strsim::jaro_winkler(&asked, &name));
        let mut scored: BTreeMap<&Path, f64> = BTreeMap::new();
        for model in &self.0 {
            let names = model
                .versions
                .iter()
                .map(|version| version.archived.as_path());
            let names = names.chain([model.original.as_path()]);
            let best = names.map(likeness).fold(0.0, f64::max);
            if best >= 0.8 {
                scored.insert(&model.original, best);
            }
        }
        let mut nearest: Vec<(&Path, f64)> = scored.into_iter().collect();
        nearest.sort_by(|a, b| b.1.total_cmp(&a.1));
        let nearest = nearest
            .into_iter()
            .take(3)
            .map(|(path, _)| path.to_path_buf());
        RestoreError::Unknown {
            name: typed.to_os_string(),
            nearest: nearest.collect(),
        }
    }
}

fn ambiguous(name: &OsStr, candidates: &[&Stored]) -> RestoreError {
    let candidates = candidates.iter().map(|version| version.archived.clone());
    RestoreError::Ambiguous {
        name: name.to_os_string(),
        candidates: candidates.collect(),
    }
}

fn is_called(inventory: &Inventory, model: &Model, name: &Path, tier: Tier) -> bool {
    // All versions of a model have one original path, whatever its archive makes of it.
    let Some(first) = model.versions.first() else {
        return false;
    };
    let archive = &inventory.archives[first.archive];
    let Some(original) = archive
        .version(first.number)
        .map(|version| &version.original)
    else {
        return false;
    };
    let home = home(inventory, archive, original);
    match tier {
        Tier::Whole => {
            let whole = home
                .as_ref()
                .map(|(root, below)| inventory.root(*root).path.join(below));
            name == model.original
                || name == original && name.is_absolute()
                || whole.is_some_and(|whole| name == whole)
        }
        Tier::Below => name == original || home.is_some_and(|(_, below)| name == below),
        Tier::End => ends(&model.original, name),
    }
}

fn is_archived_as(inventory: &Inventory, version: &Stored, name: &Path, tier: Tier) -> bool {
    let archive = &inventory.archives[version.archive];
    let Some(below) = archive.version(version.number).map(|version| &version.path) else {
        return false;
    };
    match tier {
        Tier::Whole => {
            name == version.archived || name == inventory.root(archive.root).path.join(below)
        }
        Tier::Below => name == below,
        Tier::End => ends(&version.archived, name),
    }
}

/// Whether an archived name has a date: `STEM_YYYYMMDD.EXT`, `STEM_YYYYMMDD_2.EXT`.
fn is_dated(archived: &Path, date: &str) -> bool {
    let name = archived.file_name().unwrap_or_default().to_string_lossy();
    let Some((_, rest)) = name.rsplit_once(&format!("_{date}")) else {
        return false;
    };
    // The number of several of a day; eight digits more are another date.
    let number = rest.strip_prefix('_').filter(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit);
        (1..=3).contains(&digits.count())
    });
    let rest = number.map_or(rest, |rest| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit())
    });
    rest.is_empty() || rest.starts_with('.')
}

/// By whole components; nothing ends with an empty path.
fn ends(path: &Path, end: &Path) -> bool {
    !end.as_os_str().is_empty() && path.ends_with(end)
}

/// Without `.`, as a shell completes it.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}

/// `NAME@20250809` or `NAME@2025-08-09`: the name, and the date as `YYYYMMDD`.
fn split_date(typed: &OsStr) -> Option<(&OsStr, String)> {
    let bytes = typed.as_bytes();
    let at = bytes.iter().rposition(|byte| *byte == b'@')?;
    let date = std::str::from_utf8(&bytes[at + 1..]).ok()?;
    let digits: String = match date.len() {
        8 => date.to_owned(),
        10 if date
            .bytes()
            .enumerate()
            .all(|(at, byte)| (byte == b'-') == matches!(at, 4 | 7)) =>
        {
            date.replace('-', "")
        }
        _ => return None,
    };
    let valid = at > 0 && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| (OsStr::from_bytes(&bytes[..at]), digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archived_name_has_one_date() {
        for (name, dated) in [
            ("rf_20250809.pkl", true),
            ("a/rf_20250809_2.pkl", true),
            ("rf_20250809", true),
            ("rf_20250809_x.pkl", false),
            ("rf_20250809_20250810.pkl", false),
            ("rf_202508091.pkl", false),
            ("rf.pkl", false),
        ] {
            assert_eq!(is_dated(Path::new(name), "20250809"), dated, "{name}");
        }
    }

    #[test]
    fn a_date_follows_the_last_at() {
        for (typed, expected) in [
            ("rf.pkl@20250809", Some(("rf.pkl", "20250809"))),
            ("rf.pkl@2025-08-09", Some(("rf.pkl", "20250809"))),
            ("a@b.pkl@20250809", Some(("a@b.pkl", "20250809"))),
            ("@20250809", None),
            ("rf.pkl", None),
            ("rf.pkl@", None),
            ("rf.pkl@2025", None),
            ("rf.pkl@2025089a", None),
            ("rf.pkl@2025080-09", None),
            ("rf.pkl@\u{b2}\u{b2}\u{b2}\u{b2}", None),
        ] {
            let found = split_date(OsStr::new(typed));
            let expected = expected.map(|(name, date)| (OsStr::new(name), date.to_owned()));
            assert_eq!(found, expected, "{typed}");
        }
    }
}
