//! How a log that is due is taken away from its writers without losing a line, or why not.

use super::super::cutting::Cutting;
use super::super::entry::EntryId;
use super::super::host::{Hold, Holder};
use super::super::policy::{LogMode, LogRule};
use super::super::reason::Keep;
use super::survey::{Survey, held_by};

/// The way in which a log is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Renamed, with a new log in its place.
    Rename,
    /// It stays where it is and loses its head.
    Cut(Cutting),
}

/// For a writer that has an offset of its own.
const OVERWRITES: &str = "let it append (>>); or use mode = \"punch\", which loses nothing either; \
                          or, if it reopens its log, mode = \"rename\"";
/// For one that appends, where the head of a file cannot be taken away.
const NO_COLLAPSE: &str = "this filesystem cannot collapse a range: use mode = \"punch\", which \
                           loses nothing; or, if it reopens its log, mode = \"rename\"";
const NO_PUNCH: &str = "this filesystem can neither collapse nor punch: if it reopens its log, use \
                        mode = \"rename\"";

/// Decides how. The log has something in it.
pub(super) fn choose(survey: &Survey, index: usize, id: EntryId) -> Result<Method, Keep> {
    if let Some(keep) = untouchable(survey, id) {
        return Err(keep);
    }
    let rule = survey.rule(&survey.series[index]);
    match rule.mode {
        LogMode::Rename => Ok(Method::Rename),
        LogMode::Auto if rule.signal.is_some() || rule.post_rotate.is_some() => Ok(Method::Rename),
        LogMode::Auto => auto(survey, index, id),
        LogMode::CopyTruncate => copy_truncate(survey, id),
        LogMode::Punch => punch(survey, id),
    }
}

/// Whether the kernel is to be asked who writes to a log: where it matters, and `/proc` shows
/// nobody.
pub(super) fn needs_lease(survey: &Survey, rule: &LogRule, id: EntryId) -> bool {
    let matters = match rule.mode {
        LogMode::Auto => rule.signal.is_none() && rule.post_rotate.is_none(),
        LogMode::CopyTruncate => true,
        LogMode::Rename | LogMode::Punch => false,
    };
    matters && writer(survey, id).is_none()
}

fn untouchable(survey: &Survey, id: EntryId) -> Option<Keep> {
    if survey.inventory.entry(id).links > 1 {
        return Some(Keep::SeveralLinks);
    }
    if survey.inventory.logs.append_only.contains(&id) {
        return Some(Keep::AppendOnly);
    }
    let holders = survey.holders(id);
    let mapped = holders.iter().find(|holder| holder.hold == Hold::Mapped)?;
    Some(Keep::InUse(Box::new(held_by(mapped, None))))
}

/// Never a way that can lose a line.
fn auto(survey: &Survey, index: usize, id: EntryId) -> Result<Method, Keep> {
    if survey.inventory.logs.unseen_writers.contains(&id) {
        return Err(Keep::UnseenWriter);
    }
    let cuts = survey.cuts(id);
    let Some(writer) = writer(survey, id) else {
        if !survey.sees() {
            return Err(Keep::Unseen);
        }
        return if cuts.collapse && survey.is_too_large(index, id) {
            whole_blocks(survey, id, Cutting::Collapse)
        } else {
            Ok(Method::Rename)
        };
    };
    let kept = |advice| Err(Keep::Writer(Box::new(held_by(writer, Some(advice)))));
    match writer.hold {
        Hold::Write => kept(OVERWRITES),
        _ if cuts.collapse => whole_blocks(survey, id, Cutting::Collapse),
        _ if cuts.punch => kept(NO_COLLAPSE),
        _ => kept(NO_PUNCH),
    }
}

/// Asked for by name, so that it may lose lines where the filesystem leaves no better way. A writer
/// with an offset of its own would fill what it lost with zeros.
fn copy_truncate(survey: &Survey, id: EntryId) -> Result<Method, Keep> {
    if survey.inventory.logs.unseen_writers.contains(&id) {
        return Err(Keep::UnseenWriter);
    }
    if let Some(writer) = writer(survey, id).filter(|writer| writer.hold == Hold::Write) {
        return Err(Keep::Writer(Box::new(held_by(writer, Some(OVERWRITES)))));
    }
    if !survey.sees() {
        return Err(Keep::Unseen);
    }
    if survey.cuts(id).collapse {
        whole_blocks(survey, id, Cutting::Collapse)
    } else {
        Ok(Method::Cut(Cutting::Truncate))
    }
}

fn punch(survey: &Survey, id: EntryId) -> Result<Method, Keep> {
    if survey.cuts(id).punch {
        whole_blocks(survey, id, Cutting::Punch)
    } else {
        Err(Keep::CannotPunch)
    }
}

/// Blocks are given back whole, and one must stay behind them.
fn whole_blocks(survey: &Survey, id: EntryId, method: Cutting) -> Result<Method, Keep> {
    let block = survey.cuts(id).block;
    if survey.content(id) > block {
        Ok(Method::Cut(method))
    } else {
        Err(Keep::UnderOneBlock(block))
    }
}

/// A process that writes to the log. One that overwrites is named before one that appends: its cure
/// helps both.
fn writer<'a>(survey: &Survey<'a>, id: EntryId) -> Option<&'a Holder> {
    let writers = survey
        .holders(id)
        .iter()
        .filter(|holder| matches!(holder.hold, Hold::Append | Hold::Write));
    writers.max_by_key(|holder| (holder.hold, std::cmp::Reverse(holder.pid)))
}
