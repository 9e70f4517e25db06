//! The analysis of 600 processes, all of them agents: a cycle of agents and processes against one
//! of logs, which reads the same process table, and against `rotate-logs`, which reads none. The
//! target is 60 ms of processor time beyond the reading.

#![allow(clippy::disallowed_methods, reason = "a benchmark makes its own tree")]

#[path = "measure/mod.rs"]
mod measure;

use std::process::{Child, Command, Stdio};

/// As many processes as a small server has.
const PROCESSES: usize = 600;

fn main() -> std::io::Result<()> {
    let base = tempfile::tempdir()?;
    std::fs::write(
        base.path().join("sysopt.toml"),
        "[[agents.rule]]\nname = \"sleeper\"\ncmd_regex = \"sleep 98[0-9]+\"\n",
    )?;
    let mut sleepers: Vec<Child> = (0..PROCESSES)
        .map(|n| {
            let mut sleep = Command::new("sleep");
            sleep.arg(format!("98{n:03}"));
            sleep.stdin(Stdio::null()).stdout(Stdio::null()).spawn()
        })
        .collect::<Result<_, _>>()?;
    let run = |args: &[&str]| {
        let mut sysopt = measure::sysopt();
        measure::run(sysopt.arg("-C").arg(base.path()).arg("-n").args(args))
    };
    let analysis = ["cycle", "--only", "agents", "--only", "processes"];
    for (name, peer) in [
        ("against a cycle of logs", &["cycle", "--only", "logs"][..]),
        ("against rotate-logs", &["rotate-logs"]),
    ] {
        let pairs = measure::pairs(|| run(&analysis), || run(peer));
        let name = format!("agents: 600 processes, {name}");
        pairs.print(&name, "the difference of user and system counts");
    }
    for sleeper in &mut sleepers {
        sleeper.kill()?;
        sleeper.wait()?;
    }
    Ok(())
}
