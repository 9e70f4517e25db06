//! Where the configuration is, and what relative paths are relative to.
//!
//! The environment and the account are read once, by [`Surroundings::read`]; everything else is
//! decided from that value.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::error::ConfigError;

/// What a process finds around it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The current directory.
    pub cwd: PathBuf,
    /// The caller's home directory, resolved: `HOME`, else as the account says.
    pub home: Option<PathBuf>,
    /// All home directories of this machine that are known, the caller's among them.
    pub homes: Vec<PathBuf>,
    /// `XDG_CONFIG_HOME`, else `~/.config` (XDG Base Directory Specification).
    pub xdg_config_home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`, else `~/.cache`, resolved.
    pub xdg_cache_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`, else `~/.local/state`.
    pub xdg_state_home: Option<PathBuf>,
    /// `SYSOPT_CONFIG`, where it is not empty.
    pub sysopt_config: Option<PathBuf>,
    /// `/etc/sysopt/sysopt.toml`.
    pub system_config: PathBuf,
    /// The effective user; 0 is root.
    pub uid: u32,
}

impl Surroundings {
    /// Reads the environment, the current directory and `/etc/passwd`.
    ///
    /// # Errors
    /// The current directory is gone or cannot be named.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn read() -> io::Result<Self> {
        let accounts = std::fs::read("/etc/passwd").unwrap_or_default();
        let uid = rustix::process::geteuid().as_raw();
        let home = absolute_variable("HOME").or_else(|| {
            let own = accounts_in(&accounts).find(|(id, _)| *id == uid);
            own.map(|(_, home)| home)
        });
        let below_home = |variable, name| {
            absolute_variable(variable).or_else(|| home.as_ref().map(|home| home.join(name)))
        };
        Ok(Self {
            cwd: std::env::current_dir()?,
            homes: homes(home.as_deref(), &accounts),
            xdg_config_home: below_home("XDG_CONFIG_HOME", ".config"),
            xdg_cache_home: below_home("XDG_CACHE_HOME", ".cache").map(resolved),
            xdg_state_home: below_home("XDG_STATE_HOME", ".local/state"),
            sysopt_config: variable("SYSOPT_CONFIG").map(PathBuf::from),
            system_config: "/etc/sysopt/sysopt.toml".into(),
            home: home.map(resolved),
            uid,
        })
    }
}

/// The path without symbolic links, or as it is where it leads nowhere.
fn resolved(path: PathBuf) -> PathBuf {
    path.canonicalize().unwrap_or(path)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The XDG specification has relative paths ignored.
fn absolute_variable(name: &str) -> Option<PathBuf> {
    variable(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// User id and home of each line of `passwd(5)`.
fn accounts_in(passwd: &[u8]) -> impl Iterator<Item = (u32, PathBuf)> {
    passwd.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let uid = std::str::from_utf8(fields.nth(2)?).ok()?.parse().ok()?;
        let home = PathBuf::from(OsStr::from_bytes(fields.nth(2)?));
        home.is_absolute().then_some((uid, home))
    })
}

/// Homes as written and with the directory above them resolved. The homes themselves are not
/// touched: looking at one may mount it.
fn homes(own: Option<&Path>, passwd: &[u8]) -> Vec<PathBuf> {
    let mut homes: Vec<PathBuf> = own.map(Path::to_path_buf).into_iter().collect();
    homes.extend(own.and_then(|home| home.canonicalize().ok()));
    for (_, home) in accounts_in(passwd) {
        let resolved = home.parent().zip(home.file_name());
        homes.extend(
            resolved.and_then(|(parent, name)| Some(parent.canonicalize().ok()?.join(name))),
        );
        homes.push(clean(&home));
    }
    homes.sort();
    homes.dedup();
    homes
}

/// What the user typed about base and configuration.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `-C`.
    pub base: Option<PathBuf>,
    /// `--config`.
    pub file: Option<PathBuf>,
}

/// How a configuration file was found, first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--config`.
    Option,
    /// `SYSOPT_CONFIG`.
    Environment,
    /// `sysopt.toml` in the base or the current directory.
    Base,
    /// Below `XDG_CONFIG_HOME`.
    User,
    /// Below `/etc`.
    System,
}

impl Origin {
    /// Whether the directory of the file is a base where nothing else is said.
    #[must_use]
    pub const fn has_base(self) -> bool {
        matches!(self, Self::Option | Self::Environment | Self::Base)
    }
}

/// A configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Absolute.
    pub path: PathBuf,
    /// How it was found.
    pub origin: Origin,
}

