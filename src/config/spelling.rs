//! Which key a name in a file means, and which was meant where it means none.

use super::keys::{Key, SECTIONS, Section};
use super::value::{UNITS, Unit};

/// The table of that name.
pub fn find_section(name: &str) -> Option<&'static Section> {
    SECTIONS
        .iter()
        .find(|section| !name.is_empty() && section.name == name && !section.repeated)
}

/// The key that is meant by a name in a file, and the unit in that name.
pub fn spelling(section: &Section, written: &str) -> Option<(&'static Key, Option<&'static Unit>)> {
    if let Some(key) = section.key(written) {
        return Some((key, None));
    }
    if section.directories == Some(written) {
        return section.key("directories").map(|key| (key, None));
    }
    UNITS.iter().find_map(|unit| {
        let key = section.key(written.strip_suffix(unit.suffix)?)?;
        unit.fits(key.kind).then_some((key, Some(unit)))
    })
}

/// Names that may be written in a section.
fn names(section: &Section) -> impl Iterator<Item = &'static str> {
    let inner = SECTIONS
        .iter()
        .filter(|inner| inner.repeated && section.name != inner.name)
        .filter_map(|inner| inner.name.strip_prefix(section.name)?.strip_prefix('.'));
    section.keys.iter().map(|key| key.name).chain(inner)
}

/// Help to a name that a section does not have.
pub fn key_help(section: &Section, written: &str) -> String {
    let elsewhere: Vec<String> = SECTIONS
        .iter()
        .filter(|other| !other.repeated && spelling(other, written).is_some())
        .map(|other| match other.name {
            "" => "the top of the file, before the first [table]".to_owned(),
            name => format!("[{name}]"),
        })
        .collect();
    if !elsewhere.is_empty() {
        return format!("'{written}' belongs to {}", elsewhere.join(" or "));
    }
    // A unit in the name hides what the rest is like.
    let with_unit = UNITS.iter().find_map(|unit| {
        let stem = written.strip_suffix(unit.suffix)?;
        let fitting = section.keys.iter().filter(|key| unit.fits(key.kind));
        let near = nearest(stem, fitting.map(|key| key.name))?;
        Some(format!("{near}{}", unit.suffix))
    });
    let near = with_unit.or_else(|| nearest(written, names(section)).map(str::to_owned));
    if let Some(near) = near {
        return format!("did you mean '{near}'?");
    }
    let all: Vec<&str> = names(section).collect();
    format!("[{}] has: {}", section.name, all.join(", "))
}

/// Help to a name that the top of a file does not have.
pub fn top_help(written: &str) -> String {
    let homes: Vec<String> = SECTIONS
        .iter()
        .filter(|section| !section.repeated && spelling(section, written).is_some())
        .map(|section| format!("[{}]", section.name))
        .collect();
    if !homes.is_empty() {
        return format!("'{written}' belongs to {}", homes.join(" or "));
    }
    let tables = SECTIONS.iter().filter(|section| !section.repeated);
    let words = tables.flat_map(|section| match section.name {
        "" => section.keys.iter().map(|key| key.name).collect(),
        name => vec![name],
    });
    let words: Vec<&str> = words.collect();
    match nearest(written, words.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("at the top there are: {}", words.join(", ")),
    }
}

/// The word that was probably meant.
#[must_use]
pub fn nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase().replace('-', "_");
    words
        .into_iter()
        .map(|word| {
            let likeness = strsim::jaro_winkler(&typed, &word.replace('-', "_").to_lowercase());
            (likeness, word)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}
