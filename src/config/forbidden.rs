//! Directories in which nothing is ever cleaned, whoever names them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::locate::Surroundings;

/// Why a directory is not worked in. Reads on from its name: "'/' is the root of all files".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// `/`.
    Root,
    /// Somebody's home directory.
    Home,
    /// A home directory lies below it.
    AboveHome(PathBuf),
    /// `XDG_CACHE_HOME`, where all programs keep their caches.
    CacheHome,
    /// Below this directory of the kernel's.
    Kernel(&'static str),
    /// The configuration lies below it.
    AboveConfiguration(PathBuf),
    /// sysopt's state lies below it.
    AboveState(PathBuf),
    /// sysopt's state, or below it.
    State,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("is the root of all files"),
            Self::Home => f.write_str("is a home directory"),
            Self::AboveHome(home) => write!(f, "holds the home directory {}", home.display()),
            Self::CacheHome => f.write_str("is the cache directory of all your programs"),
            Self::Kernel(top) => write!(f, "is below {top}, which is the kernel's"),
            Self::AboveConfiguration(file) => {
                write!(f, "holds the configuration {}", file.display())
            }
            Self::AboveState(state) => write!(f, "holds sysopt's state {}", state.display()),
            Self::State => f.write_str("is where sysopt keeps its state"),
        }
    }
}

const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Why the directory at `path` is never worked in. All paths are absolute and resolved (no `..`, no
/// symbolic links), as far as they exist.
#[must_use]
pub fn forbidden(
    path: &Path,
    surroundings: &Surroundings,
    config_file: Option<&Path>,
    state_directory: Option<&Path>,
) -> Option<Forbidden> {
    if path.parent().is_none() {
        return Some(Forbidden::Root);
    }
    if let Some(top) = KERNEL.into_iter().find(|top| path.starts_with(top)) {
        return Some(Forbidden::Kernel(top));
    }
    if surroundings.homes.iter().any(|home| home == path)
        || surroundings.home.as_deref() == Some(path)
    {
        return Some(Forbidden::Home);
    }
    if surroundings.xdg_cache_home.as_deref() == Some(path) {
        return Some(Forbidden::CacheHome);
    }
    let above = |home: &&PathBuf| home.starts_with(path);
    if let Some(home) = surroundings.home.iter().find(above) {
        return Some(Forbidden::AboveHome(home.clone()));
    }
    if let Some(home) = surroundings.homes.iter().find(above) {
        return Some(Forbidden::AboveHome(home.clone()));
    }
    if state_directory.is_some_and(|state| path.starts_with(state)) {
        return Some(Forbidden::State);
    }
    if let Some(file) = config_file
        && file.starts_with(path)
    {
        return Some(Forbidden::AboveConfiguration(file.to_path_buf()));
    }
    state_directory
        .filter(|state| state.starts_with(path))
        .map(|state| Forbidden::AboveState(state.to_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stray_directories_are_never_worked_in() {
        let surroundings = Surroundings {
            home: Some("/home/me".into()),
            homes: vec![
                "/home/me".into(),
                "/home/you".into(),
                "/root".into(),
                "/".into(),
            ],
            xdg_cache_home: Some("/home/me/.cache".into()),
            ..Surroundings::default()
        };
        let config = PathBuf::from("/srv/bot/sysopt.toml");
        let state = PathBuf::from("/srv/bot/.sysopt");
        let at =
            |path: &str| forbidden(Path::new(path), &surroundings, Some(&config), Some(&state));
        for (path, why) in [
            ("/", Some(Forbidden::Root)),
            ("/home/me", Some(Forbidden::Home)),
            ("/home/you", Some(Forbidden::Home)),
            ("/root", Some(Forbidden::Home)),
            ("/home", Some(Forbidden::AboveHome("/home/me".into()))),
            ("/home/me/.cache", Some(Forbidden::CacheHome)),
            ("/proc", Some(Forbidden::Kernel("/proc"))),
            ("/sys/fs", Some(Forbidden::Kernel("/sys"))),
            ("/dev/shm/cache", Some(Forbidden::Kernel("/dev"))),
            (
                "/srv/bot",
                Some(Forbidden::AboveConfiguration(config.clone())),
            ),
            ("/srv", Some(Forbidden::AboveConfiguration(config.clone()))),
            ("/srv/bot/.sysopt", Some(Forbidden::State)),
            ("/srv/bot/.sysopt/x", Some(Forbidden::State)),
            ("/home/me/cache", None),
            ("/home/me/.cache/pip", None),
            ("/home/m", None),
            ("/system", None),
            ("/device", None),
            ("/srv/bot/cache", None),
            ("/srv/bot/.sysopt.d", None),
        ] {
            assert_eq!(at(path), why, "{path}");
        }
        let without = forbidden(Path::new("/srv/bot"), &surroundings, None, Some(&state));
        assert_eq!(without, Some(Forbidden::AboveState(state.clone())));
        for why in [at("/"), at("/home"), at("/srv"), without]
            .into_iter()
            .flatten()
        {
            assert!(why.to_string().starts_with("is ") || why.to_string().starts_with("holds "));
        }
    }
}
