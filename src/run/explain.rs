//! `--explain PATH`: what would happen to this one path, by which rule, and when.

use std::path::{Path, PathBuf};

use super::directories::{self, Directories};
use super::memory::Memory;
use super::operate::{self, Job};
use super::session::{Early, Session};
use crate::cli::Format;
use crate::config::locate::absolute;
use crate::exit::Exit;
use crate::fs::roots;
use crate::plan::action::{
    Action, Kept, Operation, OperationPlan, Plan, Subject, Verb, shown_subject,
};
use crate::plan::due;
use crate::plan::entry::{DirId, Inventory, RootId};
use crate::report::explain::{Explanation, Verdict};
use crate::report::message;
use crate::report::name;

/// Plans, and shows what the plan says of one path.
pub fn explain(session: &Session, job: &Job<'_>, path: &Path) -> Exit {
    match answer(session, job, path) {
        Ok(exit) => exit,
        Err(early) => session.report_early(job.command, early),
    }
}

fn answer(session: &Session, job: &Job<'_>, path: &Path) -> Result<Exit, Early> {
    let directories = operate::open(session, job)?;
    let memory = Memory::read_only(session)?;
    let operate::Planned { plan, .. } = operate::plan(session, job, &directories, &memory)?;
    let wanted = roots::without_dots(&absolute(&session.typed_base(), path));
    let mut verdicts = verdicts(session, &plan, &Places::of(&directories, &wanted));
    if verdicts.is_empty() {
        let shown = directories::shown(&session.config.base, &wanted);
        if !roots::is_there(&wanted) {
            let line = format!("'{}' does not exist", name::path(&shown));
            return Err(Early::line(Exit::Usage, &line));
        }
        verdicts.push(outside(job, &plan, shown));
    }
    let explanation = Explanation { path, verdicts };
    let printed = if session.cli.format == Format::Json {
        session.out.json(&explanation, 0)
    } else {
        session.out.plain(&explanation.text(), 0)
    };
    Ok(match printed {
        Ok(()) => Exit::Success,
        Err(error) => {
            return Err(Early::line(
                Exit::Failure,
                &format!("cannot write the answer: {error}"),
            ));
        }
    })
}

/// Where the path lies: by root, and relative to it.
struct Places(Vec<(RootId, PathBuf)>);

impl Places {
    /// A configured directory may be reached by a symbolic link, or by where that leads.
    fn of(directories: &Directories, wanted: &Path) -> Self {
        let parent = wanted.parent().and_then(roots::find);
        let real = parent.zip(wanted.file_name());
        let real = real.map(|(parent, name)| parent.join(name));
        let below = |root: &Path, path: &Path| path.strip_prefix(root).ok().map(Path::to_path_buf);
        let each = directories.roots.iter().flat_map(|(id, root)| {
            let typed = below(&root.spec.path, wanted);
            // A link further down leads to another place, of the same root or of another.
            let real = real.as_deref().and_then(|real| below(&root.resolved, real));
            typed.into_iter().chain(real).map(move |path| (id, path))
        });
        Self(each.collect())
    }

    fn is(&self, inventory: &Inventory, subject: Subject) -> bool {
        let position = position(inventory, subject);
        position.is_some_and(|position| self.0.contains(&position))
    }

    fn is_above(&self, inventory: &Inventory, directory: DirId) -> bool {
        position(inventory, Subject::Directory(directory)).is_some_and(|(root, above)| {
            let mut places = self.0.iter();
            places.any(|(id, path)| *id == root && path.starts_with(&above))
        })
    }

    fn is_below(&self, inventory: &Inventory, subject: Subject) -> bool {
        position(inventory, subject).is_some_and(|(root, below)| {
            let mut places = self.0.iter();
            places.any(|(id, path)| *id == root && below.starts_with(path))
        })
    }
}

