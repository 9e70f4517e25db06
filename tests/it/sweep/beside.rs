//! What lives beside a command while it runs.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Companion, World};

/// Something that runs until it is stopped.
pub trait Beside {
    /// Ends it, and lets the tree know what it did.
    fn stop(self: Box<Self>, world: &World);
}

/// Appends numbered lines to a log that it holds open, as a service does.
pub struct Writer {
    log: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u8>>,
}

impl Writer {
    /// Starts one on a log below the base; it goes on with the numbers of an earlier one. At least
    /// one line is there when this returns.
    pub fn on(world: &World, log: &'static str) -> Companion {
        let file = OpenOptions::new()
            .append(true)
            .open(world.tree.path(log))
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let first = String::from_utf8_lossy(&world.written(log)).lines().count();
        let begun = Arc::new(AtomicBool::new(false));
        let thread = {
            let (stop, begun) = (Arc::clone(&stop), Arc::clone(&begun));
            std::thread::spawn(move || write(&file, first, &begun, &stop))
        };
        while !begun.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_micros(100));
        }
        Box::new(Self {
            log: log.into(),
            stop,
            thread,
        })
    }
}

impl Beside for Writer {
    fn stop(self: Box<Self>, world: &World) {
        self.stop.store(true, Ordering::Release);
        let bytes = self.thread.join().unwrap();
        let mut written = world.written.lock().unwrap();
        written.entry(self.log).or_default().extend(bytes);
    }
}

/// Lines that a writer writes at most.
const MOST: usize = 120;

fn write(mut file: &File, first: usize, begun: &AtomicBool, stop: &AtomicBool) -> Vec<u8> {
    let mut all = Vec::new();
    for number in first.. {
        let line = format!("live {number} of the log\n");
        file.write_all(line.as_bytes()).unwrap();
        all.extend_from_slice(line.as_bytes());
        begun.store(true, Ordering::Release);
        // On a busy machine a run takes long: what is written must not make the log due again.
        while number - first >= MOST && !stop.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if stop.load(Ordering::Acquire) {
            break;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    all
}
