//! A command line that is not understood: where it asks for JSON, stdout has its one document all
//! the same.

use std::ffi::{OsStr, OsString};

use clap::CommandFactory as _;

use super::session::Early;
use super::{report_unstarted, unstarted};
use crate::cli::Cli;
use crate::exit::Exit;
use crate::report::look::Color;
use crate::report::out::{Format, Out};
use crate::report::trouble::Failure;

/// Reports what is wrong with the arguments, where they ask for JSON.
#[must_use]
pub fn report(arguments: &[OsString], error: &clap::Error) -> Option<Exit> {
    if !asks_for_json(arguments) {
        return None;
    }
    let run = unstarted(None, subcommand(arguments));
    let out = Out::new(Format::Json, Color::Never, false);
    let early = Early::new(Exit::Usage, vec![failure(error)]);
    Some(report_unstarted(run, out, early))
}

/// The last `--format` counts, as everywhere.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let typed = arguments.iter().take_while(|word| *word != "--");
    let mut json = false;
    let mut is_value = false;
    for word in typed {
        if is_value {
            json = word == "json";
        } else if let Some(value) = word.to_str().and_then(|it| it.strip_prefix("--format=")) {
            json = value == "json";
        }
        is_value = !is_value && word == "--format";
    }
    json
}

/// The first word that is one of the subcommands.
fn subcommand(arguments: &[OsString]) -> &'static str {
    let known = Cli::command();
    let mut names = known.get_subcommands().map(clap::Command::get_name);
    let typed = names.find(|name| arguments.iter().any(|word| word == OsStr::new(name)));
    super::NAMES
        .into_iter()
        .find(|name| Some(*name) == typed)
        .unwrap_or("sysopt")
}

/// clap's first line is what is wrong; the tip and the usage stand below it.
fn failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    Failure {
        error: first.strip_prefix("error: ").unwrap_or(first).to_owned(),
        below: lines.map(str::to_owned).collect(),
        ..Failure::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_as_clap_would_read_it() {
        for (typed, json, name) in [
            ("cycle --format json --nonsense", true, "cycle"),
            ("--format=json nonsense", true, "sysopt"),
            ("status --format json --format text", false, "status"),
            ("status --format text --format=json", true, "status"),
            (
                "clean-cache --nonsense -- --format json",
                false,
                "clean-cache",
            ),
            ("clean-cache --format", false, "clean-cache"),
            ("clean-cache --format --format json", false, "clean-cache"),
            ("", false, "sysopt"),
        ] {
            let words: Vec<OsString> = typed.split_whitespace().map(Into::into).collect();
            assert_eq!(asks_for_json(&words), json, "{typed}");
            assert_eq!(subcommand(&words), name, "{typed}");
        }
    }
}
