//! The arguments of each subcommand.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum, ValueHint};

/// The arguments of `cycle`.
#[derive(Args, Clone, Debug)]
pub struct Cycle {
    /// Run every operation now, due or not
    ///
    /// Also while backing off. It lifts the suspension of age rules after the clock has jumped, too.
    #[arg(long)]
    pub force: bool,

    /// Run only OP: garbage, cache, logs, models, agents, processes
    ///
    /// Repeatable. The names of the report are accepted too: garbage_collection, cache_cleanup,
    /// log_rotation, model_archiving, agent_optimization, process_optimization.
    #[arg(long, value_enum, value_name = "OP", hide_possible_values = true)]
    pub only: Vec<Operation>,

    /// Leave OP out (both are repeatable)
    ///
    /// The same names as for --only.
    #[arg(long, value_enum, value_name = "OP", hide_possible_values = true)]
    pub skip: Vec<Operation>,

    /// Stop after that long
    ///
    /// The item in hand is finished or undone, the rest is reported as not reached, and the exit
    /// code is 3.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub timeout: Option<String>,
}

/// The arguments of `archive-models`.
#[derive(Args, Clone, Debug)]
pub struct ArchiveModels {
    /// Work in these directories
    ///
    /// They replace the configured ones for this run, are relative to the current directory (to
    /// -C if given), and leave no state behind.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dirs: Vec<PathBuf>,

    /// Archive what was not used for that long
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub older_than: Option<String>,

    /// Age since it was used or modified
    ///
    /// used is the later of modified and read, and the default; modified is that time alone.
    #[arg(long, value_enum, value_name = "TIME", hide_possible_values = true)]
    pub age_by: Option<AgeBy>,

    /// Keep N versions of each model; 0 keeps all
    ///
    /// That is, of each family. Older versions in the archive are expired, but never the last one.
    #[arg(long, value_name = "N")]
    pub max_archived: Option<u32>,

    /// Compress: none, gzip or zstd
    ///
    /// A file that this does not make a tenth smaller is archived as it is.
    #[arg(long, value_enum, value_name = "CODEC", hide_possible_values = true)]
    pub compress: Option<Codec>,

    /// Say what would happen to PATH, and why
    ///
    /// By which rule. Nothing is changed.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub explain: Option<PathBuf>,
}

/// The arguments of `restore-models`.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("selection").args(["models", "all"]))]
pub struct RestoreModels {
    /// Models: archived name, original name, NAME@DATE
    ///
    /// An original name means its newest version; NAME@DATE, with the date as the list shows it or
    /// as YYYYMMDD, means that version. A name may be a path or the end of one. With --list or
    /// --verify, only these are listed or verified, with all their versions.
    #[arg(value_name = "MODEL")]
    pub models: Vec<OsString>,

    /// List names, versions, dates and sizes (the default)
    #[arg(long, conflicts_with_all = ["verify", "all", "to"])]
    pub list: bool,

    /// Verify the sha256 of every archived file
    ///
    /// Against the manifest. A mismatch or a missing file ends with code 3.
    #[arg(long, conflicts_with_all = ["all", "to"])]
    pub verify: bool,

    /// Restore the newest version of every model
    #[arg(long)]
    pub all: bool,

    /// Restore into DIR, not to the original place
    ///
    /// A model that was named gets its original file name there; with --all its path below the base
    /// is kept. DIR is made where it is missing, and is relative to the current directory (to -C if
    /// given).
    #[arg(long, value_name = "DIR", requires = "selection", value_hint = ValueHint::DirPath)]
    pub to: Option<PathBuf>,
}

/// The arguments of `rotate-logs`.
#[derive(Args, Clone, Debug)]
pub struct RotateLogs {
    /// Work in these directories
    ///
    /// They replace the configured ones for this run, are relative to the current directory (to
    /// -C if given), and leave no state behind.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dirs: Vec<PathBuf>,

    /// Rotate a log of this size or more
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub max_size: Option<String>,

    /// Keep N rotated files of each log; 0 keeps all
    #[arg(long, value_name = "N")]
    pub keep: Option<u32>,