/// The root of a subject, and its path below; `None` for what is no file of a root.
fn position(inventory: &Inventory, subject: Subject) -> Option<(RootId, PathBuf)> {
    Some(match subject {
        Subject::Named(_) => return None,
        Subject::Entry(id) => {
            let entry = inventory.entry(id);
            (inventory.root_of(entry), inventory.relative_path(entry))
        }
        Subject::Directory(id) => (inventory.directory(id).root, inventory.directory_path(id)),
    })
}

fn verdicts(session: &Session, plan: &Plan, places: &Places) -> Vec<Verdict> {
    let inventory = &plan.inventory;
    let mut verdicts = Vec::new();
    for operation in &plan.operations {
        let is_it = |subject| places.is(inventory, subject);
        let actions = operation.actions.iter().filter(|action| {
            // A model that is a directory goes with all that is in it.
            let whole = action.verb != Verb::RemoveDirectory;
            is_it(action.subject)
                || matches!(action.subject, Subject::Directory(id) if whole && places.is_above(inventory, id))
        });
        verdicts.extend(actions.map(|action| acted(session, plan, operation, action)));
        let kept = operation.kept.iter().filter(|kept| match kept.subject {
            Subject::Entry(_) | Subject::Named(_) => is_it(kept.subject),
            // What lies in a directory that was not looked into shares its fate.
            Subject::Directory(id) => places.is_above(inventory, id),
        });
        verdicts.extend(kept.map(|kept| stays(session, plan, operation, kept)));
        if verdicts.is_empty() {
            verdicts.extend(below(inventory, operation, places));
        }
    }
    verdicts
}

fn acted(session: &Session, plan: &Plan, operation: &OperationPlan, action: &Action) -> Verdict {
    let (path, to) = plan.shown(action);
    Verdict {
        operation: operation.operation.name(),
        action: Some(message::name(action.verb)),
        path,
        to,
        rule: action.reason.to_string(),
        when: Some(session.now),
        condition: None,
    }
}

fn stays(session: &Session, plan: &Plan, operation: &OperationPlan, kept: &Kept) -> Verdict {
    let policies = &session.config.policies;
    let inventory = &plan.inventory;
    let now = session.now;
    let due = due::of(
        policies,
        inventory,
        operation,
        kept.subject,
        &kept.reason,
        now,
    );
    Verdict {
        operation: operation.operation.name(),
        action: None,
        path: shown_subject(inventory, kept.subject),
        to: None,
        rule: kept.reason.to_string(),
        when: due.at,
        condition: due.condition,
    }
}

/// A directory is told of by what is in it.
fn below(inventory: &Inventory, operation: &OperationPlan, places: &Places) -> Option<Verdict> {
    let is_below = |subject: &Subject| places.is_below(inventory, *subject);
    let acted = operation.actions.iter().map(|action| action.subject);
    let kept = operation.kept.iter().map(|kept| kept.subject);
    let (acted, kept) = (
        acted.filter(is_below).count(),
        kept.filter(is_below).count(),
    );
    let mut rows = inventory.directory_ids();
    let path = rows.find(|id| places.is(inventory, Subject::Directory(*id)))?;
    Some(Verdict {
        operation: operation.operation.name(),
        action: None,
        path: inventory.shown_directory(path),
        to: None,
        rule: format!("below it, {acted} items would be acted on and {kept} stay"),
        when: None,
        condition: None,
    })
}

/// No directory of the operation holds the path.
fn outside(job: &Job<'_>, plan: &Plan, path: PathBuf) -> Verdict {
    let operation = job.operations.first().copied();
    let roles = operation.map_or(&[][..], operate::roles);
    let inventory = &plan.inventory;
    let ours = inventory
        .roots
        .iter()
        .filter(|root| roles.contains(&root.role));
    let list: Vec<String> = ours.map(|root| name::path(&root.shown)).collect();
    let nothing = || "none is configured".to_owned();
    let list = if list.is_empty() {
        nothing()
    } else {
        list.join(", ")
    };
    Verdict {
        operation: operation.map_or("", Operation::name),
        action: None,
        path,
        to: None,
        rule: format!(
            "outside of the directories that {} works in: {list}",
            job.command
        ),
        when: None,
        condition: None,
    }
}
