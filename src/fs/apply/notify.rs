//! A signal to the writer of a log that was rotated.
//!
//! Whoever can write a pid file decides which process a signal reaches. So the file must belong to
//! root or to the log's owner, and the process too, and the signal goes to the very process that
//! was looked at (`pidfd_send_signal(2)`), not to one that got its number since.

use std::io::{self, Read};
use std::path::Path;

use super::Run;
use super::signal::handle;
use super::step::{Halt, Step, entry_of};
use crate::fs::dir;
use crate::plan::action::Subject;
use crate::plan::agents::signal_number;
use crate::plan::policy::Signal;
use crate::plan::readable;
use crate::plan::time::Time;

/// A number and a line end.
const PID_FILE: u64 = 64;

impl Run<'_> {
    /// Sends the signal. An agent that does not run, or has no pid file, has nothing to reopen.
    pub fn signal(&mut self, log: Subject, signal: &Signal) -> Result<Step, Halt> {
        let log = self.inventory.entry(entry_of(log)?);
        let owner = self.inventory.owner(log.owner).uid;
        let (pid, written) = read(&signal.pid_file, owner)?;
        let file = readable::path(&signal.pid_file);
        let gone = || Halt::Changed(format!("process {pid} of {file} is gone: nobody to signal"));
        let process = handle::open(pid).map_err(|halt| match halt {
            Halt::Changed(_) => gone(),
            halt => halt,
        })?;
        let belongs_to = (self.surroundings.process)(pid, written).ok_or_else(gone)?;
        if belongs_to != 0 && belongs_to != owner {
            return Err(failed(format!(
                "process {pid} of {file} belongs to user {belongs_to}, neither root nor the log's \
                 owner ({owner}): not signalled"
            )));
        }
        let number = signal_number(&signal.name)
            .ok_or_else(|| failed(format!("SIG{} cannot be sent", signal.name)))?;
        handle::send(&process, number).map_err(|halt| match halt {
            Halt::Changed(_) => gone(),
            halt => halt,
        })?;
        Ok(Step::done(0))
    }
}

/// The process that a pid file names, and when that was written.
fn read(path: &Path, owner: u32) -> Result<(u32, Time), Halt> {
    let shown = readable::path(path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(format!("{shown} is no pid file")));
    };
    let opened = dir::open_root(parent).and_then(|dir| dir::open_file(dir, name));
    let (file, seen) = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Halt::Changed(format!(
                "{shown} does not exist: nobody to signal"
            )));
        }
        Err(error) => return Err(failed(format!("cannot read {shown}: {error}"))),
        Ok(opened) => opened,
    };
    let theirs = seen.stat.owner;
    if (theirs.uid != 0 && theirs.uid != owner) || theirs.mode & 0o002 != 0 {
        return Err(failed(format!(
            "{shown} can be written by others than root and the log's owner: not trusted"
        )));
    }
    let mut text = String::new();
    file.take(PID_FILE).read_to_string(&mut text)?;
    let first = text.split_whitespace().next().unwrap_or_default();
    let pid = first.parse().ok().filter(|pid| *pid > 1);
    let pid = pid.ok_or_else(|| failed(format!("{shown} holds no process id")))?;
    Ok((pid, seen.stat.mtime))
}

fn failed(what: String) -> Halt {
    Halt::Failed(io::Error::other(what))
}
