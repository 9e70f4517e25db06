//! `restore-models`: list, verify, bring back.

use std::collections::HashSet;

use super::directories::{Directories, Wanted};
use super::evidence::Quiet;
use super::memory::Memory;
use super::operate::{self, Job};
use super::session::{Early, Session};
use crate::cli;
use crate::config::locate::absolute;
use crate::exit::Exit;
use crate::fs::{evidence, places};
use crate::plan::action::{Operation, OperationPlan, Plan};
use crate::plan::archive;
use crate::plan::entry::{Inventory, Role};
use crate::plan::lists;
use crate::plan::outcome::Outcome;
use crate::plan::restore::{self, RestoreError, Wanted as Models};
use crate::plan::versions::{self, Listed, Stored};
use crate::report::rows::{Check, FileRow, ModelRow, Rows, VersionRow};
use crate::report::trouble::Failure;

/// Does what was typed; without a MODEL or `--all`, lists.
pub fn restore(session: &Session, args: &cli::RestoreModels) -> Exit {
    let answering = args.list || args.verify || (args.models.is_empty() && !args.all);
    let job = job(session, args, answering);
    if !answering {
        return operate::operate(session, job);
    }
    match answer(session, args, &job) {
        Ok(exit) => exit,
        Err(early) => session.report_early(job.command, early),
    }
}

fn job<'a>(session: &Session, args: &'a cli::RestoreModels, answering: bool) -> Job<'a> {
    let target = args
        .to
        .as_ref()
        .map(|to| absolute(&session.typed_base(), to));
    let models = if args.all {
        Models::All
    } else {
        Models::Named(&args.models)
    };
    Job {
        command: "restore-models",
        operations: vec![Operation::ModelRestoring],
        wanted: Wanted {
            roles: operate::roles(Operation::ModelRestoring).to_vec(),
            typed: None,
            typed_base: session.typed_base(),
            target,
        },
        cycle: false,
        force: false,
        timeout: None,
        restore: (!answering).then_some(models),
    }
}

/// The plan of restoring: the one plan that can be refused.
///
/// Made again when what stands where models go was read, so that a dry run says already what is in
/// the way.
///
/// # Errors
/// Names that mean nothing, or more than one thing.
pub fn plan(
    session: &Session,
    directories: &Directories,
    inventory: &mut Inventory,
    models: Models<'_>,
) -> Result<OperationPlan, Early> {
    let target = inventory.roots_of(Role::Target).next();
    let mut first = restore::plan(inventory, models, target).map_err(refuse)?;
    if let Some(target) = target {
        let paths = restore::places(inventory, &first);
        places::add(&directories.roots, inventory, target, &paths);
        first = restore::plan(inventory, models, Some(target)).map_err(refuse)?;
    }
    let wanted = restore::digests_wanted(inventory, &first);
    let watch = Quiet(&session.signals);
    evidence::add_digests(&directories.roots, inventory, &wanted, &watch);
    restore::plan(inventory, models, target).map_err(refuse)
}

fn refuse(errors: Vec<RestoreError>) -> Early {
    let lines = errors.into_iter().map(|error| Failure {
        error: error.to_string(),
        ..Failure::default()
    });
    Early::new(Exit::Usage, lines.collect())
}

/// Lists or verifies: nothing is planned.
fn answer(session: &Session, args: &cli::RestoreModels, job: &Job<'_>) -> Result<Exit, Early> {
    let directories = operate::open(session, job)?;
    let memory = Memory::read_only(session)?;
    let inventory = operate::look(session, &directories);
    let mut planned = OperationPlan::new(Operation::ModelRestoring);
    planned.problems.clone_from(&inventory.problems);
    if args.verify {
        planned.problems.extend(lists::problems(&inventory));
    }
    let selected = restore::select(&inventory, &args.models).map_err(refuse)?;
    let rows = if args.verify {
        verify(
            session,
            &selected,
            &directories,
            &inventory,
            args.models.is_empty(),
        )
    } else {
        list(&selected, &inventory)
    };
    planned.warnings = archive::unnamed(&inventory);
    planned.warnings.extend(lists::warnings(&inventory));
    let outcome = Outcome::shown(Plan {
        inventory,
        operations: vec![planned],
    });
    let mut run = session.run(job.command);
    run.outcome = Some(&outcome);
    run.rows = Some(rows);
    run.warnings = memory.warnings;
    let exit = operate::judge(&mut run, job);
    Ok(session.deliver(&mut run, exit))
}

/// Versions by archive and number.
type Selected = HashSet<(usize, usize)>;

fn list(selected: &Selected, inventory: &Inventory) -> Rows {
    let rows = versions::models(inventory)
        .into_iter()
        .filter_map(|mut model| {
            let wanted = |version: &Stored| selected.contains(&(version.archive, version.number));
            model.versions.retain(wanted);
            (!model.versions.is_empty()).then_some(model)
        })
        .map(|model| ModelRow {
            versions: model
                .versions
                .iter()
                .map(|version| VersionRow {
                    path: version.archived.clone(),
                    modified: version.modified,
                    bytes: version.size,
                    codec: version.codec.clone(),
                })
                .collect(),
            model: model.original,
        })
        .collect();
    Rows::Models(rows)
}

fn verify(
    session: &Session,
    selected: &Selected,
    directories: &Directories,
    inventory: &Inventory,
    everything: bool,
) -> Rows {
    let wanted = |file: &Listed| match file.number {
        Some(number) => selected.contains(&(file.archive, number)),
        None => everything,
    };
    let rows = versions::to_verify(inventory)
        .into_iter()
        .filter(wanted)
        .map(|file| FileRow {
            check: check(session, directories, inventory, &file),
            path: file.path,
        })
        .collect();
    Rows::Files(rows)
}

fn check(
    session: &Session,
    directories: &Directories,
    inventory: &Inventory,
    file: &Listed,
) -> Check {
    let Some(entry) = file.entry else {
        return Check::Missing;
    };
    if file.sums.is_empty() {
        return Check::Unlisted;
    }
    let watch = Quiet(&session.signals);
    let sum = evidence::open(&directories.roots, inventory, entry)
        .and_then(|file| evidence::digest(&file, &watch));
    match sum.map(evidence::hex) {
        Ok(sum) if file.sums.iter().all(|listed| *listed == sum) => Check::Ok,
        Ok(_) => Check::Mismatch,
        Err(error) => Check::Unreadable(error.to_string()),
    }
}
