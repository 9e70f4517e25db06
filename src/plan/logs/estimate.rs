//! What the plan gives back: exact for what expires, by the ratio of an earlier file for what is
//! compressed.

use std::collections::BTreeSet;

use super::super::entry::EntryId;
use super::super::policy::Codec;
use super::Decided;
use super::expire::{Fates, frees};
use super::survey::{Copy, Survey};

/// Filesystems allocate in blocks of at least this many bytes.
const BLOCK: u64 = 4096;

/// Bytes that the whole plan gives back; `None` where a ratio is not known.
pub(super) fn bytes(survey: &Survey, decided: &Decided, fates: &Fates) -> Option<i64> {
    let mut sum: i64 = 0;
    for (id, ..) in &fates.expires {
        sum = sum.saturating_add(signed(frees(survey.inventory, *id)));
    }
    for (id, series, _, task) in &decided.rotates {
        sum = sum.saturating_add(saved(survey, *series, *id, task.compress)?);
    }
    for (id, series, _, pieces) in &decided.cuts {
        if let Some(piece) = pieces.first() {
            sum = sum.saturating_add(saved(survey, *series, *id, piece.compress)?);
        }
    }
    for (id, series, _, task) in &fates.compresses {
        let usage = signed(survey.inventory.entry(*id).disk_usage());
        sum = sum.saturating_add(if task.published {
            usage
        } else {
            saved(survey, *series, *id, task.codec)?
        });
    }
    Some(sum)
}

/// The files whose uncompressed size the estimate needs.
pub(super) fn samples(survey: &Survey, decided: &Decided, fates: &Fates) -> Vec<EntryId> {
    let rotates = decided
        .rotates
        .iter()
        .filter(|(.., task)| task.compress != Codec::None)
        .map(|(_, series, ..)| *series);
    let cuts = decided
        .cuts
        .iter()
        .filter(|(.., pieces)| pieces.iter().any(|piece| piece.compress != Codec::None))
        .map(|(_, series, ..)| *series);
    let compresses = fates
        .compresses
        .iter()
        .filter(|(.., task)| !task.published)
        .map(|(_, series, ..)| *series);
    let series: BTreeSet<usize> = rotates.chain(cuts).chain(compresses).collect();
    series
        .into_iter()
        .filter_map(|series| newest_packed(survey, series))
        .collect()
}

/// Allocated bytes of a file after compression; `None` where they cannot be told.
pub(super) fn packed(survey: &Survey, series: usize, id: EntryId, codec: Codec) -> Option<u64> {
    let entry = survey.inventory.entry(id);
    if codec == Codec::None {
        return Some(entry.disk_usage());
    }
    let sample = newest_packed(survey, series)?;
    let from = *survey.inventory.expanded.get(&sample)?;
    let to = survey.inventory.entry(sample).size;
    let bytes = (u128::from(survey.content(id)) * u128::from(to)).checked_div(u128::from(from))?;
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Some(bytes.div_ceil(BLOCK).saturating_mul(BLOCK))
}

fn saved(survey: &Survey, series: usize, id: EntryId, codec: Codec) -> Option<i64> {
    let before = signed(survey.inventory.entry(id).disk_usage());
    Some(before - signed(packed(survey, series, id, codec)?))
}

fn newest_packed(survey: &Survey, series: usize) -> Option<EntryId> {
    let mut copies = survey.series[series].copies.values().rev();
    copies.find_map(Copy::packed)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
