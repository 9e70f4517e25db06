//! Killed at any system call, or refused any, a run loses nothing, and the next one puts things
//! right.
//!
//! strace ends the run, or fails the call, at the Nth call of a kind. The run has one thread and
//! sees no other process, so that the Nth call is the same one in each repetition.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixture::{DAY, HOUR, Ran, Tmpfs, Tree, json_lines, lines, peek, sums_hold};
use crate::require;

/// Calls that change something, or open what is to be changed.
const CALLS: &str = "?unlink,unlinkat,?rename,?renameat,renameat2,?link,linkat,write,?pwrite64,\
                     fsync,fdatasync,ftruncate,openat,?mkdir,mkdirat,fchmod,fchown,utimensat,\
                     fsetxattr,?fallocate,?copy_file_range";
/// Enough for every line of a tree, so that a full disk, a dying disk and a closed door are met.
const ERRORS: [&str; 3] = ["ENOSPC", "EIO", "EACCES"];

/// A command, and what must be true of the tree that it works on.
struct Case {
    build: fn() -> World,
    args: &'static [&'static str],
    /// Holds at every instant.
    holds: fn(&World),
    /// Holds after one more run.
    settled: fn(&World),
}

/// A tree and the filesystem that its archive may be on.
struct World {
    tree: Tree,
    archive: PathBuf,
    _other: Option<Tmpfs>,
}

impl World {
    fn new(tree: Tree) -> Self {
        Self {
            archive: tree.path("models/archived"),
            tree,
            _other: None,
        }
    }
}

/// The Nth call of a kind that the command makes below the tree.
#[derive(Clone, Debug)]
struct Point {
    call: String,
    number: usize,
    line: String,
}

/// Runs sysopt under strace, always with the same files open, which sysopt would see.
fn strace(world: &World, options: &[&str], args: &[&str]) -> Output {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-o"]).arg(log_of(world));
    command.args(options);
    command.arg(env!("CARGO_BIN_EXE_sysopt"));
    world.tree.prepare(&mut command, args);
    command.output().unwrap()
}

fn log_of(world: &World) -> PathBuf {
    world.tree.outside().join("trace")
}

/// All points of a command, from a run that nothing disturbs.
fn points(case: &Case) -> Vec<Point> {
    let world = (case.build)();
    let trace = format!("trace={CALLS}");
    let output = strace(&world, &["-e", &trace], case.args);
    assert!(output.status.success(), "{output:?}");
    (case.settled)(&world);
    let text = fs::read(log_of(&world)).unwrap();
    let text = String::from_utf8_lossy(&text);
    let main = text.split_whitespace().next().unwrap().to_owned();
    let places = [world.tree.base(), world.archive.clone()]
        .map(|path| fs::canonicalize(&path).unwrap_or(path))
        .map(|path| path.to_str().unwrap().to_owned());
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut points = Vec::new();
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let Some((call, rest)) = rest.trim_start().split_once('(') else {
            continue;
        };
        if pid != main {
            continue;
        }
        let number = numbers.entry(call.to_owned()).or_default();
        *number += 1;
        // The current directory is shown beside AT_FDCWD, whatever is opened.
        let rest = rest.split_once(">, \"/").map_or(rest, |(_, path)| path);
        let below = places.iter().any(|place| rest.contains(&place[1..]));
        // Looking changes nothing, and failing to look is tried in one place only.
        let changes = call != "openat" || rest.contains("O_CREAT") || rest.contains("O_RDWR");
        if below && (changes || !rest.contains("ENOENT")) {
            points.push(Point {
                call: call.to_owned(),
                number: *number,
                line: line.to_owned(),
            });
        }
    }
    assert!(points.len() > 5, "{text}");
    points
}

/// At most so many, spread evenly, the first and the last among them.
fn some(points: Vec<Point>, most: usize) -> Vec<Point> {
    let count = points.len();
    if count <= most {
        return points;
    }
    let chosen = |index: &usize| (index * (most - 1)) % (count - 1) < most - 1;
    let indices = (0..count).filter(|index| chosen(index) || *index == count - 1);
    indices.map(|index| points[index].clone()).collect()
}

fn is_look(point: &Point) -> bool {
    point.call == "openat" && !point.line.contains("O_CREAT")
}

