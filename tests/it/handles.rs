//! Descriptors: as many items as there are, a run holds a bounded number of files open.

use std::process::Command;

use crate::fixture::{DAY, Ran, Tmpfs, Tree, operation};
use crate::require;

/// A quarter of what a login has. Directories (64), files that wait together to be compressed (32,
/// with their directories) and what is open for good fit in; one left open for each item does not.
const LIMIT: u32 = 256;

/// Runs it under a limit of descriptors.
fn limited(tree: &Tree, args: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_sysopt")]);
    let all = [&["-C", ".", "--format", "json"], args].concat();
    tree.prepare(&mut command, &all);
    Ran::from(command.output().unwrap())
}

/// All items of the operation are done.
fn does(tree: &Tree, args: &[&str], name: &str, count: usize) {
    let ran = limited(tree, args);
    assert_eq!(ran.code, Some(0), "{args:?} {}", ran.stderr);
    let report = ran.report();
    // Directories that were emptied are items too.
    let items = operation(&report, name)["items_processed"].as_u64();
    assert!(items >= Some(count as u64), "{args:?} {items:?}");
}

/// In directories of a few files each, so that directories are many too.
fn named(kind: &str, number: usize, extension: &str) -> String {
    format!("{kind}/d{}/n{number}.{extension}", number / 5)
}

fn bounded(count: usize) {
    let filesystem = Tmpfs::new(2 << 30);
    let tree = Tree::on(&filesystem);
    tree.config(
        "[logs]\nmax_file_size = '100B'\n[cache]\nmax_size = '1B'\n[models]\nkeep_latest = 0\n\
         [garbage]\n",
    );
    for number in 0..count {
        let bytes = format!("{number}\n").repeat(100);
        for (kind, extension) in [("cache", "bin"), ("logs", "log"), ("models", "pkl")] {
            tree.aged(named(kind, number, extension), &bytes, 30 * DAY);
        }
        tree.aged(named("temp", number, "tmp"), &bytes, 30 * DAY);
    }
    does(&tree, &["clean-cache"], "cache_cleanup", count);
    does(&tree, &["rotate-logs"], "log_rotation", count);
    does(&tree, &["archive-models"], "model_archiving", count);
    does(
        &tree,
        &["restore-models", "--all"],
        "model_restoring",
        count,
    );
    let garbage = ["cycle", "--force", "--only", "garbage"];
    does(&tree, &garbage, "garbage_collection", count);
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn hundreds_of_items_need_no_more_descriptors_than_a_few() {
    if require::own_machine(hundreds_of_items_need_no_more_descriptors_than_a_few) {
        bounded(500);
    }
}

#[test]
#[ignore = "slow: ten thousand items of each operation"]
fn ten_thousand_items_need_no_more_descriptors_than_a_few() {
    if require::own_machine(ten_thousand_items_need_no_more_descriptors_than_a_few) {
        bounded(10_000);
    }
}
