//! The configuration as a whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::error::ConfigError;
use super::keys::{Initial, Kind, SECTIONS};
use super::locate::{Located, Origin, Request, Surroundings};
use super::overrides::{Compression, Overrides};
use super::policy::DirectoryOrigin;
use super::value::Value;
use super::{Config, assemble, check, init, load, show};
use crate::plan::entry::Role;
use crate::plan::policy::{AgeBy, Codec, LogMode, MinFree};

fn around(cwd: &str) -> Surroundings {
    Surroundings {
        cwd: cwd.into(),
        xdg_state_home: Some("/home/me/.local/state".into()),
        uid: 1000,
        ..Surroundings::default()
    }
}

fn given(text: &str, origin: Origin, overrides: &Overrides) -> Result<Config, Vec<ConfigError>> {
    let located = Located {
        path: "/srv/bot/sysopt.toml".into(),
        origin,
    };
    let request = Request::default();
    assemble(text, Some(&located), &request, &around("/cwd"), overrides)
}

/// Where a run starts must not decide what it remembers.
#[test]
fn the_state_of_a_file_without_a_base_has_a_place_of_its_own() {
    let request = |base: Option<&str>| Request {
        base: base.map(Into::into),
        file: None,
    };
    let state = |text: &str, origin, uid, base| {
        let located = Located {
            path: "/etc/sysopt/sysopt.toml".into(),
            origin,
        };
        let around = Surroundings {
            uid,
            ..around("/cwd")
        };
        let config = assemble(
            text,
            Some(&located),
            &request(base),
            &around,
            &Overrides::default(),
        );
        config.map(|config| config.state_directory.display().to_string())
    };
    let home = "/home/me/.local/state/sysopt";
    let named = "state_directory = '/x/y'";
    for (text, origin, uid, base, place) in [
        ("#", Origin::User, 1000, None, home),
        ("#", Origin::System, 1000, None, home),
        ("#", Origin::System, 0, None, "/var/lib/sysopt"),
        ("#", Origin::System, 0, Some("/srv/a"), "/srv/a/.sysopt"),
        ("#", Origin::User, 1000, Some("/srv/a"), "/srv/a/.sysopt"),
        ("root = '/srv/b'", Origin::System, 0, None, "/srv/b/.sysopt"),
        (named, Origin::User, 1000, None, "/x/y"),
        ("#", Origin::Base, 1000, None, "/etc/sysopt/.sysopt"),
        ("#", Origin::Option, 0, None, "/etc/sysopt/.sysopt"),
    ] {
        let found = state(text, origin, uid, base);
        assert_eq!(
            found.ok().as_deref(),
            Some(place),
            "{text} {origin:?} {uid} {base:?}"
        );
    }
}

fn config(text: &str) -> Config {
    with(text, &Overrides::default())
}

fn with(text: &str, overrides: &Overrides) -> Config {
    match given(text, Origin::Option, overrides) {
        Ok(config) => config,
        Err(errors) => panic!("{text}\n{}", shown(&errors)),
    }
}

