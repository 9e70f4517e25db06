//! Where nothing tells who uses a file, what may be in use stays, and that is told: in portable
//! builds, and on Linux where there is no `/proc`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixture::{DAY, HOUR, Shot, Tree, kept, lines, mount, operation, statuses};
use crate::require;

/// Whether nothing tells. A portable build never knows; any other is run where `/proc` is hidden.
fn nothing_tells<F: Fn()>(test: F) -> bool {
    if cfg!(sysopt_portable) {
        return true;
    }
    let alone = require::own_machine(test);
    if alone {
        mount(&["-t", "tmpfs", "tmpfs"], Path::new("/proc"));
    }
    alone
}

const UNSEEN: &str = "whether anyone uses it cannot be seen here, without /proc";

/// Something due for each operation.
fn due() -> Tree {
    let tree = Tree::new();
    tree.config(
        "[cache]\nmax_size = '16KiB'\ncleanup_threshold = 1.0\n\
         [logs]\nmax_file_size = '10KiB'\nmax_files_per_logger = 1\n[models]\nkeep_latest = 0\n",
    );
    tree.aged("cache/old", vec![1; 16 << 10], 9 * DAY);
    tree.aged("cache/used", vec![2; 8 << 10], 8 * DAY);
    tree.aged("logs/app.log", lines("line", 20_000), HOUR);
    tree.aged("logs/a.log-20260101T000000Z", lines("one", 3000), 3 * DAY);
    tree.aged("logs/a.log-20260102T000000Z", lines("two", 3000), 2 * DAY);
    tree.aged("models/m.pkl", lines("model", 3000), 30 * DAY);
    tree.aged("temp/x.tmp", b"stale", 9 * DAY);
    tree.aged("temp/__pycache__/x.cpython-312.pyc", b"code", 9 * DAY);
    tree
}

/// All but the state and the configuration, which a run reads.
fn data(tree: &Tree) -> Shot {
    let mut all = tree.snapshot();
    all.retain(|path, _| {
        let own = path.as_os_str().is_empty() || path == Path::new("sysopt.toml");
        !own && !path.starts_with(".sysopt")
    });
    all
}

fn warned(report: &Value, name: &str) -> bool {
    let warnings = report["warnings"].as_array().unwrap().iter();
    let own = operation(report, name)["metadata"]["warnings"].as_array();
    let mut all = warnings.chain(own.into_iter().flatten());
    all.any(|warning| warning.as_str().unwrap().contains("no /proc to look at"))
}

#[test]
fn what_is_due_stays_as_it_is_and_the_report_says_why() {
    if !nothing_tells(what_is_due_stays_as_it_is_and_the_report_says_why) {
        return;
    }
    let tree = due();
    tree.aged("models/archived/rf_20250809.pkl", b"by hand", 60 * DAY);
    let before = data(&tree);
    for args in [&["-n"][..], &[]] {
        let args = [args, &["-v", "cycle", "--force"]].concat();
        let (ran, report) = tree.json(&args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(report["total_bytes_freed"], 0, "{report:#}");
        for (name, path) in [
            ("cache_cleanup", "cache/old"),
            ("log_rotation", "logs/app.log"),
            ("log_rotation", "logs/a.log-20260101T000000Z"),
            ("log_rotation", "logs/a.log-20260102T000000Z"),
            ("model_archiving", "models/m.pkl"),
            ("model_archiving", "models/archived/rf_20250809.pkl"),
        ] {
            let kept = kept(&report, name);
            let why = kept.get(path).map(String::as_str);
            assert_eq!(why, Some(UNSEEN), "{path}: {kept:#?}");
            assert!(warned(&report, name), "{name}: {ran:#?}");
            assert_eq!(
                operation(&report, name)["metadata"]["visibility"]["looked"],
                false
            );
        }
        let classes = &operation(&report, "garbage_collection")["metadata"]["classes"];
        for class in ["temporary_files", "bytecode"] {
            assert_eq!(classes[class]["skipped"]["unseen"], 1, "{classes:#}");
        }
    }
    assert!(data(&tree) == before, "{:#?}", tree.files());
}

#[test]
fn what_loses_nothing_whoever_has_the_file_is_done() {
    if !nothing_tells(what_loses_nothing_whoever_has_the_file_is_done) {
        return;
    }
    let tree = due();
    tree.aged("temp/.sysopt-1-1.tmp", b"half", 2 * HOUR);
    // Asked for by name: whoever writes goes on in a file that stays.
    let args = ["rotate-logs", "--mode", "rename"];
    let (ran, report) = tree.json(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(statuses(&report, "log_rotation"), ["done"], "{report:#}");
    assert_eq!(fs::read(tree.path("logs/app.log")).unwrap(), b"");
    assert!(tree.stream("logs/app.log") == lines("line", 20_000));
    let rotated = tree.rotated("logs/app.log");
    let name = rotated[0].to_str().unwrap();
    assert!(name.ends_with('Z'), "{name} may be written to still");
    // Nobody holds the lock of a run on it.
    let (ran, report) = tree.json(&["cycle", "--force", "--only", "garbage"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(statuses(&report, "garbage_collection"), ["done"]);
    assert_eq!(tree.names("temp"), ["__pycache__", "x.tmp"]);
    // What is made anew is nobody's yet.
    tree.aged("models/archived/rf_20250809.pkl", b"by hand", 60 * DAY);
    let (ran, report) = tree.json(&["-C", ".", "restore-models", "rf_20250809.pkl"]);
    assert_eq!(ran.code, Some(0), "{report:#}");
    assert_eq!(fs::read(tree.path("models/rf.pkl")).unwrap(), b"by hand");
}
