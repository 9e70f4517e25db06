//! The rules of every operation, checked and ready to use.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use regex::bytes::{Regex, RegexBuilder};

/// File name patterns. One without `/` is matched against the last component at any depth, one
/// with `/` against the path relative to the directory, where `*` does not cross a `/`.
#[derive(Clone, Default)]
pub struct Globs {
    names: GlobSet,
    paths: GlobSet,
    written: Vec<String>,
}

impl Globs {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// The first pattern that is not a valid glob, with the reason.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, globset::Error> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let glob = GlobBuilder::new(pattern.trim_start_matches("./"))
                .literal_separator(true)
                .build()?;
            if pattern.contains('/') {
                paths.add(glob);
            } else {
                names.add(glob);
            }
        }
        Ok(Self {
            names: names.build()?,
            paths: paths.build()?,
            written: patterns.iter().map(|p| p.as_ref().to_owned()).collect(),
        })
    }

    /// Whether a path relative to the directory matches.
    #[must_use]
    pub fn matches(&self, relative: &Path) -> bool {
        (!self.names.is_empty()
            && relative
                .file_name()
                .is_some_and(|name| self.names.is_match(name)))
            || (!self.paths.is_empty() && self.paths.is_match(relative))
    }

    /// Whether a name alone decides, and matches. Cheaper than [`Globs::matches`].
    #[must_use]
    pub fn matches_name(&self, name: &OsStr) -> bool {
        self.names.is_match(name)
    }

    /// Whether a pattern needs the whole path.
    #[must_use]
    pub fn needs_path(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// The patterns as they were written.
    #[must_use]
    pub fn written(&self) -> &[String] {
        &self.written
    }
}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

/// Compiles [`AgentRule::cmd_regex`]. Arguments are bytes, so classes such as `\w` are ASCII.
///
/// # Errors
/// Why it is not a regular expression, or that it is too large.
pub fn command_regex(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(1 << 20)
        .build()
}

/// Free space to keep: of the filesystem, or in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MinFree {
    /// Percent of the filesystem's size.
    Percent(f64),
    /// Bytes.
    Bytes(u64),
}

impl MinFree {
    /// Bytes that are to be free on a filesystem of `total` bytes.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a percentage of a disk needs no more than 52 bits"
    )]
    pub fn bytes(self, total: u64) -> u64 {
        match self {
            Self::Percent(percent) => (total as f64 * percent / 100.0) as u64,
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// How files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As they are.
    None,
    /// gzip at a level from 1 to 9.
    Gzip(u32),
    /// Zstandard at a level from 1 to 19.
    Zstd(i32),
}

impl Codec {
    /// What a compressed name ends with.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip(_) => ".gz",
            Self::Zstd(_) => ".zst",
        }
    }

    /// Its name in reports and manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
        }
    }
}

/// `[cache]`.
#[derive(Clone, Debug)]
pub struct CachePolicy {
    /// Disk usage of a directory, in bytes, above which files are evicted, and down to which:
    /// `max_size` times `cleanup_threshold`, or the size typed.
    pub limit: u64,
    /// Used within this span is never evicted.
    pub preserve_recent: Duration,
    /// Not used for so long is evicted, budget or not.
    pub max_age: Option<Duration>,
    /// Bytes over all cache directories.
    pub max_total_size: Option<u64>,
    /// Free space to reach.
    pub min_free: Option<MinFree>,
    /// Kept.
    pub exclude: Globs,
}

/// How a live log is taken away from its writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogMode {
    /// Whichever loses nothing here.
    #[default]
    Auto,
    /// Rename, and make a new log.
    Rename,
    /// Copy and cut.
    CopyTruncate,
    /// Copy and punch a hole.
    Punch,
}

impl LogMode {
    /// As it is written in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rename => "rename",
            Self::CopyTruncate => "copy-truncate",
            Self::Punch => "punch",
        }
    }
}

/// A signal for the writer of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its name without `SIG`.
    pub name: String,
    /// The file with the pid, absolute.
    pub pid_file: PathBuf,
}

/// The rules for some logs.
#[derive(Clone, Debug)]
pub struct LogRule {
    /// Only logs below these directories, absolute; `None` is all log directories.
    pub directories: Option<Vec<PathBuf>>,
    /// What is a log.
    pub patterns: Globs,
    /// What is not.
    pub exclude: Globs,
    /// Rotate at so many bytes.
    pub max_file_size: u64,
    /// Rotate when the last rotation, or the birth, is so long ago.
    pub rotate_after: Option<Duration>,
    /// Rotated files kept of each log; 0 keeps all.
    pub max_files: usize,
    /// Expire rotated files older than this.
    pub max_age: Option<Duration>,
    /// Bytes of rotated files per directory.
    pub max_total_size: Option<u64>,
    /// Free space to reach.
    pub min_free: Option<MinFree>,
    /// How rotated files are compressed.
    pub compress: Codec,
    /// How a log is rotated.
    pub mode: LogMode,
    /// Rotated files of other tools fall under retention too.
    pub adopt: bool,
    /// Each file is written once.
    pub unique: bool,
    /// A file of a `unique` rule used within this span is left alone.
    pub preserve_recent: Duration,
    /// How long compression waits for the writer.
    pub settle: Duration,
    /// Sent after a rename.
    pub signal: Option<Signal>,
    /// Run after a rename.
    pub post_rotate: Option<Vec<String>>,
    /// How long a hook may run.
    pub hook_timeout: Duration,
}

