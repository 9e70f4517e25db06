//! What an operation found and only tells: advice, and what processes hold of the garbage.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Map, Value};

use super::look::Tone;
use super::message::count;
use super::name::line;
use super::text::Page;
use crate::plan::reason::size;

/// How a row of a list is told.
type Sentence = fn(&Value) -> String;

/// Lists in the metadata of an operation, with the word and the sentence of a row. Zombies stand
/// among the processes.
const LISTS: [(&str, &str, Sentence); 3] = [
    ("deleted_open_files", "deleted", deleted),
    ("shared_memory", "unmapped", segment),
    ("recommendations", "advice", advice),
];

impl Page {
    /// A line for each finding, as many as fit.
    pub(super) fn findings(
        self,
        metadata: &BTreeMap<&'static str, Value>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let rows = LISTS.iter().flat_map(|(key, word, sentence)| {
            let rows = metadata.get(key).and_then(Value::as_array);
            rows.into_iter()
                .flatten()
                .map(move |row| (*word, sentence(row)))
        });
        let mut rows = rows.peekable();
        for (word, sentence) in rows.by_ref().take(self.limits.kept) {
            let sentence = self.look.paint(&line(&sentence), Tone::Dim).to_string();
            writeln!(out, "    {word:<10} {sentence}")?;
        }
        match rows.count() as u64 {
            0 => Ok(()),
            more => {
                let more = count(more, ["finding", "findings"]);
                let text = format!("    {} and {more} more (--verbose)", self.look.ellipsis());
                writeln!(out, "{}", self.look.paint(&text, Tone::Dim))
            }
        }
    }
}

/// `cpu_busy: rustc (pid 7), cpu 98.0 % (over cpu 50.0 %); systemctl …`.
pub(super) fn advice(row: &Value) -> String {
    let evidence = row["evidence"].as_object();
    let threshold = row["threshold"].as_object().map(figures);
    let mut text = text(row, "code").to_owned();
    text.push_str(": ");
    text.push_str(&evidence.map(subject_and_figures).unwrap_or_default());
    if let Some(threshold) = threshold.filter(|words| !words.is_empty()) {
        let _ = write!(text, " (threshold: {threshold})");
    }
    if let Some(command) = row["command"].as_str() {
        text.push_str("; ");
        text.push_str(command);
    }
    text
}

fn deleted(row: &Value) -> String {
    let agent = row["agent"]["name"].as_str();
    let agent = agent.map_or_else(String::new, |name| format!(", agent {name}"));
    format!(
        "{} {}{agent}: {}",
        bytes(row),
        text(row, "path"),
        text(row, "advice")
    )
}

fn segment(row: &Value) -> String {
    format!("{} {}", bytes(row), text(row, "path"))
}

fn bytes(row: &Value) -> String {
    size(row["bytes"].as_u64().unwrap_or(0))
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or("?")
}

/// Who it is about, and the figures of it.
fn subject_and_figures(evidence: &Map<String, Value>) -> String {
    let named = |key: &str| evidence.get(key).and_then(Value::as_str);
    let pid = evidence.get("pid").map(|pid| format!("(pid {pid})"));
    let rule = named("rule").map(|rule| format!("rule {rule}"));
    let who: Vec<String> = named("name")
        .map(ToOwned::to_owned)
        .into_iter()
        .chain(pid)
        .chain(rule)
        .collect();
    let parts = [who.join(" "), figures(evidence)];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// `rss 120.0 MiB, cpu 98.0 %, open files 900`; what is not known, and who it is, left out.
fn figures(values: &Map<String, Value>) -> String {
    let figure = |(key, value): (&String, &Value)| -> Option<String> {
        if matches!(key.as_str(), "pid" | "name" | "rule") {
            return None;
        }
        let (name, value) = match value {
            Value::Null => return None,
            // Of the pressure what advice rests on: some tasks waited, by minutes.
            Value::Object(stall) => (key.as_str(), pressure(stall)?),
            Value::String(words) => (key.as_str(), words.clone()),
            _ => match (key.strip_suffix("_bytes"), key.strip_suffix("_percent")) {
                (Some(name), _) => (name, value.as_u64().map_or_else(|| value.to_string(), size)),
                (_, Some(name)) => (name, format!("{:.1} %", value.as_f64()?)),
                _ => (key.as_str(), value.to_string()),
            },
        };
        Some(format!("{} {value}", name.replace('_', " ")))
    };
    values
        .iter()
        .filter_map(figure)
        .collect::<Vec<_>>()
        .join(", ")
}

/// `55.9 % of 60 s, 26.2 % of 300 s`.
fn pressure(stall: &Map<String, Value>) -> Option<String> {
    let some = stall.get("some")?;
    let (minute, five) = (some["avg60"].as_f64()?, some["avg300"].as_f64()?);
    Some(format!("{minute:.1} % of 60 s, {five:.1} % of 300 s"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn advice_in_words() {
        for (row, words) in [
            (
                json!({ "code": "cpu_busy", "threshold": { "cpu_percent": 50.0 },
                    "evidence": { "pid": 7, "name": "rustc", "cpu_percent": 98.04 },
                    "command": "systemctl set-property --runtime x.service CPUWeight=50" }),
                "cpu_busy: rustc (pid 7), cpu 98.0 % (threshold: cpu 50.0 %); \
                 systemctl set-property --runtime x.service CPUWeight=50",
            ),
            (
                json!({ "code": "not_running", "threshold": { "expected": 2 },
                    "evidence": { "rule": "whale", "found": 0 }, "command": null }),
                "not_running: rule whale, found 0 (threshold: expected 2)",
            ),
            (
                json!({ "code": "memory_high", "threshold": {},
                    "evidence": { "memory_percent": 91.0, "pressure": null,
                        "rss_bytes": 125_829_120 } }),
                "memory_high: memory 91.0 %, rss 120.0 MiB",
            ),
            (
                json!({ "code": "cpu_high", "threshold": {}, "evidence": { "pressure":
                    { "some": { "avg10": 9.0, "avg60": 55.86, "avg300": 26.21 }, "full": null } } }),
                "cpu_high: pressure 55.9 % of 60 s, 26.2 % of 300 s",
            ),
            (json!({}), "?: "),
        ] {
            assert_eq!(advice(&row), words);
        }
    }
}
