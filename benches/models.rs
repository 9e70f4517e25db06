//! Archiving 2 GiB of models in 200 files: on the same filesystem against `sha256sum` over them, to
//! another one (a tmpfs, for which it has to be root) against `cp` and `sha256sum`.
//! `SYSOPT_BENCH_MIB` is the size of all (2048).

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark makes its own trees, and prints"
)]

#[path = "measure/mod.rs"]
mod measure;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const FILES: u32 = 200;

fn main() {
    let size = std::env::var("SYSOPT_BENCH_MIB").ok();
    let size: usize = size.and_then(|text| text.parse().ok()).unwrap_or(2048);
    let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let base = dir.path();
    same(base, size);
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap_or_else(|error| panic!("{error}"));
    let mount = |words: &[&str]| {
        Command::new(words[0])
            .args(&words[1..])
            .arg(&other)
            .status()
    };
    if mount(&["mount", "-t", "tmpfs", "-o", "size=5g", "bench"]).is_ok_and(|it| it.success()) {
        elsewhere(base, &other, size);
        drop(mount(&["umount"]));
    } else {
        println!("SKIPPED: a tmpfs cannot be mounted here");
    }
}

/// Models anew: what is archived is moved back, since only the names changed.
fn same(base: &Path, size: usize) {
    configure(base, "archived");
    make(base, size);
    let pairs = measure::pairs(
        || {
            let taken = measure::run(&mut archive(base));
            bring_back(&base.join("models/archived"), base);
            taken
        },
        || measure::run(&mut sums(base)),
    );
    pairs.print(
        "archive-models, same filesystem",
        "target: wall at most 0.40 of sha256sum",
    );
    println!(
        "  peak {:.1} MiB (target: 64)",
        measure::mebibytes(pairs.peak())
    );
}

fn elsewhere(base: &Path, other: &Path, size: usize) {
    let store = other.join("store");
    configure(base, &store.display().to_string());
    let copies = other.join("copies");
    let pairs = measure::pairs(
        || {
            make(base, size);
            let taken = measure::run(&mut archive(base));
            clear(&store);
            taken
        },
        || {
            make(base, size);
            let script = "cp -r \"$1\" \"$2\" && sha256sum \"$1\"/*.pkl";
            let mut command = Command::new("sh");
            command
                .args(["-c", script, "sh"])
                .arg(base.join("models"))
                .arg(&copies);
            let taken = measure::run(&mut command);
            clear(&copies);
            taken
        },
    );
    pairs.print(
        "archive-models, another filesystem",
        "target: wall at most 1.30 of cp and sha256sum",
    );
    println!(
        "  peak {:.1} MiB (target: 64)",
        measure::mebibytes(pairs.peak())
    );
}

fn configure(base: &Path, archive: &str) {
    write(
        &base.join("sysopt.toml"),
        &format!("[models]\narchive_directory = '{archive}'\n"),
    );
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Models of different content, on disk and in the cache.
fn make(base: &Path, size: usize) {
    let models = base.join("models");
    clear(&models);
    fs::create_dir_all(&models).unwrap_or_else(|error| panic!("{error}"));
    let mut bytes = vec![7_u8; (size << 20) / FILES as usize];
    for number in 0..FILES {
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        let path = models.join(format!("m{number}x.pkl"));
        let file = fs::File::create(&path).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        file.unwrap_or_else(|error| panic!("{error}"));
        measure::age(&path, Duration::from_hours(24 * 10));
    }
}

fn bring_back(archive: &Path, base: &Path) {
    for entry in fs::read_dir(archive).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((stem, _)) = name.split_once("x_") {
            let back = base.join("models").join(format!("{stem}x.pkl"));
            fs::rename(entry.path(), back).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    clear(archive);
}

fn clear(path: &Path) {
    if path.exists() {
        fs::remove_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn archive(base: &Path) -> Command {
    let mut command = measure::sysopt();
    command
        .arg("-C")
        .arg(base)
        .args(["archive-models", "--age-by", "modified"]);
    command
}

fn sums(base: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "sha256sum \"$1\"/models/*.pkl", "sh"])
        .arg(base);
    command
}
