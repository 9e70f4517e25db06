//! The parts of the help that clap does not know: literals, exit codes, environment, files and
//! examples. They are data, because `--help` and the man pages show the same.

use std::iter;

/// A command that has its own help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `sysopt` itself.
    Sysopt,
    /// `sysopt cycle`.
    Cycle,
    /// `sysopt archive-models`.
    ArchiveModels,
    /// `sysopt restore-models`.
    RestoreModels,
    /// `sysopt rotate-logs`.
    RotateLogs,
    /// `sysopt clean-cache`.
    CleanCache,
    /// `sysopt status`.
    Status,
    /// `sysopt config`.
    Config,
}

/// A word and what it means.
pub type Entry = (&'static str, &'static str);

/// What can be typed for SIZE and DURATION, on the command line and in the configuration.
pub const VALUES: &[Entry] = &[
    (
        "SIZE",
        "512KiB, 1GiB (1024), 500MB (1000), 100M, 1G (1024, as du and find read them), in upper or \
         lower case; a bare number is bytes.",
    ),
    (
        "DURATION",
        "30s, 30min, 6h, 7d, 1w, 1h30m; m is minutes. The unit is required, and months and years \
         are refused, because their length varies.",
    ),
];

/// The exit codes.
pub const EXIT_STATUS: &[Entry] = &[
    (
        "0",
        "All that was to be done is done, or there was nothing to do; also dry runs, and status.",
    ),
    (
        "1",
        "It could not do its job at all, or could not report it. Also where the state is of a newer \
         sysopt.",
    ),
    ("2", "Usage or configuration error; nothing was touched."),
    (
        "3",
        "Finished, and some items failed, or --timeout ended it: each is in the report. Also where a \
         configured directory is missing or cannot be read, in a dry run too.",
    ),
    (
        "11",
        "Another sysopt holds the lock on one of the directories.",
    ),
    (
        "signal",
        "On SIGINT, SIGTERM or SIGHUP the item in hand is finished or undone within 2 s, the \
         report is written, and sysopt dies by that signal. A second signal ends it at once; that too loses \
         nothing.",
    ),
];

/// The environment variables that are read.
pub const ENVIRONMENT: &[Entry] = &[
    (
        "SYSOPT_CONFIG",
        "The configuration file, where --config is not given.",
    ),
    (
        "XDG_CONFIG_HOME",
        "Where sysopt/sysopt.toml is searched; $HOME/.config where it is not set or not absolute.",
    ),
    (
        "XDG_STATE_HOME",
        "Where the state of a configuration is that has no base; $HOME/.local/state where it is not set or not absolute.",
    ),
    (
        "XDG_CACHE_HOME, HOME",
        "Directories that are refused as directories to work in.",
    ),
    (
        "NO_COLOR, CLICOLOR_FORCE",
        "Never, or always, use colour, where --color is auto.",
    ),
];

/// The files that are read and written.
pub const FILES: &[Entry] = &[
    (
        "BASE/sysopt.toml, $XDG_CONFIG_HOME/sysopt/sysopt.toml, /etc/sysopt/sysopt.toml",
        "The configuration: the first of them, where neither --config nor SYSOPT_CONFIG is given.",
    ),
    (
        "BASE/.sysopt/state.json",
        "When each operation ran last and how it ended, and the totals.",
    ),
    (
        "BASE/.sysopt/history.jsonl",
        "The reports of the last cycles, one in a line, without their items.",
    ),
    (
        "ARCHIVE/manifest.jsonl, ARCHIVE/SHA256SUMS",
        "What is in a model archive; sha256sum -c SHA256SUMS verifies it without sysopt.",
    ),
];

impl Page {
    /// Every page, in the order of `sysopt -h`.
    pub const ALL: [Self; 8] = [
        Self::Sysopt,
        Self::Cycle,
        Self::ArchiveModels,
        Self::RestoreModels,
        Self::RotateLogs,
        Self::CleanCache,
        Self::Status,
        Self::Config,
    ];

    /// The subcommand's name; none for `sysopt` itself.
    #[must_use]
    pub const fn subcommand(self) -> Option<&'static str> {
        match self {
            Self::Sysopt => None,
            Self::Cycle => Some("cycle"),
            Self::ArchiveModels => Some("archive-models"),
            Self::RestoreModels => Some("restore-models"),
            Self::RotateLogs => Some("rotate-logs"),
            Self::CleanCache => Some("clean-cache"),
            Self::Status => Some("status"),
            Self::Config => Some("config"),
        }
    }

    /// Commands to type and what they do; the most useful come first.
    #[must_use]
    pub const fn examples(self) -> &'static [Entry] {
        match self {
            Self::Sysopt => SYSOPT,
            Self::Cycle => CYCLE,
            Self::ArchiveModels => ARCHIVE_MODELS,
            Self::RestoreModels => RESTORE_MODELS,
            Self::RotateLogs => ROTATE_LOGS,
            Self::CleanCache => CLEAN_CACHE,
            Self::Status => STATUS,
            Self::Config => CONFIG,
        }
    }
}

