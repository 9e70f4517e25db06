//! Why something is done, and why something is left alone: data first, words second.
//!
//! Variants that can occur once per file carry at most one word; the rest is boxed, so that a
//! million verdicts stay small.

use std::fmt;
use std::time::Duration;

use humansize::{FormatSizeOptions, format_size};

use super::entry::{Kind, Walk};
use super::host::Holder;
use super::policy::Signal;
use super::readable;
use super::time::Time;

/// Why an action is planned.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Least recently used in a directory over its limit; last used so long ago.
    LeastRecentlyUsed(Duration32),
    /// Least recently used of all cache directories together.
    OverTotal(Duration32),
    /// Not used for longer than `max_age`.
    Unused(Duration32),
    /// The filesystem has too little free space.
    LowSpace(Duration32),
    /// This run emptied it.
    Emptied,
    /// A log of this size is over the limit.
    Size(Box<Exceeds>),
    /// Last rotated so long ago.
    RotateAfter(Box<Older>),
    /// Asked for with `--force`.
    Forced,
    /// A rotated file that an earlier run left uncompressed.
    Leftover,
    /// An empty rotated file, left by a rotation that was ended before it began.
    Unfinished,
    /// A run was killed while it took the head of the log away.
    Interrupted,
    /// The record of a rotation whose log was replaced since.
    LogReplaced,
    /// Written once and finished (`unique`).
    Finished(Duration32),
    /// More rotated files or versions than are kept.
    Count(Box<Rank>),
    /// A rotated file older than `max_age`.
    Expired(Box<Older>),
    /// The rotated files or versions take more than allowed.
    TotalSize(Box<Exceeds>),
    /// The oldest rotated file or version on a filesystem with too little free space; made so long
    /// ago.
    OldestLowSpace(Duration32),
    /// A model not used for longer than `archive_after`.
    NotUsed(Box<Older>),
    /// A model not changed for longer than `archive_after`, where reads do not count.
    NotModified(Box<Older>),
    /// Archived by another system, without a manifest.
    Foreign,
    /// Asked for by name.
    Requested,
    /// A temporary file of sysopt that no run holds any more.
    OwnTemporary,
    /// A temporary file that nobody used for so long.
    StaleTemporary(Duration32),
    /// Bytecode without its source.
    OrphanedBytecode,
    /// A symbolic link that leads nowhere.
    BrokenSymlink,
    /// A directory that has been empty for so long.
    EmptyDirectory(Duration32),
    /// The process that it names is gone.
    StalePidFile,
    /// The writer of a rotated log is told so.
    Signal(Box<Signal>),
    /// The command that is run after a rotation.
    PostRotate(Box<Words>),
    /// What an agent, or the machine, is like.
    Agent(Box<Words>),
}

/// A span in whole seconds, good for 136 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration32(pub u32);

impl Duration32 {
    /// From `earlier` until `now`.
    #[must_use]
    pub fn between(earlier: Time, now: Time) -> Self {
        Self(u32::try_from(now.since(earlier).as_secs()).unwrap_or(u32::MAX))
    }
}

impl From<Duration> for Duration32 {
    fn from(span: Duration) -> Self {
        Self(u32::try_from(span.as_secs()).unwrap_or(u32::MAX))
    }
}

/// A reason in words, where figures of several kinds lead to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(pub String);

/// Bytes over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeds {
    /// What it takes.
    pub bytes: u64,
    /// What it may take.
    pub limit: u64,
}

/// A span over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Older {
    /// How old it is.
    pub age: Duration,
    /// How old it may be.
    pub limit: Duration,
}

/// A place in a list that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Newest is 1.
    pub rank: usize,
    /// How many are kept.
    pub limit: usize,
    /// `rotated file` or `version`.
    pub noun: &'static str,
}

