//! Which process is an agent: predicates of a rule are AND-ed, rules are OR-ed, excludes win.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{Glob, GlobMatcher};
use regex::bytes::Regex;

use super::invocation::{Invocation, Runs};
use crate::plan::policy::{AgentRule, Globs, command_regex};
use crate::plan::processes::{Process, ProcessTable};

/// The name of the rule that holds without any configuration.
pub const BUILT_IN: &str = "built-in";

/// Agents of other trades, and the services that their names resemble. A last `*` stands for any
/// ending.
const NOT_AGENTS: [&str; 29] = [
    "ssh-agent",
    "gpg-agent",
    "polkit*",
    "amazon-ssm-agent*",
    "ssm-agent-worker",
    "amazon-cloudwatch-agent*",
    "codedeploy-agent*",
    "datadog-agent*",
    "dd-agent",
    "zabbix_agent*",
    "spice-vdagent*",
    "qemu-ga",
    "consul",
    "vault",
    "nomad",
    "elastic-agent*",
    "waagent*",
    "WALinuxAgent*",
    "google_guest_agent",
    "google_osconfig_agent",
    "google_cloud_ops_agent*",
    "oracle-cloud-agent*",
    "newrelic-*",
    "buildkite-agent",
    "vsts-agent*",
    "ovirt-guest-agent*",
    "mintupdate*",
    // Jenkins, `java -jar agent.jar`.
    "agent.jar",
    "sysopt",
];

/// Programs that have the name of an agent's file among their arguments without being one.
const LOOKERS: [&str; 41] = [
    "vi", "vim", "nvim", "view", "vimdiff", "nano", "pico", "emacs*", "ed", "micro", "hx", "helix",
    "code", "joe", "mcedit", "less", "more", "most", "bat", "batcat", "man", "cat", "tail", "head",
    "grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "pgrep", "pkill", "ps", "watch",
    "screen", "tmux*", "ssh", "scp", "sudo", "strace",
];

/// Whether a process is never an agent, whatever a rule says.
#[must_use]
pub fn is_excluded(process: &Process, invocation: &Invocation, exclude: &Globs) -> bool {
    if !process.is_live_program() || is_shell_command(invocation) {
        return true;
    }
    let script = match invocation.runs {
        Runs::Script(path) => Some(Path::new(path)),
        _ => None,
    };
    let program = process.arguments.first().map(Path::new);
    let paths = [script, program, process.exe.as_deref()];
    let names = paths.iter().flatten().filter_map(|path| path.file_name());
    let mut names = names.chain([OsStr::new(&process.name), invocation.program]);
    names.any(|name| {
        let name_is = |pattern: &&str| fits(name, pattern);
        NOT_AGENTS.iter().any(name_is) || LOOKERS.iter().any(name_is) || exclude.matches_name(name)
    }) || paths.iter().flatten().any(|path| is_in_foreign_tree(path))
}

/// `sh -c` holds the command line of what it started.
fn is_shell_command(invocation: &Invocation) -> bool {
    const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "ksh", "fish", "ash"];
    invocation.runs == Runs::Inline && SHELLS.iter().any(|shell| invocation.program == *shell)
}

/// `/opt/datadog-agent/embedded/bin/python …`: the name of such an agent as a directory. Names
/// that people give to directories of their own (`vault`) do not count.
fn is_in_foreign_tree(path: &Path) -> bool {
    path.parent()
        .into_iter()
        .flat_map(Path::components)
        .any(|part| {
            NOT_AGENTS
                .iter()
                .any(|name| name.contains("agent") && fits(part.as_os_str(), name))
        })
}

fn fits(name: &OsStr, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.as_bytes().starts_with(start.as_bytes()),
        None => name == pattern,
    }
}

/// The built-in rule; what it saw where it holds.
#[must_use]
pub fn built_in(invocation: &Invocation) -> Option<String> {
    match invocation.runs {
        Runs::Script(path) if is_agent_script(Path::new(path)) => {
            Some(format!("script {}", path.to_string_lossy()))
        }
        Runs::Module(name) if is_agent_module(name) => {
            Some(format!("module {}", name.to_string_lossy()))
        }
        _ => None,
    }
}

/// A component `agents`, or a word `agent` or `agents` in the stem.
fn is_agent_script(path: &Path) -> bool {
    let directory = path.parent().into_iter().flat_map(Path::components);
    let mut directory = directory.map(std::path::Component::as_os_str);
    directory.any(|part| part.eq_ignore_ascii_case("agents"))
        || path.file_stem().is_some_and(|stem| {
            words(stem.as_bytes()).any(|word| {
                word.eq_ignore_ascii_case(b"agent") || word.eq_ignore_ascii_case(b"agents")
            })
        })
}

/// Letters and digits, split also before a capital that follows a small letter (`WhaleAgent`).
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphanumeric())
        .flat_map(|part| part.chunk_by(|a, b| !(a.is_ascii_lowercase() && b.is_ascii_uppercase())))
}

/// A segment `agents`, or one that ends in `_agent`.
fn is_agent_module(name: &OsStr) -> bool {
    name.as_bytes()
        .split(|byte| matches!(byte, b'.' | b'/' | b':'))
        .map(<[u8]>::to_ascii_lowercase)
        .any(|segment| segment == b"agents" || segment.ends_with(b"_agent"))
}

/// A rule with its patterns compiled.
#[derive(Debug)]
pub struct Rule<'a> {
    /// As it was written.
    pub rule: &'a AgentRule,
    module: Option<GlobMatcher>,
    exe: Option<GlobMatcher>,
    script: Option<GlobMatcher>,
    comm: Option<GlobMatcher>,
    cgroup: Option<GlobMatcher>,
    cwd: Option<GlobMatcher>,
    command: Option<Regex>,
}

