//! What the user wants: found, read, checked, and ready to use.
//!
//! [`locate`] finds the file, `read` reads it where it can be trusted, `tree` gives every key and
//! value its place, `settings` merges it over the defaults of the one table of `keys`, and
//! `build` makes the policies of [`crate::plan`]. All errors of a file are told at once.

mod build;
mod check;
mod consistency;
pub mod error;
pub mod forbidden;
pub mod init;
mod keys;
pub mod literal;
pub mod locate;
pub mod overrides;
pub mod policy;
mod read;
pub mod schema;
mod settings;
pub mod show;
mod spelling;
#[cfg(test)]
mod tests;
mod tree;
mod value;
mod view;

use std::path::{Path, PathBuf};

use crate::plan::policy::Policies;
use build::Builder;
use error::{ConfigError, Errors};
use locate::{BaseSource, Located, Origin, Request, Surroundings};
use overrides::Overrides;
use policy::{Configured, ErrorHandling, Intervals};
use settings::Tree;
use tree::Language;

/// The checked configuration of one run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it is from, absolute; `None` where all is built in.
    pub file: Option<PathBuf>,
    /// How that file was found.
    pub origin: Option<Origin>,
    /// What relative paths are relative to; absolute, not resolved.
    pub base: PathBuf,
    /// Where the base came from.
    pub base_source: BaseSource,
    /// Where state and history are; absolute, not resolved.
    pub state_directory: PathBuf,
    /// How often things run.
    pub intervals: Intervals,
    /// All directories to be worked in; one may have several roles.
    pub directories: Vec<Configured>,
    /// Whether the built-in directories count: not with a file of the user's or the system's
    /// without `root`, which has no base they could be relative to, unless `-C` gives one.
    pub default_directories: bool,
    /// The rules of the operations.
    pub policies: Policies,
    /// How `cycle` backs off.
    pub error_handling: ErrorHandling,
    /// How many reports the history keeps.
    pub history_keep: usize,
    /// Where metrics are written after a cycle, absolute.
    pub export_textfile: Option<PathBuf>,
    tree: Tree,
}

/// Finds, reads and checks the configuration of a run.
///
/// # Errors
/// Everything that is wrong with the file, or why it cannot be read: code 2.
pub fn load(
    request: &Request,
    surroundings: &Surroundings,
    overrides: &Overrides,
) -> Result<Config, Vec<ConfigError>> {
    let located = locate::find(request, surroundings).map_err(|error| vec![error])?;
    let text = match &located {
        Some(located) => read::read(&located.path, surroundings.uid).map_err(|e| vec![e])?,
        None => String::new(),
    };
    assemble(&text, located.as_ref(), request, surroundings, overrides)
}

/// Checks a file as `config --check` does: as if it were given by `--config`, or as the user's or
/// the system's where it is that file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(path: &Path, surroundings: &Surroundings) -> Result<Config, Vec<ConfigError>> {
    let path = locate::absolute(&surroundings.cwd, path);
    let user = surroundings.xdg_config_home.as_ref();
    let origin = if user.is_some_and(|home| home.join("sysopt/sysopt.toml") == path) {
        Origin::User
    } else if surroundings.system_config == path {
        Origin::System
    } else {
        Origin::Option
    };
    let text = read::read(&path, surroundings.uid).map_err(|error| vec![error])?;
    let located = Located { path, origin };
    let overrides = Overrides::default();
    assemble(
        &text,
        Some(&located),
        &Request::default(),
        surroundings,
        &overrides,
    )
}

fn assemble(
    text: &str,
    located: Option<&Located>,
    request: &Request,
    surroundings: &Surroundings,
    overrides: &Overrides,
) -> Result<Config, Vec<ConfigError>> {
    let file = located.map(|located| located.path.clone());
    let origin = located.map(|located| located.origin);
    let name = file.clone().unwrap_or_default();
    let fault = |why: String| vec![ConfigError::whole(&name, why)];
    let mut tree = Tree::defaults().map_err(fault)?;
    let mut errors = Errors::new(&name, text);
    match tree::parse(text, language(&name)) {
        Ok(node) => tree.merge(&node, &mut errors),
        Err(error) => errors.add(Some(&error.span), "", error.message, None),
    }
    let root = root(&tree);
    let relative = root.is_some() || origin.is_none_or(Origin::has_base);
    consistency::check(&tree, relative, &mut errors);
    errors.finish()?;

    let (base, base_source) = locate::base(request, located, root.as_deref(), &surroundings.cwd);
    overrides.apply(&mut tree);
    let has_base = relative || request.base.is_some();
    // Where there is no base, state in the current directory would be another one for each.
    if let Some(state) = locate::state_home(origin, surroundings).filter(|_| !has_base) {
        tree.set_default("", "state_directory", &state);
    }
    let builder = Builder {
        tree: &tree,
        base: &base,
        default_directories: has_base,
    };
    let fault = |absent: view::Absent| fault(absent.to_string());
    Ok(Config {
        state_directory: builder.state_directory().map_err(fault)?,
        intervals: builder.intervals().map_err(fault)?,
        directories: builder.directories(),
        default_directories: builder.default_directories,
        policies: builder.policies(overrides.logs_force).map_err(fault)?,
        error_handling: builder.error_handling().map_err(fault)?,
        history_keep: builder.history_keep().map_err(fault)?,
        export_textfile: builder.export_textfile().map_err(fault)?,
        file,
        origin,
        base,
        base_source,
        tree,
    })
}

fn language(file: &Path) -> Language {
    let json = file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if json { Language::Json } else { Language::Toml }
}

fn root(tree: &Tree) -> Option<String> {
    match tree.table("")?.get("root")?.value.as_ref()? {
        value::Value::Text(root) => Some(root.clone()),
        _ => None,
    }
}
