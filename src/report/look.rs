//! How text looks on one output: colours, glyphs, width. Decided once, here.

use std::ffi::{OsStr, OsString};
use std::fmt;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// Where the output is a terminal that can show them.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colours.
    pub color: bool,
    /// Glyphs beyond ASCII.
    pub unicode: bool,
    /// Columns; `None` where the output is not a terminal, so that nothing is shortened.
    pub width: Option<usize>,
}

/// What a piece of text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// To look at.
    Warn,
    /// Wrong.
    Bad,
    /// Of less weight.
    Dim,
    /// Of more weight.
    Strong,
}

/// Text in a tone.
#[derive(Clone, Copy, Debug)]
pub struct Painted<'a> {
    text: &'a str,
    /// `None`: as it is.
    tone: Option<Tone>,
}

impl Look {
    /// Decides from what was asked for, what the output is, and the environment.
    ///
    /// `NO_COLOR` and `CLICOLOR_FORCE` as <https://no-color.org> and
    /// <https://bixense.com/clicolors> define them; a typed `--color` wins.
    #[must_use]
    pub fn decide(
        color: Color,
        terminal: bool,
        width: Option<usize>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let is = |name, value: &str| variable(name).as_deref() == Some(OsStr::new(value));
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if set("NO_COLOR").is_some() => false,
            Color::Auto if set("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0") => true,
            Color::Auto => terminal && !is("TERM", "dumb"),
        };
        // The first of these that is set decides (locale(7)).
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let unicode = locale.is_some_and(|locale| {
            let locale = locale.to_string_lossy().to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Self {
            color,
            unicode,
            width: width.filter(|columns| terminal && *columns > 0),
        }
    }

    /// The text in that tone, or as it is where there are no colours.
    #[must_use]
    pub fn paint(self, text: &str, tone: Tone) -> Painted<'_> {
        Painted {
            text,
            tone: Some(tone).filter(|_| self.color && !text.is_empty()),
        }
    }

    /// The first, or the second where only ASCII can be shown.
    #[must_use]
    pub const fn glyph(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// Stands for what is left out.
    #[must_use]
    pub const fn ellipsis(self) -> &'static str {
        self.glyph("…", "...")
    }
}

impl fmt::Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the sixteen colours: they follow the theme of the terminal.
        let code = match self.tone {
            None => return f.write_str(self.text),
            Some(Tone::Good) => "32",
            Some(Tone::Warn) => "33",
            Some(Tone::Bad) => "31",
            Some(Tone::Dim) => "2",
            Some(Tone::Strong) => "1",
        };
        write!(f, "\x1b[{code}m{}\x1b[0m", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(color: Color, terminal: bool, environment: &[(&str, &str)]) -> Look {
        Look::decide(color, terminal, Some(80), |name| {
            environment
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn colour_follows_the_option_then_the_environment_then_the_terminal() {
        type Case<'a> = (Color, bool, &'a [(&'a str, &'a str)], bool);
        let table: [Case; 11] = [
            (Color::Auto, true, &[], true),
            (Color::Auto, false, &[], false),
            (Color::Always, false, &[("NO_COLOR", "1")], true),
            (Color::Never, true, &[("CLICOLOR_FORCE", "1")], false),
            (Color::Auto, true, &[("NO_COLOR", "1")], false),
            (Color::Auto, true, &[("NO_COLOR", "")], true),
            (Color::Auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (Color::Auto, false, &[("CLICOLOR_FORCE", "0")], false),
            (Color::Auto, true, &[("TERM", "dumb")], false),
            (
                Color::Auto,
                false,
                &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
                false,
            ),
            (Color::Always, true, &[("TERM", "dumb")], true),
        ];
        for (color, terminal, environment, expected) in table {
            assert_eq!(
                decide(color, terminal, environment).color,
                expected,
                "{color:?} {terminal} {environment:?}"
            );
        }
    }

    #[test]
    fn the_locale_decides_on_glyphs() {
        let unicode = |environment| decide(Color::Auto, true, environment).unicode;
        assert!(unicode(&[("LANG", "en_US.UTF-8")]));
        assert!(unicode(&[("LC_ALL", "C.utf8"), ("LANG", "C")]));
        assert!(!unicode(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!unicode(&[]));
    }

    #[test]
    fn only_a_terminal_has_a_width() {
        assert_eq!(decide(Color::Auto, true, &[]).width, Some(80));
        assert_eq!(decide(Color::Auto, false, &[]).width, None);
    }
}
