//! What goes together: a model with its sidecars, and a directory that is one model.
//!
//! The marks of a directory model are names that its format prescribes:
//! - `saved_model.pb`: <https://www.tensorflow.org/guide/saved_model>;
//! - `MLmodel`: <https://mlflow.org/docs/latest/ml/model/>;
//! - `config.json` beside the weights: <https://huggingface.co/docs/transformers>;
//! - `model_index.json`, and `modules.json` beside `config.json`: a pipeline of several of these
//!   (diffusers, sentence-transformers), which would be torn apart otherwise.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::super::action::Subject;
use super::super::entry::{DirId, EntryId, Inventory, Kind, Role};
use super::super::family::split;
use super::super::order;
use super::super::scope;

/// What may follow the stem of a model in the name of a sidecar.
const SIDECARS: [&str; 6] = [
    ".metadata.json",
    ".json",
    ".yaml",
    ".yml",
    ".txt",
    ".sha256",
];

/// A model with all that goes with it.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub subject: Subject,
    /// The directory in which it lies.
    pub parent: DirId,
    pub name: OsString,
    /// The model first, then its sidecars; of a directory, all files in it. By path.
    pub files: Vec<EntryId>,
}

/// Which directories are models, and which are temporary ones of sysopt.
pub(super) struct Units {
    /// By directory: the directory model that it is or lies in.
    models: Vec<Option<DirId>>,
    temporary: Vec<bool>,
}

/// Marks found in a directory.
#[derive(Clone, Copy, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a name that was found or not"
)]
struct Marks {
    saved_model: bool,
    mlmodel: bool,
    config: bool,
    weights: bool,
    index: bool,
    modules: bool,
}

impl Marks {
    fn add(&mut self, name: &[u8]) {
        match name {
            b"saved_model.pb" => self.saved_model = true,
            b"MLmodel" => self.mlmodel = true,
            b"config.json" => self.config = true,
            b"model_index.json" => self.index = true,
            b"modules.json" => self.modules = true,
            _ => {
                let of = |start: &[u8], end: &[u8]| name.starts_with(start) && name.ends_with(end);
                self.weights |= of(b"model", b".safetensors") || of(b"pytorch_model", b".bin");
            }
        }
    }

    /// A format that says itself which other models belong to it.
    const fn composite(self) -> bool {
        self.mlmodel || self.index || self.modules && self.config
    }

    const fn model(self) -> bool {
        self.composite() || self.saved_model || self.config && self.weights
    }
}

impl Units {
    pub(super) fn of(inventory: &Inventory) -> Self {
        let temporary = scope::in_the_making(inventory);
        let count = inventory.directories.len();
        let mut marks = vec![Marks::default(); count];
        for entry in &inventory.entries {
            if inventory.root(inventory.root_of(entry)).role == Role::Models {
                marks[entry.directory.0 as usize].add(inventory.name(entry).as_bytes());
            }
        }
        // A parent stands before its children.
        let (mut model_below, mut composite_below) = (vec![false; count], vec![false; count]);
        for at in (0..count).rev() {
            if let Some(parent) = inventory.directories[at].parent {
                let parent = parent.0 as usize;
                model_below[parent] |= model_below[at] || marks[at].model();
                composite_below[parent] |= composite_below[at] || marks[at].composite();
            }
        }
        let mut models: Vec<Option<DirId>> = vec![None; count];
        for id in inventory.directory_ids() {
            let at = id.0 as usize;
            // A configured directory is never a model itself.
            let Some(parent) = inventory.directory(id).parent else {
                continue;
            };
            let whole = if marks[at].composite() {
                !composite_below[at]
            } else {
                marks[at].model() && !model_below[at]
            };
            models[at] = models[parent.0 as usize].or((whole && !temporary[at]).then_some(id));
        }
        Self { models, temporary }
    }

