//! Eviction, killed and failed at every call: nothing goes but what is over the budget.

use std::time::Duration;

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

sweeps! {
    eviction: EVICTION;
}
