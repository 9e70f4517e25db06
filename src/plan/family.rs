//! Which files are versions of one model, told by their names alone.
//!
//! Taking all digits away would merge `rf_1h`, `rf_24h` and `rf_168h`, three live models, so only
//! what is spelled like a version, an epoch, a step, an instant or a metric is a mark; every other
//! digit belongs to the model's name. Where a name can be read both ways it is not a mark: two
//! families too many keep a file too many, one too few may lose one.

mod instant;
mod mark;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use mark::{Mark, is_separator, mark_at};

/// The marks of a name in their order; versions of one family compare naturally, so that
/// `checkpoint-9000` comes before `checkpoint-10000`. Metrics do not say what is newer and are
/// left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Vec<Mark>);

/// A file name taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Family {
    /// The name without its marks and extension. Where nothing else remains, the words of its
    /// marks: `checkpoint` of `checkpoint-500.pt`.
    pub stem: OsString,
    /// What follows the last dot, without it.
    pub extension: Option<OsString>,
    /// `None` where the name has no mark.
    pub version: Option<Version>,
}

impl Family {
    /// Takes a file name apart; it may hold any bytes.
    #[must_use]
    pub fn of(name: &OsStr) -> Self {
        let (stem, extension) = split(name);
        let (stem, version) = strip(stem.as_bytes());
        Self {
            stem: OsString::from_vec(stem),
            extension: extension.map(OsStr::to_os_string),
            version,
        }
    }

    /// The family as one string, for the manifest: `saved/rf*.pkl` for the versions `rf_v1.pkl`,
    /// `rf_v2.pkl` in `saved`, and `saved/rf.pkl` for the model `saved/rf.pkl`, which is not one
    /// of them.
    ///
    /// Different families have different strings: `%`, `*`, bytes that are not UTF-8, control
    /// characters, and the dots of a name without extension are written as `%` and two digits.
    #[must_use]
    pub fn key(&self, directory: &Path) -> String {
        let mut key = String::new();
        if !directory.as_os_str().is_empty() {
            escape(directory.as_os_str().as_bytes(), &[], &mut key);
            if !key.ends_with('/') {
                key.push('/');
            }
        }
        let dots: &[char] = if self.extension.is_none() {
            &['.']
        } else {
            &[]
        };
        escape(self.stem.as_bytes(), dots, &mut key);
        if self.version.is_some() {
            key.push('*');
        }
        if let Some(extension) = &self.extension {
            key.push('.');
            escape(extension.as_bytes(), &[], &mut key);
        }
        key
    }
}

/// A name's stem and extension. Digits after a dot, as in `model-v1.2`, and marks, as in
/// `model.v3`, are no extension.
#[must_use]
pub fn split(name: &OsStr) -> (&OsStr, Option<&OsStr>) {
    let bytes = name.as_bytes();
    let dot = bytes.iter().rposition(|byte| *byte == b'.');
    let Some(dot) = dot.filter(|dot| *dot > 0 && is_extension(&bytes[dot + 1..])) else {
        return (name, None);
    };
    (
        OsStr::from_bytes(&bytes[..dot]),
        Some(OsStr::from_bytes(&bytes[dot + 1..])),
    )
}

fn is_extension(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_alphanumeric)
        && text.iter().any(u8::is_ascii_alphabetic)
        && mark_at(text).is_none()
}

/// Removes the marks, each with the separators before it.
fn strip(name: &[u8]) -> (Vec<u8>, Option<Version>) {
    let mut stem: Vec<u8> = Vec::with_capacity(name.len());
    let mut words: Vec<u8> = Vec::new();
    let mut marks = Vec::new();
    let (mut at, mut marked) = (0, false);
    while at < name.len() {
        let begins = at == 0 || is_separator(name[at - 1]);
        if let Some(found) = begins.then(|| mark_at(&name[at..])).flatten() {
            if let Some(word) = found.word {
                if !words.is_empty() {
                    words.push(b'-');
                }
                words.extend_from_slice(word.as_bytes());
            }
            marks.extend(found.mark);
            let kept = stem.iter().rposition(|byte| !is_separator(*byte));
            stem.truncate(kept.map_or(0, |last| last + 1));
            at += found.length;
            marked = true;
        } else {
            if !(marked && stem.is_empty() && is_separator(name[at])) {
                stem.push(name[at]);
            }
            at += 1;
        }
    }
    let stem = if stem.is_empty() { words } else { stem };
    (stem, marked.then_some(Version(marks)))
}

fn escape(bytes: &[u8], also: &[char], into: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char == '%' || char == '*' || char.is_ascii_control() || also.contains(&char) {
                // Writing to a string cannot fail.
                let _ = write!(into, "%{:02X}", u32::from(char));
            } else {
                into.push(char);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}
