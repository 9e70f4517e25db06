//! What the files of the log directories are, by their names.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;

use super::super::action::Subject;
use super::super::claims::Claims;
use super::super::cutting::{self, Cuts};
use super::super::entry::{DirId, EntryId, Inventory, Role, RootId};
use super::super::host::{Hold, Holder};
use super::super::names;
use super::super::order;
use super::super::policy::{LogRule, LogsPolicy};
use super::super::reason::{HeldBy, Keep};
use super::super::rotated::{self, Form, Order};
use super::super::time::Time;
use super::records::Records;
use super::rules::{Owner, Rules};

/// Names that exist, by directory.
pub(super) type Names<'a> = HashSet<(DirId, &'a OsStr)>;

/// A log with its rotated files, or all files of a `unique` rule in one root.
pub(super) struct Series<'a> {
    /// Index of its rule.
    pub(super) rule: usize,
    pub(super) root: RootId,
    /// The directory of the log; of a `unique` rule, that of the root.
    directory: DirId,
    /// Name of the log; empty for a `unique` rule.
    pub(super) log: &'a OsStr,
    /// The log, if it exists; the uncompressed files of a `unique` rule.
    pub(super) live: Vec<EntryId>,
    /// Rotated files.
    pub(super) copies: BTreeMap<CopyKey<'a>, Copy>,
}

/// What makes a rotated file one: `X` and `X.gz` of one stamp are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CopyKey<'a> {
    pub(super) time: Time,
    pub(super) serial: u32,
    /// Tells those of other tools, and the files of a `unique` rule, apart.
    pub(super) name: &'a OsStr,
    pub(super) directory: DirId,
}

/// The forms in which a rotated file exists.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copy {
    pub(super) plain: Option<EntryId>,
    pub(super) packed: [Option<EntryId>; 2],
    /// Made by another tool: counted, never compressed.
    pub(super) foreign: bool,
}

impl Copy {
    pub(super) fn entries(&self) -> impl Iterator<Item = EntryId> + use<> {
        self.plain
            .into_iter()
            .chain(self.packed.into_iter().flatten())
    }

    /// A compressed form, gzip first.
    pub(super) fn packed(&self) -> Option<EntryId> {
        self.packed.into_iter().flatten().next()
    }

    fn put(&mut self, form: Form, id: EntryId) {
        match form {
            Form::Plain => self.plain = Some(id),
            Form::Gzip => self.packed[0] = Some(id),
            Form::Zstd => self.packed[1] = Some(id),
        }
    }
}

/// Where a file went.
enum Placed {
    InSeries,
    Aside(Keep),
}

/// All files of the log directories, told apart.
pub(super) struct Survey<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) policy: &'a LogsPolicy,
    pub(super) series: Vec<Series<'a>>,
    /// What is neither a log nor a rotated file.
    pub(super) kept: Vec<(EntryId, Keep)>,
    /// Rotations that a run was killed in.
    pub(super) records: Records<'a>,
    /// By rule, directory and log; only while the series are collected.
    index: HashMap<(usize, DirId, &'a OsStr), usize>,
}

impl<'a> Survey<'a> {
    pub(super) fn take(policy: &'a LogsPolicy, inventory: &'a Inventory, claims: &Claims) -> Self {
        let rules = Rules::new(inventory, &policy.rules);
        let mut survey = Self {
            inventory,
            policy,
            series: Vec::new(),
            kept: Vec::new(),
            records: Records::read(inventory),
            index: HashMap::new(),
        };
        for id in inventory.entry_ids() {
            let entry = inventory.entry(id);
            if inventory.root(inventory.root_of(entry)).role == Role::Logs {
                let aside = Keep::irregular(entry.kind)
                    .or_else(|| claims.contains(id).then_some(Keep::Garbage))
                    .or_else(|| survey.place(&rules, id));
                // What was begun is completed, whoever owns the log now.
                if let Some(reason) = aside.filter(|_| !survey.records.decide_on(id)) {
                    survey.kept.push((id, reason));
                }
            }
        }
        survey.index = HashMap::new();
        survey.sort();
        survey
    }

