//! A model directory with its archive, from which inventories are made in any order.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::plan::action::{OperationPlan, Plan, Task, Verb, shown_subject};
use crate::plan::archive::{
    Archive, Event, MANIFEST_SCHEMA, ManifestLine, StoredFile, StoredPath, Version,
};
use crate::plan::claims::Claims;
use crate::plan::entry::{EntryId, Inventory, Role, Stat};
use crate::plan::host::Hold;
use crate::plan::models::{digests_wanted, family_key, plan};
use crate::plan::policy::{AgeBy, Codec, Globs, ModelsPolicy};
use crate::plan::testing::{DAY, NOW, Tree, ago, file};
use crate::plan::time::{Clock, Time};

/// A file: content decides its digest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::plan) struct File {
    pub days: i64,
    pub size: u64,
    pub content: u8,
    pub held: bool,
    pub links: u32,
}

impl File {
    pub(in crate::plan) const fn of(days: i64) -> Self {
        Self {
            days,
            size: 4096,
            content: 0,
            held: false,
            links: 1,
        }
    }

    fn stat(self) -> Stat {
        Stat {
            links: self.links,
            ..file(self.size, self.days * DAY)
        }
    }
}

/// An archived version.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan) struct Archived {
    pub original: PathBuf,
    pub file: File,
    pub missing: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::plan) struct World {
    /// By path below the model directory.
    pub models: BTreeMap<PathBuf, File>,
    /// By path below the archive.
    pub archived: BTreeMap<PathBuf, Archived>,
    pub unlisted: Vec<PathBuf>,
    pub restored: HashMap<PathBuf, Time>,
}

impl World {
    pub(in crate::plan) fn model(mut self, path: &str, file: File) -> Self {
        self.models.insert(path.into(), file);
        self
    }

    pub(in crate::plan) fn archived(mut self, path: &str, original: &str, file: File) -> Self {
        let archived = Archived {
            original: original.into(),
            file,
            missing: false,
        };
        self.archived.insert(path.into(), archived);
        self
    }

    pub(in crate::plan) fn inventory(&self, policy: &ModelsPolicy) -> Inventory {
        self.shuffled(policy, 0)
    }

    /// The inventory with its entries in an order that the seed decides.
    pub(in crate::plan) fn shuffled(&self, policy: &ModelsPolicy, seed: u64) -> Inventory {
        let mut tree = Tree::new();
        let models = tree.root(Role::Models, "models");
        let archive = tree.root(Role::Archive, "models/archived");
        let mut names: Vec<(bool, &Path)> = Vec::new();
        names.extend(self.models.keys().map(|path| (false, path.as_path())));
        let present = self
            .archived
            .iter()
            .filter(|(_, archived)| !archived.missing);
        names.extend(present.map(|(path, _)| (true, path.as_path())));
        names.extend(self.unlisted.iter().map(|path| (true, path.as_path())));
        names.push((true, Path::new("manifest.jsonl")));
        names.push((true, Path::new("SHA256SUMS")));
        let count = names.len() as u64;
        let mut numbered: Vec<(u64, (bool, &Path))> = (0..count).zip(names).collect();
        numbered.sort_by_key(|(at, _)| (at + 1).wrapping_mul(seed.wrapping_mul(2) | 1) % 31);
        let mut ids: HashMap<PathBuf, EntryId> = HashMap::new();
        let mut digests = HashMap::new();
        for (_, (inside, path)) in numbered {
            if inside {
                let file = self
                    .archived
                    .get(path)
                    .map_or(File::of(1), |archived| archived.file);
                let id = tree.add(archive, path, file.stat());
                ids.insert(path.into(), id);
                if file.held {
                    tree.hold(id, 7, Hold::Mapped);
                }
            } else {
                let file = self.models[path];
                let id = tree.add(models, path, file.stat());
                digests.insert(id, [file.content; 32]);
                if file.held {
                    tree.hold(id, 7, Hold::Read);
                }
            }
        }
        let versions = self.archived.iter().map(|(path, archived)| {
            Version::of_file(StoredFile {
                line: line(path, archived),
                entry: ids.get(path).copied(),
            })
        });
        let mut inventory = tree.inventory;
        let versions: Vec<Version> = versions.collect();
        let listed = versions.iter().map(|version| &version.model.line);
        let listed = listed.map(|line| (line.archived_path.0.clone(), line.stored_sha256.clone()));
        inventory.archives.push(Archive {
            digests: listed.collect(),
            versions,
            unlisted: self
                .unlisted
                .iter()
                .filter_map(|path| ids.get(path).copied())
                .collect(),
            restored: self.restored.clone(),
            ..Archive::empty(archive, vec![models], true)
        });
        let wanted = digests_wanted(policy, &inventory, &Claims::none(&inventory), CLOCK);
        inventory.digests = wanted.into_iter().map(|id| (id, digests[&id])).collect();
        inventory
    }

