//! What is wrong between the keys of a file, each of which is right by itself.

use std::path::{Component, Path};

use super::build::codec_and_level;
use super::error::Errors;
use super::keys::Kind;
use super::settings::{Setting, Settings, Source, Tree};
use super::value::Value;

/// Adds what is wrong between keys. `relative` is whether relative paths in the file have a base.
pub(super) fn check(tree: &Tree, relative: bool, errors: &mut Errors<'_>) {
    if let Some(logs) = tree.table("logs") {
        level(logs, None, errors);
        for rule in tree.repeated("logs.rule") {
            level(rule, Some(logs), errors);
        }
    }
    agent_rules(tree, errors);
    state_directory(tree, errors);
    if !relative {
        for table in tree.tables.iter().chain(&tree.repeated) {
            absolute_paths(table, errors);
        }
    }
}

fn level(own: &Settings, parent: Option<&Settings>, errors: &mut Errors<'_>) {
    let given = own.get("compression_level");
    let (codec, level) = codec_and_level(own, parent);
    if codec != "gzip" || level <= 9 {
        return;
    }
    // The level may be inherited by a rule that has none.
    let setting = given.filter(|setting| setting.value.is_some());
    if let Some(setting) = setting {
        let message = "gzip has levels from 1 to 9".to_owned();
        let help = Some("compress_old_logs = \"zstd\" has levels up to 19".to_owned());
        let path = own.section.path("compression_level");
        errors.add(setting.span.as_ref(), &path, message, help);
    }
}

/// Everything in the state directory is sysopt's, so it cannot be the base or above it.
fn state_directory(tree: &Tree, errors: &mut Errors<'_>) {
    let setting = tree.table("").and_then(|top| top.get("state_directory"));
    if let Some(setting) = setting
        && let Some(Value::Text(path)) = &setting.value
        && !matches!(
            Path::new(path).components().next_back(),
            Some(Component::Normal(_))
        )
    {
        let message = "the state needs a directory of its own".to_owned();
        let help = Some("leave the key out for \".sysopt\" in the base".to_owned());
        errors.add(setting.span.as_ref(), "state_directory", message, help);
    }
}

fn agent_rules(tree: &Tree, errors: &mut Errors<'_>) {
    let mut names: Vec<&str> = Vec::new();
    for rule in tree.repeated("agents.rule") {
        let span = rule.span.as_ref();
        match rule.get("name") {
            None => {
                let help = Some("add name = \"...\"".to_owned());
                errors.add(span, "agents.rule", "this rule has no name".into(), help);
            }
            Some(Setting {
                value: Some(Value::Text(name)),
                span,
                ..
            }) => {
                if names.contains(&name.as_str()) {
                    let message = format!("another rule is named '{name}'");
                    errors.add(span.as_ref(), "agents.rule.name", message, None);
                }
                names.push(name);
            }
            Some(_) => {}
        }
        let says = ["name", "include_children", "expect", "reclaim_signal"];
        if rule.keys.keys().all(|key| says.contains(key)) {
            let message = "this rule matches every process".to_owned();
            let help = Some("say which: module, exe, script, comm, user, ...".to_owned());
            errors.add(span, "agents.rule", message, help);
        }
    }
}

fn absolute_paths(table: &Settings, errors: &mut Errors<'_>) {
    for (name, setting) in &table.keys {
        let Some(key) = table.section.key(name) else {
            continue;
        };
        if !matches!(setting.source, Source::File(_)) || *name == "root" {
            continue;
        }
        let paths: Vec<&str> = match (key.kind, &setting.value) {
            (Kind::Directories, Some(Value::List(paths))) => {
                paths.iter().map(String::as_str).collect()
            }
            (Kind::Path, Some(Value::Text(path)))
            | (Kind::Signal, Some(Value::Signal(_, path))) => {
                vec![path]
            }
            _ => continue,
        };
        if let Some(path) = paths.iter().find(|path| Path::new(path).is_relative()) {
            let message = format!("'{path}' is relative, and this file has no root");
            let help = "write an absolute path, or root = \"/...\" at the top of the file";
            let at = table.section.path(name);
            errors.add(setting.span.as_ref(), &at, message, Some(help.to_owned()));
        }
    }
}
