//! What options say over the configuration for one run.

use std::time::Duration;

use super::build::default_level;
use super::settings::{Setting, Settings, Source, Tree};
use super::value::Value;
use crate::plan::policy::{AgeBy, LogMode};

/// A codec as an option names it; its level is the configuration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Options of `clean-cache`, `rotate-logs` and `archive-models` that stand for keys.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The budget of each cache directory itself, in bytes: no threshold is applied to it.
    pub cache_max_size: Option<u64>,
    /// `clean-cache --preserve-recent`.
    pub cache_preserve_recent: Option<Duration>,
    /// `clean-cache --max-age`.
    pub cache_max_age: Option<Duration>,
    /// `rotate-logs --max-size`, in bytes; for the logs of every rule, like the next three.
    pub logs_max_size: Option<u64>,
    /// `rotate-logs --keep`.
    pub logs_keep: Option<u32>,
    /// `rotate-logs --compress`.
    pub logs_compress: Option<Compression>,
    /// `rotate-logs --mode`.
    pub logs_mode: Option<LogMode>,
    /// `rotate-logs --force`.
    pub logs_force: bool,
    /// `archive-models --older-than`.
    pub models_older_than: Option<Duration>,
    /// `archive-models --age-by`.
    pub models_age_by: Option<AgeBy>,
    /// `archive-models --max-archived`.
    pub models_max_archived: Option<u32>,
    /// `archive-models --compress`.
    pub models_compress: Option<Compression>,
}

impl Overrides {
    /// Sets what was typed.
    pub(super) fn apply(&self, tree: &mut Tree) {
        if let Some(cache) = tree.table_mut("cache") {
            self.apply_cache(cache);
        }
        let keys = self.log_keys();
        for rule in &mut tree.repeated {
            if rule.section.name == "logs.rule" {
                // The rule now inherits what was typed.
                for (key, _) in &keys {
                    rule.keys.remove(key);
                }
                if self.logs_compress.is_some() {
                    rule.keys.remove("compression_level");
                }
            }
        }
        if let Some(logs) = tree.table_mut("logs") {
            let before = logs.get("compress_old_logs").cloned();
            for (key, value) in keys {
                logs.set(key, value, Source::CommandLine);
            }
            let now = logs.get("compress_old_logs").cloned();
            if before.and_then(|b| b.value) != now.and_then(|n| n.value) {
                // The level was meant for another codec.
                logs.set("compression_level", Value::Count(6), Source::Default);
            }
        }
        if let Some(models) = tree.table_mut("models") {
            self.apply_models(models);
        }
        settle_level(tree);
    }

    fn apply_cache(&self, cache: &mut Settings) {
        let source = Source::CommandLine;
        if let Some(bytes) = self.cache_max_size {
            cache.set("max_size", Value::Size(bytes), source);
            cache.set("cleanup_threshold", Value::Number(1.0), source);
        }
        if let Some(span) = self.cache_preserve_recent {
            cache.set("preserve_recent", Value::Duration(span), source);
        }
        if let Some(span) = self.cache_max_age {
            cache.set("max_age", Value::Duration(span), source);
        }
    }

    fn log_keys(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &str| Value::Text(text.to_owned());
        [
            self.logs_max_size
                .map(|bytes| ("max_file_size", Value::Size(bytes))),
            self.logs_keep
                .map(|number| ("max_files_per_logger", Value::Count(number))),
            self.logs_compress
                .map(|codec| ("compress_old_logs", text(codec.name()))),
            self.logs_mode.map(|mode| ("mode", text(mode.name()))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn apply_models(&self, models: &mut Settings) {
        let source = Source::CommandLine;
        if let Some(span) = self.models_older_than {
            models.set("archive_after", Value::Duration(span), source);
        }
        if let Some(age_by) = self.models_age_by {
            let word = match age_by {
                AgeBy::Used => "used",
                AgeBy::Modified => "modified",
            };
            models.set("age_by", Value::Text(word.into()), source);
        }
        if let Some(number) = self.models_max_archived {
            models.set("max_archived_models", Value::Count(number), source);
        }
        if let Some(codec) = self.models_compress {
            let name = Value::Text(codec.name().into());
            models.set("compression", name, source);
        }
    }
}

/// The built-in level is that of the codec in use.
fn settle_level(tree: &mut Tree) {
    if let Some(logs) = tree.table_mut("logs")
        && let Some(Setting {
            source: Source::Default,
            ..
        }) = logs.get("compression_level")
        && let Some(Value::Text(codec)) = logs
            .get("compress_old_logs")
            .and_then(|setting| setting.value.clone())
    {
        let level = Value::Count(default_level(&codec));
        logs.set("compression_level", level, Source::Default);
    }
}
