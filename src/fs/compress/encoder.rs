//! Part of a file, compressed block by block on several threads, and proved.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::blocks::{BLOCK, Packer, Unpacker};
use super::in_order::in_order;
use super::{Watch, original, stopped};
use crate::plan::policy::Codec;

/// So many bytes are written before they are synced: the last sync, which nothing can interrupt,
/// is then short.
const UNSYNCED: u64 = 16 * 1024 * 1024;

/// How a file is compressed.
#[derive(Clone, Copy)]
pub struct Encoder<'a> {
    /// Into what.
    pub codec: Codec,
    /// On how many threads at most; with 1, on the caller's alone.
    pub threads: usize,
    /// Told of every block that was read from the source for the first time.
    pub watch: &'a dyn Watch,
}

/// What was written of a part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The part.
    range: Range<u64>,
    /// Where the first member begins.
    start: u64,
    /// Size of each member or frame.
    members: Vec<u32>,
    /// Where what was written ends, with what is not a member.
    end: u64,
}

impl Encoder<'_> {
    /// Writes bytes of `source` to the beginning of `target`, compressed. The offsets of both files
    /// are neither used nor moved. The result is not yet synced. It takes about 4 MiB of memory for
    /// each thread, more at the highest levels of Zstandard.
    ///
    /// # Errors
    /// Those of reading and writing; `UnexpectedEof` where the source is shorter; [`stopped`].
    pub fn encode(&self, source: &File, range: Range<u64>, target: &File) -> io::Result<Encoded> {
        self.encode_at(source, range, target, 0)
    }

    /// The same, written to `target` from an offset on.
    pub(super) fn encode_at(
        &self,
        source: &File,
        range: Range<u64>,
        target: &File,
        start: u64,
    ) -> io::Result<Encoded> {
        let count = blocks(&range);
        let (written, synced) = (AtomicU64::new(start), AtomicU64::new(start));
        let mut members = Vec::new();
        let pack = |(packer, buffer): &mut (Packer, Vec<u8>), block: u64| {
            self.go_on()?;
            sync_now_and_then(target, &written, &synced)?;
            let bytes = read_block(source, &range, block, buffer)?;
            let whole = (block == 0 && count > 1).then(|| range.end - range.start);
            let packed = packer.pack(bytes, whole)?;
            self.watch.read(bytes.len() as u64);
            Ok(packed)
        };
        let write = |packed: Vec<u8>| {
            let size = packed.len() as u64;
            let at = written.fetch_add(size, Ordering::Relaxed);
            members.push(u32::try_from(size).map_err(io::Error::other)?);
            target.write_all_at(&packed, at)
        };
        let state = || Ok((Packer::new(self.codec)?, Vec::new()));
        in_order(count, self.threads, state, pack, write)?;
        let mut encoded = Encoded {
            range,
            start,
            members,
            end: written.into_inner(),
        };
        encoded.close(self.codec, target)?;
        Ok(encoded)
    }

    /// Whether what was written reads back as the part of `source` that it was made of, every
    /// byte of the target accounted for.
    ///
    /// # Errors
    /// Those of reading, and [`stopped`].
    pub fn verify(&self, source: &File, target: &File, encoded: &Encoded) -> io::Result<bool> {
        let count = blocks(&encoded.range);
        if encoded.members.len() as u64 != count || target.metadata()?.len() != encoded.end {
            return Ok(false);
        }
        let starts = encoded.starts();
        let compare = |state: &mut Comparison, block: u64| {
            self.go_on()?;
            let original = read_block(source, &encoded.range, block, &mut state.original)?;
            let index = usize::try_from(block).map_err(io::Error::other)?;
            state.packed.resize(encoded.members[index] as usize, 0);
            target.read_exact_at(&mut state.packed, starts[index])?;
            state.decoded.resize(original.len(), 0);
            Ok(state.unpacker.unpack(&state.packed, &mut state.decoded)
                && state.decoded == original)
        };
        let mut same = true;
        let collect = |this: bool| {
            same &= this;
            Ok(())
        };
        let state = || Comparison::new(self.codec);
        in_order(count, self.threads, state, compare, collect)?;
        Ok(same)
    }

    fn go_on(&self) -> io::Result<()> {
        if self.watch.stop() {
            return Err(stopped());
        }
        Ok(())
    }
}

impl Encoded {
    /// Bytes of the original.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Where what was written ends in the target.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// An original of nothing is one empty member; several frames get a table of their sizes.
    fn close(&mut self, codec: Codec, target: &File) -> io::Result<()> {
        let last = match (codec, self.members.len()) {
            (Codec::None, _) => return Ok(()),
            (codec, 0) => Packer::new(codec)?.pack(&[], None)?,
            (Codec::Zstd(_), 2..) => original::zstd_table(&self.members, BLOCK, self.bytes()),
            _ => return Ok(()),
        };
        target.write_all_at(&last, self.end)?;
        self.end += last.len() as u64;
        Ok(())
    }

    /// Where each member begins.
    fn starts(&self) -> Vec<u64> {
        self.members
            .iter()
            .scan(self.start, |at, size| {
                let start = *at;
                *at += u64::from(*size);
                Some(start)
            })
            .collect()
    }
}

/// What one thread needs to compare blocks.
struct Comparison {
    unpacker: Unpacker,
    original: Vec<u8>,
    packed: Vec<u8>,
    decoded: Vec<u8>,
}

impl Comparison {
    fn new(codec: Codec) -> io::Result<Self> {
        Ok(Self {
            unpacker: Unpacker::new(codec)?,
            original: Vec::new(),
            packed: Vec::new(),
            decoded: Vec::new(),
        })
    }
}

const fn blocks(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start).div_ceil(BLOCK)
}

fn read_block<'a>(
    source: &File,
    range: &Range<u64>,
    block: u64,
    buffer: &'a mut Vec<u8>,
) -> io::Result<&'a [u8]> {
    let start = range.start + block * BLOCK;
    let size = (range.end - start).min(BLOCK);
    buffer.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
    source.read_exact_at(buffer, start)?;
    Ok(buffer)
}

/// One thread syncs what is written, while the others go on.
fn sync_now_and_then(target: &File, written: &AtomicU64, synced: &AtomicU64) -> io::Result<()> {
    let (now, before) = (
        written.load(Ordering::Relaxed),
        synced.load(Ordering::Relaxed),
    );
    let due = now.saturating_sub(before) >= UNSYNCED;
    if due
        && synced
            .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    {
        target.sync_data()?;
    }
    Ok(())
}
