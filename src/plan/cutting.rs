//! Taking the head of a live log away from under its writer: what a filesystem can do, how it is
//! asked, and the record by which a killed run is completed exactly.
//!
//! The record stands beside the log from before the rotated file gets its name until the log has
//! given up its head. Its name is parsed and never globbed, like those of rotated files.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use super::entry::EntryId;
use super::policy::Codec;
use super::rotated::{self, Form};

/// What a record says that it is.
const SCHEMA: &str = "sysopt.rotation/1";
/// `.LOG.sysopt-rotation`; shorter than the stamp of a rotated file, so that it fits where that
/// does.
const SUFFIX: &[u8] = b".sysopt-rotation";

/// What a filesystem can do to the head of a file (`man 2 fallocate`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Bytes of a block: cuts lie between blocks. 0 where it is not known.
    pub block: u64,
    /// `FALLOC_FL_COLLAPSE_RANGE`: what stands behind moves to the front.
    pub collapse: bool,
    /// `FALLOC_FL_PUNCH_HOLE`: blocks are given back and read as zeros.
    pub punch: bool,
}

/// How a log loses its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cutting {
    /// Punched, then collapsed: what was not rotated moves to the front. Loses nothing where all
    /// writers append.
    Collapse,
    /// Punched: the log keeps its apparent size and begins with a hole. Loses nothing.
    Punch,
    /// Copied and truncated: what is written between the two is lost.
    Truncate,
}

impl Cutting {
    /// Whether every line outlives it.
    #[must_use]
    pub const fn is_lossless(self) -> bool {
        !matches!(self, Self::Truncate)
    }
}

/// How far a rotation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The rotated file has its name, or is about to get it; the log may still have its head.
    Archived,
    /// The head is a hole: the log begins with data at `cut` (to be collapsed) or at 0 (done).
    Punched,
}

/// What is recorded beside a log while its head is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    schema: String,
    /// How far it came.
    pub stage: Stage,
    /// How.
    pub method: Cutting,
    /// The log's inode.
    pub inode: u64,
    /// First byte that is rotated; before it there is a hole.
    pub from: u64,
    /// First byte that stays.
    pub cut: u64,
    /// Bytes of the rotated file as it was published.
    pub stored: u64,
    /// What follows the log's name in that of the rotated file.
    pub rotated: String,
}

impl Intent {
    /// One that begins: `[from, cut)` of the log goes to the rotated file `to`. `None` where that is
    /// no rotated name of the log.
    #[must_use]
    pub fn new(log: &OsStr, inode: u64, to: &OsStr, method: Cutting) -> Option<Self> {
        let end = to.as_bytes().strip_prefix(log.as_bytes())?;
        Some(Self {
            schema: SCHEMA.to_owned(),
            stage: Stage::Archived,
            method,
            inode,
            from: 0,
            cut: 0,
            stored: 0,
            rotated: std::str::from_utf8(end).ok()?.to_owned(),
        })
        .filter(|intent| intent.names_rotated(log))
    }

    /// Reads a record; `None` where it is not one of this log.
    #[must_use]
    pub fn parse(log: &OsStr, text: &[u8]) -> Option<Self> {
        let intent: Self = serde_json::from_slice(text).ok()?;
        let whole = intent.schema == SCHEMA && intent.from < intent.cut;
        (whole && intent.names_rotated(log)).then_some(intent)
    }

    /// As it is written.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// The name of the rotated file.
    #[must_use]
    pub fn to(&self, log: &OsStr) -> OsString {
        let mut name = log.to_os_string();
        name.push(&self.rotated);
        name
    }

    /// The codec that the rotated file was written with, as far as reading it goes.
    #[must_use]
    pub fn codec(&self) -> Codec {
        match rotated::split_form(OsStr::new(&self.rotated)).1 {
            Form::Plain => Codec::None,
            Form::Gzip => Codec::Gzip(6),
            Form::Zstd => Codec::Zstd(3),
        }
    }

    /// Bytes that go to the rotated file.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.cut - self.from
    }

    fn names_rotated(&self, log: &OsStr) -> bool {
        rotated::parse(&self.to(log)).is_some_and(|name| name.log == log)
    }
}

/// The name of the record beside a log.
#[must_use]
pub fn record_name(log: &OsStr) -> OsString {
    let mut name = OsString::from(".");
    name.push(log);
    name.push(OsStr::from_bytes(SUFFIX));
    name
}

/// The log whose record has this name.
#[must_use]
pub fn log_of(record: &OsStr) -> Option<&OsStr> {
    let log = record.as_bytes().strip_prefix(b".")?.strip_suffix(SUFFIX)?;
    (!log.is_empty()).then_some(OsStr::from_bytes(log))
}

/// What was looked up about single logs.
#[derive(Clone, Debug, Default)]
pub struct LogStates {
    /// Records of rotations that were not completed, by the record's entry.
    pub intents: HashMap<EntryId, Intent>,
    /// Where the data of a file begins whose head is a hole.
    pub heads: HashMap<EntryId, u64>,
    /// Files that can only be appended to (`chattr +a`).
    pub append_only: HashSet<EntryId>,
    /// Logs that somebody writes to whom the process table does not show: the kernel refused a
    /// lease on them.
    pub unseen_writers: HashSet<EntryId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(log: &OsStr, to: &str) -> Option<Intent> {
        let mut name = log.to_os_string();
        name.push(to);
        let mut intent = Intent::new(log, 7, &name, Cutting::Collapse)?;
        (intent.from, intent.cut) = (4096, 8192);
        Some(intent)
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for log in [
            &b"a.log"[..],
            b"\xff\n[12].log",
            b"-rf",
            b"x-20251124T210000Z",
        ] {
            let log = OsStr::from_bytes(log);
            for to in [
                "-20251124T210000Z.gz",
                "-20251124T210000Z-12",
                "-20251124T210000Z.zst",
            ] {
                let written = intent(log, to).unwrap();
                assert_eq!(
                    Intent::parse(log, &written.to_line()),
                    Some(written.clone())
                );
                assert_eq!(
                    rotated::split_form(&written.to(log)).1,
                    Form::of(written.codec())
                );
                assert_eq!(log_of(&record_name(log)), Some(log));
            }
        }
    }

    #[test]
    fn what_is_no_record_is_not_read() {
        let log = OsStr::new("a.log");
        assert_eq!(intent(log, ".1"), None);
        assert_eq!(intent(log, "-20251324T210000Z"), None);
        let line = intent(log, "-20251124T210000Z.gz").unwrap().to_line();
        assert_eq!(Intent::parse(log, &line[..line.len() / 2]), None);
        assert_eq!(Intent::parse(log, b""), None);
        let text = String::from_utf8(line).unwrap();
        for (from, to) in [
            ("rotation/1", "rotation/2"),
            ("8192", "4096"),
            ("Z.gz", "Z/../x"),
        ] {
            let other = text.replace(from, to);
            assert_eq!(Intent::parse(log, other.as_bytes()), None, "{other}");
        }
        for name in [
            ".sysopt-rotation",
            "a.log.sysopt-rotation",
            ".a.log.sysopt-rotation.gz",
        ] {
            assert_eq!(log_of(OsStr::new(name)), None, "{name}");
        }
    }
}
