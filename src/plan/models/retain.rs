//! Which archived versions expire: per model, so that a burst of one never takes another's last.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;

use serde_json::json;

use super::super::action::{ExpireModel, OperationPlan, Subject, TakeIn, Task, Verb};
use super::super::archive::{Archive, DIGESTS, MANIFEST, Version as Stored};
use super::super::entry::{EntryId, Inventory, Role};
use super::super::family::{Family, Version};
use super::super::names::is_own_temporary;
use super::super::reason::{Keep, Reason, size};
use super::super::retention::{Cause, Group, Item, Retention, Stay, Verdict};
use super::super::time::Time;
use super::survey::Survey;
use super::{Moved, family_key, gain};
use crate::plan::readable;

/// A version that is in an archive, or will be.
struct Copy<'a> {
    group: usize,
    version: Option<Version>,
    mtime: Time,
    name: &'a OsStr,
    bytes: u64,
    /// In the archive, with its number; `None` where this plan puts it there.
    here: Option<(Subject, usize)>,
    /// Why it must stay whatever the limits say.
    stays: Option<Keep>,
}

/// The versions of one archive.
#[derive(Default)]
struct Holding<'a> {
    families: HashMap<String, usize>,
    copies: Vec<Copy<'a>>,
    /// Actions that archive, by group.
    arrivals: Vec<Vec<u32>>,
    /// Numbers of those that cannot be what was archived: they stay, and nothing goes in their
    /// favour.
    damaged: Vec<usize>,
}

/// Verdicts on all that is in the archives.
pub(super) fn plan(survey: &Survey, moved: &[Moved], plan: &mut OperationPlan) {
    let inventory = survey.inventory;
    let (mut listed, mut families, mut versions, mut missing) = (HashSet::new(), 0, 0, 0_usize);
    for (number, archive) in inventory.archives.iter().enumerate() {
        let holding = Holding::of(
            survey,
            archive,
            moved.iter().filter(|m| m.archive == number),
        );
        families += holding.families.len();
        versions += holding.copies.len();
        listed.extend(archive.files().filter_map(|file| file.entry));
        let lost = archive.versions.iter().filter(|it| it.is_missing()).count();
        if lost > 0 {
            plan.warnings.push(format!(
                "{lost} archived versions are missing in {} (restore-models --verify names them)",
                readable::path(&inventory.root(archive.root).shown)
            ));
        }
        missing += lost;
        if !holding.damaged.is_empty() {
            plan.warnings.push(format!(
                "{} archived versions have another size than recorded in {} (restore-models \
                 --verify names them)",
                holding.damaged.len(),
                readable::path(&inventory.root(archive.root).shown)
            ));
        }
        for number in &holding.damaged {
            keep_version(plan, &archive.versions[*number], &Keep::Damaged);
        }
        holding.expire(survey, number, plan);
        take_in(survey, number, plan, &mut listed);
    }
    plan.metadata.insert("families", json!(families));
    plan.metadata.insert("versions", json!(versions));
    plan.metadata.insert("missing", json!(missing));
    keep_others(survey, &listed, plan);
}

/// What another system archived is entered into the manifest.
fn take_in(
    survey: &Survey,
    number: usize,
    plan: &mut OperationPlan,
    listed: &mut HashSet<EntryId>,
) {
    let archive = &survey.inventory.archives[number];
    if archive.unreadable {
        return;
    }
    for version in &archive.foreign {
        let Some(id) = version.model.entry else {
            continue;
        };
        listed.insert(id);
        if !sees(survey) {
            // Somebody may be writing it.
            plan.keep(Subject::Entry(id), Keep::Unseen);
            continue;
        }
        let task = TakeIn {
            archive: number,
            line: version.model.line.clone(),
        };
        let task = Task::TakeIn(Box::new(task));
        plan.act(Verb::Archive, Subject::Entry(id), Reason::Foreign, task);
    }
}

/// The verdict on a version is that on each of its files.
fn keep_version(plan: &mut OperationPlan, version: &Stored, keep: &Keep) {
    for id in version.entries() {
        plan.keep(Subject::Entry(id), keep.clone());
    }
}

/// The books of the archives, and what their manifests do not list.
fn keep_others(survey: &Survey, listed: &HashSet<EntryId>, plan: &mut OperationPlan) {
    let inventory = survey.inventory;
    for id in inventory.entry_ids() {
        let entry = inventory.entry(id);
        let root = inventory.root(inventory.root_of(entry));
        if root.role != Role::Archive || listed.contains(&id) {
            continue;
        }
        let name = inventory.name(entry);
        let top = root.top == Some(entry.directory);
        let keep = if survey.claims.contains(id) {
            Keep::Garbage
        } else if is_own_temporary(name) || survey.is_temporary(entry.directory) {
            Keep::SysoptTemporary
        } else if top && (name == MANIFEST || name == DIGESTS) {
            Keep::Books
        } else {
            Keep::Unlisted
        };
        plan.keep(Subject::Entry(id), keep);
    }
}

