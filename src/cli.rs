//! What can be typed.
//!
//! This module imports nothing of the crate, so that the man pages and the completions can be made
//! from it. It takes sizes and durations as text: their rules are shared with the configuration
//! file and live there. Paths are never required to be UTF-8.
//!
//! The doc comments of the fields are the help texts: the first paragraph is shown by `-h`, all of
//! it by `--help` and in the man page.
#![allow(
    clippy::doc_markdown,
    reason = "doc comments are help texts here, and a terminal shows backticks as they are"
)]

mod args;
pub mod help;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

pub use args::{
    AgeBy, ArchiveModels, CleanCache, Codec, Config, Cycle, Operation, RestoreModels, RotateLogs,
    RotationMode, Status,
};

/// Keep a machine that runs ML and trading agents healthy, and lose nothing
///
/// sysopt rotates logs, cleans caches, archives old models, collects garbage, looks at agents and
/// processes, and says truthfully what it did. It runs once and exits: start it by hand, from
/// cron, or from a systemd timer.
///
/// The dry run is the run: one plan is made, --dry-run prints it, and a real run applies that same
/// plan. No model and no log line is lost: a source is removed only after its replacement is on
/// disk and verified. Every figure is measured: bytes freed are bytes that the filesystem gave back.
///
/// A stray directory is never cleaned. Without a configuration file, -C or a DIR, only dry runs,
/// status and config work.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "sysopt",
    version,
    args_override_self = true,
    disable_help_subcommand = true,
    after_help = help::short(help::Page::Sysopt),
    after_long_help = help::long(help::Page::Sysopt)
)]
pub struct Cli {
    /// The options of every subcommand.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The options of every subcommand, typed before or after its name.
#[derive(Args, Clone, Debug)]
// In a subcommand's help they come after its own.
#[command(next_display_order = 100)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is one independent switch"
)]
pub struct GlobalArgs {
    /// What relative paths are relative to
    ///
    /// This is the base. Without it the base is: "root" in the configuration (relative to its file); else the
    /// directory of the file given by --config or SYSOPT_CONFIG, or of ./sysopt.toml; else the
    /// current directory. --root is the same option.
    #[arg(short = 'C', long, alias = "root", global = true, value_name = "DIR")]
    #[arg(value_hint = ValueHint::DirPath)]
    pub base: Option<PathBuf>,

    /// This configuration file
    ///
    /// TOML, or JSON where the name ends in .json. It is used instead of the search that
    /// sysopt.toml(5) describes; the environment variable SYSOPT_CONFIG does the same.
    #[arg(short, long, global = true, value_name = "FILE")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Print the plan, change nothing
    ///
    /// No file, directory, lock or state is written, and no file's access time changes where the
    /// kernel lets it (for its owner and for root). A real run at the same instant does what is
    /// listed, and nothing else.
    #[arg(short = 'n', long, global = true)]
    pub dry_run: bool,

    /// Report as text, json or prometheus
    ///
    /// How stdout reports. text is for people, and the default. json is one JSON document, also
    /// when the run fails. prometheus is the text format of Prometheus, for status alone.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    #[arg(
        default_value_t,
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub format: Format,

    /// Print nothing when all went well, for cron
    ///
    /// Stdout and stderr stay empty when the exit code is 0.
    #[arg(short, long, global = true, hide_short_help = true)]
    pub quiet: bool,

    /// List every item, also what was kept
    ///
    /// Each with the reason.
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// Use colour: auto, always or never
    ///
    /// auto, the default, is where the output is a terminal. NO_COLOR and CLICOLOR_FORCE are honoured too.
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    #[arg(default_value_t, hide_default_value = true)]
    #[arg(hide_possible_values = true, hide_short_help = true)]
    pub color: ColorWhen,

    /// Show no progress bar
    ///
    /// There is one on stderr, and only where that is a terminal.
    #[arg(long, global = true, hide_short_help = true)]
    pub no_progress: bool,

    /// Wait that long for another sysopt on the same directories
    ///
    /// Without it, sysopt does not wait: it ends at once with code 11.
    #[arg(long, global = true, value_name = "DURATION")]
    #[arg(allow_hyphen_values = true, hide_short_help = true)]
    pub lock_wait: Option<String>,

