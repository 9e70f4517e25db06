//! The one module that writes to stdout and stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

use serde::Serialize;

use super::look::{Color, Look};
use super::model::{Report, Run};
use super::name;
use super::status::StatusReport;
use super::{prometheus, status_text, text};

/// What stdout carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// Metrics; of `status` alone.
    Prometheus,
}

/// Stdout and stderr, as this run uses them.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    format: Format,
    quiet: bool,
    look: Look,
    terminal: bool,
    /// Stderr goes where stdout goes, so that errors would be read twice.
    shared: bool,
}

impl Out {
    /// Whether stdout carries JSON, which shows figures that text leaves out.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Looks at the streams and the environment, once.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "NO_COLOR and its like are about the terminal, which is looked at here"
    )]
    pub fn new(format: Format, color: Color, quiet: bool) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let width = rustix::termios::tcgetwinsize(&stdout)
            .ok()
            .map(|window| usize::from(window.ws_col));
        Self {
            format,
            quiet,
            look: Look::decide(color, terminal, width, |name| std::env::var_os(name)),
            terminal,
            shared: same_file(&stdout, &io::stderr()),
        }
    }

    /// Text without colour, where a run ends before it knows better.
    #[must_use]
    pub fn plain_text() -> Self {
        Self::new(Format::Text, Color::Never, false)
    }

    /// Tells what a run did: its errors and warnings on stderr, its report on stdout. Nothing at
    /// all where that is asked for and the exit code is 0.
    ///
    /// # Errors
    /// The report could not be written (a reader that left is none): exit code 1.
    pub fn report(&self, run: &Run) -> io::Result<()> {
        if self.is_silent(run.exit) {
            return Ok(());
        }
        let report = Report::new(run);
        let mut stderr = BufWriter::new(io::stderr().lock());
        // Stderr that cannot be written has nobody left to be told.
        let _ = write_complaints(report, &mut stderr).and_then(|()| stderr.flush());
        stdout(|out| match self.format {
            Format::Json => write_json(&report, self.terminal, out),
            Format::Text | Format::Prometheus => text::write(report, self.look, !self.shared, out),
        })
    }

    /// Shows the machine.
    ///
    /// # Errors
    /// As [`Out::report`].
    pub fn status(&self, status: &StatusReport, exit: u8) -> io::Result<()> {
        if self.is_silent(exit) {
            return Ok(());
        }
        for warning in &status.warnings {
            complain(&format_args!("warning: {warning}"));
        }
        stdout(|out| match self.format {
            Format::Json => write_json(status, self.terminal, out),
            Format::Text => status_text::write(status, self.look, out),
            Format::Prometheus => out.write_all(prometheus::write(&status.gauges).as_bytes()),
        })
    }

    /// Prints text that is made elsewhere (a configuration, an explanation), as it is.
    ///
    /// # Errors
    /// As [`Out::report`].
    pub fn plain(&self, text: &str, exit: u8) -> io::Result<()> {
        if self.is_silent(exit) {
            return Ok(());
        }
        stdout(|out| out.write_all(text.as_bytes()))
    }

    /// Prints a value as one JSON document.
    ///
    /// # Errors
    /// As [`Out::report`].
    pub fn json<T: Serialize>(&self, value: &T, exit: u8) -> io::Result<()> {
        if self.is_silent(exit) {
            return Ok(());
        }
        stdout(|out| write_json(value, self.terminal, out))
    }

    const fn is_silent(&self, exit: u8) -> bool {
        self.quiet && exit == 0
    }
}

fn stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    deliver(io::stdout().lock(), write)
}

/// Writes, and sees to it that everything arrived.
fn deliver(to: impl Write, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, to);
    reader_may_leave(write(&mut out).and_then(|()| out.flush()))
}

/// One line on stderr: `sysopt: cannot remove 'x': Permission denied`.
pub fn complain(message: &dyn Display) {
    let _ = write_line(message, &mut io::stderr().lock());
}

fn write_line(message: &dyn Display, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "sysopt: {}", name::cause(&message.to_string()))
}

fn write_complaints(report: Report, out: &mut dyn Write) -> io::Result<()> {
    for trouble in report.troubles() {
        writeln!(out, "sysopt: {trouble}")?;
        for line in trouble.below {
            writeln!(out, "{}", name::line(line))?;
        }
    }
    for warning in report.warnings() {
        write_line(&format_args!("warning: {warning}"), out)?;
    }
    Ok(())
}

/// Indented where a person looks at it, else on one line.
fn write_json<T: Serialize>(value: &T, indent: bool, out: &mut dyn Write) -> io::Result<()> {
    if indent {
        serde_json::to_writer_pretty(&mut *out, value)?;
    } else {
        serde_json::to_writer(&mut *out, value)?;
    }
    out.write_all(b"\n")
}

/// `sysopt status | head` is no failure of sysopt.
fn reader_may_leave(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn same_file(one: &impl AsFd, other: &impl AsFd) -> bool {
    let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    match (rustix::fs::fstat(one), rustix::fs::fstat(other)) {
        (Ok(one), Ok(other)) => identity(one) == identity(other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::report::sample::{cycle, run};

    #[test]
    fn what_does_not_arrive_is_an_error() -> io::Result<()> {
        for bytes in [1, 1 << 20] {
            let full = OpenOptions::new().write(true).open("/dev/full")?;
            let result = deliver(full, |out| out.write_all(&vec![b'x'; bytes]));
            let kind = result.map_err(|error| error.kind());
            assert_eq!(kind, Err(io::ErrorKind::StorageFull), "{bytes}");
        }
        let full = OpenOptions::new().write(true).open("/dev/full")?;
        let text = "x".repeat(1 << 20);
        let result = deliver(full, |out| write_json(&text, false, out));
        let kind = result.map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::StorageFull));
        Ok(())
    }

    #[test]
    fn a_reader_that_left_is_no_error() -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        drop(reader);
        let text = "x".repeat(1 << 20);
        deliver(writer, |out| write_json(&text, false, out))
    }

    #[test]
    fn quiet_is_silent_only_when_all_went_well() {
        for (quiet, exit, silent) in [(true, 0, true), (true, 3, false), (false, 0, false)] {
            let out = Out::new(Format::Text, Color::Never, quiet);
            assert_eq!(out.is_silent(exit), silent);
        }
    }

    #[test]
    fn stderr_has_a_line_for_each_error_and_warning() -> io::Result<()> {
        let outcome = cycle();
        let run = run(&outcome, false);
        let mut lines = Vec::new();
        write_complaints(Report::new(&run), &mut lines)?;
        assert_eq!(
            String::from_utf8_lossy(&lines),
            "sysopt: cannot read 'logs/secret': Permission denied\n\
             sysopt: cannot rotate 'logs/api.log': Permission denied\n\
             sysopt: warning: logs/odd\\nname is strange\n"
        );
        Ok(())
    }
}
