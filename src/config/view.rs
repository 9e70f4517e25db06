//! Settings read as the types that policies are made of.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::locate::absolute;
use super::settings::Settings;
use super::value::Value;
use crate::plan::policy::{AgeBy, Globs, LogMode, MinFree};

/// A key that a policy needs is not in the settings, or not of its kind: a fault of the table of
/// keys, never of the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fault in sysopt: the key '{0}' has no usable value")]
pub struct Absent(pub String);

/// Something made from settings.
pub type Built<T> = Result<T, Absent>;

/// A type that a setting can be read as.
pub trait FromValue: Sized {
    /// `None` where the value is of another kind.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $result:expr),* $(,)?) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $pattern => $result,
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    bool: Value::Bool(value) => Some(*value),
    Duration: Value::Duration(span) => Some(*span),
    u64: Value::Size(bytes) => Some(*bytes),
    MinFree: Value::MinFree(free) => Some(*free),
    u32: Value::Count(number) => Some(*number),
    usize: Value::Count(number) => usize::try_from(*number).ok(),
    f64: Value::Number(number) => Some(*number),
    String: Value::Text(text) => Some(text.clone()),
    Vec<String>: Value::List(texts) => Some(texts.clone()),
    Globs: Value::List(texts) => Globs::new(texts).ok(),
    LogMode: Value::Text(text) => log_mode(text),
    AgeBy: Value::Text(text) => age_by(text),
    (String, String): Value::Signal(name, file) => Some((name.clone(), file.clone())),
}

fn log_mode(text: &str) -> Option<LogMode> {
    [
        LogMode::Auto,
        LogMode::Rename,
        LogMode::CopyTruncate,
        LogMode::Punch,
    ]
    .into_iter()
    .find(|mode| mode.name() == text)
}

fn age_by(text: &str) -> Option<AgeBy> {
    match text {
        "used" => Some(AgeBy::Used),
        "modified" => Some(AgeBy::Modified),
        _ => None,
    }
}

/// The settings of a table, and those that it inherits.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Its own.
    pub own: &'a Settings,
    /// Those that it inherits.
    pub parent: Option<&'a Settings>,
    /// What paths are relative to.
    pub base: &'a Path,
}

impl View<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        let own = self.own.get(key);
        let setting = own.or_else(|| self.parent.and_then(|parent| parent.get(key)));
        setting.and_then(|setting| setting.value.as_ref())
    }

    /// The value of a key that always has one.
    pub fn want<T: FromValue>(&self, key: &str) -> Built<T> {
        self.maybe(key)?
            .ok_or_else(|| Absent(self.own.section.path(key)))
    }

    /// The value of a key that may be unset.
    pub fn maybe<T: FromValue>(&self, key: &str) -> Built<Option<T>> {
        if self.own.section.key(key).is_none() {
            return Err(Absent(self.own.section.path(key)));
        }
        self.value(key)
            .map(|value| T::from_value(value).ok_or_else(|| Absent(self.own.section.path(key))))
            .transpose()
    }

    /// The path of a key that may be unset, absolute.
    pub fn path(&self, key: &str) -> Built<Option<PathBuf>> {
        let written: Option<String> = self.maybe(key)?;
        Ok(written.map(|written| absolute(self.base, Path::new(&written))))
    }
}