/// Kills the command before each of the points.
fn kill(name: &str, case: &Case, most: usize) {
    let mut points = points(case);
    points.retain(|point| !is_look(point));
    let points = some(points, most);
    let (begun, mut tried) = (Instant::now(), 0);
    for point in &points {
        let world = (case.build)();
        let inject = format!("inject={}:signal=KILL:when={}", point.call, point.number);
        let trace = format!("trace={}", point.call);
        let options = ["-e", trace.as_str(), "-e", &inject];
        let ran = Ran::from(strace(&world, &options, case.args));
        assert_eq!(ran.signal, Some(9), "{point:?} {ran:?}");
        tried += 1;
        recovers(case, &world, point);
    }
    say(name, "killed", tried, begun);
}

/// Fails each of the points with each of the errors.
fn refuse(name: &str, case: &Case, errors: &[&str], most: usize) {
    let points = points(case);
    let all = points
        .iter()
        .flat_map(|point| errors.iter().map(move |error| (point, *error)));
    let all: Vec<_> = all.collect();
    let step = all.len().div_ceil(most);
    let (begun, mut tried) = (Instant::now(), 0);
    // A step that has no factor in common with the number of errors meets all of them.
    let step = if step.is_multiple_of(errors.len()) && errors.len() > 1 {
        step + 1
    } else {
        step
    };
    for (point, error) in all.into_iter().step_by(step) {
        let world = (case.build)();
        let before = world.tree.snapshot();
        let inject = format!("inject={}:error={error}:when={}", point.call, point.number);
        let trace = format!("trace={}", point.call);
        let options = ["-e", trace.as_str(), "-e", &inject];
        let mut args = vec!["--format", "json"];
        args.extend(case.args);
        let ran = Ran::from(strace(&world, &options, &args));
        tried += 1;
        let what = format!("{error} at {point:?}: {ran:?}");
        match ran.code {
            Some(0 | 1 | 3) => {}
            Some(2) => assert_eq!(world.tree.snapshot(), before, "{what}"),
            other => panic!("code {other:?}, {what}"),
        }
        let report: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {what}"));
        is_true(&world, &report, &what);
        recovers(case, &world, point);
    }
    say(name, "refused", tried, begun);
}

fn say(name: &str, what: &str, tried: usize, begun: Instant) {
    assert!(tried > 3, "{name}: {tried} points are no proof");
    let seconds = begun.elapsed().as_secs_f64();
    // Not println!, which the test runner keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "crash: {name}: {what} at {tried} points in {seconds:.1} s"
    );
}

/// What a report calls done is done, and what failed makes the run fail.
fn is_true(world: &World, report: &Value, what: &str) {
    let mut failed = false;
    for operation in report["operations"].as_array().into_iter().flatten() {
        for action in operation["actions"].as_array().unwrap() {
            let path = world.tree.path(action["path"].as_str().unwrap());
            let verb = action["action"].as_str().unwrap();
            failed |= action["status"] == "failed";
            if action["status"] != "done" {
                continue;
            }
            if let Some(to) = action["to"].as_str() {
                assert!(world.tree.path(to).exists(), "{action} {what}");
            }
            if matches!(verb, "evict" | "expire" | "delete" | "archive" | "compress") {
                assert!(path.symlink_metadata().is_err(), "{action} {what}");
            }
        }
    }
    assert!(!failed || report["outcome"] != "success", "{what}");
}

/// Nothing is lost now, nor by the next run, which puts everything in order.
fn recovers(case: &Case, world: &World, point: &Point) {
    let check = |world: &World, stage: &str, check: fn(&World)| {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(world)));
        if let Err(panic) = checked {
            let files = world.tree.files();
            let _ = writeln!(std::io::stderr(), "{stage} {point:?}\n{files:#?}");
            std::panic::resume_unwind(panic);
        }
    };
    check(world, "right after", case.holds);
    let ran = world.tree.run(case.args);
    assert_eq!(ran.code, Some(0), "the next run after {point:?}: {ran:?}");
    check(world, "after the next run", case.holds);
    check(world, "settled after", case.settled);
    if case.args.contains(&"restore-models") {
        return;
    }
    let mut args = vec!["-n"];
    args.extend(case.args);
    let (ran, report) = world.tree.json(&args);
    let left: Vec<&Value> = report["operations"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|operation| operation["actions"].as_array().unwrap())
        .collect();
    assert!(
        left.is_empty(),
        "left to do after {point:?}: {left:#?} {ran:?}"
    );
}

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

