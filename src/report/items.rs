//! The lines of a text report that are about one file each.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use super::look::Tone;
use super::message::{past, present};
use super::model::{Item, View};
use super::name::{cause, line, path, shorten};
use super::text::Page;
use crate::plan::action::{Kept, item_bytes, shown_subject};
use crate::plan::outcome::Status;
use crate::plan::reason::{Keep, size};

/// Columns beyond which paths are not padded.
const WIDEST: usize = 60;

/// A line about one file.
struct Line {
    columns: String,
    path: String,
    detail: String,
    tone: Tone,
}

/// Whether a person would ask why this one was left alone.
fn matters(keep: &Keep) -> bool {
    match keep {
        Keep::ModelUsed(times) => {
            let used = times.restored.is_some() || times.read.is_some_and(|t| t < times.modified);
            used && times.modified >= times.limit
        }
        Keep::InUse(_)
        | Keep::Unseen
        | Keep::Locked(_)
        | Keep::Marked(_)
        | Keep::Writer(_)
        | Keep::SeveralLinks
        | Keep::UnseenWriter
        | Keep::AppendOnly
        | Keep::CannotPunch
        | Keep::Unsupported(_)
        | Keep::NameTooLong
        | Keep::ClockJumped
        | Keep::ReportedOnly
        | Keep::Refused(_)
        | Keep::FutureTime => true,
        _ => false,
    }
}

impl Page {
    pub(super) fn items(self, view: View, out: &mut dyn Write) -> io::Result<()> {
        if view.verbose {
            return view
                .items()
                .try_for_each(|item| self.line(&self.item(view, item), 0, out));
        }
        let (mut shown, mut others, mut bytes) = (Vec::new(), 0u64, 0u64);
        // A failed one has its own line, with the cause.
        for item in view.items().filter(|item| item.status != Status::Failed) {
            let size = item_bytes(view.inventory(), item.action);
            bytes = bytes.saturating_add(size);
            others += 1;
            let at = shown.partition_point(|(larger, _)| *larger >= size);
            shown.insert(at, (size, item));
            shown.truncate(self.limits.items);
        }
        let mut lines = Vec::new();
        for (size, item) in shown {
            bytes = bytes.saturating_sub(size);
            others -= 1;
            lines.push(self.item(view, item));
        }
        self.lines(&lines, out)?;
        if others > 0 {
            let more = format!(
                "    {} and {others} more ({})",
                self.look.ellipsis(),
                size(bytes)
            );
            writeln!(out, "{}", self.look.paint(&more, Tone::Dim))?;
        }
        Ok(())
    }

    fn item(self, view: View, item: Item) -> Line {
        let (from, to) = view.whole.shown(item.action);
        let to = to.map(|to| {
            let beside = to.parent() == from.parent();
            let name = to.file_name().filter(|_| beside);
            path(name.map_or(to.as_path(), Path::new))
        });
        let verb = match item.status {
            Status::Done => past(item.action.verb),
            _ => present(item.action.verb),
        };
        let bytes = item_bytes(view.inventory(), item.action);
        let bytes = if bytes == 0 {
            String::new()
        } else {
            size(bytes)
        };
        let (detail, tone) = detail(view, item);
        let columns = format!("    {verb:<10} {bytes:>10}  ");
        // What went otherwise than planned is never cut.
        let cut = tone == Tone::Dim;
        self.fit(columns, &path(&from), to.as_deref(), detail, tone, cut)
    }

