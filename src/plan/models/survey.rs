//! Which files are models, which of them stay where they are and why, and which are due.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::super::action::{OperationPlan, Subject};
use super::super::claims::Claims;
use super::super::entry::{
    AtimeMode, DirId, Entry, EntryId, Inventory, Problem, Role, RootId, Walk,
};
use super::super::family::{Family, Version};
use super::super::names::is_own_temporary;
use super::super::order;
use super::super::policy::{AgeBy, Globs, ModelsPolicy};
use super::super::reason::{HeldBy, Keep, ModelUse, Older, Reason};
use super::super::scope::Excluded;
use super::super::time::{Clock, Time};
use super::linked::Linked;
use super::units::{Stems, Unit, Units};

/// What the rules of models look at.
pub(super) struct Survey<'a> {
    pub policy: &'a ModelsPolicy,
    pub inventory: &'a Inventory,
    pub claims: &'a Claims,
    pub clock: Clock,
    excluded: Excluded<'a>,
    pinned: Excluded<'a>,
    linked: Linked,
    units: Units,
    /// Index of the archive that serves a model directory.
    serving: HashMap<RootId, usize>,
}

/// A model that leaves its place.
pub(super) struct Due {
    pub unit: Unit,
    /// Below its model directory.
    pub relative: PathBuf,
    /// As the manifest records it.
    pub original: PathBuf,
    /// Key of its family, with its directory.
    pub family: String,
    /// Its version in the family.
    pub version: Option<Version>,
    /// When it was last modified.
    pub modified: Time,
    /// Index of the archive that serves it.
    pub archive: Option<usize>,
    pub reason: Reason,
}

/// What was found in the model directories.
pub(super) struct Found {
    /// How many models there are.
    pub models: usize,
    /// In the order of their paths.
    pub due: Vec<Due>,
}

/// One of the versions among which the newest stay.
struct Member {
    version: Version,
    mtime: Time,
    name: OsString,
    subject: Subject,
}

type InPlace = (DirId, bool, OsString, Option<OsString>);

impl<'a> Survey<'a> {
    pub(super) fn new(
        policy: &'a ModelsPolicy,
        inventory: &'a Inventory,
        claims: &'a Claims,
        clock: Clock,
    ) -> Self {
        let archives = inventory.archives.iter().enumerate();
        let serving = archives
            .flat_map(|(number, archive)| archive.models.iter().map(move |root| (*root, number)))
            .collect();
        Self {
            policy,
            inventory,
            claims,
            clock,
            excluded: Excluded::new(inventory, &policy.exclude),
            pinned: Excluded::new(inventory, &policy.pin),
            linked: Linked::of(inventory),
            units: Units::of(inventory),
            serving,
        }
    }

    /// Finds the models; whatever stays gets its verdict.
    pub(super) fn models(&self, plan: &mut OperationPlan) -> Found {
        let (units, torn) = self.units(plan);
        let mut families: HashMap<InPlace, Vec<Member>> = HashMap::new();
        let (models, mut due) = (units.len(), Vec::new());
        for unit in units {
            let family = Family::of(&unit.name);
            if let Some(version) = &family.version {
                let directory = matches!(unit.subject, Subject::Directory(_));
                let (stem, extension) = (family.stem.clone(), family.extension.clone());
                let key = (unit.parent, directory, stem, extension);
                families.entry(key).or_default().push(Member {
                    version: version.clone(),
                    mtime: self.modified(&unit),
                    name: unit.name.clone(),
                    subject: unit.subject,
                });
            }
            let torn = torn.get(&unit.subject).cloned();
            match torn.map_or_else(|| self.judge(&unit), Err) {
                Ok(reason) => due.push((unit, family, reason)),
                Err(keep) => keep_unit(plan, &unit, &keep),
            }
        }
        let newest = newest(families, self.policy.keep_latest);
        due.retain(|(unit, ..)| {
            let stays = newest.contains(&unit.subject);
            if stays {
                keep_unit(plan, unit, &Keep::Newest);
            }
            !stays
        });
        if !self.inventory.open.visibility.looked {
            for (unit, ..) in due.drain(..) {
                keep_unit(plan, &unit, &Keep::Unseen);
            }
        }
        due.sort_by(|a, b| order::subjects(self.inventory, a.0.subject, b.0.subject));
        let due = due.into_iter();
        let due = due
            .map(|(unit, family, reason)| self.due(unit, family, reason))
            .collect();
        Found { models, due }
    }

