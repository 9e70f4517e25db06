//! `--explain PATH`: what would happen, by which rule, and when; also for what stays.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::fixture::{DAY, HOUR, Tree};

/// The verdicts on a path.
fn explain(tree: &Tree, command: &[&str], path: &str) -> Vec<Value> {
    let args = [
        &["-C", ".", "--format", "json"],
        command,
        &["--explain", path],
    ]
    .concat();
    let ran = tree.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.report()["verdicts"].as_array().unwrap().clone()
}

fn rule(tree: &Tree, command: &[&str], path: &str) -> String {
    let verdicts = explain(tree, command, path);
    assert_eq!(verdicts.len(), 1, "{verdicts:#?}");
    verdicts[0]["rule"].as_str().unwrap().to_owned()
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_cache_file_is_told_its_rule_and_its_time() {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '40KiB'\ncleanup_threshold = 1.0\nmax_age = '30d'\n");
    for (name, days) in [("oldest", 20), ("older", 9), ("newer", 5)] {
        tree.aged(format!("cache/{name}"), vec![1; 16 << 10], days * DAY);
    }
    tree.aged("cache/recent", "x", HOUR);
    let clean = &["clean-cache"];
    let gone = &explain(&tree, clean, "cache/oldest")[0];
    assert_eq!(gone["action"], "evict");
    assert!(
        gone["rule"]
            .as_str()
            .unwrap()
            .contains("last used 20 d ago"),
        "{gone}"
    );
    let stays = &explain(&tree, clean, "cache/newer")[0];
    assert_eq!(stays["action"], Value::Null);
    assert!(!stays["when"].is_null(), "max_age names the day: {stays}");
    let condition = stays["condition"].as_str().unwrap();
    assert!(
        condition.contains("when cache grows by more than 20.0 KiB"),
        "{condition}"
    );
    assert!(
        condition.contains("4.0 KiB are free and 16.0 KiB go before it"),
        "{condition}"
    );
    let recent = &explain(&tree, clean, "cache/recent")[0];
    assert!(!recent["when"].is_null(), "{recent}");
    assert_eq!(recent["rule"], "used 1 h ago");
    let text = tree.run(&["-C", ".", "clean-cache", "--explain", "cache/newer"]);
    assert!(text.stdout.contains("kept until 20"), "{}", text.stdout);
    assert!(rule(&tree, clean, "cache").contains("1 items would be acted on and 3 stay"));
}

#[test]
fn logs_and_models_are_told_when_they_fall_due() {
    let tree = Tree::new();
    tree.config("[logs]\nrotate_after = '400d'\n");
    tree.aged("logs/a [1].log", "x", DAY);
    tree.aged("logs/a [1].log-20260101T000000Z.gz", "x", DAY);
    tree.aged("models/m.pkl", "x", DAY);
    let log = &explain(&tree, &["rotate-logs"], "logs/a [1].log")[0];
    assert_eq!(
        log["when"], "2027-02-05T00:00:00Z",
        "after its last rotation"
    );
    assert_eq!(log["condition"], "when it reaches 100.0 MiB");
    let model = &explain(&tree, &["archive-models"], "models/m.pkl")[0];
    assert_eq!(model["action"], Value::Null);
    assert!(!model["when"].is_null(), "{model}");
}

#[test]
fn a_path_elsewhere_is_told_which_directories_count() {
    let tree = Tree::new();
    tree.write("cache/repo/.git/HEAD", "x");
    tree.write("cache/repo/file", "x");
    tree.write("logs/a.log", "x");
    fs::create_dir(tree.path("real")).unwrap();
    tree.aged("real/x", "x", 9 * DAY);
    symlink("real", tree.path(".cache")).unwrap();
    let clean = &["clean-cache"];
    let outside = rule(&tree, clean, "logs/a.log");
    assert!(outside.contains("outside of the directories that clean-cache works in: cache"));
    assert!(rule(&tree, clean, "cache/repo/file").contains("in a tree marked by .git"));
    for path in [".cache/x", "real/x"] {
        assert!(
            rule(&tree, clean, path).contains("within its limit"),
            "{path}"
        );
    }
    let ran = tree.run(&["-C", ".", "clean-cache", "--explain", "cache/nothing"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("'cache/nothing' does not exist"),
        "{ran:?}"
    );
}

#[test]
fn a_part_of_a_repository_is_told_the_last_use_of_all() {
    let tree = Tree::new();
    tree.config("[cache]\nmax_size = '0'\n");
    let blobs = "cache/hub/models--a--b/blobs";
    tree.aged(format!("{blobs}/old"), "x", 9 * DAY);
    tree.aged(format!("{blobs}/new"), "x", HOUR);
    let when = |command: &[&str], name: &str| {
        let verdict = explain(&tree, command, &format!("{blobs}/{name}"));
        verdict[0]["when"].as_str().unwrap().to_owned()
    };
    let clean = &["clean-cache"];
    assert_eq!(when(clean, "old"), when(clean, "new"));
    let aged = &["clean-cache", "--max-size", "1GiB", "--max-age", "1d"];
    let aged = &[&aged[..], &["--preserve-recent", "1s"]].concat();
    assert_eq!(when(aged, "old"), when(aged, "new"));
}

#[test]
fn a_path_is_found_however_it_is_typed() {
    let tree = Tree::new();
    tree.aged("cache/sub/file", "x", 9 * DAY);
    symlink("sub", tree.path("cache/link")).unwrap();
    symlink("nowhere", tree.path("broken")).unwrap();
    let clean = &["clean-cache", "--max-size", "0"];
    for path in [
        "cache/sub/file",
        "cache/sub/../sub/file",
        "cache//sub/./file",
        "cache/link/file",
        "cache/link/../sub/file",
    ] {
        let verdicts = explain(&tree, clean, path);
        assert_eq!(verdicts.len(), 1, "{path}: {verdicts:#?}");
        assert_eq!(verdicts[0]["action"], "evict", "{path}");
        assert_eq!(verdicts[0]["path"], "cache/sub/file", "{path}");
    }
    let link = rule(&tree, clean, "cache/link");
    assert!(link.contains("a symbolic link"), "{link}");
    let outside = rule(&tree, clean, "broken");
    assert!(outside.contains("outside of the directories"), "{outside}");
}

#[test]
fn a_name_of_any_bytes_is_told_of() {
    let tree = Tree::new();
    let name = OsStr::from_bytes(b"cache/\xff [1]");
    tree.aged(name, "x", 9 * DAY);
    let mut args = [
        "--format",
        "json",
        "-C",
        ".",
        "clean-cache",
        "--max-size",
        "0",
    ]
    .map(OsStr::new)
    .to_vec();
    args.extend([OsStr::new("--explain"), name]);
    let ran = tree.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let answer = ran.report();
    assert_eq!(answer["path_base64"], "Y2FjaGUv/yBbMV0=");
    assert_eq!(answer["verdicts"][0]["path_base64"], "Y2FjaGUv/yBbMV0=");
    assert_eq!(answer["verdicts"][0]["action"], "evict");
}

#[test]
fn what_is_in_a_model_goes_where_the_model_goes() {
    let tree = Tree::new();
    for name in ["config.json", "model.safetensors", "sub/vocab.txt"] {
        tree.aged(format!("models/bert/{name}"), "x", 30 * DAY);
    }
    let archive = &["archive-models"];
    let whole = explain(&tree, archive, "models/bert");
    assert_eq!(whole[0]["action"], "archive", "{whole:#?}");
    for name in ["config.json", "sub", "sub/vocab.txt"] {
        let part = explain(&tree, archive, &format!("models/bert/{name}"));
        assert_eq!(part.len(), 1, "{name}: {part:#?}");
        for key in ["action", "path", "to", "rule"] {
            assert_eq!(part[0][key], whole[0][key], "{key} of {name}");
        }
    }
}
