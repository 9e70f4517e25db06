//! Processes that write numbered lines to a log as fast as they can, and never reopen it.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::fixture::{Tree, within};

/// Each writer numbers its lines, which have many lengths; it ends when its standard input does.
const WRITER: &str = r#"
import os, select, sys
path, count, flags, pause = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
mode = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if flags == "append" else 0)
children = []
stop_read, stop_write = os.pipe()
for writer in range(count):
    child = os.fork()
    if child == 0:
        os.close(stop_write)
        log = os.open(path, mode, 0o644)
        number = 0
        while number % 50 or not select.select([stop_read], [], [], pause)[0]:
            text = "writer %d line %d %s\n" % (writer, number, "x" * (number * 7 % 101))
            os.write(log, text.encode())
            number += 1
        os.write(1, b"%d %d\n" % (writer, number))
        os._exit(0)
    children.append(child)
sys.stdin.buffer.read()
os.close(stop_write)
for child in children:
    os.waitpid(child, 0)
"#;

/// Writers at work.
pub struct Writers {
    child: Child,
    log: PathBuf,
}

impl Writers {
    /// So many processes that append to a log, each pausing so long (in seconds) after 50 lines.
    pub fn append(log: &Path, count: usize, pause: f64) -> Self {
        Self::start(log, count, "append", pause)
    }

    /// One that has an offset of its own.
    pub fn overwrite(log: &Path, pause: f64) -> Self {
        Self::start(log, 1, "overwrite", pause)
    }

    fn start(log: &Path, count: usize, flags: &str, pause: f64) -> Self {
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        let child = Command::new("python3")
            .args(["-c", WRITER])
            .arg(log)
            .args([&count.to_string(), flags, &pause.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let writers = Self {
            child,
            log: log.to_path_buf(),
        };
        writers.wait_for(1);
        writers
    }

    /// Waits until the log takes so many bytes on disk.
    pub fn wait_for(&self, bytes: u64) {
        use std::os::unix::fs::MetadataExt as _;
        let taken = || fs::metadata(&self.log).map_or(0, |log| log.size().min(log.blocks() * 512));
        assert!(
            within(Duration::from_mins(1), || taken() >= bytes),
            "the writers are too slow"
        );
    }

    /// Ends them; how many lines each of them wrote.
    pub fn end(mut self) -> HashMap<usize, usize> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        let pair = |line: &str| {
            let (writer, lines) = line.split_once(' ').unwrap();
            (writer.parse().unwrap(), lines.parse().unwrap())
        };
        text.lines().map(pair).collect()
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        // A test that failed: without their input they end.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Every line is in the rotated files and the log once, and those of each writer in order; a hole
/// at the head of the log is none of it.
pub fn every_line_once(tree: &Tree, log: &str, written: &HashMap<usize, usize>) {
    let mut stream = Vec::new();
    for path in tree.rotated(log) {
        stream.extend(crate::fixture::unpack(&path));
    }
    let live = fs::read(tree.path(log)).unwrap();
    let hole = live.iter().take_while(|byte| **byte == 0).count();
    stream.extend_from_slice(&live[hole..]);
    let text = String::from_utf8(stream).unwrap();
    let mut next: HashMap<usize, usize> = HashMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let at = |index: usize| words[index].parse::<usize>().unwrap();
        let (writer, number) = (at(1), at(3));
        let expected = next.entry(writer).or_default();
        assert_eq!(number, *expected, "of writer {writer}: {line:?}");
        assert_eq!(words[4].len(), number * 7 % 101, "{line:?}");
        *expected += 1;
    }
    assert_eq!(next, *written);
}

/// gzip and zstd take every rotated file for whole.
pub fn archives_are_valid(tree: &Tree, log: &str) {
    for path in tree.rotated(log) {
        let tool = match path.extension().and_then(|end| end.to_str()) {
            Some("gz") => "gzip",
            Some("zst") => "zstd",
            _ => continue,
        };
        let tested = Command::new(tool).arg("-tq").arg(&path).status().unwrap();
        assert!(tested.success(), "{tool} -t {}", path.display());
    }
}

/// Records of rotations that are not complete.
pub fn records(tree: &Tree, directory: &str) -> Vec<String> {
    let mut names = tree.names(directory);
    names.retain(|name| name.ends_with(".sysopt-rotation"));
    names
}

/// Whether files below the system's temporary directory can be collapsed (ext4, XFS, f2fs).
pub fn can_collapse() -> bool {
    let kinds = [0xEF53, 0x5846_5342, 0xF2F5_2010];
    let stat = rustix::fs::statfs(std::env::temp_dir()).unwrap();
    kinds.contains(&(i128::from(stat.f_type) & 0xFFFF_FFFF))
        || crate::require::missing("no ext4, XFS or f2fs at TMPDIR")
}
