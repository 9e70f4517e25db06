//! Names for people and for JSON: a file name may hold any byte but `/` and NUL, and some of these
//! would move the cursor, end a line, or turn the text around.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use crate::plan::readable::path;
use crate::plan::readable::{hides, push, push_bytes};

/// Text that may quote foreign names (errors, process names), on one line. A `\` stays, because
/// what is quoted may be escaped already.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hides) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    text.chars().for_each(|c| push(&mut escaped, c));
    Cow::Owned(escaped)
}

/// A path for JSON, which escapes for itself: only bytes that are not UTF-8 become `\xff`.
#[must_use]
pub fn json(path: &Path) -> Cow<'_, str> {
    if let Some(text) = path.to_str() {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        push_bytes(&mut text, chunk.invalid());
    }
    Cow::Owned(text)
}

/// At most `width` characters of a path: the middle goes, because the ends tell most.
#[must_use]
pub fn shorten(text: &str, width: usize, ellipsis: &str) -> String {
    let length = text.chars().count();
    let room = width.saturating_sub(ellipsis.chars().count());
    if length <= width {
        return text.to_owned();
    }
    let head = room / 3;
    let tail = room - head;
    let mut short: String = text.chars().take(head).collect();
    short.push_str(ellipsis);
    short.extend(text.chars().skip(length - tail));
    short
}

/// The error of the system without its number, which helps no reader: `Permission denied`.
#[must_use]
pub fn cause(error: &str) -> Cow<'_, str> {
    const MARK: &str = " (os error ";
    let mut rest = error;
    let mut text = String::new();
    while let Some(start) = rest.find(MARK) {
        let after = &rest[start + MARK.len()..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && after[digits..].starts_with(')') {
            text.push_str(&rest[..start]);
            rest = &after[digits + 1..];
        } else {
            text.push_str(&rest[..start + MARK.len()]);
            rest = after;
        }
    }
    if text.is_empty() && rest.len() == error.len() {
        return line(error);
    }
    text.push_str(rest);
    Cow::Owned(line(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use proptest::prelude::*;

    use super::*;

    fn bytes(name: &[u8]) -> &Path {
        Path::new(OsStr::from_bytes(name))
    }

    #[test]
    fn hurtful_names_are_shown_on_one_line() {
        let table: [(&[u8], &str); 9] = [
            (b"logs/a.log", "logs/a.log"),
            (b"two\nlines\r\t", "two\\nlines\\r\\t"),
            (b"\x1b[31mred\x07", "\\x1b[31mred\\x07"),
            (b"caf\xe9\xff", "caf\\xe9\\xff"),
            ("näme \u{202e}gol.exe".as_bytes(), "näme \\u{202e}gol.exe"),
            ("\u{9b}2J".as_bytes(), "\\u{9b}2J"),
            (b"-rf svc[12].log", "-rf svc[12].log"),
            (b"literal\\n", "literal\\\\n"),
            (b"\x7f", "\\x7f"),
        ];
        for (name, shown) in table {
            assert_eq!(path(bytes(name)), shown);
        }
    }

    #[test]
    fn json_escapes_only_what_is_not_utf8() {
        assert_eq!(json(bytes(b"a\nb\\c")), "a\nb\\c");
        assert_eq!(json(bytes(b"caf\xe9.log")), "caf\\xe9.log");
    }

    #[test]
    fn the_number_of_an_error_is_for_json_alone() {
        let table = [
            ("Permission denied (os error 13)", "Permission denied"),
            ("a (os error 1): b (os error 2)", "a: b"),
            ("odd (os error x)", "odd (os error x)"),
            ("two\nlines", "two\\nlines"),
        ];
        for (error, shown) in table {
            assert_eq!(cause(error), shown);
        }
    }

    #[test]
    fn paths_are_shortened_in_the_middle() {
        assert_eq!(shorten("short", 10, "…"), "short");
        assert_eq!(
            shorten("a/very/long/path/name.log", 13, "…"),
            "a/ve…name.log"
        );
        assert_eq!(shorten("größe/größe", 7, "…"), "gr…röße");
        assert_eq!(shorten("anything", 0, "…"), "…");
    }

    proptest! {
        #[test]
        fn no_name_breaks_its_line(name in proptest::collection::vec(1u8.., 0..64)) {
            let shown = path(bytes(&name));
            prop_assert!(!shown.chars().any(hides));
        }

        #[test]
        fn two_names_are_never_shown_the_same(
            a in proptest::collection::vec(1u8.., 0..6),
            b in proptest::collection::vec(1u8.., 0..6),
        ) {
            prop_assert_eq!(path(bytes(&a)) == path(bytes(&b)), a == b);
        }

        #[test]
        fn shortened_is_no_longer_than_asked(name in ".{0,40}", width in 1usize..50) {
            prop_assert!(shorten(&name, width, "…").chars().count() <= width);
        }
    }
}
