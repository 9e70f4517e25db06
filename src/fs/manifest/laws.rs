//! Laws of the manifest: what is written reads back, however it is cut.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{ManifestLine, parse};
use crate::plan::archive::{Event, MANIFEST_SCHEMA, StoredPath};
use crate::plan::time::Time;

fn paths() -> impl Strategy<Value = StoredPath> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..30),
        any::<String>().prop_map(String::into_bytes)
    ];
    bytes.prop_map(|bytes| StoredPath(PathBuf::from(OsString::from_vec(bytes))))
}

fn lines() -> impl Strategy<Value = ManifestLine> {
    let event = prop::sample::select(vec![Event::Archived, Event::Restored, Event::Expired]);
    let words = (
        any::<String>(),
        any::<String>(),
        any::<String>(),
        any::<String>(),
    );
    let numbers = (
        any::<u64>(),
        any::<i64>(),
        any::<(u32, u32, u32)>(),
        any::<i64>(),
    );
    let unit = proptest::option::of(paths());
    (event, paths(), paths(), unit, words, numbers).prop_map(
        |(event, original_path, archived_path, unit, words, numbers)| {
            let (size, mtime_ns, (mode, uid, gid), time) = numbers;
            let (sha256, stored_sha256, family, codec) = words;
            ManifestLine {
                schema: MANIFEST_SCHEMA.to_owned(),
                event,
                original_path,
                archived_path,
                unit,
                size,
                sha256,
                stored_sha256,
                mtime_ns,
                mode,
                uid,
                gid,
                family,
                // Lines tell their time to the second.
                time: Time::from_parts(Time(time).seconds(), 0),
                codec,
            }
        },
    )
}

/// As they are appended.
fn written(lines: &[ManifestLine]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line).unwrap_or_default();
        bytes.push(b'\n');
    }
    bytes
}

proptest! {
    #[test]
    fn a_manifest_cut_anywhere_has_its_whole_lines(lines in vec(lines(), 0..5), at: prop::sample::Index) {
        let whole = written(&lines);
        let cut = &whole[..at.index(whole.len() + 1)];
        let read = parse(cut).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let count = cut.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).count();
        prop_assert_eq!(read.lines, &lines[..count]);
        prop_assert_eq!(read.torn, !cut.is_empty() && !cut.ends_with(b"\n"));
    }

    #[test]
    fn no_bytes_are_a_panic(lines in vec(lines(), 0..3), at: prop::sample::Index, with in vec(any::<u8>(), 0..40)) {
        let whole = written(&lines);
        let at = at.index(whole.len() + 1);
        let after = &whole[(at + with.len()).min(whole.len())..];
        let _ = parse(&*with);
        let _ = parse(&*[&whole[..at], &with, after].concat());
    }

    /// A line of another version, or none at all, is not passed over: what it lists is not known.
    #[test]
    fn a_foreign_line_in_the_middle_is_an_error(lines in vec(lines(), 1..4), schema in "[a-z.]{0,12}/[2-9]") {
        let foreign = ManifestLine { schema, ..lines[0].clone() };
        for strange in [written(&[foreign]), b"{}\n".to_vec(), b"\xff\n".to_vec()] {
            let all = [&strange[..], &written(&lines)].concat();
            prop_assert!(parse(&*all).is_err());
        }
    }
}