    /// The directory model in which an entry lies.
    pub(super) fn directory_of(&self, directory: DirId) -> Option<DirId> {
        self.models[directory.0 as usize]
    }

    /// Whether a directory is, or lies in, one that sysopt makes or removes.
    pub(super) fn is_temporary(&self, directory: DirId) -> bool {
        self.temporary[directory.0 as usize]
    }

    /// All directory models, with their files, and the directories in them.
    pub(super) fn directories(&self, inventory: &Inventory) -> Vec<(Unit, Vec<DirId>)> {
        let mut files: HashMap<DirId, (Vec<EntryId>, Vec<DirId>)> = HashMap::new();
        for id in inventory.directory_ids() {
            if let Some(model) = self.directory_of(id) {
                files.entry(model).or_default().1.push(id);
            }
        }
        if files.is_empty() {
            return Vec::new();
        }
        for id in inventory.entry_ids() {
            if let Some(model) = self.directory_of(inventory.entry(id).directory) {
                files.entry(model).or_default().0.push(id);
            }
        }
        let units = files.into_iter().map(|(id, (mut files, directories))| {
            files.sort_by(|a, b| order::entries(inventory, *a, *b));
            let row = inventory.directory(id);
            let unit = Unit {
                subject: Subject::Directory(id),
                parent: row.parent.unwrap_or(id),
                name: inventory.directory_name(row).to_os_string(),
                files,
            };
            (unit, directories)
        });
        let mut units: Vec<(Unit, Vec<DirId>)> = units.collect();
        units.sort_by(|a, b| order::subjects(inventory, a.0.subject, b.0.subject));
        units
    }
}

/// The models to which sidecars may belong, by their directory and the beginning of the name.
#[derive(Default)]
pub(super) struct Stems {
    models: HashMap<(DirId, OsString), Option<usize>>,
}

impl Stems {
    /// Adds a model by its number; a stem that two models share has no sidecars.
    pub(super) fn add(&mut self, directory: DirId, name: &OsStr, number: usize) {
        let (stem, _) = split(name);
        let mut add = |stem: &OsStr| {
            let place = self.models.entry((directory, stem.to_os_string()));
            place
                .and_modify(|model| *model = model.filter(|other| *other == number))
                .or_insert(Some(number));
        };
        add(stem);
        // `rf.pkl.sha256`, as sha256sum is often used.
        add(name);
    }

    /// The model of which a file is a sidecar.
    pub(super) fn model_of(&self, inventory: &Inventory, id: EntryId) -> Option<usize> {
        let entry = inventory.entry(id);
        if entry.kind != Kind::File {
            return None;
        }
        let name = inventory.name(entry);
        stems(name).find_map(|stem| {
            let key = (entry.directory, stem.to_os_string());
            self.models.get(&key).copied()
        })?
    }
}

/// What the name of a sidecar says of its model, the longest extension first.
fn stems(name: &OsStr) -> impl Iterator<Item = &OsStr> {
    SIDECARS.iter().filter_map(move |end| {
        let stem = name.as_bytes().strip_suffix(end.as_bytes())?;
        (!stem.is_empty()).then(|| OsStr::from_bytes(stem))
    })
}

