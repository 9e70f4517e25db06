//! Which files are models, which of them stay where they are and why, and which are due.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::super::action::{OperationPlan, Subject};
use super::super::claims::Claims;
use super::super::entry::{AtimeMode, DirId, Entry, EntryId, Inventory, Role, RootId, Walk};
use super::super::family::{Family, Version};
use super::super::names::is_own_temporary;
use super::super::order;
use super::super::policy::{AgeBy, Globs, ModelsPolicy};
use super::super::reason::{HeldBy, Keep, ModelUse, Older, Reason};
use super::super::scope::Excluded;
use super::super::time::{Clock, Time};
use super::linked::Linked;

/// What the rules of models look at.
pub(super) struct Survey<'a> {
    pub policy: &'a ModelsPolicy,
    pub inventory: &'a Inventory,
    pub claims: &'a Claims,
    pub clock: Clock,
    excluded: Excluded<'a>,
    pinned: Excluded<'a>,
    linked: Linked,
    /// Index of the archive that serves a model directory.
    serving: HashMap<RootId, usize>,
}

/// A model that leaves its place.
pub(super) struct Due {
    pub id: EntryId,
    /// Below its model directory.
    pub relative: PathBuf,
    /// As the manifest records it.
    pub original: PathBuf,
    /// Key of its family, with its directory.
    pub family: String,
    /// Its version in the family.
    pub version: Option<Version>,
    /// Index of the archive that serves it.
    pub archive: Option<usize>,
    pub reason: Reason,
}

/// What was found in the model directories.
pub(super) struct Found {
    /// Regular files that are models.
    pub models: usize,
    /// In the order of their paths.
    pub due: Vec<Due>,
}

/// One of the versions among which the newest stay.
struct Member {
    version: Version,
    mtime: Time,
    name: OsString,
    id: EntryId,
}

type InPlace = (DirId, OsString, Option<OsString>);

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
            serving,
        }
    }

    /// Finds the models; whatever stays gets its verdict.
    pub(super) fn models(&self, plan: &mut OperationPlan) -> Found {
        let mut families: HashMap<InPlace, Vec<Member>> = HashMap::new();
        let (mut models, mut due) = (0, Vec::new());
        for id in self.inventory.entry_ids() {
            let entry = self.inventory.entry(id);
            if self.inventory.root(self.inventory.root_of(entry)).role != Role::Models {
                continue;
            }
            if let Some(keep) = self.no_model(id, entry) {
                plan.keep(Subject::Entry(id), keep);
                continue;
            }
            models += 1;
            let name = self.inventory.name(entry);
            let family = Family::of(name);
            if let Some(version) = &family.version {
                let key = (
                    entry.directory,
                    family.stem.clone(),
                    family.extension.clone(),
                );
                families.entry(key).or_default().push(Member {
                    version: version.clone(),
                    mtime: entry.mtime,
                    name: name.to_os_string(),
                    id,
                });
            }
            match self.judge(id, entry) {
                Ok(reason) => due.push((id, family, reason)),
                Err(keep) => plan.keep(Subject::Entry(id), keep),
            }
        }
        let newest = newest(families, self.policy.keep_latest);
        due.retain(|(id, ..)| {
            let stays = newest.binary_search(id).is_ok();
            if stays {
                plan.keep(Subject::Entry(*id), Keep::Newest);
            }
            !stays
        });
        due.sort_by(|a, b| order::entries(self.inventory, a.0, b.0));
        let due = due.into_iter();
        let due = due
            .map(|(id, family, reason)| self.due(id, family, reason))
            .collect();
        Found { models, due }
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
        } else if is_own_temporary(self.inventory.name(entry)) {
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

    fn judge(&self, id: EntryId, entry: &Entry) -> Result<Reason, Keep> {
        if self.pinned.contains(id) {
            return Err(Keep::Pinned);
        }
        if entry.links > 1 {
            return Err(Keep::SeveralLinks);
        }
        if let Some(keep) = self.held(entry) {
            return Err(keep);
        }
        self.age(id, entry)
    }

    /// Time of the last use; a restored model was used when it was restored.
    fn age(&self, id: EntryId, entry: &Entry) -> Result<Reason, Keep> {
        let now = self.clock.now;
        let atime = self.inventory.atime_mode(self.inventory.root_of(entry));
        let reads = self.policy.age_by == AgeBy::Used && atime != AtimeMode::Noatime;
        let touched = if reads {
            entry.used(atime)
        } else {
            entry.mtime
        };
        let restored = self.restored(id, entry);
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
                read: reads.then(|| now.since(entry.atime)),
                modified: now.since(entry.mtime),
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

    fn restored(&self, id: EntryId, entry: &Entry) -> Option<Time> {
        let root = self.inventory.root_of(entry);
        let archive = &self.inventory.archives[*self.serving.get(&root)?];
        if archive.restored.is_empty() {
            return None;
        }
        archive.restored.get(&self.original(id)).copied()
    }

    /// A model's path as the manifest of its archive records it.
    fn original(&self, id: EntryId) -> PathBuf {
        let entry = self.inventory.entry(id);
        let root = self.inventory.root_of(entry);
        let relative = self.inventory.relative_path(entry);
        let inside = self
            .serving
            .get(&root)
            .is_some_and(|number| self.inventory.archives[*number].inside);
        if inside {
            relative
        } else {
            self.inventory.root(root).path.join(relative)
        }
    }

    fn due(&self, id: EntryId, family: Family, reason: Reason) -> Due {
        let entry = self.inventory.entry(id);
        let original = self.original(id);
        Due {
            id,
            relative: self.inventory.relative_path(entry),
            family: family.key(original.parent().unwrap_or(&PathBuf::new())),
            original,
            version: family.version,
            archive: self.serving.get(&self.inventory.root_of(entry)).copied(),
            reason,
        }
    }
}

/// The newest versions of each family, sorted for a search.
fn newest(families: HashMap<InPlace, Vec<Member>>, keep: usize) -> Vec<EntryId> {
    let mut newest = Vec::new();
    for mut members in families.into_values() {
        members.sort_by(|a, b| (&b.version, b.mtime, &b.name).cmp(&(&a.version, a.mtime, &a.name)));
        newest.extend(members.iter().take(keep).map(|member| member.id));
    }
    newest.sort_unstable();
    newest
}