/// Finds the configuration file: `--config`, `SYSOPT_CONFIG`, `sysopt.toml` in the base (`-C`, else
/// the current directory), the user's, the system's; `None` is the built-in defaults. Relative
/// paths are relative to the current directory.
///
/// # Errors
/// A file given by name is missing, or it cannot be known whether there is one.
pub fn find(
    request: &Request,
    surroundings: &Surroundings,
) -> Result<Option<Located>, ConfigError> {
    let cwd = &surroundings.cwd;
    let named = request.file.as_ref().map(|file| (file, Origin::Option));
    let environment = surroundings.sysopt_config.as_ref();
    if let Some((file, origin)) = named.or(environment.map(|file| (file, Origin::Environment))) {
        let path = absolute(cwd, file);
        if exists(&path)? {
            return Ok(Some(Located { path, origin }));
        }
        let from = match origin {
            Origin::Environment => "no such file (named by SYSOPT_CONFIG)",
            _ => "no such file",
        };
        let help = "`sysopt config --init` writes a commented sysopt.toml";
        return Err(ConfigError::whole(&path, from).help(help));
    }
    let base = absolute(cwd, request.base.as_deref().unwrap_or(cwd));
    let user = surroundings.xdg_config_home.as_ref();
    let places = [
        Some((base.join("sysopt.toml"), Origin::Base)),
        user.map(|home| (home.join("sysopt/sysopt.toml"), Origin::User)),
        Some((surroundings.system_config.clone(), Origin::System)),
    ];
    for (path, origin) in places.into_iter().flatten() {
        if exists(&path)? {
            return Ok(Some(Located { path, origin }));
        }
    }
    Ok(None)
}

/// A link to nothing exists: passing over it would drop the rules that its maker wanted.
fn exists(path: &Path) -> Result<bool, ConfigError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(false),
            _ => Err(ConfigError::whole(path, error.to_string())),
        },
    }
}

/// Where the state of a file is that has no base, the user's or the system's: the same wherever
/// sysopt is started. `None` where nobody knows a home.
#[must_use]
pub fn state_home(origin: Option<Origin>, surroundings: &Surroundings) -> Option<PathBuf> {
    match origin? {
        Origin::System if surroundings.uid == 0 => Some("/var/lib/sysopt".into()),
        Origin::System | Origin::User => Some(surroundings.xdg_state_home.as_ref()?.join("sysopt")),
        Origin::Option | Origin::Environment | Origin::Base => None,
    }
}

/// Where the base came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseSource {
    /// `-C`.
    CommandLine,
    /// `root` in the configuration.
    Root,
    /// The directory of the configuration file.
    FileDirectory,
    /// The current directory.
    Current,
}

/// What relative paths are relative to: `-C`; `root` in the file, relative to the file; the
/// directory of a file that was named or lies in the current directory; the current directory.
#[must_use]
pub fn base(
    request: &Request,
    located: Option<&Located>,
    root: Option<&str>,
    cwd: &Path,
) -> (PathBuf, BaseSource) {
    if let Some(base) = &request.base {
        return (absolute(cwd, base), BaseSource::CommandLine);
    }
    if let Some(Located { path, origin }) = located {
        let directory = path.parent().unwrap_or(Path::new("/"));
        if let Some(root) = root {
            return (absolute(directory, Path::new(root)), BaseSource::Root);
        }
        if origin.has_base() {
            return (clean(directory), BaseSource::FileDirectory);
        }
    }
    (clean(cwd), BaseSource::Current)
}

/// An absolute path, joined as text.
#[must_use]
pub fn absolute(base: &Path, path: &Path) -> PathBuf {
    clean(&base.join(path))
}

