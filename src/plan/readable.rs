//! Names in sentences: a file name may hold any byte but `/` and NUL, and some of these would move
//! the cursor, end a line, or turn the text around.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

/// A path on one line of text, unambiguous: control characters, invisible ones, bidirectional
/// overrides and bytes that are not UTF-8 are escaped (`\n`, `\x1b`, `\u{202e}`, `\xff`), and `\`
/// is doubled.
#[must_use]
pub fn path(path: impl AsRef<OsStr>) -> String {
    let path = path.as_ref();
    let mut text = String::with_capacity(path.len());
    for chunk in path.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                text.push_str("\\\\");
            } else {
                push(&mut text, c);
            }
        }
        push_bytes(&mut text, chunk.invalid());
    }
    text
}

/// Whether a character would not be seen as itself: control characters (Cc), format characters
/// that hide or reorder text (Unicode Standard Annex #9), and line separators.
#[must_use]
pub fn hides(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Adds a character, escaped where it hides.
pub fn push(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        c if c.is_ascii_control() => push_bytes(text, &[c as u8]),
        c if hides(c) => text.extend(c.escape_unicode()),
        c => text.push(c),
    }
}

/// Adds bytes that are no text as `\xff`.
pub fn push_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}
