//! `status` on one screen.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::look::{Look, Tone};
use super::message::count;
use super::name::{line, path, shorten};
use super::schedule::ahead;
use super::status::{DirectoryStatus, OperationStatus, StatusReport};
use super::text::label;
use crate::plan::host::Metrics;
use crate::plan::reason::{size, span};
use crate::plan::time::Time;

/// Cells of a bar.
const BAR: usize = 10;
/// Columns of a path.
const PATH: usize = 16;
/// Processes that are named.
const NAMED: usize = 5;

/// Writes the status.
pub(super) fn write(status: &StatusReport, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let page = Page {
        look,
        now: status.timestamp,
    };
    let base = format!(" in {}", path(&status.base));
    let title = look.paint("sysopt status", Tone::Strong);
    writeln!(out, "{title}{}", look.paint(&base, Tone::Dim))?;
    page.host(&status.metrics, out)?;
    page.disks(&status.metrics, out)?;
    for directory in &status.directories {
        page.directory(directory, out)?;
    }
    page.cycle(status, out)?;
    for operation in &status.operations {
        page.operation(operation, out)?;
    }
    page.processes("agents", &status.agents, out)?;
    page.processes("processes", &status.processes, out)?;
    page.totals(status, out)?;
    page.history(&status.history, out)
}

/// Lists of processes that have a line, with its name.
const LISTS: [(&str, &str); 3] = [
    ("top_by_cpu", "top cpu"),
    ("top_by_memory", "top memory"),
    ("zombies", "zombies"),
];

#[derive(Clone, Copy)]
struct Page {
    look: Look,
    now: Time,
}

impl Page {
    fn row(self, name: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
        let name = format!("{name:<10}");
        writeln!(out, "{} {text}", self.look.paint(&name, Tone::Strong))
    }

