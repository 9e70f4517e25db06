//! Rotation and expiry of logs, killed and failed at every call: all lines are there, once, in order.

use std::io::Write as _;

use crate::fixture::{DAY, HOUR, Tree, lines};
use crate::sweep::{Scenario, World, Writer, sweeps};

// Rotation

const LOGS: [&str; 2] = ["logs/app.log", "logs/-new\nline [12].log"];

fn written(log: &str) -> Vec<u8> {
    let mut all = lines("first", 3000);
    all.extend(lines("second", 3000));
    all.extend(lines(log, 20_000));
    all
}

/// Logs with a rotated file, a leftover of an earlier run, and one that is to expire.
fn logs() -> World {
    let tree = Tree::new();
    tree.config("[logs]\nmax_file_size = '10KiB'\nmax_files_per_logger = 3\n");
    for log in LOGS {
        tree.aged(log, lines(log, 20_000), HOUR);
        tree.aged(
            format!("{log}-20260102T000000Z"),
            lines("second", 3000),
            DAY,
        );
        tree.aged(
            format!("{log}-20260101T000000Z"),
            lines("first", 3000),
            2 * DAY,
        );
    }
    tree.aged("logs/old.log-20250101T000000Z.gz", b"", 9 * DAY);
    World::new(tree)
}

fn no_line_is_lost(world: &World) {
    for log in LOGS {
        let live = world.tree.path(log);
        assert!(live.exists(), "writers find no {log:?}");
        assert!(
            world.tree.stream(log) == written(log),
            "lines of {log:?} are lost, doubled or moved"
        );
    }
}

fn all_is_compressed(world: &World) {
    for log in LOGS {
        let rotated = world.tree.rotated(log);
        assert_eq!(rotated.len(), 3, "{rotated:?}");
        for path in rotated {
            assert_eq!(path.extension().and_then(|e| e.to_str()), Some("gz"));
        }
    }
}

const ROTATION: Scenario = Scenario {
    build: logs,
    args: &["rotate-logs"],
    holds: no_line_is_lost,
    settled: all_is_compressed,
    ..Scenario::BLANK
};

// Expiry of rotated files

fn old_logs() -> World {
    let tree = Tree::new();
    tree.config("[logs]\nmax_files_per_logger = 2\n");
    for day in 1..6 {
        let name = format!("logs/a.log-2026010{day}T000000Z.gz");
        tree.aged(name, packed(format!("day {day}\n").as_bytes()), DAY);
    }
    World::new(tree)
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const EXPIRY_OF_LOGS: Scenario = Scenario {
    build: old_logs,
    args: &["rotate-logs"],
    holds: |world| {
        let stream = world.tree.stream("logs/a.log");
        assert!(stream.ends_with(b"day 4\nday 5\n"), "{stream:?}");
    },
    settled: |world| {
        assert_eq!(world.tree.stream("logs/a.log"), b"day 4\nday 5\n");
    },
    ..Scenario::BLANK
};

// Rotation beside a service that has its log open

const LIVE: &str = "logs/live.log";

fn logs_and_a_live_one() -> World {
    let world = logs();
    world.tree.aged(LIVE, lines("before", 20_000), HOUR);
    world
}

const ROTATION_BESIDE_A_WRITER: Scenario = Scenario {
    build: logs_and_a_live_one,
    beside: Some(|world| Writer::on(world, LIVE)),
    holds: |world| {
        no_line_is_lost(world);
        let mut all = lines("before", 20_000);
        all.extend(world.written(LIVE));
        assert!(world.tree.stream(LIVE) == all, "lines of {LIVE} are lost");
    },
    ..ROTATION
};

sweeps! {
    rotation: ROTATION;
    rotation_beside_a_writer: ROTATION_BESIDE_A_WRITER;
    expiry_of_logs: EXPIRY_OF_LOGS;
}