/// Why something stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Keep {
    /// The directory is within its limit.
    WithinBudget,
    /// Used within `preserve_recent`, so long ago.
    RecentlyUsed(Duration32),
    /// Its time lies in the future.
    FutureTime,
    /// Matches `exclude`.
    Excluded,
    /// Does not match `patterns`.
    NoMatch,
    /// Not a regular file.
    NotRegular(Kind),
    /// Another filesystem is mounted here.
    OtherFilesystem,
    /// Belongs to another directory of the configuration.
    OtherOwner,
    /// Belongs to an archive.
    InArchive,
    /// Belongs to the state of sysopt.
    State,
    /// A temporary file of a sysopt run.
    SysoptTemporary,
    /// Holds names outside of the plan; nothing would be freed.
    LinkedElsewhere,
    /// A process has it open or mapped.
    InUse(Box<HeldBy>),
    /// Nothing tells whether a process has it: there is no process table to look at.
    Unseen,
    /// A process has a `flock` on it or on a directory above.
    Locked(Box<HeldBy>),
    /// `CACHEDIR.TAG`, lock or pid file.
    Marker,
    /// A database that may be live.
    Database,
    /// In the tree of another tool, named by its mark.
    Marked(&'static str),
    /// A rotated log.
    RotatedLog,
    /// Collected as garbage in the same run.
    Garbage,
    /// A log below its limit.
    BelowSize(Box<Exceeds>),
    /// An empty log.
    Empty,
    /// A rotated file within its limits.
    Retained,
    /// A rotated file of another tool.
    Foreign,
    /// A writer has the log open and would go on writing to the rotated file.
    Writer(Box<HeldBy>),
    /// Somebody writes to the log whom the process table does not show.
    UnseenWriter,
    /// A log that can only be appended to (`chattr +a`).
    AppendOnly,
    /// A log with less than a block to cut off; bytes of a block.
    UnderOneBlock(u64),
    /// The filesystem cannot give back the head of a file.
    CannotPunch,
    /// A rotated file whose log has not given up its head yet.
    Rotating,
    /// A log with several names.
    SeveralLinks,
    /// What the configuration asks for cannot be done by this version.
    Unsupported(&'static str),
    /// The directory has no room for another file name of this length.
    NameTooLong,
    /// A model used lately: how long ago it was read and modified.
    ModelUsed(Box<ModelUse>),
    /// The target of a symbolic link.
    LinkTarget,
    /// Matches `pin`.
    Pinned,
    /// Among the newest versions of its family.
    Newest,
    /// The last version of a model.
    LastVersion,
    /// Made in this run.
    MadeNow,
    /// The filesystem of its archive has no room for it.
    NoRoom,
    /// An archive's own books.
    Books,
    /// In an archive, and the manifest does not list it.
    Unlisted,
    /// An archived version whose file is not of the recorded size.
    Damaged,
    /// Age rules are suspended because the clock jumped.
    ClockJumped,
    /// Not garbage.
    Live,
    /// Garbage that is only reported unless the configuration says otherwise.
    ReportedOnly,
    /// Could not be read.
    Unreadable,
    /// What an agent must not be asked.
    Refused(Box<str>),
    /// What an agent need not be asked.
    Skipped(Box<str>),
}

/// The process that has a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBy {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// The cure, where there is one.
    pub advice: Option<&'static str>,
}

/// The times that keep a model in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelUse {
    /// Since the last read; `None` where reads do not count.
    pub read: Option<Duration>,
    /// Since the last change.
    pub modified: Duration,
    /// Since it was restored.
    pub restored: Option<Duration>,
    /// `archive_after`.
    pub limit: Duration,
}

impl ModelUse {
    /// Since the last use that counts.
    #[must_use]
    pub fn age(&self) -> Duration {
        let uses = [self.read, self.restored, Some(self.modified)];
        uses.into_iter().flatten().min().unwrap_or(self.modified)
    }
}

/// Sizes as people read them: `120.0 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let style = FormatSizeOptions::from(humansize::BINARY)
        .decimal_places(1)
        .decimal_zeroes(1);
    if bytes < 1024 {
        format!("{bytes} B")
    } else {
        format_size(bytes, style)
    }
}

