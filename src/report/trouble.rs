//! What went wrong: one shape for stderr, the text and the `errors` of the JSON.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use super::name;

/// Something that failed outside of the operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What it is about.
    pub path: Option<PathBuf>,
    /// What was tried: a verb that fits behind "cannot".
    pub action: Option<String>,
    /// The cause.
    pub error: String,
    /// Lines that stand below it on stderr: the place in a file, a hint.
    pub below: Vec<String>,
}

/// One thing that went wrong.
#[derive(Clone, Debug)]
pub struct Trouble<'a> {
    /// What it is about.
    pub path: Option<Cow<'a, Path>>,
    /// The word of the action; `None` where it is none.
    pub action: Option<&'a str>,
    /// What could not be done, as it reads behind "cannot".
    pub tried: Option<&'a str>,
    /// The cause, as the system says it.
    pub error: &'a str,
    /// Lines that stand below it on stderr.
    pub below: &'a [String],
}

impl<'a> From<&'a Failure> for Trouble<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            path: failure.path.as_deref().map(Cow::Borrowed),
            action: failure.action.as_deref(),
            tried: failure.action.as_deref(),
            error: &failure.error,
            below: &failure.below,
        }
    }
}

/// One line: `cannot remove 'x': Permission denied`.
impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().map(name::path);
        match (self.tried.map(name::line), path) {
            (Some(tried), Some(path)) => write!(f, "cannot {tried} '{path}': ")?,
            (Some(tried), None) => write!(f, "cannot {tried}: ")?,
            (None, Some(path)) => write!(f, "'{path}': ")?,
            (None, None) => {}
        }
        f.write_str(&name::cause(self.error))
    }
}
