use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use std::path::Path;

type Tested = std::result::Result<(), Box<dyn std::error::Error>>;

/// Ends the child whatever becomes of the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeper(stdin: File, stdout: File, stderr: File) -> std::io::Result<Ended> {
    Command::new("sleep")
        .arg("60")
        .stdin(stdin)
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr))
        .spawn()
        .map(Ended)
}

fn holds(seen: &OpenFiles, file: &fs::Metadata, pid: u32) -> Option<Hold> {
    let holders = seen.holders.get(&(file.dev(), file.ino()))?;
    let holder = holders.iter().find(|holder| holder.pid == pid)?;
    assert_eq!(holder.name, "sleep");
    Some(holder.hold)
}

#[test]
fn open_files_are_seen_with_their_mode() -> Tested {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    fs::write(path("read me\n[12]"), "x")?;
    fs::write(path("unheld"), "x")?;
    let written = File::create(path("-written"))?;
    let appended = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path("log"))?;
    let child = sleeper(File::open(path("read me\n[12]"))?, written, appended)?;
    let seen = super::super::read(&[fs::metadata(directory.path())?.dev()]);
    let hold = |name: &str| -> std::io::Result<Option<Hold>> {
        Ok(holds(&seen, &fs::metadata(path(name))?, child.0.id()))
    };
    assert_eq!(hold("read me\n[12]")?, Some(Hold::Read));
    assert_eq!(hold("-written")?, Some(Hold::Write));
    assert_eq!(hold("log")?, Some(Hold::Append));
    assert_eq!(hold("unheld")?, None);
    let ours = std::process::id();
    assert!(
        seen.holders
            .values()
            .flatten()
            .all(|holder| holder.pid != ours)
    );
    assert!(seen.visibility.looked && seen.visibility.processes > 0);
    Ok(())
}

#[test]
fn only_the_devices_asked_for_are_told_of() -> Tested {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("x");
    fs::write(&file, "x")?;
    let open = || File::open(&file);
    let _child = sleeper(open()?, open()?, open()?)?;
    let metadata = fs::metadata(&file)?;
    let seen = super::super::read(&[]);
    assert!(!seen.holders.contains_key(&(metadata.dev(), metadata.ino())));
    Ok(())
}

#[test]
fn a_file_without_a_name_is_listed_once_with_its_blocks() -> Tested {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("gone (deleted)");
    let mut file = File::create(&path)?;
    file.write_all(&vec![7; 100_000])?;
    file.sync_all()?;
    let metadata = file.metadata()?;
    let child = sleeper(File::open(&path)?, file.try_clone()?, file)?;
    let identity = (metadata.dev(), metadata.ino());
    let listed = |seen: &OpenFiles| -> Vec<DeletedFile> {
        let same = |file: &&DeletedFile| (file.device, file.inode) == identity;
        seen.deleted.iter().filter(same).cloned().collect()
    };
    let named = super::super::read(&[metadata.dev()]);
    assert!(listed(&named).is_empty(), "the text \"(deleted)\" lies");
    fs::remove_file(&path)?;
    let found = listed(&super::super::read(&[]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].bytes, metadata.blocks() * 512);
    assert_eq!(
        (found[0].pid, found[0].process.as_str()),
        (child.0.id(), "sleep")
    );
    assert_eq!(Path::new(&found[0].path), path);
    Ok(())
}

#[test]
fn a_mapped_file_is_seen_without_a_descriptor() -> Tested {
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("sleep");
    let real = ["/bin/sleep", "/usr/bin/sleep"]
        .into_iter()
        .find(|p| Path::new(p).exists());
    fs::copy(real.ok_or("no sleep here")?, &program)?;
    let metadata = fs::metadata(&program)?;
    let mut command = Command::new(&program);
    let child = Ended(command.arg("60").stdin(Stdio::null()).spawn()?);
    // A spawned child maps its program before spawn returns, where vfork is used; give it time
    // where it is not.
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let seen = super::super::read(&[metadata.dev()]);
        match holds(&seen, &metadata, child.0.id()) {
            None if Instant::now() < deadline => {}
            hold => {
                assert_eq!(hold, Some(Hold::Mapped));
                return Ok(());
            }
        }
    }
}

#[test]
fn memory_without_a_disk_is_not_a_deleted_file() {
    let seen = super::super::read(&[]);
    assert!(
        seen.deleted
            .iter()
            .all(|file| !file.path.starts_with("/memfd:"))
    );
}

#[test]
fn a_mapping_counts_for_every_device_that_it_may_be_on() {
    let mount = |device, kind: &str| Mount {
        device,
        kind: kind.to_owned(),
        options: String::new(),
    };
    let mounts = [
        mount(1, "ext4"),
        mount(2, "btrfs"),
        mount(3, "overlay"),
        mount(4, "xfs"),
    ];
    // 22 is a subvolume of 2, 99 is a device of another mount namespace.
    let devices = Devices::new(vec![1, 22, 3], &mounts);
    for (device, expected) in [
        (1, &[1][..]),
        (4, &[]),
        (2, &[22, 3]),
        (3, &[22, 3]),
        (99, &[22, 3]),
    ] {
        assert_eq!(devices.of_mapping(device), expected, "{device}");
    }
    let simple = Devices::new(vec![1], &mounts);
    assert_eq!(simple.of_mapping(2), [0_u64; 0]);
}

#[test]
fn a_path_that_is_not_utf8_is_shown_escaped() {
    use std::os::unix::ffi::OsStrExt as _;
    let path = |bytes| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    assert_eq!(escaped(path(b"/a\xff\nb (deleted)")), "/a\\xff\nb");
    assert_eq!(escaped(path(b"/a (deleted) (deleted)")), "/a (deleted)");
}

#[test]
fn directories_that_somebody_works_in_or_has_open_are_seen() -> Tested {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    for name in ["place", "open", "free"] {
        fs::create_dir(path(name))?;
    }
    let child = Command::new("sleep")
        .arg("60")
        .current_dir(path("place"))
        .stdin(File::open(path("open"))?)
        .spawn()
        .map(Ended)?;
    let seen = super::super::read(&[fs::metadata(directory.path())?.dev()]);
    let hold = |name: &str| -> std::io::Result<Option<Hold>> {
        Ok(holds(&seen, &fs::metadata(path(name))?, child.0.id()))
    };
    assert_eq!(hold("place")?, Some(Hold::Read));
    assert_eq!(hold("open")?, Some(Hold::Read));
    assert_eq!(hold("free")?, None);
    Ok(())
}
