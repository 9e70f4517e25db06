//! Which rotated files expire. It runs over the rotated files of all logs, also of those that are
//! gone, and is asked also when nothing rotates.

use std::collections::{HashMap, HashSet};

use super::super::action::Compress;
use super::super::claims::Claims;
use super::super::entry::{EntryId, Inventory, RootId};
use super::super::order;
use super::super::policy::Codec;
use super::super::reason::{Duration32, Keep, Reason};
use super::super::retention::{Group, Item, Retention, Space, Stay, Verdict};
use super::super::time::Clock;
use super::survey::{Copy, CopyKey, Names, Series, Survey};
use super::{Decided, estimate, finish};

/// What becomes of rotated files.
#[derive(Default)]
pub(super) struct Fates {
    /// The file, its series, and why.
    pub(super) expires: Vec<(EntryId, usize, Reason)>,
    /// Leftovers that stay.
    pub(super) compresses: Vec<(EntryId, usize, Reason, Compress)>,
    pub(super) kept: Vec<(EntryId, Keep)>,
    /// Names of rotations that never began.
    pub(super) undone: Vec<EntryId>,
}

/// A rotated file on trial.
struct Candidate<'a> {
    series: usize,
    copy: Copy,
    item: Item<'a>,
    /// Why it stays in any case.
    held: Option<Keep>,
    /// An uncompressed file of a `unique` rule.
    in_place: bool,
}

/// Decides on all rotated files.
pub(super) fn judge(
    survey: &Survey,
    names: &Names,
    decided: &Decided,
    claims: &Claims,
    clock: Clock,
) -> Fates {
    let retention = limits(survey, claims);
    let mut fates = Fates::default();
    let mut candidates = candidates(survey, names, clock);
    // Nothing was ever in these, so they must not count against what holds lines.
    candidates.retain(|candidate| {
        let unbegun = finish::unbegun(survey, &candidate.copy).filter(|_| !candidate.in_place);
        fates.undone.extend(unbegun);
        unbegun.is_none()
    });
    candidates.sort_by(|a, b| {
        let first = |candidate: &Candidate| candidate.copy.entries().next();
        match (first(a), first(b)) {
            (Some(a), Some(b)) => order::entries(survey.inventory, a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    });
    candidates.extend(made_now(survey, decided, clock));
    let items: Vec<Item> = candidates.iter().map(|candidate| candidate.item).collect();
    let verdicts = retention.verdicts(&items, clock);
    for (candidate, verdict) in candidates.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Expire(_) if !survey.sees() => {
                let unseen = candidate.copy.entries().map(|id| (id, Keep::Unseen));
                fates.kept.extend(unseen);
            }
            Verdict::Expire(cause) => {
                for id in candidate.copy.entries() {
                    let reason = cause.reason("rotated file");
                    fates.expires.push((id, candidate.series, reason));
                }
            }
            Verdict::Keep(stay) if candidate.in_place => {
                stays_in_place(survey, names, candidate, stay, clock, &mut fates);
            }
            Verdict::Keep(stay) => stays(survey, candidate, stay, &mut fates),
        }
    }
    fates
}

fn stays(survey: &Survey, candidate: Candidate, stay: Stay, fates: &mut Fates) {
    let Candidate {
        series, copy, held, ..
    } = candidate;
    let rule = survey.rule(&survey.series[series]);
    let retained = held.unwrap_or_else(|| retained(stay));
    for id in copy.packed.into_iter().flatten() {
        fates.kept.push((id, retained.clone()));
    }
    let Some(id) = copy.plain else {
        return;
    };
    if retained == Keep::Rotating {
        fates.kept.push((id, retained));
        return;
    }
    match finish::leftover(survey, &copy, rule.compress) {
        Ok(_) if !survey.sees() => fates.kept.push((id, Keep::Unseen)),
        Ok(task) => {
            let reason = Reason::Leftover;
            fates.compresses.push((id, series, reason, task));
        }
        Err(Keep::Retained) => fates.kept.push((id, retained)),
        Err(keep) => fates.kept.push((id, keep)),
    }
}

/// A file of a `unique` rule that no limit expires is compressed once it is finished.
fn stays_in_place(
    survey: &Survey,
    names: &Names,
    candidate: Candidate,
    stay: Stay,
    clock: Clock,
    fates: &mut Fates,
) {
    let codec = survey.rule(&survey.series[candidate.series]).compress;
    let Some(id) = candidate.copy.plain else {
        return;
    };
    for packed in candidate.copy.packed.into_iter().flatten() {
        fates.kept.push((packed, retained(stay)));
    }
    let verdict = match candidate.held {
        Some(held) => Err(held),
        None if codec == Codec::None => Err(retained(stay)),
        None => finish::unique(survey, names, id, codec),
    };
    match verdict {
        Ok(_) if !survey.sees() => fates.kept.push((id, Keep::Unseen)),
        Ok(task) => {
            let ago = Duration32::between(candidate.item.time, clock.now);
            let reason = Reason::Finished(ago);
            fates.compresses.push((id, candidate.series, reason, task));
        }
        Err(keep) => fates.kept.push((id, keep)),
    }
}

const fn retained(stay: Stay) -> Keep {
    match stay {
        Stay::ClockJumped => Keep::ClockJumped,
        Stay::Within | Stay::Protected | Stay::MadeNow | Stay::Last => Keep::Retained,
    }
}

