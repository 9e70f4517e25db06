//! `--explain PATH`: what would happen to this one path, and by which rule.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::directories;
use super::memory::Memory;
use super::operate::{self, Job};
use super::session::{Early, Session};
use crate::cli::Format;
use crate::config::locate::absolute;
use crate::exit::Exit;
use crate::plan::action::{Plan, Subject, shown_subject};
use crate::plan::entry::Inventory;
use crate::plan::reason::Keep;
use crate::plan::time::Time;
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
    let wanted = absolute(&session.typed_base(), path);
    let verdicts = verdicts(session, &plan, &wanted);
    if verdicts.is_empty() {
        let shown = directories::shown(&session.config.base, &wanted);
        return Err(Early::line(
            Exit::Usage,
            &format!(
                "'{}' is no file in the directories that {} works in",
                shown.display(),
                job.command
            ),
        ));
    }
    let printed = if session.cli.format == Format::Json {
        session.out.json(
            &json!({ "schema": "sysopt.explain/1", "path": path, "verdicts": verdicts }),
            0,
        )
    } else {
        session.out.plain(&lines(&verdicts), 0)
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

/// What one operation says of the path.
#[derive(Debug, serde::Serialize)]
struct Verdict {
    operation: &'static str,
    /// The word of the action; `None` where it is kept.
    action: Option<&'static str>,
    path: PathBuf,
    to: Option<PathBuf>,
    rule: String,
    /// From when on the next run would act, if nothing changes; `None` where time alone does not
    /// decide.
    when: Option<Time>,
}

/// When the age that keeps a file reaches its limit.
fn due(session: &Session, reason: &Keep) -> Option<Time> {
    let (age, limit) = match reason {
        Keep::ModelUsed(times) => (times.age(), times.limit),
        Keep::RecentlyUsed(ago) => (
            Duration::from_secs(u64::from(ago.0)),
            session.config.policies.cache.preserve_recent,
        ),
        _ => return None,
    };
    Some(session.now.after(limit.saturating_sub(age)))
}

fn verdicts(session: &Session, plan: &Plan, wanted: &Path) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let is_it = |subject| full_path(&plan.inventory, subject) == wanted;
    for operation in &plan.operations {
        for action in operation.actions.iter().filter(|a| is_it(a.subject)) {
            let (path, to) = plan.shown(action);
            verdicts.push(Verdict {
                operation: operation.operation.name(),
                action: Some(message::name(action.verb)),
                path,
                to,
                rule: action.reason.to_string(),
                when: Some(session.now),
            });
        }
        for kept in operation.kept.iter().filter(|kept| is_it(kept.subject)) {
            verdicts.push(Verdict {
                operation: operation.operation.name(),
                action: None,
                path: shown_subject(&plan.inventory, kept.subject),
                to: None,
                rule: kept.reason.to_string(),
                when: due(session, &kept.reason),
            });
        }
    }
    verdicts
}

fn full_path(inventory: &Inventory, subject: Subject) -> PathBuf {
    let (directory, name) = match subject {
        Subject::Entry(id) => {
            let entry = inventory.entry(id);
            (entry.directory, Some(inventory.name(entry)))
        }
        Subject::Directory(id) => (id, None),
        Subject::Named(number) => return inventory.named(number),
    };
    let root = inventory.root(inventory.directory(directory).root);
    let below = inventory.directory_path(directory);
    let mut path = root.path.clone();
    path.extend(below.iter());
    path.extend(name);
    path
}

fn lines(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let path = name::path(&verdict.path);
        let _ = match (verdict.action, &verdict.to) {
            (Some(action), Some(to)) => writeln!(
                text,
                "{path}: would {action} to {}: {}",
                name::path(to),
                verdict.rule
            ),
            (Some(action), None) => writeln!(text, "{path}: would {action}: {}", verdict.rule),
            (None, _) => match verdict.when {
                Some(when) => writeln!(text, "{path}: kept until {when}: {}", verdict.rule),
                None => writeln!(text, "{path}: kept: {}", verdict.rule),
            },
        };
    }
    text
}
