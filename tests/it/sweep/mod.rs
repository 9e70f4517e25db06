//! Every system call of a command that touches its files, failed and killed.
//!
//! A [`Scenario`] is a command, a tree to run it on, and what must be true of that tree. The sweep
//! runs it once undisturbed under strace and takes down each call below the tree: the points. Then
//! it builds the tree anew for each point and each fault that can occur there, runs the command
//! with that one call killed or refused, and checks that
//!
//! - what [`Scenario::holds`] says is true at that instant, and nothing beside the base changed;
//! - the exit code fits, what the report calls done is done, and a failure is named in it;
//! - one more plain run puts everything in order: [`Scenario::settled`], nothing left to do, no
//!   temporary file.
//!
//! There is no hook in the product: strace injects the faults. A run has one thread
//! (`--threads 1`) and sees no process but the test's, so that the Nth call is the same each time;
//! [`repeats`] holds that.
//!
//! # To add one
//!
//! ```text
//! const EVICTION: Scenario = Scenario {
//!     build: cache,                       // fn() -> World
//!     args: &["clean-cache"],             // after `-C . --threads 1 --format json`
//!     holds: |world| assert!(world.tree.path("cache/new").exists()),
//!     settled: |world| assert_eq!(world.tree.names("cache"), ["new"]),
//!     ..Scenario::BLANK
//! };
//!
//! sweeps! { eviction: EVICTION; }
//! ```
//!
//! [`sweeps`] makes a module of tests: `eviction::killed`, `eviction::refused` and
//! `eviction::repeats` run with `cargo test` on a few points; `eviction::thoroughly` is ignored
//! there, runs in `.ci/run` with more, and with `SYSOPT_SWEEP=whole` (`.ci/nightly`) with all of
//! them. A failure shows the point, the files, and the line that strace saw.
//!
//! Other fields: [`Scenario::beside`] starts something that lives as long as the command runs (a
//! [`Writer`], say; the points are then no longer the same in each run, and those not met are
//! counted as such); [`Scenario::again`] is the plain run where it differs (`cycle --force`);
//! [`Scenario::always_acts`] is for commands that find something to do each time.

mod beside;
mod check;
mod depth;
mod fault;
mod tally;
mod trace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

pub use beside::{Beside, Writer};
use check::Trial;
pub use depth::Depth;
use fault::Fault;
use tally::Tally;
use trace::Point;

use crate::fixture::{Shot, Tmpfs, Tree, snapshot};
use crate::require;

/// What lives beside a command.
pub type Companion = Box<dyn Beside>;

/// A command, and what must be true of the tree that it works on.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// A new tree.
    pub build: fn() -> World,
    /// The command, without the options that every run gets.
    pub args: &'static [&'static str],
    /// The plain run that puts things in order, where it is another command.
    pub again: Option<&'static [&'static str]>,
    /// Started before the command, stopped before anything is checked.
    pub beside: Option<fn(&World) -> Companion>,
    /// Holds at every instant.
    pub holds: fn(&World),
    /// Holds after one more plain run.
    pub settled: fn(&World),
    /// A plan made after that run is not empty, and need not be.
    pub always_acts: bool,
}

impl Scenario {
    /// What most scenarios have in common.
    pub const BLANK: Self = Self {
        build: || World::new(Tree::new()),
        args: &[],
        again: None,
        beside: None,
        holds: |_| {},
        settled: |_| {},
        always_acts: false,
    };

    /// The plain run that puts things in order.
    fn plain(&self) -> Vec<&'static str> {
        [
            &["-C", ".", "--threads", "1"],
            self.again.unwrap_or(self.args),
        ]
        .concat()
    }
}

/// A tree, what its archive is in, and what stands beside it and is not to change.
pub struct World {
    /// The base that the command works in.
    pub tree: Tree,
    /// Where models are archived.
    pub archive: PathBuf,
    /// The filesystem of the archive, where it has one of its own, mounted for as long.
    _other: Option<Tmpfs>,
    /// What live writers wrote so far, by log.
    written: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
    bystanders: Shot,
}

impl World {
    /// With the archive of the default configuration.
    pub fn new(tree: Tree) -> Self {
        let archive = tree.path("models/archived");
        Self::with(tree, archive, None)
    }

    /// With the archive on another filesystem.
    pub fn archived_on(tree: Tree, archive: PathBuf, other: Tmpfs) -> Self {
        Self::with(tree, archive, Some(other))
    }

