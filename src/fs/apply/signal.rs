//! Asking agents for memory, and measuring what came of it.
//!
//! The handle of a process (`pidfd_open(2)`) is taken first and its identity looked at after that,
//! so that the process that was looked at is the one that gets the signal, or nobody does.

use std::time::{Duration, Instant};

use super::Run;
use super::step::{Halt, Step};
use crate::plan::action::{OperationPlan, Task};
use crate::plan::agents::{Before, Effect, Measured, Reclaim, Verdict, judge, refusal};
use crate::plan::outcome::{OperationOutcome, Status};

/// How long an effect is given to show.
const SETTLE: Duration = Duration::from_secs(2);
/// How often a signal to us is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(50);

impl Run<'_> {
    /// Sends the signal to the process that was planned, if it still handles it.
    pub fn reclaim(&mut self, reclaim: &Reclaim) -> Result<Step, Halt> {
        let handle = handle::open(reclaim.pid)?;
        let machine = self.surroundings.machine;
        let now = machine.standing(reclaim.pid);
        if let Some(why) = refusal(reclaim, now.as_ref()) {
            return Err(Halt::Changed(why));
        }
        let before = Before {
            memory_available: machine.memory_available(),
            rss_bytes: now.and_then(|now| now.rss_bytes),
            ticks: machine.ticks(),
        };
        handle::send(&handle, reclaim.signal)?;
        // Only of what was done, which is what is measured.
        self.before.push(before);
        Ok(Step::done(0))
    }

    /// Waits two seconds where there is something to measure, and judges each action by what it was
    /// to move.
    pub fn measure(&mut self, operation: &OperationPlan, outcome: &mut OperationOutcome) {
        let before = std::mem::take(&mut self.before);
        if !before.is_empty() {
            self.settle();
        }
        let mut before = before.iter();
        for (number, action) in (0_u32..).zip(&operation.actions) {
            if !matches!(action.task, Task::Reclaim(_) | Task::Pace(_)) {
                continue;
            }
            let effect = match outcome.statuses.get(number as usize) {
                Some(Status::Done) => before
                    .next()
                    .map(|before| self.judge(number, &action.task, before, outcome)),
                Some(Status::NotReached) | None => Some(Effect::none(Verdict::Skipped)),
                Some(_) => Some(Effect::none(Verdict::Refused)),
            };
            outcome
                .effects
                .extend(effect.map(|effect| (number, effect)));
        }
    }

    fn settle(&self) {
        let begun = Instant::now();
        while begun.elapsed() < SETTLE && (self.surroundings.stop)().is_none() {
            std::thread::sleep(LOOK);
        }
    }

    fn judge(
        &self,
        number: u32,
        task: &Task,
        before: &Before,
        outcome: &mut OperationOutcome,
    ) -> Effect {
        let machine = self.surroundings.machine;
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let available = machine.memory_available().map(signed);
        let (now, then) = (machine.ticks(), before.ticks.as_ref());
        let mut measured = Measured {
            mem_available_delta_bytes: available
                .zip(before.memory_available)
                .map(|(now, then)| now - signed(then)),
            after_seconds: now
                .as_ref()
                .zip(then)
                .and_then(|(now, then)| now.deltas_since(then).seconds)
                .unwrap_or_default(),
            note: "includes other activity",
            ..Measured::default()
        };
        match task {
            Task::Reclaim(reclaim) => {
                let standing = machine.standing(reclaim.pid);
                let same = standing.filter(|now| now.start_ticks == reclaim.start_ticks);
                measured.rss_before_bytes = before.rss_bytes;
                measured.rss_after_bytes = same.as_ref().and_then(|now| now.rss_bytes);
                if same.is_none() {
                    ended(number, &reclaim.name, outcome);
                }
            }
            Task::Pace(pace) => {
                measured.cpu_before_percent = pace.cpu_percent;
                measured.cpu_after_percent = now
                    .as_ref()
                    .zip(then)
                    .and_then(|(now, then)| now.busy_percent_since(then));
            }
            _ => {}
        }
        judge(task, measured)
    }
}

/// An agent that is gone two seconds after it was asked is a failure, whatever ended it.
fn ended(number: u32, name: &str, outcome: &mut OperationOutcome) {
    if let Some(status) = outcome.statuses.get_mut(number as usize) {
        *status = Status::Failed;
    }
    let error = format!("it ended within two seconds of SIG{name}");
    outcome.errors.insert(number, error);
}

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
pub(super) mod handle {
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use super::Halt;

    pub fn open(pid: u32) -> Result<OwnedFd, Halt> {
        let gone = || Halt::Changed("it is gone".to_owned());
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        match pidfd_open(pid.ok_or_else(gone)?, PidfdFlags::empty()) {
            Err(Errno::SRCH) => Err(gone()),
            Err(error) => Err(Halt::Failed(error.into())),
            Ok(handle) => Ok(handle),
        }
    }

    pub fn send(handle: &OwnedFd, signal: i32) -> Result<(), Halt> {
        let unknown = || Halt::Failed(std::io::ErrorKind::InvalidInput.into());
        let signal = Signal::from_named_raw(signal).ok_or_else(unknown)?;
        match pidfd_send_signal(handle, signal) {
            Err(Errno::SRCH) => Err(Halt::Changed("it is gone".to_owned())),
            Err(error) => Err(Halt::Failed(error.into())),
            Ok(()) => Ok(()),
        }
    }
}

/// Without handles on processes, a signal could reach another process than the one meant.
#[cfg(not(all(target_os = "linux", not(sysopt_portable))))]
pub(super) mod handle {
    use super::Halt;

    pub fn open(_pid: u32) -> Result<(), Halt> {
        Err(Halt::Changed(
            "this system has no handles on processes".to_owned(),
        ))
    }

    pub fn send(_handle: &(), _signal: i32) -> Result<(), Halt> {
        Err(Halt::Failed(std::io::ErrorKind::Unsupported.into()))
    }
}
