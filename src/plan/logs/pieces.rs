//! A log too large for the free space is rotated in pieces: each gives back the room for the next.

use std::ffi::{OsStr, OsString};

use super::super::action::Cut;
use super::super::entry::EntryId;
use super::super::policy::Codec;
use super::super::reason::Keep;
use super::super::rotated;
use super::super::time::Clock;
use super::estimate;
use super::survey::{Names, Survey};

/// Pieces smaller than so many blocks are not worth their file.
const FEWEST_BLOCKS: u64 = 16;
/// So many files for one rotation are enough.
const MOST: u64 = 1000;

impl Survey<'_> {
    /// Whether the rotated file of the whole log may not fit into the free space. It is compared by
    /// the ratio of an earlier one, with a quarter to spare; where there is none, as it is.
    pub(super) fn is_too_large(&self, index: usize, id: EntryId) -> bool {
        let root = self.inventory.root_of(self.inventory.entry(id));
        let Some(filesystem) = self.inventory.filesystem(root) else {
            return false;
        };
        self.packed_size(index, id) > filesystem.available
    }

    fn packed_size(&self, index: usize, id: EntryId) -> u64 {
        let content = self.content(id);
        match self.rule(&self.series[index]).compress {
            Codec::None => content,
            codec => estimate::packed(self, index, id, codec).map_or(content, |bytes| {
                content.min(bytes.saturating_add(bytes / 4))
            }),
        }
    }

    /// Bytes of a piece; `None` where the log is rotated in one.
    fn piece(&self, index: usize, id: EntryId) -> Option<u64> {
        if !self.is_too_large(index, id) {
            return None;
        }
        let root = self.inventory.root_of(self.inventory.entry(id));
        let half = self.inventory.filesystem(root)?.available / 2;
        let block = self.cuts(id).block.max(1);
        let content = self.content(id);
        let piece = half.max(block * FEWEST_BLOCKS).max(content / MOST);
        let piece = piece.div_ceil(block) * block;
        (piece < content).then_some(piece)
    }
}

/// The rotated names of all pieces of a log, in the order of its lines, each with what it may take.
pub(super) fn split(
    survey: &Survey,
    index: usize,
    id: EntryId,
    names: &Names,
    clock: Clock,
    cut: &Cut,
) -> Result<Vec<Cut>, Keep> {
    let series = &survey.series[index];
    let directory = survey.inventory.entry(id).directory;
    let at_most = survey.piece(index, id).filter(|_| cut.method.is_lossless());
    let count = at_most.map_or(1, |piece| survey.content(id).div_ceil(piece));
    let newest = series.copies.keys().next_back();
    let mut newest = newest.map(|copy| (copy.time, copy.serial));
    let mut pieces: Vec<Cut> = Vec::new();
    for _ in 0..count {
        let taken = |name: &OsStr| names.contains(&(directory, name));
        let to = rotated::free_name(series.log, clock.now, newest, taken);
        let to: OsString = to.ok_or(Keep::NameTooLong)?;
        newest = rotated::parse(&to).map(|name| (name.time, name.serial));
        pieces.push(Cut {
            to,
            at_most,
            ..cut.clone()
        });
    }
    Ok(pieces)
}
