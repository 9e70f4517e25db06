//! The figures of the report, and what to say where a limit cannot be met.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::action::{OperationPlan, Subject, shown_subject};
use super::super::entry::{AtimeMode, EntryId, Inventory, RootId};
use super::super::reason::{Keep, size};
use super::budget::Ledger;
use crate::plan::readable;

/// How many reasons a warning names.
const REASONS: usize = 3;

/// Fills `metadata` and `warnings`.
pub(super) fn describe(plan: &mut OperationPlan, inventory: &Inventory, ledger: &Ledger) {
    let roots: Vec<RootId> = inventory
        .root_ids()
        .filter(|root| ledger.accounts[usize::from(root.0)].is_cache)
        .collect();
    let over: u64 = roots.iter().map(|root| ledger.over(*root)).sum();
    let limit = limit(ledger, &roots);
    let mut put = |key, value: Value| plan.metadata.insert(key, value);
    put("atime", json!(weakest(inventory, &roots)));
    put("usage_bytes", json!(ledger.usage));
    put("limit_bytes", json!(limit));
    put("over_budget_bytes", json!(over.max(ledger.over_total())));
    put("visibility", json!(inventory.open.visibility));
    let directories = roots.iter().map(|root| directory(inventory, ledger, *root));
    put("directories", Value::Array(directories.collect()));
    let marked = marked(plan, inventory);
    plan.metadata.insert("marked", marked);
    warn(plan, inventory, ledger, &roots);
}

/// The trees of other tools, each by the mark that tells.
fn marked(plan: &OperationPlan, inventory: &Inventory) -> Value {
    let trees = plan.kept.iter().filter_map(|kept| match kept.reason {
        Keep::Marked(mark) => {
            let path = shown_subject(inventory, kept.subject);
            Some(json!({ "path": readable::path(&path), "mark": mark }))
        }
        _ => None,
    });
    let mut trees: Vec<Value> = trees.collect();
    trees.sort_by_key(|tree| tree["path"].to_string());
    Value::Array(trees)
}

fn directory(inventory: &Inventory, ledger: &Ledger, root: RootId) -> Value {
    let account = &ledger.accounts[usize::from(root.0)];
    json!({
        "path": inventory.root(root).shown.to_string_lossy(),
        "usage_bytes": account.usage,
        "files": account.files,
        "limit_bytes": ledger.policy.limit,
        "evicted_bytes": account.evicted,
        "over_budget_bytes": ledger.over(root),
    })
}

/// What the directories may take together.
fn limit(ledger: &Ledger, roots: &[RootId]) -> u64 {
    let each = ledger.policy.limit.saturating_mul(roots.len() as u64);
    ledger
        .policy
        .max_total_size
        .map_or(each, |total| total.min(each))
}

/// The directory whose access times tell least speaks for all.
fn weakest(inventory: &Inventory, roots: &[RootId]) -> AtimeMode {
    let modes = roots.iter().map(|root| inventory.atime_mode(*root));
    modes
        .max_by_key(|mode| match mode {
            AtimeMode::Strict => 0,
            AtimeMode::Relatime => 1,
            AtimeMode::Noatime => 2,
        })
        .unwrap_or_default()
}

fn warn(plan: &mut OperationPlan, inventory: &Inventory, ledger: &Ledger, roots: &[RootId]) {
    let mut warnings = Vec::new();
    for root in roots {
        let over = ledger.over(*root);
        if over > 0 {
            warnings.push(format!(
                "{} stays {} over its limit of {}: {}",
                readable::path(&inventory.root(*root).shown),
                size(over),
                size(ledger.policy.limit),
                why(plan, inventory, |other| other == *root)
            ));
        }
    }
    if let (over @ 1.., Some(limit)) = (ledger.over_total(), ledger.policy.max_total_size) {
        warnings.push(format!(
            "the cache directories stay {} over max_total_size {}: {}",
            size(over),
            size(limit),
            why(plan, inventory, |root| roots.contains(&root))
        ));
    }
    let mut told = Vec::new();
    for root in roots {
        let filesystem = inventory.root(*root).filesystem;
        let missing = ledger.missing(*root);
        if missing > 0 && !told.contains(&filesystem) {
            told.push(filesystem);
            warnings.push(format!(
                "the filesystem of {} stays {} short of min_free: {}",
                readable::path(&inventory.root(*root).shown),
                size(missing),
                why(plan, inventory, |other| {
                    roots.contains(&other) && inventory.root(other).filesystem == filesystem
                })
            ));
        }
    }
    plan.warnings.extend(warnings);
}

/// What keeps the files of some directories, the most bytes first.
fn why(plan: &OperationPlan, inventory: &Inventory, of: impl Fn(RootId) -> bool) -> String {
    let mut reasons: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut largest: Option<(u64, EntryId, &Keep)> = None;
    for kept in &plan.kept {
        let Subject::Entry(id) = kept.subject else {
            continue;
        };
        let entry = inventory.entry(id);
        if !of(inventory.root_of(entry)) {
            continue;
        }
        let bytes = entry.disk_usage();
        let sum = reasons.entry(kept.reason.code()).or_default();
        *sum = (sum.0 + 1, sum.1.saturating_add(bytes));
        if largest.is_none_or(|(most, ..)| bytes > most) {
            largest = Some((bytes, id, &kept.reason));
        }
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, (_, bytes))| std::cmp::Reverse(*bytes));
    let listed: Vec<String> = reasons
        .iter()
        .take(REASONS)
        .map(|(code, (files, bytes))| {
            format!("{files} {} ({})", code.replace('_', " "), size(*bytes))
        })
        .collect();
    let mut text = format!("kept are {}", listed.join(", "));
    if listed.is_empty() {
        "it holds nothing that may go".clone_into(&mut text);
    }
    if let Some((bytes, id, reason)) = largest {
        let path = shown_subject(inventory, Subject::Entry(id));
        let _ = write!(
            text,
            "; the largest is '{}' ({}, {reason})",
            readable::path(path),
            size(bytes)
        );
    }
    text
}