const SYSOPT: &[Entry] = &[
    ("sysopt -C . cycle -n", "What would happen here?"),
    ("sysopt -C . cycle", "Do that"),
    (
        "sysopt -qc /srv/bot/sysopt.toml cycle",
        "From cron: say nothing unless something failed",
    ),
    (
        "sysopt -C /srv/bot config --init",
        "Write /srv/bot/sysopt.toml, with every key explained",
    ),
    ("sysopt -C /srv/bot status", "How are things?"),
];

const CYCLE: &[Entry] = &[
    ("sysopt -C . cycle -n", "What would happen here?"),
    ("sysopt -C . cycle", "Do that"),
    ("sysopt -C . cycle --only logs", "Only logs"),
    (
        "*/30 * * * * sysopt -qc /srv/bot/sysopt.toml cycle --lock-wait 5min",
        "A line for crontab: mail comes only when something failed",
    ),
    (
        "sysopt -C . --format json cycle | jq .total_bytes_freed",
        "The report as JSON",
    ),
];

const ARCHIVE_MODELS: &[Entry] = &[
    ("sysopt -C . archive-models -nv", "What goes, what stays?"),
    ("sysopt archive-models ./models", "Archive in ./models"),
    (
        "sysopt archive-models --explain old.pkl",
        "Does it stay, and why?",
    ),
    (
        "sysopt -C . archive-models --older-than 30d --age-by modified",
        "Archive what was not modified for 30 days, though it may have been read",
    ),
];

const RESTORE_MODELS: &[Entry] = &[
    ("sysopt -C . restore-models", "What is archived?"),
    ("sysopt -C . restore-models rf_v3.pkl", "The newest of it"),
    ("sysopt -C . restore-models --verify", "Is it all intact?"),
    (
        "sysopt -C . restore-models rf_v3.pkl@20250809 --to /tmp/old",
        "Restore the version of that day into another directory",
    ),
    (
        "sysopt -C . restore-models -n --all",
        "What would be restored, and where to?",
    ),
];

const ROTATE_LOGS: &[Entry] = &[
    ("sysopt -C . rotate-logs -nv", "What is due, what not?"),
    ("sysopt rotate-logs ./logs", "Rotate in ./logs"),
    (
        "sysopt rotate-logs --explain logs/api.log",
        "Is it due, and when?",
    ),
    (
        "sysopt rotate-logs --max-size 10MiB --keep 3 --compress zstd ./logs",
        "Rotate from 10 MiB, keep three rotated files of each log",
    ),
];

const CLEAN_CACHE: &[Entry] = &[
    ("sysopt -C . clean-cache -nv", "What goes, what stays?"),
    (
        "sysopt clean-cache --max-size 1GiB ./cache",
        "Down to 1 GiB",
    ),
    (
        "sysopt clean-cache --explain cache/a.json",
        "Does it stay, and why?",
    ),
    (
        "sysopt clean-cache --max-age 30d -- -odd-name",
        "Also what was not used for 30 days, in a directory whose name begins with a dash",
    ),
];

const STATUS: &[Entry] = &[
    ("sysopt -C . status", "How are things?"),
    ("sysopt -C . status --history 5", "The last five cycles"),
    ("sysopt -C . --format json status", "The same for scripts"),
];

const CONFIG: &[Entry] = &[
    ("sysopt -C . config", "What applies here, and why?"),
    ("sysopt -C . config --init", "Write ./sysopt.toml"),
    ("sysopt config --check new.toml", "Is this file right?"),
];

/// What follows the options under `-h`: as many examples as leave the help on one screen.
#[must_use]
pub fn short(page: Page) -> String {
    let shown = if page == Page::Sysopt { 2 } else { 3 };
    let lines: Vec<_> = page.examples()[..shown]
        .iter()
        .map(|(line, meaning)| format!("{line:<42} {meaning}"))
        .collect();
    format!("Examples: {}", lines.join("\n          "))
}

/// What follows the options under `--help`.
#[must_use]
pub fn long(page: Page) -> String {
    let mut sections = vec![("Values", VALUES), ("Exit status", EXIT_STATUS)];
    if page == Page::Sysopt {
        sections.extend([("Environment", ENVIRONMENT), ("Files", FILES)]);
    }
    sections.push(("Examples", page.examples()));
    let mut parts: Vec<_> = sections.iter().map(section).collect();
    parts.push(match page.subcommand() {
        None => "More: man sysopt, man sysopt.toml, man sysopt-SUBCOMMAND".to_owned(),
        Some(name) => format!("More: man sysopt-{name}; files and environment: sysopt --help"),
    });
    parts.join("\n\n")
}

/// A heading and its entries, each word on a line of its own as clap lays out options.
fn section((title, entries): &(&str, &[Entry])) -> String {
    let entries = entries
        .iter()
        .map(|(word, meaning)| format!("  {word}\n          {meaning}"));
    let lines: Vec<_> = iter::once(format!("{title}:")).chain(entries).collect();
    lines.join("\n")
}
