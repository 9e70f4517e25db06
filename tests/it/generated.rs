//! The man pages and completions in the repository are what the command line definition says.
//!
//! `clap_mangen` gives the synopsis, the description and the options. The semantics of a page are
//! hand-written roff in `man/parts`; exit codes, environment, files and examples are those of
//! `--help`. `man/sysopt.toml.5` is hand-written as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use serde_json::Value;
use sysopt::cli::Cli;
use sysopt::cli::help::{self, Entry, Page};

use crate::fixture::Tree;

type Fallible<T> = Result<T, Box<dyn Error>>;

const REFRESH: &str = "SYSOPT_REGENERATE=1 cargo test --test it generated";

#[test]
fn committed_files_are_current() -> Fallible<()> {
    let files = generate()?;
    if std::env::var_os("SYSOPT_REGENERATE").is_some() {
        for (path, content) in &files {
            fs::write(in_repository(path), content)?;
        }
    }
    let stale: Vec<_> = files
        .iter()
        .filter(|(path, content)| fs::read(in_repository(path)).ok().as_ref() != Some(content))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(
        stale.is_empty(),
        "not current: {stale:?}\nrefresh: {REFRESH}"
    );
    Ok(())
}

#[test]
fn no_other_files_lie_beside_them() -> Fallible<()> {
    let mut expected: BTreeSet<_> = generate()?.into_iter().map(|(path, _)| path).collect();
    expected.insert("man/sysopt.toml.5".into());
    let mut found = BTreeSet::new();
    for directory in ["man", "completions"] {
        for entry in fs::read_dir(in_repository(Path::new(directory)))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                found.insert(Path::new(directory).join(entry.file_name()));
            }
        }
    }
    assert_eq!(found, expected);
    Ok(())
}

/// Hand-written pages drift; at least they must not name an option that does not exist.
#[test]
fn hand_written_pages_name_only_options_that_exist() -> Fallible<()> {
    let mut command = Cli::command();
    command.build();
    let options: BTreeSet<String> = command
        .get_subcommands()
        .chain([&command])
        .flat_map(Command::get_arguments)
        .flat_map(|option| {
            let aliases = option.get_all_aliases().unwrap_or_default();
            aliases
                .into_iter()
                .chain(option.get_long())
                .map(String::from)
                .collect::<Vec<_>>()
        })
        .collect();
    let parts = Page::ALL.map(part_path);
    for path in parts
        .iter()
        .map(PathBuf::as_path)
        .chain([Path::new("man/sysopt.toml.5")])
    {
        let text = fs::read_to_string(in_repository(path))?;
        for word in text.replace("\\-", "-").split([' ', '\n', '"', '(']) {
            let Some(name) = plain(word).strip_prefix("--").map(String::from) else {
                continue;
            };
            let end = name.find(|c: char| !c.is_ascii_lowercase() && c != '-');
            let name = &name[..end.unwrap_or(name.len())];
            assert!(options.contains(name), "{}: --{name}", path.display());
        }
    }
    Ok(())
}

/// The page of the configuration names every key, with its default, and none that does not exist.
#[test]
fn the_page_of_the_configuration_is_complete() -> Fallible<()> {
    let page = fs::read_to_string(in_repository(Path::new("man/sysopt.toml.5")))?;
    let documented = documented_keys(&page);
    let existing = existing_keys()?;
    let names = |keys: &BTreeMap<String, Option<Value>>| -> BTreeSet<String> {
        keys.keys().cloned().collect()
    };
    assert_eq!(names(&documented), names(&existing));
    for (key, default) in &existing {
        // Rules have no values unless a file has them.
        if !key.starts_with("agents.rule.") {
            assert_eq!(&documented[key], default, "default of {key}");
        }
    }
    Ok(())
}

/// The keys under the headings `[table]` and `[[table.rule]]`, with what stands after `=`.
fn documented_keys(page: &str) -> BTreeMap<String, Option<Value>> {
    let mut keys = BTreeMap::new();
    let mut section: Option<String> = None;
    let mut before = "";
    for line in page.lines() {
        if let Some(title) = line.strip_prefix(".SH ").or(line.strip_prefix(".SS ")) {
            section = match title.trim_matches(|c| c == '[' || c == ']') {
                "TOP LEVEL" => Some(String::new()),
                name => title.starts_with('[').then(|| format!("{name}.")),
            };
            if let Some(rule) = title.strip_prefix("[[") {
                keys.insert(rule.trim_end_matches(']').to_owned(), None);
            }
        } else if let Some(section) = section.as_ref().filter(|_| matches!(before, ".TP" | ".TQ")) {
            let (names, default) = match line.split_once("\\fR = ") {
                Some((names, default)) => (names, Some(default)),
                None => (line.split(", for example ").next().unwrap_or(line), None),
            };
            let default =
                default.map(|text| plain(text).replace("\\(dq", "\"").replace("\\-", "-"));
            let default = default.and_then(|text| serde_json::from_str(&text).ok());
            for name in names.split(", ") {
                keys.insert(
                    format!("{section}{}", plain(name)),
                    default.as_ref().map(number),
                );
            }
        }
        before = line;
    }
    keys
}

