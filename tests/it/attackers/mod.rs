//! Another user at work in the directories while sysopt runs as root: links, hard links, FIFOs,
//! devices, mounts, lies in the records. What stands outside is not read, changed or added to.

mod records;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fixture::{DAY, Ran, Shot, Tree, finish, mount, set_age, set_mode, snapshot};
use crate::require;

/// The user who attacks; nobody of that number exists.
const MALLORY: u32 = 4321;

/// All operations, with nothing to hold them back.
const GREEDY: &str = "\
[cache]\nmax_size = '1B'\npreserve_recent = '1s'\n\
[logs]\nmax_file_size = '1KiB'\nmax_files_per_logger = 1\nmax_age = '1d'\nsettle = '1s'\n\
[models]\narchive_after = '1d'\nkeep_latest = 0\nmax_archived_models = 1\n\
[garbage]\ndelete = ['broken_symlinks', 'empty_directories', 'pid_files']\n";

const COMMANDS: [&[&str]; 5] = [
    &["clean-cache"],
    &["rotate-logs", "--force"],
    &["archive-models"],
    &["restore-models", "--all"],
    &["cycle", "--force"],
];

/// A base that belongs to the attacker, a configuration of root's beside it, and a victim.
struct Scene {
    tree: Tree,
    configuration: PathBuf,
    victim: PathBuf,
    before: Shot,
}

impl Scene {
    fn new() -> Self {
        let tree = Tree::new();
        let configuration = tree.outside().join("sysopt.toml");
        let text = format!("root = '{}'\n{GREEDY}", tree.base().display());
        fs::write(&configuration, text).unwrap();
        let victim = tree.outside().join("victim");
        for directory in ["cache", "logs", "models", "temp"] {
            fill(&victim.join(directory));
        }
        Self {
            before: snapshot(&victim),
            configuration,
            victim,
            tree,
        }
    }

