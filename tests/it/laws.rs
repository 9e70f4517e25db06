//! Whatever stands in a file that sysopt reads, and whatever is typed: it never panics, it says
//! what is wrong, and what it writes it can read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use sysopt::cli::{Cli, Command};

use crate::fixture::{DAY, Ran, Tree};

/// Each case runs the command a few times; `PROPTEST_CASES` asks for more of them, as everywhere.
fn through_the_binary() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: (usual.cases / 24).max(1),
        failure_persistence: None,
        ..usual
    }
}

/// A tree with something to do for every operation, and records of an earlier cycle.
fn a_tree_with_a_past() -> Tree {
    let tree = Tree::new();
    tree.aged("logs/app.log", "a line\n", DAY);
    tree.aged("models/old.pkl", "a model", 30 * DAY);
    tree.config("[logs]\nmax_file_size = 1\nsettle = \"0s\"\n[models]\nkeep_latest = 0\n");
    let ran = tree.run(&["cycle"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    tree
}

/// It ended in a way of its own: no panic (101), no signal, no word of a panic.
fn ended_well(ran: &Ran) -> Result<(), TestCaseError> {
    let known = matches!(ran.code, Some(0..=3));
    prop_assert!(known && !ran.stderr.contains("panicked"), "{:?}", ran);
    prop_assert!(ran.code == Some(0) || !ran.stderr.is_empty() || !ran.stdout.is_empty());
    Ok(())
}

/// Bytes that a record could have become: anything, or itself with something else in the middle.
fn damaged(whole: &[u8], at: prop::sample::Index, with: &[u8], cut: bool) -> Vec<u8> {
    let at = at.index(whole.len() + 1);
    let rest = if cut {
        &[]
    } else {
        &whole[(at + with.len()).min(whole.len())..]
    };
    [&whole[..at], with, rest].concat()
}

/// Numbers at the ends of what a field can hold, and beyond.
fn numbers() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| json!(number)),
        9 => prop::sample::select(vec![
            json!(u64::MAX),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u32::MAX),
            json!(0),
            json!(-1),
            json!(1e308),
            Value::Null,
            json!("x"),
        ]),
    ]
}

/// Replaces the numbers of a document, in turn, where the choice says so.
fn replace_numbers(value: &mut Value, with: &mut dyn Iterator<Item = Option<Value>>) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|v| replace_numbers(v, with)),
        Value::Array(items) => items.iter_mut().for_each(|v| replace_numbers(v, with)),
        Value::Number(_) => {
            if let Some(Some(new)) = with.next() {
                *value = new;
            }
        }
        _ => {}
    }
}

const RECORDS: [&str; 4] = [
    ".sysopt/state.json",
    ".sysopt/history.jsonl",
    "models/archived/manifest.jsonl",
    "models/archived/SHA256SUMS",
];

