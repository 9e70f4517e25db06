//! What a test needs beyond the toolchain. Where it is missing, the test says so where everybody
//! sees it; with `SYSOPT_TESTS_COMPLETE` set, as in `.ci/run`, that is a failure.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Whether a tool can be run.
pub fn tool(name: &str) -> bool {
    let there = Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    there || missing(&format!("{name} is not installed"))
}

/// Whether the tests run as root.
pub fn root() -> bool {
    rustix::process::geteuid().is_root() || missing("not root")
}

/// Says what is missing; false, or a panic where nothing may be missing.
pub fn missing(what: &str) -> bool {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    assert!(
        std::env::var_os("SYSOPT_TESTS_COMPLETE").is_none(),
        "{name} would be skipped: {what}"
    );
    // Not eprintln!, which the test runner keeps to itself.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {name}: {what}");
    false
}
