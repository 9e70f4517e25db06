//! All keys of the configuration, once: parsing, defaults, `config`, `config --init` and the hints
//! to misspelt keys are made from this table.

use super::{Initial, Key, Kind, Section};

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    let initial = Initial::Value(default);
    Key {
        name,
        kind,
        initial,
        doc,
    }
}

const fn quiet(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    let initial = Initial::Quiet(default);
    Key {
        name,
        kind,
        initial,
        doc,
    }
}

const fn unset(name: &'static str, kind: Kind, example: &'static str, doc: &'static str) -> Key {
    let initial = Initial::Unset(example);
    Key {
        name,
        kind,
        initial,
        doc,
    }
}

const fn table(name: &'static str, doc: &'static str, keys: &'static [Key]) -> Section {
    Section {
        name,
        repeated: false,
        doc,
        directories: None,
        keys,
    }
}

/// The codecs.
pub const CODECS: &[&str] = &["none", "gzip", "zstd"];
/// How a log is rotated.
pub const MODES: &[&str] = &["auto", "rename", "copy-truncate", "punch"];
/// What counts as the use of a model.
pub const AGE_BY: &[&str] = &["used", "modified"];
/// What garbage collection deletes when asked.
pub const GARBAGE: &[&str] = &["broken_symlinks", "empty_directories", "pid_files"];

const ANY: Kind = Kind::Count(0, u32::MAX);
const SPAN: Kind = Kind::Duration(false);
const SPAN_OR_ZERO: Kind = Kind::Duration(true);
const BYTES: Kind = Kind::Size(false);
const BYTES_OR_ZERO: Kind = Kind::Size(true);

/// The tables of the configuration, in the order in which they are shown.
pub static SECTIONS: &[Section] = &[
    table("", "", TOP),
    table(
        "intervals",
        "how often `cycle` runs, and each operation in it",
        INTERVALS,
    ),
    Section {
        directories: Some("cache_directories"),
        ..table("cache", "files that can be made again", CACHE)
    },
    Section {
        directories: Some("log_directories"),
        ..table("logs", "logs, and their rotated files", LOGS)
    },
    Section {
        repeated: true,
        directories: Some("log_directories"),
        ..table(
            "logs.rule",
            "other values for some logs, any key of [logs]; the first rule that matches a file owns it",
            LOGS,
        )
    },
    Section {
        directories: Some("model_directories"),
        ..table("models", "models, and their archive", MODELS)
    },
    table(
        "system",
        "which of the other operations run, and what is high load",
        SYSTEM,
    ),
    table(
        "error_handling",
        "how `cycle` backs off after failures",
        ERROR_HANDLING,
    ),
    table("history", "what is remembered of past cycles", HISTORY),
    table(
        "garbage",
        "temporary files and other leftovers that no one owns",
        GARBAGE_KEYS,
    ),
    table("agents", "which processes are agents", AGENTS),
    Section {
        repeated: true,
        ..table(
            "agents.rule",
            "a process that matches all that is given is an agent, beside the built-in rule",
            AGENT_RULE,
        )
    },
    table("export", "for monitoring", EXPORT),
];

static TOP: &[Key] = &[
    unset(
        "root",
        Kind::Path,
        "\".\"",
        "the base, relative to this file",
    ),
    quiet(
        "state_directory",
        Kind::Path,
        "\".sysopt\"",
        "state and history, relative to the base",
    ),
];

static INTERVALS: &[Key] = &[
    key(
        "optimization",
        SPAN,
        "\"30min\"",
        "a cycle that starts earlier is skipped",
    ),
    key("cache_cleanup", SPAN, "\"6h\"", "clean-cache"),
    key("log_rotation", SPAN, "\"1d\"", "rotate-logs"),
    key("model_archive", SPAN, "\"7d\"", "archive-models"),
    key(
        "pressure_percent",
        Kind::Percent,
        "90",
        "a filesystem fuller than this makes all operations on it due",
    ),
];

static CACHE: &[Key] = &[
    quiet(
        "directories",
        Kind::Directories,
        r#"["cache", "data/cache", ".cache", "logs/cache"]"#,
        "relative to the base; these may be missing, those that are set must be there",
    ),
    key(
        "max_size",
        BYTES_OR_ZERO,
        "\"1000MiB\"",
        "per directory, disk usage",
    ),
    key(
        "cleanup_threshold",
        Kind::Fraction,
        "0.8",
        "clean when over max_size x this, down to it",
    ),
    key(
        "preserve_recent",
        SPAN_OR_ZERO,
        "\"2h\"",
        "never touch what was used since",
    ),
    unset(
        "max_age",
        SPAN,
        "\"30d\"",
        "evict what was not used for so long, also under the budget",
    ),
    unset(
        "max_total_size",
        BYTES,
        "\"5GiB\"",
        "over all cache directories, in one order",
    ),
    unset(
        "min_free",
        Kind::MinFree,
        "\"5%\"",
        "also evict until the filesystem has so much free (percent or size)",
    ),
    key(
        "exclude",
        Kind::Globs,
        "[]",
        "patterns of files to keep, relative to the directory",
    ),
];

