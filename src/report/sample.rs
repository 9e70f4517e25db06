//! A small run made by hand, for the tests of the renderings.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::model::Run;
use crate::plan::action::{
    ArchiveModel, Operation, OperationPlan, Plan, Rotate, Subject, Task, Verb,
};
use crate::plan::archive::Archive;
use crate::plan::entry::{
    DirId, EntryId, Inventory, Kind, Owner, Problem, Role, Root, RootId, Stat, Walk,
};
use crate::plan::host::{Disk, Metrics};
use crate::plan::outcome::{Outcome, Status};
use crate::plan::policy::Codec;
use crate::plan::reason::{Duration32, Exceeds, HeldBy, Keep, ModelUse, Older, Rank, Reason};
use crate::plan::time::Time;

pub(super) const MIB: u64 = 1 << 20;
pub(super) const DAY: Duration = Duration::from_hours(24);

/// 2026-11-23T21:00:00Z.
pub(super) fn now() -> Time {
    Time::from_parts(1_795_467_600, 0)
}

/// An inventory that grows as a test needs it.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) inventory: Inventory,
}

impl Tree {
    /// A directory that an operation works in.
    pub(super) fn root(&mut self, role: Role, shown: &str) -> (RootId, DirId) {
        let root = RootId(u16::try_from(self.inventory.roots.len()).unwrap());
        let stat = stat(0);
        let top = self
            .inventory
            .add_directory(root, None, OsStr::new(""), &stat, Walk::Walked);
        self.inventory.roots.push(Root {
            role,
            shown: PathBuf::from(shown),
            path: PathBuf::from("/srv/bot").join(shown),
            filesystem: None,
            inode: 1,
            top: Some(top),
        });
        (root, top)
    }

    pub(super) fn file(&mut self, directory: DirId, name: &[u8], bytes: u64) -> EntryId {
        self.inventory
            .add_entry(directory, OsStr::from_bytes(name), &stat(bytes))
    }
}

fn stat(size: u64) -> Stat {
    Stat {
        kind: Kind::File,
        inode: 7,
        size,
        blocks: size.div_ceil(512),
        links: 1,
        owner: Owner::default(),
        mtime: now(),
        atime: now(),
        ctime: now(),
    }
}

pub(super) fn evict(plan: &mut OperationPlan, file: EntryId) {
    plan.act(
        Verb::Evict,
        Subject::Entry(file),
        Reason::LeastRecentlyUsed(Duration32(9 * 86_400)),
        Task::Unlink,
    );
}

pub(super) fn rotate(plan: &mut OperationPlan, file: EntryId, name: &str, bytes: u64) {
    let limit = 100 * MIB;
    plan.act(
        Verb::Rotate,
        Subject::Entry(file),
        Reason::Size(Box::new(Exceeds { bytes, limit })),
        Task::Rotate(Box::new(Rotate {
            to: OsString::from(format!("{name}-20261123T210000Z")),
            compress: Codec::Gzip(6),
            settle: Duration::ZERO,
            despite_writers: false,
        })),
    );
}

/// What a dry run of [`cycle`] shows.
pub(super) fn planned() -> Outcome {
    Outcome::shown(plan())
}

/// What came of it, with one of everything that can go wrong.
pub(super) fn cycle() -> Outcome {
    let mut outcome = planned();
    for operation in &mut outcome.operations {
        operation.statuses.fill(Status::Done);
        operation.duration = Duration::from_millis(200);
    }
    let logs = &mut outcome.operations[2];
    logs.statuses[0] = Status::Deferred;
    logs.notes
        .insert(0, "still open for writing by pid 812 (agent)".to_owned());
    logs.statuses[1] = Status::Failed;
    logs.errors
        .insert(1, "Permission denied (os error 13)".to_owned());
    logs.bytes_freed = Some(0);
    outcome.operations[1].statuses[2] = Status::Changed;
    outcome.operations[1].bytes_freed = Some(i64::try_from(208 * MIB).unwrap());
    outcome
}

fn plan() -> Plan {
    let mut tree = Tree::default();
    let operations = vec![
        OperationPlan::new(Operation::GarbageCollection),
        cache(&mut tree),
        logs(&mut tree),
        models(&mut tree),
        analysis(Operation::AgentOptimization, "3 agents, 240.0 MiB"),
        analysis(Operation::ProcessOptimization, "212 processes, 0 flagged"),
    ];
    Plan {
        inventory: tree.inventory,
        operations,
    }
}

fn analysis(operation: Operation, message: &str) -> OperationPlan {
    let mut plan = OperationPlan::new(operation);
    plan.message = Some(message.to_owned());
    plan
}