    /// All models with what goes with them, and why some directories must stay whatever their age.
    fn units(&self, plan: &mut OperationPlan) -> (Vec<Unit>, HashMap<Subject, Keep>) {
        let (mut units, mut torn) = (Vec::new(), HashMap::new());
        for (unit, directories) in self.units.directories(self.inventory) {
            if let Some(keep) = self.no_whole(&unit, &directories) {
                torn.insert(unit.subject, keep);
            }
            units.push(unit);
        }
        let mut others = Vec::new();
        for id in self.inventory.entry_ids() {
            let entry = self.inventory.entry(id);
            let root = self.inventory.root(self.inventory.root_of(entry));
            if root.role != Role::Models || self.units.directory_of(entry.directory).is_some() {
                continue;
            }
            match self.no_model(id, entry) {
                Some(keep) => others.push((id, keep)),
                None => units.push(Unit {
                    subject: Subject::Entry(id),
                    parent: entry.directory,
                    name: self.inventory.name(entry).to_os_string(),
                    files: vec![id],
                }),
            }
        }
        let blind = blind(self.inventory);
        for unit in units.iter().filter(|_| !blind.is_empty()) {
            let own = match unit.subject {
                Subject::Directory(id) => self.inventory.shown_directory(id),
                Subject::Entry(_) | Subject::Named(_) => PathBuf::new(),
            };
            let parent = self.inventory.shown_directory(unit.parent);
            let inside = |path: &PathBuf| {
                matches!(unit.subject, Subject::Directory(_)) && path.starts_with(&own)
            };
            if blind.contains(&parent) || blind.iter().any(inside) {
                torn.insert(unit.subject, Keep::Unreadable);
            }
        }
        let mut stems = Stems::default();
        for (number, unit) in units.iter().enumerate() {
            stems.add(unit.parent, &unit.name, number);
        }
        others.sort_by(|a, b| order::entries(self.inventory, a.0, b.0));
        for (id, keep) in others {
            let sidecar = matches!(keep, Keep::NoMatch) && !self.excluded.contains(id);
            let model = stems.model_of(self.inventory, id).filter(|_| sidecar);
            // Beside a directory nothing is moved with it: it has its own files.
            let model = model.and_then(|number| units.get_mut(number));
            match model.filter(|unit| matches!(unit.subject, Subject::Entry(_))) {
                Some(unit) => unit.files.push(id),
                None => plan.keep(Subject::Entry(id), keep),
            }
        }
        (units, torn)
    }

    /// Why a directory cannot be moved as one.
    fn no_whole(&self, unit: &Unit, directories: &[DirId]) -> Option<Keep> {
        let unwalked = directories
            .iter()
            .find_map(|id| Keep::unwalked(self.inventory.directory(*id).walk));
        let mut files = unit.files.iter().map(|id| (*id, self.inventory.entry(*id)));
        unwalked.or_else(|| {
            files.find_map(|(id, entry)| {
                if self.claims.contains(id) {
                    Some(Keep::Garbage)
                } else if self.excluded.contains(id) {
                    Some(Keep::Excluded)
                } else {
                    Keep::irregular(entry.kind)
                        .map(|_| Keep::Unsupported("a directory model that holds more than files"))
                }
            })
        })
    }

    /// When a model was last modified: a directory, when the newest of its files was.
    fn modified(&self, unit: &Unit) -> Time {
        let own = match unit.subject {
            Subject::Entry(_) | Subject::Named(_) => 1,
            Subject::Directory(_) => usize::MAX,
        };
        let times = unit.files.iter().take(own);
        let times = times.map(|id| self.inventory.entry(*id).mtime);
        times.max().unwrap_or(Time(0))
    }

