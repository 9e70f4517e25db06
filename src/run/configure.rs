//! `config`: what is in force and why, a file to begin with, and a check of a file.

use std::io;
use std::path::{Path, PathBuf};

use super::session::{self, Early, Session};
use super::{directories, operate};
use crate::cli::{self, Format, GlobalArgs};
use crate::config::locate::{Surroundings, absolute};
use crate::config::{self, init, show};
use crate::exit::Exit;
use crate::fs::books;
use crate::report::name;
use crate::report::out::{self, Out};
use crate::report::text::UNCHANGED;

/// `--init` and `--check`, which do not need a configuration in force that is right; `None` where
/// neither was typed.
///
/// # Errors
/// The file is there already, cannot be written, or is wrong.
pub fn without_configuration(
    args: &cli::Config,
    global: &GlobalArgs,
    surroundings: &Surroundings,
    out: Out,
) -> Result<Option<Exit>, Early> {
    let text = if let Some(file) = &args.check {
        let config = config::check(file, surroundings).map_err(|errors| {
            let lines = errors.iter().map(session::misconfigured);
            Early::new(Exit::Usage, lines.collect())
        })?;
        session::check_state(&config, surroundings)?;
        directories::check(&config, surroundings).map_err(operate::refused)?;
        format!("{}: ok\n", name::path(file))
    } else if args.init {
        let path = new_file(global, surroundings);
        if global.dry_run {
            format!("would write {}\n{UNCHANGED}\n", name::path(&path))
        } else {
            write_new(&path)?;
            format!("wrote {}\n", name::path(&path))
        }
    } else {
        return Ok(None);
    };
    Ok(Some(printed(out.plain(&text, 0))))
}

/// Where `--init` writes: to `--config`, else into `-C`, else into the current directory.
fn new_file(global: &GlobalArgs, surroundings: &Surroundings) -> PathBuf {
    match (&global.config, &global.base) {
        (Some(file), _) => absolute(&surroundings.cwd, file),
        (None, Some(base)) => absolute(&surroundings.cwd, base).join("sysopt.toml"),
        (None, None) => surroundings.cwd.join("sysopt.toml"),
    }
}

fn write_new(path: &Path) -> Result<(), Early> {
    let shown = name::path(path);
    books::write_new(path, init::text().as_bytes()).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let line = format!("'{shown}' exists and stays as it is; --config FILE names another");
            Early::line(Exit::Usage, &line)
        } else {
            Early::line(Exit::Failure, &format!("cannot write '{shown}': {error}"))
        }
    })
}

/// Shows the effective configuration, with the source of each value.
pub fn configure(session: &Session) -> Exit {
    printed(if session.cli.format == Format::Json {
        session.out.json(&show::json(&session.config), 0)
    } else {
        session.out.plain(&show::toml(&session.config), 0)
    })
}

fn printed(result: io::Result<()>) -> Exit {
    match result {
        Ok(()) => Exit::Success,
        Err(error) => {
            out::complain(&format_args!("cannot write to stdout: {error}"));
            Exit::Failure
        }
    }
}
