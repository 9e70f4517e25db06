//! The command.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use sysopt::cli::Cli;
use sysopt::exit::Exit;
use sysopt::run::{self, End};
use sysopt::signal;

fn main() -> ExitCode {
    let end = match Cli::try_parse() {
        Ok(cli) => run::run(cli),
        Err(error) => End::Code(answer(&error)),
    };
    match end {
        End::Code(exit) => exit.into(),
        // Where even that fails, the code is that of a shell for the signal.
        End::Signal(signal) => match signal::die_by(signal) {
            Ok(()) | Err(_) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
        },
    }
}

/// Prints clap's answer (an error, a help text or the version) and says how that ends the run.
fn answer(error: &clap::Error) -> Exit {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if error.use_stderr()
        && let Some(exit) = run::mistyped::report(&arguments, error)
    {
        return exit;
    }
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
