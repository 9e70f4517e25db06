//! The effective configuration, with the source of each value: as TOML that can be loaded back,
//! and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Config;
use super::error::printable;
use super::keys::{Kind, SECTIONS};
use super::locate::BaseSource;
use super::policy::DirectoryOrigin;
use super::settings::{Setting, Settings, Source};
use super::value::Value;

/// As TOML. Loaded back with `--config`, it is the same configuration: the base is written as
/// `root`, and the sources are comments.
#[must_use]
pub fn toml(config: &Config) -> String {
    let mut out =
        String::from("# The effective configuration of sysopt, with the source of each value.\n");
    for section in SECTIONS {
        if section.repeated {
            for table in config.tree.repeated(section.name) {
                let source = table.span.as_ref().and(first_line(table));
                let source = source.map(|source| source_text(config, source));
                out.push('\n');
                line(
                    &mut out,
                    &format!("[[{}]]", section.name),
                    source.as_deref(),
                );
                write_table(&mut out, config, table);
            }
        } else if let Some(table) = config.tree.table(section.name) {
            out.push('\n');
            if !section.name.is_empty() {
                line(&mut out, &format!("[{}]", section.name), None);
            }
            write_table(&mut out, config, table);
        }
    }
    out
}

fn first_line(table: &Settings) -> Option<Source> {
    let lines = table
        .keys
        .values()
        .filter_map(|setting| match setting.source {
            Source::File(line) => Some(line),
            _ => None,
        });
    lines.min().map(Source::File)
}

fn line(out: &mut String, text: &str, comment: Option<&str>) {
    // Writing to a string cannot fail.
    let _ = match comment {
        Some(comment) => writeln!(out, "{text:<36} # {comment}"),
        None => writeln!(out, "{text}"),
    };
}

/// The keys of a table in the order of the table of keys.
fn in_order(table: &Settings) -> impl Iterator<Item = (&'static str, &Setting)> {
    let keys = table.section.keys.iter();
    keys.filter_map(|key| Some((key.name, table.get(key.name)?)))
}

fn write_table(out: &mut String, config: &Config, table: &Settings) {
    for (name, setting) in in_order(table) {
        let (value, source) = effective(config, table, name, setting);
        match value {
            Some(value) => {
                line(out, &format!("{name} = {}", value.to_toml()), Some(&source));
            }
            None if name == "root" => {
                let base = printable(&config.base.to_string_lossy());
                line(out, &format!("# root is not UTF-8: {base}"), None);
            }
            None => line(out, &format!("# {name} is not set"), None),
        }
    }
}

/// The value in force and its source. It differs from the setting for the base, and for built-in
/// directories that have none.
fn effective(
    config: &Config,
    table: &Settings,
    name: &str,
    setting: &Setting,
) -> (Option<Value>, String) {
    let source = source_text(config, setting.source);
    if table.section.name.is_empty() && name == "root" {
        let base = config
            .base
            .to_str()
            .map(|base| Value::Text(base.to_owned()));
        return (base, base_text(config, setting));
    }
    let directories = table.section.key(name).map(|key| key.kind) == Some(Kind::Directories);
    if directories && setting.source == Source::Default && !config.default_directories {
        let why = "default: none, because the file has no root".to_owned();
        return (Some(Value::List(Vec::new())), why);
    }
    (setting.value.clone(), source)
}

fn file_name(config: &Config) -> String {
    let file = config.file.as_deref().unwrap_or(Path::new(""));
    printable(&file.to_string_lossy())
}

fn source_text(config: &Config, source: Source) -> String {
    match source {
        Source::Default => "default".into(),
        Source::CommandLine => "command line".into(),
        Source::File(line) => format!("{}:{line}", file_name(config)),
    }
}

fn base_text(config: &Config, root: &Setting) -> String {
    match config.base_source {
        BaseSource::CommandLine => "command line".into(),
        BaseSource::Root => source_text(config, root.source),
        BaseSource::FileDirectory => format!("directory of {}", file_name(config)),
        BaseSource::Current => "current directory".into(),
    }
}

/// As JSON, `sysopt.config/1`: `values` is the tree of the file, with a value and a source in place
/// of each value. Durations also have `seconds`, sizes `bytes`.
#[must_use]
pub fn json(config: &Config) -> impl Serialize + use<> {
    let path = |path: &Path| Json::from(path.to_string_lossy().into_owned());
    Json::Map(vec![
        ("schema", Json::from("sysopt.config/1".to_owned())),
        ("version", Json::from(env!("CARGO_PKG_VERSION").to_owned())),
        ("file", config.file.as_deref().map_or(Json::Null, path)),
        ("base", path(&config.base)),
        ("state_directory", path(&config.state_directory)),
        ("values", Json::Map(json_values(config))),
        ("directories", json_directories(config)),
    ])
}

fn json_values(config: &Config) -> Vec<(&'static str, Json)> {
    let mut values = Vec::new();
    for section in SECTIONS.iter().filter(|section| !section.repeated) {
        let Some(table) = config.tree.table(section.name) else {
            continue;
        };
        let mut members = json_table(config, table);
        for inner in SECTIONS.iter().filter(|inner| inner.repeated) {
            if let Some((outer, name)) = inner.name.split_once('.')
                && outer == section.name
            {
                let tables = config.tree.repeated(inner.name);
                let rules = tables.map(|rule| Json::Map(json_table(config, rule)));
                members.push((name, Json::List(rules.collect())));
            }
        }
        if section.name.is_empty() {
            values.extend(members);
        } else {
            values.push((section.name, Json::Map(members)));
        }
    }
    values
}

fn json_table(config: &Config, table: &Settings) -> Vec<(&'static str, Json)> {
    in_order(table)
        .map(|(name, setting)| {
            let (value, source) = effective(config, table, name, setting);
            let mut members = vec![("value", Json::Null), ("source", Json::from(source))];
            if let Some(value) = value {
                match value {
                    Value::Duration(span) => {
                        members.push(("seconds", Json::Leaf(span.as_secs_f64().into())));
                    }
                    Value::Size(bytes) => members.push(("bytes", Json::Leaf(bytes.into()))),
                    _ => {}
                }
                members[0].1 = Json::Leaf(value.to_json());
            }
            (name, Json::Map(members))
        })
        .collect()
}

fn json_directories(config: &Config) -> Json {
    let each = config.directories.iter().map(|directory| {
        let role = serde_json::to_value(directory.role).unwrap_or_default();
        let source = match directory.origin {
            DirectoryOrigin::Default => "default",
            DirectoryOrigin::File => "file",
        };
        let path = directory.path.to_string_lossy().into_owned();
        let written = directory.written.to_string_lossy().into_owned();
        Json::Map(vec![
            ("role", Json::Leaf(role)),
            ("path", Json::from(path)),
            ("written", Json::from(written)),
            ("source", Json::from(source.to_owned())),
        ])
    });
    Json::List(each.collect())
}

/// JSON whose keys keep their order.
#[derive(Clone, Debug)]
enum Json {
    Null,
    Leaf(serde_json::Value),
    List(Vec<Json>),
    Map(Vec<(&'static str, Json)>),
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Leaf(text.into())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Leaf(value) => value.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
