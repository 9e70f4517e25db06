//! Checked values, and how they are written.

use std::time::Duration;

use super::keys::Kind;
use super::literal;
use crate::plan::policy::MinFree;

/// A checked value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A span of time.
    Duration(Duration),
    /// Bytes.
    Size(u64),
    /// Free space to keep.
    MinFree(MinFree),
    /// A whole number.
    Count(u32),
    /// Any number.
    Number(f64),
    /// A string.
    Text(String),
    /// Strings.
    List(Vec<String>),
    /// A signal's name and its pid file as written.
    Signal(String, String),
}

/// A unit in a key's own name: `max_size_mb = 5`.
#[derive(Debug)]
pub struct Unit {
    /// How the key ends.
    pub suffix: &'static str,
    /// The same unit in a literal.
    pub literal: &'static str,
    /// Whether it measures time, else size.
    time: bool,
}

impl Unit {
    const fn new(suffix: &'static str, literal: &'static str, time: bool) -> Self {
        Self {
            suffix,
            literal,
            time,
        }
    }

    /// Whether a key of that kind can have it.
    #[must_use]
    pub const fn fits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Duration(_) => self.time,
            Kind::Size(_) | Kind::MinFree => !self.time,
            _ => false,
        }
    }
}

/// All of them.
pub static UNITS: [Unit; 5] = [
    Unit::new("_seconds", "s", true),
    Unit::new("_minutes", "min", true),
    Unit::new("_hours", "h", true),
    Unit::new("_days", "d", true),
    Unit::new("_mb", "MiB", false),
];

impl Value {
    /// The value in TOML, as the file would have it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Count(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Duration(span) => string(&literal::format_duration(*span)),
            Self::Size(bytes) => string(&literal::format_size(*bytes)),
            Self::MinFree(free) => string(&literal::format_min_free(*free)),
            Self::Text(text) => string(text),
            Self::List(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| string(text)).collect();
                format!("[{}]", texts.join(", "))
            }
            Self::Signal(name, file) => {
                format!("{{ name = {}, pid_file = {} }}", string(name), string(file))
            }
        }
    }

    /// The value in JSON, as the file would have it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Count(number) => (*number).into(),
            Self::Number(number) => (*number).into(),
            Self::Duration(span) => literal::format_duration(*span).into(),
            Self::Size(bytes) => literal::format_size(*bytes).into(),
            Self::MinFree(free) => literal::format_min_free(*free).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(texts) => texts.as_slice().into(),
            Self::Signal(name, file) => serde_json::json!({ "name": name, "pid_file": file }),
        }
    }
}

/// A TOML string, quoted and escaped, on one line.
#[must_use]
pub fn string(text: &str) -> String {
    // JSON's escapes are among TOML's, but TOML also escapes DEL.
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tree::{Data, Language, parse};
    use super::*;

    /// What a file says that has only this value.
    fn read(value: &str) -> Option<Data> {
        let node = parse(&format!("key = {value}"), Language::Toml).ok()?;
        match node.data {
            Data::Table(mut members) => members.pop().map(|member| member.node.data),
            _ => None,
        }
    }

    fn text(data: Option<Data>) -> Option<String> {
        match data {
            Some(Data::Text(text)) => Some(text),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back(texts in proptest::collection::vec(any::<String>(), 1..4)) {
            let one = Value::Text(texts[0].clone()).to_toml();
            prop_assert_eq!(text(read(&one)), Some(texts[0].clone()));
            let Some(Data::List(nodes)) = read(&Value::List(texts.clone()).to_toml()) else {
                return Err(TestCaseError::fail("no list"));
            };
            let found: Option<Vec<String>> = nodes.into_iter().map(|node| text(Some(node.data))).collect();
            prop_assert_eq!(found, Some(texts));
        }

        #[test]
        fn any_number_reads_back(number in 0.0..1e9_f64, count: u32) {
            let found = match read(&Value::Number(number).to_toml()) {
                Some(Data::Float(found)) => Some(found),
                Some(Data::Integer(whole)) => u32::try_from(whole).ok().map(f64::from),
                _ => None,
            };
            prop_assert_eq!(found, Some(number));
            let written = Value::Count(count).to_toml();
            prop_assert!(matches!(read(&written), Some(Data::Integer(found)) if found == i128::from(count)));
        }
    }
}