impl<'a> Rule<'a> {
    /// Compiles a rule.
    ///
    /// # Errors
    /// A pattern that is not valid, or a rule without any predicate, which would match everything.
    pub fn new(rule: &'a AgentRule) -> Result<Self, String> {
        let glob = |key: &str, text: &Option<String>| {
            let compile = |text: &String| {
                Glob::new(text)
                    .map(|glob| glob.compile_matcher())
                    .map_err(|error| format!("rule {}: {key}: {error}", rule.name))
            };
            text.as_ref().map(compile).transpose()
        };
        if !has_predicate(rule) {
            return Err(format!("rule {} says nothing to match", rule.name));
        }
        Ok(Self {
            rule,
            module: glob("module", &rule.module)?,
            exe: glob("exe", &rule.exe)?,
            script: glob("script", &rule.script)?,
            comm: glob("comm", &rule.comm)?,
            cgroup: glob("cgroup", &rule.cgroup)?,
            cwd: glob("cwd", &rule.cwd)?,
            command: rule
                .cmd_regex
                .as_deref()
                .map(command_regex)
                .transpose()
                .map_err(|error| format!("rule {}: cmd_regex: {error}", rule.name))?,
        })
    }

    /// What the rule saw, where all its predicates hold.
    #[must_use]
    pub fn matches(
        &self,
        process: &Process,
        invocation: &Invocation,
        table: &ProcessTable,
    ) -> Option<String> {
        let mut seen = Vec::new();
        let mut holds = |key: &str, given: bool, found: Option<String>| {
            if given {
                match found {
                    Some(value) => seen.push(format!("{key} {value}")),
                    None => return false,
                }
            }
            true
        };
        let all = holds("module", self.module.is_some(), self.module_of(invocation))
            && holds(
                "script",
                self.script.is_some(),
                self.script_of(process, invocation),
            )
            && holds(
                "exe",
                self.exe.is_some(),
                path(self.exe.as_ref(), process.exe.as_deref()),
            )
            && holds(
                "cwd",
                self.cwd.is_some(),
                path(self.cwd.as_ref(), process.cwd.as_deref()),
            )
            && holds(
                "comm",
                self.comm.is_some(),
                text(self.comm.as_ref(), Some(&process.name)),
            )
            && holds(
                "cgroup",
                self.cgroup.is_some(),
                text(self.cgroup.as_ref(), process.cgroup.as_deref()),
            )
            && holds("user", self.rule.user.is_some(), self.user_of(process))
            && holds("env", self.rule.env.is_some(), self.variable_of(process))
            && holds(
                "cmd_regex",
                self.command.is_some(),
                self.command_of(process),
            )
            && holds(
                "pid_file",
                self.rule.pid_file.is_some(),
                self.pid_file_of(process, table),
            );
        all.then(|| seen.join(", "))
    }

    fn module_of(&self, invocation: &Invocation) -> Option<String> {
        match invocation.runs {
            Runs::Module(name) => text(self.module.as_ref(), name.to_str()),
            _ => None,
        }
    }

    /// The script as typed, below the working directory, or, where the glob has no `/`, its name.
    fn script_of(&self, process: &Process, invocation: &Invocation) -> Option<String> {
        let (Runs::Script(script), Some(glob)) = (invocation.runs, self.script.as_ref()) else {
            return None;
        };
        let typed = Path::new(script);
        let absolute = process.cwd.as_ref().map(|cwd| cwd.join(typed));
        let bare = !glob.glob().glob().contains('/');
        let name = typed.file_name().filter(|_| bare).map(Path::new);
        [Some(typed), absolute.as_deref(), name]
            .into_iter()
            .flatten()
            .any(|path| glob.is_match(path))
            .then(|| typed.to_string_lossy().into_owned())
    }

    fn user_of(&self, process: &Process) -> Option<String> {
        let wanted = self.rule.user.as_ref()?;
        let uid = process.uid.map(|uid| uid.to_string());
        (process.user.as_ref() == Some(wanted) || uid.as_ref() == Some(wanted))
            .then(|| wanted.clone())
    }

    fn variable_of(&self, process: &Process) -> Option<String> {
        let wanted = self.rule.env.as_ref()?;
        let name = wanted.split('=').next().unwrap_or(wanted);
        let found = |variable: &std::ffi::OsString| variable == wanted.as_str();
        process
            .environment
            .iter()
            .any(found)
            .then(|| name.to_owned())
    }

    fn command_of(&self, process: &Process) -> Option<String> {
        let regex = self.command.as_ref()?;
        let joined = process.arguments.join(OsStr::new(" "));
        regex
            .is_match(joined.as_bytes())
            .then(|| regex.as_str().to_owned())
    }

    fn pid_file_of(&self, process: &Process, table: &ProcessTable) -> Option<String> {
        let file = self.rule.pid_file.as_ref()?;
        (table.pid_files.get(file) == Some(&process.pid))
            .then(|| file.to_string_lossy().into_owned())
    }
}

fn path(glob: Option<&GlobMatcher>, path: Option<&Path>) -> Option<String> {
    let path = path?;
    glob?
        .is_match(path)
        .then(|| path.to_string_lossy().into_owned())
}

fn text(glob: Option<&GlobMatcher>, text: Option<&str>) -> Option<String> {
    let text = text?;
    glob?.is_match(text).then(|| text.to_owned())
}

fn has_predicate(rule: &AgentRule) -> bool {
    let texts = [
        &rule.module,
        &rule.exe,
        &rule.script,
        &rule.comm,
        &rule.user,
        &rule.cgroup,
        &rule.cwd,
        &rule.env,
        &rule.cmd_regex,
    ];
    texts.iter().any(|text| text.is_some()) || rule.pid_file.is_some()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
