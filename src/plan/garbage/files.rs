//! Whether a file or a directory is dead.

use std::time::Duration;

use super::super::entry::{DirId, Entry, EntryId, Inventory, Kind, LinkTarget, Role, Walk};
use super::super::locked::Locked;
use super::super::names;
use super::super::policy::GarbagePolicy;
use super::super::reason::{Duration32, Reason};
use super::super::time::{Clock, Time};
use super::bytecode::Sources;
use super::evidence::GarbageEvidence;
use super::tally::Class;

/// A temporary file of sysopt on which nobody holds a lock is dead after this; whether anybody
/// does is asked before it is removed.
const OWN_DEAD_AFTER: Duration = Duration::from_hours(1);
/// An empty directory is garbage after this.
const EMPTY_DEAD_AFTER: Duration = Duration::from_hours(7 * 24);

/// The reason under which is counted what nobody can tell to be in use or not.
pub(super) const UNSEEN: &str = "unseen";

/// What was found out about something that was examined.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Finding {
    /// Dead, and to be removed.
    Delete(Reason),
    /// Dead, and only reported.
    Report,
    /// Not known to be dead: the reason under which it is counted.
    Skip(&'static str),
}

pub(super) struct Examiner<'a> {
    pub(super) policy: &'a GarbagePolicy,
    pub(super) inventory: &'a Inventory,
    pub(super) evidence: &'a GarbageEvidence,
    pub(super) clock: Clock,
    pub(super) sources: &'a Sources<'a>,
    pub(super) locked: &'a Locked<'a>,
}

/// Bytes that the removal of this name gives back.
pub(super) fn frees(inventory: &Inventory, id: EntryId) -> u64 {
    let entry = inventory.entry(id);
    if entry.links > 1 {
        0
    } else {
        entry.disk_usage()
    }
}