    /// The victim's files as they are now are those that must stay.
    fn remember(&mut self) {
        self.before = snapshot(&self.victim);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.tree.command::<&str>(&[]);
        command.arg("-c").arg(&self.configuration);
        command.current_dir(self.tree.outside());
        command.args(["--threads", "1", "--format", "json"]);
        command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args).spawn().unwrap(), Duration::from_mins(2))
    }

    /// Runs it under strace and returns the opens.
    fn traced(&self, args: &[&str]) -> (Ran, String) {
        let log = self.tree.outside().join("trace");
        let ours = self.command(args);
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-qq", "-e", "trace=openat,openat2,open", "-o"]);
        command.arg(&log).arg(ours.get_program());
        self.tree.prepare(&mut command, &[] as &[&str]);
        command.current_dir(self.tree.outside());
        command.args(ours.get_args());
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let ran = finish(child.unwrap(), Duration::from_mins(2));
        let bytes = fs::read(log).unwrap();
        (ran, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Runs each command, and the victim has all that it had, unread.
    fn withstands_all(&self) {
        for args in COMMANDS {
            let (ran, opens) = self.traced(args);
            assert!(matches!(ran.code, Some(0..=3)), "{args:?} {ran:?}");
            self.holds(&format!("{args:?} {ran:?}"));
            for line in opens.lines() {
                // Looking who owns a directory (O_PATH) reads nothing of it.
                let harmless = line.contains(" = -1") || line.contains("O_PATH");
                let outside = line.contains("/victim");
                assert!(harmless || !outside, "{args:?} opened it: {line}");
            }
        }
    }

    fn holds(&self, what: &str) {
        let now = snapshot(&self.victim);
        assert!(now == self.before, "outside: {what}\n{now:#?}");
    }
}

/// Something to do for each operation.
fn fill(place: &Path) {
    fs::create_dir_all(place).unwrap();
    for name in [
        "a.bin",
        "app.log",
        "m.pkl",
        "x.tmp",
        "app.log-20250101T000000Z",
    ] {
        let path = place.join(name);
        fs::write(&path, vec![b'v'; 9000]).unwrap();
        set_age(&path, 30 * DAY);
    }
}

fn link(target: &Path, at: &Path, owner: u32) {
    symlink(target, at).unwrap();
    lchown(at, Some(owner), Some(owner)).unwrap();
}

fn give(path: &Path) {
    for entry in walkdir::WalkDir::new(path) {
        lchown(entry.unwrap().path(), Some(MALLORY), Some(MALLORY)).unwrap();
    }
}

/// Sets ages again, which giving away keeps, and gives all of a place to the attacker.
fn theirs(place: &Path) {
    fill(place);
    give(place);
}

#[test]
fn a_directory_that_became_another_users_link_is_not_followed() {
    if !require::root() || !require::tool("strace") {
        return;
    }
    for deep in [false, true] {
        let scene = Scene::new();
        let base = scene.tree.base();
        if deep {
            // The base itself, replaced in a directory that the attacker can write.
            fs::remove_dir(&base).unwrap();
            link(&scene.victim, &base, MALLORY);
        } else {
            for name in ["cache", "logs", "models", "temp"] {
                link(&scene.victim.join(name), &base.join(name), MALLORY);
            }
        }
        scene.withstands_all();
        if !deep {
            let ran = scene.run(&["clean-cache"]);
            assert_eq!(ran.code, Some(3), "{ran:?}");
            assert!(ran.stdout.contains("symbolic link of user 4321"), "{ran:?}");
        }
    }
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it acts on what may be in use")]
fn a_link_of_root_and_one_to_what_is_its_owners_are_followed() {
    if !require::root() {
        return;
    }
    for owner in [0, MALLORY] {
        let scene = Scene::new();
        let store = scene.tree.outside().join("store");
        fill(&store);
        if owner == MALLORY {
            give(&store);
        }
        link(&store, &scene.tree.path("hop"), owner);
        link(Path::new("../base/hop/."), &scene.tree.path("cache"), owner);
        let ran = scene.run(&["clean-cache"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!store.join("a.bin").exists(), "{owner}: {ran:?}");
    }
}

#[test]
fn state_pace_file_and_textfile_go_through_nobody_elses_link() {
    if !require::root() {
        return;
    }
    let scene = Scene::new();
    give(&scene.tree.base());
    link(&scene.victim, &scene.tree.path("run"), MALLORY);
    let mut text = fs::read_to_string(&scene.configuration).unwrap();
    text.insert_str(0, "state_directory = 'run/state'\n");
    text.push_str("[agents]\npace_file = 'run/pace.json'\n");
    let textfile = scene.tree.path("run/sysopt.prom");
    text.push_str("[export]\ntextfile = '");
    text.push_str(textfile.to_str().unwrap());
    text.push_str("'\n");
    fs::write(&scene.configuration, text).unwrap();
    let ran = scene.run(&["cycle", "--force"]);
    assert!(matches!(ran.code, Some(0..=3)), "{ran:?}");
    scene.holds(&format!("{ran:?}"));

    let scene = Scene::new();
    give(&scene.tree.base());
    link(&scene.victim, &scene.tree.path(".sysopt"), MALLORY);
    let ran = scene.run(&["cycle", "--force"]);
    assert!(matches!(ran.code, Some(0..=3)), "{ran:?}");
    scene.holds(&format!("{ran:?}"));
}

/// Plants everything that a user can make, under the names that sysopt looks for.
fn plant(scene: &Scene, directory: &Path) {
    let victim = scene.victim.join("models");
    let named = |name: &str| directory.join(name);
    for name in [
        "l.log",
        "l.pkl",
        "l.tmp",
        "l.log-20250102T000000Z.gz",
        "app.log-20250103T000000Z",
    ] {
        link(&victim.join("m.pkl"), &named(name), MALLORY);
    }
    link(&victim, &named("into"), MALLORY);
    link(Path::new("/"), &named("root"), MALLORY);
    link(Path::new("loop"), &named("loop"), MALLORY);
    for name in ["f.log", "f.pkl", "f.bin", "f.tmp", "f.log-20250101T000000Z"] {
        let made = Command::new("mkfifo").arg(named(name)).status();
        assert!(made.unwrap().success());
    }
    for name in ["d.log", "d.pkl", "d.bin"] {
        let made = Command::new("mknod")
            .arg(named(name))
            .args(["c", "1", "3"])
            .status();
        assert!(made.unwrap().success());
    }
    for name in ["h.log", "h.pkl", "h.bin", "h.tmp"] {
        fs::hard_link(victim.join("a.bin"), named(name)).unwrap();
    }
    drop(std::os::unix::net::UnixListener::bind(named("s.log")).unwrap());
    for name in [
        &b"-rf.log"[..],
        b"new\nline.pkl",
        b"\xff\xfe.bin",
        b"[ab]*.log",
        b"...",
    ] {
        let path = directory.join(OsString::from_vec(name.to_vec()));
        fs::write(&path, vec![b'n'; 5000]).unwrap();
        set_age(&path, 30 * DAY);
    }
}

#[test]
fn what_is_planted_in_the_directories_leads_nowhere() {
    if !require::root() || !require::tool("strace") {
        return;
    }
    let mut scene = Scene::new();
    for name in ["cache", "logs", "models", "temp", "models/archived"] {
        let directory = scene.tree.path(name);
        fs::create_dir_all(&directory).unwrap();
        if name != "models/archived" {
            fill(&directory);
        }
        plant(&scene, &directory);
        lchown(&directory, Some(MALLORY), Some(MALLORY)).unwrap();
    }
    chown(scene.tree.base(), Some(MALLORY), Some(MALLORY)).unwrap();
    scene.remember();
    scene.withstands_all();
}

/// Exchanges a directory and a link to the victim, as fast as it goes, while root works there.
fn swapping(names: &[(PathBuf, PathBuf)], work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (one, other) in names {
                    // One that is gone, emptied by the run, has nothing to be exchanged.
                    let _ = rustix::fs::renameat_with(
                        rustix::fs::CWD,
                        one,
                        rustix::fs::CWD,
                        other,
                        rustix::fs::RenameFlags::EXCHANGE,
                    );
                }
            }
        });
        work();
        stop.store(true, Ordering::Relaxed);
    });
}

