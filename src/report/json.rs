//! `sysopt.report/1`: the JSON of a run, streamed from the borrowed view.
//!
//! Every path is computed when it is written and dropped behind it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::os::unix::ffi::OsStrExt;

use super::message;
use super::model::{Item, Report, View};
use super::name;
use super::trouble::Trouble;
use crate::plan::action::{Kept, item_bytes, shown_subject};
use crate::plan::entry::Inventory;

/// The `schema` of a report.
pub(super) const SCHEMA: &str = "sysopt.report/1";

/// Writes a path under the first key and, where it is not UTF-8, its bytes under the second.
pub(super) fn path_entry<M: SerializeMap>(
    map: &mut M,
    [key, key_base64]: [&str; 2],
    path: &Path,
) -> Result<(), M::Error> {
    map.serialize_entry(key, &name::json(path))?;
    if path.to_str().is_none() {
        map.serialize_entry(key_base64, &BASE64.encode(path.as_os_str().as_bytes()))?;
    }
    Ok(())
}

/// As [`path_entry`]; `null` where there is none.
pub(super) fn optional_path_entry<M: SerializeMap>(
    map: &mut M,
    keys: [&str; 2],
    path: Option<&Path>,
) -> Result<(), M::Error> {
    match path {
        Some(path) => path_entry(map, keys, path),
        None => map.serialize_entry(keys[0], &()),
    }
}

pub(super) const PATH: [&str; 2] = ["path", "path_base64"];

/// A list that is written while it is computed.
struct Stream<F>(F);

impl<F, I> Serialize for Stream<F>
where
    F: Fn() -> I,
    I: Iterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Seconds, to the microsecond.
fn seconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (report, run) = (*self, self.run);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", SCHEMA)?;
        map.serialize_entry("version", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("command", &run.command)?;
        map.serialize_entry("dry_run", &run.dry_run)?;
        map.serialize_entry("timestamp", &run.started)?;
        map.serialize_entry("cycle_duration_seconds", &seconds(run.duration))?;
        path_entry(&mut map, ["base", "base_base64"], &run.base)?;
        optional_path_entry(&mut map, ["config", "config_base64"], run.config.as_deref())?;
        map.serialize_entry("outcome", &report.verdict)?;
        map.serialize_entry("success_rate", &report.success_rate)?;
        map.serialize_entry("total_items_processed", &report.items)?;
        map.serialize_entry("total_bytes_freed", &report.bytes_freed)?;
        map.serialize_entry("system_metrics_before", &run.before)?;
        map.serialize_entry("system_metrics_after", &run.after)?;
        map.serialize_entry("operations", &Stream(|| report.operations()))?;
        map.serialize_entry("warnings", &Stream(|| report.warnings()))?;
        let errors = || run.errors.iter().map(Trouble::from);
        map.serialize_entry("errors", &Stream(errors))?;
        if let Some(words) = &run.skipped {
            map.serialize_entry("skipped", words)?;
        }
        if let Some(schedule) = &run.schedule {
            map.serialize_entry("schedule", schedule)?;
        }
        map.end()
    }
}

impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = *self;
        let took = view
            .outcome
            .map_or(0.0, |outcome| seconds(outcome.duration));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("operation", &view.plan.operation)?;
        map.serialize_entry("success", &view.success())?;
        map.serialize_entry("items_processed", &view.processed())?;
        map.serialize_entry("bytes_freed", &view.bytes_freed())?;
        map.serialize_entry("duration_seconds", &took)?;
        map.serialize_entry("message", &message::message(view))?;
        map.serialize_entry("metadata", &Metadata(view))?;
        let actions = || view.items().map(|item| ActionRow(view, item));
        if !view.brief {
            map.serialize_entry("actions", &Stream(actions))?;
        }
        if view.verbose && !view.brief {
            let kept = || view.plan.kept.iter();
            let kept = || kept().map(|kept| KeptRow(view.inventory(), kept));
            map.serialize_entry("kept", &Stream(kept))?;
        }
        map.serialize_entry("errors", &Stream(|| view.troubles()))?;
        map.end()
    }
}

struct Metadata<'a>(View<'a>);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(view) = self;
        let mut map = serializer.serialize_map(None)?;
        let ours = |key: &str| key == "kept" || view.rows.is_some_and(|rows| rows.key() == key);
        for (key, value) in &view.plan.metadata {
            if !ours(key) {
                map.serialize_entry(key, value)?;
            }
        }
        if let Some(rows) = view.rows {
            map.serialize_entry(rows.key(), rows)?;
        }
        map.serialize_entry("kept", &view.kept())?;
        map.end()
    }
}

struct ActionRow<'a>(View<'a>, Item<'a>);

impl Serialize for ActionRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(view, item) = self;
        let (from, to) = view.whole.shown(item.action);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("action", &item.action.verb)?;
        path_entry(&mut map, PATH, &from)?;
        if let Some(to) = to {
            path_entry(&mut map, ["to", "to_base64"], &to)?;
        }
        map.serialize_entry("bytes", &item_bytes(view.inventory(), item.action))?;
        map.serialize_entry("reason", &Text(&item.action.reason))?;
        map.serialize_entry("status", &item.status)?;
        if let Some(effect) = view.effect(item.number) {
            map.serialize_entry("result", &effect.result)?;
            map.serialize_entry("effects", &effect.effects)?;
        }
        if let Some(note) = view.note(item.number) {
            map.serialize_entry("note", note)?;
        }
        map.end()
    }
}

struct KeptRow<'a>(&'a Inventory, &'a Kept);

impl Serialize for KeptRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(inventory, kept) = self;
        let mut map = serializer.serialize_map(None)?;
        path_entry(&mut map, PATH, &shown_subject(inventory, kept.subject))?;
        map.serialize_entry("reason", &Text(&kept.reason))?;
        map.end()
    }
}

impl Serialize for Trouble<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        optional_path_entry(&mut map, PATH, self.path.as_deref())?;
        map.serialize_entry("action", &self.action)?;
        map.serialize_entry("error", self.error)?;
        map.end()
    }
}

/// Its words as a string.
struct Text<'a, T>(&'a T);

impl<T: std::fmt::Display> Serialize for Text<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}
