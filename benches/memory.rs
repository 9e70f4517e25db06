//! Peak memory against the bounds of the specification: a million files in under 150 MiB, a log of
//! any size in under 64 MiB and 4 MiB for each thread.
//!
//! `SYSOPT_BENCH_FILES` (1,000,000) and `SYSOPT_BENCH_LOG_MIB` (1,024) make it smaller. It prints
//! each peak beside its bound; peers (`find`, `gzip`) show what the same work takes elsewhere.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark makes its own trees, and ends where it cannot"
)]

#[path = "measure/mod.rs"]
mod measure;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use measure::{Figures, mebibytes};

const DAY: Duration = Duration::from_hours(24);
const MIB: u64 = 1 << 20;

fn main() {
    a_million_files(amount("SYSOPT_BENCH_FILES", 1_000_000));
    a_large_log(amount("SYSOPT_BENCH_LOG_MIB", 1024));
}

fn amount(variable: &str, usual: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn print(what: &str, peak: u64, bound: u64) {
    let verdict = if peak < bound { "under" } else { "NOT UNDER" };
    let (peak, bound) = (mebibytes(peak), mebibytes(bound));
    println!("{what}: peak {peak:.1} MiB, {verdict} {bound:.0} MiB");
}

/// In directories of a thousand, with names of twenty bytes.
fn a_million_files(count: u64) {
    let base = tempfile::tempdir().unwrap();
    fs::write(
        base.path().join("sysopt.toml"),
        "[cache]\nmax_size = '1B'\n",
    )
    .unwrap();
    for number in 0..count {
        let directory = base.path().join(format!("cache/d{:04}", number / 1000));
        if number % 1000 == 0 {
            fs::create_dir_all(&directory).unwrap();
        }
        let path = directory.join(format!("file-{number:010}.data"));
        File::create(&path).unwrap().write_all(b"x").unwrap();
        measure::age(&path, 9 * DAY);
    }
    let dry = [&["-n"], &["clean-cache"][..]].concat();
    let found = measure::run(Command::new("find").arg(base.path()).arg("-ls"));
    println!(
        "find -ls on {count} files: peak {:.1} MiB",
        mebibytes(found.peak)
    );
    for (what, args) in [
        ("dry run of evicting", dry.as_slice()),
        ("text of it", &["-n", "-v", "clean-cache"]),
        ("evicting", &["clean-cache"]),
    ] {
        let format = if what == "text of it" { "text" } else { "json" };
        let peak = run(base.path(), format, args).peak;
        print(&format!("{what} {count} files"), peak, 150 * MIB);
    }
}

fn run(base: &Path, format: &str, args: &[&str]) -> Figures {
    let mut command = measure::sysopt();
    command.arg("-C").arg(base).args(["--format", format]);
    measure::run(command.args(args))
}

/// A log of lines, rotated with one thread and with two.
fn a_large_log(size: u64) {
    for codec in ["gzip", "zstd"] {
        for threads in [1_u64, 2] {
            let base = tempfile::tempdir().unwrap();
            fs::create_dir(base.path().join("logs")).unwrap();
            write_log(&base.path().join("logs/app.log"), size);
            let mut command = measure::sysopt();
            command.arg("-C").arg(base.path());
            command.args(["rotate-logs", "--compress", codec, "--threads"]);
            let peak = measure::run(command.arg(threads.to_string())).peak;
            let what = format!("rotating {size} MiB, {codec}, {threads} threads");
            print(&what, peak, (64 + 4 * threads) * MIB);
        }
    }
}

fn write_log(path: &Path, mebibytes: u64) {
    let mut file = std::io::BufWriter::new(File::create(path).unwrap());
    let mut written = 0;
    for number in 0_u64.. {
        let noise = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let line = format!("2026-11-23T21:00:00Z INFO trade {number} price {noise:x}\n");
        file.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
        if written >= mebibytes * MIB {
            break;
        }
    }
    file.flush().unwrap();
    drop(file);
    measure::age(path, DAY);
}
