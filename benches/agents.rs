//! The analysis of 600 processes: a cycle of agents and processes, less a cycle of logs, which does
//! all but the analysis (configuration, locks, the pass over open files, the report). The target is
//! 60 ms of processor time for that difference. None, a few and all of the processes are agents;
//! JSON reads their shared memory too (`smaps_rollup`).

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark makes its own tree, and prints"
)]

#[path = "measure/mod.rs"]
mod measure;

use std::process::{Child, Command, Stdio};

/// As many processes as a small server has.
const PROCESSES: usize = 600;

fn main() -> std::io::Result<()> {
    let mut sleepers: Vec<Child> = (0..PROCESSES)
        .map(|n| {
            let mut sleep = Command::new("sleep");
            sleep.arg(format!("98{n:03}"));
            sleep.stdin(Stdio::null()).stdout(Stdio::null()).spawn()
        })
        .collect::<Result<_, _>>()?;
    let all = "cmd_regex = \"sleep 98[0-9]+\"";
    for (name, predicate, format) in [
        ("none an agent", "module = \"none\"", "text"),
        ("20 agents", "cmd_regex = \"sleep 980[01].\"", "text"),
        ("20 agents, JSON", "cmd_regex = \"sleep 980[01].\"", "json"),
        ("all agents", all, "text"),
        ("all agents, JSON", all, "json"),
    ] {
        compare(name, predicate, format)?;
    }
    for sleeper in &mut sleepers {
        sleeper.kill()?;
        sleeper.wait()?;
    }
    Ok(())
}

/// A cycle of the analysis against one of logs, and the difference.
fn compare(name: &str, predicate: &str, format: &str) -> std::io::Result<()> {
    let base = tempfile::tempdir()?;
    std::fs::write(
        base.path().join("sysopt.toml"),
        format!("[[agents.rule]]\nname = \"sleeper\"\n{predicate}\n"),
    )?;
    let run = |operations: &[&str]| {
        let mut sysopt = measure::sysopt();
        let sysopt = sysopt.arg("-C").arg(base.path()).args(["--format", format]);
        measure::run(sysopt.args(["-n", "cycle"]).args(operations))
    };
    let pairs = measure::pairs(
        || run(&["--only", "agents", "--only", "processes"]),
        || run(&["--only", "logs"]),
    );
    let name = format!("agents: {PROCESSES} processes, {name}");
    pairs.print(&name, "what counts is the difference");
    println!(
        "  analysis {:.1} ms of processor time (target: at most 60 ms)",
        pairs.cpu_difference() * 1000.0
    );
    Ok(())
}
