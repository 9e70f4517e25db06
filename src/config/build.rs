//! From settings to policies: absolute paths, compiled patterns, levels of compression.

use std::path::{Path, PathBuf};

use super::locate::{absolute, clean};
use super::policy::{Configured, DirectoryOrigin, ErrorHandling, Intervals};
use super::settings::{Settings, Source, Tree};
use super::value::Value;
use super::view::{Absent, Built, View};
use crate::plan::entry::Role;
use crate::plan::policy::{
    AgentRule, AgentsPolicy, CachePolicy, Codec, GarbagePolicy, LoadPolicy, LogRule, LogsPolicy,
    ModelsPolicy, Policies, Signal,
};

/// The level of a codec where none is given.
#[must_use]
pub fn default_level(codec: &str) -> u32 {
    if codec == "zstd" { 3 } else { 6 }
}

/// The codec of some logs, and the level. A level is inherited only with its codec: 15 means
/// something to zstd and nothing to gzip.
#[must_use]
pub fn codec_and_level(own: &Settings, parent: Option<&Settings>) -> (String, u32) {
    let codec = |settings: &Settings| match settings.get("compress_old_logs")?.value.as_ref()? {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let level = |settings: &Settings| {
        let setting = settings.get("compression_level")?;
        match setting.value {
            Some(Value::Count(level)) if setting.source != Source::Default => Some(level),
            _ => None,
        }
    };
    let inherited = parent.and_then(codec);
    let used = codec(own).or_else(|| inherited.clone());
    let same = used == inherited;
    let used = used.unwrap_or_default();
    let level = level(own)
        .or_else(|| parent.filter(|_| same).and_then(level))
        .unwrap_or_else(|| default_level(&used));
    (used, level)
}

fn codec(name: &str, level: u32) -> Option<Codec> {
    match name {
        "none" => Some(Codec::None),
        "gzip" => Some(Codec::Gzip(level)),
        "zstd" => Some(Codec::Zstd(i32::try_from(level).ok()?)),
        _ => None,
    }
}

/// Makes policies from settings.
pub struct Builder<'a> {
    pub tree: &'a Tree,
    pub base: &'a Path,
    /// Whether the built-in directories count: not where no base is meant.
    pub default_directories: bool,
}

