//! What the archives hold, as people ask for it: by model, newest version first.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::action::Subject;
use super::archive::{Archive, Version};
use super::entry::{EntryId, Inventory, Role, RootId, join_shown};
use super::time::Time;

/// A model of which at least one version is archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Where it was: as reports name it.
    pub original: PathBuf,
    /// Newest first; never empty.
    pub versions: Vec<Stored>,
}

/// A version in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Index into [`Inventory::archives`].
    pub archive: usize,
    /// Number in [`Archive::all`].
    pub number: usize,
    /// Its file or directory, as reports name it.
    pub archived: PathBuf,
    /// Where it is; `None` where any of its files is missing.
    pub at: Option<Subject>,
    /// When the model was last modified.
    pub modified: Time,
    /// When it was archived.
    pub time: Time,
    /// Bytes of the model.
    pub size: u64,
    /// How it is stored: `none`, `gzip`, `zstd`; `unlisted` where another system left it.
    pub codec: String,
}

/// A file that an archive lists, as `restore-models --verify` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Index into [`Inventory::archives`].
    pub archive: usize,
    /// Number in [`Archive::all`] of its version; `None` where only the list of digests knows it.
    pub number: Option<usize>,
    /// As reports name it.
    pub path: PathBuf,
    /// The file; `None` where it is missing.
    pub entry: Option<EntryId>,
    /// What the manifest and the list of digests say of its bytes: one, or two that differ; none
    /// where neither knows the file.
    pub sums: Vec<String>,
}

impl Model {
    /// When the newest version was last modified.
    #[must_use]
    pub fn newest(&self) -> Option<Time> {
        self.versions.first().map(|version| version.modified)
    }

    /// Bytes of all versions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sizes = self.versions.iter().map(|version| version.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// How many versions have lost their file.
    #[must_use]
    pub fn missing(&self) -> usize {
        let lost = |version: &&Stored| version.at.is_none();
        self.versions.iter().filter(lost).count()
    }
}

/// The models of all archives, in the order of their original paths.
#[must_use]
pub fn models(inventory: &Inventory) -> Vec<Model> {
    let mut models: BTreeMap<PathBuf, Vec<Stored>> = BTreeMap::new();
    for (at, archive) in inventory.archives.iter().enumerate() {
        for (number, version) in archive.all().enumerate() {
            let original = shown_original(inventory, archive, &version.original);
            let version = stored(inventory, at, number, version);
            models.entry(original).or_default().push(version);
        }
    }
    let models = models.into_iter().map(|(original, mut versions)| {
        versions.sort_by(|a, b| newest_first(a).cmp(&newest_first(b)));
        Model { original, versions }
    });
    models.collect()
}

