//! The exit codes, in one place because scripts rely on them.
//!
//! A run that a signal ended has no code here: it dies by that signal.

use std::process::ExitCode;

/// How a run ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All that was due is done; nothing was due; or it was a dry run.
    Success = 0,
    /// It could not do its job at all, or could not report it.
    Failure = 1,
    /// A usage or configuration error: nothing was touched.
    Usage = 2,
    /// It finished, but some items failed or time ran out; the report names them.
    Partial = 3,
    /// Another run holds the lock.
    Locked = 11,
}

impl Exit {
    /// The code that the shell sees in `$?`.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_the_contract() {
        let codes = [
            (Exit::Success, 0),
            (Exit::Failure, 1),
            (Exit::Usage, 2),
            (Exit::Partial, 3),
            (Exit::Locked, 11),
        ];
        for (exit, code) in codes {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }
}
