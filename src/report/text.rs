//! A run as people read it: a line for each operation, its largest items, what went wrong, totals.
//!
//! A normal cycle fits a screen of 24 lines; `--verbose` lists everything.

use std::io::{self, Write};
use std::time::Duration;

use super::look::{Look, Tone};
use super::message::{count, freed, message};
use super::model::{Report, Verdict, View};
use super::name::{line, path};
use super::rows::Rows;
use super::schedule::Schedule;
use super::trouble::Trouble;
use crate::plan::action::Operation;
use crate::plan::host::Metrics;
use crate::plan::time::Time;

/// The last line of a dry run.
pub const UNCHANGED: &str = "nothing was changed (--dry-run)";

/// How much of each operation is shown.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) items: usize,
    pub(super) kept: usize,
    troubles: usize,
}

impl Limits {
    const ALL: Self = Self {
        items: usize::MAX,
        kept: usize::MAX,
        troubles: usize::MAX,
    };

    pub(super) const fn all(self) -> bool {
        self.items == usize::MAX
    }
}

/// Writes the report.
///
/// `troubles` is false where errors and warnings go to the same place on their own, so that nobody
/// reads them twice. A run that failed before there was a plan has nothing to show here.
///
/// # Errors
/// What the output says.
pub fn write(report: Report, look: Look, troubles: bool, out: &mut dyn Write) -> io::Result<()> {
    let run = report.run;
    if let Some(words) = &run.skipped {
        writeln!(out, "{}", line(words))?;
    } else if run.outcome.is_some() {
        let busy = report.operations().filter(|view| !is_idle(*view)).count();
        let limits = match (run.verbose, busy) {
            (true, _) => Limits::ALL,
            (false, 0..=1) => Limits {
                items: 10,
                kept: 4,
                troubles: 5,
            },
            (false, _) => Limits {
                items: 3,
                kept: 2,
                troubles: 2,
            },
        };
        let page = Page { look, limits };
        page.header(report, out)?;
        for view in report.operations() {
            page.operation(view, troubles, out)?;
        }
        page.totals(report, troubles, out)?;
    } else {
        return Ok(());
    }
    if run.dry_run {
        writeln!(out, "{UNCHANGED}")?;
    }
    Ok(())
}

/// The word for an operation where the full name would be noise.
#[must_use]
pub const fn label(operation: Operation) -> &'static str {
    match operation {
        Operation::GarbageCollection => "garbage",
        Operation::CacheCleanup => "cache",
        Operation::LogRotation => "logs",
        Operation::ModelArchiving => "models",
        Operation::AgentOptimization => "agents",
        Operation::ProcessOptimization => "processes",
        Operation::ModelRestoring => "archive",
    }
}

/// `0.41 s`, `12.3 s`, then as [`crate::plan::reason::span`].
fn took(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.2} s", duration.as_secs_f64()),
        10..60 => format!("{:.1} s", duration.as_secs_f64()),
        _ => crate::plan::reason::span(duration),
    }
}

fn is_idle(view: View) -> bool {
    view.plan.actions.is_empty() && view.rows.is_none()
}

#[derive(Clone, Copy)]
pub(super) struct Page {
    pub(super) look: Look,
    pub(super) limits: Limits,
}

impl Page {
    fn header(self, report: Report, out: &mut dyn Write) -> io::Result<()> {
        let run = report.run;
        let option = if run.dry_run { " --dry-run" } else { "" };
        let title = format!("sysopt {}{option}", line(&run.command));
        let base = format!(" in {}", path(&run.base));
        let strong = self.look.paint(&title, Tone::Strong);
        writeln!(out, "{strong}{}", self.look.paint(&base, Tone::Dim))
    }

    fn operation(self, view: View, troubles: bool, out: &mut dyn Write) -> io::Result<()> {
        let (glyph, tone) = self.mark(view);
        let label = format!("{:<10}", label(view.plan.operation));
        writeln!(
            out,
            "{} {} {}",
            self.look.paint(glyph, tone),
            self.look.paint(&label, Tone::Strong),
            message(view)
        )?;
        match view.rows {
            Some(rows) => self.rows(rows, out)?,
            None => self.items(view, out)?,
        }
        self.findings(&view.plan.metadata, out)?;
        if troubles {
            self.troubles(view, out)?;
        }
        if view.verbose {
            return self.kept_in_full(view, out);
        }
        self.kept(view, out)
    }

    fn mark(self, view: View) -> (&'static str, Tone) {
        let tally = view.tally();
        if !view.success() {
            (self.look.glyph("✗", "x"), Tone::Bad)
        } else if tally.deferred + tally.changed > 0 || !view.plan.warnings.is_empty() {
            ("!", Tone::Warn)
        } else if is_idle(view) {
            (self.look.glyph("·", "-"), Tone::Dim)
        } else if view.dry_run {
            (self.look.glyph("→", ">"), Tone::Good)
        } else {
            (self.look.glyph("✓", "+"), Tone::Good)
        }
    }

