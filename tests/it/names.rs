//! File names that hurt: each operation acts on the right files, and reports them unmistakably.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::fixture::{DAY, HOUR, Ran, Tree, operation};
use crate::require;

/// Spaces, line ends, escape sequences, patterns, options, quotes, and bytes that are not UTF-8.
const NAMES: [&[u8]; 14] = [
    b"a b",
    b" ",
    b"new\nline",
    b"\x1b[31mred\x07",
    b"svc[12]",
    b"*",
    b"-rf",
    b"--",
    b"$(touch x)`x`",
    b"it's \"q\"",
    b"back\\slash\\n",
    b"caf\xe9",
    b"\xff\xfe",
    "gr\u{fc}n\u{202e}gol".as_bytes(),
];

/// A name with an ending.
fn named(name: &[u8], ending: &str) -> OsString {
    OsString::from_vec([name, ending.as_bytes()].concat())
}

/// The path that a row of the report means: its text, or its bytes where it is not UTF-8.
fn meant(row: &Value, key: &str) -> PathBuf {
    let text = row[key].as_str().unwrap();
    match row.get(format!("{key}_base64")) {
        None => PathBuf::from(text),
        Some(bytes) => {
            let bytes = BASE64.decode(bytes.as_str().unwrap()).unwrap();
            assert!(std::str::from_utf8(&bytes).is_err(), "{row}");
            assert!(text.contains("\\x"), "shown escaped: {row}");
            PathBuf::from(OsString::from_vec(bytes))
        }
    }
}

/// Each action's path and status.
fn acted(report: &Value, name: &str, status: &str) -> Vec<PathBuf> {
    let rows = operation(report, name)["actions"].as_array().unwrap();
    let mut paths: Vec<PathBuf> = rows
        .iter()
        .inspect(|row| assert_eq!(row["status"], status, "{row}"))
        .map(|row| meant(row, "path"))
        .collect();
    paths.sort();
    paths
}

fn sorted(paths: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = paths.into_iter().collect();
    paths.sort();
    paths
}

/// What a terminal is given has no control characters and nothing that reorders text.
fn assert_harmless(ran: &Ran) {
    let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!ran.stdout.contains(harmful), "{ran:?}");
    assert!(!ran.stderr.contains(harmful), "{ran:?}");
    // A name with a line end in it would begin a line of the report.
    let torn = |line: &str| line.starts_with("line");
    assert!(!ran.stdout.lines().any(torn), "{ran:?}");
}

