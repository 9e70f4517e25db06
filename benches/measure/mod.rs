//! Whole commands, measured from outside: processor time, wall time and peak memory as the kernel
//! accounts for them (`wait4(2)`), and the ratio to a peer in the same run.
//!
//! A machine is never quiet, so the two commands take turns, and what counts is the median of the
//! ratios, pair by pair. `SYSOPT_BENCH_ROUNDS` is the number of pairs (5).

#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark makes its own trees, uses the part of this that it needs, and prints"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// What one run of a command took.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Processor seconds in user mode.
    pub user: f64,
    /// Processor seconds in the kernel.
    pub system: f64,
    /// Seconds from start to end.
    pub wall: f64,
    /// Peak resident memory of the largest process, in bytes.
    pub peak: u64,
}

impl Figures {
    /// Processor seconds in all.
    #[must_use]
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// Two commands, run in turn.
#[derive(Debug, Default)]
pub struct Pairs {
    ours: Vec<Figures>,
    theirs: Vec<Figures>,
}

/// Runs a command to its end, without its output.
///
/// # Panics
/// Where it cannot be started or does not succeed: a failure measures nothing.
pub fn run(command: &mut Command) -> Figures {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let used = child
        .wait4()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let wall = begun.elapsed();
    assert!(used.status.success(), "{command:?}: {:?}", used.status);
    Figures {
        user: used.rusage.utime.as_secs_f64(),
        system: used.rusage.stime.as_secs_f64(),
        wall: wall.as_secs_f64(),
        peak: used.rusage.maxrss,
    }
}

/// How many pairs are run.
#[must_use]
pub fn rounds() -> usize {
    std::env::var("SYSOPT_BENCH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(5)
}

/// Runs ours and theirs in turn; each closure prepares its tree and runs its command.
pub fn pairs(mut ours: impl FnMut() -> Figures, mut theirs: impl FnMut() -> Figures) -> Pairs {
    let mut pairs = Pairs::default();
    for _ in 0..rounds() {
        pairs.ours.push(ours());
        pairs.theirs.push(theirs());
    }
    pairs
}

impl Pairs {
    /// Prints what was measured, and the ratios, with the targets that they are held against.
    pub fn print(&self, name: &str, targets: &str) {
        let ratio = |figure: fn(&Figures) -> f64| {
            let both = self.ours.iter().zip(&self.theirs);
            median(both.map(|(a, b)| figure(a) / figure(b)))
        };
        println!("{name}");
        print_side("  sysopt", &self.ours);
        print_side("  peer  ", &self.theirs);
        println!(
            "  ratio   cpu {:.2}  wall {:.2}  ({targets})",
            ratio(Figures::cpu),
            ratio(|figures| figures.wall)
        );
    }

    /// Processor seconds of ours beyond the peer's, the median over the pairs.
    #[must_use]
    pub fn cpu_difference(&self) -> f64 {
        let both = self.ours.iter().zip(&self.theirs);
        median(both.map(|(ours, theirs)| ours.cpu() - theirs.cpu()))
    }

    /// Peak memory of ours, in bytes, over all runs.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.ours
            .iter()
            .map(|figures| figures.peak)
            .max()
            .unwrap_or(0)
    }
}

fn print_side(side: &str, runs: &[Figures]) {
    let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
    let peak = runs.iter().map(|figures| figures.peak).max().unwrap_or(0);
    println!(
        "{side}  user {:.3} s  system {:.3} s  wall {:.3} s  peak {:.1} MiB",
        of(|figures| figures.user),
        of(|figures| figures.system),
        of(|figures| figures.wall),
        mebibytes(peak)
    );
}

/// Bytes as mebibytes, for print.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The middle one; the upper of the two middle ones where their number is even.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The built binary under test.
#[must_use]
pub fn sysopt() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sysopt"))
}

/// Whether a peer is installed; says so where it is not.
#[must_use]
pub fn has(tool: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", tool])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        println!("SKIPPED: {tool} is not installed");
    }
    found
}

/// Sets how long ago a file was last used and changed.
///
/// # Panics
/// Where it cannot.
pub fn age(path: &std::path::Path, age: Duration) {
    let then = std::time::SystemTime::UNIX_EPOCH + since_epoch().saturating_sub(age);
    let times = std::fs::FileTimes::new()
        .set_accessed(then)
        .set_modified(then);
    let file = std::fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_times(times))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn since_epoch() -> Duration {
    std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