/// Every file that the manifests or the lists of digests name, and those that neither does, in the
/// order of their paths.
#[must_use]
pub fn to_verify(inventory: &Inventory) -> Vec<Listed> {
    let mut all = Vec::new();
    for (at, archive) in inventory.archives.iter().enumerate() {
        let listed = |number, path: &Path, entry, sums| Listed {
            archive: at,
            number,
            path: inventory.shown_archived(at, path),
            entry,
            sums,
        };
        let mut unknown = archive.digests.clone();
        for (number, version) in archive.versions.iter().enumerate() {
            for file in version.files() {
                let path = &file.line.archived_path.0;
                let mut sums = vec![file.line.stored_sha256.to_ascii_lowercase()];
                sums.extend(unknown.remove(path));
                sums.dedup();
                all.push(listed(Some(number), path, file.entry, sums));
            }
        }
        let mut rest: BTreeMap<PathBuf, EntryId> = BTreeMap::new();
        for id in &archive.unlisted {
            rest.insert(inventory.relative_path(inventory.entry(*id)), *id);
        }
        for (path, sum) in unknown {
            let entry = rest.remove(&path);
            all.push(listed(None, &path, entry, vec![sum]));
        }
        for (path, id) in rest {
            let foreign = archive
                .foreign
                .iter()
                .position(|version| version.path == path);
            let number = foreign.map(|number| archive.versions.len() + number);
            all.push(listed(number, &path, Some(id), Vec::new()));
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn newest_first(version: &Stored) -> (Reverse<(Time, Time)>, &Path) {
    (Reverse((version.modified, version.time)), &version.archived)
}

fn stored(inventory: &Inventory, archive: usize, number: usize, version: &Version) -> Stored {
    let listed = number < inventory.archives[archive].versions.len();
    Stored {
        archive,
        number,
        archived: inventory.shown_archived(archive, &version.path),
        at: version.at.filter(|_| !version.is_missing()),
        modified: version.modified(),
        time: version.model.line.time,
        size: version.size(),
        codec: if listed { version.codec() } else { "unlisted" }.to_owned(),
    }
}

/// The model directory of an original path, and the path below it. `None` where the directory is
/// not configured any more, or the path would lead out of it.
#[must_use]
pub fn home(
    inventory: &Inventory,
    archive: &Archive,
    original: &Path,
) -> Option<(RootId, PathBuf)> {
    let plain = |path: &Path| {
        let mut parts = path.components().peekable();
        parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    let (root, below) = if archive.inside {
        (*archive.models.first()?, original)
    } else {
        let below = |id: &RootId| original.strip_prefix(&inventory.root(*id).path).ok();
        let innermost = |id: &RootId| inventory.root(*id).path.components().count();
        let holds = |id: &RootId| below(id).is_some();
        let served = archive
            .models
            .iter()
            .copied()
            .filter(holds)
            .max_by_key(innermost);
        let other = || {
            inventory
                .roots_of(Role::Models)
                .filter(holds)
                .max_by_key(innermost)
        };
        let root = served.or_else(other)?;
        (root, below(&root)?)
    };
    plain(below).then(|| (root, below.to_path_buf()))
}

/// An original path as reports name it.
#[must_use]
pub fn shown_original(inventory: &Inventory, archive: &Archive, original: &Path) -> PathBuf {
    match home(inventory, archive, original) {
        Some((root, below)) => join_shown(&inventory.root(root).shown, &below),
        None => original.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::models::tests::world::{File, World, policy};
    use super::*;

    #[test]
    fn versions_are_listed_by_model_newest_first() {
        let mut world = World::default()
            .archived("saved/rf_1.pkl", "saved/rf.pkl", File::of(30))
            .archived(
                "saved/rf_2.pkl",
                "saved/rf.pkl",
                File {
                    size: 5000,
                    ..File::of(10)
                },
            )
            .archived("a_1.pkl", "a.pkl", File::of(20));
        if let Some(lost) = world.archived.get_mut(Path::new("saved/rf_1.pkl")) {
            lost.missing = true;
        }
        let inventory = world.inventory(&policy());
        let models = models(&inventory);
        let rows: Vec<_> = models
            .iter()
            .map(|model| {
                let archived: Vec<&Path> = model
                    .versions
                    .iter()
                    .map(|v| v.archived.as_path())
                    .collect();
                (
                    model.original.as_path(),
                    archived,
                    model.bytes(),
                    model.missing(),
                )
            })
            .collect();
        let path = Path::new;
        assert_eq!(
            rows,
            [
                (
                    path("models/a.pkl"),
                    vec![path("models/archived/a_1.pkl")],
                    4096,
                    0
                ),
                (
                    path("models/saved/rf.pkl"),
                    vec![
                        path("models/archived/saved/rf_2.pkl"),
                        path("models/archived/saved/rf_1.pkl")
                    ],
                    9096,
                    1
                ),
            ]
        );
        assert_eq!(
            models[1].newest(),
            Some(super::super::testing::ago(10 * 86_400))
        );
        let verify = to_verify(&inventory);
        let paths: Vec<_> = verify
            .iter()
            .map(|v| (v.path.as_path(), v.entry.is_some()))
            .collect();
        assert_eq!(
            paths,
            [
                (path("models/archived/a_1.pkl"), true),
                (path("models/archived/saved/rf_1.pkl"), false),
                (path("models/archived/saved/rf_2.pkl"), true),
            ]
        );
    }

    #[test]
    fn a_home_is_the_innermost_directory_and_never_outside() {
        let mut inventory = World::default().inventory(&policy());
        let mut inner = inventory.roots[0].clone();
        inner.path = "/base/models/runs".into();
        inventory.roots.push(inner);
        let mut archive = inventory.archives[0].clone();
        let home = |archive: &Archive, path: &str| home(&inventory, archive, Path::new(path));
        assert_eq!(
            home(&archive, "a/b.pkl"),
            Some((RootId(0), "a/b.pkl".into()))
        );
        for bad in ["../b.pkl", "a/../../b.pkl", "/etc/passwd", ""] {
            assert_eq!(home(&archive, bad), None, "{bad}");
        }
        archive.inside = false;
        archive.models = vec![RootId(0), RootId(2)];
        for (path, expected) in [
            ("/base/models/a.pkl", Some((RootId(0), "a.pkl".into()))),
            ("/base/models/runs/a.pkl", Some((RootId(2), "a.pkl".into()))),
            ("/base/models/../a.pkl", None),
            ("/elsewhere/a.pkl", None),
            ("/base/models", None),
            ("a.pkl", None),
        ] {
            assert_eq!(home(&archive, path), expected, "{path}");
        }
    }
}