fn candidates<'a>(survey: &Survey<'a>, names: &Names, clock: Clock) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    for (index, series) in survey.series.iter().enumerate() {
        let rule = survey.rule(series);
        let mut published = HashSet::new();
        if rule.unique {
            for id in &series.live {
                let packed = finish::published(survey, names, *id, rule.compress);
                published.extend(packed);
                found.push(in_place(survey, index, *id, packed, clock));
            }
        }
        for (key, copy) in &series.copies {
            if !copy.entries().any(|id| published.contains(&id)) {
                found.push(candidate(survey, index, *key, *copy));
            }
        }
    }
    found
}

fn candidate<'a>(
    survey: &Survey<'a>,
    series: usize,
    key: CopyKey<'a>,
    copy: Copy,
) -> Candidate<'a> {
    let held = copy.entries().find_map(|id| survey.held(id));
    let sum = |count: fn(&Inventory, EntryId) -> u64| {
        copy.entries()
            .map(|id| count(survey.inventory, id))
            .fold(0, u64::saturating_add)
    };
    let item = Item {
        group: series,
        time: key.time,
        serial: key.serial,
        name: key.name,
        bytes: sum(|inventory, id| inventory.entry(id).disk_usage()),
        frees: sum(frees),
        protected: held.is_some(),
        made_now: false,
    };
    Candidate {
        series,
        copy,
        item,
        held,
        in_place: false,
    }
}

/// A file of a `unique` rule that is not compressed (yet): it can expire as it is, and takes what it
/// will take once it is compressed. With the compressed form that an earlier run published it is
/// one rotated file: they go together or not at all.
fn in_place<'a>(
    survey: &Survey<'a>,
    series: usize,
    id: EntryId,
    published: Option<EntryId>,
    clock: Clock,
) -> Candidate<'a> {
    let entry = survey.inventory.entry(id);
    let key = CopyKey {
        time: entry.mtime,
        serial: 1,
        name: survey.inventory.name(entry),
        directory: entry.directory,
    };
    let copy = Copy {
        plain: Some(id),
        packed: [published, None],
        foreign: false,
    };
    let mut candidate = candidate(survey, series, key, copy);
    candidate.in_place = true;
    let held = candidate.held.take();
    candidate.held = finish::unfinished(survey, series, id, clock).or(held);
    candidate.item.protected = candidate.held.is_some();
    if candidate.held.is_none() {
        let codec = survey.rule(&survey.series[series]).compress;
        let packed = match published {
            Some(packed) => Some(survey.inventory.entry(packed).disk_usage()),
            None => estimate::packed(survey, series, id, codec),
        };
        candidate.item.bytes = packed.unwrap_or(candidate.item.bytes);
    }
    candidate
}

/// What this run makes counts as the newest of its log.
fn made_now<'a>(survey: &Survey<'a>, decided: &Decided, clock: Clock) -> Vec<Candidate<'a>> {
    let renamed = decided
        .rotates
        .iter()
        .map(|(id, index, _, task)| (id, index, task.compress, 1));
    // Together the pieces of a log take what it takes in one.
    let cut = decided.cuts.iter().flat_map(|(id, index, _, pieces)| {
        let count = pieces.len() as u64;
        pieces
            .iter()
            .map(move |piece| (id, index, piece.compress, count))
    });
    let made = renamed.chain(cut).map(|(id, index, codec, pieces)| {
        let bytes = estimate::packed(survey, *index, *id, codec).unwrap_or(0) / pieces;
        let item = Item {
            group: *index,
            time: clock.now,
            serial: u32::MAX,
            name: survey.series[*index].log,
            bytes,
            frees: 0,
            protected: false,
            made_now: true,
        };
        Candidate {
            series: *index,
            copy: Copy::default(),
            item,
            held: None,
            in_place: false,
        }
    });
    made.collect()
}

/// Bytes that the removal of one name gives back.
pub(super) fn frees(inventory: &Inventory, id: EntryId) -> u64 {
    let entry = inventory.entry(id);
    if entry.links > 1 {
        0
    } else {
        entry.disk_usage()
    }
}

fn limits(survey: &Survey, claims: &Claims) -> Retention {
    let inventory = survey.inventory;
    let mut totals: HashMap<(RootId, u64), usize> = HashMap::new();
    let mut retention = Retention {
        free: (0_u32..)
            .zip(&inventory.filesystems)
            .map(|(index, filesystem)| {
                filesystem
                    .available
                    .saturating_add(claims.bytes_on(inventory, index))
            })
            .collect(),
        ..Retention::default()
    };
    for series in &survey.series {
        let rule = survey.rule(series);
        // Logs of a root share a total where their rules name the same one.
        let total = rule.max_total_size.map(|limit| {
            *totals.entry((series.root, limit)).or_insert_with(|| {
                retention.totals.push(limit);
                retention.totals.len() - 1
            })
        });
        retention.groups.push(Group {
            count: Some(rule.max_files).filter(|count| *count > 0 && !rule.unique),
            max_age: rule.max_age,
            keep_last: true,
            total,
            space: space(survey, series),
        });
    }
    retention
}

fn space(survey: &Survey, series: &Series) -> Option<Space> {
    let filesystem = survey.inventory.root(series.root).filesystem? as usize;
    let total = survey.inventory.filesystems.get(filesystem)?.total;
    let min_free = survey.rule(series).min_free;
    Some(Space {
        filesystem,
        target: min_free.map_or(0, |min_free| min_free.bytes(total)),
    })
}
