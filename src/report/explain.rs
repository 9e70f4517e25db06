//! What `--explain PATH` prints: what each operation says of one path.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::json::{PATH, optional_path_entry, path_entry};
use super::name;
use crate::plan::time::Time;

const SCHEMA: &str = "sysopt.explain/1";

/// The answer.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// As it was typed.
    pub path: &'a Path,
    /// By operation.
    pub verdicts: Vec<Verdict>,
}

/// What one operation says of the path.
#[derive(Debug)]
pub struct Verdict {
    /// Its name.
    pub operation: &'static str,
    /// The word of the action; `None` where it is kept.
    pub action: Option<&'static str>,
    /// What the verdict is about, as reports show it.
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
        path_entry(&mut map, PATH, self.path)?;
        map.serialize_entry("verdicts", &self.verdicts)?;
        map.end()
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("operation", self.operation)?;
        map.serialize_entry("action", &self.action)?;
        path_entry(&mut map, PATH, &self.path)?;
        optional_path_entry(&mut map, ["to", "to_base64"], self.to.as_deref())?;
        map.serialize_entry("rule", &self.rule)?;
        map.serialize_entry("when", &self.when)?;
        map.serialize_entry("condition", &self.condition)?;
        map.end()
    }
}

impl Explanation<'_> {
    /// A line for each verdict, and one for each condition.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for verdict in &self.verdicts {
            verdict.write(&mut text);
        }
        text
    }
}

impl Verdict {
    fn write(&self, text: &mut String) {
        let path = name::path(&self.path);
        let rule = &self.rule;
        let _ = match (self.action, &self.to) {
            (Some(action), Some(to)) => {
                let to = name::path(to);
                writeln!(text, "{path}: would {action} to {to}: {rule}")
            }
            (Some(action), None) => writeln!(text, "{path}: would {action}: {rule}"),
            (None, _) => {
                let until = self.when.map(|when| format!(" until {when}"));
                let until = until.unwrap_or_default();
                writeln!(text, "{path}: kept{until}: {rule}")
            }
        };
        if let Some(condition) = &self.condition {
            let alternative = self.when.is_some() && condition.starts_with("when");
            let or = if alternative { "or " } else { "" };
            let _ = writeln!(text, "  {or}{condition}");
        }
    }
}