fn swapped(rounds: usize) {
    let scene = Scene::new();
    for _ in 0..rounds {
        let base = scene.tree.base();
        let _ = fs::remove_dir_all(&base);
        let mut names = Vec::new();
        for name in ["cache", "logs", "models", "temp"] {
            let (real, decoy) = (base.join(name).join("sub"), base.join(name).join("decoy"));
            theirs(&real);
            give(&base.join(name));
            link(&scene.victim.join(name), &decoy, MALLORY);
            names.push((real, decoy));
            let top = base.join(format!("{name}-decoy"));
            link(&scene.victim.join(name), &top, MALLORY);
            names.push((base.join(name), top));
        }
        swapping(&names, || {
            for args in COMMANDS {
                let ran = scene.run(args);
                assert!(matches!(ran.code, Some(0..=3)), "{args:?} {ran:?}");
            }
        });
        scene.holds("directories swapped for links");
    }
}

#[test]
fn directories_swapped_for_links_all_the_while_lead_nowhere() {
    if require::root() {
        swapped(2);
    }
}

#[test]
#[ignore = "slow: 40 rounds of all commands against an attacker who swaps"]
fn directories_swapped_for_links_forty_times_lead_nowhere() {
    if require::root() {
        swapped(40);
    }
}

#[test]
fn what_is_mounted_into_the_directories_is_not_theirs() {
    if !require::own_machine(what_is_mounted_into_the_directories_is_not_theirs) {
        return;
    }
    let scene = Scene::new();
    let place = |name: &str| scene.tree.path(name);
    for name in ["cache", "logs", "models", "temp"] {
        theirs(&place(name));
        for below in ["sub", "models-of-others"] {
            fs::create_dir(place(name).join(below)).unwrap();
        }
        let victim = scene.victim.join(name);
        mount(
            &["--bind", victim.to_str().unwrap()],
            &place(name).join("sub"),
        );
    }
    for (file, at) in [
        ("logs/app.log", "logs/mounted.log"),
        ("models/m.pkl", "models/mounted.pkl"),
        ("cache/a.bin", "cache/mounted.bin"),
        ("temp/x.tmp", "temp/mounted.tmp"),
    ] {
        fs::write(place(at), "").unwrap();
        let file = scene.victim.join(file);
        mount(&["--bind", file.to_str().unwrap()], &place(at));
    }
    for args in COMMANDS {
        let ran = scene.run(args);
        assert!(matches!(ran.code, Some(0..=3)), "{args:?} {ran:?}");
        scene.holds(&format!("{args:?} {ran:?}"));
    }
}

#[test]
fn what_root_makes_among_users_files_is_theirs() {
    if !require::root() {
        return;
    }
    let scene = Scene::new();
    for name in ["cache", "logs", "models", "temp"] {
        theirs(&scene.tree.path(name));
    }
    give(&scene.tree.base());
    for args in COMMANDS {
        let ran = scene.run(args);
        assert!(matches!(ran.code, Some(0 | 3)), "{args:?} {ran:?}");
    }
    for entry in walkdir::WalkDir::new(scene.tree.base()) {
        let entry = entry.unwrap();
        let seen = entry.path().symlink_metadata().unwrap();
        let owner = (seen.uid(), seen.gid());
        assert_eq!(owner, (MALLORY, MALLORY), "{}", entry.path().display());
        assert_eq!(seen.permissions().mode() & 0o6002, 0, "{entry:?}");
    }
    scene.holds("work among the files of a user");
}

#[test]
fn a_configuration_that_others_can_write_is_refused() {
    if !require::root() {
        return;
    }
    let scene = Scene::new();
    theirs(&scene.tree.path("cache"));
    let base = scene.tree.snapshot();
    let trap: [fn(&Path); 4] = [
        |file| set_mode(file, 0o666),
        |file| chown(file, Some(MALLORY), None).unwrap(),
        |file| set_mode(file.parent().unwrap(), 0o777),
        |file| {
            fs::remove_file(file).unwrap();
            assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
        },
    ];
    for make in trap {
        let place = scene.tree.outside().join("etc");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        let file = place.join("sysopt.toml");
        fs::copy(&scene.configuration, &file).unwrap();
        make(&file);
        let mut command = scene.tree.command(&["-c"]);
        command.arg(&file).args(["cycle", "--force"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let ran = finish(command.spawn().unwrap(), Duration::from_mins(1));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(scene.tree.snapshot() == base, "{ran:?}");
    }
}