static LOGS: &[Key] = &[
    quiet(
        "directories",
        Kind::Directories,
        r#"["logs", "data/logs", ".logs"]"#,
        "relative to the base; these may be missing, those that are set must be there",
    ),
    key(
        "patterns",
        Kind::Globs,
        r#"["*.log", "*.jsonl"]"#,
        "what is a log",
    ),
    key("exclude", Kind::Globs, "[]", "what is not"),
    key("max_file_size", BYTES, "\"100MiB\"", "rotate at this size"),
    unset(
        "rotate_after",
        SPAN,
        "\"1d\"",
        "rotate a non-empty log whose last rotation (or birth) is older",
    ),
    key(
        "max_files_per_logger",
        ANY,
        "5",
        "rotated files kept of each log; 0 keeps all",
    ),
    unset(
        "max_age",
        SPAN,
        "\"90d\"",
        "expire rotated files older than this",
    ),
    unset(
        "max_total_size",
        BYTES,
        "\"10GiB\"",
        "expire the oldest rotated files of a directory beyond this",
    ),
    unset(
        "min_free",
        Kind::MinFree,
        "\"5%\"",
        "expire until the filesystem has so much free (percent or size)",
    ),
    key(
        "compress_old_logs",
        Kind::Compression,
        "\"gzip\"",
        "\"gzip\", \"zstd\", \"none\"; true is gzip, false is none",
    ),
    key(
        "compression_level",
        Kind::Count(1, 19),
        "6",
        "gzip 1-9, zstd 1-19 (default 3 there)",
    ),
    key(
        "mode",
        Kind::Choice(MODES),
        "\"auto\"",
        "\"auto\", \"rename\", \"copy-truncate\", \"punch\"",
    ),
    key(
        "adopt",
        Kind::Bool,
        "false",
        "true: rotated files of other tools fall under retention too",
    ),
    key(
        "unique",
        Kind::Bool,
        "false",
        "true: each file is written once: compressed and expired in place, never rotated",
    ),
    key(
        "preserve_recent",
        SPAN_OR_ZERO,
        "\"2h\"",
        "a file of a unique rule that was used since is left alone",
    ),
    key(
        "settle",
        SPAN_OR_ZERO,
        "\"5s\"",
        "how long a rename waits for the writer to let go before compressing",
    ),
    unset(
        "signal",
        Kind::Signal,
        r#"{ name = "HUP", pid_file = "run/agent.pid" }"#,
        "sent after a rename, so that the writer reopens its log",
    ),
    unset(
        "post_rotate",
        Kind::Argv,
        r#"["systemctl", "reload", "agent"]"#,
        "run after a rename, without a shell",
    ),
    key(
        "hook_timeout",
        SPAN,
        "\"30s\"",
        "how long post_rotate may run",
    ),
];

static MODELS: &[Key] = &[
    quiet(
        "directories",
        Kind::Directories,
        r#"["models", "ml/models", "data/models", "cache/models"]"#,
        "relative to the base; these may be missing, those that are set must be there",
    ),
    key(
        "patterns",
        Kind::Globs,
        r#"["*.pkl", "*.pickle", "*.joblib", "*.pt", "*.pth", "*.ckpt", "*.onnx", "*.safetensors", "*.h5", "*.hdf5", "*.keras", "*.tflite", "*.gguf", "*.cbm", "*.ubj", "*.npz"]"#,
        "what is a model",
    ),
    key("exclude", Kind::Globs, "[]", "what is not"),
    key(
        "pin",
        Kind::Globs,
        "[]",
        "patterns of models that never move",
    ),
    key(
        "archive_after",
        SPAN_OR_ZERO,
        "\"7d\"",
        "archive what was not used for so long",
    ),
    key(
        "age_by",
        Kind::Choice(AGE_BY),
        "\"used\"",
        "\"used\": the later of mtime and atime; \"modified\": mtime alone",
    ),
    key(
        "keep_latest",
        ANY,
        "1",
        "newest versions of a versioned family that always stay in place",
    ),
    key(
        "safe_archiving",
        Kind::Bool,
        "true",
        "false: delete instead of archiving",
    ),
    key(
        "archive_directory",
        Kind::ArchivePath,
        "\"archived\"",
        "inside each model directory, or an absolute path",
    ),
    key(
        "max_archived_models",
        ANY,
        "10",
        "versions kept of each model in the archive; 0 keeps all",
    ),
    unset(
        "max_archive_size",
        BYTES,
        "\"50GiB\"",
        "expire the oldest beyond this, never the last version of a model",
    ),
    key(
        "compression",
        Kind::Choice(CODECS),
        "\"none\"",
        "\"zstd\", \"gzip\": kept only where it saves a tenth",
    ),
];

