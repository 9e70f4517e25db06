//! Every key with its value and where that came from: defaults, what a file says over them, and
//! what the command line says over both.

use std::collections::BTreeMap;
use std::path::Path;

use super::check::{check, check_with_unit};
use super::error::{Errors, Span};
use super::keys::{self, Initial, Key, SECTIONS, Section};
use super::spelling::{find_section, key_help, spelling, top_help};
use super::tree::{self, Data, Language, Member, Node};
use super::value::Value;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// The configuration file, at this line.
    File(usize),
    /// An option.
    CommandLine,
}

/// A value with its source.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// `None` where nothing is set.
    pub value: Option<Value>,
    /// Where it came from.
    pub source: Source,
    /// The place of the value in the file.
    pub span: Option<Span>,
    /// The key as it was written in the file.
    written: String,
}

/// The settings of one table, by the names of its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The table.
    pub section: &'static Section,
    /// Its keys. In a repeated table, only those that are given.
    pub keys: BTreeMap<&'static str, Setting>,
    /// The place of a repeated table in the file.
    pub span: Option<Span>,
}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Settings {
    const fn empty(section: &'static Section) -> Self {
        Self {
            section,
            keys: BTreeMap::new(),
            span: None,
        }
    }

    /// A setting, where the key is set.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.keys.get(key)
    }

    /// Sets a key as from elsewhere than the file. Names that are not in the table are not set.
    pub fn set(&mut self, key: &str, value: Value, source: Source) {
        if let Some(key) = self.section.key(key) {
            let setting = Setting {
                value: Some(value),
                source,
                span: None,
                written: String::new(),
            };
            self.keys.insert(key.name, setting);
        }
    }
}

/// The settings of all tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The tables that are there once, in the order of [`SECTIONS`].
    pub tables: Vec<Settings>,
    /// The repeated tables in the order of the file.
    pub repeated: Vec<Settings>,
}

impl Tree {
    /// The built-in values.
    ///
    /// # Errors
    /// The key whose built-in value is not of its kind: a fault of the table of keys.
    pub fn defaults() -> Result<Self, String> {
        let mut tables = Vec::new();
        for section in SECTIONS.iter().filter(|section| !section.repeated) {
            let mut settings = Settings::empty(section);
            for key in section.keys {
                settings.keys.insert(key.name, default_of(section, key)?);
            }
            tables.push(settings);
        }
        let repeated = Vec::new();
        Ok(Self { tables, repeated })
    }

    /// The table of that name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Settings> {
        self.tables.iter().find(|table| table.section.name == name)
    }

    /// The table of that name, to change.
    pub fn table_mut(&mut self, name: &str) -> Option<&mut Settings> {
        self.tables
            .iter_mut()
            .find(|table| table.section.name == name)
    }

    /// The repeated tables of that name, in order.
    pub fn repeated<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Settings> {
        self.repeated
            .iter()
            .filter(move |table| table.section.name == name)
    }

    /// Sets a path that is not in the file and whose default depends on where that is. A path that
    /// is not UTF-8 cannot be a value.
    pub fn set_default(&mut self, section: &str, key: &str, path: &Path) {
        if let Some(table) = self.table_mut(section)
            && let Some(text) = path.to_str()
            && table.get(key).is_none_or(|it| it.source == Source::Default)
        {
            table.set(key, Value::Text(text.to_owned()), Source::Default);
        }
    }

    /// Merges what a file says over the values here, key by key. What is wrong goes to `errors`.
    pub fn merge(&mut self, file: &Node, errors: &mut Errors<'_>) {
        let Data::Table(members) = &file.data else {
            let message = format!("the file is {}, not a table", file.data.noun());
            errors.add(Some(&file.span), "", message, None);
            return;
        };
        let mut seen: BTreeMap<&str, &Span> = BTreeMap::new();
        for member in members {
            match find_section(&member.key) {
                Some(section) => {
                    if let Some(first) = seen.insert(section.name, &member.span) {
                        let line = errors.line(first.start);
                        let message = format!("this table was already given on line {line}");
                        errors.add(Some(&member.span), section.name, message, None);
                    } else {
                        self.merge_section(section, member, errors);
                    }
                }
                None => self.merge_top(member, errors),
            }
        }
    }

    fn merge_top(&mut self, member: &Member, errors: &mut Errors<'_>) {
        if errors.full() {
            return;
        }
        let old = SECTIONS
            .iter()
            .find(|section| section.directories == Some(member.key.as_str()));
        let name = old.map_or("", |section| section.name);
        if let Some(table) = self.table_mut(name)
            && spelling(table.section, &member.key).is_some()
        {
            set(table, member, errors);
        } else {
            let help = top_help(&member.key);
            errors.add(
                Some(&member.span),
                &member.key,
                "unknown key".into(),
                Some(help),
            );
        }
    }

    fn merge_section(
        &mut self,
        section: &'static Section,
        member: &Member,
        errors: &mut Errors<'_>,
    ) {
        let Data::Table(members) = &member.node.data else {
            let message = format!("this is {}, not a table", member.node.data.noun());
            let help = format!("write [{}] on a line, and its keys below", section.name);
            errors.add(Some(&member.span), section.name, message, Some(help));
            return;
        };
        for member in members {
            let inner = keys::section(&section.path(&member.key)).filter(|inner| inner.repeated);
            if let Some(inner) = inner {
                self.merge_repeated(inner, member, errors);
            } else if let Some(table) = self.table_mut(section.name) {
                set(table, member, errors);
            }
        }
    }

    fn merge_repeated(
        &mut self,
        section: &'static Section,
        member: &Member,
        errors: &mut Errors<'_>,
    ) {
        let tables = match &member.node.data {
            Data::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&member.node),
        };
        let not_list = !matches!(member.node.data, Data::List(_));
        for node in tables {
            let Data::Table(members) = &node.data else {
                let message = format!("this is {}, not a table", node.data.noun());
                errors.add(Some(&node.span), section.name, message, None);
                continue;
            };
            if not_list {
                let help = format!("write [[{}]] in double brackets", section.name);
                let message = "there can be several of these".to_owned();
                errors.add(Some(&member.span), section.name, message, Some(help));
            }
            let mut table = Settings::empty(section);
            table.span = Some(node.span.clone());
            for member in members {
                set(&mut table, member, errors);
            }
            self.repeated.push(table);
        }
    }
}