/// What follows a model's stem, or its whole name, in the name of its sidecar.
pub(super) fn sidecar_suffix<'a>(model: &OsStr, sidecar: &'a OsStr) -> Option<(bool, &'a OsStr)> {
    let after = |start: &OsStr| {
        let rest = sidecar.as_bytes().strip_prefix(start.as_bytes())?;
        let known = SIDECARS.iter().any(|end| end.as_bytes() == rest);
        known.then(|| OsStr::from_bytes(rest))
    };
    let (stem, _) = split(model);
    after(model)
        .map(|rest| (true, rest))
        .or_else(|| after(stem).map(|rest| (false, rest)))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Tree, file};
    use super::*;

    /// The directory models among the directories of a tree.
    fn found(paths: &[&str]) -> Vec<String> {
        let mut tree = Tree::new();
        let root = tree.root(Role::Models, "models");
        for path in paths {
            tree.add(root, path, file(1, 1));
        }
        let inventory = &tree.inventory;
        let units = Units::of(inventory).directories(inventory);
        units
            .into_iter()
            .map(|(unit, _)| match unit.subject {
                Subject::Directory(id) => inventory.directory_path(id).display().to_string(),
                Subject::Entry(_) | Subject::Named(_) => "a file".to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_directory_is_a_model_by_the_names_in_it() {
        for (paths, models) in [
            (
                &["m/saved_model.pb", "m/variables/variables.index"][..],
                &["m"][..],
            ),
            (
                &[
                    "run/artifacts/model/MLmodel",
                    "run/artifacts/model/model.pkl",
                ],
                &["run/artifacts/model"],
            ),
            (&["bert/config.json", "bert/model.safetensors"], &["bert"]),
            (
                &["bert/config.json", "bert/model-00001-of-00002.safetensors"],
                &["bert"],
            ),
            (
                &[
                    "gpt/config.json",
                    "gpt/pytorch_model.bin",
                    "gpt/optimizer.pt",
                ],
                &["gpt"],
            ),
            // Weights alone, a configuration alone.
            (&["a/model.safetensors"], &[]),
            (&["a/config.json", "a/net.safetensors"], &[]),
            // A configured directory is none.
            (&["saved_model.pb"], &[]),
            (&["MLmodel", "b/MLmodel"], &["b"]),
            // One that holds others is none; they are.
            (
                &[
                    "out/config.json",
                    "out/model.safetensors",
                    "out/checkpoint-500/config.json",
                    "out/checkpoint-500/model.safetensors",
                ],
                &["out/checkpoint-500"],
            ),
            (
                &["serving/1/saved_model.pb", "serving/2/saved_model.pb"],
                &["serving/1", "serving/2"],
            ),
            (&["runs/MLmodel", "runs/a/MLmodel"], &["runs/a"]),
            // What a format puts together stays together.
            (&["ml/MLmodel", "ml/data/model/saved_model.pb"], &["ml"]),
            (
                &[
                    "sd/model_index.json",
                    "sd/text_encoder/config.json",
                    "sd/text_encoder/model.safetensors",
                ],
                &["sd"],
            ),
            (
                &[
                    "st/modules.json",
                    "st/config.json",
                    "st/model.safetensors",
                    "st/2_Dense/config.json",
                    "st/2_Dense/model.safetensors",
                ],
                &["st"],
            ),
            // Our own, in the making.
            (&[".sysopt-1-1.tmp/MLmodel"], &[]),
        ] {
            assert_eq!(found(paths), models, "{paths:?}");
        }
    }

    #[test]
    fn a_sidecar_has_one_model() {
        let mut tree = Tree::new();
        let root = tree.root(Role::Models, "models");
        let models = ["rf.pkl", "a/net.pt", "a/net.onnx", "v.1.pkl", "dir"];
        let mut stems = Stems::default();
        for (number, name) in models.iter().enumerate() {
            let path = std::path::Path::new(name);
            let directory = tree.directory(root, path.parent().unwrap_or(path));
            stems.add(directory, path.file_name().unwrap_or_default(), number);
        }
        for (name, model) in [
            ("rf.json", Some(0)),
            ("rf.metadata.json", Some(0)),
            ("rf.pkl.sha256", Some(0)),
            ("rf.csv", None),
            ("rf_v2.json", None),
            ("a/rf.json", None),
            ("a/net.json", None),
            ("a/net.pt.json", Some(1)),
            ("v.1.yaml", Some(3)),
            ("v.yaml", None),
            ("dir.txt", Some(4)),
            ("metadata.json", None),
            (".json", None),
        ] {
            let id = tree.add(root, name, file(1, 1));
            assert_eq!(stems.model_of(&tree.inventory, id), model, "{name}");
        }
    }
}
