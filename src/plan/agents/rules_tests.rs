use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::*;
use crate::plan::processes::State;

fn process(arguments: &[&str]) -> Process {
    let program = arguments.first().copied().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or(program);
    Process {
        pid: 7,
        name: name.chars().take(15).collect(),
        arguments: arguments.iter().map(OsString::from).collect(),
        ..Process::default()
    }
}

fn is_agent(process: &Process) -> bool {
    let invocation = Invocation::read(&process.arguments);
    !is_excluded(process, &invocation, &Globs::default()) && built_in(&invocation).is_some()
}

/// Argument vectors, and whether the built-in rule takes them for agents.
const VECTORS: &[(&[&str], bool)] = &[
    (&["ssh-agent", "-D"], false),
    (&["/usr/bin/gpg-agent", "--supervised"], false),
    (&["/opt/datadog-agent/bin/agent/agent", "run"], false),
    (
        &[
            "/opt/datadog-agent/embedded/bin/python",
            "/opt/datadog-agent/bin/agent.py",
        ],
        false,
    ),
    (&["/usr/lib/polkit-1/polkitd", "--no-debug"], false),
    (
        &["/usr/bin/python3", "-u", "/usr/sbin/waagent", "-daemon"],
        false,
    ),
    (
        &[
            "python3",
            "-u",
            "bin/WALinuxAgent-2.9.1.1-py3.8.egg",
            "-run-exthandlers",
        ],
        false,
    ),
    (
        &[
            "/usr/sbin/zabbix_agentd",
            "-c",
            "/etc/zabbix/zabbix_agentd.conf",
        ],
        false,
    ),
    (&["consul", "agent", "-dev"], false),
    (
        &["java", "-jar", "agent.jar", "-url", "http://jenkins/"],
        false,
    ),
    (
        &[
            "java",
            "-javaagent:/opt/agents/apm-agent.jar",
            "-jar",
            "app.jar",
        ],
        false,
    ),
    (&["java", "-cp", "bot.jar", "com.fund.agents.Whale"], true),
    (&["java", "-jar", "/srv/agents/whale.jar"], true),
    (&["grep", "agent"], false),
    (&["grep", "-r", "agents/x.py", "."], false),
    (&["vim", "agents/x.py"], false),
    (&["less", "agents/whale_agent.py"], false),
    (&["tail", "-f", "logs/agents/whale.log"], false),
    (
        &[
            "/opt/google/chrome/chrome",
            "--user-agent=Mozilla/5.0 (agents)",
        ],
        false,
    ),
    (&["node", "--title=agent", "server.js"], false),
    (&["node", "--inspect", "/srv/agents/news.js"], true),
    (&["node", "dist/newsAgent.js"], true),
    (&["deno", "run", "--allow-net", "agents/news.ts"], true),
    (&["python", "-m", "cryptotrader.agents.whale"], true),
    (&["python", "-m", "cryptotrader.whale_agent"], true),
    (&["python", "-m", "cryptotrader.reagents"], false),
    (
        &["python", "-m", "http.server", "--directory", "agents"],
        false,
    ),
    (
        &["python", "-m", "pytest", "tests/agents/test_whale.py"],
        false,
    ),
    (&["python", "agents/whale_agent.py"], true),
    (&["python", "agents/whale.py"], true),
    (&["python", "whale-agent.py"], true),
    (&["python", "WhaleAgent.py"], true),
    (&["python", "reagent.py"], false),
    (&["python", "useragents.py"], false),
    (&["python", "main.py", "agents/whale_agent.py"], false),
    (
        &["python", "main.py", "-m", "cryptotrader.agents.whale"],
        false,
    ),
    (
        &[
            "python3.12",
            "-X",
            "dev",
            "-W",
            "ignore",
            "-uO",
            "agents/x.py",
        ],
        true,
    ),
    (&["python", "-X", "agents/x.py", "main.py"], false),
    (&["python", "-c", "agent"], false),
    (
        &["python", "-c", "import x", "agents/whale_agent.py"],
        false,
    ),
    (&["/srv/agents/.venv/bin/python", "main.py"], false),
    (
        &[
            "/srv/bot/.venv/bin/python",
            "/srv/bot/.venv/bin/whale-agent",
        ],
        true,
    ),
    (&["python", "/srv/vault/agents/x.py"], true),
    (&["uv", "run", "agents/whale.py"], true),
    (&["uv", "run", "--with", "agents/x.py", "main.py"], false),
    (&["poetry", "run", "python", "-m", "bot.agents.whale"], true),
    (&["env", "MODE=agents", "python", "agents/x.py"], true),
    (&["env", "AGENT=agents/x.py", "python", "main.py"], false),
    (&["sh", "-c", "python agents/x.py"], false),
    (&["bash", "-lc", "exec python agents/x.py"], false),
    (&["bash", "agents/run.sh"], true),
    (&["sudo", "-u", "bot", "python", "agents/x.py"], false),
    (&["tmux", "new", "-d", "python agents/x.py"], false),
    (&["sysopt", "status", "--agents"], false),
    (
        &["conda", "run", "-n", "bot", "python", "agents/x.py"],
        true,
    ),
    (
        &["conda", "run", "-n", "agents", "python", "main.py"],
        false,
    ),
    (&["poetry", "run", "pytest", "agents"], false),
    // Servers import what they serve; a rule with cmd_regex tells which is an agent.
    (&["gunicorn", "-w", "4", "bot.agents.api:app"], false),
    (
        &[
            "/srv/.venv/bin/python",
            "/srv/.venv/bin/gunicorn",
            "bot.agents.api:app",
        ],
        false,
    ),
    (&["celery", "-A", "bot.agents", "worker"], false),
    (
        &["python", "-m", "celery", "-A", "bot.agents", "worker"],
        false,
    ),
    (&["nano", "whale_agent.py"], false),
    (&["rg", "agent", "agents/"], false),
    (&["emacs", "-nw", "agents/x.py"], false),
    (&["python3", "-Im", "bot.agents.news", "-c", "x"], true),
    (&["nice", "-n", "10", "python3", "agents/x.py"], true),
    (&["python", ""], false),
    (&["", "", ""], false),
    (&["python", "", "agents/x.py"], false),
    (&[], false),
];