    fn with(tree: Tree, archive: PathBuf, other: Option<Tmpfs>) -> Self {
        let bystander = tree.outside().join("bystander/logs");
        std::fs::create_dir_all(&bystander).unwrap();
        std::fs::write(bystander.join("app.log"), "not ours\n").unwrap();
        let bystanders = beside_the_base(&tree);
        Self {
            tree,
            archive,
            _other: other,
            written: Mutex::default(),
            bystanders,
        }
    }

    /// What a [`Writer`] has written to a log below the base, in all runs on this tree.
    pub fn written(&self, log: impl AsRef<Path>) -> Vec<u8> {
        let written = self.written.lock().unwrap();
        written.get(log.as_ref()).cloned().unwrap_or_default()
    }

    /// The home and all else that stands beside the base.
    fn nothing_beside_it_changed(&self) {
        let now = beside_the_base(&self.tree);
        assert!(now == self.bystanders, "beside the base: {now:#?}");
    }
}

fn beside_the_base(tree: &Tree) -> Shot {
    let mut all = snapshot(&tree.outside().join("bystander"));
    all.extend(snapshot(&tree.home()));
    all
}

/// Whether the test runs where each run can be repeated exactly.
pub fn ready<F: Fn()>(test: F) -> bool {
    require::tool("strace") && require::own_machine(test)
}

/// Kills the command at the points.
pub fn killed(name: &str, scenario: &Scenario, depth: Depth) {
    let points = trace::points(scenario);
    let of = points.len();
    // What only looks leaves the disk as it was, so that a kill there is one at the next change.
    let points = points
        .into_iter()
        .filter(|point| depth == Depth::Whole || point.changes)
        .map(|point| (point, Fault::KILL));
    tried(name, scenario, (depth, of), depth.some(points.collect()));
}

/// Fails the points, with each error that can occur there.
pub fn refused(name: &str, scenario: &Scenario, depth: Depth) {
    let points = trace::points(scenario);
    let all = points.iter().flat_map(|point| {
        let faults = fault::possible(point).into_iter();
        faults.map(|fault| (point.clone(), fault))
    });
    let all: Vec<_> = all.collect();
    tried(name, scenario, (depth, all.len()), depth.some(all));
}

/// Two undisturbed runs on two like trees make the same calls.
pub fn repeats(scenario: &Scenario) {
    let calls = || -> Vec<String> {
        let points = trace::points(scenario).into_iter();
        points.map(|point| point.call).collect()
    };
    assert_eq!(calls(), calls());
}

/// Makes trials of this depth, of so many that there are.
fn tried(
    name: &str,
    scenario: &Scenario,
    (depth, of): (Depth, usize),
    trials: Vec<(Point, Fault)>,
) {
    assert!(trials.len() > 3, "{name}: {} are no proof", trials.len());
    let mut tally = Tally::new(name, depth, of);
    for (point, fault) in trials {
        let trial = Trial {
            scenario,
            point: &point,
            fault,
        };
        tally.add(&point, fault, trial.run());
    }
    tally.close();
}

/// Tests of scenarios, each in a module of its own.
macro_rules! sweeps {
    ($($name:ident: $scenario:expr;)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "a scenario may be made of other modules' parts")]
            use super::*;
            use $crate::sweep::{self, Depth};

            const NAME: &str = stringify!($name);

            #[test]
            #[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
            fn killed() {
                if sweep::ready(killed) {
                    sweep::killed(NAME, &$scenario, Depth::Short);
                }
            }

            #[test]
            #[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
            fn refused() {
                if sweep::ready(refused) {
                    sweep::refused(NAME, &$scenario, Depth::Short);
                }
            }

            #[test]
            #[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
            fn repeats() {
                if $scenario.beside.is_none() && sweep::ready(repeats) {
                    sweep::repeats(&$scenario);
                }
            }

            #[test]
            #[ignore = "slow: many system calls killed and failed; all with SYSOPT_SWEEP=whole"]
            fn thoroughly() {
                if sweep::ready(thoroughly) {
                    let depth = Depth::chosen();
                    sweep::killed(NAME, &$scenario, depth);
                    sweep::refused(NAME, &$scenario, depth);
                }
            }
        }
    )*};
}
pub(crate) use sweeps;
