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
const REPOSITORIES: [&str; 2] = ["models--org--old", "models--org--new"];

fn hub() -> World {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '56KiB'\ncleanup_threshold = 1.0\n");
    repository(&tree, REPOSITORIES[0], 9 * DAY);
    repository(&tree, REPOSITORIES[1], DAY);
    World::new(tree)
}

/// Links of a repository that are there.
fn links(tree: &Tree, repository: &str) -> Vec<PathBuf> {
    let snapshot = Path::new(HUB).join(repository).join("snapshots/rev/sub");
    let names = tree.names(&snapshot).into_iter();
    names.map(|name| tree.path(&snapshot).join(name)).collect()
}

/// Whoever finds a link finds what it leads to.
fn links_lead_to_blobs(world: &World) {
    for link in REPOSITORIES.iter().flat_map(|it| links(&world.tree, it)) {
        let blob = peek(&link.canonicalize().unwrap()).unwrap();
        assert_eq!(blob, vec![1; 20_000], "{}", link.display());
    }
}

const EVICTION_OF_REPOSITORIES: Scenario = Scenario {
    build: hub,
    args: &["clean-cache"],
    holds: links_lead_to_blobs,
    settled: |world| {
        // One stays, and it is whole: the older one where it could not be read. Directories that a
        // run emptied before it was killed are not the next one's to remove.
        let files = world.tree.files();
        let left: Vec<_> = REPOSITORIES
            .iter()
            .filter(|name| files.iter().any(|path| path.contains(*name)))
            .collect();
        assert_eq!(left.len(), 1, "{files:?}");
        assert_eq!(links(&world.tree, left[0]).len(), 2, "{files:?}");
    },
    ..Scenario::BLANK
};

sweeps! {
    eviction: EVICTION;
    eviction_of_repositories: EVICTION_OF_REPOSITORIES;
}
