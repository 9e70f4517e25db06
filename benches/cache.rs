//! `clean-cache` against `find`: planning against listing the same figures, eviction against
//! deleting as many files, and peak memory, at several sizes to see that the cost per file is flat.
//!
//! `SYSOPT_BENCH_FILES` is a list of numbers of files (10000,200000,1000000); `TMPDIR` says on
//! which filesystem.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark makes its own trees, and prints"
)]

#[path = "measure/mod.rs"]
mod measure;

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use measure::{Figures, mebibytes};

const DEFAULT: &str = "10000,200000,1000000";
/// Files in a directory.
const WIDTH: usize = 1000;
/// Allocated bytes of a file.
const BLOCK: usize = 4096;
/// What `clean-cache` has to look at of each file.
const LIST: &str = "%p %s %b %A@ %T@ %i %n\n";

fn main() {
    if !measure::has("find") {
        return;
    }
    let wanted = std::env::var("SYSOPT_BENCH_FILES").unwrap_or_else(|_| DEFAULT.to_owned());
    for files in wanted
        .split(',')
        .filter_map(|text| text.trim().parse().ok())
    {
        plan(files, 20, &[]);
        plan(files, 40, &["--verbose"]);
        evict(files);
    }
}

/// A dry run that would evict 70 % of the files.
fn plan(files: usize, name: usize, more: &[&str]) {
    let base = base();
    fill(&base.path().join("cache"), files, name);
    let peak = std::cell::Cell::new(0);
    let ours = || {
        let figures = measure::run(clean(base.path(), files).arg("--dry-run").args(more));
        peak.set(figures.peak.max(peak.get()));
        figures
    };
    let pairs = measure::pairs(ours, || {
        let mut find = find(base.path());
        measure::run(find.args(["-printf", LIST]))
    });
    let title = format!("clean-cache --dry-run {more:?}: {files} files, names of {name} bytes");
    pairs.print(&title, "target: cpu 1.00, peak 150 MiB at a million");
    println!("  peak memory {:.1} MiB", mebibytes(peak.get()));
}

fn evict(files: usize) {
    let ours = || {
        let base = base();
        fill(&base.path().join("cache"), files, 20);
        per_file(files, measure::run(&mut clean(base.path(), files)))
    };
    let theirs = || {
        let base = base();
        fill(&base.path().join("cache"), evicted(files), 20);
        measure::run(find(base.path()).arg("-delete"))
    };
    let pairs = measure::pairs(ours, theirs);
    let title = format!("clean-cache: {} of {files} files evicted", evicted(files));
    pairs.print(&title, "target: cpu 1.30");
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn per_file(files: usize, figures: Figures) -> Figures {
    let each = figures.cpu() * 1e6 / files as f64;
    println!("  cpu per file {each:.2} µs");
    figures
}

fn evicted(files: usize) -> usize {
    files - files * 3 / 10
}

fn base() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("sysopt-bench")
        .tempdir()
        .unwrap_or_else(|error| panic!("a temporary directory: {error}"))
}

/// A typed directory leaves no state behind.
fn clean(base: &Path, files: usize) -> Command {
    let mut command = measure::sysopt();
    let limit = files * 3 / 10 * BLOCK;
    command
        .arg("-C")
        .arg(base)
        .args(["--format", "json", "clean-cache", "cache", "--max-size"])
        .arg(limit.to_string());
    command
}

fn find(base: &Path) -> Command {
    let mut command = Command::new("find");
    command.arg(base.join("cache")).args(["-type", "f"]);
    command
}

/// Files of a block each, last used in an order that has nothing to do with that of their names.
fn fill(cache: &Path, files: usize, name: usize) {
    let now = SystemTime::now();
    for number in 0..files {
        let directory = cache.join(format!("d{:04}", number / WIDTH));
        if number % WIDTH == 0 {
            fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("{error}"));
        }
        let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let then = now - Duration::from_hours(24) - Duration::from_secs(mixed % 10_000_000);
        let times = FileTimes::new().set_accessed(then).set_modified(then);
        let path = directory.join(format!("{number:0>name$}"));
        let made = File::create(&path).and_then(|mut file| {
            std::io::Write::write_all(&mut file, b"x")?;
            file.set_times(times)
        });
        made.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    // What is still to be written would be charged to whoever comes next.
    let _ = Command::new("sync").status();
}