/// Spans as people read them: `10 d`, `6 h`, `30 min`, `5 s`; the largest unit that is not zero.
#[must_use]
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl fmt::Display for Duration32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&span(Duration::from_secs(u64::from(self.0))))
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({})", self.pid, self.name)?;
        match self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeastRecentlyUsed(ago) => {
                write!(f, "directory over its limit, last used {ago} ago")
            }
            Self::OverTotal(ago) => {
                write!(
                    f,
                    "cache directories over max_total_size, last used {ago} ago"
                )
            }
            Self::Unused(ago) => write!(f, "not used for {ago}, over max_age"),
            Self::LowSpace(ago) => write!(f, "free space under min_free, last used {ago} ago"),
            Self::Emptied => f.write_str("emptied by this run"),
            // The limit itself is enough.
            Self::Size(over) => {
                let relation = if over.bytes > over.limit {
                    "over"
                } else {
                    "at"
                };
                let (bytes, limit) = (size(over.bytes), size(over.limit));
                write!(f, "size {bytes} is {relation} {limit}")
            }
            Self::RotateAfter(older) => write!(
                f,
                "last rotated {} ago, over {}",
                span(older.age),
                span(older.limit)
            ),
            Self::Forced => f.write_str("asked for with --force"),
            Self::Leftover => f.write_str("left uncompressed by an earlier run"),
            Self::Unfinished => f.write_str("left by a rotation that was ended before it began"),
            Self::Interrupted => f.write_str("completes a rotation that was ended half way"),
            Self::LogReplaced => f.write_str("records a rotation of a log that was replaced since"),
            Self::Finished(ago) => write!(f, "written once, last used {ago} ago"),
            Self::Count(rank) => write!(f, "{} {} of {} kept", rank.noun, rank.rank, rank.limit),
            Self::Expired(older) => write!(
                f,
                "{} old, over max_age {}",
                span(older.age),
                span(older.limit)
            ),
            Self::TotalSize(over) => write!(
                f,
                "{} in all is over {}",
                size(over.bytes),
                size(over.limit)
            ),
            Self::OldestLowSpace(ago) => {
                write!(f, "free space under min_free, the oldest, made {ago} ago")
            }
            Self::NotUsed(older) => write!(
                f,
                "not used for {}, over {}",
                span(older.age),
                span(older.limit)
            ),
            Self::NotModified(older) => write!(
                f,
                "not modified for {}, over {}",
                span(older.age),
                span(older.limit)
            ),
            Self::Foreign => f.write_str("archived by another system, not in the manifest yet"),
            Self::Requested => f.write_str("asked for"),
            Self::OwnTemporary => f.write_str("left by a sysopt run that ended early"),
            Self::StaleTemporary(ago) => write!(f, "temporary, not used for {ago}"),
            Self::OrphanedBytecode => f.write_str("bytecode whose source is gone"),
            Self::BrokenSymlink => f.write_str("leads nowhere"),
            Self::EmptyDirectory(ago) => write!(f, "empty for {ago}"),
            Self::StalePidFile => f.write_str("its process is gone"),
            Self::Signal(signal) => {
                let file = readable::path(&signal.pid_file);
                write!(f, "SIG{} to the process of {file}", signal.name)
            }
            Self::PostRotate(command) => write!(f, "post_rotate: {}", readable::path(&command.0)),
            Self::Agent(words) => f.write_str(&words.0),
        }
    }
}

impl From<&Holder> for Box<HeldBy> {
    fn from(holder: &Holder) -> Self {
        Self::new(HeldBy {
            pid: holder.pid,
            name: holder.name.clone(),
            advice: None,
        })
    }
}

impl Keep {
    /// Why a directory that was not read stays; `None` for one that was.
    #[must_use]
    pub const fn unwalked(walk: Walk) -> Option<Self> {
        match walk {
            Walk::Walked => None,
            Walk::Mount => Some(Self::OtherFilesystem),
            Walk::Root(_) => Some(Self::OtherOwner),
            Walk::Archive => Some(Self::InArchive),
            Walk::State => Some(Self::State),
            Walk::Marked(mark) => Some(Self::Marked(mark)),
            Walk::Unreadable => Some(Self::Unreadable),
        }
    }

    /// Why something that is not a regular file stays; `None` for one that is.
    #[must_use]
    pub const fn irregular(kind: Kind) -> Option<Self> {
        match kind {
            Kind::File => None,
            Kind::Mount => Some(Self::OtherFilesystem),
            kind => Some(Self::NotRegular(kind)),
        }
    }

