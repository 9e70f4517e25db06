//! From typed options to what they override in the configuration.

use std::time::Duration;

use super::session::Early;
use crate::cli::{self, Command};
use crate::config::literal;
use crate::config::overrides::{Compression, Overrides};
use crate::exit::Exit;
use crate::plan::policy::{AgeBy, LogMode};

/// The overrides of a subcommand.
///
/// # Errors
/// A size or a duration that cannot be read: code 2.
pub fn of(command: &Command) -> Result<Overrides, Early> {
    let mut overrides = Overrides::default();
    match command {
        Command::CleanCache(args) => {
            overrides.cache_max_size = size("--max-size", args.max_size.as_deref())?;
            overrides.cache_preserve_recent =
                span("--preserve-recent", args.preserve_recent.as_deref())?;
            overrides.cache_max_age = span("--max-age", args.max_age.as_deref())?;
        }
        Command::RotateLogs(args) => {
            overrides.logs_max_size = size("--max-size", args.max_size.as_deref())?;
            overrides.logs_keep = args.keep;
            overrides.logs_compress = args.compress.map(compression);
            overrides.logs_mode = args.mode.map(mode);
            overrides.logs_force = args.force;
        }
        Command::ArchiveModels(args) => {
            overrides.models_older_than = span("--older-than", args.older_than.as_deref())?;
            overrides.models_age_by = args.age_by.map(age_by);
            overrides.models_max_archived = args.max_archived;
            overrides.models_compress = args.compress.map(compression);
        }
        Command::Cycle(_) | Command::RestoreModels(_) | Command::Status(_) | Command::Config(_) => {
        }
    }
    Ok(overrides)
}

fn size(option: &str, text: Option<&str>) -> Result<Option<u64>, Early> {
    text.map(literal::size)
        .transpose()
        .map_err(|error| Early::line(Exit::Usage, &format!("{option}: {error}")))
}

fn span(option: &str, text: Option<&str>) -> Result<Option<Duration>, Early> {
    text.map(literal::duration)
        .transpose()
        .map_err(|error| Early::line(Exit::Usage, &format!("{option}: {error}")))
}

const fn compression(codec: cli::Codec) -> Compression {
    match codec {
        cli::Codec::None => Compression::None,
        cli::Codec::Gzip => Compression::Gzip,
        cli::Codec::Zstd => Compression::Zstd,
    }
}

const fn mode(mode: cli::RotationMode) -> LogMode {
    match mode {
        cli::RotationMode::Auto => LogMode::Auto,
        cli::RotationMode::Rename => LogMode::Rename,
        cli::RotationMode::CopyTruncate => LogMode::CopyTruncate,
        cli::RotationMode::Punch => LogMode::Punch,
    }
}

const fn age_by(by: cli::AgeBy) -> AgeBy {
    match by {
        cli::AgeBy::Used => AgeBy::Used,
        cli::AgeBy::Modified => AgeBy::Modified,
    }
}
