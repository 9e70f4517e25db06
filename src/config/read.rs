//! Reading a configuration file, where it can be trusted.
//!
//! The file decides what is deleted. So it, and every directory and link on the way to it, must
//! belong to root or the caller, and nobody else may be able to write them.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::error::{ConfigError, place};

/// No configuration that people write is longer, in bytes.
const LONGEST: u64 = 1 << 20;
/// As many links as the kernel follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Reads a trusted text file. A UTF-8 byte order mark is not part of the text.
///
/// # Errors
/// The file cannot be read, is no regular file, is empty or longer than 1 MiB, is not UTF-8, or is
/// not trusted; each with what to do.
pub fn read(path: &Path, uid: u32) -> Result<String, ConfigError> {
    let fail = |error: io::Error| ConfigError::whole(path, error.to_string());
    let file = open(path).map_err(fail)?;
    let opened = file.metadata().map_err(fail)?;
    if opened.is_dir() {
        let error = ConfigError::whole(path, "this is a directory");
        return Err(error.help("name the file in it"));
    }
    if !opened.is_file() {
        return Err(ConfigError::whole(path, "this is not a regular file"));
    }
    let walked = walk(path, uid).map_err(|problem| problem.describe(path, uid))?;
    if (walked.dev(), walked.ino()) != (opened.dev(), opened.ino()) {
        return Err(ConfigError::whole(
            path,
            "it was replaced while it was read",
        ));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if bytes.len() as u64 > LONGEST {
        let error = ConfigError::whole(path, "it is longer than 1MiB");
        return Err(error.help("is this a configuration of sysopt?"));
    }
    let text = decode(path, bytes)?;
    // A full disk or a crash leaves such files: what stood there must not become the defaults.
    if text.trim().is_empty() {
        let error = ConfigError::whole(path, "this file is empty");
        return Err(error.help("a comment alone means all defaults"));
    }
    Ok(text)
}

/// A FIFO without a writer must not hang, and reading must not change the access time where the
/// kernel lets it (`O_NOATIME` is for the owner and root).
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    #[cfg(target_os = "linux")]
    if let Ok(fd) = rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty()) {
        return Ok(File::from(fd));
    }
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn decode(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let error = ConfigError::whole(path, "this is UTF-16, not UTF-8");
        return Err(error.help("save it as UTF-8"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let lossy = String::from_utf8_lossy(error.as_bytes());
        let mut wrong = ConfigError::whole(path, "this is not UTF-8");
        // What precedes the place is valid, so offsets there are the same in the lossy text.
        wrong.place = Some(Box::new(place(&lossy, &(at..at + 1))));
        wrong.help("save it as UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// Why a path is not trusted.
#[derive(Debug)]
enum Problem {
    Owner(PathBuf, u32),
    Writable(PathBuf, u32),
    Links,
    Io(PathBuf, io::Error),
}

impl Problem {
    fn describe(self, file: &Path, uid: u32) -> ConfigError {
        match self {
            Self::Owner(path, owner) => {
                let message = format!(
                    "not trusted: {} belongs to user {owner}, not to root or to user {uid}, who runs sysopt",
                    quoted(&path)
                );
                let help = format!("as root: chown {uid} {}", quoted(&path));
                ConfigError::whole(file, message).help(help)
            }
            Self::Writable(path, mode) => {
                let message = format!(
                    "not trusted: others can write {} (mode {:04o})",
                    quoted(&path),
                    mode & 0o7777
                );
                let help = format!("chmod go-w {}", quoted(&path));
                ConfigError::whole(file, message).help(help)
            }
            Self::Links => ConfigError::whole(file, "too many symbolic links"),
            Self::Io(path, error) => {
                ConfigError::whole(file, format!("{}: {error}", quoted(&path)))
            }
        }
    }
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

/// Follows a path component by component, checking each, and gives what is at its end.
fn walk(path: &Path, uid: u32) -> Result<Metadata, Problem> {
    let mut pending: Vec<OsString> = Vec::new();
    push(&mut pending, path);
    let mut at = PathBuf::from("/");
    let mut here = look(&at)?;
    check(&at, &here, uid, false)?;
    let mut links = 0;
    while let Some(name) = pending.pop() {
        if name == ".." {
            at.pop();
            here = look(&at)?;
            continue;
        }
        let next = at.join(&name);
        let found = look(&next)?;
        let shared = here.mode() & 0o022 != 0;
        check(&next, &found, uid, shared)?;
        if found.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err(Problem::Links);
            }
            let target = std::fs::read_link(&next).map_err(|error| Problem::Io(next, error))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
                here = look(&at)?;
            }
            push(&mut pending, &target);
        } else {
            at = next;
            here = found;
        }
    }
    Ok(here)
}

fn push(pending: &mut Vec<OsString>, path: &Path) {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    pending.extend(names);
}

fn look(path: &Path) -> Result<Metadata, Problem> {
    std::fs::symlink_metadata(path).map_err(|error| Problem::Io(path.to_path_buf(), error))
}

/// `shared`: others can make names in the directory above, which is sticky, so they can neither
/// remove nor replace this one; but they could have made a hard link to a file of root's.
fn check(path: &Path, found: &Metadata, uid: u32, shared: bool) -> Result<(), Problem> {
    let own = found.uid() == uid || (found.uid() == 0 && (found.is_dir() || !shared));
    if !own {
        return Err(Problem::Owner(path.to_path_buf(), found.uid()));
    }
    let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
    if !found.is_symlink() && !sticky && found.mode() & 0o022 != 0 {
        return Err(Problem::Writable(path.to_path_buf(), found.mode()));
    }
    Ok(())
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_read_as_they_are_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60), text: String) {
            for bytes in [bytes, text.into_bytes()] {
                let plain = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
                match decode(Path::new("f"), bytes.clone()) {
                    Ok(text) => prop_assert_eq!(text.as_bytes(), plain),
                    Err(error) => prop_assert!(error.to_string().contains("not UTF-8")),
                }
            }
        }
    }
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn message(path: &Path, uid: u32) -> String {
        read(path, uid).map_or_else(|error| error.to_string(), |text| format!("read: {text}"))
    }

    #[test]
    fn what_is_not_a_text_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        create_dir(at("d")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        write(at("latin"), b"# caf\xe9\n").unwrap();
        write(at("late"), b"a = 1\n# \xc3\xa4\xe9 x\n").unwrap();
        write(at("utf16"), b"\xff\xfea\0").unwrap();
        write(at("bom"), b"\xef\xbb\xbfa = 1").unwrap();
        write(at("empty"), b"").unwrap();
        write(at("long"), vec![b'#'; (1 << 20) + 1]).unwrap();
        write(at("longest"), vec![b'#'; 1 << 20]).unwrap();
        symlink("gone", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for (name, expected) in [
            ("d", "this is a directory\nhelp: name the file in it"),
            ("fifo", "this is not a regular file"),
            ("latin", ":1:6: this is not UTF-8"),
            ("late", ":2:4: this is not UTF-8"),
            ("utf16", "this is UTF-16, not UTF-8"),
            ("bom", "read: a = 1"),
            ("empty", "this file is empty\nhelp: "),
            ("long", "it is longer than 1MiB"),
            ("longest", "read: ###"),
            ("dangling", "No such file"),
            ("loop", "loop: "),
            ("none", "No such file"),
        ] {
            let message = message(&at(name), uid());
            assert!(message.contains(expected), "{name}: {message}");
        }
    }

    #[test]
    fn what_others_can_write_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mode = |name: &str, mode: u32| {
            set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        };
        create_dir(at("shared")).unwrap();
        create_dir(at("shared/own")).unwrap();
        write(at("shared/own/f"), "x").unwrap();
        write(at("shared/f"), "x").unwrap();
        symlink("shared/own/f", at("link")).unwrap();
        symlink(at("shared/own/f"), at("absolute")).unwrap();
        symlink("shared/own/../../link", at("back")).unwrap();
        let every = ["shared/f", "shared/own/f", "link", "absolute", "back"];
        for name in every {
            assert_eq!(message(&at(name), uid()), "read: x", "{name}");
        }
        mode("shared", 0o777);
        for name in every {
            let message = message(&at(name), uid());
            assert!(
                message.contains("/shared' (mode 0777)\nhelp: chmod go-w '"),
                "{message}"
            );
        }
        mode("shared", 0o1777);
        for name in every {
            assert_eq!(message(&at(name), uid()), "read: x", "{name}");
        }
        mode("shared/own/f", 0o664);
        let message = message(&at("link"), uid());
        assert!(message.contains("others can write"), "{message}");
        assert!(message.contains("/shared/own/f' (mode 0664)"), "{message}");
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write(&path, "x").unwrap();
        // Root's files are trusted by all, but for those in a directory where others make names.
        let stranger = uid() + 1;
        let message = message(&path, stranger);
        if uid() != 0 {
            assert!(message.contains("belongs to user"), "{message}");
        }
        let found = look(&path).unwrap();
        assert!(check(&path, &found, uid(), true).is_ok());
        assert!(check(&path, &found, stranger, true).is_err());
        assert_eq!(check(&path, &found, stranger, false).is_ok(), uid() == 0);
    }
}
