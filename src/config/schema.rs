//! The JSON Schema of a configuration, made from the table of keys: `schema/config.json`.
//!
//! It is for editors, and never stricter than what is read: what it accepts may still be refused
//! with better words, such as a pattern that is none.

use serde_json::{Map, Value, json};

use super::keys::{CODECS, Initial, Key, Kind, SECTIONS, Section};
use super::value::UNITS;

/// The schema, of draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut properties = Map::new();
    for section in SECTIONS.iter().filter(|section| !section.repeated) {
        if section.name.is_empty() {
            properties.extend(keys(section));
        } else {
            properties.insert(section.name.to_owned(), table(section));
        }
        // The replaced system has these at the top, too.
        let directories = section.directories.zip(section.key("directories"));
        properties.extend(directories.map(|(name, key)| (name.to_owned(), described(key))));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sysopt.toml",
        "description": "The configuration of sysopt, in TOML or JSON; sysopt.toml(5) has the whole story.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn table(section: &Section) -> Value {
    let mut properties = keys(section);
    for inner in SECTIONS.iter().filter(|inner| inner.repeated) {
        let name = inner.name.strip_prefix(section.name);
        if let Some(name) = name.and_then(|rest| rest.strip_prefix('.')) {
            let list = json!({ "type": "array", "items": table(inner) });
            properties.insert(name.to_owned(), list);
        }
    }
    json!({
        "description": section.doc,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// The keys of a table, also as the replaced system spelt them.
fn keys(section: &Section) -> Map<String, Value> {
    let mut properties = Map::new();
    for key in section.keys {
        properties.insert(key.name.to_owned(), described(key));
        for unit in UNITS.iter().filter(|unit| unit.fits(key.kind)) {
            let number = json!({
                "description": format!("as {}, the unit being in the name", key.name),
                "type": "number",
                "minimum": 0,
            });
            properties.insert(format!("{}{}", key.name, unit.suffix), number);
        }
        if let Some(old) = section.directories.filter(|_| key.name == "directories") {
            properties.insert(old.to_owned(), described(key));
        }
    }
    properties
}

/// What a key takes, with its meaning and its default or an example.
fn described(key: &Key) -> Value {
    let mut schema = values(key.kind);
    schema["description"] = key.doc.into();
    // TOML and JSON write these alike, but for a table.
    match key.initial {
        Initial::Value(text) | Initial::Quiet(text) => {
            if let Ok(default) = serde_json::from_str(text) {
                schema["default"] = default;
            }
        }
        Initial::Unset(text) => {
            if let Ok(example) = serde_json::from_str::<Value>(text) {
                schema["examples"] = json!([example]);
            }
        }
    }
    schema
}

fn values(kind: Kind) -> Value {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        // A span without a unit is refused, but for nothing at all.
        Kind::Duration(true) => json!({ "anyOf": [literal(), { "const": 0 }] }),
        Kind::Duration(false) => literal(),
        Kind::Size(zero) => bytes(u64::from(!zero)),
        Kind::MinFree => bytes(0),
        Kind::Percent => json!({ "type": "number", "minimum": 0, "maximum": 100 }),
        Kind::Fraction => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }),
        Kind::Multiplier => json!({ "type": "number", "minimum": 1, "maximum": 1000 }),
        Kind::Count(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Choices(words) => json!({ "type": "array", "items": { "enum": words } }),
        Kind::Compression => {
            let words = CODECS.iter().map(|word| json!(word));
            let all: Vec<Value> = words.chain([json!(true), json!(false)]).collect();
            json!({ "enum": all })
        }
        Kind::Names | Kind::Directories | Kind::Globs => {
            json!({ "type": "array", "items": text() })
        }
        Kind::Argv => {
            json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
        }
        Kind::Signal => json!({
            "type": "object",
            "properties": { "name": text(), "pid_file": text() },
            "required": ["name", "pid_file"],
            "additionalProperties": false,
        }),
        Kind::Assignment => json!({ "type": "string", "pattern": "^[^=]+=" }),
        Kind::Text
        | Kind::Path
        | Kind::ArchivePath
        | Kind::Glob
        | Kind::Regex
        | Kind::SignalName => text(),
    }
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

/// A number with its unit: `"30min"`, `"100MiB"`, `"5%"`.
fn literal() -> Value {
    json!({ "type": "string", "pattern": "^\\s*[0-9]" })
}

fn bytes(least: u64) -> Value {
    json!({ "anyOf": [literal(), { "type": "integer", "minimum": least }] })
}