    pub(in crate::plan) fn plan(&self, policy: &ModelsPolicy) -> Plan {
        planned(policy, self.inventory(policy), CLOCK)
    }

    /// What is left when every action succeeds.
    pub(in crate::plan) fn applied(&self, plan: &Plan) -> Self {
        let mut world = self.clone();
        for action in &plan.operations[0].actions {
            let from = shown_subject(&plan.inventory, action.subject);
            match &action.task {
                Task::Archive(task) => {
                    let path = from
                        .strip_prefix("models")
                        .map(Path::to_path_buf)
                        .unwrap_or_default();
                    let mut file = world.models.remove(&path).unwrap_or(File::of(-1));
                    if let Some(stored) = world.archived.get(&task.to) {
                        file.days = file.days.min(stored.file.days);
                    }
                    let archived = Archived {
                        original: task.original.clone(),
                        file,
                        missing: false,
                    };
                    let before = world.archived.insert(task.to.clone(), archived);
                    assert_eq!(before.is_some(), task.stored, "{path:?}");
                }
                Task::ExpireModel(task) => {
                    let versions = &plan.inventory.archives[task.archive].versions;
                    let path = &versions[task.version].path;
                    assert!(world.archived.remove(path).is_some());
                }
                Task::Unlink => {
                    let path = from.strip_prefix("models").unwrap_or(&from);
                    assert!(world.models.remove(path).is_some());
                }
                other => panic!("not an action of models: {other:?}"),
            }
        }
        world
    }
}

pub(in crate::plan) const CLOCK: Clock = Clock::at(NOW);

pub(in crate::plan) fn line(path: &Path, archived: &Archived) -> ManifestLine {
    let digest = [archived.file.content; 32]
        .map(|byte| format!("{byte:02x}"))
        .concat();
    ManifestLine {
        schema: MANIFEST_SCHEMA.into(),
        event: Event::Archived,
        original_path: StoredPath(archived.original.clone()),
        archived_path: StoredPath(path.into()),
        size: archived.file.size,
        sha256: digest.clone(),
        stored_sha256: digest,
        mtime_ns: ago(archived.file.days * DAY).0,
        mode: 0o644,
        uid: 1000,
        gid: 1000,
        family: family_key(&archived.original),
        time: NOW,
        codec: "none".into(),
        unit: None,
    }
}

pub(in crate::plan) fn globs(patterns: &[&str]) -> Globs {
    Globs::new(patterns).unwrap_or_default()
}

/// The defaults, with a few patterns.
pub(in crate::plan) fn policy() -> ModelsPolicy {
    ModelsPolicy {
        patterns: globs(&["*.pkl", "*.pt", "*.ckpt"]),
        exclude: Globs::default(),
        pin: Globs::default(),
        archive_after: Duration::from_hours(7 * 24),
        age_by: AgeBy::Used,
        keep_latest: 1,
        safe_archiving: true,
        archive_directory: "archived".into(),
        max_archived: 10,
        max_archive_size: None,
        compression: Codec::None,
    }
}

pub(in crate::plan) fn planned(policy: &ModelsPolicy, inventory: Inventory, clock: Clock) -> Plan {
    let operations = vec![plan(policy, &inventory, &Claims::none(&inventory), clock)];
    Plan {
        inventory,
        operations,
    }
}

pub(in crate::plan) fn only(plan: &Plan) -> &OperationPlan {
    &plan.operations[0]
}

/// Verb and shown path of each action.
pub(in crate::plan) fn acted(plan: &Plan) -> Vec<(Verb, String)> {
    let actions = only(plan).actions.iter();
    actions
        .map(|action| {
            (
                action.verb,
                text(&shown_subject(&plan.inventory, action.subject)),
            )
        })
        .collect()
}

/// Shown paths of actions of one kind.
pub(in crate::plan) fn paths(plan: &Plan, verb: Verb) -> Vec<String> {
    acted(plan)
        .into_iter()
        .filter(|(of, _)| *of == verb)
        .map(|(_, path)| path)
        .collect()
}

/// Why a path stays, by its code.
pub(in crate::plan) fn kept(plan: &Plan, path: &str) -> Option<&'static str> {
    let all = only(plan).kept.iter();
    let mut found =
        all.filter(|kept| shown_subject(&plan.inventory, kept.subject) == Path::new(path));
    found.next().map(|kept| kept.reason.code())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
