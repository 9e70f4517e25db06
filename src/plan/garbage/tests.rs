//! The classes of garbage as tables.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::super::action::shown_subject;
use super::super::entry::{Kind, LinkTarget, Problem, Walk};
use super::super::host::{DeletedFile, Hold, Visibility};
use super::super::outcome::Status;
use super::super::processes::Zombie;
use super::super::testing::{DAY, HOUR, NOW, Tree, ago, file, linked, special};
use super::*;

pub(super) fn policy() -> GarbagePolicy {
    GarbagePolicy {
        enabled: true,
        stale_after: Duration::from_hours(24),
        delete_broken_symlinks: false,
        delete_empty_directories: false,
        delete_pid_files: false,
    }
}

fn everything() -> GarbagePolicy {
    GarbagePolicy {
        delete_broken_symlinks: true,
        delete_empty_directories: true,
        delete_pid_files: true,
        ..policy()
    }
}

pub(super) fn planned(policy: &GarbagePolicy, tree: &Tree) -> OperationPlan {
    let evidence = GarbageEvidence::default();
    plan(policy, &tree.inventory, &evidence, Clock::at(NOW))
}

fn acted(inventory: &Inventory, plan: &OperationPlan) -> Vec<PathBuf> {
    plan.actions
        .iter()
        .map(|action| shown_subject(inventory, action.subject))
        .collect()
}

fn figures(plan: &OperationPlan, class: Class) -> (u64, u64, u64) {
    let figures = &plan.metadata["classes"][class.name()];
    let figure = |key: &str| figures[key].as_u64().unwrap_or(u64::MAX);
    (figure("examined"), figure("dead"), figure("collected"))
}

#[test]
fn stale_temporary_files_go_in_garbage_directories_and_are_reported_elsewhere() {
    let mut tree = Tree::new();
    let temp = tree.root(Role::Garbage, "tmp");
    let models = tree.root(Role::Models, "models");
    tree.add(temp, "old.tmp", file(4096, DAY));
    tree.add(temp, "young.part", file(4096, DAY - 1));
    let read = super::super::entry::Stat {
        atime: ago(HOUR),
        ..file(4096, 9 * DAY)
    };
    tree.add(temp, "read.part", read);
    tree.add(temp, "two.tmp", linked(4096, 9 * DAY, 5, 2));
    let held = tree.add(temp, "held.tmp", file(4096, 9 * DAY));
    tree.hold(held, 1, Hold::Mapped);
    let mut other = file(4096, 9 * DAY);
    other.owner.uid = 0;
    tree.add(temp, "other.tmp", other);
    for name in [".nfs00.tmp", "x.lock", "data.bin", "lock"] {
        tree.add(temp, name, file(4096, 9 * DAY));
    }
    tree.add(temp, "s.tmp", special(Kind::Socket, 9 * DAY));
    let paused = tree.add(models, "m.pt.partial", file(4096, 9 * DAY));
    let plan = planned(&everything(), &tree);
    assert_eq!(acted(&tree.inventory, &plan), [Path::new("tmp/old.tmp")]);
    assert_eq!(plan.estimate, Some(4096));
    assert_eq!(plan.kept.len(), 1);
    assert_eq!(plan.kept[0].subject, Subject::Entry(paused));
    assert_eq!(figures(&plan, Class::TemporaryFiles), (7, 2, 1));
    assert_eq!(
        plan.metadata["classes"]["temporary_files"]["skipped"],
        json!({"recent": 2, "several_links": 1, "in_use": 1, "other_user": 1, "reported_only": 1})
    );
}

#[test]
fn root_collects_what_the_owner_of_the_directory_made() {
    let mut tree = Tree::new();
    let temp = tree.root(Role::Garbage, "tmp");
    tree.add(temp, "a.tmp", file(1, 9 * DAY));
    let mut foreign = file(1, 9 * DAY);
    foreign.owner.uid = 7;
    tree.add(temp, "b.tmp", foreign);
    tree.inventory.uid = 0;
    let plan = planned(&policy(), &tree);
    assert_eq!(acted(&tree.inventory, &plan), [Path::new("tmp/a.tmp")]);
}

#[test]
fn own_temporary_files_are_dead_after_an_hour_also_in_an_archive() {
    let mut tree = Tree::new();
    let logs = tree.root(Role::Logs, "logs");
    let archive = tree.root(Role::Archive, "archived");
    tree.add(logs, ".sysopt-1.tmp", file(4096, HOUR));
    tree.add(logs, ".sysopt-2.tmp", file(4096, HOUR - 1));
    tree.add(archive, ".sysopt-3.tmp", file(4096, 9 * DAY));
    tree.add(archive, "model.tmp", file(4096, 9 * DAY));
    let plan = planned(&policy(), &tree);
    assert_eq!(
        acted(&tree.inventory, &plan),
        ["archived/.sysopt-3.tmp", "logs/.sysopt-1.tmp"].map(Path::new)
    );
    assert_eq!(plan.actions[0].reason, Reason::OwnTemporary);
}

