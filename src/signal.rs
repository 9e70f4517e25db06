//! The stop flag: what SIGINT, SIGTERM and SIGHUP ask for.
//!
//! The first signal ends the run after the item in hand, with a report; a second one ends it at
//! once. That too loses nothing, because every effect is complete before it has a final name.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level};

/// The signals that have come.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    first: Arc<AtomicUsize>,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// Those of `sigaction(2)`.
    pub fn listen() -> io::Result<Self> {
        let signals = Self::default();
        // One flag for all three: whoever sends SIGTERM after Ctrl-C wants the end now.
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the second signal finds the flag that the first one set.
            flag::register_conditional_default(signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
            let number = usize::try_from(signal).unwrap_or(0);
            flag::register_usize(signal, Arc::clone(&signals.first), number)?;
        }
        // A file size limit is an error to report (EFBIG), not an end.
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        Ok(signals)
    }

    /// The signal that came, if any.
    #[must_use]
    pub fn received(&self) -> Option<i32> {
        match self.first.load(Ordering::Relaxed) {
            0 => None,
            number => i32::try_from(number).ok(),
        }
    }
}

/// Ends the process by the signal itself, so that a shell or a supervisor sees why.
///
/// # Errors
/// Those of `raise(3)`; the caller then exits with a code.
pub fn die_by(signal: i32) -> io::Result<()> {
    low_level::emulate_default_handler(signal)
}
