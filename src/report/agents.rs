//! `status --agents`: each agent on a line, with the rule and the predicate that matched.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::name::line;
use crate::plan::reason::size;

/// Writes the agents, those that are missing or lost, and what to do.
pub(super) fn write(found: &Map<String, Value>, out: &mut dyn Write) -> io::Result<()> {
    let list = |key: &str| found.get(key).and_then(Value::as_array);
    if list("agents").is_none_or(Vec::is_empty) {
        writeln!(out, "agents     none")?;
    }
    for agent in list("agents").into_iter().flatten() {
        writeln!(out, "agent      {}", line(&row(agent)))?;
    }
    for one in list("missing").into_iter().flatten() {
        let number = |key: &str| one[key].as_u64().unwrap_or(0);
        let (found, expected) = (number("found"), number("expected"));
        writeln!(
            out,
            "missing    {}: {found} of {expected} run",
            line(text(one, "rule"))
        )?;
    }
    for one in list("lost").into_iter().flatten() {
        let (name, flag) = (text(one, "name"), text(one, "flag"));
        writeln!(
            out,
            "lost       {} (pid {}): {flag}",
            line(name),
            one["pid"]
        )?;
    }
    for one in list("recommendations").into_iter().flatten() {
        let words = super::findings::advice(one);
        writeln!(out, "advice     {}", line(&words))?;
    }
    let hidden = found.get("visibility").is_some_and(|seen| {
        seen["hidden"].as_u64().is_some_and(|count| count > 0) || seen["hidepid"] == true
    });
    if hidden {
        writeln!(out, "           not every process could be looked into")?;
    }
    Ok(())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("?")
}

fn row(agent: &Value) -> String {
    let mut parts = vec![format!("pid {}", agent["pid"])];
    parts.extend(agent["user"].as_str().map(ToOwned::to_owned));
    let cpu = agent["cpu_percent"].as_f64();
    parts.extend(cpu.map(|used| format!("{used:.1} % cpu")));
    parts.extend(agent["rss_bytes"].as_u64().map(size));
    let flags = agent["flags"].as_array().into_iter().flatten();
    parts.extend(flags.filter_map(Value::as_str).map(str::to_uppercase));
    let (name, rule) = (text(agent, "name"), text(agent, "rule"));
    format!(
        "{name} ({}), rule {rule}: {}",
        parts.join(", "),
        text(agent, "predicate")
    )
}