#[test]
fn bytecode_is_garbage_only_in_a_pycache_and_without_its_source() {
    let mut tree = Tree::new();
    let root = tree.root(Role::Cache, "cache");
    tree.add(root, "p/a.py", file(10, DAY));
    tree.add(root, "p/w.pyw", file(10, DAY));
    for name in [
        "p/__pycache__/a.cpython-312.pyc",
        "p/__pycache__/w.cpython-312.pyc",
        "p/__pycache__/b.cpython-312.pyc",
        "p/__pycache__/b.cpython-312.opt-2.pyc",
        "p/c.cpython-312.pyc",
        "p/__pycache__/odd.pyc",
    ] {
        tree.add(root, name, file(4096, DAY));
    }
    let top = tree.root(Role::Garbage, "__pycache__");
    tree.add(top, "x.cpython-312.pyc", file(4096, DAY));
    let plan = planned(&policy(), &tree);
    assert_eq!(
        acted(&tree.inventory, &plan),
        [
            "cache/p/__pycache__/b.cpython-312.opt-2.pyc",
            "cache/p/__pycache__/b.cpython-312.pyc"
        ]
        .map(PathBuf::from)
    );
    assert_eq!(figures(&plan, Class::Bytecode), (4, 2, 2));
}

#[test]
fn links_directories_and_pid_files_are_reported_unless_opted_in() {
    let mut tree = Tree::new();
    let root = tree.root(Role::Logs, "logs");
    let broken = tree.add(root, "broken", special(Kind::Symlink, DAY));
    let editor = tree.add(root, ".#notes", special(Kind::Symlink, DAY));
    let good = tree.add(root, "good", special(Kind::Symlink, DAY));
    for (id, target) in [
        (broken, LinkTarget::Broken),
        (editor, LinkTarget::Broken),
        (good, LinkTarget::File(1, 2)),
    ] {
        tree.inventory.links.insert(id, target);
    }
    tree.directory(root, "empty");
    let young = tree.directory(root, "young");
    tree.inventory.directories[young.0 as usize].mtime = ago(7 * DAY - 1);
    tree.directory_as(root, Path::new("mounted"), Walk::Mount);
    let dead = tree.add(root, "dead.pid", file(5, DAY));
    tree.add(root, "live.pid", file(5, DAY));
    tree.add(root, "large.pid", file(500, DAY));
    let wanted = pid_files_wanted(&tree.inventory);
    assert_eq!(wanted, [dead, EntryId(dead.0 + 1)]);
    let evidence = GarbageEvidence {
        dead_pid_files: HashSet::from([dead]),
        ..GarbageEvidence::default()
    };
    let of = |policy: &GarbagePolicy| plan(policy, &tree.inventory, &evidence, Clock::at(NOW));
    let reported = of(&policy());
    assert!(reported.actions.is_empty());
    assert_eq!(reported.kept.len(), 3);
    assert_eq!(reported.metadata["objects_before"], json!(3));
    assert_eq!(reported.metadata["objects_after"], json!(3));
    let collected = of(&everything());
    assert_eq!(
        acted(&tree.inventory, &collected),
        ["logs/broken", "logs/dead.pid", "logs/empty"].map(PathBuf::from)
    );
    assert_eq!(collected.actions[2].verb, Verb::RemoveDirectory);
    assert_eq!(collected.metadata["objects_after"], json!(0));
}

#[test]
fn what_processes_hold_is_reported_with_advice() {
    let mut tree = Tree::new();
    tree.inventory.open.deleted.push(DeletedFile {
        pid: 7,
        process: "python".into(),
        path: "/x (deleted)".into(),
        bytes: 8192,
        device: 1,
        inode: 2,
    });
    let evidence = GarbageEvidence {
        zombies: vec![Zombie {
            pid: 9,
            name: "sh".into(),
            parent: Some(1),
            parent_name: Some("init".into()),
            age_seconds: Some(90),
        }],
        shm: vec![SharedMemory {
            path: "/dev/shm/x".into(),
            bytes: 4096,
        }],
        ..GarbageEvidence::default()
    };
    let plan = plan(&everything(), &tree.inventory, &evidence, Clock::at(NOW));
    assert!(plan.actions.is_empty());
    assert_eq!(plan.estimate, Some(0));
    assert_eq!(plan.metadata["objects_before"], json!(3));
    let file = &plan.metadata["deleted_open_files"][0];
    assert_eq!(file["bytes"], json!(8192));
    assert_eq!(
        file["advice"],
        json!("restart or signal python (pid 7) to give the space back")
    );
    assert_eq!(figures(&plan, Class::Zombies), (1, 1, 0));
}

