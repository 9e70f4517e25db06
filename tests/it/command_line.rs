//! Where clap's answers go, and the exit codes that come with them.

use std::error::Error;
use std::fs::OpenOptions;
use std::process::{Command, Output};

type Outcome = Result<(), Box<dyn Error>>;

fn sysopt(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sysopt"));
    command.args(arguments);
    command
}

#[test]
fn help_and_version_go_to_stdout_with_code_0() -> Outcome {
    for arguments in [
        &["-h"][..],
        &["--help"],
        &["-V"],
        &["--version"],
        &["cycle", "-h"],
    ] {
        let Output {
            status,
            stdout,
            stderr,
        } = sysopt(arguments).output()?;
        assert_eq!(status.code(), Some(0), "{arguments:?}");
        assert!(!stdout.is_empty() && stderr.is_empty(), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn what_is_wrong_goes_to_stderr_with_code_2() -> Outcome {
    for arguments in [
        &[][..],
        &["-n"],
        &["cycel"],
        &["cycle", "--nope"],
        &["cycle", "--threads=0"],
    ] {
        let Output {
            status,
            stdout,
            stderr,
        } = sysopt(arguments).output()?;
        assert_eq!(status.code(), Some(2), "{arguments:?}");
        assert!(stdout.is_empty() && !stderr.is_empty(), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn a_reader_that_left_is_no_failure() -> Outcome {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let child = sysopt(&["--help"])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let Output { status, stderr, .. } = child.wait_with_output()?;
    assert_eq!((status.code(), stderr.len()), (Some(0), 0));
    Ok(())
}

#[test]
#[cfg(target_os = "linux")]
fn help_that_cannot_be_written_is_a_failure() -> Outcome {
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    let child = sysopt(&["--help"])
        .stdout(full)
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let Output { status, stderr, .. } = child.wait_with_output()?;
    assert_eq!(status.code(), Some(1));
    assert!(String::from_utf8_lossy(&stderr).starts_with("sysopt: cannot write to stdout: "));
    Ok(())
}

/// Who asked for JSON gets one document, whatever else was typed.
#[test]
fn what_is_wrong_is_a_report_where_json_is_asked_for() -> Outcome {
    for (arguments, command, error) in [
        (
            &["--format", "json", "cycel"][..],
            "sysopt",
            "unrecognized subcommand 'cycel'",
        ),
        (
            &["cycle", "--nonsense", "--format=json"],
            "cycle",
            "unexpected argument '--nonsense' found",
        ),
        (
            &["status", "--format", "json", "--history", "x"],
            "status",
            "invalid value 'x'",
        ),
        (&["--format", "json"], "sysopt", "requires a subcommand"),
        (
            &["--format", "json", "-q", "cycle", "--only"],
            "cycle",
            "a value is required",
        ),
    ] {
        let output = sysopt(arguments).output()?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(report["schema"], "sysopt.report/1", "{arguments:?}");
        assert_eq!(report["command"], command, "{arguments:?}");
        assert_eq!(report["outcome"], "failure", "{arguments:?}");
        let said = report["errors"][0]["error"].as_str().unwrap_or_default();
        assert!(said.contains(error), "{arguments:?}: {said}");
        let stderr = String::from_utf8(output.stderr)?;
        assert!(
            stderr.starts_with("sysopt: ") && stderr.contains(error),
            "{stderr}"
        );
    }
    // Help is no failure, and text for people.
    let output = sysopt(&["--format", "json", "cycle", "--help"]).output()?;
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"Run every operation"));
    Ok(())
}
