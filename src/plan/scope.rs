//! What an operation looks at: the directories of its role, and what is excluded from them.

use std::path::Path;

use super::action::{Operation, OperationPlan, Subject};
use super::entry::{DirId, EntryId, Inventory, Problem, Role};
use super::names::is_own_temporary;
use super::policy::Globs;
use super::reason::Keep;

/// An empty plan with what could not be read below the roots of a role, and a verdict for each
/// directory there that was not looked into.
#[must_use]
pub fn begin(operation: Operation, inventory: &Inventory, role: Role) -> OperationPlan {
    let mut plan = OperationPlan::new(operation);
    let ours = |root| inventory.root(root).role == role;
    let problems = inventory.problems.iter();
    plan.problems = problems.filter(|p| ours(p.root)).cloned().collect();
    for id in inventory.directory_ids() {
        let directory = inventory.directory(id);
        if ours(directory.root)
            && let Some(reason) = Keep::unwalked(directory.walk)
        {
            plan.keep(Subject::Directory(id), reason);
        }
    }
    plan
}

/// What could not be read in the directories of operations that this run leaves out is told by
/// garbage collection, which searches them all.
pub fn tell_the_rest(plans: &mut [OperationPlan], inventory: &Inventory) {
    let told = |role| plans.iter().any(|plan| tells(plan.operation, role));
    let problems = inventory.problems.iter();
    let untold = problems.filter(|problem| !told(inventory.root(problem.root).role));
    let untold: Vec<Problem> = untold.cloned().collect();
    let garbage = plans
        .iter_mut()
        .find(|plan| plan.operation == Operation::GarbageCollection);
    if let Some(plan) = garbage {
        plan.problems.extend(untold);
    }
}

/// Whether an operation tells what could not be read in directories of a role.
const fn tells(operation: Operation, role: Role) -> bool {
    matches!(
        (operation, role),
        (Operation::GarbageCollection, Role::Garbage)
            | (Operation::CacheCleanup, Role::Cache)
            | (Operation::LogRotation, Role::Logs)
            | (Operation::ModelArchiving, Role::Models | Role::Archive)
    )
}

/// Says how many items that were due stay because nobody can tell who uses them.
pub fn warn_of_unseen(plan: &mut OperationPlan) {
    let unseen = plan.kept.iter().filter(|kept| kept.reason == Keep::Unseen);
    let count = unseen.count() as u64;
    if count > 0 {
        plan.warnings.push(unseen_warning(count));
    }
}

/// The words of [`warn_of_unseen`].
#[must_use]
pub fn unseen_warning(count: u64) -> String {
    format!(
        "nothing here tells who uses a file (there is no /proc to look at): what may be in use \
         stays, {count} of what was due"
    )
}

/// By directory: whether it, or one above it, is one that sysopt makes or removes.
#[must_use]
pub fn in_the_making(inventory: &Inventory) -> Vec<bool> {
    let mut temporary = vec![false; inventory.directories.len()];
    for id in inventory.directory_ids() {
        let row = inventory.directory(id);
        temporary[id.0 as usize] = row.parent.is_some_and(|parent| {
            temporary[parent.0 as usize] || is_own_temporary(inventory.directory_name(row))
        });
    }
    temporary
}

/// Which entries are excluded: by their own name or path, or because a directory above them is.
#[derive(Debug)]
pub struct Excluded<'a> {
    inventory: &'a Inventory,
    globs: &'a Globs,
    below: Vec<bool>,
}

impl<'a> Excluded<'a> {
    /// Matches the directories once.
    #[must_use]
    pub fn new(inventory: &'a Inventory, globs: &'a Globs) -> Self {
        let mut below = Vec::new();
        if !globs.is_empty() {
            below = vec![false; inventory.directories.len()];
            for id in inventory.directory_ids() {
                below[id.0 as usize] = inventory.directory(id).parent.is_some_and(|parent| {
                    below[parent.0 as usize] || matches_directory(inventory, globs, id)
                });
            }
        }
        Self {
            inventory,
            globs,
            below,
        }
    }

    /// Whether the entry is excluded.
    #[must_use]
    pub fn contains(&self, id: EntryId) -> bool {
        let entry = self.inventory.entry(id);
        let Some(below) = self.below.get(entry.directory.0 as usize) else {
            return false;
        };
        *below
            || self.globs.matches_name(self.inventory.name(entry))
            || (self.globs.needs_path() && self.globs.matches(&self.inventory.relative_path(entry)))
    }
}

fn matches_directory(inventory: &Inventory, globs: &Globs, id: DirId) -> bool {
    let name = inventory.directory_name(inventory.directory(id));
    if globs.needs_path() {
        globs.matches(&inventory.directory_path(id))
    } else {
        globs.matches(Path::new(name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tree, file};
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_once_whichever_operations_run() {
        use Operation::{CacheCleanup, GarbageCollection, LogRotation};
        let mut tree = Tree::new();
        for (role, shown) in [(Role::Cache, "cache"), (Role::Garbage, "temp")] {
            let root = tree.root(role, shown);
            tree.inventory.problems.push(Problem {
                root,
                path: shown.into(),
                error: "Input/output error".to_owned(),
            });
        }
        let table: [(&[Operation], &[usize]); 3] = [
            (&[GarbageCollection, CacheCleanup], &[1, 1]),
            (&[GarbageCollection, LogRotation], &[2, 0]),
            // Nobody looked for garbage.
            (&[CacheCleanup], &[1]),
        ];
        for (operations, expected) in table {
            let begun = |operation: &Operation| match operation {
                CacheCleanup => begin(*operation, &tree.inventory, Role::Cache),
                LogRotation => begin(*operation, &tree.inventory, Role::Logs),
                _ => begin(*operation, &tree.inventory, Role::Garbage),
            };
            let mut plans: Vec<OperationPlan> = operations.iter().map(begun).collect();
            tell_the_rest(&mut plans, &tree.inventory);
            let told: Vec<usize> = plans.iter().map(|plan| plan.problems.len()).collect();
            assert_eq!(told, expected, "{operations:?}");
        }
    }

    #[test]
    fn a_pattern_that_matches_a_directory_excludes_what_is_below() {
        let mut tree = Tree::new();
        let root = tree.root(Role::Cache, "keep");
        let table = [
            ("a", false),
            ("x.keep", true),
            ("keep/a", true),
            ("keep/deep/a", true),
            ("b/pinned/a/b", true),
            ("c/pinned/a", false),
            ("b/only", true),
            ("c/only", false),
        ];
        let ids = table.map(|(path, _)| tree.add(root, path, file(1, 1)));
        let patterns = ["keep", "*.keep", "b/pinned", "./b/only"];
        let globs = Globs::new(&patterns).unwrap_or_default();
        let excluded = Excluded::new(&tree.inventory, &globs);
        for (id, (path, expected)) in ids.into_iter().zip(table) {
            assert_eq!(excluded.contains(id), expected, "{path}");
        }
    }
}