/// Runs twice without a change, for a person and for a program, then for real.
fn run(tree: &Tree, args: &[&str]) -> (Value, Value) {
    let before = tree.snapshot();
    let shown = tree.run(&[args, &["-n", "-v"]].concat());
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert_harmless(&shown);
    let (ran, plan) = tree.json(&[args, &["-n"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(tree.snapshot(), before);
    let (ran, report) = tree.json(args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // A budget that cannot be met is a warning; nothing else went wrong.
    assert!(
        ran.stderr
            .lines()
            .all(|line| line.starts_with("sysopt: warning: ")),
        "{ran:?}"
    );
    (plan, report)
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn clean_cache_evicts_the_files_that_are_meant() {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '1B'\n");
    for name in NAMES {
        tree.aged(Path::new("cache").join(named(name, "")), name, 3 * DAY);
        let inner = Path::new("cache").join(named(name, ".d")).join("x");
        tree.aged(inner, name, 3 * DAY);
        tree.write(Path::new("cache").join(named(name, ".new")), name);
    }
    let (plan, report) = run(&tree, &["clean-cache"]);
    let files = NAMES.iter().flat_map(|name| {
        let cache = Path::new("cache");
        [
            cache.join(named(name, "")),
            cache.join(named(name, ".d")),
            cache.join(named(name, ".d")).join("x"),
        ]
    });
    let expected = sorted(files);
    assert_eq!(acted(&plan, "cache_cleanup", "planned"), expected);
    assert_eq!(acted(&report, "cache_cleanup", "done"), expected);
    let left: Vec<PathBuf> = tree
        .snapshot()
        .into_keys()
        .filter(|path| path.starts_with("cache/") && path != Path::new("cache"))
        .collect();
    let recent = NAMES
        .iter()
        .map(|name| Path::new("cache").join(named(name, ".new")));
    assert_eq!(left, sorted(recent));
}

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn rotate_logs_rotates_the_logs_that_are_meant() {
    let tree = Tree::new();
    tree.config("[logs]\nmax_file_size = '8KiB'\n");
    let logs = Path::new("logs");
    let content = |name: &[u8]| [name, b"\n"].concat().repeat(9_000);
    for name in NAMES {
        tree.aged(logs.join(named(name, ".log")), content(name), HOUR);
        tree.aged(logs.join(named(name, ".jsonl")), name, HOUR);
        tree.aged(logs.join(named(name, ".txt")), content(name), HOUR);
    }
    let (plan, report) = run(&tree, &["rotate-logs"]);
    let expected = sorted(NAMES.iter().map(|name| logs.join(named(name, ".log"))));
    assert_eq!(acted(&plan, "log_rotation", "planned"), expected);
    assert_eq!(acted(&report, "log_rotation", "done"), expected);
    for row in operation(&report, "log_rotation")["actions"]
        .as_array()
        .unwrap()
    {
        let (from, to) = (meant(row, "path"), meant(row, "to"));
        let stem = from.file_name().unwrap().as_bytes();
        assert!(
            to.file_name().unwrap().as_bytes().starts_with(stem),
            "{row}"
        );
        let name = stem.strip_suffix(b".log").unwrap();
        assert_eq!(unpacked(&tree.path(&to)), content(name), "{row}");
        assert_eq!(fs::read(tree.path(&from)).unwrap(), b"", "{row}");
    }
    for name in NAMES {
        assert_eq!(
            fs::read(tree.path(logs.join(named(name, ".jsonl")))).unwrap(),
            name
        );
        let text = tree.path(logs.join(named(name, ".txt")));
        assert_eq!(fs::read(text).unwrap(), content(name));
    }
    assert_eq!(tree.files().len(), 1 + 4 * NAMES.len());
}

/// Rotated names are parsed, never globbed: each log has its own count.
#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_log_never_expires_the_files_of_another() {
    let logs: [&[u8]; 8] = [
        b"svc[12].log",
        b"svc1.log",
        b"svc2.log",
        b"*.log",
        b"?vc1.log",
        b"vc1.log",
        b"svc1.log-old.log",
        b"sv\xe91.log",
    ];
    for heavy in logs {
        let tree = Tree::new();
        tree.config("[logs]\nmax_files_per_logger = 2\n");
        for log in logs {
            tree.write(Path::new("logs").join(OsStr::from_bytes(log)), b"live\n");
            let days = if log == heavy { 1..=5 } else { 1..=2 };
            for day in days {
                let rotated = named(log, &format!("-2026010{day}T000000Z.gz"));
                tree.aged(Path::new("logs").join(rotated), b"old", 30 * DAY);
            }
        }
        let (plan, report) = run(&tree, &["rotate-logs"]);
        let old =
            |day: u32| Path::new("logs").join(named(heavy, &format!("-2026010{day}T000000Z.gz")));
        let expected = sorted((1..=3).map(old));
        assert_eq!(acted(&plan, "log_rotation", "planned"), expected);
        assert_eq!(acted(&report, "log_rotation", "done"), expected);
        for day in 1..=5 {
            assert_eq!(tree.path(old(day)).exists(), day > 3, "{day}");
        }
        let left = logs.len() + 2 * logs.len();
        assert_eq!(tree.files().len(), 1 + left, "{:#?}", tree.files());
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn models_are_archived_verified_and_restored_under_their_names() {
    if !require::tool("sha256sum") {
        return;
    }
    let tree = Tree::new();
    tree.config("# all defaults\n");
    let models = Path::new("models");
    for name in NAMES {
        tree.aged(models.join(named(name, ".pkl")), name, 10 * DAY);
        tree.write(models.join(named(name, ".pt")), name);
    }
    let (plan, report) = run(&tree, &["archive-models"]);
    let expected = sorted(NAMES.iter().map(|name| models.join(named(name, ".pkl"))));
    assert_eq!(acted(&plan, "model_archiving", "planned"), expected);
    assert_eq!(acted(&report, "model_archiving", "done"), expected);
    for row in operation(&report, "model_archiving")["actions"]
        .as_array()
        .unwrap()
    {
        let (from, to) = (meant(row, "path"), meant(row, "to"));
        let name = from.file_name().unwrap().as_bytes();
        let name = name.strip_suffix(b".pkl").unwrap();
        assert_eq!(fs::read(tree.path(&to)).unwrap(), name, "{row}");
        assert!(!tree.path(&from).exists(), "{row}");
    }
    let mut sums = Command::new("sha256sum");
    sums.args(["--check", "--strict", "--quiet", "SHA256SUMS"]);
    let sums = sums
        .current_dir(tree.path("models/archived"))
        .output()
        .unwrap();
    assert!(sums.status.success(), "{sums:?}");
    for args in [
        &["restore-models", "--list"][..],
        &["restore-models", "--verify"],
    ] {
        let ran = tree.run(args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_harmless(&ran);
    }
    for name in NAMES {
        let model = named(name, ".pkl");
        let args = [OsStr::new("restore-models"), OsStr::new("--"), &model];
        let ran = tree.run(&args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_harmless(&ran);
        let restored = tree.path(models.join(&model));
        assert_eq!(fs::read(restored).unwrap(), name, "{model:?}");
        assert_eq!(
            fs::read(tree.path(models.join(named(name, ".pt")))).unwrap(),
            name
        );
    }
    let all = 1 + 3 * NAMES.len() + 2;
    assert_eq!(tree.files().len(), all, "{:#?}", tree.files());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn garbage_is_collected_under_the_names_that_it_has() {
    let tree = Tree::new();
    tree.config("[garbage]\ndirectories = ['temp']\n");
    for name in NAMES {
        tree.aged(Path::new("temp").join(named(name, ".part")), name, 3 * DAY);
        tree.aged(Path::new("temp").join(named(name, ".dat")), name, 3 * DAY);
    }
    let (plan, report) = run(&tree, &["cycle", "--only", "garbage"]);
    let expected = sorted(
        NAMES
            .iter()
            .map(|name| Path::new("temp").join(named(name, ".part"))),
    );
    assert_eq!(acted(&plan, "garbage_collection", "planned"), expected);
    assert_eq!(acted(&report, "garbage_collection", "done"), expected);
    assert_eq!(tree.files().len(), 1 + NAMES.len(), "{:#?}", tree.files());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn directories_may_have_such_names_too() {
    for name in NAMES {
        let tree = Tree::new();
        tree.config("# all defaults\n");
        let directory = OsStr::from_bytes(name);
        tree.aged(Path::new(directory).join("a.bin"), b"x", 3 * DAY);
        tree.aged("cache/a.bin", b"x", 3 * DAY);
        let args = ["clean-cache", "--max-size", "0", "--format", "json", "--"].map(OsStr::new);
        let ran = tree.run(&[&args[..], &[directory]].concat());
        assert_eq!(ran.code, Some(0), "{directory:?} {ran:?}");
        let paths = acted(&ran.report(), "cache_cleanup", "done");
        assert_eq!(paths, [Path::new(directory).join("a.bin")]);
        assert!(!tree.path(directory).join("a.bin").exists());
        assert!(tree.path("cache/a.bin").exists());
    }
}

#[test]
fn a_base_that_is_not_utf8_is_reported_by_its_bytes() {
    let tree = Tree::new();
    let base = tree.path(OsStr::from_bytes(b"b\xe9se\n"));
    fs::create_dir(&base).unwrap();
    fs::write(base.join("sysopt.toml"), "# all defaults\n").unwrap();
    let mut command = tree.command(&["--format", "json", "cycle"]);
    command.current_dir(&base).stdout(Stdio::piped());
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.report();
    assert_eq!(meant(&report, "base"), base);
    assert_eq!(meant(&report, "config"), base.join("sysopt.toml"));
    for args in [&["-n", "cycle"][..], &["status"], &["config"]] {
        let mut command = tree.command(args);
        let ran = Ran::from(command.current_dir(&base).output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_harmless(&ran);
    }
}
