//! The answer to `--explain PATH`, as JSON and for people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::json::{optional_path_entry, path_entry};
use super::name;
use crate::plan::time::Time;

/// The `schema` of an explanation.
const SCHEMA: &str = "sysopt.explain/1";

/// What would happen to a path; [`serde::Serialize`] is its JSON.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// As it was typed.
    pub path: &'a Path,
    /// What each operation says of it.
    pub verdicts: Vec<Verdict>,
}

/// What one operation says of the path.
#[derive(Debug)]
pub struct Verdict {
    /// Its name in reports.
    pub operation: &'static str,
    /// The word of the action; `None` where it is kept.
    pub action: Option<&'static str>,
    /// As reports show it.
    pub path: PathBuf,
    /// Where it would go.
    pub to: Option<PathBuf>,
    /// The reason.
    pub rule: String,
    /// From when on the next run would act, if nothing changes; `None` where time alone does not
    /// decide.
    pub when: Option<Time>,
    /// What else has to come before it acts.
    pub condition: Option<String>,
}

impl Serialize for Explanation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", SCHEMA)?;
        path_entry(&mut map, ["path", "path_base64"], self.path)?;
        map.serialize_entry("verdicts", &self.verdicts)?;
        map.end()
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("operation", self.operation)?;
        map.serialize_entry("action", &self.action)?;
        path_entry(&mut map, ["path", "path_base64"], &self.path)?;
        optional_path_entry(&mut map, ["to", "to_base64"], self.to.as_deref())?;
        map.serialize_entry("rule", &self.rule)?;
        map.serialize_entry("when", &self.when)?;
        map.serialize_entry("condition", &self.condition)?;
        map.end()
    }
}

/// A line for each, and one for what has to come before.
#[must_use]
pub fn text(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let path = name::path(&verdict.path);
        let _ = match (verdict.action, &verdict.to) {
            (Some(action), Some(to)) => writeln!(
                text,
                "{path}: would {action} to {}: {}",
                name::path(to),
                verdict.rule
            ),
            (Some(action), None) => writeln!(text, "{path}: would {action}: {}", verdict.rule),
            (None, _) => {
                let until = verdict.when.map(|when| format!(" until {when}"));
                let until = until.unwrap_or_default();
                writeln!(text, "{path}: kept{until}: {}", verdict.rule)
            }
        };
        if let Some(condition) = &verdict.condition {
            let alternative = verdict.when.is_some() && condition.starts_with("when");
            let or = if alternative { "or " } else { "" };
            let _ = writeln!(text, "  {or}{condition}");
        }
    }
    text
}