fn shown(errors: &[ConfigError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("\n")
}

fn refused(text: &str, origin: Origin) -> String {
    match given(text, origin, &Overrides::default()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(errors) => shown(&errors),
    }
}

/// Everything of a configuration that decides what is done.
fn meaning(config: &Config) -> Vec<String> {
    let mut all = vec![
        format!("{:?} {:?}", config.base, config.state_directory),
        format!("{:?} {:?}", config.intervals, config.error_handling),
        format!("{:?} {}", config.export_textfile, config.history_keep),
    ];
    for directory in &config.directories {
        all.push(format!("{:?} {:?}", directory.role, directory.path));
    }
    for table in &config.tree.tables {
        for (key, setting) in &table.keys {
            let name = table.section.path(key);
            if *key != "directories" && name != "root" {
                all.push(format!("{name} {:?}", setting.value));
            }
        }
    }
    // The order of rules counts within a table, not between tables.
    for name in ["logs.rule", "agents.rule"] {
        for table in config.tree.repeated(name) {
            all.push(name.to_owned());
            let settings = table.keys.iter();
            all.extend(settings.map(|(key, setting)| format!("{key} {:?}", setting.value)));
        }
    }
    for rule in &config.policies.logs.rules {
        all.push(format!(
            "{:?} {:?} {:?}",
            rule.compress, rule.directories, rule.signal
        ));
    }
    all.push(format!("{:?}", config.policies.agents));
    all
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let config = config("");
    let p = &config.policies;
    let minutes = |n: u64| Duration::from_secs(n * 60);
    assert_eq!(config.intervals.optimization, minutes(30));
    assert_eq!(config.intervals.model_archive, minutes(7 * 24 * 60));
    assert_eq!(config.error_handling.max_interval, minutes(240));
    assert_eq!(p.cache.limit, 838_860_800);
    assert_eq!(p.cache.preserve_recent, minutes(120));
    assert_eq!((p.cache.max_age, p.cache.min_free), (None, None));
    assert_eq!(p.logs.rules.len(), 1);
    let logs = &p.logs.rules[0];
    assert_eq!(logs.directories, None);
    assert_eq!((logs.max_file_size, logs.max_files), (100 << 20, 5));
    assert_eq!((logs.compress, logs.mode), (Codec::Gzip(6), LogMode::Auto));
    assert!(!logs.adopt && !logs.unique && !p.logs.force);
    assert!(logs.patterns.matches(Path::new("a/b.log")));
    assert_eq!(p.models.archive_after, minutes(7 * 24 * 60));
    assert_eq!((p.models.keep_latest, p.models.max_archived), (1, 10));
    assert!(p.models.safe_archiving && p.garbage.enabled && p.agents.enabled && p.load.enabled);
    assert!(!p.garbage.delete_broken_symlinks);
    assert_eq!(config.history_keep, 50);
    assert_eq!(config.state_directory, Path::new("/srv/bot/.sysopt"));
    let roles = [
        (Role::Models, 4),
        (Role::Logs, 3),
        (Role::Cache, 4),
        (Role::Garbage, 2),
    ];
    for (role, count) in roles {
        let of_role = config.directories.iter().filter(|each| each.role == role);
        assert_eq!(of_role.count(), count, "{role:?}");
    }
    assert!(config.directories.iter().all(|each| {
        each.origin == DirectoryOrigin::Default && each.path.starts_with("/srv/bot")
    }));
}

#[test]
fn a_rule_inherits_what_it_does_not_say() {
    let config = config(
        r#"
[logs]
max_files_per_logger = 9
compress_old_logs = "zstd"
compression_level = 15
signal = { name = "sighup", pid_file = "run/a.pid" }
[[logs.rule]]
directories = ["./api", "/var/log/api"]
patterns = ["*.access"]
max_file_size = "1GiB"
[[logs.rule]]
compress_old_logs = true
[[logs.rule]]
compress_old_logs = "zstd"
compression_level = 4
"#,
    );
    let rules = &config.policies.logs.rules;
    assert_eq!(rules.len(), 4);
    let api: Vec<PathBuf> = vec!["/srv/bot/api".into(), "/var/log/api".into()];
    assert_eq!(rules[0].directories.as_ref(), Some(&api));
    assert_eq!((rules[0].max_file_size, rules[0].max_files), (1 << 30, 9));
    assert!(rules[0].patterns.matches(Path::new("x.access")));
    assert!(!rules[0].patterns.matches(Path::new("x.log")));
    assert!(rules[1].patterns.matches(Path::new("x.log")));
    assert_eq!(rules[1].directories, None);
    let codecs: Vec<Codec> = rules.iter().map(|rule| rule.compress).collect();
    // A level means something only to its codec.
    assert_eq!(
        codecs,
        [
            Codec::Zstd(15),
            Codec::Gzip(6),
            Codec::Zstd(4),
            Codec::Zstd(15)
        ]
    );
    let pid_file = |rule: usize| {
        rules[rule]
            .signal
            .as_ref()
            .map(|s| (s.name.clone(), s.pid_file.clone()))
    };
    assert_eq!(
        pid_file(0),
        Some(("HUP".into(), "/srv/bot/run/a.pid".into()))
    );
    for path in api {
        let named = config.directories.iter().find(|each| each.path == path);
        assert_eq!(
            named.map(|each| (each.role, each.origin)),
            Some((Role::Logs, DirectoryOrigin::File))
        );
    }
}

#[test]
fn other_tables_reach_their_policies() {
    let config = config(
        r#"
state_directory = "/var/lib/bot"
[cache]
directories = ["c", "./c", "d"]
max_size = "10GiB"
cleanup_threshold = 1
max_total_size_mb = 100
min_free = "7.5%"
[models]
archive_directory = "/mnt/archive/./x"
compression = "zstd"
age_by = "modified"
[garbage]
delete = ["empty_directories"]
[system]
enable_agent_optimization = false
memory_threshold_percent = 50
[agents]
pace_file = "run/pace.json"
exclude = ["my-agent"]
[[agents.rule]]
name = "whale"
module = "cryptotrader.agents.*"
env = "A=b"
cmd_regex = "\\bwhale\\b"
expect = 2
reclaim_signal = "SIGUSR1"
[export]
textfile = "metrics.prom"
"#,
    );
    let p = &config.policies;
    assert_eq!(config.state_directory, Path::new("/var/lib/bot"));
    let caches = config
        .directories
        .iter()
        .filter(|each| each.role == Role::Cache);
    assert_eq!(caches.count(), 2);
    assert_eq!(
        (p.cache.limit, p.cache.max_total_size),
        (10 << 30, Some(100 << 20))
    );
    assert_eq!(p.cache.min_free, Some(MinFree::Percent(7.5)));
    assert_eq!(p.models.archive_directory, Path::new("/mnt/archive/x"));
    assert_eq!(
        (p.models.compression, p.models.age_by),
        (Codec::Zstd(3), AgeBy::Modified)
    );
    assert!(p.garbage.delete_empty_directories && !p.garbage.delete_pid_files);
    assert!(!p.agents.enabled);
    assert!((p.load.memory_percent - 50.0).abs() < f64::EPSILON);
    assert_eq!(p.agents.pace_file, Some("/srv/bot/run/pace.json".into()));
    let rule = &p.agents.rules[0];
    assert_eq!((rule.name.as_str(), rule.expect), ("whale", Some(2)));
    assert_eq!(rule.reclaim_signal.as_deref(), Some("USR1"));
    assert_eq!(config.export_textfile, Some("/srv/bot/metrics.prom".into()));
}

#[test]
fn keys_that_contradict_each_other_are_errors() {
    for (text, expected) in [
        (
            "[logs]\ncompression_level = 12\n",
            ":2:21: key 'logs.compression_level': gzip has levels from 1 to 9",
        ),
        (
            "[logs]\ncompress_old_logs = \"zstd\"\n[[logs.rule]]\ncompress_old_logs = true\ncompression_level = 12",
            ":5:21: key 'logs.rule.compression_level': gzip has levels from 1 to 9",
        ),
        (
            "[[agents.rule]]\ncomm = \"x\"\n",
            ":1:1: key 'agents.rule': this rule has no name",
        ),
        (
            "[[agents.rule]]\nname = \"x\"\n",
            ":1:1: key 'agents.rule': this rule matches every process",
        ),
        (
            "[[agents.rule]]\nname = \"x\"\ncomm = \"x\"\n[[agents.rule]]\nname = \"x\"\ncomm = \"y\"",
            ":5:8: key 'agents.rule.name': another rule is named 'x'",
        ),
        (
            "state_directory = \"./\"",
            ":1:19: key 'state_directory': the state needs a directory of its own",
        ),
        (
            "[[agents.rule]]\nname = \"x\"\ncmd_regex = \"(a\"",
            "key 'agents.rule.cmd_regex': this is not a regular expression: unclosed group",
        ),
        ("a = [", ":1:6: unclosed array"),
    ] {
        let told = refused(text, Origin::Option);
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_file_of_garbage_ends_soon() {
    let lines: Vec<String> = (0..100_000).map(|n| format!("k{n}=1")).collect();
    let text = lines.join("\n");
    let errors = given(&text, Origin::Option, &Overrides::default()).err();
    assert_eq!(errors.map(|errors| errors.len()), Some(100));
}

#[test]
fn a_file_of_the_user_or_the_system_names_only_absolute_paths() {
    for origin in [Origin::User, Origin::System] {
        for (text, at) in [
            (
                "cache_directories = [\"/a\", \"b\"]",
                "key 'cache.directories': 'b' is relative",
            ),
            (
                "[[logs.rule]]\ndirectories = [\"b\"]",
                "key 'logs.rule.directories': 'b' is relative",
            ),
            (
                "state_directory = \"b\"",
                "key 'state_directory': 'b' is relative",
            ),
            (
                "[export]\ntextfile = \"b\"",
                "key 'export.textfile': 'b' is relative",
            ),
            (
                "[logs]\nsignal = { name = \"HUP\", pid_file = \"b\" }",
                "key 'logs.signal': 'b' is relative",
            ),
        ] {
            let told = refused(text, origin);
            assert!(told.contains(at), "{told}");
            assert!(told.contains("root = \"/...\""), "{told}");
            assert!(
                given(
                    &format!("root = \"x\"\n{text}"),
                    origin,
                    &Overrides::default()
                )
                .is_ok()
            );
            assert!(given(text, Origin::Option, &Overrides::default()).is_ok());
        }
        // Without a base there are no built-in directories either, and `config` says so.
        let text = "[models]\ndirectories = [\"/m\"]\n";
        let Ok(config) = given(text, origin, &Overrides::default()) else {
            panic!("refused");
        };
        let paths: Vec<&Path> = config
            .directories
            .iter()
            .map(|each| each.path.as_path())
            .collect();
        assert_eq!(paths, [Path::new("/m")]);
        assert_eq!(config.base, Path::new("/cwd"));
        assert!(show::toml(&config).contains("# default: none, because the file has no root"));
    }
}

#[test]
fn what_is_typed_goes_over_the_file() {
    let text = "\
[cache]
max_size = \"5GiB\"
[logs]
compress_old_logs = \"zstd\"
compression_level = 15
[[logs.rule]]
max_file_size = \"1MiB\"
compress_old_logs = \"zstd\"
compression_level = 17
max_files_per_logger = 2
";
    let overrides = Overrides {
        cache_max_size: Some(1000),
        cache_preserve_recent: Some(Duration::ZERO),
        cache_max_age: Some(Duration::from_mins(1)),
        logs_max_size: Some(7),
        logs_compress: Some(Compression::Gzip),
        logs_mode: Some(LogMode::Punch),
        logs_force: true,
        models_older_than: Some(Duration::from_secs(5)),
        models_age_by: Some(AgeBy::Modified),
        models_max_archived: Some(3),
        models_compress: Some(Compression::Zstd),
        logs_keep: None,
    };
    let config = with(text, &overrides);
    let p = &config.policies;
    assert_eq!(
        p.cache.limit, 1000,
        "no threshold is applied to what is typed"
    );
    assert_eq!(p.cache.preserve_recent, Duration::ZERO);
    assert_eq!(p.cache.max_age, Some(Duration::from_mins(1)));
    assert!(p.logs.force);
    for rule in &p.logs.rules {
        assert_eq!((rule.max_file_size, rule.mode), (7, LogMode::Punch));
        assert_eq!(rule.compress, Codec::Gzip(6));
    }
    assert_eq!(
        (p.logs.rules[0].max_files, p.logs.rules[1].max_files),
        (2, 5)
    );
    assert_eq!(p.models.archive_after, Duration::from_secs(5));
    assert_eq!(
        (p.models.age_by, p.models.max_archived),
        (AgeBy::Modified, 3)
    );
    assert_eq!(p.models.compression, Codec::Zstd(3));
    let toml = show::toml(&config);
    assert!(toml.lines().any(|line| line.starts_with("max_size = \"1000\"") && line.ends_with("# command line")));
    assert_eq!(meaning(&self::config(&toml)), meaning(&config));
    let same = Overrides {
        logs_compress: Some(Compression::Zstd),
        ..Overrides::default()
    };
    let rules = with(text, &same).policies.logs.rules;
    assert_eq!(rules[1].compress, Codec::Zstd(15));
}

#[test]
fn the_commented_file_means_the_defaults() {
    let text = init::text();
    let from_init = config(&text);
    assert_eq!(meaning(&from_init), meaning(&config("")));
    assert!(
        from_init
            .directories
            .iter()
            .all(|each| each.origin == DirectoryOrigin::Default)
    );
    // With its commented lines it still loads: the examples are right.
    let opened: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") || rest.starts_with("[[") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let opened = config(&opened);
    assert_eq!(opened.policies.agents.rules.len(), 1);
    for section in SECTIONS {
        for key in section.keys {
            let line = format!("{} = ", key.name);
            assert!(text.contains(&line), "{}", section.path(key.name));
        }
    }
}

#[test]
fn shown_values_name_their_source() {
    let config = config("# x\n[cache]\nmax_size_mb = 5\n\n[[logs.rule]]\nunique = true\n");
    let toml = show::toml(&config);
    let line = |start: &str| {
        toml.lines()
            .find(|line| line.starts_with(start))
            .unwrap_or("")
    };
    assert!(
        line("max_size = \"5MiB\" ").ends_with(" # /srv/bot/sysopt.toml:3"),
        "{toml}"
    );
    assert!(
        line("cleanup_threshold = 0.8 ").ends_with(" # default"),
        "{toml}"
    );
    assert!(line("root = \"/srv/bot\" ").ends_with(" # directory of /srv/bot/sysopt.toml"));
    assert!(line("[[logs.rule]]").ends_with(" # /srv/bot/sysopt.toml:6"));
    assert!(toml.contains("\n# max_total_size is not set\n"));
    let Ok(json) = serde_json::to_value(show::json(&config)) else {
        panic!("no JSON");
    };
    assert_eq!(json["schema"], "sysopt.config/1");
    assert_eq!(json["file"], "/srv/bot/sysopt.toml");
    let size = &json["values"]["cache"]["max_size"];
    assert_eq!(size["value"], "5MiB");
    assert_eq!(size["bytes"], 5 << 20);
    assert_eq!(size["source"], "/srv/bot/sysopt.toml:3");
    assert_eq!(
        json["values"]["cache"]["max_age"]["value"],
        serde_json::Value::Null
    );
    assert_eq!(
        json["values"]["intervals"]["optimization"]["seconds"],
        1800.0
    );
    assert_eq!(json["values"]["logs"]["rule"][0]["unique"]["value"], true);
    assert_eq!(json["values"]["root"]["value"], "/srv/bot");
    assert_eq!(json["directories"][0]["path"], "/srv/bot/models");
}

#[test]
fn a_file_is_loaded_from_where_it_lies() {
    let Ok(dir) = tempfile::tempdir() else {
        panic!("no temporary directory");
    };
    let surroundings = Surroundings {
        cwd: dir.path().to_path_buf(),
        uid: rustix::process::geteuid().as_raw(),
        system_config: dir.path().join("none"),
        ..Surroundings::default()
    };
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).is_ok();
    let none = Overrides::default();
    let built_in = load(&Request::default(), &surroundings, &none);
    assert!(built_in.is_ok_and(|config| config.file.is_none() && config.default_directories));
    assert!(write("sysopt.toml", "[history]\nkeep = 7\n"));
    let found = load(&Request::default(), &surroundings, &none);
    assert!(found.is_ok_and(|config| config.history_keep == 7 && config.base == dir.path()));
    assert!(write("x.JSON", "{\"history\": {\"keep\": 8}}"));
    let request = Request {
        base: None,
        file: Some("x.JSON".into()),
    };
    assert!(load(&request, &surroundings, &none).is_ok_and(|config| config.history_keep == 8));
    assert!(write(
        "bad.json",
        "{\"cache\": {\"max_sise\": 1,\n \"min_free\": null}}"
    ));
    let errors = check(Path::new("bad.json"), &surroundings)
        .err()
        .unwrap_or_default();
    let told = shown(&errors);
    assert_eq!(errors.len(), 2, "{told}");
    assert!(
        told.contains("bad.json:1:12: key 'cache.max_sise': unknown key"),
        "{told}"
    );
    assert!(
        told.contains("help: leave the key out to unset it"),
        "{told}"
    );
    assert!(check(Path::new("sysopt.toml"), &surroundings).is_ok());
    assert!(check(Path::new("gone.toml"), &surroundings).is_err());
}

/// A value for a key: its default, its example, or something awkward of its kind.
fn sample(kind: Kind, default: Initial, choice: u8) -> String {
    let (Initial::Value(text) | Initial::Quiet(text) | Initial::Unset(text)) = default;
    match (kind, choice) {
        (_, 0) => text.to_owned(),
        (Kind::Duration(_), 1) => "\"1w 1.25s\"".into(),
        (Kind::Duration(_), _) => "\"90m\"".into(),
        (Kind::Size(_), 1) => "123456789".into(),
        (Kind::Size(_), _) => "\"1.5gb\"".into(),
        (Kind::MinFree, 1) => "\"0.1%\"".into(),
        (Kind::Percent, _) => "12.75".into(),
        (Kind::Fraction, _) => "0.1".into(),
        (Kind::Count(..), _) => "9".into(),
        (Kind::Compression, 1) => "\"zstd\"".into(),
        (Kind::Compression, 2) => "false".into(),
        (Kind::Bool, _) => "true".into(),
        (Kind::Path | Kind::Text, 1) => "\"a b\\n\\u007f\\u001b \\\"[12]' #\\\\é\"".into(),
        (Kind::Directories, 1) => "[\"/x/../y\", \"-a b\\n\\t\\u0000b\"]".replace("\\u0000", ""),
        (Kind::Globs, 1) => "[\"*.{a,b}\", \"x/**/[12]\", \"#\\\\[\"]".into(),
        (Kind::Signal, _) => "{ name = \"sigusr2\", pid_file = \"/run/x y\" }".into(),
        (Kind::Argv, _) => "[\"a\", \"\", \"b c\"]".into(),
        _ => text.to_owned(),
    }
}

fn a_file() -> impl Strategy<Value = String> {
    let keys: usize = SECTIONS.iter().map(|section| section.keys.len()).sum();
    proptest::collection::vec(0_u8..12, keys * 2).prop_map(|choices| {
        let mut choices = choices.into_iter();
        let mut lines = Vec::new();
        for section in SECTIONS {
            for _ in 0..=usize::from(section.repeated) {
                match section.name {
                    "" => {}
                    name if section.repeated => lines.push(format!("[[{name}]]")),
                    name => lines.push(format!("[{name}]")),
                }
                for key in section.keys {
                    let choice = choices.next().unwrap_or(9);
                    if section.repeated && ["name", "comm"].contains(&key.name) {
                        lines.push(format!("{} = \"n{}\"", key.name, lines.len()));
                    } else if choice < 3 {
                        let value = sample(key.kind, key.initial, choice);
                        lines.push(format!("{} = {value}", key.name));
                    }
                }
            }
        }
        lines.join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_shown_loads_back(text in a_file()) {
        let config = config(&text);
        let shown = show::toml(&config);
        prop_assert_eq!(meaning(&self::config(&shown)), meaning(&config), "{}\n---\n{}", text, shown);
    }

    #[test]
    fn json_means_what_toml_means(text in a_file()) {
        let config = config(&text);
        let json = to_json(&config);
        let located = Located { path: "/srv/bot/sysopt.json".into(), origin: Origin::Option };
        let again = assemble(&json, Some(&located), &Request::default(), &around("/cwd"), &Overrides::default());
        prop_assert_eq!(again.as_ref().map(meaning).map_err(|e| shown(e)), Ok(meaning(&config)), "{}", json);
    }

    #[test]
    fn no_file_makes_a_panic(text in "([a-z_]{0,8}[.=\\[\\]{} \n\"]{0,3}[0-9]{0,3}){0,20}") {
        for path in ["/f.toml", "/f.json"] {
            let located = Located { path: path.into(), origin: Origin::System };
            if let Err(errors) = assemble(&text, Some(&located), &Request::default(), &around("/"), &Overrides::default()) {
                prop_assert!(!shown(&errors).is_empty());
            }
        }
    }
}

/// The settings as a JSON file.
fn to_json(config: &Config) -> String {
    let mut top = serde_json::Map::new();
    let table = |table: &super::settings::Settings| {
        let set = table
            .keys
            .iter()
            .filter(|(_, setting)| setting.value.is_some());
        let pairs = set.map(|(key, setting)| {
            let value = setting.value.as_ref().map(Value::to_json);
            ((*key).to_owned(), value.unwrap_or_default())
        });
        serde_json::Value::Object(pairs.collect())
    };
    for settings in &config.tree.tables {
        if let serde_json::Value::Object(members) = table(settings) {
            if settings.section.name.is_empty() {
                top.extend(members);
            } else {
                top.insert(settings.section.name.to_owned(), members.into());
            }
        }
    }
    for settings in &config.tree.repeated {
        if let Some((outer, name)) = settings.section.name.split_once('.') {
            let list = &mut top[outer][name];
            if list.is_null() {
                *list = serde_json::json!([]);
            }
            if let Some(list) = list.as_array_mut() {
                list.push(table(settings));
            }
        }
    }
    serde_json::Value::Object(top).to_string()
}

#[test]
fn agents_are_not_asked_with_signals_that_end_programs() {
    let rule = |name: &str| {
        let predicate = "[[agents.rule]]\nname = \"a\"\nmodule = \"a\"\n";
        format!("{predicate}reclaim_signal = \"{name}\"\n")
    };
    for name in ["SIGINT", "TERM", "sigquit", "KILL", "ALRM", "PWR"] {
        let told = refused(&rule(name), Origin::Option);
        assert!(told.contains("not a signal that sysopt sends"), "{told}");
    }
    for name in ["SIGUSR1", "usr2", "HUP"] {
        assert!(given(&rule(name), Origin::Option, &Overrides::default()).is_ok());
    }
}
