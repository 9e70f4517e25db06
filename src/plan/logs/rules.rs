//! Which rule owns a log: the first that matches it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::entry::{DirId, Inventory, Role};
use super::super::policy::{Globs, LogRule};

/// Whose a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The rule of that number.
    Rule(usize),
    /// A rule would match, but excludes it.
    Excluded,
    /// Nobody's.
    Nobody,
}

/// The rules with what they say of each directory.
pub(super) struct Rules<'a> {
    inventory: &'a Inventory,
    scopes: Vec<Scope<'a>>,
}

struct Scope<'a> {
    rule: &'a LogRule,
    /// By directory: below one of the rule's directories; `None` where it has no such limit.
    inside: Option<Vec<bool>>,
    /// By directory: excluded; empty where nothing is.
    excluded: Vec<bool>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(inventory: &'a Inventory, rules: &'a [LogRule]) -> Self {
        let scopes = rules
            .iter()
            .map(|rule| Scope {
                rule,
                inside: inside(inventory, rule),
                excluded: excluded(inventory, rule),
            })
            .collect();
        Self { inventory, scopes }
    }

    /// The owner of a log of this name in this directory. The log need not exist.
    pub(super) fn owner(&self, directory: DirId, log: &OsStr) -> Owner {
        let mut owner = Owner::Nobody;
        for (index, scope) in self.scopes.iter().enumerate() {
            if !scope.is_inside(directory)
                || !self.matches(scope, &scope.rule.patterns, directory, log)
            {
                continue;
            }
            if !self.excludes(scope, directory, log) {
                return Owner::Rule(index);
            }
            owner = Owner::Excluded;
        }
        owner
    }

    /// As [`Rules::owner`] for a rotated file of the log. What no pattern matches any more falls
    /// to the last rule, so that no file is orphaned by a change of patterns; what is excluded, by
    /// the log's name or its own, is left alone.
    pub(super) fn owner_of_rotated(&self, directory: DirId, log: &OsStr, name: &OsStr) -> Owner {
        let last = self.scopes.len().checked_sub(1);
        let owner = match (self.owner(directory, log), last) {
            (Owner::Nobody, Some(last)) if self.scopes[last].is_inside(directory) => {
                Owner::Rule(last)
            }
            (owner, _) => owner,
        };
        match owner {
            Owner::Rule(index) => {
                let scope = &self.scopes[index];
                let excludes = |name| self.excludes(scope, directory, name);
                if excludes(log) || excludes(name) {
                    Owner::Excluded
                } else {
                    owner
                }
            }
            owner => owner,
        }
    }

    fn excludes(&self, scope: &Scope, directory: DirId, name: &OsStr) -> bool {
        scope
            .excluded
            .get(directory.0 as usize)
            .is_some_and(|excluded| {
                *excluded || self.matches(scope, &scope.rule.exclude, directory, name)
            })
    }

    fn matches(&self, scope: &Scope, globs: &Globs, directory: DirId, name: &OsStr) -> bool {
        globs.matches_name(name)
            || (globs.needs_path()
                && globs.matches(&relative(self.inventory, scope.rule, directory).join(name)))
    }
}

impl Scope<'_> {
    fn is_inside(&self, directory: DirId) -> bool {
        self.inside
            .as_ref()
            .is_none_or(|inside| inside[directory.0 as usize])
    }
}

fn absolute(inventory: &Inventory, directory: DirId) -> PathBuf {
    let root = inventory.root(inventory.directory(directory).root);
    root.path.join(inventory.directory_path(directory))
}

/// Path of a directory relative to the rule's own directory above it, else to its root.
fn relative(inventory: &Inventory, rule: &LogRule, directory: DirId) -> PathBuf {
    let below = inventory.directory_path(directory);
    let Some(directories) = &rule.directories else {
        return below;
    };
    let path = absolute(inventory, directory);
    let shortest = directories
        .iter()
        .filter_map(|own| path.strip_prefix(own).ok())
        .min_by_key(|rest| rest.as_os_str().len());
    match shortest {
        Some(rest) if rest.as_os_str().len() < below.as_os_str().len() => rest.to_path_buf(),
        _ => below,
    }
}

fn inside(inventory: &Inventory, rule: &LogRule) -> Option<Vec<bool>> {
    let directories = rule.directories.as_ref()?;
    let test = |id| {
        let root = inventory.root(inventory.directory(id).root);
        root.role == Role::Logs && {
            let path = absolute(inventory, id);
            directories.iter().any(|own| path.starts_with(own))
        }
    };
    Some(inventory.directory_ids().map(test).collect())
}

fn excluded(inventory: &Inventory, rule: &LogRule) -> Vec<bool> {
    if rule.exclude.is_empty() {
        return Vec::new();
    }
    let mut excluded = vec![false; inventory.directories.len()];
    for id in inventory.directory_ids() {
        let row = inventory.directory(id);
        excluded[id.0 as usize] = row.parent.is_some_and(|parent| {
            let name = Path::new(inventory.directory_name(row));
            excluded[parent.0 as usize]
                || rule.exclude.matches(name)
                || (rule.exclude.needs_path()
                    && rule.exclude.matches(&relative(inventory, rule, id)))
        });
    }
    excluded
}