    fn troubles(self, view: View, out: &mut dyn Write) -> io::Result<()> {
        // With `--verbose` a failed action has its cause in its own line.
        let listed = |trouble: &Trouble| !view.verbose || trouble.action.is_none();
        let mut troubles = view.troubles().filter(listed);
        for trouble in troubles.by_ref().take(self.limits.troubles) {
            let text = trouble.to_string();
            writeln!(out, "    {}", self.look.paint(&text, Tone::Bad))?;
        }
        let more = troubles.count() as u64;
        if more > 0 {
            let text = format!(
                "    {} and {} more",
                self.look.ellipsis(),
                count(more, ["error", "errors"])
            );
            writeln!(out, "{}", self.look.paint(&text, Tone::Bad))?;
        }
        view.plan.warnings.iter().try_for_each(|warning| {
            let text = format!("warning: {}", line(warning));
            writeln!(out, "    {}", self.look.paint(&text, Tone::Warn))
        })
    }

    fn rows(self, rows: &Rows, out: &mut dyn Write) -> io::Result<()> {
        match rows {
            Rows::Models(models) => super::rows::write_models(models, self.limits.all(), out),
            Rows::Files(files) => super::rows::write_files(files, self.limits.all(), out),
        }
    }

    fn totals(self, report: Report, troubles: bool, out: &mut dyn Write) -> io::Result<()> {
        let run = report.run;
        if troubles {
            for failure in &run.errors {
                let text = Trouble::from(failure).to_string();
                writeln!(out, "{}", self.look.paint(&text, Tone::Bad))?;
            }
            for warning in &run.warnings {
                let text = format!("warning: {}", line(warning));
                writeln!(out, "{}", self.look.paint(&text, Tone::Warn))?;
            }
        }
        if let Some(schedule) = &run.schedule {
            self.schedule(schedule, run.started, out)?;
        }
        if let (Some(before), Some(after)) = (&run.before, &run.after) {
            let load = self.load(before, after);
            writeln!(out, "{}", self.look.paint(&load, Tone::Dim))?;
        }
        let (word, tone) = match report.verdict {
            Verdict::Success => ("success", Tone::Good),
            Verdict::Skipped => ("skipped", Tone::Dim),
            Verdict::Partial => ("partial", Tone::Warn),
            Verdict::Failure => ("failure", Tone::Bad),
            Verdict::Interrupted => ("interrupted", Tone::Bad),
        };
        let items = count(report.items, ["item", "items"]);
        let mut parts = vec![if run.dry_run {
            format!("would process {items}")
        } else {
            items
        }];
        parts.extend(room(report));
        let errors = report.troubles().count() as u64;
        if errors > 0 {
            parts.push(count(errors, ["error", "errors"]));
        }
        parts.push(took(run.duration));
        writeln!(out, "{}: {}", self.look.paint(word, tone), parts.join(", "))
    }

    /// What was left out, what ran before its time, and a change of the interval.
    fn schedule(self, schedule: &Schedule, now: Time, out: &mut dyn Write) -> io::Result<()> {
        let mut row = |name: &str, words: Option<String>, tone: Tone| match words {
            None => Ok(()),
            Some(words) => {
                let glyph = self.look.paint(self.look.glyph("·", "-"), Tone::Dim);
                let name = format!("{name:<10}");
                let name = self.look.paint(&name, Tone::Strong);
                writeln!(out, "{glyph} {name} {}", self.look.paint(&words, tone))
            }
        };
        row("not due", schedule.waiting(now, label), Tone::Dim)?;
        row("early", schedule.pressed(label), Tone::Warn)?;
        let change = schedule.change(self.look.glyph("→", "->"));
        row("interval", change, Tone::Warn)
    }

    fn load(self, before: &Metrics, after: &Metrics) -> String {
        let arrow = self.look.glyph("→", "->");
        let percent = |value: Option<f64>| value.map(|value| format!("{value:.1} %"));
        let mut parts = Vec::new();
        let mut push = |name: &str, first: Option<f64>, last: Option<f64>| {
            if let Some(last) = percent(last) {
                let first = percent(first).map_or_else(String::new, |f| format!("{f} {arrow} "));
                parts.push(format!("{name} {first}{last}"));
            }
        };
        push("cpu", before.cpu_percent, after.cpu_percent);
        push("memory", before.memory_percent, after.memory_percent);
        for disk in after.disks.iter().take(3) {
            let earlier = before.disks.iter().find(|other| other.path == disk.path);
            let first = earlier.and_then(|disk| disk.used_percent);
            push(
                &format!("disk {}", line(&disk.path)),
                first,
                disk.used_percent,
            );
        }
        parts.join(", ")
    }
}

/// The bytes of the whole run, with what is missing in the figure.
fn room(report: Report) -> Option<String> {
    let dry_run = report.run.dry_run;
    if report.bytes_freed.is_some() {
        return freed(report.bytes_freed, dry_run, true);
    }
    let unknown = if dry_run {
        "what compression saves"
    } else {
        "what was not measured"
    };
    let known = freed(Some(report.bytes_known), dry_run, false);
    Some(match (known, dry_run) {
        (Some(known), _) => format!("{known} and {unknown}"),
        (None, true) => format!("free {unknown}"),
        (None, false) => format!("freed {unknown}"),
    })
}