    /// The key under which `metadata.kept` counts it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WithinBudget => "within_budget",
            Self::RecentlyUsed(_) | Self::ModelUsed(_) => "recently_used",
            Self::FutureTime => "future_time",
            Self::Excluded => "excluded",
            Self::NoMatch => "no_match",
            Self::NotRegular(_) => "not_regular",
            Self::OtherFilesystem => "other_filesystem",
            Self::OtherOwner => "other_owner",
            Self::InArchive => "in_archive",
            Self::State => "state",
            Self::SysoptTemporary => "sysopt_temporary",
            Self::LinkedElsewhere => "linked_elsewhere",
            Self::InUse(_) => "in_use",
            Self::Unseen => "unseen",
            Self::Locked(_) => "locked",
            Self::Marker => "marker",
            Self::Database => "database",
            Self::Marked(_) => "marked",
            Self::RotatedLog => "rotated_log",
            Self::Garbage => "garbage",
            Self::BelowSize(_) => "below_size",
            Self::Empty => "empty",
            Self::Retained => "retained",
            Self::Foreign => "foreign",
            Self::Writer(_) => "writer",
            Self::UnseenWriter => "unseen_writer",
            Self::AppendOnly => "append_only",
            Self::UnderOneBlock(_) => "under_one_block",
            Self::CannotPunch => "cannot_punch",
            Self::Rotating => "rotating",
            Self::SeveralLinks => "several_links",
            Self::Unsupported(_) => "unsupported",
            Self::NameTooLong => "name_too_long",
            Self::LinkTarget => "link_target",
            Self::Pinned => "pinned",
            Self::Newest => "newest",
            Self::LastVersion => "last_version",
            Self::MadeNow => "made_now",
            Self::NoRoom => "no_room",
            Self::Books => "books",
            Self::Unlisted => "unlisted",
            Self::Damaged => "damaged",
            Self::ClockJumped => "clock_jumped",
            Self::Live => "live",
            Self::ReportedOnly => "reported_only",
            Self::Unreadable => "unreadable",
            Self::Refused(_) => "refused",
            Self::Skipped(_) => "skipped",
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecentlyUsed(ago) => write!(f, "used {ago} ago"),
            Self::NotRegular(kind) => write!(
                f,
                "{}, not a regular file",
                match kind {
                    Kind::Symlink => "a symbolic link",
                    Kind::Fifo => "a named pipe",
                    Kind::Socket => "a socket",
                    Kind::Device => "a device",
                    Kind::File | Kind::Mount | Kind::Unknown => "special",
                }
            ),
            Self::InUse(held) => write!(f, "in use by {held}"),
            Self::Locked(held) => write!(f, "locked (flock) by {held}"),
            Self::Marked(mark) => write!(f, "in a tree marked by {mark}"),
            Self::BelowSize(under) => write!(
                f,
                "size {} is not over {}",
                size(under.bytes),
                size(under.limit)
            ),
            Self::Writer(held) => write!(f, "open for writing by {held}"),
            Self::UnderOneBlock(block) => {
                write!(f, "it has less than a block of {} to cut off", size(*block))
            }
            Self::Unsupported(what) => f.write_str(what),
            Self::ModelUsed(times) => times.fmt(f),
            other => f.write_str(other.words()),
        }
    }
}

impl Keep {
    const fn words(&self) -> &'static str {
        match self {
            Self::WithinBudget => "the directory is within its limit",
            Self::FutureTime => "its time lies in the future",
            Self::Excluded => "excluded",
            Self::NoMatch => "matches no pattern",
            Self::OtherFilesystem => "on another filesystem",
            Self::OtherOwner => "belongs to another configured directory",
            Self::InArchive => "belongs to an archive",
            Self::State => "belongs to sysopt's state",
            Self::SysoptTemporary => "a temporary file of sysopt",
            Self::LinkedElsewhere => "has other names that stay, so nothing would be freed",
            Self::Unseen => "whether anyone uses it cannot be seen here, without /proc",
            Self::Marker => "a marker, lock or pid file",
            Self::Database => "a database",
            Self::RotatedLog => "a rotated log",
            Self::Garbage => "collected as garbage",
            Self::Empty => "empty",
            Self::Retained => "within the limits of retention",
            Self::Foreign => "rotated by another tool (adopt = true takes it over)",
            Self::UnseenWriter => {
                "somebody writes to it whom /proc does not show; run as root, or in the \
                 writer's container"
            }
            Self::AppendOnly => "has the append-only attribute (chattr -a takes it away)",
            Self::CannotPunch => {
                "this filesystem cannot punch holes; where the writer reopens its log, use \
                 mode = \"rename\""
            }
            Self::Rotating => "belongs to a rotation that is not complete",
            Self::SeveralLinks => "has several names",
            Self::NameTooLong => "its name is too long to be made longer",
            Self::LinkTarget => "a symbolic link points to it",
            Self::Pinned => "pinned",
            Self::Newest => "the newest of its family",
            Self::LastVersion => "the last version of its model",
            Self::MadeNow => "made in this run",
            Self::NoRoom => "the filesystem of its archive has no room for it",
            Self::Books => "sysopt's own record",
            Self::Unlisted => "not in the manifest",
            Self::Damaged => "its size is not the recorded one",
            Self::ClockJumped => "the clock jumped, age rules are suspended",
            Self::Live => "not garbage",
            Self::ReportedOnly => "garbage, reported only",
            Self::Unreadable => "cannot be read",
            _ => "kept",
        }
    }
}

impl fmt::Display for ModelUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(restored) = self.restored {
            return write!(f, "restored {} ago", span(restored));
        }
        match self.read {
            Some(read) if read < self.modified => {
                write!(
                    f,
                    "read {} ago, modified {} ago",
                    span(read),
                    span(self.modified)
                )?;
                if self.modified >= self.limit {
                    f.write_str(" (--age-by modified archives it)")?;
                }
                Ok(())
            }
            _ => write!(f, "modified {} ago", span(self.modified)),
        }
    }
}