    /// By path: where rotated files are equal in all else, their series decides which goes first,
    /// and that must not depend on the order of the scan.
    fn sort(&mut self) {
        let inventory = self.inventory;
        self.series.sort_by(|a, b| {
            let directory = |series: &Series| Subject::Directory(series.directory);
            order::subjects(inventory, directory(a), directory(b))
                .then_with(|| a.log.cmp(b.log))
                .then_with(|| a.rule.cmp(&b.rule))
        });
        for series in &mut self.series {
            series
                .live
                .sort_by(|a, b| order::entries(inventory, *a, *b));
        }
    }

    pub(super) fn rule(&self, series: &Series) -> &'a LogRule {
        &self.policy.rules[series.rule]
    }

    pub(super) fn holders(&self, id: EntryId) -> &'a [Holder] {
        let identity = self.inventory.identity(self.inventory.entry(id));
        let holders = self.inventory.open.holders.get(&identity);
        holders.map_or(&[], Vec::as_slice)
    }

    /// Whether a process table was there, so that a file that nobody was seen to have is free.
    pub(super) fn sees(&self) -> bool {
        self.inventory.open.visibility.looked
    }

    /// What the filesystem of a log can do to its head.
    pub(super) fn cuts(&self, id: EntryId) -> Cuts {
        let root = self.inventory.root_of(self.inventory.entry(id));
        self.inventory.cuts(root)
    }

    /// Bytes of a log without the hole at its head.
    pub(super) fn content(&self, id: EntryId) -> u64 {
        let head = self.inventory.logs.heads.get(&id).copied();
        let size = self.inventory.entry(id).size;
        size.saturating_sub(head.unwrap_or(0))
    }

    /// Why a rotated or finished file is left alone: somebody has it, or its rotation is not
    /// complete.
    pub(super) fn held(&self, id: EntryId) -> Option<Keep> {
        if self.records.rotating.contains(&id) {
            return Some(Keep::Rotating);
        }
        let identity = self.inventory.identity(self.inventory.entry(id));
        let holder = self.inventory.open.holder(identity)?;
        let held = Box::new(held_by(holder, None));
        Some(match holder.hold {
            Hold::Append | Hold::Write => Keep::Writer(held),
            Hold::Read | Hold::Mapped => Keep::InUse(held),
        })
    }

    /// All names in the directories of live logs, so that no new name meets an old one.
    pub(super) fn names_beside_live(&self) -> Names<'a> {
        let inventory = self.inventory;
        let live = self.series.iter().flat_map(|series| &series.live);
        let wanted: HashSet<DirId> = live.map(|id| inventory.entry(*id).directory).collect();
        let files = inventory
            .entries
            .iter()
            .map(|entry| (entry.directory, inventory.name(entry)));
        let directories = inventory
            .directories
            .iter()
            .filter_map(|row| Some((row.parent?, inventory.directory_name(row))));
        files
            .chain(directories)
            .filter(|(directory, _)| wanted.contains(directory))
            .collect()
    }

    /// Finds the series of a file; the reason where it has none.
    fn place(&mut self, rules: &Rules, id: EntryId) -> Option<Keep> {
        let entry = self.inventory.entry(id);
        let name = self.inventory.name(entry);
        if names::is_own_temporary(name) {
            return Some(Keep::SysoptTemporary);
        }
        if names::is_lock(name) || names::is_pid_file(name) || names::is_nfs_remnant(name) {
            return Some(Keep::Marker);
        }
        if cutting::log_of(name).is_some() {
            return Some(Keep::Books);
        }
        let placed = self.place_own(rules, id);
        let placed = placed.or_else(|| self.place_packed(rules, id));
        match placed.or_else(|| self.place_foreign(rules, id)) {
            Some(Placed::InSeries) => None,
            Some(Placed::Aside(reason)) => Some(reason),
            None => self.place_live(rules, id),
        }
    }

    /// `NAME-STAMP[-N][.gz|.zst]`.
    fn place_own(&mut self, rules: &Rules, id: EntryId) -> Option<Placed> {
        let entry = self.inventory.entry(id);
        let name = self.inventory.name(entry);
        let own = rotated::parse(name)?;
        Some(
            match rules.owner_of_rotated(entry.directory, own.log, name) {
                Owner::Rule(rule) => {
                    let stem = rotated::split_form(name).0;
                    let copy = self.copy(rule, id, own.log, (own.time, own.serial), stem);
                    copy.put(own.form, id);
                    Placed::InSeries
                }
                Owner::Excluded => Placed::Aside(Keep::Excluded),
                Owner::Nobody => Placed::Aside(Keep::RotatedLog),
            },
        )
    }

    /// `NAME.gz` where NAME is of a `unique` rule.
    fn place_packed(&mut self, rules: &Rules, id: EntryId) -> Option<Placed> {
        let entry = self.inventory.entry(id);
        let name = self.inventory.name(entry);
        let (stem, form) = rotated::split_form(name);
        if form == Form::Plain {
            return None;
        }
        let Owner::Rule(rule) = rules.owner(entry.directory, stem) else {
            return None;
        };
        if !self.policy.rules[rule].unique {
            return None;
        }
        if rules.owner_of_rotated(entry.directory, stem, name) == Owner::Excluded {
            return Some(Placed::Aside(Keep::Excluded));
        }
        self.copy(rule, id, stem, (entry.mtime, 1), name)
            .put(form, id);
        Some(Placed::InSeries)
    }

    /// A name that logrotate or a Python handler gave, of a log that a rule owns.
    fn place_foreign(&mut self, rules: &Rules, id: EntryId) -> Option<Placed> {
        let entry = self.inventory.entry(id);
        let name = self.inventory.name(entry);
        let foreign = rotated::parse_foreign(name)?;
        let Owner::Rule(rule) = rules.owner(entry.directory, foreign.log) else {
            return None;
        };
        if self.policy.rules[rule].unique {
            return None;
        }
        if rules.owner_of_rotated(entry.directory, foreign.log, name) == Owner::Excluded {
            return Some(Placed::Aside(Keep::Excluded));
        }
        if !self.policy.rules[rule].adopt {
            return Some(Placed::Aside(Keep::Foreign));
        }
        let at = match foreign.order {
            Order::Date(time) => (time, 1),
            Order::Index(index) => (entry.mtime, u32::MAX - index),
        };
        let copy = self.copy(rule, id, foreign.log, at, name);
        copy.foreign = true;
        copy.put(Form::Plain, id);
        Some(Placed::InSeries)
    }

    fn place_live(&mut self, rules: &Rules, id: EntryId) -> Option<Keep> {
        let entry = self.inventory.entry(id);
        let name = self.inventory.name(entry);
        match rules.owner(entry.directory, name) {
            Owner::Rule(rule) => {
                self.series(rule, id, name).live.push(id);
                None
            }
            Owner::Excluded => Some(Keep::Excluded),
            Owner::Nobody => Some(Keep::NoMatch),
        }
    }

    fn copy(
        &mut self,
        rule: usize,
        id: EntryId,
        log: &'a OsStr,
        (time, serial): (Time, u32),
        name: &'a OsStr,
    ) -> &mut Copy {
        let key = CopyKey {
            time,
            serial,
            name,
            directory: self.inventory.entry(id).directory,
        };
        self.series(rule, id, log).copies.entry(key).or_default()
    }

    fn series(&mut self, rule: usize, id: EntryId, log: &'a OsStr) -> &mut Series<'a> {
        let entry = self.inventory.entry(id);
        let root = self.inventory.root_of(entry);
        let (directory, log) = if self.policy.rules[rule].unique {
            let top = self.inventory.root(root).top;
            (top.unwrap_or(entry.directory), OsStr::new(""))
        } else {
            (entry.directory, log)
        };
        let next = self.series.len();
        let at = *self.index.entry((rule, directory, log)).or_insert(next);
        if at == next {
            self.series.push(Series {
                rule,
                root,
                directory,
                log,
                live: Vec::new(),
                copies: BTreeMap::new(),
            });
        }
        &mut self.series[at]
    }
}

pub(super) fn held_by(holder: &Holder, advice: Option<&'static str>) -> HeldBy {
    HeldBy {
        pid: holder.pid,
        name: holder.name.clone(),
        advice,
    }
}
