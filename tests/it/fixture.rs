//! A tree on a real file system, and the built binary run on it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

/// A day.
pub const DAY: Duration = Duration::from_hours(24);
/// An hour.
pub const HOUR: Duration = Duration::from_hours(1);

/// A base directory with nothing in it, and a home of its own.
pub struct Tree {
    dir: TempDir,
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    /// The signal that it died by.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// One file of a [`Tree::snapshot`]: type and mode, size, times in nanoseconds, content.
pub type Shot = BTreeMap<PathBuf, (u32, u64, i128, i128, Content)>;

/// Bytes of a file; where two trees differ, their beginning is enough to see.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(pub Vec<u8>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = &self.0[..self.0.len().min(40)];
        write!(f, "{} bytes: {}", self.0.len(), head.escape_ascii())
    }
}

impl Tree {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("sysopt").tempdir().unwrap();
        fs::create_dir(dir.path().join("base")).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir }
    }

    pub fn base(&self) -> PathBuf {
        self.dir.path().join("base")
    }

    /// Beside the base.
    pub fn outside(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.base().join(below)
    }

    /// Writes a file, with the directories on its way.
    pub fn write(&self, below: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a file last used and modified so long ago.
    pub fn aged(&self, below: impl AsRef<Path>, bytes: impl AsRef<[u8]>, age: Duration) -> PathBuf {
        let path = self.write(below, bytes);
        set_age(&path, age);
        path
    }

    pub fn config(&self, text: &str) -> PathBuf {
        self.write("sysopt.toml", text)
    }

    /// The command with an environment of its own, in the base.
    pub fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sysopt"));
        self.prepare(&mut command, args);
        command
    }

    /// Gives another command (strace) the same environment.
    pub fn prepare<A: AsRef<OsStr>>(&self, command: &mut Command, args: &[A]) {
        command
            .args(args)
            .current_dir(self.base())
            .env_clear()
            .env("HOME", self.dir.path().join("home"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null());
    }

    /// The command as another user, who can read and search the tree as it is now, and execute a
    /// copy of sysopt beside the base.
    pub fn as_user<A: AsRef<OsStr>>(&self, id: u32, args: &[A]) -> Command {
        use std::os::unix::process::CommandExt;
        let copy = self.outside().join("sysopt");
        // By another process: a child that another test starts while we have the copy open for
        // writing would keep it from being executed.
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_sysopt"))
            .arg(&copy)
            .status();
        assert!(copied.unwrap().success());
        for place in [self.outside(), &self.outside().join("home"), &copy] {
            fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(copy);
        self.prepare(&mut command, args);
        command.uid(id).gid(id);
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// The home that runs here have.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Starts it with both streams caught.
    pub fn spawn<A: AsRef<OsStr>>(&self, args: &[A]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The command as the user of that number, who may come to the base but owns nothing there.
    pub fn command_as<A: AsRef<OsStr>>(&self, uid: u32, args: &[A]) -> Command {
        // The build directory may be closed to others.
        let copy = self.dir.path().join("sysopt");
        if !copy.exists() {
            // By another process: a child that another test starts while we have the copy open for
            // writing would keep it from being executed.
            let copied = Command::new("cp")
                .arg(env!("CARGO_BIN_EXE_sysopt"))
                .arg(&copy)
                .status();
            assert!(copied.unwrap().success());
            set_mode(self.dir.path(), 0o755);
        }
        let mut command = Command::new(copy);
        self.prepare(&mut command, args);
        command.uid(uid).gid(uid);
        command
    }

    /// Runs it and reads its report.
    pub fn json<A: AsRef<OsStr>>(&self, args: &[A]) -> (Ran, Value) {
        let mut all: Vec<&OsStr> = vec![OsStr::new("--format"), OsStr::new("json")];
        all.extend(args.iter().map(AsRef::as_ref));
        let ran = self.run(&all);
        let report = ran.report();
        (ran, report)
    }

    /// Everything below the base as it is now, looked at without touching access times.
    pub fn snapshot(&self) -> Shot {
        snapshot(&self.base())
    }

    /// Paths of all files below the base, but for sysopt's own state.
    pub fn files(&self) -> Vec<String> {
        self.snapshot()
            .into_iter()
            .filter(|(path, shot)| {
                !path.starts_with(".sysopt") && shot.0 & libc::S_IFMT != libc::S_IFDIR
            })
            .map(|(path, _)| path.to_string_lossy().into_owned())
            .collect()
    }
}

impl Ran {
    /// The one JSON document on stdout.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}) from {self:?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Sets both times of a file to so long ago.
pub fn set_age(path: &Path, age: Duration) {
    let time = SystemTime::now() - age;
    let file = File::open(path).unwrap();
    file.set_times(FileTimes::new().set_accessed(time).set_modified(time))
        .unwrap();
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Waits until something is so; whether it came to be so within that time.
pub fn within(limit: Duration, mut so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !so() {
        if begun.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// The end of a run that must come to one; a run that hangs is killed.
pub fn finish(mut child: Child, limit: Duration) -> Ran {
    let ended = within(limit, || child.try_wait().unwrap().is_some());
    if !ended {
        child.kill().unwrap();
    }
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert!(ended, "still running after {limit:?}: {ran:?}");
    ran
}

pub fn snapshot(base: &Path) -> Shot {
    walkdir::WalkDir::new(base)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let seen = entry.path().symlink_metadata().unwrap();
            let content = if seen.is_file() {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                // Reading is ours, not sysopt's: what it did to the access time is undone.
                restore_times(entry.path(), &seen);
                bytes
            } else {
                Vec::new()
            };
            let nanoseconds =
                |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
            // Listing a directory or following a link may touch its access time; that is harmless,
            // and allowed.
            let atime = if seen.is_file() {
                nanoseconds(seen.atime(), seen.atime_nsec())
            } else {
                0
            };
            let below = entry.path().strip_prefix(base).unwrap().to_path_buf();
            let mtime = nanoseconds(seen.mtime(), seen.mtime_nsec());
            let size = if seen.is_dir() { 0 } else { seen.size() };
            (
                below,
                (
                    seen.permissions().mode(),
                    size,
                    mtime,
                    atime,
                    Content(content),
                ),
            )
        })
        .collect()
}

fn restore_times(path: &Path, seen: &fs::Metadata) {
    if let (Ok(file), Ok(accessed), Ok(modified)) =
        (File::open(path), seen.accessed(), seen.modified())
    {
        let _ = file.set_times(
            FileTimes::new()
                .set_accessed(accessed)
                .set_modified(modified),
        );
    }
}

/// The operation of that name in a report.
pub fn operation<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["operations"]
        .as_array()
        .and_then(|list| list.iter().find(|operation| operation["operation"] == name))
        .unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// The paths of an operation's actions, with their verb and status.
pub fn actions(report: &Value, name: &str) -> Vec<(String, String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    operation(report, name)["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| {
            (
                word(&action["action"]),
                word(&action["path"]),
                word(&action["status"]),
            )
        })
        .collect()
}

/// A small filesystem of its own, for as long as this lives; needs `require::own_machine`.
pub struct Tmpfs(TempDir);

impl Tmpfs {
    /// Mounts one of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let dir = tempfile::Builder::new().prefix("tmpfs").tempdir().unwrap();
        let options = format!("size={bytes},mode=755");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], dir.path());
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Bytes in use, as the filesystem itself counts them.
    pub fn used(&self) -> u64 {
        used(self.path())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Bytes in use on the filesystem of a path.
pub fn used(path: &Path) -> u64 {
    let vfs = rustix::fs::statvfs(path).unwrap();
    (vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize
}

/// Mounts something on a directory.
pub fn mount(args: &[&str], at: &Path) {
    let mounted = Command::new("mount").args(args).arg(at).status().unwrap();
    assert!(mounted.success(), "mount {args:?} {}", at.display());
}

/// The base of a tree on a filesystem of its own.
impl Tree {
    /// A tree whose base is on that filesystem.
    pub fn on(filesystem: &Tmpfs) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("sysopt")
            .tempdir_in(filesystem.path())
            .unwrap();
        fs::create_dir(dir.path().join("base")).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir }
    }

    /// The entries of a directory below the base, sorted; none where it does not exist.
    pub fn names(&self, below: impl AsRef<Path>) -> Vec<String> {
        let Ok(list) = fs::read_dir(self.path(below)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = list
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Rotated files of a log below the base, oldest first.
    pub fn rotated(&self, log: &str) -> Vec<PathBuf> {
        rotated(&self.path(log))
    }

    /// What was ever written to a log: its rotated files, then the log.
    pub fn stream(&self, log: &str) -> Vec<u8> {
        let live = self.path(log);
        let mut stream = Vec::new();
        let mut last: Option<(PathBuf, Vec<u8>)> = None;
        for path in rotated(&live) {
            let bytes = unpack(&path);
            let stem = without_suffix(&path);
            if let Some((other, same)) = &last
                && *other == stem
            {
                assert!(*same == bytes, "two forms of {} differ", stem.display());
                continue;
            }
            stream.extend_from_slice(&bytes);
            last = Some((stem, bytes));
        }
        let live_bytes = fs::read(&live).unwrap_or_default();
        stream.extend_from_slice(&live_bytes[rotated_head(&live, &live_bytes)..]);
        stream
    }
}

/// Bytes at the head of a log that are in a rotated file, as the record of a rotation says which is
/// not complete.
fn rotated_head(live: &Path, bytes: &[u8]) -> usize {
    let mut name = OsStr::new(".").to_os_string();
    name.push(live.file_name().unwrap());
    name.push(".sysopt-rotation");
    let Ok(text) = fs::read(live.with_file_name(name)) else {
        return 0;
    };
    let record: Value = serde_json::from_slice(&text).unwrap();
    let cut = usize::try_from(record["cut"].as_u64().unwrap()).unwrap();
    let mut to = live.file_name().unwrap().to_os_string();
    to.push(record["rotated"].as_str().unwrap());
    let still_there = match record["stage"].as_str() {
        Some("archived") => live.with_file_name(to).exists(),
        // Else it was collapsed.
        _ => bytes.len() >= cut && bytes[..cut].iter().all(|byte| *byte == 0),
    };
    if still_there { cut.min(bytes.len()) } else { 0 }
}

fn without_suffix(path: &Path) -> PathBuf {
    match path.extension().and_then(OsStr::to_str) {
        Some("gz" | "zst") => path.with_extension(""),
        _ => path.to_path_buf(),
    }
}

/// Files beside a log that are named like rotated files of it, in the order of rotation.
fn rotated(live: &Path) -> Vec<PathBuf> {
    let mut prefix = live.file_name().unwrap().to_os_string();
    prefix.push("-2");
    let list = fs::read_dir(live.parent().unwrap()).unwrap();
    let mut found: Vec<PathBuf> = list
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().as_encoded_bytes();
            name.starts_with(prefix.as_encoded_bytes())
        })
        .collect();
    // `X-2` comes after `X`, and `X-10` after `X-2`.
    found.sort_by_key(|path| {
        let stem = without_suffix(path);
        (stem.as_os_str().len(), stem, path.clone())
    });
    found.sort_by_key(|path| {
        let stem = without_suffix(path).into_os_string().into_encoded_bytes();
        let at = live.as_os_str().len() + 1;
        stem[at..at + 16].to_vec()
    });
    found
}

/// The content of a rotated file; one that does not decode fails the test.
pub fn unpack(path: &Path) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = File::open(path).unwrap();
    let read = match path.extension().and_then(OsStr::to_str) {
        Some("gz") => flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes),
        Some("zst") => zstd::stream::read::Decoder::new(file)
            .unwrap()
            .read_to_end(&mut bytes),
        _ => (&file).read_to_end(&mut bytes),
    };
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes
}

/// The content of a file, without its being used by that.
pub fn peek(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let mut bytes = Vec::new();
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOATIME)
        .open(path)?
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Numbered lines, of so many bytes or a little more.
pub fn lines(label: &str, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 64);
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        text.extend_from_slice(format!("{label} {number} of the log\n").as_bytes());
    }
    text
}

/// Lines of a `.jsonl` file.
pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Whether `sha256sum -c` accepts the list in an archive; true where there is no list.
pub fn sums_hold(archive: &Path) -> bool {
    let list = archive.join("SHA256SUMS");
    if fs::metadata(&list).map_or(true, |list| list.len() == 0) {
        return true;
    }
    Command::new("sha256sum")
        .args(["-c", "--quiet", "--strict", "SHA256SUMS"])
        .current_dir(archive)
        .output()
        .unwrap()
        .status
        .success()
}

/// The sha256 of a file by coreutils.
pub fn sha256sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg("-b").arg(path).output();
    let stdout = output.unwrap().stdout;
    let text = String::from_utf8(stdout).unwrap();
    text.trim_start_matches('\\')[..64].to_owned()
}

/// Statuses of an operation's actions.
pub fn statuses(report: &Value, name: &str) -> Vec<String> {
    actions(report, name)
        .into_iter()
        .map(|(.., status)| status)
        .collect()
}

/// The reasons why something was kept, by path; the run must be verbose.
pub fn kept(report: &Value, name: &str) -> BTreeMap<String, String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    operation(report, name)["kept"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kept| (word(&kept["path"]), word(&kept["reason"])))
        .collect()
}
