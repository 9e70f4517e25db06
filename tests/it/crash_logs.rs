//! Rotation and expiry of logs, killed and failed at every call: all lines are there, once, in order.

use std::io::Write as _;
use std::path::PathBuf;

use crate::fixture::{DAY, HOUR, Tmpfs, Tree, lines};
use crate::sweep::{Scenario, World, Writer, sweeps};
use crate::writers::records;

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

/// What it wrote meanwhile may make its log due again at once.
const ROTATION_BESIDE_A_WRITER: Scenario = Scenario {
    build: logs_and_a_live_one,
    beside: Some(|world| Writer::on(world, LIVE)),
    always_acts: true,
    holds: |world| {
        no_line_is_lost(world);
        let mut all = lines("before", 20_000);
        all.extend(world.written(LIVE));
        assert!(world.tree.stream(LIVE) == all, "lines of {LIVE} are lost");
    },
    ..ROTATION
};

// A log that stays where it is and loses its head

/// Lines of 32 bytes, so that each block ends with one.
fn even_lines(bytes: usize) -> Vec<u8> {
    let lines = (0..bytes / 32).map(|number| format!("{number:031}\n"));
    lines.collect::<String>().into_bytes()
}

const HEAD: usize = 42_000;

fn to_be_cut(tree: &Tree, mode: &str) {
    tree.config(&format!(
        "[logs]\nmax_file_size = '10KiB'\nmax_files_per_logger = 0\nmode = '{mode}'\n"
    ));
    tree.aged(LIVE, even_lines(HEAD), HOUR);
}

/// On a filesystem that can punch, but not collapse.
fn on_tmpfs(mode: &str) -> World {
    let filesystem = Tmpfs::new(16 << 20);
    let tree = Tree::on(&filesystem);
    to_be_cut(&tree, mode);
    let archive = tree.path("models/archived");
    World::archived_on(tree, archive, filesystem)
}

fn all_of_the_live_log(world: &World) {
    let mut all = even_lines(HEAD);
    all.extend(world.written(LIVE));
    let mut stream = world.tree.stream(LIVE);
    // Its head may be a hole.
    stream.retain(|byte| *byte != 0);
    assert!(stream == all, "lines of {LIVE} are lost, doubled or moved");
}

const CUT: Scenario = Scenario {
    build: || {
        let tree = Tree::new();
        to_be_cut(&tree, "copy-truncate");
        World::new(tree)
    },
    args: &["rotate-logs"],
    holds: all_of_the_live_log,
    settled: |world| {
        assert!(!world.tree.rotated(LIVE).is_empty());
        assert!(records(&world.tree, "logs").is_empty());
    },
    ..Scenario::BLANK
};

/// Its lines end at block boundaries seldom, so that the rest of the log may be due at once.
const CUT_BESIDE_A_WRITER: Scenario = Scenario {
    beside: Some(|world| Writer::on(world, LIVE)),
    always_acts: true,
    ..CUT
};

const PUNCH: Scenario = Scenario {
    build: || on_tmpfs("punch"),
    ..CUT
};

const PUNCH_BESIDE_A_WRITER: Scenario = Scenario {
    build: || on_tmpfs("punch"),
    ..CUT_BESIDE_A_WRITER
};

/// With nobody at work on the log, the last resort loses nothing either.
const TRUNCATION: Scenario = Scenario {
    build: || on_tmpfs("copy-truncate"),
    ..CUT
};

// Rotation with a command after it

const HOOKED: Scenario = Scenario {
    build: || {
        let world = logs();
        world.tree.config(
            "[logs]\nmax_file_size = '10KiB'\nmax_files_per_logger = 3\n\
             post_rotate = ['sh', '-c', 'test -f \"$SYSOPT_ROTATED\" && test -f \"$SYSOPT_LOG\"']\n",
        );
        world
    },
    ..ROTATION
};

// Rotated files that earlier runs left, one of them compressed already but for its source

fn leftovers() -> World {
    let tree = Tree::new();
    tree.config("[logs]\nmax_files_per_logger = 0\n");
    for (name, label) in [("", "first"), ("-2", "second")] {
        let name = format!("logs/app.log-20260101T000000Z{name}");
        tree.aged(name, lines(label, 9000), DAY);
    }
    let published = packed(&lines("first", 9000));
    tree.aged("logs/app.log-20260101T000000Z.gz", published, DAY);
    tree.aged("logs/app.log", lines("app", 900), HOUR);
    World::new(tree)
}

const LEFTOVERS: Scenario = Scenario {
    build: leftovers,
    args: &["rotate-logs"],
    holds: |world| {
        let all = [
            lines("first", 9000),
            lines("second", 9000),
            lines("app", 900),
        ]
        .concat();
        assert!(world.tree.stream("logs/app.log") == all);
    },
    settled: |world| {
        let rotated = world.tree.rotated("logs/app.log");
        assert_eq!(rotated.len(), 2, "{rotated:?}");
        let packed = |path: &PathBuf| path.extension().is_some_and(|end| end == "gz");
        assert!(rotated.iter().all(packed), "{rotated:?}");
    },
    ..Scenario::BLANK
};

sweeps! {
    rotation: ROTATION;
    rotation_beside_a_writer: ROTATION_BESIDE_A_WRITER;
    cut: CUT;
    cut_beside_a_writer: CUT_BESIDE_A_WRITER;
    punch: PUNCH;
    punch_beside_a_writer: PUNCH_BESIDE_A_WRITER;
    truncation: TRUNCATION;
    hooked: HOOKED;
    leftovers: LEFTOVERS;
    expiry_of_logs: EXPIRY_OF_LOGS;
}