proptest! {
    #![proptest_config(through_the_binary())]

    #[test]
    #[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
    fn a_damaged_record_is_never_a_panic_and_never_a_loss(
        record in 0..RECORDS.len(), at: prop::sample::Index, with in vec(any::<u8>(), 0..24), cut: bool,
    ) {
        let tree = a_tree_with_a_past();
        let path = tree.path(RECORDS[record]);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, damaged(&whole, at, &with, cut)).unwrap();
        for args in [
            &["cycle", "--force"][..],
            &["status", "--history", "--format", "json"],
            &["restore-models", "--verify"],
            &["restore-models", "--all"],
            &["cycle", "--force", "--format", "json"],
        ] {
            ended_well(&tree.run(args))?;
        }
        prop_assert!(has_the_model(&tree));
    }

    #[test]
    fn numbers_of_a_state_may_be_anything(
        share in prop::sample::select(vec![0.02, 0.1, 0.5]), changes in vec((0.0..1.0, numbers()), 200),
    ) {
        let mut changes = changes.into_iter().map(|(at, number)| (at < share).then_some(number));
        let tree = a_tree_with_a_past();
        let path = tree.path(".sysopt/state.json");
        let mut state: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        replace_numbers(&mut state, &mut changes);
        std::fs::write(&path, state.to_string()).unwrap();
        for args in [&["status"][..], &["cycle", "--force"], &["cycle", "--force"]] {
            ended_well(&tree.run(args))?;
        }
        // Whatever it was, it is a state again.
        let written = std::fs::read(&path).unwrap();
        prop_assert!(serde_json::from_slice::<Value>(&written).is_ok());
        let (ran, status) = tree.json(&["status"]);
        prop_assert_eq!(ran.code, Some(0));
        prop_assert!(status["total_cycles"].as_u64() >= Some(1), "{}", status);
    }

    #[test]
    fn no_bytes_of_a_configuration_make_a_panic(
        bytes in vec(any::<u8>(), 0..200), json: bool, at: prop::sample::Index, own: bool,
    ) {
        let tree = Tree::new();
        let name = if json { "c.json" } else { "c.toml" };
        tree.run(&["config", "--init"]);
        let whole = std::fs::read(tree.path("sysopt.toml")).unwrap();
        let bytes = if own { damaged(&whole, at, &bytes, false) } else { bytes };
        tree.write(name, bytes);
        for args in [&["config", "--check", name][..], &["-n", "-c", name, "cycle"]] {
            let ran = tree.run(args);
            ended_well(&ran)?;
            prop_assert!(ran.stderr.lines().all(|line| !line.contains('\u{1b}')), "{:?}", ran);
        }
    }

    #[test]
    fn no_arguments_make_a_panic(words in words()) {
        // Without a slash there is no way out of the base, and with -n nothing is changed there.
        prop_assume!(words.iter().all(|word| !word.as_bytes().contains(&b'/') && word != ".."));
        let tree = Tree::new();
        tree.aged("logs/app.log", "a line\n", DAY);
        let before = tree.snapshot();
        let mut args = vec![OsString::from("-n")];
        args.extend(words);
        ended_well(&tree.run(&args))?;
        let mut after = tree.snapshot();
        after.remove(&PathBuf::from("sysopt.toml"));
        prop_assert_eq!(
            after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{:?}", args
        );
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_sum_at_its_end_stays_there() {
    let tree = a_tree_with_a_past();
    let path = tree.path(".sysopt/state.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    state["totals"]["items_processed"] = json!(u64::MAX);
    state["totals"]["bytes_freed"] = json!(i64::MAX);
    std::fs::write(&path, state.to_string()).unwrap();
    tree.write("logs/app.log", "another line\n");
    let (ran, report) = tree.json(&["rotate-logs", "--force"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        report["total_items_processed"].as_u64() > Some(0),
        "{report}"
    );
    let (_, status) = tree.json(&["status"]);
    assert_eq!(status["total_items_processed"], json!(u64::MAX));
}

/// Whether the only model is there, wherever it is, by whatever name.
fn has_the_model(tree: &Tree) -> bool {
    let files = tree.snapshot().into_values();
    files.map(|shot| shot.4.0).any(|bytes| bytes == b"a model")
}

/// Words of the command line: subcommands, options, values that people type, and any bytes.
fn words() -> impl Strategy<Value = Vec<OsString>> {
    let mut known: Vec<OsString> = [
        "--",
        "-",
        "",
        "1GiB",
        "7d",
        "-1",
        "json",
        "gzip",
        "logs",
        "99999999999",
    ]
    .map(OsString::from)
    .into();
    let command = Cli::command();
    for each in command.get_subcommands().chain([&command]) {
        known.push(each.get_name().into());
        let options = each.get_arguments();
        known.extend(options.filter_map(|option| Some(format!("--{}", option.get_long()?).into())));
    }
    let any_bytes = vec(
        any::<u8>().prop_filter("an argument has no NUL", |byte| *byte != 0),
        0..12,
    );
    let any_bytes = any_bytes.prop_map(OsString::from_vec);
    let valued =
        (prop::sample::select(known.clone()), any_bytes.clone()).prop_map(|(option, value)| {
            let mut word = option;
            word.push("=");
            word.push(value);
            word
        });
    let word = prop_oneof![6 => prop::sample::select(known), 1 => valued, 2 => any_bytes];
    vec(word, 0..7)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_parsed_or_refused(words in words()) {
        let line = std::iter::once(OsString::from("sysopt")).chain(words);
        if let Err(error) = Cli::try_parse_from(line) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn names_arrive_as_they_were_typed(
        names in vec(vec(1_u8.., 1..20), 1..5), base in vec(1_u8.., 1..20),
    ) {
        let name = |bytes: &Vec<u8>| OsStr::from_bytes(bytes).to_os_string();
        let names: Vec<OsString> = names.iter().map(name).collect();
        let mut option = OsString::from("--base=");
        option.push(name(&base));
        for subcommand in ["rotate-logs", "clean-cache", "archive-models", "restore-models"] {
            let line = [OsString::from("sysopt"), option.clone(), subcommand.into(), "--".into()];
            let cli = Cli::try_parse_from(line.into_iter().chain(names.clone())).unwrap();
            prop_assert_eq!(cli.global.base, Some(PathBuf::from(name(&base))));
            let paths = |dirs: Vec<PathBuf>| dirs.into_iter().map(OsString::from).collect();
            let found: Vec<OsString> = match cli.command {
                Command::RotateLogs(args) => paths(args.dirs),
                Command::CleanCache(args) => paths(args.dirs),
                Command::ArchiveModels(args) => paths(args.dirs),
                Command::RestoreModels(args) => args.models,
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(found, names.clone());
        }
    }
}