impl<'a> Holding<'a> {
    fn of<'m: 'a>(
        survey: &Survey<'a>,
        archive: &'a Archive,
        moved: impl Iterator<Item = &'a Moved<'m>>,
    ) -> Self {
        let (inventory, mut holding) = (survey.inventory, Self::default());
        let (mut now, mut again) = (Vec::new(), HashMap::new());
        for moved in moved {
            let group = holding.group(&moved.due.family);
            holding.arrivals[group].push(moved.action);
            match moved.stored {
                Some(version) => {
                    again.insert(version, moved.due.modified);
                }
                None => now.push((group, moved)),
            }
        }
        for (number, version) in archive.versions.iter().enumerate() {
            let Some(at) = version.at.filter(|_| !version.is_missing()) else {
                holding
                    .damaged
                    .extend(version.entries().next().map(|_| number));
                continue;
            };
            if version.is_damaged(inventory) {
                holding.damaged.push(number);
                continue;
            }
            let original = &version.original;
            let (again, recorded) = (again.get(&number).copied(), version.modified());
            let copy = Copy {
                group: holding.group(&family_key(original)),
                version: Family::of(original.file_name().unwrap_or_default()).version,
                // Storing it once more makes a version newer and never older: else it would rank
                // behind what it was ahead of, and one that nobody touched would stay for it.
                mtime: again.map_or(recorded, |again| again.max(recorded)),
                name: version.path.as_os_str(),
                bytes: super::disk_usage(inventory, &version.entries().collect::<Vec<_>>()),
                here: Some((at, number)),
                stays: protection(survey, version, again.is_some()),
            };
            holding.copies.push(copy);
        }
        for (group, moved) in now {
            holding.copies.push(Copy {
                group,
                version: moved.due.version.clone(),
                mtime: moved.due.modified,
                name: moved.to.as_os_str(),
                bytes: super::disk_usage(inventory, &moved.due.unit.files),
                here: None,
                stays: Some(Keep::MadeNow),
            });
        }
        holding
    }

    fn group(&mut self, family: &str) -> usize {
        let next = self.families.len();
        let group = *self.families.entry(family.to_owned()).or_insert(next);
        if group == next {
            self.arrivals.push(Vec::new());
        }
        group
    }

    fn expire(mut self, survey: &Survey, archive: usize, plan: &mut OperationPlan) {
        // Oldest first within a family: by version where it has one, then by time and name.
        self.copies.sort_by(|a, b| {
            (a.group, &a.version, a.mtime, a.name).cmp(&(b.group, &b.version, b.mtime, b.name))
        });
        let verdicts = self.verdicts(survey);
        let mut expired: Vec<(usize, Cause)> = Vec::new();
        let left = self.left(&verdicts);
        for (at, verdict) in verdicts.iter().enumerate() {
            let copy = &self.copies[at];
            let Some((_, number)) = copy.here else {
                continue;
            };
            match *verdict {
                Verdict::Expire(_) if !sees(survey) => {
                    let version = &survey.inventory.archives[archive].versions[number];
                    keep_version(plan, version, &Keep::Unseen);
                }
                Verdict::Expire(cause) => expired.push((at, cause)),
                Verdict::Keep(stay) => {
                    let keep = match (stay, &copy.stays) {
                        (_, Some(keep)) => keep.clone(),
                        (Stay::Last, None) if left[copy.group] == 1 => Keep::LastVersion,
                        _ => Keep::Retained,
                    };
                    let version = &survey.inventory.archives[archive].versions[number];
                    keep_version(plan, version, &keep);
                }
            }
        }
        self.warn(survey, archive, &verdicts, plan);
        self.act(survey.inventory, archive, expired, plan);
    }

    fn verdicts(&self, survey: &Survey) -> Vec<Verdict> {
        let group = Group {
            count: Some(survey.policy.max_archived).filter(|count| *count > 0),
            keep_last: true,
            total: survey.policy.max_archive_size.map(|_| 0),
            ..Group::default()
        };
        let retention = Retention {
            groups: vec![group; self.families.len()],
            totals: survey.policy.max_archive_size.into_iter().collect(),
            free: Vec::new(),
        };
        let mut items: Vec<Item> = Vec::with_capacity(self.copies.len());
        for copy in &self.copies {
            // Retention orders by time; a newer version is not older than the one before it,
            // whatever the times of their files say.
            let before = items.last().filter(|item| item.group == copy.group);
            let time = before.map_or(copy.mtime, |item| item.time.max(copy.mtime));
            let same = before.filter(|item| item.time == time);
            items.push(Item {
                group: copy.group,
                time,
                serial: same.map_or(0, |item| item.serial.saturating_add(1)),
                name: copy.name,
                bytes: copy.bytes,
                frees: copy.bytes,
                protected: copy.stays.is_some(),
                made_now: false,
            });
        }
        retention.verdicts(&items, survey.clock)
    }

