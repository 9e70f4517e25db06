//! From the directories that are configured or typed to those that this run works in.
//!
//! Every configured directory becomes a root, also those that this run does not work in: an inner
//! directory owns its files whatever is being done around it.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::forbidden;
use crate::config::locate::{Surroundings, clean};
use crate::config::policy::{Configured, DirectoryOrigin};
use crate::fs::dir;
use crate::fs::manifest::Serves;
use crate::fs::roots::{self, RootSpec, Roots};
use crate::plan::entry::{Role, RootId};
use crate::plan::policy::ModelsPolicy;

/// What a run works in.
#[derive(Debug, Default)]
pub struct Wanted<'a> {
    /// Roles that the operations of this run work in.
    pub roles: Vec<Role>,
    /// Typed directories, with the role that they have.
    pub typed: Option<(Role, &'a [PathBuf])>,
    /// What typed directories are relative to.
    pub typed_base: PathBuf,
    /// `restore-models --to`.
    pub target: Option<PathBuf>,
}

/// The opened directories of a run.
#[derive(Debug)]
pub struct Directories {
    /// Open.
    pub roots: Roots,
    /// The archives among them.
    pub archives: Vec<Serves>,
    /// What a person should know about them.
    pub notes: Vec<String>,
}

/// Why a run cannot begin: each is a line, code 2.
pub type Refusals = Vec<(PathBuf, String)>;

/// A directory on its way to become a root.
struct Candidate {
    spec: RootSpec,
    named: bool,
}

/// Opens all of them.
///
/// # Errors
/// A directory that the user named and that must not, or cannot, be worked in.
pub fn open(
    config: &Config,
    wanted: &Wanted<'_>,
    surroundings: &Surroundings,
) -> Result<Directories, Refusals> {
    let candidates = candidates(config, wanted);
    let (kept, notes) = permitted(candidates, config, surroundings)?;
    let named: Vec<bool> = kept.iter().map(|candidate| candidate.named).collect();
    let specs: Vec<RootSpec> = kept.into_iter().map(|candidate| candidate.spec).collect();
    let typed: Vec<PathBuf> = specs
        .iter()
        .zip(&named)
        .filter(|(spec, named)| **named && wanted.is_typed(spec.role))
        .map(|(spec, _)| spec.path.clone())
        .collect();
    let (roots, twice) = Roots::open(specs);
    let mut notes = notes;
    let mut refusals = Refusals::new();
    for pair in twice {
        if pair.kept.0 == pair.dropped.0 || pair.dropped.0 == Role::Garbage {
            continue;
        }
        let words = format!(
            "is the {} '{}' of the configuration, and is left to it",
            pair.kept.0.noun(),
            pair.kept.1.display()
        );
        if wanted.is_typed(pair.dropped.0) {
            refusals.push((pair.dropped.1, words));
        } else {
            notes.push(format!("'{}' {words}", pair.dropped.1.display()));
        }
    }
    refusals.extend(unusable(&roots, &typed));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let archives = archives(&roots);
    Ok(Directories {
        roots,
        archives,
        notes,
    })
}

/// Whether a cycle would work in all that a configuration names.
///
/// # Errors
/// What must not be worked in, and why.
pub fn check(config: &Config, surroundings: &Surroundings) -> Result<(), Refusals> {
    let wanted = Wanted {
        roles: config.directories.iter().map(|it| it.role).collect(),
        ..Wanted::default()
    };
    let mut list = candidates(config, &wanted);
    for candidate in &mut list {
        candidate.spec.active = true;
    }
    permitted(list, config, surroundings).map(drop)
}

impl Wanted<'_> {
    fn is_typed(&self, role: Role) -> bool {
        self.typed
            .is_some_and(|(typed, dirs)| typed == role && !dirs.is_empty())
    }
}

fn candidates(config: &Config, wanted: &Wanted<'_>) -> Vec<Candidate> {
    let mut list = Vec::new();
    if let Some((role, dirs)) = wanted.typed {
        for dir in dirs {
            let path = roots::without_dots(&wanted.typed_base.join(dir));
            add_inner(&mut list, config, wanted, &path);
            list.push(candidate(config, wanted, role, path, true));
        }
    }
    for Configured {
        role, path, origin, ..
    } in &config.directories
    {
        if !wanted.is_typed(*role) {
            let named = *origin != DirectoryOrigin::Default;
            let path = roots::without_dots(path);
            list.push(candidate(config, wanted, *role, path, named));
        }
    }
    add_archives(&mut list, &config.policies.models, config, wanted);
    if let Some(target) = &wanted.target {
        list.push(candidate(
            config,
            wanted,
            Role::Target,
            target.clone(),
            true,
        ));
    }
    list
}

fn candidate(
    config: &Config,
    wanted: &Wanted<'_>,
    role: Role,
    path: PathBuf,
    named: bool,
) -> Candidate {
    Candidate {
        spec: RootSpec {
            role,
            shown: shown(&config.base, &path),
            path,
            inside: None,
            active: wanted.roles.contains(&role),
            required: named && !matches!(role, Role::Archive | Role::Target),
        },
        named,
    }
}