    /// The fullest form of a line that the width has room for: with the new name; without it; with
    /// the path shortened; and last with the detail cut too, where that is allowed.
    fn fit(
        self,
        columns: String,
        from: &str,
        to: Option<&str>,
        mut detail: String,
        tone: Tone,
        cut: bool,
    ) -> Line {
        let length = |text: &str| text.chars().count();
        let arrow = self.look.glyph("→", "->");
        let mut path = to.map_or_else(|| from.to_owned(), |to| format!("{from} {arrow} {to}"));
        if let Some(width) = self.look.width.filter(|_| !self.limits.all()) {
            let room = width.saturating_sub(length(&columns) + 2);
            let spare = room.saturating_sub(length(&detail));
            if length(&path) > spare {
                path = shorten(from, spare.max(room / 2), self.look.ellipsis());
            }
            let spare = room.saturating_sub(length(&path));
            if cut && length(&detail) > spare {
                let kept = spare.saturating_sub(length(self.look.ellipsis()));
                detail = detail.chars().take(kept).collect();
                detail.push_str(self.look.ellipsis());
            }
        }
        Line {
            columns,
            path,
            detail,
            tone,
        }
    }

    /// Lines whose details stand below each other where there is room for that.
    fn lines(self, lines: &[Line], out: &mut dyn Write) -> io::Result<()> {
        let length = |text: &str| text.chars().count();
        let mut align = lines.iter().map(|line| length(&line.path)).max();
        if let Some(width) = self.look.width {
            align = align.filter(|align| {
                lines
                    .iter()
                    .all(|line| length(&line.columns) + align + 2 + length(&line.detail) <= width)
            });
        }
        let align = align.filter(|align| *align <= WIDEST).unwrap_or(0);
        lines
            .iter()
            .try_for_each(|line| self.line(line, align, out))
    }

    fn line(self, line: &Line, align: usize, out: &mut dyn Write) -> io::Result<()> {
        let Line {
            columns,
            path,
            detail,
            tone,
        } = line;
        let detail = self.look.paint(detail, *tone);
        writeln!(out, "{columns}{path:<align$}  {detail}")
    }

    /// A line for each reason that a person would ask about, with its first file.
    pub(super) fn kept(self, view: View, out: &mut dyn Write) -> io::Result<()> {
        let mut groups: BTreeMap<&str, (&Kept, u64)> = BTreeMap::new();
        for kept in &view.plan.kept {
            if matters(&kept.reason) {
                groups.entry(kept.reason.code()).or_insert((kept, 0)).1 += 1;
            }
        }
        for (first, number) in groups.into_values().take(self.limits.kept) {
            let more = match number {
                1 => String::new(),
                _ => format!(", and {} more", number - 1),
            };
            self.line(&self.kept_line(view, first, &more), 0, out)?;
        }
        Ok(())
    }

    pub(super) fn kept_in_full(self, view: View, out: &mut dyn Write) -> io::Result<()> {
        view.plan
            .kept
            .iter()
            .try_for_each(|kept| self.line(&self.kept_line(view, kept, ""), 0, out))
    }

    /// The reason is never cut: it may name the cure.
    fn kept_line(self, view: View, kept: &Kept, more: &str) -> Line {
        let name = path(shown_subject(view.inventory(), kept.subject));
        let reason = line(&kept.reason.to_string()).into_owned();
        let columns = "    kept       ".to_owned();
        let path = format!("{name}{more}");
        self.fit(columns, &path, None, reason, Tone::Dim, false)
    }
}

/// The reason of an action that went as planned, else what became of it.
fn detail(view: View, item: Item) -> (String, Tone) {
    let note = view.note(item.number).map(line);
    let with = |word: &str, words: Option<&str>| match words {
        Some(words) => format!("{word}: {words}"),
        None => word.to_owned(),
    };
    let (text, tone) = match item.status {
        Status::Planned | Status::Done => {
            let reason = item.action.reason.to_string();
            let text = match note {
                Some(note) => format!("{reason}; {note}"),
                None => reason,
            };
            (text, Tone::Dim)
        }
        Status::Changed => {
            let note = note.as_deref().or(Some("left alone"));
            (with("changed meanwhile", note), Tone::Warn)
        }
        Status::Deferred => (with("deferred", note.as_deref()), Tone::Warn),
        Status::NotReached => (with("not reached", note.as_deref()), Tone::Warn),
        Status::Failed => {
            let error = view.error(item.number).map(cause);
            (with("failed", error.as_deref()), Tone::Bad)
        }
    };
    (line(&text).into_owned(), tone)
}
