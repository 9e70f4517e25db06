//! `post_rotate`: a command that is run after a log was renamed.
//!
//! No shell reads it. It has a process group of its own, which is killed as a whole when its time is
//! over, so that a hook which hangs in a child does not hold the run.

use std::io::{self, PipeReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::Run;
use super::step::{Halt, Step, entry_of};
use crate::fs::compress::{Watch, stopped};
use crate::plan::action::{Hook, Subject};
use crate::plan::readable;

/// How often it is asked whether it has ended.
const STEP: Duration = Duration::from_millis(10);
/// How much longer it may take once a signal asked us to end.
const GRACE: Duration = Duration::from_secs(1);
/// How much of what it said last is told.
const LAST_WORDS: usize = 512;

impl Run<'_> {
    /// Runs a hook to its end.
    pub fn hook(&mut self, log: Subject, hook: &Hook) -> Result<Step, Halt> {
        let entry = self.inventory.entry(entry_of(log)?);
        let root = &self.inventory.root(self.inventory.root_of(entry)).path;
        let log = root.join(self.inventory.relative_path(entry));
        let Some((program, arguments)) = hook.argv.split_first() else {
            return Err(failed(hook, "has no command"));
        };
        let (said, says) = std::io::pipe()?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("SYSOPT_ROTATED", log.with_file_name(&hook.rotated))
            .env("SYSOPT_LOG", log)
            .stdin(Stdio::null())
            .stdout(says.try_clone()?)
            .stderr(says)
            .process_group(0);
        let child = command.spawn();
        // Our ends of the pipe close with it.
        drop(command);
        let child = child.map_err(|error| failed(hook, &format!("cannot be run: {error}")))?;
        let mut running = Running {
            child,
            said,
            words: Vec::new(),
        };
        match running.wait(hook.timeout, self.surroundings)? {
            Some(status) if status.success() => Ok(Step::done(0)),
            Some(status) => Err(failed(hook, &running.ended(status))),
            None => Err(failed(
                hook,
                &format!("was killed after {:?}", hook.timeout),
            )),
        }
    }
}

fn failed(hook: &Hook, what: &str) -> Halt {
    let name = hook.argv.first().map(readable::path).unwrap_or_default();
    Halt::Failed(io::Error::other(format!("post_rotate: '{name}' {what}")))
}

struct Running {
    child: Child,
    said: PipeReader,
    words: Vec<u8>,
}

impl Running {
    /// How it ended; `None` where its time was over.
    fn wait(&mut self, timeout: Duration, watch: &dyn Watch) -> io::Result<Option<ExitStatus>> {
        rustix::io::ioctl_fionbio(&self.said, true)?;
        let begun = Instant::now();
        let mut asked_to_end = None;
        loop {
            self.listen();
            if let Some(status) = self.child.try_wait()? {
                self.listen();
                return Ok(Some(status));
            }
            if watch.stop() {
                asked_to_end.get_or_insert_with(Instant::now);
            }
            let interrupted = asked_to_end.is_some_and(|since| since.elapsed() >= GRACE);
            if interrupted || begun.elapsed() >= timeout {
                self.kill()?;
                return if interrupted {
                    Err(stopped())
                } else {
                    Ok(None)
                };
            }
            std::thread::sleep(STEP);
        }
    }

    /// Takes what it has said, so that it never waits for us; the last of it is kept.
    fn listen(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.said.read(&mut buffer) {
            self.words.extend_from_slice(&buffer[..count]);
            let surplus = self.words.len().saturating_sub(LAST_WORDS);
            self.words.drain(..surplus);
        }
    }

    /// It and all that it started in its group.
    fn kill(&mut self) -> io::Result<()> {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // A group that has just ended is no failure.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        self.child.wait().map(drop)
    }

    /// The code or signal, and the last line that it wrote.
    fn ended(&self, status: ExitStatus) -> String {
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "failed".to_owned(),
        };
        let said = String::from_utf8_lossy(&self.words);
        match said.trim().lines().next_back() {
            Some(line) => format!("{how}: {}", readable::path(line)),
            None => how,
        }
    }
}
