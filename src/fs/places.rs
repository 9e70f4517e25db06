//! Looking at single places of a directory that is not read as a whole: where models go that are
//! restored elsewhere.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::dir;
use super::roots::Roots;
use crate::plan::entry::{DirId, Inventory, Problem, RootId, Walk};

/// Adds what stands at some paths below a root, and all that is in it, to the inventory.
pub fn add(roots: &Roots, inventory: &mut Inventory, root: RootId, paths: &[PathBuf]) {
    let open = roots.get(root);
    let (Some(fd), Some(seen)) = (&open.fd, open.seen) else {
        return;
    };
    let top = inventory.add_directory(root, None, "".as_ref(), &seen.stat, Walk::Walked);
    let mut places = Places {
        inventory,
        root,
        fd: fd.as_fd(),
        known: HashMap::from([(PathBuf::new(), Some(top))]),
    };
    for path in paths {
        if let Err(error) = places.read(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            places.problem(path, &error);
        }
    }
}

struct Places<'a> {
    inventory: &'a mut Inventory,
    root: RootId,
    /// The root.
    fd: BorrowedFd<'a>,
    /// What was seen, by path; `None` for what is no directory.
    known: HashMap<PathBuf, Option<DirId>>,
}

impl Places<'_> {
    /// Adds a path with all that is below it.
    fn read(&mut self, path: &Path) -> io::Result<()> {
        self.look(path)?;
        if !matches!(self.known.get(path), Some(Some(_))) {
            return Ok(());
        }
        for name in dir::names(dir::open_below(self.fd, path)?)? {
            self.read(&path.join(name))?;
        }
        Ok(())
    }

    /// Adds the name at the end of a path, and those of the directories above it.
    fn look(&mut self, path: &Path) -> io::Result<()> {
        if self.known.contains_key(path) {
            return Ok(());
        }
        let above = path.parent().unwrap_or(Path::new(""));
        self.look(above)?;
        let Some(Some(parent)) = self.known.get(above).copied() else {
            return Ok(());
        };
        let name = path.file_name().unwrap_or_default();
        let seen = dir::look(dir::open_below(self.fd, above)?, name)?;
        let directory = if seen.directory {
            let (root, stat) = (self.root, &seen.stat);
            let parent = Some(parent);
            let row = self
                .inventory
                .add_directory(root, parent, name, stat, Walk::Walked);
            Some(row)
        } else {
            self.inventory.add_entry(parent, name, &seen.stat);
            None
        };
        self.known.insert(path.to_path_buf(), directory);
        Ok(())
    }

    fn problem(&mut self, path: &Path, error: &io::Error) {
        let shown = self.inventory.root(self.root).shown.join(path);
        self.inventory.problems.push(Problem {
            root: self.root,
            path: shown,
            error: error.to_string(),
        });
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests build and change trees themselves"
)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::fs::roots::RootSpec;
    use crate::plan::entry::{Role, Root};

    #[test]
    fn only_the_places_are_looked_at() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        for name in ["a/model/sub", "a/other", "elsewhere"] {
            std::fs::create_dir_all(dir.path().join(name))?;
        }
        for name in [
            "a/model/one",
            "a/model/sub/two",
            "a/other/x",
            "a/b",
            "elsewhere/c",
        ] {
            std::fs::write(dir.path().join(name), "x")?;
        }
        symlink("elsewhere", dir.path().join("link"))?;
        let (roots, _) = Roots::open(vec![RootSpec {
            role: Role::Target,
            path: dir.path().to_path_buf(),
            shown: PathBuf::from("out"),
            required: false,
            active: true,
            inside: None,
        }]);
        let mut inventory = Inventory::default();
        inventory.roots.push(Root {
            role: Role::Target,
            shown: PathBuf::from("out"),
            path: dir.path().to_path_buf(),
            filesystem: None,
            inode: 0,
            top: None,
        });
        let paths = ["a/b", "a/model", "gone/d", "a/none", "link/c", "a/b/e"];
        add(&roots, &mut inventory, RootId(0), &paths.map(PathBuf::from));
        let entries = inventory.entries.iter();
        let mut seen: Vec<PathBuf> = entries.map(|it| inventory.relative_path(it)).collect();
        seen.sort();
        let expected = ["a/b", "a/model/one", "a/model/sub/two", "link"];
        assert_eq!(seen, expected.map(PathBuf::from));
        assert_eq!(inventory.problems.len(), 0);
        Ok(())
    }
}
