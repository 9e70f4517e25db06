//! The list of digests that `sha256sum -c` reads, as text: written and read back.
//!
//! GNU coreutils escapes names with a backslash, a newline or a carriage return, and marks such
//! lines with a backslash at their beginning (`md5sum invocation` in its manual).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// sha256 in hexadecimal by path below the archive.
pub type Digests = BTreeMap<PathBuf, String>;

/// The list as `sha256sum` would print it.
#[must_use]
pub fn format(digests: &Digests) -> Vec<u8> {
    let mut text = Vec::new();
    for (path, sum) in digests {
        format_line(path, sum, &mut text);
    }
    text
}

fn format_line(path: &Path, sum: &str, text: &mut Vec<u8>) {
    let name = path.as_os_str().as_bytes();
    if name
        .iter()
        .any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'))
    {
        text.push(b'\\');
    }
    text.extend_from_slice(sum.as_bytes());
    text.extend_from_slice(b"  ");
    for byte in name {
        match byte {
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            other => text.push(*other),
        }
    }
    text.push(b'\n');
}

/// Reads a list; lines that are none are left out.
#[must_use]
pub fn parse(text: &[u8]) -> Digests {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<(PathBuf, String)> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (sum, rest) = line.split_at_checked(64)?;
    let name = rest
        .strip_prefix(b"  ")
        .or_else(|| rest.strip_prefix(b" *"))?;
    if name.is_empty() || !sum.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let name = if escaped {
        unescape(name)?
    } else {
        name.to_vec()
    };
    let sum = String::from_utf8(sum.to_ascii_lowercase()).ok()?;
    Some((PathBuf::from(OsString::from_vec(name)), sum))
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            other => *other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_line_of_a_list_is_left_out() {
        let sum = "0123456789abcdef".repeat(4);
        for (line, name) in [
            (format!("{sum}  a b"), Some("a b")),
            (format!("{sum} *a"), Some("a")),
            (format!("{}   a", sum.to_uppercase()), Some(" a")),
            (format!("\\{sum}  a\\n\\\\b"), Some("a\n\\b")),
            (format!("\\{sum}  a\\t"), None),
            (format!("\\{sum}  a\\"), None),
            (format!("{sum}  "), None),
            (format!("{sum} a"), None),
            (format!("{}g  a", &sum[1..]), None),
            (sum[..40].to_owned(), None),
            (String::new(), None),
        ] {
            let expected = name.map(|name| (PathBuf::from(name), sum.clone()));
            assert_eq!(parse_line(line.as_bytes()), expected, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn a_list_is_read_back_as_it_was_written(
            names in prop::collection::btree_set(
                prop::collection::vec(prop::sample::select(b"ab \\\n\r*-/n\xff".to_vec()), 1..9), 0..5,
            ),
        ) {
            let named = |name: Vec<u8>| (PathBuf::from(OsString::from_vec(name)), "0a".repeat(32));
            let digests: Digests = names.into_iter().map(named).collect();
            prop_assert_eq!(parse(&format(&digests)), digests);
        }
    }
}