    /// Compress: none, gzip or zstd
    ///
    /// gzip makes .gz files for zcat, zstd makes .zst files for zstdcat.
    #[arg(long, value_enum, value_name = "CODEC", hide_possible_values = true)]
    pub compress: Option<Codec>,

    /// How: auto, rename, copy-truncate or punch
    ///
    /// auto, the default, loses no line: it renames a log that no program has open for writing, takes
    /// the head of one to which all writers append where the filesystem can, and keeps any other
    /// and says why.
    ///
    /// rename also takes a log that is open: for programs that reopen their log. It is renamed and
    /// a new one is made; the rotated file is compressed once nobody writes to it.
    ///
    /// copy-truncate, for programs that append and never reopen, takes the head of the log away
    /// (ext4, XFS, f2fs); on other filesystems it copies and truncates, and can lose lines.
    ///
    /// punch loses nothing either, also under programs that do not append; the log keeps its
    /// apparent size and begins with a hole.
    #[arg(long, value_enum, value_name = "MODE", hide_possible_values = true)]
    pub mode: Option<RotationMode>,

    /// Rotate every log that is not empty
    ///
    /// Due or not. It also lifts the suspension of age rules after the clock has jumped.
    #[arg(long)]
    pub force: bool,

    /// Say what would happen to PATH, and why
    ///
    /// By which rule. Nothing is changed.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub explain: Option<PathBuf>,
}

/// The arguments of `clean-cache`.
#[derive(Args, Clone, Debug)]
pub struct CleanCache {
    /// Work in these directories
    ///
    /// They replace the configured ones for this run, are relative to the current directory (to
    /// -C if given), and leave no state behind.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dirs: Vec<PathBuf>,

    /// The budget of each directory
    ///
    /// This is the budget itself: the configured cleanup_threshold is not applied to it.
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub max_size: Option<String>,

    /// Never remove what was used since then
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub preserve_recent: Option<String>,

    /// Remove what was not used for that long
    ///
    /// Whatever the budget.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub max_age: Option<String>,

    /// Say what would happen to PATH, and why
    ///
    /// By which rule. Nothing is changed.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub explain: Option<PathBuf>,
}

/// The arguments of `status`.
#[derive(Args, Clone, Debug)]
pub struct Status {
    /// Show the last N cycles, or 10
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub history: Option<u32>,

    /// Show more of the agents, in JSON
    ///
    /// Beside the agents themselves: rules of which fewer run than expected, recommendations, and
    /// how far sysopt could see.
    #[arg(long)]
    pub agents: bool,
}

/// The arguments of `config`.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Write a commented sysopt.toml, never over one
    #[arg(long, conflicts_with = "check")]
    pub init: bool,

    /// Check FILE and say what is wrong with it, and where
    ///
    /// An error ends with code 2 and names file, line, column and key.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub check: Option<PathBuf>,
}

/// One of the six parts of a cycle; the long name of the report is accepted too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// Collect garbage
    #[value(alias = "garbage_collection")]
    Garbage,
    /// Clean the caches
    #[value(alias = "cache_cleanup")]
    Cache,
    /// Rotate, compress and expire logs
    #[value(alias = "log_rotation")]
    Logs,
    /// Archive models
    #[value(alias = "model_archiving")]
    Models,
    /// Look at the agents
    #[value(alias = "agent_optimization")]
    Agents,
    /// Look at all processes
    #[value(alias = "process_optimization")]
    Processes,
}

/// What counts as the last use of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AgeBy {
    /// The later of modified and read; the default
    Used,
    /// Modified, alone
    Modified,
}

/// How archived or rotated files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// Not at all
    None,
    /// As gzip does, to .gz
    Gzip,
    /// As zstd does, to .zst
    Zstd,
}

/// How a log is rotated while programs may write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RotationMode {
    /// Rename it where no program has it open for writing, else keep it; the default
    Auto,
    /// Rename it and create a new one, for writers that reopen
    Rename,
    /// Copy it and cut it, for writers that append and never reopen
    CopyTruncate,
    /// Copy it and free its blocks, for every writer; its length stays
    Punch,
}