fn cache(tree: &mut Tree) -> OperationPlan {
    let (_, top) = tree.root(Role::Cache, "cache");
    let mut plan = OperationPlan::new(Operation::CacheCleanup);
    for (name, size) in [
        (&b"features.parquet"[..], 120),
        (b"book.bin", 80),
        (b"caf\xe9.bin", 60),
        (b"two\nlines", 6),
        (b"-rf [12].tmp", 2),
    ] {
        let file = tree.file(top, name, size * MIB);
        evict(&mut plan, file);
    }
    let recent = tree.file(top, b"recent.bin", MIB);
    plan.keep(Subject::Entry(recent), Keep::RecentlyUsed(Duration32(120)));
    plan.estimate = Some(i64::try_from(268 * MIB).unwrap());
    plan.metadata
        .insert("atime", serde_json::json!({ "cache": "relatime" }));
    plan
}

fn logs(tree: &mut Tree) -> OperationPlan {
    let (root, top) = tree.root(Role::Logs, "logs");
    let mut plan = OperationPlan::new(Operation::LogRotation);
    for (name, size) in [("app.log", 200), ("api.log", 140)] {
        let file = tree.file(top, name.as_bytes(), size * MIB);
        rotate(&mut plan, file, name, size * MIB);
    }
    let old = tree.file(top, b"app.log-20260101T000000Z.gz", 5 * MIB);
    let rank = Rank {
        rank: 6,
        limit: 5,
        noun: "rotated file",
    };
    plan.act(
        Verb::Expire,
        Subject::Entry(old),
        Reason::Count(Box::new(rank)),
        Task::Unlink,
    );
    let busy = tree.file(top, b"trade.log", 300 * MIB);
    let held = HeldBy {
        pid: 811,
        name: "trader\x1b[2J".to_owned(),
        advice: Some("append with >>, or set logs.signal"),
    };
    plan.keep(Subject::Entry(busy), Keep::Writer(Box::new(held)));
    plan.problems.push(Problem {
        root,
        path: PathBuf::from("logs/secret"),
        error: "Permission denied (os error 13)".to_owned(),
    });
    plan.warnings.push("logs/odd\nname is strange".to_owned());
    plan.estimate = None;
    plan
}

fn models(tree: &mut Tree) -> OperationPlan {
    let (root, top) = tree.root(Role::Models, "models");
    let (archive, _) = tree.root(Role::Archive, "models/archived");
    let archive = Archive::empty(archive, vec![root], true);
    tree.inventory.archives.push(archive);
    let mut plan = OperationPlan::new(Operation::ModelArchiving);
    let old = tree.file(top, b"whale_v1.pkl", 48 * MIB);
    let older = Older {
        age: 10 * DAY,
        limit: 7 * DAY,
    };
    plan.act(
        Verb::Archive,
        Subject::Entry(old),
        Reason::NotUsed(Box::new(older)),
        Task::Archive(Box::new(ArchiveModel {
            archive: 0,
            to: PathBuf::from("whale_v1_20261113.pkl"),
            original: PathBuf::from("whale_v1.pkl"),
            family: "whale".to_owned(),
            stored: false,
            codec: Codec::None,
            files: vec![old],
        })),
    );
    for name in [&b"rf_1h.pkl"[..], b"rf_24h.pkl"] {
        let read = tree.file(top, name, MIB);
        let times = ModelUse {
            read: Some(Duration::from_mins(2)),
            modified: 10 * DAY,
            restored: None,
            limit: 7 * DAY,
        };
        plan.keep(Subject::Entry(read), Keep::ModelUsed(Box::new(times)));
    }
    plan
}

/// A run of `cycle` around that outcome.
pub(super) fn run(outcome: &Outcome, dry_run: bool) -> Run<'_> {
    let metrics = |memory, used| Metrics {
        memory_percent: Some(memory),
        disks: vec![Disk {
            path: "/srv".to_owned(),
            used_percent: Some(used),
            ..Disk::default()
        }],
        ..Metrics::default()
    };
    Run {
        command: "cycle".to_owned(),
        dry_run,
        started: now(),
        duration: Duration::from_millis(410),
        base: PathBuf::from("/srv/bot"),
        config: Some(PathBuf::from("/srv/bot/sysopt.toml")),
        outcome: Some(outcome),
        before: Some(metrics(41.0, 71.0)),
        after: (!dry_run).then(|| metrics(40.2, 70.4)),
        exit: if dry_run { 0 } else { 3 },
        ..Run::default()
    }
}
