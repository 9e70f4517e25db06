//! Garbage collection, killed and failed at every call: what lives stays as it is.

use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::fixture::{DAY, Tree, peek};
use crate::sweep::{Scenario, World, sweeps};

const DEAD: [&str; 6] = [
    "temp/x.tmp",
    "temp/deep/-new\nline [12].part",
    "temp/.sysopt-1-1.tmp",
    "cache/.sysopt-2-2.tmp",
    "cache/__pycache__/gone.cpython-312.pyc",
    "temp/broken",
];
const ALIVE: [&str; 6] = [
    "temp/young.tmp",
    "temp/data.bin",
    "cache/__pycache__/here.cpython-312.pyc",
    "cache/here.py",
    "cache/download.part",
    "models/m.pkl",
];

fn garbage() -> World {
    let tree = Tree::new();
    tree.config("[garbage]\ndelete = ['broken_symlinks']\n[system]\nenable_agent_optimization = false\nprocess_optimization = false\n");
    for path in &DEAD[..5] {
        tree.aged(path, *path, 9 * DAY);
    }
    symlink("nowhere", tree.path("temp/broken")).unwrap();
    for path in ALIVE {
        tree.aged(path, path, Duration::from_mins(59));
    }
    World::new(tree)
}

const GARBAGE: Scenario = Scenario {
    build: garbage,
    args: &["cycle", "--force", "--only", "garbage"],
    holds: |world| {
        for path in ALIVE {
            let bytes = peek(&world.tree.path(path)).unwrap();
            assert_eq!(bytes, path.as_bytes(), "{path}");
        }
        for path in &DEAD[..5] {
            let bytes = peek(&world.tree.path(path)).unwrap_or_else(|_| path.as_bytes().into());
            assert_eq!(bytes, path.as_bytes(), "half of {path}");
        }
    },
    settled: |world| {
        for path in DEAD {
            assert!(world.tree.path(path).symlink_metadata().is_err(), "{path}");
        }
    },
    ..Scenario::BLANK
};

sweeps! {
    garbage: GARBAGE;
}
