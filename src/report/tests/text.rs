//! Text, word by word.

use std::path::{Path, PathBuf};

use super::{PLAIN, around, ended, render, to_json};
use crate::plan::action::{Operation, OperationPlan, Plan};
use crate::plan::entry::Role;
use crate::plan::outcome::Outcome;
use crate::report::look::Look;
use crate::report::model::{Run, Verdict, verdict};
use crate::report::rows::{Check, FileRow, ModelRow, Rows, VersionRow};
use crate::report::sample::{DAY, MIB, Tree, cycle, now, planned, rotate, run};

#[test]
fn a_dry_run_as_text() {
    let outcome = planned();
    let expected = r"sysopt cycle --dry-run in /srv/bot
· garbage    nothing to collect
→ cache      would evict 5 cache files, free 268.0 MiB
    evict       120.0 MiB  cache/features.parquet  directory over its limit, last used 9 d ago
    evict        80.0 MiB  cache/book.bin          directory over its limit, last used 9 d ago
    evict        60.0 MiB  cache/caf\xe9.bin       directory over its limit, last used 9 d ago
    … and 2 more (8.0 MiB)
✗ logs       would rotate 2 logs, expire 1 rotated file; 1 place not readable
    rotate      200.0 MiB  logs/app.log → app.log-20261123T210000Z.gz  size 200.0 MiB is over 100.0 MiB
    rotate      140.0 MiB  logs/api.log → api.log-20261123T210000Z.gz  size 140.0 MiB is over 100.0 MiB
    expire        5.0 MiB  logs/app.log-20260101T000000Z.gz            rotated file 6 of 5 kept
    cannot read 'logs/secret': Permission denied
    warning: logs/odd\nname is strange
    kept       logs/trade.log  open for writing by pid 811 (trader\x1b[2J); append with >>, or set logs.signal
→ models     would archive 1 model
    archive      48.0 MiB  models/whale_v1.pkl → models/archived/whale_v1_20261113.pkl  not used for 10 d, over 7 d
    kept       models/rf_1h.pkl, and 1 more  read 2 min ago, modified 10 d ago (--age-by modified archives it)
· agents     3 agents, 240.0 MiB
· processes  212 processes, 0 flagged
partial: would process 9 items, free 268.0 MiB and what compression saves, 1 error, 0.41 s
nothing was changed (--dry-run)
";
    assert_eq!(render(&run(&outcome, true), PLAIN, true), expected);
    assert!(expected.lines().count() <= 24);
}

#[test]
fn a_run_as_text_tells_what_went_otherwise() {
    let outcome = cycle();
    let expected = r"sysopt cycle in /srv/bot
· garbage    nothing to collect
! cache      evicted 4 cache files, freed 208.0 MiB; 1 changed meanwhile
    evicted     120.0 MiB  cache/features.parquet  directory over its limit, last used 9 d ago
    evicted      80.0 MiB  cache/book.bin          directory over its limit, last used 9 d ago
    evict        60.0 MiB  cache/caf\xe9.bin       changed meanwhile: left alone
    … and 2 more (8.0 MiB)
✗ logs       expired 1 rotated file, freed 0 B; 1 failed, 1 left for a later run to finish, 1 place not readable
    rotate      200.0 MiB  logs/app.log → app.log-20261123T210000Z.gz  deferred: still open for writing by pid 812 (agent)
    expired       5.0 MiB  logs/app.log-20260101T000000Z.gz            rotated file 6 of 5 kept
    cannot read 'logs/secret': Permission denied
    cannot rotate 'logs/api.log': Permission denied
    warning: logs/odd\nname is strange
    kept       logs/trade.log  open for writing by pid 811 (trader\x1b[2J); append with >>, or set logs.signal
✓ models     archived 1 model
    archived     48.0 MiB  models/whale_v1.pkl → models/archived/whale_v1_20261113.pkl  not used for 10 d, over 7 d
    kept       models/rf_1h.pkl, and 1 more  read 2 min ago, modified 10 d ago (--age-by modified archives it)
· agents     3 agents, 240.0 MiB
· processes  212 processes, 0 flagged
memory 41.0 % → 40.2 %, disk /srv 71.0 % → 70.4 %
partial: 6 items, freed 208.0 MiB, 2 errors, 0.41 s
";
    assert_eq!(render(&run(&outcome, false), PLAIN, true), expected);
}

#[test]
fn errors_that_go_to_the_same_place_are_not_said_twice() {
    let outcome = cycle();
    let text = render(&run(&outcome, false), PLAIN, false);
    assert!(!text.contains("cannot "), "{text}");
    assert!(!text.contains("warning: "), "{text}");
    assert!(text.contains("1 failed"), "{text}");
}

#[test]
fn verbose_lists_every_item_and_everything_kept() {
    let outcome = cycle();
    let mut run = run(&outcome, false);
    run.verbose = true;
    let text = render(&run, PLAIN, true);
    for needle in [
        "    evicted       2.0 MiB  cache/-rf [12].tmp  directory over",
        "    evicted       6.0 MiB  cache/two\\nlines  directory over",
        "    kept       cache/recent.bin  used 2 min ago",
        "    kept       models/rf_24h.pkl  read 2 min ago",
        "api.log-20261123T210000Z.gz  failed: Permission denied",
    ] {
        assert!(text.contains(needle), "{needle}\n{text}");
    }
    assert!(!text.contains('\x1b'));
}

#[test]
fn a_narrow_terminal_shortens_paths_and_keeps_the_cure() {
    let outcome = planned();
    for width in [60, 80, 100] {
        let look = Look {
            width: Some(width),
            ..PLAIN
        };
        let text = render(&run(&outcome, true), look, true);
        assert!(text.contains("append with >>, or set logs.signal\n"));
        for line in text.lines().filter(|line| line.starts_with("    evict")) {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn ascii_and_colours_are_a_matter_of_look() {
    let outcome = cycle();
    let ascii = Look {
        unicode: false,
        ..PLAIN
    };
    let text = render(&run(&outcome, false), ascii, true);
    assert!(text.is_ascii(), "{text}");
    let color = Look {
        color: true,
        ..PLAIN
    };
    let text = render(&run(&outcome, false), color, true);
    assert!(text.contains("\x1b[31m✗\x1b[0m \x1b[1mlogs      \x1b[0m expired"));
}

#[test]
fn the_last_line_of_a_dry_run_is_exact() {
    let outcome = planned();
    for (verbose, color) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut run = run(&outcome, true);
        run.verbose = verbose;
        let look = Look { color, ..PLAIN };
        let text = render(&run, look, true);
        let last = text.lines().last();
        assert_eq!(last, Some("nothing was changed (--dry-run)"));
    }
}

#[test]
fn a_skipped_cycle_says_when_it_is_due() {
    let words = "not due before 2026-11-23T21:30:00Z; `--force` runs it now";
    let run = Run {
        skipped: Some(words.to_owned()),
        ..Run::default()
    };
    assert_eq!(render(&run, PLAIN, true), format!("{words}\n"));
    let report = to_json(&run);
    assert_eq!(report["outcome"], "skipped");
    assert_eq!(report["skipped"], words);
}

#[test]
fn one_operation_alone_shows_more_of_its_items() {
    let mut tree = Tree::default();
    let (_, top) = tree.root(Role::Logs, "logs");
    let mut plan = OperationPlan::new(Operation::LogRotation);
    for number in 0..12 {
        let name = format!("{number}.log");
        let file = tree.file(top, name.as_bytes(), number * MIB);
        rotate(&mut plan, file, &name, number * MIB);
    }
    let outcome = Outcome::shown(Plan {
        inventory: tree.inventory,
        operations: vec![plan],
    });
    let text = render(&run(&outcome, true), PLAIN, true);
    let first = text.lines().nth(2).unwrap();
    assert!(first.starts_with("    rotate       11.0 MiB  logs/11.log"));
    assert!(text.contains("    … and 2 more (1.0 MiB)\n"));
}

fn restoring(rows: Rows) -> (Outcome, Rows) {
    let outcome = ended(Operation::ModelRestoring, &[], Some(0));
    (outcome, rows)
}

#[test]
fn the_archive_is_listed() {
    let version = |days: u32, bytes| VersionRow {
        path: PathBuf::from(format!("models/archived/whale_v{days}.pkl")),
        modified: now().before(DAY * days),
        bytes,
        codec: "zstd".to_owned(),
    };
    let (outcome, rows) = restoring(Rows::Models(vec![ModelRow {
        model: PathBuf::from("models/whale_v1.pkl"),
        versions: vec![version(10, 3 * MIB), version(40, MIB)],
    }]));
    let mut run = around(&outcome);
    run.command = "restore-models".to_owned();
    run.base = PathBuf::from("/srv/bot");
    run.rows = Some(rows);
    let expected = "sysopt restore-models in /srv/bot
✓ archive    1 archived model in 2 versions, 4.0 MiB
    model                versions  newest            size  codec
    models/whale_v1.pkl         2  2026-11-13     4.0 MiB  zstd
";
    let text = render(&run, PLAIN, true);
    assert_eq!(&text[..expected.len()], expected);
    let operation = &to_json(&run)["operations"][0];
    assert_eq!(operation["success"], true);
    assert_eq!(
        operation["metadata"]["models"][0]["newest"],
        "2026-11-13T21:00:00Z"
    );
    assert_eq!(operation["metadata"]["models"][0]["size_bytes"], 4 * MIB);
}

#[test]
fn a_damaged_archive_is_no_success() {
    let file = |name: &str, check| FileRow {
        path: Path::new("models/archived").join(name),
        check,
    };
    let (outcome, rows) = restoring(Rows::Files(vec![
        file("a.pkl", Check::Ok),
        file("b.pkl", Check::Mismatch),
        file("c.pkl", Check::Missing),
    ]));
    let mut run = around(&outcome);
    run.rows = Some(rows);
    let text = render(&run, PLAIN, false);
    for line in [
        "✗ archive    verified 3 archived files: 1 ok, 1 do not match, 1 missing",
        "    mismatch    models/archived/b.pkl",
        "    missing     models/archived/c.pkl",
    ] {
        assert!(text.lines().any(|other| other == line), "{text}");
    }
    assert_eq!(verdict(&run), Verdict::Partial);
    let operation = &to_json(&run)["operations"][0];
    assert_eq!(operation["success"], false);
    assert_eq!(operation["metadata"]["files"][1]["result"], "mismatch");
    assert_eq!(operation["errors"].as_array().unwrap().len(), 2);
}