    /// Use at most N threads, at least 1
    ///
    /// This version works with one thread, whatever N is.
    #[arg(long, global = true, value_name = "N", hide_short_help = true)]
    pub threads: Option<NonZeroUsize>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run every operation that is due, in order
    ///
    /// The operations are, in this order: garbage, cache, logs, models, agents, processes. All
    /// plans are made before anything is changed. An item that fails does not stop the rest: it is
    /// in the report, and the exit code is 3.
    ///
    /// A cycle that is started before its time, or while failures hold it back, is skipped with
    /// code 0 and says when it is due. Cache, logs and models have intervals of their own, and are
    /// due at once on a filesystem that is nearly full.
    #[command(after_help = help::short(help::Page::Cycle))]
    #[command(after_long_help = help::long(help::Page::Cycle))]
    Cycle(Cycle),

    /// Move old models into the archive
    ///
    /// A model that was not used for a week (--older-than) goes into the archive, with its
    /// checksum in a manifest, and can be restored as long as it is kept there. Models that are in
    /// use, pinned, the target of a symlink, or the newest of their family stay where they are.
    ///
    /// Models are never unpickled or run. The last version of a model is never expired.
    #[command(after_help = help::short(help::Page::ArchiveModels))]
    #[command(after_long_help = help::long(help::Page::ArchiveModels))]
    ArchiveModels(ArchiveModels),

    /// List, verify and restore archived models
    ///
    /// Without MODEL and options it lists what is in the archives. With MODEL or --all it
    /// restores, and proves the sha256 of what it wrote. A different file in the way is never
    /// overwritten, and the archived copy stays.
    #[command(after_help = help::short(help::Page::RestoreModels))]
    #[command(after_long_help = help::long(help::Page::RestoreModels))]
    #[command(
        override_usage = "sysopt restore-models [OPTIONS] [--list | --verify] [MODEL]...\n       \
        sysopt restore-models [OPTIONS] [--to DIR] {--all | MODEL...}"
    )]
    RestoreModels(RestoreModels),

    /// Rotate, compress and expire logs
    ///
    /// A log that reached its size or age is renamed to a dated name beside it, compressed, read
    /// back and compared; only then is the source removed. Rotated files beyond the limits are
    /// expired. Nothing is shifted from number to number, and no file is ever overwritten.
    ///
    /// A log that a program has open for writing is kept, and the report names the program, unless
    /// --mode rename says that it reopens its log. No line is lost either way.
    #[command(after_help = help::short(help::Page::RotateLogs))]
    #[command(after_long_help = help::long(help::Page::RotateLogs))]
    RotateLogs(RotateLogs),

    /// Remove the least recently used cache files, down to a budget
    ///
    /// Each directory that is over its budget loses the files that were not used for longest,
    /// until it is at or under it. Disk usage counts, not the length of files, and every inode
    /// counts once.
    ///
    /// Files that are in use, locked, or used within --preserve-recent are never removed.
    #[command(after_help = help::short(help::Page::CleanCache))]
    #[command(after_long_help = help::long(help::Page::CleanCache))]
    CleanCache(CleanCache),

    /// Show the machine, what is due, and the history
    ///
    /// Also the directories, the agents and the busiest processes. It never writes, never needs
    /// root, and ends with code 0 also when things are bad: read the figures, or take them as JSON.
    /// A configuration that is wrong is code 2 here too.
    #[command(after_help = help::short(help::Page::Status))]
    #[command(after_long_help = help::long(help::Page::Status))]
    Status(Status),

    /// Show the configuration and where each value is from
    ///
    /// It shows the effective value of every key, and its source. The output is TOML that can be loaded back, or JSON. See sysopt.toml(5) for every key.
    #[command(after_help = help::short(help::Page::Config))]
    #[command(after_long_help = help::long(help::Page::Config))]
    Config(Config),
}

/// How the report is written on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; the default
    #[default]
    Text,
    /// One JSON document, also when the run fails
    Json,
    /// The text format of Prometheus, for status
    Prometheus,
}

/// When the output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// Where the output is a terminal; the default
    #[default]
    Auto,
    /// Also in files and pipes
    Always,
    /// Nowhere
    Never,
}
