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

/// Set in the copy of the test binary that [`own_machine`] runs.
const OWN_MACHINE: &str = "SYSOPT_TESTS_OWN_MACHINE";

/// Whether this is a process with mounts and a process table of its own, so that a test can mount
/// filesystems, and sysopt sees no process but those of the test. Where it is not, the test is run
/// again in such a process, its failure is ours, and the answer is false.
pub fn own_machine<F: Fn()>(test: F) -> bool {
    if std::env::var_os(OWN_MACHINE).is_some() {
        return true;
    }
    if !root() || !tool("unshare") {
        return false;
    }
    // `it::cache::this_test`: the crate's name is not part of the name of a test.
    let name = std::any::type_name_of_val(&test);
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env(OWN_MACHINE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "in a machine of its own:\n{stdout}\n{stderr}"
    );
    let _ = std::io::stderr().write_all(&output.stderr);
    false
}
