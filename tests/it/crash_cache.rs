//! Eviction, killed and failed at every call: nothing goes but what is over the budget.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache_units::repository;
use crate::fixture::{DAY, Tree, peek};
use crate::sweep::{Scenario, World, sweeps};

// Eviction

fn cache() -> World {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '64KiB'\ncleanup_threshold = 1.0\n");
    for number in 0..12_u8 {
        let name = format!("cache/d{}/f{number}", number / 2);
        tree.aged(
            name,
            vec![number; 16 << 10],
            u32::from(30 - number) * DAY + Duration::from_secs(5),
        );
    }
    tree.aged("cache/new", vec![99; 4 << 10], Duration::from_mins(1));
    World::new(tree)
}

const EVICTION: Scenario = Scenario {
    build: cache,
    args: &["clean-cache"],
    holds: |world| {
        for number in 9..12_u8 {
            let path = world.tree.path(format!("cache/d{}/f{number}", number / 2));
            assert_eq!(peek(&path).unwrap(), vec![number; 16 << 10]);
        }
        assert_eq!(peek(&world.tree.path("cache/new")).unwrap().len(), 4 << 10);
    },
    settled: |world| {
        let left: Vec<_> = world.tree.files();
        let left = left
            .iter()
            .filter(|path| path.starts_with("cache/"))
            .count();
        assert_eq!(left, 4, "three blocks and the new one");
    },
    ..Scenario::BLANK
};

// Eviction of repositories of the Hugging Face hub

const HUB: &str = "cache/hub";

fn hub() -> World {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '56KiB'\ncleanup_threshold = 1.0\n");
    repository(&tree, "models--org--old", 9 * DAY);
    repository(&tree, "models--org--new", DAY);
    World::new(tree)
}

/// Links of a repository that are there.
fn links(tree: &Tree, repository: &str) -> Vec<PathBuf> {
    let snapshot = Path::new(HUB).join(repository).join("snapshots/rev/sub");
    let names = tree.names(&snapshot).into_iter();
    names.map(|name| tree.path(&snapshot).join(name)).collect()
}

const EVICTION_OF_REPOSITORIES: Scenario = Scenario {
    build: hub,
    args: &["clean-cache"],
    holds: |world| {
        // Whoever finds a link finds what it leads to.
        for link in links(&world.tree, "models--org--old") {
            let blob = peek(&link.canonicalize().unwrap()).unwrap();
            assert_eq!(blob, vec![1; 20_000], "{}", link.display());
        }
        assert_eq!(links(&world.tree, "models--org--new").len(), 2);
        let blobs = world.tree.path(HUB).join("models--org--new/blobs");
        for blob in ["b0", "b1 [12]"] {
            assert_eq!(peek(&blobs.join(blob)).unwrap(), vec![1; 20_000]);
        }
    },
    settled: |world| {
        // Directories that a run emptied before it was killed are not the next one's to remove.
        let files = world.tree.files().into_iter();
        let old: Vec<_> = files.filter(|path| path.contains("--old")).collect();
        assert!(old.is_empty(), "{old:?}");
    },
    ..Scenario::BLANK
};

sweeps! {
    eviction: EVICTION;
    eviction_of_repositories: EVICTION_OF_REPOSITORIES;
}
