//! Cache files that never go, whatever the limits say.

use std::collections::HashSet;
use std::ffi::OsStr;

use super::super::claims::Claims;
use super::super::cutting;
use super::super::entry::{AtimeMode, DirId, EntryId, Inventory, Kind, Role};
use super::super::locked::Locked;
use super::super::names;
use super::super::policy::CachePolicy;
use super::super::reason::{Duration32, HeldBy, Keep};
use super::super::rotated;
use super::super::scope::Excluded;
use super::super::time::{Clock, Time};

/// The rules by which a file is set aside.
pub(super) struct Rules<'a> {
    policy: &'a CachePolicy,
    inventory: &'a Inventory,
    claims: &'a Claims,
    clock: Clock,
    excluded: Excluded<'a>,
    locked: Locked<'a>,
    databases: HashSet<EntryId>,
    atime: Vec<AtimeMode>,
    /// The mode of all cache directories, where it is the same.
    uniform: Option<AtimeMode>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        policy: &'a CachePolicy,
        inventory: &'a Inventory,
        claims: &'a Claims,
        clock: Clock,
    ) -> Self {
        let mut modes = inventory
            .roots_of(Role::Cache)
            .map(|root| inventory.atime_mode(root));
        let first = modes.next();
        Self {
            uniform: first.filter(|first| modes.all(|mode| mode == *first)),
            policy,
            inventory,
            claims,
            clock,
            excluded: Excluded::new(inventory, &policy.exclude),
            locked: Locked::new(inventory),
            databases: databases(inventory),
            atime: inventory
                .root_ids()
                .map(|root| inventory.atime_mode(root))
                .collect(),
        }
    }

    /// The last use of a file, as far as its filesystem records it.
    pub(super) fn used(&self, id: EntryId) -> Time {
        let entry = self.inventory.entry(id);
        entry.used(self.uniform.unwrap_or_else(|| {
            let root = self.inventory.root_of(entry);
            self.atime[usize::from(root.0)]
        }))
    }

    /// Why a file stays; `None` if it may go.
    pub(super) fn keep(&self, id: EntryId) -> Option<Keep> {
        let entry = self.inventory.entry(id);
        if let Some(irregular) = Keep::irregular(entry.kind) {
            return Some(irregular);
        }
        if self.claims.contains(id) {
            return Some(Keep::Garbage);
        }
        if self.excluded.contains(id) {
            return Some(Keep::Excluded);
        }
        self.by_name(id)
            .or_else(|| self.in_use(id))
            .or_else(|| self.recent(id))
    }

    /// Why a part of a repository keeps it in place; its links are parts of it, and so are files
    /// that elsewhere would be locks or markers.
    pub(super) fn keep_part(&self, id: EntryId) -> Option<Keep> {
        let entry = self.inventory.entry(id);
        if self.excluded.contains(id) {
            return Some(Keep::Excluded);
        }
        if entry.kind == Kind::Symlink {
            return None;
        }
        let name = self.inventory.name(entry);
        let database = names::is_database(name) || self.databases.contains(&id);
        Keep::irregular(entry.kind)
            .or_else(|| names::is_own_temporary(name).then_some(Keep::SysoptTemporary))
            .or_else(|| database.then_some(Keep::Database))
            .or_else(|| self.in_use(id))
    }

    /// Whether an earlier operation of the run removes it.
    pub(super) fn is_claimed(&self, id: EntryId) -> bool {
        self.claims.contains(id)
    }

    fn by_name(&self, id: EntryId) -> Option<Keep> {
        let name = self.inventory.name(self.inventory.entry(id));
        if names::is_own_temporary(name) {
            Some(Keep::SysoptTemporary)
        } else if rotated::parse(name).is_some() {
            Some(Keep::RotatedLog)
        } else if cutting::log_of(name).is_some() {
            Some(Keep::Books)
        } else if names::is_database(name) || self.databases.contains(&id) {
            Some(Keep::Database)
        } else if names::is_cache_tag(name) || names::is_lock(name) || names::is_pid_file(name) {
            Some(Keep::Marker)
        } else {
            None
        }
    }

    /// Who has it open, mapped or locked.
    pub(super) fn in_use(&self, id: EntryId) -> Option<Keep> {
        if let Some(locker) = self.locked.by(id) {
            return Some(Keep::Locked(Box::new(HeldBy {
                pid: locker.pid,
                name: locker.name.clone(),
                advice: None,
            })));
        }
        let open = &self.inventory.open;
        if open.holders.is_empty() {
            return None;
        }
        let entry = self.inventory.entry(id);
        let holder = open.holder(self.inventory.identity(entry))?;
        Some(Keep::InUse(holder.into()))
    }

    fn recent(&self, id: EntryId) -> Option<Keep> {
        self.recent_use(self.used(id))
    }

    /// Why what was last used then stays.
    pub(super) fn recent_use(&self, used: Time) -> Option<Keep> {
        let now = self.clock.now;
        if used > now {
            Some(Keep::FutureTime)
        } else if now.since(used) < self.policy.preserve_recent {
            Some(Keep::RecentlyUsed(Duration32::between(used, now)))
        } else {
            None
        }
    }
}

/// Databases that their names do not tell, by the journal beside them (`Cookies` with
/// `Cookies-journal`), and the journals of all databases.
fn databases(inventory: &Inventory) -> HashSet<EntryId> {
    let cached = |id: &EntryId| {
        let root = inventory.root_of(inventory.entry(*id));
        inventory.root(root).role == Role::Cache
    };
    let journal = |id: EntryId| {
        let entry = inventory.entry(id);
        Some((
            id,
            entry.directory,
            names::journal_of(inventory.name(entry))?,
        ))
    };
    let journals: Vec<(EntryId, DirId, &OsStr)> = inventory
        .entry_ids()
        .filter(cached)
        .filter_map(journal)
        .collect();
    let wanted: HashSet<(DirId, &OsStr)> = journals
        .iter()
        .map(|(_, directory, base)| (*directory, *base))
        .collect();
    if wanted.is_empty() {
        return HashSet::new();
    }
    let place = |id: EntryId| {
        let entry = inventory.entry(id);
        (entry.directory, inventory.name(entry))
    };
    let mut found: HashSet<EntryId> = inventory
        .entry_ids()
        .filter(|id| wanted.contains(&place(*id)))
        .collect();
    let present: HashSet<(DirId, &OsStr)> = found.iter().map(|id| place(*id)).collect();
    found.extend(
        journals
            .iter()
            .filter(|(_, directory, base)| {
                names::is_database(base) || present.contains(&(*directory, *base))
            })
            .map(|(id, ..)| *id),
    );
    found
}
