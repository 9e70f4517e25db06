//! What a key of the configuration is; the table of them all is in [`table`].

mod table;

pub use table::{CODECS, SECTIONS};

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A span of time; `Duration(false)` must be longer than zero.
    Duration(bool),
    /// Bytes; `Size(false)` must be more than zero.
    Size(bool),
    /// A percentage or a size.
    MinFree,
    /// A number from 0 to 100.
    Percent,
    /// A number over 0, up to 1.
    Fraction,
    /// A number from 1 to 1000.
    Multiplier,
    /// A whole number between two bounds.
    Count(u32, u32),
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Some of some words.
    Choices(&'static [&'static str]),
    /// `"gzip"`, `"zstd"`, `"none"`; `true` is gzip, `false` is none.
    Compression,
    /// A string that is not empty.
    Text,
    /// Strings that are not empty.
    Names,
    /// A command and its arguments.
    Argv,
    /// A path, relative to the base.
    Path,
    /// A path inside each model directory, or an absolute one.
    ArchivePath,
    /// Directories, relative to the base.
    Directories,
    /// One file name pattern.
    Glob,
    /// File name patterns.
    Globs,
    /// A regular expression.
    Regex,
    /// The name of a signal.
    SignalName,
    /// A table of a signal's name and a pid file.
    Signal,
    /// `NAME=VALUE`.
    Assignment,
}

impl Kind {
    /// What a value of this kind is, with an example, for error messages.
    #[must_use]
    pub fn noun(self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Duration(_) => "a duration such as \"30min\"".into(),
            Self::Size(_) => "a size such as \"100MiB\"".into(),
            Self::MinFree => "a percentage such as \"5%\" or a size such as \"10GiB\"".into(),
            Self::Percent => "a number from 0 to 100".into(),
            Self::Fraction => "a number over 0, up to 1".into(),
            Self::Multiplier => "a number from 1 to 1000".into(),
            Self::Count(least, u32::MAX) => format!("a whole number from {least}"),
            Self::Count(least, most) => format!("a whole number from {least} to {most}"),
            Self::Choice(words) => format!("one of {}", quoted(words)),
            Self::Choices(words) => format!("a list of some of {}", quoted(words)),
            Self::Compression => format!("one of {}", quoted(CODECS)),
            Self::Text => "a string".into(),
            Self::Names => "a list of strings".into(),
            Self::Argv => "a list of the command and its arguments".into(),
            Self::Path | Self::ArchivePath => "a path".into(),
            Self::Directories => "a list of directories".into(),
            Self::Glob => "a pattern such as \"cryptotrader.*\"".into(),
            Self::Globs => "a list of patterns such as [\"*.log\"]".into(),
            Self::Regex => "a regular expression".into(),
            Self::SignalName => "the name of a signal such as \"USR1\"".into(),
            Self::Signal => "a table such as { name = \"HUP\", pid_file = \"agent.pid\" }".into(),
            Self::Assignment => "NAME=VALUE".into(),
        }
    }
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}

/// What a key is where the file does not say, in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// This value.
    Value(&'static str),
    /// This value; `config --init` writes it as a comment.
    Quiet(&'static str),
    /// Nothing; the text is an example.
    Unset(&'static str),
}

/// A key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is where the file does not say.
    pub initial: Initial,
    /// What it means, in a few words.
    pub doc: &'static str,
}

/// A table of the configuration.
#[derive(Debug)]
pub struct Section {
    /// As it is written; empty for the top of the file.
    pub name: &'static str,
    /// `[[name]]`: any number of them.
    pub repeated: bool,
    /// What it is about.
    pub doc: &'static str,
    /// An old name of `directories`, which may also stand at the top of the file.
    pub directories: Option<&'static str>,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// `cache.max_size`.
    #[must_use]
    pub fn path(&self, key: &str) -> String {
        match self.name {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    /// Its key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The section of that name.
#[must_use]
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}