/// A directory typed from elsewhere has no configuration that says what lies in it: `cache/models`
/// is a model directory by default, so `models` in a typed `/srv/bot/cache` is taken for one too.
fn add_inner(list: &mut Vec<Candidate>, config: &Config, wanted: &Wanted<'_>, typed: &Path) {
    for other in &config.directories {
        let parts: Vec<_> = other.written.components().collect();
        for at in 1..parts.len() {
            let (outer, inner): (PathBuf, PathBuf) =
                (parts[..at].iter().collect(), parts[at..].iter().collect());
            if !wanted.is_typed(other.role) && outer.is_relative() && typed.ends_with(&outer) {
                let mut inner = candidate(config, wanted, other.role, typed.join(inner), false);
                inner.spec.active = false;
                list.push(inner);
            }
        }
    }
}

/// Each model directory has its archive inside it, or all share an absolute one.
fn add_archives(
    list: &mut Vec<Candidate>,
    policy: &ModelsPolicy,
    config: &Config,
    wanted: &Wanted<'_>,
) {
    let archive = &policy.archive_directory;
    if archive.is_absolute() {
        let path = clean(archive);
        list.push(candidate(config, wanted, Role::Archive, path, true));
        return;
    }
    for index in 0..list.len() {
        if list[index].spec.role != Role::Models {
            continue;
        }
        let path = clean(&list[index].spec.path.join(archive));
        let mut inside = candidate(config, wanted, Role::Archive, path, false);
        inside.spec.inside = Some((index, archive.clone()));
        list.push(inside);
    }
}

/// Leaves out what must not be worked in; an error where the user named it.
fn permitted(
    candidates: Vec<Candidate>,
    config: &Config,
    surroundings: &Surroundings,
) -> Result<(Vec<Candidate>, Vec<String>), Refusals> {
    let (mut kept, mut notes, mut refusals) = (Vec::new(), Vec::new(), Refusals::new());
    // An archive refers to its model directory by its place in this list.
    let mut place = Vec::with_capacity(candidates.len());
    for mut candidate in candidates {
        if let Some((index, _)) = &mut candidate.spec.inside {
            let Some(new) = place[*index] else {
                place.push(None);
                continue;
            };
            *index = new;
        }
        match refusal(&candidate, config, surroundings) {
            None => {
                place.push(Some(kept.len()));
                kept.push(candidate);
            }
            Some(why) => {
                place.push(None);
                if candidate.named {
                    refusals.push((candidate.spec.shown, why));
                } else {
                    let shown = candidate.spec.shown.display().to_string();
                    notes.push(format!("'{shown}' is left alone: it {why}"));
                }
            }
        }
    }
    if refusals.is_empty() {
        Ok((kept, notes))
    } else {
        Err(refusals)
    }
}

fn refusal(candidate: &Candidate, config: &Config, surroundings: &Surroundings) -> Option<String> {
    let inside = candidate.spec.inside.is_some();
    if !candidate.spec.active || inside || candidate.spec.role == Role::Target {
        return None;
    }
    let resolved = roots::resolve(&candidate.spec.path);
    let file = config.file.as_deref().map(roots::resolve);
    // A state that does not exist is no reason.
    let state = roots::find(&config.state_directory);
    let why = forbidden::forbidden(&resolved, surroundings, file.as_deref(), state.as_deref());
    if let Some(why) = why {
        return Some(why.to_string());
    }
    if candidate.spec.role == Role::Archive {
        return None;
    }
    // Where a link may not be followed, nothing is looked for either: opening it tells why.
    dir::open_root(&candidate.spec.path).ok()?;
    let archive = roots::enclosing_archive(&resolved)?;
    Some(format!(
        "belongs to the archive '{}', whose files only restore-models and retention touch",
        archive.display()
    ))
}

/// Typed directories must be there and be readable.
fn unusable(roots: &Roots, typed: &[PathBuf]) -> Refusals {
    roots
        .iter()
        .filter(|(_, root)| typed.contains(&root.spec.path) && root.spec.role != Role::Target)
        .filter_map(|(_, root)| {
            let shown = root.spec.shown.clone();
            match (&root.fd, &root.problem) {
                (Some(_), _) => None,
                (None, Some(error)) => Some((shown, format!("cannot be opened: {error}"))),
                (None, None) => Some((shown, "does not exist".to_owned())),
            }
        })
        .collect()
}

/// Which archive serves which model directories, after those that are the same became one.
fn archives(roots: &Roots) -> Vec<Serves> {
    let models: Vec<(RootId, &Path)> = roots
        .iter()
        .filter(|(_, root)| root.spec.role == Role::Models)
        .map(|(id, root)| (id, root.spec.path.as_path()))
        .collect();
    roots
        .iter()
        .filter(|(_, root)| root.spec.role == Role::Archive)
        .map(|(id, root)| {
            let served = |path: &Path| match &root.spec.inside {
                Some((_, below)) => clean(&path.join(below)) == root.spec.path,
                None => true,
            };
            Serves {
                root: id,
                models: models
                    .iter()
                    .filter(|(_, path)| served(path))
                    .map(|(id, _)| *id)
                    .collect(),
                inside: root.spec.inside.is_some(),
            }
        })
        .filter(|serves| !serves.models.is_empty())
        .collect()
}

/// Relative to the base where it lies below it.
#[must_use]
pub fn shown(base: &Path, path: &Path) -> PathBuf {
    match path.strip_prefix(base) {
        Ok(below) if below.as_os_str().is_empty() => PathBuf::from("."),
        Ok(below) => below.to_path_buf(),
        Err(_) => path.to_path_buf(),
    }
}
