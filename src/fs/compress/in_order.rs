//! Blocks that are worked on at the same time and handed over in their order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many blocks for each thread may be begun and not yet handed over: a bound on memory.
const AHEAD: u64 = 2;

/// Does `work` for the blocks `0..count` on up to `threads` threads, of which the caller's is one,
/// and calls `hand_over` with each result in order. Each thread has a state of its own. With one
/// thread no other is started, and the blocks are worked on and handed over one by one.
///
/// # Errors
/// The first one of `work` or `hand_over`; no further block is begun then.
pub fn in_order<S, T: Send>(
    count: u64,
    threads: usize,
    state: impl Fn() -> io::Result<S> + Sync,
    work: impl Fn(&mut S, u64) -> io::Result<T> + Sync,
    hand_over: impl FnMut(T) -> io::Result<()> + Send,
) -> io::Result<()> {
    let threads = usize::try_from(count).map_or(threads, |count| threads.min(count));
    let line = Line {
        count,
        ahead: AHEAD * threads.max(1) as u64,
        places: Mutex::new(Places {
            begun: 0,
            handed_over: 0,
            waiting: BTreeMap::new(),
            failure: None,
            hand_over,
        }),
        moved: Condvar::new(),
    };
    let worker = || {
        let guard = EndsOnPanic(&line);
        match state() {
            Ok(mut state) => {
                while let Some(block) = line.next() {
                    line.put(block, work(&mut state, block));
                }
            }
            Err(error) => line.fail(error),
        }
        drop(guard);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
    let places = line.places.into_inner();
    match places.unwrap_or_else(PoisonError::into_inner).failure {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Line<T, H> {
    count: u64,
    ahead: u64,
    places: Mutex<Places<T, H>>,
    /// Told when a block was handed over, or all is over.
    moved: Condvar,
}

struct Places<T, H> {
    begun: u64,
    handed_over: u64,
    /// Done before their turn.
    waiting: BTreeMap<u64, T>,
    failure: Option<io::Error>,
    hand_over: H,
}

impl<T, H: FnMut(T) -> io::Result<()>> Line<T, H> {
    /// The next block to work on, once there is room for it; `None` at the end.
    fn next(&self) -> Option<u64> {
        let mut places = self.lock();
        loop {
            if places.failure.is_some() || places.begun == self.count {
                return None;
            }
            if places.begun < places.handed_over + self.ahead {
                places.begun += 1;
                return Some(places.begun - 1);
            }
            let waited = self.moved.wait(places);
            places = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes a result, and hands over all whose turn it is.
    fn put(&self, block: u64, made: io::Result<T>) {
        let made = match made {
            Ok(made) => made,
            Err(error) => return self.fail(error),
        };
        let mut places = self.lock();
        places.waiting.insert(block, made);
        while places.failure.is_none() {
            let turn = places.handed_over;
            let Some(made) = places.waiting.remove(&turn) else {
                break;
            };
            let handed_over = (places.hand_over)(made);
            places.handed_over += 1;
            places.failure = handed_over.err();
        }
        drop(places);
        self.moved.notify_all();
    }

    fn fail(&self, error: io::Error) {
        self.lock().failure.get_or_insert(error);
        self.moved.notify_all();
    }
}

impl<T, H> Line<T, H> {
    fn lock(&self) -> MutexGuard<'_, Places<T, H>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that panics must not leave the others waiting for its block.
struct EndsOnPanic<'a, T, H>(&'a Line<T, H>);

impl<T, H> Drop for EndsOnPanic<'_, T, H> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = io::Error::other("a thread ended early");
            self.0.lock().failure.get_or_insert(error);
            self.0.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_from_any_number_of_threads() {
        for (count, threads) in [(0, 1), (1, 4), (100, 1), (100, 2), (1000, 7)] {
            let mut got = Vec::new();
            let work = |(): &mut (), block: u64| {
                if block.is_multiple_of(3) {
                    std::thread::yield_now();
                }
                Ok(block)
            };
            let hand_over = |block| {
                got.push(block);
                Ok(())
            };
            in_order(count, threads, || Ok(()), work, hand_over).unwrap();
            assert_eq!(got, (0..count).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[test]
    fn no_thread_runs_ahead_of_what_is_handed_over() {
        let (begun, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let most = AtomicU64::new(0);
        let work = |(): &mut (), _: u64| {
            let ahead = begun.fetch_add(1, Ordering::SeqCst) + 1 - done.load(Ordering::SeqCst);
            most.fetch_max(ahead, Ordering::SeqCst);
            Ok(())
        };
        let hand_over = |()| {
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        in_order(500, 4, || Ok(()), work, hand_over).unwrap();
        assert!(most.into_inner() <= 4 * AHEAD);
    }

    #[test]
    fn the_first_failure_ends_all() {
        for threads in [1, 4] {
            let mut got = Vec::new();
            let work = |(): &mut (), block: u64| match block {
                20 => Err(io::ErrorKind::StorageFull.into()),
                block => Ok(block),
            };
            let hand_over = |block| {
                got.push(block);
                Ok(())
            };
            let ended = in_order(1000, threads, || Ok(()), work, hand_over);
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::StorageFull);
            assert!(got.len() <= 20, "{got:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_ends_all() {
        let hand_over = |block| match block {
            5 => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        };
        let ended = in_order(
            1000,
            4,
            || Ok(()),
            |(): &mut (), block| Ok(block),
            hand_over,
        );
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