static SYSTEM: &[Key] = &[
    key(
        "garbage_collection",
        Kind::Bool,
        "true",
        "collect garbage in each cycle",
    ),
    key(
        "process_optimization",
        Kind::Bool,
        "true",
        "look at all processes in each cycle",
    ),
    key(
        "enable_agent_optimization",
        Kind::Bool,
        "true",
        "look at the agents in each cycle",
    ),
    key(
        "memory_threshold_percent",
        Kind::Percent,
        "85",
        "more is high load",
    ),
    key(
        "cpu_threshold_percent",
        Kind::Percent,
        "80",
        "of all processors; more is high load",
    ),
];

static ERROR_HANDLING: &[Key] = &[
    key(
        "max_consecutive_failures",
        Kind::Count(1, u32::MAX),
        "3",
        "back off from so many failed cycles on",
    ),
    key(
        "backoff_multiplier",
        Kind::Multiplier,
        "2.0",
        "the interval grows by this with each failure",
    ),
    key("max_interval", SPAN, "\"4h\"", "up to this"),
    key(
        "reset_after_success",
        Kind::Bool,
        "true",
        "a success forgets the failures before it",
    ),
];

static HISTORY: &[Key] = &[key(
    "keep",
    Kind::Count(0, 1_000_000),
    "50",
    "reports of the last cycles",
)];

static GARBAGE_KEYS: &[Key] = &[
    quiet(
        "directories",
        Kind::Directories,
        r#"["temp", "tmp"]"#,
        "searched beside all other directories; stale temporary files go only here",
    ),
    key(
        "stale_after",
        SPAN,
        "\"24h\"",
        "a temporary file not used for so long is stale",
    ),
    key(
        "delete",
        Kind::Choices(GARBAGE),
        "[]",
        "also \"broken_symlinks\", \"empty_directories\", \"pid_files\", else only reported",
    ),
];

static AGENTS: &[Key] = &[
    key(
        "exclude",
        Kind::Names,
        "[]",
        "names of processes that are no agents, beside the built-in ones",
    ),
    unset(
        "pace_file",
        Kind::Path,
        "\"run/pace.json\"",
        "where to write the pace that agents can follow",
    ),
];

static AGENT_RULE: &[Key] = &[
    unset(
        "name",
        Kind::Text,
        "\"whale-detector\"",
        "its name in reports",
    ),
    unset(
        "module",
        Kind::Glob,
        "\"cryptotrader.agents.*\"",
        "the module of python -m",
    ),
    unset("exe", Kind::Glob, "\"/opt/agents/*\"", "the executable"),
    unset("script", Kind::Glob, "\"*/whale.py\"", "the script"),
    unset(
        "comm",
        Kind::Text,
        "\"whale\"",
        "the name in /proc/PID/comm",
    ),
    unset("user", Kind::Text, "\"trader\"", "user name or id"),
    unset(
        "cgroup",
        Kind::Glob,
        "\"*/whale.service\"",
        "the control group",
    ),
    unset("cwd", Kind::Glob, "\"/srv/bot\"", "the working directory"),
    unset(
        "env",
        Kind::Assignment,
        "\"SYSOPT_AGENT=whale\"",
        "in its environment",
    ),
    unset(
        "cmd_regex",
        Kind::Regex,
        "\"whale.*--live\"",
        "on the arguments, joined by spaces",
    ),
    unset(
        "pid_file",
        Kind::Path,
        "\"run/whale.pid\"",
        "a file with its pid",
    ),
    key(
        "include_children",
        Kind::Bool,
        "false",
        "its children are agents too",
    ),
    unset("expect", ANY, "1", "warn when fewer run"),
    unset(
        "reclaim_signal",
        Kind::SignalName,
        "\"SIGUSR1\"",
        "asks an agent that handles it to collect its garbage",
    ),
];

static EXPORT: &[Key] = &[unset(
    "textfile",
    Kind::Path,
    "\"/var/lib/node_exporter/sysopt.prom\"",
    "metrics for Prometheus, written after each cycle",
)];
