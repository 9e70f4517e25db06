//! What to tell of the two lists of an archive, where they are behind or do not know each other.

use super::archive::{Archive, DIGESTS, MANIFEST};
use super::entry::{Inventory, Problem};
use super::readable;

/// What the next `archive-models` puts right, and what it cannot.
#[must_use]
pub fn warnings(inventory: &Inventory) -> Vec<String> {
    let mut warnings = Vec::new();
    for archive in &inventory.archives {
        let shown = readable::path(&inventory.root(archive.root).shown);
        if archive.torn {
            warnings.push(format!(
                "the last line of the manifest in {shown} was cut short and is ignored"
            ));
        }
        if archive.is_behind() {
            warnings.push(format!(
                "an earlier run did not finish the lists in {shown}: archive-models completes them"
            ));
        }
        let unknown = unknown(archive);
        if unknown > 0 {
            let shown = readable::path(inventory.root(archive.root).shown.join(MANIFEST));
            warnings.push(format!("'{shown}': {}", not_listed(unknown)));
        }
    }
    warnings
}

/// Where `restore-models --verify` finds fault with a list, and not with a file: a manifest that
/// does not know what the list of digests does, and a list in which `sha256sum -c` finds nothing.
#[must_use]
pub fn problems(inventory: &Inventory) -> Vec<Problem> {
    let mut problems = Vec::new();
    for archive in &inventory.archives {
        let mut tell = |name: &str, error: String| {
            problems.push(Problem {
                root: archive.root,
                path: inventory.root(archive.root).shown.join(name),
                error,
            });
        };
        let unknown = unknown(archive);
        if unknown > 0 {
            tell(MANIFEST, not_listed(unknown));
        }
        let listed = archive.files().count();
        // One that could not be read is a problem already.
        let read = |problem: &Problem| problem.root != archive.root;
        if archive.digests.is_empty() && listed > 0 && inventory.problems.iter().all(read) {
            tell(
                DIGESTS,
                format!(
                    "it has none of the {listed} files of {MANIFEST}; archive-models adds them"
                ),
            );
        }
    }
    problems
}

fn not_listed(unknown: usize) -> String {
    format!("it does not list {unknown} of the files of {DIGESTS}; bring it back from a backup")
}

/// How many files the list of digests has, and the manifest does not.
fn unknown(archive: &Archive) -> usize {
    if archive.unreadable {
        return 0;
    }
    let listed = archive
        .files()
        .filter(|file| archive.digests.contains_key(&file.line.archived_path.0));
    archive.digests.len().saturating_sub(listed.count())
}

#[cfg(test)]
mod tests {
    use super::super::models::tests::world::{File, World, policy};
    use super::*;

    /// What is told, after something happened to the lists of an archive of one file.
    fn told(harm: fn(&mut Archive)) -> (usize, Vec<String>) {
        let world = World::default().archived("rf_1.pkl", "rf.pkl", File::of(30));
        let mut inventory = world.inventory(&policy());
        let archive = &mut inventory.archives[0];
        let files = archive.files();
        let sums = files.map(|file| {
            let line = &file.line;
            (line.archived_path.0.clone(), line.stored_sha256.clone())
        });
        archive.digests = sums.collect();
        harm(archive);
        let problems = problems(&inventory).into_iter();
        let problems =
            problems.map(|problem| format!("{}: {}", problem.path.display(), problem.error));
        (warnings(&inventory).len(), problems.collect())
    }

    #[test]
    fn each_list_is_held_against_the_other() {
        assert_eq!(told(|_| ()), (0, vec![]));
        assert_eq!(told(|archive| archive.torn = true).1, Vec::<String>::new());
        let (warnings, problems) = told(|archive| archive.digests.clear());
        assert_eq!(
            (warnings, problems),
            (
                1,
                vec![
                    "models/archived/SHA256SUMS: it has none of the 1 files of manifest.jsonl; \
                     archive-models adds them"
                        .to_owned()
                ]
            )
        );
        let more = |archive: &mut Archive| {
            archive.digests.insert("lost.pkl".into(), "0a".repeat(32));
        };
        let (warnings, problems) = told(more);
        assert_eq!(
            (warnings, problems),
            (
                1,
                vec![
                    "models/archived/manifest.jsonl: it does not list 1 of the files of \
                     SHA256SUMS; bring it back from a backup"
                        .to_owned()
                ]
            )
        );
    }
}