const ROTATION: Case = Case {
    build: logs,
    args: &["-C", ".", "--threads", "1", "rotate-logs"],
    holds: no_line_is_lost,
    settled: all_is_compressed,
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

const EXPIRY_OF_LOGS: Case = Case {
    build: old_logs,
    args: &["-C", ".", "--threads", "1", "rotate-logs"],
    holds: |world| {
        let stream = world.tree.stream("logs/a.log");
        assert!(stream.ends_with(b"day 4\nday 5\n"), "{stream:?}");
    },
    settled: |world| {
        assert_eq!(world.tree.stream("logs/a.log"), b"day 4\nday 5\n");
    },
};

// Archives

const MODELS: [(&str, &[u8]); 4] = [
    ("a.pkl", b"weights of a"),
    ("deep/er/b.pt", b"weights of b"),
    ("-new\nline.onnx", b"weights of c"),
    ("deep/a.pkl", b"weights of another a"),
];

fn add_models(tree: &Tree) {
    for (name, bytes) in MODELS {
        tree.aged(Path::new("models").join(name), bytes, 10 * DAY);
    }
}

fn models() -> World {
    let tree = Tree::new();
    tree.config("[models]\narchive_after = '7d'\n");
    add_models(&tree);
    World::new(tree)
}

fn models_elsewhere() -> World {
    let tree = Tree::new();
    let other = Tmpfs::new(4 << 20);
    // Not the mount itself, so that a run makes directories of its own there.
    let archive = other.path().join("vault");
    tree.config(&format!(
        "[models]\narchive_directory = '{}'\n",
        archive.display()
    ));
    add_models(&tree);
    World {
        tree,
        archive,
        _other: Some(other),
    }
}

/// Files in an archive by their path in it, but for its records and what is in the making.
fn stored(archive: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(archive).into_iter().flatten();
    entries
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| {
            let name = entry.file_name().as_bytes();
            name != b"manifest.jsonl" && name != b"SHA256SUMS" && !name.starts_with(b".sysopt-")
        })
        .map(|entry| {
            let below = entry.path().strip_prefix(archive).unwrap().to_path_buf();
            (below, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Archived paths that the manifest lists; a torn last line is none.
fn listed(archive: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(archive.join("manifest.jsonl")).unwrap_or_default();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["archived_path"].as_str().unwrap().into())
        .collect()
}

fn every_model_is_somewhere(world: &World) {
    let (stored, listed) = (stored(&world.archive), listed(&world.archive));
    for (name, bytes) in MODELS {
        let place = world.tree.path("models").join(name);
        let here = peek(&place).is_ok_and(|found| found == bytes);
        let there = stored
            .iter()
            .any(|(path, found)| found == bytes && listed.contains(path));
        assert!(here || there, "{name:?} is lost: {stored:?} {listed:?}");
    }
    for (path, bytes) in &stored {
        assert!(
            MODELS.iter().any(|(_, whole)| whole == bytes),
            "{} is half written",
            path.display()
        );
    }
    assert!(sums_hold(&world.archive), "sha256sum -c");
}

fn every_model_is_archived(world: &World) {
    assert_eq!(stored(&world.archive).len(), MODELS.len());
    none_is_in_place(world);
    is_recorded(world);
}

fn none_is_in_place(world: &World) {
    for (name, _) in MODELS {
        assert!(!world.tree.path("models").join(name).exists(), "{name:?}");
    }
}

/// The records name what is there, and nothing else.
fn is_recorded(world: &World) {
    json_lines(&world.archive.join("manifest.jsonl"));
    let stored = stored(&world.archive);
    let sums = fs::read_to_string(world.archive.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), stored.len(), "{sums}");
    assert!(sums_hold(&world.archive), "sha256sum -c");
    let verified = world.tree.run(&["restore-models", "--verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

const ARCHIVE: Case = Case {
    build: models,
    args: &["-C", ".", "--threads", "1", "archive-models"],
    holds: every_model_is_somewhere,
    settled: every_model_is_archived,
};

const ARCHIVE_ELSEWHERE: Case = Case {
    build: models_elsewhere,
    ..ARCHIVE
};

// Content that is in the archive already

fn models_again() -> World {
    let world = models();
    let ran = world.tree.run(&["archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    add_models(&world.tree);
    world
}

const ARCHIVE_AGAIN: Case = Case {
    build: models_again,
    settled: |world| {
        // An archive that could not be read when it was looked at may get a second copy.
        assert!(stored(&world.archive).len() >= MODELS.len());
        none_is_in_place(world);
        is_recorded(world);
    },
    ..ARCHIVE
};

// Expiry of versions

fn versions() -> World {
    let tree = Tree::new();
    tree.config("[models]\nmax_archived_models = 10\n");
    for (age, version) in [(40_u32, "one"), (30, "two"), (20, "three"), (10, "four")] {
        tree.aged("models/rf.pkl", version, age * DAY);
        let ran = tree.run(&["archive-models"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    World::new(tree)
}

const EXPIRY: Case = Case {
    build: versions,
    args: &[
        "-C",
        ".",
        "--threads",
        "1",
        "archive-models",
        "--max-archived",
        "2",
    ],
    holds: |world| {
        let stored = stored(&world.archive);
        for version in [&b"three"[..], b"four"] {
            assert!(stored.values().any(|bytes| bytes == version), "{stored:?}");
        }
        assert!(sums_hold(&world.archive), "sha256sum -c");
    },
    settled: |world| {
        assert_eq!(stored(&world.archive).len(), 2);
        is_recorded(world);
    },
};

// Restoring

fn archived() -> World {
    let world = models();
    let ran = world.tree.run(&["archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    world
}

fn nothing_is_half_restored(world: &World) {
    for (name, bytes) in MODELS {
        let place = world.tree.path("models").join(name);
        if let Ok(found) = peek(&place) {
            assert_eq!(found, bytes, "{name:?} is half written");
        }
    }
    assert_eq!(stored(&world.archive).len(), MODELS.len());
    assert!(sums_hold(&world.archive), "sha256sum -c");
}

const RESTORE: Case = Case {
    build: archived,
    args: &["-C", ".", "--threads", "1", "restore-models", "--all"],
    holds: nothing_is_half_restored,
    settled: |world| {
        for (name, bytes) in MODELS {
            let place = world.tree.path("models").join(name);
            assert_eq!(fs::read(&place).unwrap(), bytes, "{name:?}");
        }
        is_recorded(world);
    },
};

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

const EVICTION: Case = Case {
    build: cache,
    args: &["-C", ".", "--threads", "1", "clean-cache"],
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
};

/// Whether the test runs where each run can be repeated exactly.
fn ready<F: Fn()>(test: F) -> bool {
    require::tool("strace") && require::own_machine(test)
}

/// Points per test in the short form, chosen so that a test stays under five seconds.
const FEW: usize = 14;

macro_rules! cases {
    ($($killed:ident, $refused:ident, $every:ident: $case:ident;)*) => {$(
        #[test]
        fn $killed() {
            if ready($killed) {
                kill(stringify!($case), &$case, FEW);
            }
        }

        #[test]
        fn $refused() {
            if ready($refused) {
                refuse(stringify!($case), &$case, &ERRORS, FEW);
            }
        }

        #[test]
        #[ignore = "slow: every call, and every error at each"]
        fn $every() {
            if ready($every) {
                kill(stringify!($case), &$case, usize::MAX);
                refuse(stringify!($case), &$case, &ERRORS, usize::MAX);
            }
        }
    )*};
}

cases! {
    rotation_killed, rotation_refused, rotation_at_every_call: ROTATION;
    expiry_of_logs_killed, expiry_of_logs_refused, expiry_of_logs_at_every_call: EXPIRY_OF_LOGS;
    archive_killed, archive_refused, archive_at_every_call: ARCHIVE;
    archive_elsewhere_killed, archive_elsewhere_refused, archive_elsewhere_at_every_call: ARCHIVE_ELSEWHERE;
    archive_again_killed, archive_again_refused, archive_again_at_every_call: ARCHIVE_AGAIN;
    expiry_killed, expiry_refused, expiry_at_every_call: EXPIRY;
    restore_killed, restore_refused, restore_at_every_call: RESTORE;
    eviction_killed, eviction_refused, eviction_at_every_call: EVICTION;
}