impl Builder<'_> {
    fn view(&self, section: &str) -> Built<View<'_>> {
        let own = self.tree.table(section);
        Ok(View {
            own: own.ok_or_else(|| Absent(section.to_owned()))?,
            parent: None,
            base: self.base,
        })
    }

    pub fn state_directory(&self) -> Built<PathBuf> {
        let state = self.view("")?.path("state_directory")?;
        state.ok_or_else(|| Absent("state_directory".into()))
    }

    pub fn intervals(&self) -> Built<Intervals> {
        let table = self.view("intervals")?;
        Ok(Intervals {
            optimization: table.want("optimization")?,
            cache_cleanup: table.want("cache_cleanup")?,
            log_rotation: table.want("log_rotation")?,
            model_archive: table.want("model_archive")?,
            pressure_percent: table.want("pressure_percent")?,
        })
    }

    pub fn error_handling(&self) -> Built<ErrorHandling> {
        let table = self.view("error_handling")?;
        Ok(ErrorHandling {
            max_consecutive_failures: table.want("max_consecutive_failures")?,
            backoff_multiplier: table.want("backoff_multiplier")?,
            max_interval: table.want("max_interval")?,
            reset_after_success: table.want("reset_after_success")?,
        })
    }

    pub fn history_keep(&self) -> Built<usize> {
        self.view("history")?.want("keep")
    }

    pub fn export_textfile(&self) -> Built<Option<PathBuf>> {
        self.view("export")?.path("textfile")
    }

    /// The directories of all roles, each once for a role.
    pub fn directories(&self) -> Vec<Configured> {
        let tables = ["models", "logs", "cache", "garbage"];
        let named = tables.into_iter().filter_map(|name| self.tree.table(name));
        let mut found: Vec<Configured> = Vec::new();
        for table in named.chain(self.tree.repeated("logs.rule")) {
            for directory in self.directories_of(table) {
                let known = found
                    .iter()
                    .any(|known| known.role == directory.role && known.path == directory.path);
                if !known {
                    found.push(directory);
                }
            }
        }
        found
    }

    fn directories_of(&self, table: &Settings) -> Vec<Configured> {
        let role = match table.section.name {
            "models" => Role::Models,
            "logs" | "logs.rule" => Role::Logs,
            "cache" => Role::Cache,
            _ => Role::Garbage,
        };
        let Some(setting) = table.get("directories") else {
            return Vec::new();
        };
        let origin = match setting.source {
            Source::Default if !self.default_directories => return Vec::new(),
            Source::Default => DirectoryOrigin::Default,
            Source::File(_) | Source::CommandLine => DirectoryOrigin::File,
        };
        let Some(Value::List(names)) = &setting.value else {
            return Vec::new();
        };
        let configured = |written: &String| Configured {
            role,
            path: absolute(self.base, Path::new(written)),
            written: written.into(),
            origin,
        };
        names.iter().map(configured).collect()
    }

    pub fn policies(&self, force: bool) -> Built<Policies> {
        Ok(Policies {
            cache: self.cache()?,
            logs: self.logs(force)?,
            models: self.models()?,
            garbage: self.garbage()?,
            agents: self.agents()?,
            load: self.load()?,
        })
    }

    fn cache(&self) -> Built<CachePolicy> {
        let table = self.view("cache")?;
        Ok(CachePolicy {
            limit: share(table.want("max_size")?, table.want("cleanup_threshold")?),
            preserve_recent: table.want("preserve_recent")?,
            max_age: table.maybe("max_age")?,
            max_total_size: table.maybe("max_total_size")?,
            min_free: table.maybe("min_free")?,
            exclude: table.want("exclude")?,
        })
    }

    fn logs(&self, force: bool) -> Built<LogsPolicy> {
        let last = self.view("logs")?;
        let mut rules = Vec::new();
        for own in self.tree.repeated("logs.rule") {
            let parent = Some(last.own);
            rules.push(self.log_rule(View {
                own,
                parent,
                base: self.base,
            })?);
        }
        rules.push(self.log_rule(last)?);
        Ok(LogsPolicy { rules, force })
    }

    fn log_rule(&self, view: View<'_>) -> Built<LogRule> {
        let (name, level) = codec_and_level(view.own, view.parent);
        let directories = view.parent.and(view.own.get("directories")).map(|_| {
            let configured = self.directories_of(view.own);
            configured.into_iter().map(|each| each.path).collect()
        });
        let signal: Option<(String, String)> = view.maybe("signal")?;
        Ok(LogRule {
            directories,
            patterns: view.want("patterns")?,
            exclude: view.want("exclude")?,
            max_file_size: view.want("max_file_size")?,
            rotate_after: view.maybe("rotate_after")?,
            max_files: view.want("max_files_per_logger")?,
            max_age: view.maybe("max_age")?,
            max_total_size: view.maybe("max_total_size")?,
            min_free: view.maybe("min_free")?,
            compress: codec(&name, level)
                .ok_or_else(|| Absent(view.own.section.path("compress_old_logs")))?,
            mode: view.want("mode")?,
            adopt: view.want("adopt")?,
            unique: view.want("unique")?,
            preserve_recent: view.want("preserve_recent")?,
            settle: view.want("settle")?,
            signal: signal.map(|(name, file)| Signal {
                name,
                pid_file: absolute(self.base, Path::new(&file)),
            }),
            post_rotate: view.maybe("post_rotate")?,
            hook_timeout: view.want("hook_timeout")?,
        })
    }

    fn models(&self) -> Built<ModelsPolicy> {
        let table = self.view("models")?;
        let compression: String = table.want("compression")?;
        let archive: String = table.want("archive_directory")?;
        Ok(ModelsPolicy {
            patterns: table.want("patterns")?,
            exclude: table.want("exclude")?,
            pin: table.want("pin")?,
            archive_after: table.want("archive_after")?,
            age_by: table.want("age_by")?,
            keep_latest: table.want("keep_latest")?,
            safe_archiving: table.want("safe_archiving")?,
            archive_directory: clean(Path::new(&archive)),
            max_archived: table.want("max_archived_models")?,
            max_archive_size: table.maybe("max_archive_size")?,
            compression: codec(&compression, default_level(&compression))
                .ok_or_else(|| Absent("models.compression".into()))?,
        })
    }

    fn garbage(&self) -> Built<GarbagePolicy> {
        let table = self.view("garbage")?;
        let delete: Vec<String> = table.want("delete")?;
        let deletes = |class: &str| delete.iter().any(|named| named == class);
        Ok(GarbagePolicy {
            enabled: self.view("system")?.want("garbage_collection")?,
            stale_after: table.want("stale_after")?,
            delete_broken_symlinks: deletes("broken_symlinks"),
            delete_empty_directories: deletes("empty_directories"),
            delete_pid_files: deletes("pid_files"),
        })
    }

    fn load(&self) -> Built<LoadPolicy> {
        let table = self.view("system")?;
        Ok(LoadPolicy {
            enabled: table.want("process_optimization")?,
            memory_percent: table.want("memory_threshold_percent")?,
            cpu_percent: table.want("cpu_threshold_percent")?,
        })
    }

    fn agents(&self) -> Built<AgentsPolicy> {
        let table = self.view("agents")?;
        let mut rules = Vec::new();
        for own in self.tree.repeated("agents.rule") {
            rules.push(agent_rule(View {
                own,
                parent: None,
                base: self.base,
            })?);
        }
        Ok(AgentsPolicy {
            enabled: self.view("system")?.want("enable_agent_optimization")?,
            exclude: table.want("exclude")?,
            rules,
            pace_file: table.path("pace_file")?,
        })
    }
}

fn agent_rule(view: View<'_>) -> Built<AgentRule> {
    Ok(AgentRule {
        name: view.want("name")?,
        module: view.maybe("module")?,
        exe: view.maybe("exe")?,
        script: view.maybe("script")?,
        comm: view.maybe("comm")?,
        user: view.maybe("user")?,
        cgroup: view.maybe("cgroup")?,
        cwd: view.maybe("cwd")?,
        env: view.maybe("env")?,
        cmd_regex: view.maybe("cmd_regex")?,
        pid_file: view.path("pid_file")?,
        // A rule has only what is given; the built-in value of this key is `false`.
        include_children: view.maybe("include_children")?.unwrap_or(false),
        expect: view.maybe("expect")?,
        reclaim_signal: view.maybe("reclaim_signal")?,
    })
}

/// `bytes` times a fraction, rounded down.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the fraction is over 0 and at most 1, and a budget needs no more than 52 bits"
)]
fn share(bytes: u64, fraction: f64) -> u64 {
    if fraction >= 1.0 {
        return bytes;
    }
    (bytes as f64 * fraction) as u64
}