    fn host(self, metrics: &Metrics, out: &mut dyn Write) -> io::Result<()> {
        let percent = |value: Option<f64>| {
            value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.1} %"))
        };
        let mut text = format!(
            "cpu {}, memory {}",
            percent(metrics.cpu_percent),
            percent(metrics.memory_percent)
        );
        if let Some(bytes) = metrics.memory_available_bytes {
            let _ = write!(text, " ({} available)", size(bytes));
        }
        if metrics.swap_percent.is_some() {
            let _ = write!(text, ", swap {}", percent(metrics.swap_percent));
        }
        if let Some([one, five, fifteen]) = metrics.load_average {
            let _ = write!(text, ", load {one:.2} {five:.2} {fifteen:.2}");
        }
        self.row("host", &text, out)
    }

    fn disks(self, metrics: &Metrics, out: &mut dyn Write) -> io::Result<()> {
        metrics.disks.iter().try_for_each(|disk| {
            let share = disk.used_percent.map(|percent| percent / 100.0);
            let only = if disk.read_only { ", read-only" } else { "" };
            let text = format!(
                "{} {}  {} free of {}{only}",
                self.name(Path::new(&disk.path)),
                self.bar(share, 0.8, 0.9),
                size(disk.free_bytes),
                size(disk.total_bytes)
            );
            self.row("disk", &text, out)
        })
    }

    fn directory(self, directory: &DirectoryStatus, out: &mut dyn Write) -> io::Result<()> {
        let share = self.share(directory);
        let usage = directory.usage_bytes.map_or("unreadable".to_owned(), size);
        let room = directory.over_limit_bytes().map(|over| {
            let bytes = size(over.unsigned_abs());
            match over {
                1.. => (format!(", {bytes} over"), Tone::Bad),
                _ => (format!(", {bytes} left"), Tone::Dim),
            }
        });
        let mut rest = String::new();
        if let Some(files) = directory.files {
            let _ = write!(rest, ", {}", count(files, ["file", "files"]));
        }
        if let Some(oldest) = directory.oldest {
            let _ = write!(rest, ", oldest {}", span(self.now.since(oldest)));
        }
        let (room, tone) = room.unwrap_or((String::new(), Tone::Dim));
        let text = format!(
            "{} {}  {usage}{}{rest}",
            self.name(&directory.path),
            self.bar(share, 1.0, 1.0),
            self.look.paint(&room, tone)
        );
        let role = directory.role.noun();
        self.row(role.split(' ').next().unwrap_or(role), &text, out)
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::unused_self,
        reason = "a share of a bar of ten cells; beside its sisters"
    )]
    fn share(self, directory: &DirectoryStatus) -> Option<f64> {
        let limit = directory.limit_bytes.filter(|limit| *limit > 0)?;
        Some(directory.usage_bytes? as f64 / limit as f64)
    }

    /// A path in its column.
    fn name(self, name: &Path) -> String {
        let text = shorten(&path(name), PATH, self.look.ellipsis());
        format!("{text:<PATH$}")
    }

    /// A bar with its percentage; blank where the share is not known.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "clamped to ten cells"
    )]
    fn bar(self, share: Option<f64>, warn: f64, bad: f64) -> String {
        let Some(share) = share else {
            return " ".repeat(BAR + 7);
        };
        let full = ((share.clamp(0.0, 1.0) * BAR as f64).round() as usize).min(BAR);
        let cells = self.look.glyph("█", "#").repeat(full);
        let rest = self.look.glyph("░", ".").repeat(BAR - full);
        let tone = match share {
            share if share > bad => Tone::Bad,
            share if share > warn => Tone::Warn,
            _ => Tone::Good,
        };
        let percent = format!("{:.0} %", share * 100.0);
        format!(
            "{}{} {percent:>6}",
            self.look.paint(&cells, tone),
            self.look.paint(&rest, Tone::Dim)
        )
    }

    fn cycle(self, status: &StatusReport, out: &mut dyn Write) -> io::Result<()> {
        let mut parts = vec![match &status.last_optimization {
            None => "never ran".to_owned(),
            Some(cycle) => format!(
                "last {} ({})",
                self.ago(cycle.timestamp),
                line(&cycle.outcome)
            ),
        }];
        if let Some(began) = status.running_since {
            parts.push(format!("one began {} and is at work", self.ago(began)));
        }
        parts.push(match status.next_cycle {
            Some(time) if time > self.now => format!("next {}", self.ahead(time)),
            _ => self.due_now(status),
        });
        let interval = Duration::from_secs(status.current_interval_seconds);
        parts.push(format!("every {}", span(interval)));
        if status.consecutive_failures > 0 {
            let failures = u64::from(status.consecutive_failures);
            let words = count(failures, ["failure in a row", "failures in a row"]);
            parts.push(self.look.paint(&words, Tone::Bad).to_string());
        }
        if let Some(until) = status.backing_off_until.filter(|until| *until > self.now) {
            let words = format!("backing off until {until}");
            parts.push(self.look.paint(&words, Tone::Warn).to_string());
        }
        self.row("cycle", &parts.join(", "), out)
    }

    /// A cycle that is late by a whole interval was not started: cron does not run, or not this.
    fn due_now(self, status: &StatusReport) -> String {
        let interval = Duration::from_secs(status.current_interval_seconds);
        let last = status.last_optimization.as_ref();
        let since = last.map(|cycle| self.now.since(cycle.timestamp));
        let late = since.and_then(|since| since.checked_sub(interval));
        match late.filter(|late| *late >= interval) {
            Some(late) => {
                let words = format!("overdue by {}", span(late));
                self.look.paint(&words, Tone::Bad).to_string()
            }
            None => "next is due now".to_owned(),
        }
    }

    fn operation(self, operation: &OperationStatus, out: &mut dyn Write) -> io::Result<()> {
        let (glyph, tone) = match (operation.enabled, operation.last_success) {
            (false, _) | (_, None) => (self.look.glyph("·", "-"), Tone::Dim),
            (_, Some(true)) => (self.look.glyph("✓", "+"), Tone::Good),
            (_, Some(false)) => (self.look.glyph("✗", "x"), Tone::Bad),
        };
        let last = match (operation.last_run, operation.last_success) {
            (None, _) => "never ran".to_owned(),
            (Some(time), Some(false)) => format!("failed {}", self.ago(time)),
            (Some(time), _) => format!("ran {}", self.ago(time)),
        };
        let due = match operation.next_due {
            _ if !operation.enabled => "switched off".to_owned(),
            _ if operation.due => "due now".to_owned(),
            Some(time) if time > self.now => format!("due {}", self.ahead(time)),
            _ => "due in the next cycle".to_owned(),
        };
        let preview = operation.preview.as_deref().map(line);
        let preview = preview.map_or_else(String::new, |words| format!(": {words}"));
        let name = format!("{:<10}", label(operation.operation));
        let glyph = self.look.paint(glyph, tone);
        writeln!(out, "  {glyph} {name}{last:<14} {due}{preview}")
    }

    fn ago(self, time: Time) -> String {
        format!("{} ago", span(self.now.since(time)))
    }

    fn ahead(self, time: Time) -> String {
        ahead(time, self.now)
    }

    /// A list, or several by name, each on one line: how many, and the first.
    fn processes(self, name: &str, value: &Value, out: &mut dyn Write) -> io::Result<()> {
        match value {
            Value::Array(list) => {
                let mut named: Vec<String> = list.iter().take(NAMED).map(process).collect();
                if list.len() > NAMED {
                    named.push(format!(
                        "{} and {} more",
                        self.look.ellipsis(),
                        list.len() - NAMED
                    ));
                }
                let text = if named.is_empty() {
                    "none".to_owned()
                } else {
                    named.join(", ")
                };
                self.row(name, &text, out)
            }
            Value::Object(found) if found.contains_key("matched") => {
                super::agents::write(found, out)
            }
            Value::Object(lists) => LISTS
                .iter()
                .filter_map(|(key, name)| Some((name, lists.get(*key)?)))
                .filter(|(_, list)| list.as_array().is_some_and(|list| !list.is_empty()))
                .try_for_each(|(name, list)| self.processes(name, list, out)),
            _ => Ok(()),
        }
    }

    fn totals(self, status: &StatusReport, out: &mut dyn Write) -> io::Result<()> {
        let mut text = count(status.total_cycles, ["cycle", "cycles"]);
        if let Some(rate) = status.average_success_rate {
            let _ = write!(text, ", {:.0} % success", rate * 100.0);
        }
        let sign = if status.total_bytes_freed < 0 {
            "-"
        } else {
            ""
        };
        let _ = write!(
            text,
            ", {}, freed {sign}{}",
            count(status.total_items_processed, ["item", "items"]),
            size(status.total_bytes_freed.unsigned_abs())
        );
        self.row("totals", &text, out)
    }

    /// A table of earlier reports, the newest first.
    fn history(self, reports: &[Value], out: &mut dyn Write) -> io::Result<()> {
        if reports.is_empty() {
            return Ok(());
        }
        let head = format!(
            "{:<20}  {:<14}  {:<11}  {:>7}  {:>5}  {:>10}  {:>9}",
            "history", "command", "outcome", "success", "items", "freed", "took"
        );
        writeln!(out, "{}", self.look.paint(&head, Tone::Strong))?;
        reports.iter().try_for_each(|report| self.past(report, out))
    }

    fn past(self, report: &Value, out: &mut dyn Write) -> io::Result<()> {
        let text = |key: &str| {
            let value = report.get(key).and_then(Value::as_str);
            line(value.unwrap_or("?")).into_owned()
        };
        let number = |key: &str| report.get(key).and_then(Value::as_f64);
        let whole = |key: &str| report.get(key).and_then(Value::as_i64);
        let signed = |bytes: i64| {
            let sign = if bytes < 0 { "-" } else { "" };
            format!("{sign}{}", size(bytes.unsigned_abs()))
        };
        let unknown = || "?".to_owned();
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let seconds = |seconds: f64| format!("{seconds:.2} s");
        let outcome = text("outcome");
        let tone = match outcome.as_str() {
            "success" => Tone::Good,
            "skipped" | "interrupted" => Tone::Warn,
            _ => Tone::Bad,
        };
        writeln!(
            out,
            "{:<20}  {:<14}  {}  {:>7}  {:>5}  {:>10}  {:>9}",
            text("timestamp"),
            text("command"),
            self.look.paint(&format!("{outcome:<11}"), tone),
            number("success_rate").map_or_else(unknown, percent),
            whole("total_items_processed").map_or_else(unknown, |items| items.to_string()),
            whole("total_bytes_freed").map_or_else(unknown, signed),
            number("cycle_duration_seconds").map_or_else(unknown, seconds),
        )
    }
}

/// `whale (pid 12, 3.4 % cpu, 120.0 MiB)`, as far as it is known.
fn process(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let name = text("name").or_else(|| text("comm")).unwrap_or("?");
    let mut parts = Vec::new();
    parts.extend(number("pid").map(|pid| format!("pid {pid}")));
    let cpu = value.get("cpu_percent").and_then(Value::as_f64);
    parts.extend(cpu.map(|percent| format!("{percent:.1} % cpu")));
    parts.extend(number("rss_bytes").map(size));
    if parts.is_empty() {
        return line(name).into_owned();
    }
    format!("{} ({})", line(name), parts.join(", "))
}
