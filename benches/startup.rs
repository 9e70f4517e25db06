//! What a run costs before it does anything: `sysopt config` against `true`.

#[path = "measure/mod.rs"]
mod measure;

use std::process::Command;

fn main() {
    let base = std::env::temp_dir();
    let pairs = measure::pairs(
        || measure::run(measure::sysopt().arg("-C").arg(&base).arg("config")),
        || measure::run(&mut Command::new("true")),
    );
    pairs.print("start: config", "no target; a few milliseconds");
}