/// The keys that `config` shows, with their defaults, and those of `[[agents.rule]]` from the file
/// that `config --init` writes.
fn existing_keys() -> Fallible<BTreeMap<String, Option<Value>>> {
    let tree = Tree::new();
    let shown: Value = serde_json::from_str(&tree.run(&["config", "--format", "json"]).stdout)?;
    let mut keys = BTreeMap::new();
    for (name, node) in shown["values"].as_object().ok_or("no values")? {
        let leaf = node.get("source").is_some();
        let members = if leaf { None } else { node.as_object() };
        for (key, node) in members.into_iter().flatten() {
            keys.insert(format!("{name}.{key}"), default(node));
        }
        if leaf {
            // The base has no default of its own.
            let unset = name == "root";
            keys.insert(name.clone(), default(node).filter(|_| !unset));
        }
    }
    tree.run(&["config", "--init"]);
    let commented = fs::read_to_string(tree.path("sysopt.toml"))?;
    let (_, rule) = commented.split_once("# [[agents.rule]]").ok_or("no rule")?;
    for line in rule.lines().skip(1).take_while(|line| !line.is_empty()) {
        if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") {
            keys.insert(format!("agents.rule.{key}"), None);
        }
    }
    Ok(keys)
}

fn default(node: &Value) -> Option<Value> {
    let value = node.get("value").filter(|value| !value.is_null())?;
    Some(number(value))
}

/// 90 and 90.0 are the same default.
fn number(value: &Value) -> Value {
    value.as_f64().map_or_else(|| value.clone(), Value::from)
}

/// A word of roff without its changes of font.
fn plain(word: &str) -> String {
    ["\\fB", "\\fI", "\\fR"]
        .iter()
        .fold(word.to_owned(), |word, font| word.replace(font, ""))
}

fn in_repository(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every generated file, relative to the repository.
fn generate() -> Fallible<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for page in Page::ALL {
        let path = format!("man/{}.1", name(page));
        files.push((path.into(), man_page(page)?.into_bytes()));
    }
    for (shell, path) in [
        (Shell::Bash, "completions/sysopt.bash"),
        (Shell::Zsh, "completions/_sysopt"),
        (Shell::Fish, "completions/sysopt.fish"),
    ] {
        let mut content = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "sysopt", &mut content);
        files.push((path.into(), content));
    }
    Ok(files)
}

/// The name of a page, as `man` takes it.
fn name(page: Page) -> String {
    match page.subcommand() {
        None => "sysopt".to_owned(),
        Some(subcommand) => format!("sysopt-{subcommand}"),
    }
}

fn part_path(page: Page) -> PathBuf {
    format!("man/parts/{}.man", name(page)).into()
}

fn man_page(page: Page) -> Fallible<String> {
    let man = Man::new(command(page)?);
    let version = env!("CARGO_PKG_VERSION");
    let mut text = String::from(".\\\" Generated from src/cli.rs and man/parts; refresh with:\n");
    writeln!(text, ".\\\" {REFRESH}")?;
    writeln!(
        text,
        ".TH {} 1 \"\" \"sysopt {version}\" \"User Commands\"",
        name(page).to_uppercase()
    )?;
    text += &Roff::new().render();
    text += &section(|out| man.render_name_section(out))?;
    text += &section(|out| man.render_synopsis_section(out))?;
    text += &section(|out| man.render_description_section(out))?;
    if page == Page::Sysopt {
        text += &section(|out| man.render_subcommands_section(out))?;
    }
    text += &section(|out| man.render_options_section(out))?;
    if page != Page::Sysopt {
        text += ".PP\nThe options of every subcommand, such as\n.BR \\-C ,\n.BR \\-c ,\n.B \\-n\n\
                 and\n.BR \\-v ,\nare described in\n.BR sysopt (1).\n";
    }
    text += &fs::read_to_string(in_repository(&part_path(page)))?;
    text += &entries("VALUES", help::VALUES);
    text += &entries("EXIT STATUS", help::EXIT_STATUS);
    if page == Page::Sysopt {
        text += &entries("ENVIRONMENT", help::ENVIRONMENT);
        text += &entries("FILES", help::FILES);
    }
    text += &entries("EXAMPLES", page.examples());
    text += &see_also(page);
    Ok(text)
}

/// The command of a page, with what its man page does not repeat taken out.
fn command(page: Page) -> Fallible<Command> {
    let mut root = Cli::command();
    root.build();
    let command = match page.subcommand() {
        None => root,
        Some(name) => root
            .find_subcommand(name)
            .ok_or("no such subcommand")?
            .clone(),
    };
    let about = command
        .get_long_about()
        .ok_or("no description")?
        .to_string();
    let (_, description) = about.split_once("\n\n").ok_or("only a summary")?;
    let description = description.to_owned();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    Ok(command
        .long_about(description)
        .override_usage(usage)
        .mut_args(|option| {
            let repeated =
                page != Page::Sysopt && (option.is_global_set() || option.get_id() == "help");
            option.hide(repeated).hide_short_help(false)
        }))
}

/// What one of `clap_mangen`'s sections renders, without the preamble that each repeats.
fn section(render: impl Fn(&mut dyn std::io::Write) -> std::io::Result<()>) -> Fallible<String> {
    let mut bytes = Vec::new();
    render(&mut bytes)?;
    let text = String::from_utf8(bytes)?.replace(&Roff::new().render(), "");
    Ok(text.replace("\n\n", "\n.sp\n"))
}

/// A section of words and their meanings.
fn entries(title: &str, entries: &[Entry]) -> String {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (word, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(*word)]);
        roff.text([roman(*meaning)]);
    }
    roff.render().replace(&Roff::new().render(), "")
}

fn see_also(page: Page) -> String {
    let others = Page::ALL.into_iter().filter(|other| *other != page);
    let mut lines: Vec<_> = others
        .map(|other| format!(".BR {} (1)", name(other).replace('-', "\\-")))
        .collect();
    lines.push(".BR sysopt.toml (5)".to_owned());
    format!(".SH SEE ALSO\n{}\n", lines.join(",\n"))
}