#[test]
fn the_built_in_rule_reads_the_argument_vector() {
    for (arguments, expected) in VECTORS {
        assert_eq!(is_agent(&process(arguments)), *expected, "{arguments:?}");
    }
}

#[test]
fn a_name_that_is_not_utf8_is_read_too() {
    let mut process = process(&["python"]);
    let script = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    process.arguments.push(script(b"agents/\xff\n[12].py"));
    assert!(is_agent(&process));
    process.arguments[1] = script(b"\xffagents/x.py");
    assert!(!is_agent(&process));
    process.arguments[1] = script(b"\xff_agent.py");
    assert!(is_agent(&process));
}

#[test]
fn kernel_threads_and_zombies_are_never_agents() {
    let live = process(&["python", "agents/x.py"]);
    assert!(is_agent(&live));
    let zombie = Process {
        state: State::Zombie,
        ..live.clone()
    };
    assert!(!is_agent(&zombie));
    let kernel = Process {
        kernel: true,
        ..live
    };
    assert!(!is_agent(&kernel));
}

#[test]
fn a_configured_exclude_wins() {
    let globs = |patterns: &[&str]| Globs::new(patterns).unwrap_or_default();
    let agent = process(&["python", "agents/whale.py"]);
    let invocation = Invocation::read(&agent.arguments);
    for (exclude, excluded) in [
        (&["whale.py"][..], true),
        (&["whale*"], true),
        (&["python"], true),
        (&["shark.py"], false),
    ] {
        assert_eq!(is_excluded(&agent, &invocation, &globs(exclude)), excluded);
    }
}