impl Examiner<'_> {
    /// The class of an entry and what it is; `None` for what belongs to no class.
    pub(super) fn entry(&self, id: EntryId) -> Option<(Class, Finding)> {
        let (class, finding) = self.judge(id)?;
        let locked = matches!(finding, Finding::Delete(_)) && self.locked.by(id).is_some();
        Some((
            class,
            if locked {
                Finding::Skip("locked")
            } else {
                finding
            },
        ))
    }

    fn judge(&self, id: EntryId) -> Option<(Class, Finding)> {
        let entry = self.inventory.entry(id);
        let name = self.inventory.name(entry);
        if names::is_nfs_remnant(name) || names::is_lock(name) {
            return None;
        }
        if entry.kind == Kind::Symlink {
            let broken = self.inventory.links.get(&id) == Some(&LinkTarget::Broken);
            let finding = if broken {
                opt_in(self.policy.delete_broken_symlinks, Reason::BrokenSymlink)
            } else {
                Finding::Skip("live")
            };
            return Some((Class::BrokenSymlinks, finding));
        }
        if entry.kind != Kind::File {
            return None;
        }
        if names::is_own_temporary(name) {
            return Some((Class::OwnTemporaries, self.own_temporary(entry)));
        }
        if names::is_temporary(name) {
            let finding = self.unless_unseen(self.temporary(entry));
            return Some((Class::TemporaryFiles, finding));
        }
        if names::is_pid_file(name) {
            let finding = self.unless_unseen(self.pid_file(id, entry));
            return Some((Class::PidFiles, finding));
        }
        let orphan = self.sources.is_orphan(self.inventory, id)?;
        let finding = self.unless_unseen(self.bytecode(entry, orphan));
        Some((Class::Bytecode, finding))
    }

    /// What an empty directory is; `None` for one that is not empty.
    pub(super) fn directory(&self, id: DirId) -> Option<Finding> {
        let row = self.inventory.directory(id);
        if row.children > 0 || row.parent.is_none() || row.walk != Walk::Walked {
            return None;
        }
        Some(match self.age_over(row.mtime, EMPTY_DEAD_AFTER) {
            Ok(_) if self.locked.directory(id).is_some() => Finding::Skip("locked"),
            Ok(_) if self.inventory.directory_user(id).is_some() => Finding::Skip("in_use"),
            Ok(ago) => opt_in(
                self.policy.delete_empty_directories,
                Reason::EmptyDirectory(ago),
            ),
            Err(skip) => skip,
        })
    }

    /// A directory of ours in the making, or on its way out: what is in it is elsewhere too.
    pub(super) fn own_directory(&self, id: DirId) -> Finding {
        match self.age_over(self.inventory.directory(id).mtime, OWN_DEAD_AFTER) {
            Ok(_) => Finding::Delete(Reason::OwnTemporary),
            Err(skip) => skip,
        }
    }

    fn own_temporary(&self, entry: &Entry) -> Finding {
        if self.is_open(entry) {
            return Finding::Skip("in_use");
        }
        match self.age_over(entry.mtime, OWN_DEAD_AFTER) {
            Ok(_) => Finding::Delete(Reason::OwnTemporary),
            Err(skip) => skip,
        }
    }

    fn temporary(&self, entry: &Entry) -> Finding {
        if entry.links > 1 {
            return Finding::Skip("several_links");
        }
        if self.is_open(entry) {
            return Finding::Skip("in_use");
        }
        if !self.is_ours(entry) {
            return Finding::Skip("other_user");
        }
        let used = entry.mtime.max(entry.atime);
        match self.age_over(used, self.policy.stale_after) {
            Ok(ago) => {
                let root = self.inventory.root_of(entry);
                // Elsewhere a paused download is not garbage.
                let role = self.inventory.root(root).role;
                opt_in(role == Role::Garbage, Reason::StaleTemporary(ago))
            }
            Err(skip) => skip,
        }
    }

    fn pid_file(&self, id: EntryId, entry: &Entry) -> Finding {
        if !self.evidence.dead_pid_files.contains(&id) {
            Finding::Skip("live")
        } else if self.is_open(entry) {
            Finding::Skip("in_use")
        } else {
            opt_in(self.policy.delete_pid_files, Reason::StalePidFile)
        }
    }

    fn bytecode(&self, entry: &Entry, orphan: bool) -> Finding {
        if !orphan {
            Finding::Skip("live")
        } else if entry.links > 1 {
            Finding::Skip("several_links")
        } else if self.is_open(entry) {
            Finding::Skip("in_use")
        } else {
            Finding::Delete(Reason::OrphanedBytecode)
        }
    }

    fn is_open(&self, entry: &Entry) -> bool {
        let identity = self.inventory.identity(entry);
        self.inventory.open.holder(identity).is_some()
    }

    /// A file that goes only where it can be seen that nobody has it open.
    fn unless_unseen(&self, finding: Finding) -> Finding {
        match finding {
            Finding::Delete(_) if !self.inventory.open.visibility.looked => Finding::Skip(UNSEEN),
            finding => finding,
        }
    }

    /// The caller's own; root collects what the directory's owner made.
    fn is_ours(&self, entry: &Entry) -> bool {
        let inventory = self.inventory;
        let owner = inventory.owner(entry.owner).uid;
        if inventory.uid == 0 {
            owner
                == inventory
                    .owner(inventory.directory(entry.directory).owner)
                    .uid
        } else {
            owner == inventory.uid
        }
    }

    fn age_over(&self, time: Time, limit: Duration) -> Result<Duration32, Finding> {
        if self.clock.jumped {
            return Err(Finding::Skip("clock_jumped"));
        }
        if self.clock.now.since(time) < limit {
            return Err(Finding::Skip("recent"));
        }
        Ok(Duration32::between(time, self.clock.now))
    }
}

fn opt_in(delete: bool, reason: Reason) -> Finding {
    if delete {
        Finding::Delete(reason)
    } else {
        Finding::Report
    }
}
