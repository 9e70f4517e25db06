//! `archive-models` killed at every call that changes something: nothing is lost, both lists say
//! what is there, and the next run brings it to the same end.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::fixture::{DAY, Ran, Tree};
use crate::require;

const CALLS: [&str; 9] = [
    "mkdirat",
    "write",
    "fdatasync",
    "fsync",
    "ftruncate",
    "fchmod",
    "renameat",
    "renameat2",
    "unlinkat",
];

/// A model that is new, one whose content is archived already, and one whose older version makes
/// room for it; with the archive inside, or on another filesystem.
struct Scene {
    tree: Tree,
    archive: PathBuf,
    _elsewhere: Option<TempDir>,
}

impl Scene {
    fn new(elsewhere: Option<&Path>) -> Self {
        let tree = Tree::new();
        let elsewhere = elsewhere.map(|place| {
            let named = tempfile::Builder::new().prefix("sysopt").tempdir_in(place);
            named.unwrap()
        });
        let mut config = "[models]\nmax_archived_models = 1\nage_by = 'modified'\n".to_owned();
        let archive = match &elsewhere {
            None => tree.path("models/archived"),
            Some(dir) => {
                let path = dir.path().join("archive");
                config.push_str("archive_directory = '");
                config.push_str(&path.to_string_lossy());
                config.push_str("'\n");
                path
            }
        };
        tree.config(&config);
        tree.aged("models/joined.pkl", b"joined", 40 * DAY);
        tree.aged("models/sub/renewed.pkl", b"one", 30 * DAY);
        archived(&tree);
        tree.aged("models/joined.pkl", b"joined", 10 * DAY);
        tree.aged("models/sub/renewed.pkl", b"two", 20 * DAY);
        tree.aged("models/new/new.pkl", b"new", 20 * DAY);
        Self {
            tree,
            archive,
            _elsewhere: elsewhere,
        }
    }

    /// Runs it, killed on the n-th call of a kind; whether it came so far.
    fn killed(&self, call: &str, number: usize) -> bool {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
        command.arg(format!("inject={call}:signal=KILL:when={number}"));
        command.arg(env!("CARGO_BIN_EXE_sysopt"));
        let args = ["-C", ".", "--threads", "1", "archive-models"];
        self.tree.prepare(&mut command, &args);
        let ran = Ran::from(command.output().unwrap());
        assert!(matches!(ran.code, None | Some(0 | 137)), "{ran:?}");
        ran.code != Some(0)
    }

    /// Name and content of what is archived.
    fn stored(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files(&self.archive)
            .into_iter()
            .filter(|(path, _)| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name != "manifest.jsonl" && !name.starts_with(".sysopt-")
            })
            .collect()
    }

    fn assert_nothing_is_lost(&self, at: &str) {
        let mut all: Vec<Vec<u8>> = files(&self.tree.path("models")).into_values().collect();
        all.extend(self.stored().into_values());
        let have = |content: &[u8]| all.iter().any(|one| one == content);
        assert!(have(b"joined") && have(b"two") && have(b"new"), "{at}");
        let two = self.stored().values().any(|one| one == b"two");
        assert!(have(b"one") || two, "{at}");
    }

    fn assert_lists_agree(&self, at: &str) {
        let ran = self.tree.run(&["-C", ".", "restore-models", "--verify"]);
        assert_eq!(ran.code, Some(0), "{at} {ran:?}");
        let mut sums = Command::new("sha256sum");
        sums.args(["--strict", "--quiet", "-c", "SHA256SUMS"]);
        let sums = sums.current_dir(&self.archive).stdin(Stdio::null());
        let ran = Ran::from(sums.output().unwrap());
        assert_eq!(ran.code, Some(0), "{at} {ran:?}");
    }
}

fn archived(tree: &Tree) {
    let ran = tree.run(&["-C", ".", "archive-models"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let below = entry.path().strip_prefix(dir).unwrap().to_path_buf();
            (below, fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn killed_everywhere(elsewhere: Option<&Path>) {
    let whole = Scene::new(elsewhere);
    archived(&whole.tree);
    let expected = whole.stored();
    assert_eq!(expected.len(), 4, "three models and a list of digests");
    let mut kills = 0;
    for call in CALLS {
        for number in 1.. {
            let scene = Scene::new(elsewhere);
            let at = format!("{call} {number}");
            let killed = scene.killed(call, number);
            scene.assert_nothing_is_lost(&at);
            scene.assert_lists_agree(&at);
            archived(&scene.tree);
            scene.assert_lists_agree(&at);
            let names = |stored: BTreeMap<PathBuf, Vec<u8>>| {
                let list = Path::new("SHA256SUMS");
                let models = stored.into_iter().filter(|(path, _)| path != list);
                models.collect::<Vec<_>>()
            };
            assert_eq!(names(scene.stored()), names(expected.clone()), "{at}");
            let left = files(&scene.tree.path("models"));
            let left = left.keys().filter(|path| !path.starts_with("archived"));
            assert_eq!(left.count(), 0, "{at}");
            if !killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 30, "{kills} calls change something");
}

#[test]
fn killed_at_any_call_nothing_is_lost_and_the_next_run_ends_the_same() {
    if require::tool("strace") {
        killed_everywhere(None);
    }
}

#[test]
fn the_same_with_the_archive_on_another_filesystem() {
    if !require::tool("strace") {
        return;
    }
    let memory = Path::new("/dev/shm");
    let here = std::env::temp_dir().metadata().unwrap().dev();
    if memory.metadata().is_ok_and(|there| there.dev() != here) {
        killed_everywhere(Some(memory));
    } else {
        require::missing("no second filesystem at /dev/shm");
    }
}
