//! One trial: a tree, a fault at a point, and everything that must be true afterwards.

use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fault::Fault;
use super::trace::{self, Point};
use super::{Scenario, World};
use crate::fixture::{DAY, Ran, Shot, set_age};

/// A fault at a point of a scenario.
pub struct Trial<'a> {
    pub scenario: &'a Scenario,
    pub point: &'a Point,
    pub fault: Fault,
}

/// How a trial ended, if nothing was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The fault was met and nothing was lost.
    Held,
    /// What runs beside it changed the order of calls, and the fault was not met.
    NotMet,
}

impl Trial<'_> {
    /// # Errors
    /// What was wrong.
    pub fn run(&self) -> Result<Verdict, String> {
        let world = (self.scenario.build)();
        catch_unwind(AssertUnwindSafe(|| self.try_on(&world))).map_err(|panic| {
            let said = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let files = world.tree.files();
            format!(
                "{} at {:?}:\n{}\n{files:#?}",
                self.fault.name(),
                self.point,
                said.unwrap_or_default()
            )
        })
    }

    fn try_on(&self, world: &World) -> Verdict {
        let before = untouched(world);
        let beside = self.scenario.beside.map(|start| start(world));
        let trace = format!("trace={}", self.point.call);
        let inject = self.fault.injection(self.point);
        let options = ["-e", trace.as_str(), "-e", &inject];
        let ran = Ran::from(trace::strace(world, &options, self.scenario.args));
        if let Some(beside) = beside {
            beside.stop(world);
        }
        let met = match self.fault {
            Fault::Kill => ran.signal == Some(9),
            Fault::Error(_) => trace::seen(world).contains("(INJECTED)"),
        };
        assert!(met || self.scenario.beside.is_some(), "not met: {ran:?}");
        // First of all: the other checks read files, which may touch their times.
        let refused = ran.code == Some(2) && self.scenario.beside.is_none();
        assert!(!refused || untouched(world) == before, "changed: {ran:?}");
        world.nothing_beside_it_changed();
        (self.scenario.holds)(world);
        if ran.signal.is_none() {
            is_true(world, &ran);
        }
        let left = self.left(world);
        if let (true, Fault::Error(_)) = (met, self.fault) {
            self.is_told(world, &ran, left.is_empty());
        }
        self.recovers(world);
        if met { Verdict::Held } else { Verdict::NotMet }
    }

    /// A run that did not do everything names the failure. What a companion kept it from doing is
    /// no failure.
    fn is_told(&self, world: &World, ran: &Ran, all_is_done: bool) {
        if ran.code == Some(0) && self.scenario.always_acts {
            // A plan that is never empty does not tell; the tree does.
            (self.scenario.settled)(world);
            return;
        }
        if ran.code == Some(0) && (all_is_done || self.scenario.beside.is_some()) {
            return;
        }
        let words = self.fault.words();
        let told = ran.stdout.contains(words) || ran.stderr.contains(words);
        assert!(told, "{words:?} is not told: {ran:#?}");
    }

    /// What a dry run would do now.
    fn left(&self, world: &World) -> Vec<Value> {
        let mut args = vec!["-n"];
        args.extend(self.scenario.plain());
        let (ran, report) = world.tree.json(&args);
        assert_eq!(ran.code, Some(0), "the dry run: {ran:?}");
        let operations = report["operations"].as_array().unwrap();
        let actions = operations
            .iter()
            .flat_map(|operation| operation["actions"].as_array().unwrap());
        actions.cloned().collect()
    }

    /// Nothing is lost by the next run either, which puts everything in order.
    fn recovers(&self, world: &World) {
        // A file in the making is not taken for abandoned within the first hour.
        for path in temporary(world) {
            set_age(&path, DAY);
        }
        let ran = world.tree.run(&self.scenario.plain());
        assert_eq!(ran.code, Some(0), "the next run: {ran:?}");
        (self.scenario.holds)(world);
        (self.scenario.settled)(world);
        world.nothing_beside_it_changed();
        if !self.scenario.always_acts {
            let left = self.left(world);
            assert!(left.is_empty(), "left to do: {left:#?} {ran:?}");
        }
        collects_garbage(world);
        (self.scenario.holds)(world);
        (self.scenario.settled)(world);
    }
}

/// What a run that ends with code 2 leaves as it is; it may have read the configuration.
fn untouched(world: &World) -> Shot {
    let mut shot = world.tree.snapshot();
    if let Some(configuration) = shot.get_mut(Path::new("sysopt.toml")) {
        configuration.3 = 0;
    }
    shot
}

/// Files that a run left in the making are a class of garbage, which a cycle collects.
fn collects_garbage(world: &World) {
    if temporary(world).is_empty() {
        return;
    }
    let args = [
        "-C",
        ".",
        "--threads",
        "1",
        "cycle",
        "--force",
        "--only",
        "garbage",
    ];
    let ran = world.tree.run(&args);
    assert_eq!(ran.code, Some(0), "the garbage: {ran:?}");
    let temporary = temporary(world);
    assert!(temporary.is_empty(), "left behind: {temporary:?} {ran:?}");
}

/// What a report calls done is done, and what failed makes the run fail.
fn is_true(world: &World, ran: &Ran) {
    assert!(matches!(ran.code, Some(0..=3)), "{ran:?}");
    let report = ran.report();
    let mut failed = false;
    for operation in report["operations"].as_array().into_iter().flatten() {
        for action in operation["actions"].as_array().unwrap() {
            let verb = action["action"].as_str().unwrap();
            failed |= action["status"] == "failed";
            if action["status"] != "done" {
                continue;
            }
            if let Some(to) = action["to"].as_str() {
                assert!(world.tree.path(to).exists(), "{action} {ran:?}");
            }
            // What another system archived stays where it is.
            let moved = action["to"] != action["path"];
            if moved && matches!(verb, "evict" | "expire" | "delete" | "archive" | "compress") {
                let path = world.tree.path(action["path"].as_str().unwrap());
                assert!(path.symlink_metadata().is_err(), "{action} {ran:?}");
            }
        }
    }
    let success = report["outcome"] == "success";
    assert!(!(failed && success), "{ran:?}");
    assert_eq!(success, ran.code == Some(0), "{ran:?}");
}

/// Files that a run left in the making.
fn temporary(world: &World) -> Vec<PathBuf> {
    let places = [world.tree.base(), world.archive.clone()];
    let entries = places
        .iter()
        .flat_map(|place| walkdir::WalkDir::new(place).into_iter().flatten());
    let unfinished = entries.filter(|entry| {
        let name = entry.file_name().as_bytes();
        name.starts_with(b".sysopt-") && name.ends_with(b".tmp")
    });
    unfinished.map(walkdir::DirEntry::into_path).collect()
}
