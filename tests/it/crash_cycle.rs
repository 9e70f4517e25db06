//! A whole cycle with its state and history, killed and failed at every call.

use std::fs;

use serde_json::Value;

use crate::fixture::{DAY, HOUR, Tree, lines, peek, sums_hold};
use crate::sweep::{Scenario, World, sweeps};

/// Something to do for each operation, and the books of a cycle before.
fn due() -> World {
    let tree = Tree::new();
    tree.config(
        "[cache]\nmax_size = '16KiB'\ncleanup_threshold = 1.0\n\
         [logs]\nmax_file_size = '10KiB'\n[models]\nkeep_latest = 0\n[history]\nkeep = 3\n\
         [system]\nenable_agent_optimization = false\nprocess_optimization = false\n",
    );
    let ran = tree.run(&["-C", ".", "cycle", "--force"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    tree.aged("cache/old", vec![1; 16 << 10], 9 * DAY);
    tree.aged("cache/used", vec![2; 8 << 10], 8 * DAY);
    tree.aged("logs/app.log", lines("line", 20_000), HOUR);
    tree.aged("models/m.pkl", lines("model", 3000), 30 * DAY);
    tree.aged("temp/x.tmp", b"stale", 9 * DAY);
    World::new(tree)
}

fn nothing_is_lost(world: &World) {
    let tree = &world.tree;
    assert_eq!(peek(&tree.path("cache/used")).unwrap().len(), 8 << 10);
    assert!(tree.stream("logs/app.log") == lines("line", 20_000));
    let archived = tree.names("models/archived");
    let stored = archived.iter().filter(|name| name.starts_with("m_"));
    let mut places: Vec<_> = stored
        .map(|name| tree.path("models/archived").join(name))
        .collect();
    places.push(tree.path("models/m.pkl"));
    let whole = |path: &std::path::PathBuf| peek(path).is_ok_and(|it| it == lines("model", 3000));
    assert!(places.iter().any(whole), "{places:?}");
    books_are_whole(world);
}

/// State and history are documents at every instant, and never fewer cycles than there were.
fn books_are_whole(world: &World) {
    let books = world.tree.path(".sysopt");
    let state: Value =
        serde_json::from_slice(&fs::read(books.join("state.json")).unwrap()).unwrap();
    assert!(
        state["schema"]
            .as_str()
            .unwrap()
            .starts_with("sysopt.state/")
    );
    let history = fs::read_to_string(books.join("history.jsonl")).unwrap();
    assert!(history.ends_with('\n'), "{history:?}");
    for line in history.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert!((1..=3).contains(&history.lines().count()), "{history}");
}

fn all_is_done(world: &World) {
    let tree = &world.tree;
    for gone in ["cache/old", "models/m.pkl", "temp/x.tmp"] {
        assert!(!tree.path(gone).exists(), "{gone}");
    }
    let rotated = tree.rotated("logs/app.log");
    assert_eq!(rotated.len(), 1, "{rotated:?}");
    assert!(rotated[0].to_string_lossy().ends_with(".gz"));
    assert!(sums_hold(&world.archive));
    assert!(
        !tree
            .names(".sysopt")
            .iter()
            .any(|name| name.contains("corrupt"))
    );
}

const CYCLE: Scenario = Scenario {
    build: due,
    args: &["cycle", "--force"],
    holds: nothing_is_lost,
    settled: all_is_done,
    ..Scenario::BLANK
};

sweeps! {
    cycle: CYCLE;
}
