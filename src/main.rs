//! The command.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use sysopt::cli::Cli;
use sysopt::exit::Exit;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(_) => Exit::Success.into(),
        Err(error) => answer(&error).into(),
    }
}

/// Prints clap's answer (an error, a help text or the version) and says how that ends the run.
fn answer(error: &clap::Error) -> Exit {
    match error.print() {
        _ if error.use_stderr() => Exit::Usage,
        // A reader that has seen enough (`sysopt --help | head`) is no failure.
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            // Where stderr is closed too, the exit code is all that is left.
            let _ = writeln!(std::io::stderr(), "sysopt: cannot write to stdout: {why}");
            Exit::Failure
        }
        _ => Exit::Success,
    }
}