/// The path without `.` and doubled slashes. `..` stays, but for those above the root: what stands
/// before one may be a symbolic link, so only the kernel knows where it leads.
#[must_use]
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if cleaned == Path::new("/") => {}
            part => cleaned.push(part),
        }
    }
    cleaned
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cleaned_only_where_that_is_harmless() {
        for (path, cleaned) in [
            ("/a/./b//c/.", "/a/b/c"),
            ("/a/../b", "/a/../b"),
            ("/../../a", "/a"),
            ("/", "/"),
            ("/..", "/"),
        ] {
            assert_eq!(clean(Path::new(path)), Path::new(cleaned), "{path}");
        }
        assert_eq!(
            absolute(Path::new("/b"), Path::new("./x")),
            Path::new("/b/x")
        );
        assert_eq!(absolute(Path::new("/b"), Path::new("/x")), Path::new("/x"));
    }

    #[test]
    fn the_base_is_found_in_order() {
        let located = |origin| Located {
            path: "/etc/bot/my.toml".into(),
            origin,
        };
        let with = |typed: Option<&str>, origin: Option<Origin>, root: Option<&str>| {
            let request = Request {
                base: typed.map(PathBuf::from),
                file: None,
            };
            let located = origin.map(located);
            let (path, source) = base(&request, located.as_ref(), root, Path::new("/cwd"));
            (path.display().to_string(), source)
        };
        for (given, expected) in [
            (
                with(Some("b"), Some(Origin::Option), Some("/r")),
                ("/cwd/b", BaseSource::CommandLine),
            ),
            (
                with(None, Some(Origin::User), Some("r")),
                ("/etc/bot/r", BaseSource::Root),
            ),
            (
                with(None, Some(Origin::Base), Some("/r")),
                ("/r", BaseSource::Root),
            ),
            (
                with(None, Some(Origin::Option), None),
                ("/etc/bot", BaseSource::FileDirectory),
            ),
            (
                with(None, Some(Origin::Environment), None),
                ("/etc/bot", BaseSource::FileDirectory),
            ),
            (
                with(None, Some(Origin::Base), None),
                ("/etc/bot", BaseSource::FileDirectory),
            ),
            (
                with(None, Some(Origin::User), None),
                ("/cwd", BaseSource::Current),
            ),
            (
                with(None, Some(Origin::System), None),
                ("/cwd", BaseSource::Current),
            ),
            (with(None, None, None), ("/cwd", BaseSource::Current)),
        ] {
            assert_eq!((given.0.as_str(), given.1), expected);
        }
    }

    #[test]
    fn the_first_file_that_exists_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let surroundings = Surroundings {
            cwd: at("cwd"),
            xdg_config_home: Some(at("xdg")),
            sysopt_config: None,
            system_config: at("etc/sysopt.toml"),
            ..Surroundings::default()
        };
        let request = Request {
            base: Some("base".into()),
            file: None,
        };
        for directory in ["cwd/base", "xdg/sysopt", "etc"] {
            std::fs::create_dir_all(at(directory)).unwrap();
        }
        let found = |request: &Request, surroundings: &Surroundings| {
            find(request, surroundings).map(|found| found.map(|found| (found.path, found.origin)))
        };
        assert_eq!(found(&request, &surroundings), Ok(None));
        for (name, origin) in [
            ("etc/sysopt.toml", Origin::System),
            ("xdg/sysopt/sysopt.toml", Origin::User),
            ("cwd/base/sysopt.toml", Origin::Base),
        ] {
            std::fs::write(at(name), "").unwrap();
            let expected = Ok(Some((at(name), origin)));
            assert_eq!(found(&request, &surroundings), expected);
        }
        let mut surroundings = surroundings;
        surroundings.sysopt_config = Some("e.toml".into());
        let error = found(&request, &surroundings).unwrap_err().to_string();
        assert!(
            error.contains("cwd/e.toml: no such file (named by SYSOPT_CONFIG)"),
            "{error}"
        );
        std::fs::write(at("cwd/e.toml"), "").unwrap();
        let expected = Ok(Some((at("cwd/e.toml"), Origin::Environment)));
        assert_eq!(found(&request, &surroundings), expected);
        let request = Request {
            base: None,
            file: Some(at("gone.toml")),
        };
        let error = found(&request, &surroundings).unwrap_err().to_string();
        assert!(error.contains("gone.toml: no such file\nhelp: "), "{error}");
    }

    #[test]
    fn a_link_to_nothing_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("gone", dir.path().join("sysopt.toml")).unwrap();
        let surroundings = Surroundings {
            cwd: dir.path().to_path_buf(),
            system_config: dir.path().join("none"),
            ..Surroundings::default()
        };
        let found = find(&Request::default(), &surroundings);
        assert!(matches!(found, Ok(Some(_))), "{found:?}");
    }

    #[test]
    fn homes_come_from_the_accounts() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nbad line\nx:y\nb\xff:x:7:7::/h\xff:/bin/sh\nn:x:8:8::none:\n";
        let read: Vec<_> = accounts_in(passwd).collect();
        let odd = PathBuf::from(OsStr::from_bytes(b"/h\xff"));
        assert_eq!(read, [(0, "/root".into()), (7, odd.clone())]);
        assert!(homes(Some(Path::new("/x/y")), passwd).contains(&odd));
    }
}