fn candidate() -> Process {
    Process {
        pid: 7,
        name: "python3".to_owned(),
        uid: Some(1000),
        user: Some("bot".to_owned()),
        arguments: ["python3", "-m", "fund.agents.whale", "--fast"]
            .map(OsString::from)
            .to_vec(),
        environment: vec!["SYSOPT_AGENT=whale".into()],
        exe: Some(PathBuf::from("/srv/bot/.venv/bin/python3")),
        cwd: Some(PathBuf::from("/srv/bot")),
        cgroup: Some("/system.slice/bot.service".to_owned()),
        ..Process::default()
    }
}

fn rule(keys: &[(&str, &str)]) -> AgentRule {
    let mut rule = AgentRule {
        name: "r".to_owned(),
        ..AgentRule::default()
    };
    for (key, value) in keys {
        let value = Some((*value).to_owned());
        match *key {
            "module" => rule.module = value,
            "exe" => rule.exe = value,
            "script" => rule.script = value,
            "comm" => rule.comm = value,
            "user" => rule.user = value,
            "cgroup" => rule.cgroup = value,
            "cwd" => rule.cwd = value,
            "env" => rule.env = value,
            "pid_file" => rule.pid_file = value.map(PathBuf::from),
            _ => rule.cmd_regex = value,
        }
    }
    rule
}

#[test]
fn all_predicates_of_a_rule_must_hold() {
    let table = ProcessTable {
        pid_files: [
            (PathBuf::from("/run/a.pid"), 7),
            (PathBuf::from("/run/b.pid"), 8),
        ]
        .into(),
        ..ProcessTable::default()
    };
    for (keys, expected) in [
        (&[("module", "fund.agents.*")][..], true),
        (&[("module", "fund.*")], true),
        (&[("module", "whale")], false),
        (&[("script", "*")], false),
        (&[("exe", "/srv/bot/**")], true),
        (&[("exe", "python3")], false),
        (&[("comm", "python*")], true),
        (&[("user", "bot")], true),
        (&[("user", "1000")], true),
        (&[("user", "root")], false),
        (&[("cgroup", "*/bot.service")], true),
        (&[("cwd", "/srv/bot")], true),
        (&[("env", "SYSOPT_AGENT=whale")], true),
        (&[("env", "SYSOPT_AGENT=wha")], false),
        (&[("cmd_regex", r"agents\.\w+ --fast$")], true),
        (&[("cmd_regex", "^whale")], false),
        (&[("pid_file", "/run/a.pid")], true),
        (&[("pid_file", "/run/b.pid")], false),
        (&[("pid_file", "/run/none.pid")], false),
        (
            &[("module", "fund.*"), ("user", "bot"), ("cwd", "/srv/bot")],
            true,
        ),
        (&[("module", "fund.*"), ("user", "root")], false),
    ] {
        let rule = rule(keys);
        let process = candidate();
        let invocation = Invocation::read(&process.arguments);
        let found = Rule::new(&rule).map(|rule| rule.matches(&process, &invocation, &table));
        assert_eq!(found.map(|found| found.is_some()), Ok(expected), "{keys:?}");
    }
}

#[test]
fn a_script_matches_as_typed_by_its_place_and_by_its_name() {
    let mut process = candidate();
    process.arguments = ["python3", "bots/whale.py"].map(OsString::from).to_vec();
    let invocation = Invocation::read(&process.arguments);
    for (glob, expected) in [
        ("bots/whale.py", true),
        ("/srv/bot/bots/*", true),
        ("whale.py", true),
        ("whale.*", true),
        ("/whale.py", false),
        ("shark.py", false),
    ] {
        let rule = rule(&[("script", glob)]);
        let found = Rule::new(&rule).map(|rule| {
            rule.matches(&process, &invocation, &ProcessTable::default())
                .is_some()
        });
        assert_eq!(found, Ok(expected), "{glob}");
    }
}

#[test]
fn a_rule_that_cannot_hold_is_refused() {
    for (keys, word) in [
        (&[][..], "nothing to match"),
        (&[("exe", "[")], "exe"),
        (&[("cmd_regex", "(")], "cmd_regex"),
    ] {
        let rule = rule(keys);
        let error = Rule::new(&rule).err().unwrap_or_default();
        assert!(error.contains(word), "{error}");
    }
}
