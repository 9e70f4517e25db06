//! The analysis of 600 processes: a cycle of agents and processes against one that plans nothing
//! about them. The target is 60 ms of processor time beyond reading the process table.

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
    let run = |only: &[&str]| {
        let mut sysopt = measure::sysopt();
        sysopt.arg("-C").arg(base.path()).args(["-n", "cycle"]);
        measure::run(sysopt.args(only))
    };
    let pairs = measure::pairs(
        || run(&["--only", "agents", "--only", "processes"]),
        || run(&["--only", "logs"]),
    );
    pairs.print(
        "agents: 600 processes, all of them agents, against a cycle of logs alone",
        "the difference of user and system: at most 60 ms",
    );
    for sleeper in &mut sleepers {
        sleeper.kill()?;
        sleeper.wait()?;
    }
    Ok(())
}