fn default_of(section: &Section, key: &Key) -> Result<Setting, String> {
    let value = match key.initial {
        Initial::Unset(_) => None,
        Initial::Value(text) | Initial::Quiet(text) => Some(
            read_literal(key, text)
                .map_err(|why| format!("the default of {}: {why}", section.path(key.name)))?,
        ),
    };
    Ok(Setting {
        value,
        source: Source::Default,
        span: None,
        written: String::new(),
    })
}

/// Reads a value in TOML by the rules of a key.
pub fn read_literal(key: &Key, text: &str) -> Result<Value, String> {
    let node = tree::parse(&format!("{} = {text}", key.name), Language::Toml)
        .map_err(|error| error.message)?;
    match node.data {
        Data::Table(members) if members.len() == 1 => {
            check(key.kind, &members[0].node).map_err(|problem| problem.message)
        }
        _ => Err("this is not one value".into()),
    }
}

fn set(table: &mut Settings, member: &Member, errors: &mut Errors<'_>) {
    if errors.full() {
        return;
    }
    let path = table.section.path(&member.key);
    let Some((key, unit)) = spelling(table.section, &member.key) else {
        let help = Some(key_help(table.section, &member.key));
        errors.add(Some(&member.span), &path, "unknown key".into(), help);
        return;
    };
    if let Some(before) = table.get(key.name)
        && let Source::File(line) = before.source
    {
        let message = format!("already given on line {line} as '{}'", before.written);
        errors.add(Some(&member.span), &path, message, None);
        return;
    }
    let checked = match unit {
        Some(unit) => check_with_unit(key.kind, unit, &member.node),
        None => check(key.kind, &member.node),
    };
    let value = match checked {
        Ok(value) => Some(value),
        Err(problem) => {
            errors.add(Some(&problem.span), &path, problem.message, problem.help);
            None
        }
    };
    let setting = Setting {
        value,
        source: Source::File(errors.line(member.span.start)),
        span: Some(member.node.span.clone()),
        written: member.key.clone(),
    };
    table.keys.insert(key.name, setting);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::UNITS;
    use std::path::Path;

    fn merged(text: &str, language: Language) -> (Tree, Vec<String>) {
        let mut tree = Tree::defaults().unwrap_or_else(|why| panic!("{why}"));
        let mut errors = Errors::new(Path::new("f"), text);
        match tree::parse(text, language) {
            Ok(node) => tree.merge(&node, &mut errors),
            Err(error) => errors.add(Some(&error.span), "", error.message, None),
        }
        let errors = errors.finish().err().unwrap_or_default();
        (tree, errors.iter().map(ToString::to_string).collect())
    }

    fn value(tree: &Tree, section: &str, key: &str) -> String {
        tree.table(section)
            .and_then(|table| table.get(key)?.value.as_ref())
            .map_or_else(|| "unset".into(), Value::to_toml)
    }

    #[test]
    fn every_default_and_every_example_is_of_its_kind() {
        for section in SECTIONS {
            for key in section.keys {
                let (Initial::Value(text) | Initial::Quiet(text) | Initial::Unset(text)) =
                    key.initial;
                let read = read_literal(key, text);
                assert!(read.is_ok(), "{}: {read:?}", section.path(key.name));
            }
        }
        assert!(Tree::defaults().is_ok());
    }

    #[test]
    fn names_are_unique_and_no_spelling_means_two_keys() {
        for section in SECTIONS {
            for key in section.keys {
                let same = section.keys.iter().filter(|k| k.name == key.name);
                assert_eq!(same.count(), 1, "{}", section.path(key.name));
                for unit in UNITS.iter().filter(|unit| unit.fits(key.kind)) {
                    let spelled = format!("{}{}", key.name, unit.suffix);
                    assert!(section.key(&spelled).is_none(), "{spelled}");
                }
            }
        }
    }

    #[test]
    fn the_old_spelling_means_the_same() {
        for (text, section, key, expected) in [
            (
                "[intervals]\noptimization_minutes = 45",
                "intervals",
                "optimization",
                "\"45min\"",
            ),
            (
                "[intervals]\ncache_cleanup_hours = 0.5",
                "intervals",
                "cache_cleanup",
                "\"30min\"",
            ),
            (
                "[intervals]\nmodel_archive_days = 2",
                "intervals",
                "model_archive",
                "\"2d\"",
            ),
            ("[logs]\nsettle_seconds = 0", "logs", "settle", "\"0s\""),
            (
                "[cache]\nmax_size_mb = 1.5",
                "cache",
                "max_size",
                "\"1536KiB\"",
            ),
            (
                "[cache]\nmin_free_mb = 512",
                "cache",
                "min_free",
                "\"512MiB\"",
            ),
            (
                "[logs]\nmax_file_size_mb = 200",
                "logs",
                "max_file_size",
                "\"200MiB\"",
            ),
            (
                "[error_handling]\nmax_interval_hours = 8",
                "error_handling",
                "max_interval",
                "\"8h\"",
            ),
            (
                "[cache]\ncache_directories = [\"a\"]",
                "cache",
                "directories",
                "[\"a\"]",
            ),
            (
                "cache_directories = [\"a\"]",
                "cache",
                "directories",
                "[\"a\"]",
            ),
            ("log_directories = []", "logs", "directories", "[]"),
            (
                "[models]\nmodel_directories = [\"m\"]",
                "models",
                "directories",
                "[\"m\"]",
            ),
            (
                "[logs]\ncompress_old_logs = true",
                "logs",
                "compress_old_logs",
                "\"gzip\"",
            ),
            (
                "[logs]\ncompress_old_logs = false",
                "logs",
                "compress_old_logs",
                "\"none\"",
            ),
        ] {
            let (tree, errors) = merged(text, Language::Toml);
            assert_eq!(errors, Vec::<String>::new(), "{text}");
            assert_eq!(value(&tree, section, key), expected, "{text}");
        }
        let json = r#"{"intervals": {"optimization_minutes": 45}, "log_directories": ["l"]}"#;
        let (tree, errors) = merged(json, Language::Json);
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(value(&tree, "intervals", "optimization"), "\"45min\"");
        assert_eq!(value(&tree, "logs", "directories"), "[\"l\"]");
    }

    #[test]
    fn a_file_changes_only_the_keys_it_names() {
        let (tree, errors) = merged("[cache]\nmax_size = \"1GiB\"\n", Language::Toml);
        assert_eq!(errors, Vec::<String>::new());
        let Ok(mut defaults) = Tree::defaults() else {
            panic!("no defaults");
        };
        for table in &tree.tables {
            for (key, setting) in &table.keys {
                let changed = setting.source != Source::Default;
                assert_eq!(changed, *key == "max_size", "{key}");
                if changed && let Some(table) = defaults.table_mut("cache") {
                    table.keys.insert(key, setting.clone());
                }
            }
        }
        assert_eq!(tree, defaults);
    }

    #[test]
    fn all_errors_of_a_file_are_told_with_their_place_and_a_cure() {
        let text = "\
[cache]
max_sze = \"1GiB\"
max_size = -1
cleanup_threshold = 80
preserve_recent = 30
exclude = [\"ok\", \"[\"]
directories = \"cache\"

[lgs]
x = 1

[models]
max_file_size = \"1GiB\"
archive_directory = \"..\"
age_by = \"use\"
";
        let (_, errors) = merged(text, Language::Toml);
        let firsts: Vec<&str> = errors.iter().filter_map(|e| e.lines().next()).collect();
        assert_eq!(
            firsts,
            [
                "f:2:1: key 'cache.max_sze': unknown key",
                "f:3:12: key 'cache.max_size': a size cannot be negative",
                "f:4:21: key 'cache.cleanup_threshold': this must be a number over 0, up to 1",
                "f:5:19: key 'cache.preserve_recent': 30 has no unit",
                "f:6:18: key 'cache.exclude': this is not a pattern: unclosed character class; missing ']'",
                "f:7:15: key 'cache.directories': this is a string, not a list of directories",
                "f:9:2: key 'lgs': unknown key",
                "f:13:1: key 'models.max_file_size': unknown key",
                "f:14:21: key 'models.archive_directory': this is not inside the model directory",
                "f:15:10: key 'models.age_by': this must be one of \"used\", \"modified\"",
            ]
        );
        assert_eq!(
            errors[0],
            "f:2:1: key 'cache.max_sze': unknown key\n    max_sze = \"1GiB\"\n    ^^^^^^^\nhelp: did you mean 'max_size'?"
        );
        assert!(
            errors[6].ends_with("help: did you mean 'logs'?"),
            "{}",
            errors[6]
        );
        assert!(errors[7].ends_with("help: 'max_file_size' belongs to [logs]"));
        assert!(errors[9].ends_with("help: did you mean 'used'?"));
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        for text in [
            "intervals.optimization = \"0s\"",
            "intervals.optimization = 1.5",
            "intervals.pressure_percent = 101",
            "intervals.pressure_percent = nan",
            "intervals.pressure_percent = -0.1",
            "cache.cleanup_threshold = 0",
            "cache.max_age = \"2 months\"",
            "cache.min_free = \"101%\"",
            "cache.max_size_mb = -1",
            "cache.max_size_mb = inf",
            "cache.max_size_mb = \"5\"",
            "cache.max_size_mb = 99999999999999999999.0",
            "cache.max_size = 2025-01-01",
            "cache.directories = [\"\"]",
            "cache.directories = [\"~/cache\"]",
            "cache.directories = [\"a\\u0000b\"]",
            "logs.max_files_per_logger = -1",
            "logs.max_files_per_logger = 1.0",
            "logs.compression_level = 0",
            "logs.compression_level = 20",
            "logs.compress_old_logs = \"bzip2\"",
            "logs.mode = \"copytruncate\"",
            "logs.signal = \"HUP\"",
            "logs.signal = { name = \"KILL\", pid_file = \"x\" }",
            "logs.signal = { name = \"HUP\" }",
            "logs.signal = { nam = \"HUP\", pid_file = \"x\" }",
            "logs.post_rotate = []",
            "logs.post_rotate = [\"\"]",
            "logs.rule = { patterns = [] }",
            "error_handling.backoff_multiplier = 0.9",
            "error_handling.max_consecutive_failures = 0",
            "history.keep = 9999999999",
            "garbage.delete = [\"everything\"]",
            "models.archive_directory = \".\"",
            "models.archive_directory = \"a/../..\"",
            "agents.rule = [{ name = \"x\", cmd_regex = \"(\" }]",
            "agents.rule = [{ name = \"x\", env = \"=x\" }]",
            "cache = 5",
            "cache = [{}]",
            "logs.rule = [5]",
            "logs.rule = [{ rule = [] }]",
        ] {
            let (_, errors) = merged(text, Language::Toml);
            assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        }
    }

    #[test]
    fn a_key_given_twice_names_both_spellings() {
        let (_, errors) = merged("[cache]\nmax_size = 1\nmax_size_mb = 2\n", Language::Toml);
        assert_eq!(errors.len(), 1, "{errors:?}");
        let first = "f:3:1: key 'cache.max_size_mb': already given on line 2 as 'max_size'";
        assert!(errors[0].starts_with(first), "{errors:?}");
        for text in [
            r#"{"history": {"keep": 1, "keep": 2}}"#,
            r#"{"history": {"keep": 1}, "history": {}}"#,
            r#"{"cache_directories": [], "cache": {"directories": []}}"#,
            r#"{"root": "a", "root": "a"}"#,
            r#"{"logs": {"signal": {"name": "HUP", "name": "HUP", "pid_file": "x"}}}"#,
        ] {
            let (_, errors) = merged(text, Language::Json);
            assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        }
    }

    #[test]
    fn the_nearest_key_is_suggested_with_and_without_a_unit() {
        for (text, help) in [
            ("cache.max-size = 1", "did you mean 'max_size'?"),
            ("cache.MAX_SIZE = 1", "did you mean 'max_size'?"),
            ("cache.maxsize_mb = 1", "did you mean 'max_size_mb'?"),
            ("logs.rules = []", "did you mean 'rule'?"),
            ("log.settle = 1", "did you mean 'logs'?"),
            ("max_size = 1", "'max_size' belongs to [cache]"),
            (
                "intervals.root = \"x\"",
                "'root' belongs to the top of the file, before the first [table]",
            ),
            ("history.zzz = 1", "[history] has: keep"),
        ] {
            let (_, errors) = merged(text, Language::Toml);
            assert!(
                errors[0].ends_with(&format!("help: {help}")),
                "{text}: {errors:?}"
            );
        }
    }
}
