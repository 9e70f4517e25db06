//! `garbage_collection`: objects that no one owns any more, counted by class.
//!
//! Files are searched below all roots but archives and targets ([`files`], [`bytecode`]); what a
//! process holds or left behind is evidence that others bring ([`GarbageEvidence`]). Only what is
//! dead gets a verdict: an action, or [`Keep::ReportedOnly`].

mod bytecode;
mod evidence;
mod files;
mod tally;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use super::action::{Operation, OperationPlan, Subject, Task, Verb};
use super::entry::{EntryId, Inventory, Role, RootId};
use super::locked::Locked;
use super::names;
use super::order;
use super::policy::GarbagePolicy;
use super::reason::{Keep, Reason, size};
use super::scope;
use super::time::Clock;
use bytecode::Sources;
pub use evidence::{GarbageEvidence, SharedMemory};
use files::{Examiner, Finding};
use tally::Tally;
pub use tally::{Class, metadata_after};

/// Pid files are a line; anything larger is something else.
const PID_FILE_MAX: u64 = 64;

/// What garbage collection will do.
#[must_use]
pub fn plan(
    policy: &GarbagePolicy,
    inventory: &Inventory,
    evidence: &GarbageEvidence,
    clock: Clock,
) -> OperationPlan {
    let mut plan = scope::begin(Operation::GarbageCollection, inventory, Role::Garbage);
    plan.kept.clear();
    let mut tally = Tally::default();
    let sources = Sources::find(inventory, policy.delete_broken_symlinks);
    let locked = Locked::new(inventory);
    let examiner = Examiner {
        policy,
        inventory,
        evidence,
        clock,
        sources: &sources,
        locked: &locked,
    };
    let mut deletes = Vec::new();
    let making = scope::in_the_making(inventory);
    for id in inventory.entry_ids() {
        if may_hold(inventory, id)
            && !making[inventory.entry(id).directory.0 as usize]
            && let Some((class, finding)) = examiner.entry(id)
        {
            let bytes = files::frees(inventory, id);
            tally.found(class, &finding, bytes);
            note(&mut plan, &mut deletes, Subject::Entry(id), finding);
        }
    }
    for id in inventory.directory_ids() {
        let row = inventory.directory(id);
        if making[id.0 as usize] {
            // With it goes all that is in it.
            if row.parent.is_some_and(|parent| !making[parent.0 as usize]) {
                let finding = examiner.own_directory(id);
                tally.found(Class::OwnTemporaries, &finding, 0);
                note(&mut plan, &mut deletes, Subject::Directory(id), finding);
            }
            continue;
        }
        if is_searched(inventory, inventory.directory(id).root)
            && let Some(finding) = examiner.directory(id)
        {
            let bytes = u64::from(inventory.directory(id).blocks) * 512;
            tally.found(Class::EmptyDirectories, &finding, bytes);
            note(&mut plan, &mut deletes, Subject::Directory(id), finding);
        }
    }
    tally.reported(inventory, evidence);
    emit(&mut plan, inventory, deletes);
    plan.metadata = tally.metadata(inventory, evidence);
    plan.message = held(inventory, plan.actions.is_empty());
    if let unseen @ 1.. = tally.unseen() {
        plan.warnings.push(scope::unseen_warning(unseen));
    }
    plan
}

/// What deleted files take that a process holds open: nobody else would ever say it.
fn held(inventory: &Inventory, idle: bool) -> Option<String> {
    let files = &inventory.open.deleted;
    let bytes = files
        .iter()
        .map(|file| file.bytes)
        .fold(0, u64::saturating_add);
    let nothing = if idle { "nothing to collect, " } else { "" };
    let files = match files.len() {
        1 => "1 deleted file that is".to_owned(),
        many => format!("{many} deleted files that are"),
    };
    (bytes > 0).then(|| format!("{nothing}{} in {files} still open", size(bytes)))
}

/// The pid files whose process the evidence is asked for.
#[must_use]
pub fn pid_files_wanted(inventory: &Inventory) -> Vec<EntryId> {
    let wanted = |id: &EntryId| {
        let entry = inventory.entry(*id);
        is_searched(inventory, inventory.root_of(entry))
            && names::is_pid_file(inventory.name(entry))
            && Keep::irregular(entry.kind).is_none()
            && (1..=PID_FILE_MAX).contains(&entry.size)
    };
    inventory.entry_ids().filter(wanted).collect()
}

/// In an archive only what sysopt itself left half made is garbage.
fn may_hold(inventory: &Inventory, id: EntryId) -> bool {
    let entry = inventory.entry(id);
    let root = inventory.root_of(entry);
    is_searched(inventory, root)
        || inventory.root(root).role == Role::Archive
            && names::is_own_temporary(inventory.name(entry))
}

/// Nothing in an archive is garbage, and a target is only written to.
fn is_searched(inventory: &Inventory, root: RootId) -> bool {
    !matches!(inventory.root(root).role, Role::Archive | Role::Target)
}

fn note(
    plan: &mut OperationPlan,
    deletes: &mut Vec<(Subject, Reason)>,
    subject: Subject,
    finding: Finding,
) {
    match finding {
        Finding::Delete(reason) => deletes.push((subject, reason)),
        Finding::Report => plan.keep(subject, Keep::ReportedOnly),
        Finding::Skip(_) => {}
    }
}

fn emit(plan: &mut OperationPlan, inventory: &Inventory, mut deletes: Vec<(Subject, Reason)>) {
    deletes.sort_by(|a, b| order::subjects(inventory, a.0, b.0));
    let mut freed: u64 = 0;
    for (subject, reason) in deletes {
        match subject {
            Subject::Entry(id) => {
                freed = freed.saturating_add(files::frees(inventory, id));
                plan.act(Verb::Delete, subject, reason, Task::Unlink);
            }
            Subject::Directory(_) if reason == Reason::OwnTemporary => {
                plan.act(Verb::Delete, subject, reason, Task::RemoveTree);
            }
            Subject::Directory(_) => {
                plan.act(
                    Verb::RemoveDirectory,
                    subject,
                    reason,
                    Task::RemoveDirectory,
                );
            }
            // Garbage lies below the directories.
            Subject::Named(_) => {}
        }
    }
    let freed = freed.saturating_add(plan.directory_bytes(inventory));
    plan.estimate = Some(i64::try_from(freed).unwrap_or(i64::MAX));
}
