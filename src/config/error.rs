//! What is wrong with a configuration, and where.
//!
//! All errors of a file are collected before any is shown, so that one look at the output is
//! enough to mend the file.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Byte offsets into the text of the file.
pub type Span = Range<usize>;

/// Characters of a source line that are shown around a place; a JSON file may be one long line.
const WINDOW: usize = 100;

/// Where in a file something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line, shortened around the place, without control characters.
    pub source_line: String,
    /// Where in `source_line` the caret goes, in characters from 0, and how many carets.
    pub caret: (usize, usize),
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file that was read.
    pub file: PathBuf,
    /// Where in it; `None` where the file as a whole is wrong.
    pub place: Option<Box<Place>>,
    /// The key with its section, such as `cache.max_size`.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl ConfigError {
    /// Something wrong with a file as a whole.
    #[must_use]
    pub fn whole(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_path_buf(),
            place: None,
            key: None,
            message: message.into(),
            help: None,
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::error::Error for ConfigError {}

/// `FILE:LINE:COLUMN: key 'NAME': MESSAGE`, the line with carets under it, and the help.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.file.to_string_lossy()))?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        f.write_str(": ")?;
        if let Some(key) = &self.key {
            write!(f, "key '{}': ", printable(key))?;
        }
        f.write_str(&printable(&self.message))?;
        if let Some(place) = &self.place {
            let (before, width) = place.caret;
            write!(f, "\n    {}", place.source_line)?;
            write!(f, "\n    {}{}", " ".repeat(before), "^".repeat(width))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {}", printable(help))?;
        }
        Ok(())
    }
}

/// Text without control characters, which could drive a terminal.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// The place of a span in a text. Offsets beyond the text mean its end.
#[must_use]
pub fn place(text: &str, span: &Span) -> Place {
    let start = floor(text, span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let before = text[line_start..start].chars().count();
    let end = floor(text, span.end).clamp(start, line_end.max(start));
    let width = text[start..end].chars().count();

    let skipped = (before + 20).saturating_sub(WINDOW);
    let line = text[line_start..line_end].trim_end_matches('\r');
    let mut source_line: String = line
        .chars()
        .skip(skipped)
        .take(WINDOW)
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect();
    let shown = source_line.chars().count();
    if line.chars().count() > skipped + shown {
        source_line.push('…');
    }
    let at = before - skipped;
    Place {
        line: line_number(text, start),
        column: before + 1,
        source_line,
        caret: (at, width.min(shown.saturating_sub(at)).max(1)),
    }
}

/// The line of an offset, from 1.
#[must_use]
pub fn line_number(text: &str, offset: usize) -> usize {
    let end = floor(text, offset);
    text[..end].matches('\n').count() + 1
}

fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Collects the errors of one file.
#[derive(Debug)]
pub struct Errors<'a> {
    file: &'a Path,
    text: &'a str,
    found: Vec<(usize, ConfigError)>,
}

/// A file of garbage has more errors than anyone reads.
const MOST: usize = 100;

impl<'a> Errors<'a> {
    /// Nothing wrong yet.
    #[must_use]
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
        }
    }

    /// Adds an error.
    pub fn add(&mut self, span: Option<&Span>, key: &str, message: String, help: Option<String>) {
        let offset = span.map_or(usize::MAX, |span| span.start);
        let error = ConfigError {
            file: self.file.to_path_buf(),
            place: span.map(|span| Box::new(place(self.text, span))),
            key: (!key.is_empty()).then(|| key.to_owned()),
            message,
            help,
        };
        self.found.push((offset, error));
    }

    /// Whether so much is wrong that looking further is no use.
    #[must_use]
    pub fn full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// The line of an offset, from 1.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        line_number(self.text, offset)
    }

    /// `Ok` where nothing was added.
    ///
    /// # Errors
    /// All that was added, in the order of the file.
    pub fn finish(mut self) -> Result<(), Vec<ConfigError>> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(offset, _)| *offset);
        Err(self.found.into_iter().map(|(_, error)| error).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_span_of_every_text_has_a_place(text in "(\\PC|[\n\r\t ]){0,300}", start in 0..900_usize, length in 0..200_usize) {
            let place = place(&text, &(start..start + length));
            prop_assert_eq!(place.line, line_number(&text, start));
            let (at, width) = place.caret;
            prop_assert!(place.line >= 1 && place.column >= 1 && width >= 1);
            prop_assert!(place.source_line.chars().count() <= WINDOW + 1);
            prop_assert!(at + width <= WINDOW + 1);
        }
    }

    #[test]
    fn an_error_shows_its_line_and_points_at_it() {
        let text = "[cache]\n\tmäx = \"1\u{1b}\"\r\n";
        let start = text.find('m').unwrap_or(0);
        let error = ConfigError {
            file: "a\n.toml".into(),
            place: Some(Box::new(place(text, &(start..start + 4)))),
            key: Some("cache.mäx".into()),
            message: "unknown key".into(),
            help: Some("did you mean 'max_size'?".into()),
        };
        assert_eq!(
            error.to_string(),
            "a\\n.toml:2:2: key 'cache.mäx': unknown key\n     mäx = \"1\u{fffd}\"\n     ^^^\n\
             help: did you mean 'max_size'?"
        );
    }

    #[test]
    fn a_place_is_found_in_any_text() {
        let long = format!("{{{}\"x\": 1}}", " ".repeat(500));
        for (text, span, line, column) in [
            ("", 0..0, 1, 1),
            ("", 9..12, 1, 1),
            ("a\nb", 2..3, 2, 1),
            ("a\n", 2..2, 2, 1),
            ("äb", 1..2, 1, 1),
            (long.as_str(), 501..504, 1, 502),
        ] {
            let place = place(text, &span);
            assert_eq!((place.line, place.column), (line, column), "{text:?}");
            let (at, width) = place.caret;
            assert!(at + width <= place.source_line.chars().count() + 1);
        }
        let place = place(&long, &(501..504));
        let under: String = place.source_line.chars().skip(place.caret.0).collect();
        assert!(under.starts_with("\"x\""), "{place:?}");
    }
}