    /// How many copies of each group stay.
    fn left(&self, verdicts: &[Verdict]) -> Vec<usize> {
        let mut left = vec![0; self.families.len()];
        for (copy, verdict) in self.copies.iter().zip(verdicts) {
            left[copy.group] += usize::from(matches!(verdict, Verdict::Keep(_)));
        }
        left
    }

    fn warn(
        &self,
        survey: &Survey,
        archive: usize,
        verdicts: &[Verdict],
        plan: &mut OperationPlan,
    ) {
        let kept = self.copies.iter().zip(verdicts);
        let kept = kept.filter(|(_, verdict)| matches!(verdict, Verdict::Keep(_)) || !sees(survey));
        let bytes: u64 = kept.map(|(copy, _)| copy.bytes).sum();
        let Some(limit) = survey
            .policy
            .max_archive_size
            .filter(|limit| bytes > *limit)
        else {
            return;
        };
        let root = survey.inventory.archives[archive].root;
        plan.warnings.push(format!(
            "{} is {} over max_archive_size: what is left are last versions, models in use, and \
             what this run archives",
            readable::path(&survey.inventory.root(root).shown),
            size(bytes - limit)
        ));
        let entry = plan
            .metadata
            .entry("over_archive_bytes")
            .or_insert(json!(0));
        *entry = json!(entry.as_u64().unwrap_or(0) + (bytes - limit));
    }

    fn act(
        &self,
        inventory: &Inventory,
        archive: usize,
        mut expired: Vec<(usize, Cause)>,
        plan: &mut OperationPlan,
    ) {
        let grown = self.grown(&expired);
        // Newest first, each needs one arrival: where some fail, as many of the newest stay.
        let mut met = vec![0_usize; self.families.len()];
        let mut needs: HashMap<usize, u32> = HashMap::new();
        for (at, cause) in expired.iter().rev() {
            let group = self.copies[*at].group;
            let arrivals = &self.arrivals[group];
            let one = arrivals.get(met[group]).or(arrivals.last()).copied();
            met[group] += 1;
            let one = one.or(grown.filter(|_| matches!(cause, Cause::Total(..))));
            needs.extend(one.map(|action| (*at, action)));
        }
        expired.sort_by_key(|(at, _)| self.copies[*at].name);
        for (at, cause) in expired {
            let copy = &self.copies[at];
            let Some((subject, version)) = copy.here else {
                continue;
            };
            let files: Vec<EntryId> = inventory.archives[archive].versions[version]
                .entries()
                .collect();
            let single = files.iter().filter(|id| inventory.entry(**id).links <= 1);
            let mut frees = super::disk_usage(inventory, &single.copied().collect::<Vec<_>>());
            if let Subject::Directory(id) = subject {
                frees += inventory.blocks_below(id).saturating_mul(512);
            }
            let task = ExpireModel {
                archive,
                version,
                files,
            };
            let task = Task::ExpireModel(Box::new(task));
            let reason: Reason = cause.reason("version");
            let number = plan.act(Verb::Expire, subject, reason, task);
            plan.actions[number as usize].set_needs(needs.get(&at).copied());
            gain(plan, frees);
        }
    }

    /// The last arrival, if it is only the arrivals that bring the archive over its size.
    fn grown(&self, expired: &[(usize, Cause)]) -> Option<u32> {
        let limit = expired.iter().find_map(|(_, cause)| match cause {
            Cause::Total(_, limit) => Some(*limit),
            _ => None,
        })?;
        let here = self.copies.iter().filter(|copy| copy.here.is_some());
        let before: u64 = here.map(|copy| copy.bytes).sum();
        let last = self.arrivals.iter().flatten().copied().max();
        last.filter(|_| before <= limit)
    }
}

/// Whether there was anything to tell who uses a version.
fn sees(survey: &Survey) -> bool {
    survey.inventory.open.visibility.looked
}

fn protection(survey: &Survey, version: &Stored, again: bool) -> Option<Keep> {
    let mut entries = version.entries();
    if version.entries().any(|id| survey.claims.contains(id)) {
        return Some(Keep::Garbage);
    }
    if again {
        return Some(Keep::MadeNow);
    }
    entries.find_map(|id| {
        let entry = survey.inventory.entry(id);
        Keep::irregular(entry.kind).or_else(|| survey.held(entry))
    })
}
