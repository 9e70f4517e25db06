//! Compressing in place: files that are written once, and what earlier runs left.

use std::ffi::{OsStr, OsString};

use super::super::action::Compress;
use super::super::entry::EntryId;
use super::super::policy::Codec;
use super::super::reason::{Duration32, Keep};
use super::super::rotated::{self, Form, NAME_MAX};
use super::super::time::Clock;
use super::survey::{Copy, Names, Survey, held_by};

/// Why a file of a `unique` rule cannot be taken for finished.
pub(super) fn unfinished(survey: &Survey, index: usize, id: EntryId, clock: Clock) -> Option<Keep> {
    let inventory = survey.inventory;
    let entry = inventory.entry(id);
    let used = entry.used(inventory.atime_mode(inventory.root_of(entry)));
    let recent = survey.rule(&survey.series[index]).preserve_recent;
    if entry.size == 0 {
        return Some(Keep::Empty);
    }
    if entry.links > 1 {
        return Some(Keep::SeveralLinks);
    }
    if let Some(held) = survey.held(id) {
        return Some(held);
    }
    if used > clock.now {
        return Some(Keep::FutureTime);
    }
    let ago = Duration32::between(used, clock.now);
    (clock.now.since(used) < recent).then_some(Keep::RecentlyUsed(ago))
}

/// How a finished file is compressed: to `NAME.gz`. A file of that name with the same time of
/// change is this one, published by a run that ended before it removed the source: compressed files
/// carry the times of their source. Any other is somebody else's, and the name gets the stamp of
/// its last change.
pub(super) fn unique(
    survey: &Survey,
    names: &Names,
    id: EntryId,
    codec: Codec,
) -> Result<Compress, Keep> {
    let inventory = survey.inventory;
    let entry = inventory.entry(id);
    let name = inventory.name(entry);
    let taken = |name: &OsStr| names.contains(&(entry.directory, name));
    let compress = |to: OsString, published| Compress {
        to,
        codec,
        published,
        exclusive: true,
    };
    let packed = packed_name(name, codec);
    if packed.len() > NAME_MAX {
        return Err(Keep::NameTooLong);
    }
    if !taken(&packed) {
        return Ok(compress(packed, false));
    }
    if published(survey, names, id, codec).is_some() {
        return Ok(compress(packed, true));
    }
    let mut stamped =
        rotated::free_name(name, entry.mtime, None, taken).ok_or(Keep::NameTooLong)?;
    stamped.push(codec.suffix());
    Ok(compress(stamped, false))
}

/// The compressed file that an earlier run made of this one.
pub(super) fn published(
    survey: &Survey,
    names: &Names,
    id: EntryId,
    codec: Codec,
) -> Option<EntryId> {
    let inventory = survey.inventory;
    let source = inventory.entry(id);
    let name = packed_name(inventory.name(source), codec);
    if codec == Codec::None || !names.contains(&(source.directory, name.as_os_str())) {
        return None;
    }
    let copies = survey
        .series
        .iter()
        .flat_map(|series| series.copies.values());
    copies.filter_map(Copy::packed).find(|id| {
        let entry = inventory.entry(*id);
        entry.directory == source.directory
            && entry.mtime == source.mtime
            && inventory.name(entry) == name
    })
}

fn packed_name(name: &OsStr, codec: Codec) -> OsString {
    let mut packed = name.to_os_string();
    packed.push(codec.suffix());
    packed
}

/// How a rotated file that an earlier run left uncompressed is finished; the reason where it is
/// not.
pub(super) fn leftover(survey: &Survey, copy: &Copy, codec: Codec) -> Result<Compress, Keep> {
    let inventory = survey.inventory;
    let id = copy.plain.ok_or(Keep::Retained)?;
    let entry = inventory.entry(id);
    if copy.foreign || entry.size == 0 || (codec == Codec::None && copy.packed().is_none()) {
        return Err(Keep::Retained);
    }
    if entry.links > 1 {
        return Err(Keep::SeveralLinks);
    }
    if let Some(holder) = inventory.open.writer(inventory.identity(entry)) {
        return Err(Keep::Writer(Box::new(held_by(holder, None))));
    }
    let compress = |to: OsString, codec, published| Compress {
        to,
        codec,
        published,
        exclusive: false,
    };
    if let Some(packed) = copy.packed() {
        let to = inventory.name(inventory.entry(packed));
        let form = rotated::split_form(to).1;
        return Ok(compress(to.to_os_string(), codec_of(form, codec), true));
    }
    let to = packed_name(inventory.name(entry), codec);
    if to.len() > NAME_MAX {
        return Err(Keep::NameTooLong);
    }
    Ok(compress(to, codec, false))
}

/// The codec that wrote a form: the configured one where it does, else at its usual level, which
/// does not matter to a comparison.
fn codec_of(form: Form, configured: Codec) -> Codec {
    if Form::of(configured) == form {
        return configured;
    }
    match form {
        Form::Plain => Codec::None,
        Form::Gzip => Codec::Gzip(6),
        Form::Zstd => Codec::Zstd(3),
    }
}

/// The name that a run gave to a rotation which it did not live to begin: an empty log is never
/// rotated, so nothing was ever in it.
pub(super) fn unbegun(survey: &Survey, copy: &Copy) -> Option<EntryId> {
    let id = copy
        .plain
        .filter(|_| copy.packed().is_none() && !copy.foreign)?;
    (survey.inventory.entry(id).size == 0 && survey.inventory.entry(id).links == 1).then_some(id)
}