/// `[logs]`: the first rule that matches a file owns it; the last is `[logs]` itself.
#[derive(Clone, Debug)]
pub struct LogsPolicy {
    /// In order.
    pub rules: Vec<LogRule>,
    /// Rotate every log that is not empty.
    pub force: bool,
}

/// What counts as the use of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgeBy {
    /// The later of modification and access.
    #[default]
    Used,
    /// Modification alone.
    Modified,
}

/// `[models]`.
#[derive(Clone, Debug)]
pub struct ModelsPolicy {
    /// What is a model.
    pub patterns: Globs,
    /// What is not.
    pub exclude: Globs,
    /// Models that never move.
    pub pin: Globs,
    /// Not used for so long is archived.
    pub archive_after: Duration,
    /// Which times count.
    pub age_by: AgeBy,
    /// Newest versions of a versioned family that stay.
    pub keep_latest: usize,
    /// `false`: delete instead of archiving.
    pub safe_archiving: bool,
    /// Inside each model directory where relative, else one for all.
    pub archive_directory: PathBuf,
    /// Versions kept of each model in the archive; 0 keeps all.
    pub max_archived: usize,
    /// Bytes per archive.
    pub max_archive_size: Option<u64>,
    /// How archived models are stored.
    pub compression: Codec,
}

/// `[garbage]`.
#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the configuration"
)]
pub struct GarbagePolicy {
    /// Whether the operation runs in a cycle.
    pub enabled: bool,
    /// A temporary file not used for so long is stale.
    pub stale_after: Duration,
    /// Delete broken symlinks.
    pub delete_broken_symlinks: bool,
    /// Delete empty directories.
    pub delete_empty_directories: bool,
    /// Delete stale pid files.
    pub delete_pid_files: bool,
}

/// A rule of `[agents]`: all predicates given must hold.
#[derive(Clone, Debug, Default)]
pub struct AgentRule {
    /// Its name in reports.
    pub name: String,
    /// Glob on the module of `python -m`.
    pub module: Option<String>,
    /// Glob on the executable's path.
    pub exe: Option<String>,
    /// Glob on the script's path.
    pub script: Option<String>,
    /// `/proc/PID/comm`.
    pub comm: Option<String>,
    /// User name or id.
    pub user: Option<String>,
    /// Glob on the control group.
    pub cgroup: Option<String>,
    /// Glob on the working directory.
    pub cwd: Option<String>,
    /// `NAME=VALUE` in the environment.
    pub env: Option<String>,
    /// Regular expression on the arguments joined by spaces.
    pub cmd_regex: Option<String>,
    /// A file with the pid, absolute.
    pub pid_file: Option<PathBuf>,
    /// Children of a match are agents too.
    pub include_children: bool,
    /// Warn when fewer run.
    pub expect: Option<u32>,
    /// A signal that asks the agent to collect its garbage.
    pub reclaim_signal: Option<String>,
}

/// `[agents]`.
#[derive(Clone, Debug, Default)]
pub struct AgentsPolicy {
    /// Whether the operation runs in a cycle.
    pub enabled: bool,
    /// Process names beside the built-in excludes.
    pub exclude: Vec<String>,
    /// Rules beside the built-in one.
    pub rules: Vec<AgentRule>,
    /// Where to write the pace.
    pub pace_file: Option<PathBuf>,
}

/// `[system]`: what counts as high load.
#[derive(Clone, Copy, Debug)]
pub struct LoadPolicy {
    /// Whether process analysis runs in a cycle.
    pub enabled: bool,
    /// Percent of memory.
    pub memory_percent: f64,
    /// Percent of all processors.
    pub cpu_percent: f64,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Policies {
    /// `[cache]`.
    pub cache: CachePolicy,
    /// `[logs]`.
    pub logs: LogsPolicy,
    /// `[models]`.
    pub models: ModelsPolicy,
    /// `[garbage]`.
    pub garbage: GarbagePolicy,
    /// `[agents]`.
    pub agents: AgentsPolicy,
    /// `[system]`.
    pub load: LoadPolicy,
}
