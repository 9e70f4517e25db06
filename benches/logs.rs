//! `rotate-logs` against `logrotate`, with gzip -6 and with pigz: eight logs of 64 MiB and one of
//! 512 MiB of JSON lines. Targets: processor time at most 0.7 and wall time at most 0.45 of logrotate
//! with gzip (wall with two free cores), no larger output, at most 64 MiB of memory; with Zstandard
//! wall at most 0.25.
//!
//! Debian: `apt-get install logrotate pigz`. `SYSOPT_BENCH_MIB` is the size of the large log (512);
//! the others are an eighth of it.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark makes its own trees, and prints"
)]

#[path = "measure/mod.rs"]
mod measure;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use measure::Figures;
use tempfile::TempDir;

/// Logs that are made once, and copied for each run.
struct Logs {
    dir: TempDir,
}

impl Logs {
    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("source")).unwrap();
        let large = std::env::var("SYSOPT_BENCH_MIB")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(512_usize);
        let logs = Self { dir };
        for number in 0..8 {
            lines(
                &logs.source().join(format!("agent-{number}.log")),
                number,
                large << 17,
            );
        }
        lines(&logs.source().join("market.log"), 9, large << 20);
        logs
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    /// A fresh copy of the logs, on disk before anything is measured.
    fn fresh(&self) -> PathBuf {
        let base = self.dir.path().join("base");
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(base.join("logs")).unwrap();
        for entry in fs::read_dir(self.source()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), base.join("logs").join(entry.file_name())).unwrap();
        }
        assert!(Command::new("sync").status().unwrap().success());
        base
    }

    fn sysopt(&self, codec: &str) -> Figures {
        let base = self.fresh();
        let mut command = measure::sysopt();
        command.args(["-q", "-C"]).arg(&base);
        command.args(["rotate-logs", "--force", "--keep", "9", "--compress", codec]);
        let figures = measure::run(&mut command);
        println!("  output of sysopt {codec}: {} bytes", packed(&base));
        figures
    }

    fn logrotate(&self, tool: &str) -> Figures {
        let base = self.fresh();
        let config = self.dir.path().join("logrotate.conf");
        let logs = base.join("logs/*.log");
        let text = format!(
            "{} {{\n size 1\n rotate 9\n compress\n compresscmd {}\n compressoptions -6\n create\n su {}\n}}\n",
            logs.display(),
            path_of(tool),
            owner(),
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("logrotate");
        command
            .arg("-f")
            .arg("-s")
            .arg(self.dir.path().join("state"));
        let figures = measure::run(command.arg(&config));
        println!("  output of logrotate with {tool}: {} bytes", packed(&base));
        figures
    }
}

/// Lines as an agent writes them: times, symbols, prices, now and then a long message.
fn lines(path: &Path, seed: u64, bytes: usize) {
    let mut out = std::io::BufWriter::new(fs::File::create(path).unwrap());
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut written, mut line, mut time) = (0, String::new(), 1_764_000_000_000_u64);
    while written < bytes {
        time += next() % 40;
        line.clear();
        let symbol = ["BTC", "ETH", "SOL", "ADA", "DOT", "XRP"][(next() % 6) as usize];
        let level = ["INFO", "INFO", "INFO", "DEBUG", "WARNING"][(next() % 5) as usize];
        let _ = write!(
            line,
            "{{\"ts\":{time},\"level\":\"{level}\",\"agent\":\"agent-{}\",\"symbol\":\"{symbol}-USDT\",\
             \"price\":{}.{:04},\"volume\":{}.{:02},\"latency_ms\":{},",
            next() % 12,
            20_000 + next() % 3000,
            next() % 10_000,
            next() % 900,
            next() % 100,
            next() % 250
        );
        let _ = match next() % 8 {
            0 => writeln!(
                line,
                "\"message\":\"order filled\",\"order\":\"{:016x}\"}}",
                next()
            ),
            1 => writeln!(
                line,
                "\"message\":\"slow answer of the exchange, trying again\",\"retry\":{}}}",
                next() % 5
            ),
            _ => writeln!(
                line,
                "\"message\":\"signal computed\",\"confidence\":0.{:06}}}",
                next() % 1_000_000
            ),
        };
        out.write_all(line.as_bytes()).unwrap();
        written += line.len();
    }
    out.flush().unwrap();
}

fn packed(base: &Path) -> u64 {
    let names = fs::read_dir(base.join("logs")).unwrap();
    names
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

fn path_of(tool: &str) -> String {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", tool])
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}

/// User and group, as logrotate wants them where others may write the directory.
fn owner() -> String {
    let id = |flag: &str| {
        let said = Command::new("id").arg(flag).output().unwrap().stdout;
        String::from_utf8(said).unwrap().trim().to_owned()
    };
    format!("{} {}", id("-un"), id("-gn"))
}

fn main() {
    if !measure::has("logrotate") {
        return;
    }
    let logs = Logs::make();
    let gzip = measure::pairs(|| logs.sysopt("gzip"), || logs.logrotate("gzip"));
    gzip.print("gzip against logrotate with gzip -6", "cpu 0.7, wall 0.45");
    println!("  peak {:.1} MiB (64)", measure::mebibytes(gzip.peak()));
    if measure::has("pigz") {
        let pigz = measure::pairs(|| logs.sysopt("gzip"), || logs.logrotate("pigz"));
        pigz.print("gzip against logrotate with pigz -6", "no target");
    }
    let zstd = measure::pairs(|| logs.sysopt("zstd"), || logs.logrotate("gzip"));
    zstd.print("zstd against logrotate with gzip -6", "wall 0.25");
    println!("  peak {:.1} MiB (64)", measure::mebibytes(zstd.peak()));
}