    /// The archive for a model, or why it cannot go there.
    pub(super) fn archive_for(&self, due: &Due) -> Result<usize, &'static str> {
        let number = due.archive.ok_or("no archive serves its directory")?;
        let archive = &self.inventory.archives[number];
        if archive.unreadable {
            return Err("the manifest of its archive cannot be read");
        }
        let root = self.inventory.root(archive.root);
        let walked = |top: DirId| self.inventory.directory(top).walk == Walk::Walked;
        if root.top.is_none_or(walked) {
            Ok(number)
        } else {
            Err("its archive cannot be read")
        }
    }

    /// Whether a directory is one of sysopt's in the making, or lies in one.
    pub(super) fn is_temporary(&self, directory: DirId) -> bool {
        self.units.is_temporary(directory)
    }

    /// Why a file must not be moved or removed whatever its age.
    pub(super) fn held(&self, entry: &Entry) -> Option<Keep> {
        if self.linked.leads_to(self.inventory, entry) {
            return Some(Keep::LinkTarget);
        }
        let holder = self.inventory.open.holder(self.inventory.identity(entry))?;
        Some(Keep::InUse(Box::new(HeldBy {
            pid: holder.pid,
            name: holder.name.clone(),
            advice: None,
        })))
    }

    /// Why a name is not a model that the rules of age are for.
    fn no_model(&self, id: EntryId, entry: &Entry) -> Option<Keep> {
        if self.claims.contains(id) {
            Some(Keep::Garbage)
        } else if is_own_temporary(self.inventory.name(entry))
            || self.units.is_temporary(entry.directory)
        {
            Some(Keep::SysoptTemporary)
        } else if !self.matches(&self.policy.patterns, entry) {
            Some(Keep::NoMatch)
        } else if self.excluded.contains(id) {
            Some(Keep::Excluded)
        } else {
            Keep::irregular(entry.kind)
        }
    }

    fn matches(&self, globs: &Globs, entry: &Entry) -> bool {
        if globs.needs_path() {
            globs.matches(&self.inventory.relative_path(entry))
        } else {
            globs.matches_name(self.inventory.name(entry))
        }
    }

    fn judge(&self, unit: &Unit) -> Result<Reason, Keep> {
        if unit.files.iter().any(|id| self.pinned.contains(*id)) {
            return Err(Keep::Pinned);
        }
        for id in &unit.files {
            let entry = self.inventory.entry(*id);
            if entry.links > 1 {
                return Err(Keep::SeveralLinks);
            }
            if self.claims.contains(*id) {
                return Err(Keep::Garbage);
            }
            if let Some(keep) = self.held(entry) {
                return Err(keep);
            }
        }
        self.age(unit)
    }

    /// Time of the last use; a restored model was used when it was restored.
    fn age(&self, unit: &Unit) -> Result<Reason, Keep> {
        let now = self.clock.now;
        let root = self.inventory.directory(unit.parent).root;
        let atime = self.inventory.atime_mode(root);
        let reads = self.policy.age_by == AgeBy::Used && atime != AtimeMode::Noatime;
        let entries = || unit.files.iter().map(|id| self.inventory.entry(*id));
        let modified = entries().map(|entry| entry.mtime).max().unwrap_or(now);
        let read = entries().map(|entry| entry.atime).max().unwrap_or(now);
        let touched = if reads { modified.max(read) } else { modified };
        let restored = self.restored(unit);
        let used = restored.map_or(touched, |restored| restored.max(touched));
        let (age, limit) = (now.since(used), self.policy.archive_after);
        if used > now {
            return Err(Keep::FutureTime);
        }
        if self.clock.jumped {
            return Err(Keep::ClockJumped);
        }
        if age < limit {
            return Err(Keep::ModelUsed(Box::new(ModelUse {
                read: reads.then(|| now.since(read)),
                modified: now.since(modified),
                // Restoring sets the access time too, and the manifest has whole seconds.
                restored: restored
                    .filter(|at| at.seconds() >= touched.seconds())
                    .map(|at| now.since(at)),
                limit,
            })));
        }
        Ok(self.reason(age, limit))
    }

    fn reason(&self, age: Duration, limit: Duration) -> Reason {
        let older = Box::new(Older { age, limit });
        match self.policy.age_by {
            AgeBy::Used => Reason::NotUsed(older),
            AgeBy::Modified => Reason::NotModified(older),
        }
    }

    fn restored(&self, unit: &Unit) -> Option<Time> {
        let root = self.inventory.directory(unit.parent).root;
        let archive = &self.inventory.archives[*self.serving.get(&root)?];
        if archive.restored.is_empty() {
            return None;
        }
        archive.restored.get(&self.original(unit).1).copied()
    }

    /// A model's path below its directory, and as the manifest of its archive records it.
    fn original(&self, unit: &Unit) -> (PathBuf, PathBuf) {
        let root = self.inventory.directory(unit.parent).root;
        let relative = self.inventory.directory_path(unit.parent).join(&unit.name);
        let inside = self
            .serving
            .get(&root)
            .is_some_and(|number| self.inventory.archives[*number].inside);
        let original = if inside {
            relative.clone()
        } else {
            self.inventory.root(root).path.join(&relative)
        };
        (relative, original)
    }

    fn due(&self, unit: Unit, family: Family, reason: Reason) -> Due {
        let (relative, original) = self.original(&unit);
        let root = self.inventory.directory(unit.parent).root;
        Due {
            modified: self.modified(&unit),
            relative,
            family: family.key(original.parent().unwrap_or(&PathBuf::new())),
            original,
            version: family.version,
            archive: self.serving.get(&root).copied(),
            unit,
            reason,
        }
    }
}

/// Directories in which a name could not be looked at: it may be what makes them a model.
fn blind(inventory: &Inventory) -> HashSet<PathBuf> {
    if inventory.problems.is_empty() {
        return HashSet::new();
    }
    let ids = inventory.directory_ids();
    let directories: HashSet<PathBuf> = ids.map(|id| inventory.shown_directory(id)).collect();
    let of_models = |problem: &&Problem| inventory.root(problem.root).role == Role::Models;
    let names = inventory.problems.iter().filter(of_models);
    let names = names.map(|problem| &problem.path);
    let names = names.filter(|path| !directories.contains(*path));
    names
        .filter_map(|path| path.parent().map(PathBuf::from))
        .collect()
}

/// The verdict on a model is that on all that goes with it.
pub(super) fn keep_unit(plan: &mut OperationPlan, unit: &Unit, keep: &Keep) {
    match unit.subject {
        Subject::Directory(_) => plan.keep(unit.subject, keep.clone()),
        Subject::Entry(_) | Subject::Named(_) => {
            for id in &unit.files {
                plan.keep(Subject::Entry(*id), keep.clone());
            }
        }
    }
}

/// The newest versions of each family.
fn newest(families: HashMap<InPlace, Vec<Member>>, keep: usize) -> HashSet<Subject> {
    let mut newest = HashSet::new();
    for mut members in families.into_values() {
        members.sort_by(|a, b| (&b.version, b.mtime, &b.name).cmp(&(&a.version, a.mtime, &a.name)));
        newest.extend(members.iter().take(keep).map(|member| member.subject));
    }
    newest
}
