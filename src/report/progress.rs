//! How far a run has come, on stderr, for someone who waits.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::label;
use crate::plan::action::Operation;
use crate::plan::outcome::Progress;

/// Work that is over sooner gets no bar: it would only flicker.
const PATIENCE: Duration = Duration::from_millis(300);

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Operation, _: u64, _: u64) {}
    fn action(&self) {}
    fn bytes(&self, _: u64) {}
}

/// A bar on stderr, one operation at a time: bytes where there are any to read, else actions.
#[derive(Debug, Default)]
pub struct Bar {
    now: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    bar: ProgressBar,
    began: Instant,
    counts_bytes: bool,
}

/// The bar where someone can see it, else silence. `wanted` is neither `--no-progress` nor
/// `--quiet`.
#[must_use]
pub fn on_stderr(wanted: bool) -> Box<dyn Progress + Send + Sync> {
    if wanted && std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        Box::new(Bar::default())
    } else {
        Box::new(Silent)
    }
}

impl Bar {
    fn advance(&self, count: u64, bytes: bool) {
        // A poisoned lock would mean that a bar is missing, no more.
        let Ok(now) = self.now.lock() else { return };
        let Some(current) = now.as_ref() else { return };
        if current.bar.is_hidden() && current.began.elapsed() > PATIENCE {
            current.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if current.counts_bytes == bytes {
            current.bar.inc(count);
        }
    }

    fn clear(&self) {
        if let Ok(mut now) = self.now.lock()
            && let Some(current) = now.take()
        {
            current.bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn begin(&self, operation: Operation, actions: u64, bytes: u64) {
        self.clear();
        let counts_bytes = bytes > 0;
        let length = if counts_bytes { bytes } else { actions };
        let template = if counts_bytes {
            "{prefix:10} [{bar:24}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        } else {
            "{prefix:10} [{bar:24}] {pos} of {len}, {eta} left"
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden())
            .with_style(style)
            .with_prefix(label(operation));
        if let Ok(mut now) = self.now.lock() {
            *now = Some(Current {
                bar,
                began: Instant::now(),
                counts_bytes,
            });
        }
    }

    fn action(&self) {
        self.advance(1, false);
    }

    fn bytes(&self, count: u64) {
        self.advance(count, true);
    }
}

/// The report begins on a clean line.
impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(bar: &Bar) -> Option<(u64, Option<u64>)> {
        let now = bar.now.lock().ok()?;
        let current = now.as_ref()?;
        Some((current.bar.position(), current.bar.length()))
    }

    #[test]
    fn bytes_are_counted_where_there_are_any() {
        let bar = Bar::default();
        bar.bytes(5);
        assert_eq!(position(&bar), None);
        bar.begin(Operation::LogRotation, 2, 100);
        bar.bytes(40);
        bar.action();
        assert_eq!(position(&bar), Some((40, Some(100))));
        bar.begin(Operation::CacheCleanup, 7, 0);
        bar.bytes(40);
        bar.action();
        assert_eq!(position(&bar), Some((1, Some(7))));
    }
}