#[test]
fn ages_are_not_trusted_when_the_clock_jumped() {
    let mut tree = Tree::new();
    let root = tree.root(Role::Garbage, "tmp");
    tree.add(root, "a.tmp", file(1, 9 * DAY));
    tree.add(root, ".sysopt-a.tmp", file(1, 9 * DAY));
    tree.add(root, "p/__pycache__/a.cpython-312.pyc", file(1, DAY));
    tree.directory(root, "empty");
    let clock = Clock {
        now: NOW,
        jumped: true,
    };
    let evidence = GarbageEvidence::default();
    let plan = plan(&everything(), &tree.inventory, &evidence, clock);
    assert_eq!(plan.actions.len(), 1);
    assert_eq!(plan.actions[0].reason, Reason::OrphanedBytecode);
}

#[test]
fn after_the_run_only_what_was_done_is_collected() {
    let mut tree = Tree::new();
    let root = tree.root(Role::Garbage, "tmp");
    for name in ["a.tmp", "b.tmp", "c.tmp", "d.tmp"] {
        tree.add(root, name, file(4096, 9 * DAY));
    }
    let plan = planned(&policy(), &tree);
    let planned = [Status::Planned; 4];
    assert_eq!(
        metadata_after(&plan, &tree.inventory, &planned),
        plan.metadata
    );
    let statuses = [Status::Done, Status::Failed, Status::Changed];
    let after = metadata_after(&plan, &tree.inventory, &statuses);
    assert_eq!(after["objects_before"], json!(4));
    assert_eq!(after["objects_after"], json!(3));
    let figures = &after["classes"]["temporary_files"];
    assert_eq!(figures["dead"], json!(4));
    assert_eq!(figures["collected"], json!(1));
    assert_eq!(figures["bytes"], json!(4 * 4096));
    assert_eq!(figures["bytes_collected"], json!(4096));
    let skipped = json!({"failed": 1, "changed": 1, "not_reached": 1});
    assert_eq!(figures["skipped"], skipped);
}

#[test]
fn bytecode_stays_where_its_source_cannot_be_looked_at() {
    let mut tree = Tree::new();
    let root = tree.root(Role::Cache, "cache");
    for name in ["a", "b"] {
        tree.add(root, format!("p/__pycache__/{name}.pyc"), file(10, DAY));
        let name = format!("p/__pycache__/{name}.cpython-312.pyc");
        tree.add(root, &name, file(10, DAY));
    }
    tree.inventory.problems.push(Problem {
        root,
        path: "cache/p/a.py".into(),
        error: "Input/output error".to_owned(),
    });
    let plan = planned(&policy(), &tree);
    assert_eq!(
        acted(&tree.inventory, &plan),
        [Path::new("cache/p/__pycache__/b.cpython-312.pyc")]
    );
}

#[test]
fn bytecode_goes_together_with_the_broken_link_that_was_its_source() {
    let mut tree = Tree::new();
    let root = tree.root(Role::Cache, "cache");
    let link = tree.add(root, "p/a.py", special(Kind::Symlink, DAY));
    tree.inventory.links.insert(link, LinkTarget::Broken);
    tree.add(root, "p/__pycache__/a.cpython-312.pyc", file(10, DAY));
    assert!(planned(&policy(), &tree).actions.is_empty());
    assert_eq!(planned(&everything(), &tree).actions.len(), 2);
}

#[test]
fn without_a_process_table_only_what_its_own_lock_proves_dead_goes() {
    let mut tree = Tree::new();
    let temp = tree.root(Role::Garbage, "tmp");
    tree.add(temp, "old.tmp", file(4096, 9 * DAY));
    tree.add(temp, "__pycache__/a.cpython-312.pyc", file(4096, 9 * DAY));
    tree.add(temp, ".sysopt-1.tmp", file(4096, 9 * DAY));
    let link = tree.add(temp, "link", special(Kind::Symlink, 9 * DAY));
    tree.inventory.links.insert(link, LinkTarget::Broken);
    assert_eq!(planned(&everything(), &tree).actions.len(), 4);
    tree.inventory.open.visibility = Visibility::default();
    let plan = planned(&everything(), &tree);
    assert_eq!(
        acted(&tree.inventory, &plan),
        [Path::new("tmp/.sysopt-1.tmp"), Path::new("tmp/link")]
    );
    for class in ["temporary_files", "bytecode"] {
        let skipped = &plan.metadata["classes"][class]["skipped"];
        assert_eq!(*skipped, json!({ "unseen": 1 }), "{class}");
    }
    assert!(plan.warnings[0].contains("2 of what was due"));
}
