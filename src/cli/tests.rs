//! What is accepted, what is refused, and that the help fits where it is read.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::help::{self, Page};
use super::{AgeBy, Cli, Codec, ColorWhen, Command, Format, Operation, RotationMode};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Parses a line of words without spaces.
fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

/// Why a line is refused.
fn refusal(line: &str) -> Option<ErrorKind> {
    parse(line).err().map(|error| error.kind())
}

#[test]
fn definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn subcommands_and_options_are_exactly_the_contract() {
    let contract: &[(&str, &[&str])] = &[
        ("cycle", &["force", "only", "skip", "timeout"]),
        (
            "archive-models",
            &[
                "age-by",
                "compress",
                "explain",
                "max-archived",
                "older-than",
            ],
        ),
        ("restore-models", &["all", "list", "to", "verify"]),
        (
            "rotate-logs",
            &["compress", "explain", "force", "keep", "max-size", "mode"],
        ),
        (
            "clean-cache",
            &["explain", "max-age", "max-size", "preserve-recent"],
        ),
        ("status", &["agents", "history"]),
        ("config", &["check", "init"]),
    ];
    let globals = [
        "base",
        "config",
        "dry-run",
        "format",
        "quiet",
        "verbose",
        "color",
        "no-progress",
        "lock-wait",
        "threads",
    ];
    let command = Cli::command();
    let found: Vec<_> = command.get_opts().filter_map(clap::Arg::get_long).collect();
    assert_eq!(found, globals);
    let found: Vec<(&str, Vec<&str>)> = command
        .get_subcommands()
        .map(|sub| {
            let mut options: Vec<_> = sub.get_opts().filter_map(clap::Arg::get_long).collect();
            options.sort_unstable();
            (sub.get_name(), options)
        })
        .collect();
    let expected: Vec<(&str, Vec<&str>)> = contract
        .iter()
        .map(|&(name, options)| (name, options.to_vec()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn global_options_work_before_and_after_the_subcommand() -> Outcome {
    let options = "-C b -c f.toml -n --format json -q -v --color never --no-progress \
                   --lock-wait 5s --threads 2";
    for sub in Page::ALL.iter().filter_map(|page| page.subcommand()) {
        for line in [
            format!("sysopt {options} {sub}"),
            format!("sysopt {sub} {options}"),
        ] {
            let global = parse(&line)?.global;
            assert_eq!(global.base.as_deref(), Some(Path::new("b")), "{line}");
            assert_eq!(
                global.config.as_deref(),
                Some(Path::new("f.toml")),
                "{line}"
            );
            assert!(global.dry_run && global.quiet && global.verbose && global.no_progress);
            assert_eq!(global.format, Format::Json, "{line}");
            assert_eq!(global.color, ColorWhen::Never, "{line}");
            assert_eq!(global.lock_wait.as_deref(), Some("5s"), "{line}");
            assert_eq!(global.threads, NonZeroUsize::new(2), "{line}");
        }
    }
    Ok(())
}

#[test]
fn defaults_hold_where_nothing_is_typed() -> Outcome {
    let global = parse("sysopt cycle")?.global;
    assert_eq!(
        (global.format, global.color),
        (Format::Text, ColorWhen::Auto)
    );
    assert!(!global.dry_run && !global.quiet && !global.verbose && !global.no_progress);
    assert_eq!((global.base, global.config), (None, None));
    assert_eq!((global.lock_wait, global.threads), (None, None));
    Ok(())
}

#[test]
fn the_last_of_a_repeated_option_counts() -> Outcome {
    let global = parse("sysopt -n -C a --base b cycle -n --root c")?.global;
    assert_eq!(global.base.as_deref(), Some(Path::new("c")));
    assert!(global.dry_run);
    Ok(())
}

#[test]
fn operations_have_a_short_and_a_long_name() -> Outcome {
    let names = [
        (Operation::Garbage, "garbage", "garbage_collection"),
        (Operation::Cache, "cache", "cache_cleanup"),
        (Operation::Logs, "logs", "log_rotation"),
        (Operation::Models, "models", "model_archiving"),
        (Operation::Agents, "agents", "agent_optimization"),
        (Operation::Processes, "processes", "process_optimization"),
    ];
    for (operation, short, long) in names {
        let line = format!("sysopt cycle --only {short} --only {long} --skip {long}");
        let Command::Cycle(cycle) = parse(&line)?.command else {
            return Err(line.into());
        };
        assert_eq!(cycle.only, [operation, operation]);
        assert_eq!(cycle.skip, [operation]);
    }
    Ok(())
}

#[test]
fn values_of_each_enum() -> Outcome {
    let codecs = [
        ("none", Codec::None),
        ("gzip", Codec::Gzip),
        ("zstd", Codec::Zstd),
    ];
    for (name, codec) in codecs {
        let Command::ArchiveModels(args) =
            parse(&format!("sysopt archive-models --compress {name}"))?.command
        else {
            return Err(name.into());
        };
        assert_eq!(args.compress, Some(codec));
    }
    let modes = [
        ("auto", RotationMode::Auto),
        ("rename", RotationMode::Rename),
        ("copy-truncate", RotationMode::CopyTruncate),
        ("punch", RotationMode::Punch),
    ];
    for (name, mode) in modes {
        let Command::RotateLogs(args) =
            parse(&format!("sysopt rotate-logs --mode {name}"))?.command
        else {
            return Err(name.into());
        };
        assert_eq!(args.mode, Some(mode));
    }
    for (name, age_by) in [("used", AgeBy::Used), ("modified", AgeBy::Modified)] {
        let Command::ArchiveModels(args) =
            parse(&format!("sysopt archive-models --age-by {name}"))?.command
        else {
            return Err(name.into());
        };
        assert_eq!(args.age_by, Some(age_by));
    }
    Ok(())
}

#[test]
fn history_takes_a_number_or_none() -> Outcome {
    for (line, expected) in [
        ("sysopt status", None),
        ("sysopt status --history", Some(10)),
        ("sysopt status --history -n", Some(10)),
        ("sysopt status --history 3", Some(3)),
    ] {
        let Command::Status(status) = parse(line)?.command else {
            return Err(line.into());
        };
        assert_eq!(status.history, expected, "{line}");
    }
    Ok(())
}

#[test]
fn literals_reach_their_parser_as_typed() -> Outcome {
    let Command::CleanCache(args) =
        parse("sysopt clean-cache --max-size -1GiB --max-age=-5d --preserve-recent 2h")?.command
    else {
        return Err("not clean-cache".into());
    };
    assert_eq!(args.max_size.as_deref(), Some("-1GiB"));
    assert_eq!(args.max_age.as_deref(), Some("-5d"));
    assert_eq!(args.preserve_recent.as_deref(), Some("2h"));
    Ok(())
}

#[test]
#[cfg(unix)]
fn names_that_hurt_are_taken_as_they_are() -> Outcome {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    let raw = OsStr::from_bytes(b"caf\xe9 \n[12]*");
    let words = ["sysopt", "-C"].map(OsStr::new).into_iter();
    let cli = Cli::try_parse_from(words.chain([raw, OsStr::new("restore-models"), raw]))?;
    assert_eq!(cli.global.base.as_deref(), Some(Path::new(raw)));
    let Command::RestoreModels(args) = cli.command else {
        return Err("not restore-models".into());
    };
    assert_eq!(args.models, [OsString::from(raw)]);
    Ok(())
}

#[test]
fn what_follows_two_dashes_is_a_directory() -> Outcome {
    for sub in ["archive-models", "rotate-logs", "clean-cache"] {
        let dirs = match parse(&format!("sysopt {sub} first -n -- -n --help"))?.command {
            Command::ArchiveModels(args) => args.dirs,
            Command::RotateLogs(args) => args.dirs,
            Command::CleanCache(args) => args.dirs,
            other => return Err(format!("{other:?}").into()),
        };
        assert_eq!(dirs, ["first", "-n", "--help"].map(PathBuf::from), "{sub}");
    }
    Ok(())
}

#[test]
fn contradictions_are_refused() {
    for line in [
        "sysopt config --init --check f",
        "sysopt restore-models --list --verify",
        "sysopt restore-models --list --all",
        "sysopt restore-models --list --to d m",
        "sysopt restore-models --verify --all",
        "sysopt restore-models --verify --to d m",
        "sysopt restore-models --all m",
    ] {
        assert_eq!(refusal(line), Some(ErrorKind::ArgumentConflict), "{line}");
    }
    let missing = refusal("sysopt restore-models --to d");
    assert_eq!(missing, Some(ErrorKind::MissingRequiredArgument));
}

#[test]
fn ways_to_use_restore_models() {
    for line in [
        "",
        "m",
        "m n --to d",
        "--all",
        "--all --to d",
        "--list m",
        "--verify m",
    ] {
        assert_eq!(
            refusal(&format!("sysopt restore-models {line}")),
            None,
            "{line}"
        );
    }
}

#[test]
fn wrong_values_and_names_are_refused() {
    for (line, kind) in [
        ("sysopt cycle --threads 0", ErrorKind::ValueValidation),
        ("sysopt rotate-logs --keep -1", ErrorKind::UnknownArgument),
        ("sysopt rotate-logs --keep x", ErrorKind::ValueValidation),
        ("sysopt status --history 0", ErrorKind::ValueValidation),
        ("sysopt cycle --only everything", ErrorKind::InvalidValue),
        ("sysopt cycle --format yaml", ErrorKind::InvalidValue),
        ("sysopt status --force", ErrorKind::UnknownArgument),
        ("sysopt cycle dir", ErrorKind::UnknownArgument),
        ("sysopt help", ErrorKind::InvalidSubcommand),
        ("sysopt -n", ErrorKind::MissingSubcommand),
    ] {
        assert_eq!(refusal(line), Some(kind), "{line}");
    }
}

#[test]
fn nothing_typed_is_answered_with_the_short_help() -> Outcome {
    let error = parse("sysopt").err().ok_or("a subcommand is required")?;
    assert_eq!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    assert_eq!((error.exit_code(), error.use_stderr()), (2, true));
    assert_eq!(error.to_string(), Cli::command().render_help().to_string());
    Ok(())
}

#[test]
fn help_and_version_are_no_errors() -> Outcome {
    for line in [
        "sysopt -h",
        "sysopt --help",
        "sysopt cycle --help",
        "sysopt -V",
    ] {
        let answer = parse(line).err().ok_or(line)?;
        assert_eq!(
            (answer.exit_code(), answer.use_stderr()),
            (0, false),
            "{line}"
        );
    }
    Ok(())
}

/// The command of a page, built as it is when its help is shown on 80 columns.
fn command_of(page: Page) -> Option<clap::Command> {
    let mut command = Cli::command().term_width(80);
    command.build();
    match page.subcommand() {
        None => Some(command),
        Some(name) => command.find_subcommand(name).cloned(),
    }
}

#[test]
fn short_help_fits_one_screen() -> Outcome {
    for page in Page::ALL {
        let text = command_of(page)
            .ok_or("no such page")?
            .render_help()
            .to_string();
        assert!(text.lines().count() <= 24, "{page:?}\n{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{page:?}\n{text}"
        );
    }
    Ok(())
}

#[test]
fn long_help_explains_literals_and_exit_codes() -> Outcome {
    for page in Page::ALL {
        let text = command_of(page)
            .ok_or("no such page")?
            .render_long_help()
            .to_string();
        for (word, _) in help::VALUES
            .iter()
            .chain(help::EXIT_STATUS)
            .chain(page.examples())
        {
            assert!(
                text.lines().any(|line| line.trim() == *word),
                "{page:?}: {word}"
            );
        }
    }
    Ok(())
}

#[test]
fn examples_can_be_typed() -> Outcome {
    for (example, _) in Page::ALL.iter().flat_map(|page| page.examples()) {
        let (_, line) = example.split_at(example.find("sysopt").ok_or(*example)?);
        let line = line.split('|').next().unwrap_or_default();
        assert_eq!(refusal(line), None, "{example}");
    }
    Ok(())
}
