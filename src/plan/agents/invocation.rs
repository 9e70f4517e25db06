//! What an argument vector runs: the script or module behind interpreters and wrappers.
//!
//! "agent" anywhere in a command line says nothing (`ssh-agent`, `--user-agent=`, `vim agent.py`).
//! So the vector is read as the program that gets it would read it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What a program was told to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runs<'a> {
    /// A script, or a jar.
    Script(&'a OsStr),
    /// A module by its dotted name, or a Java class.
    Module(&'a OsStr),
    /// Code among the arguments.
    Inline,
    /// A program that runs nothing else, as far as we know.
    Itself,
}

/// An argument vector, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invocation<'a> {
    /// Last component of the program's path, behind wrappers (`env`, `uv run`, …).
    pub program: &'a OsStr,
    /// What it runs.
    pub runs: Runs<'a>,
    /// It was started by a wrapper, which may live on beside it.
    pub wrapped: bool,
}

impl<'a> Invocation<'a> {
    /// Reads an argument vector.
    #[must_use]
    pub fn read(arguments: &'a [OsString]) -> Self {
        let mut rest = arguments;
        let mut wrapped = false;
        // A wrapper can start a wrapper; deeper than this is nobody's command line.
        for _ in 0..8 {
            match unwrap(rest) {
                Unwrapped::Not => break,
                Unwrapped::Command(command) => rest = command,
                Unwrapped::Runs(runs) => {
                    return Self {
                        program: program(rest),
                        runs,
                        wrapped: true,
                    };
                }
            }
            wrapped = true;
        }
        Self {
            program: program(rest),
            runs: runs(program(rest), rest.get(1..).unwrap_or_default()),
            wrapped,
        }
    }
}

/// The last component of the first argument; a login shell's has a dash before it.
fn program(arguments: &[OsString]) -> &OsStr {
    let path = arguments.first().map_or(&b""[..], |first| first.as_bytes());
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    OsStr::from_bytes(name.strip_prefix(b"-").unwrap_or(name))
}

/// A program that starts the command that follows its own options.
struct Wrapper {
    name: &'static str,
    /// The word after which the command follows (`uv run`).
    word: Option<&'static str>,
    /// Options whose value is the next argument.
    valued: &'static [&'static str],
    /// Arguments before the command.
    positional: usize,
}

const fn plain(name: &'static str, valued: &'static [&'static str], positional: usize) -> Wrapper {
    Wrapper {
        name,
        word: None,
        valued,
        positional,
    }
}

const fn runner(name: &'static str, valued: &'static [&'static str]) -> Wrapper {
    Wrapper {
        name,
        word: Some("run"),
        valued,
        positional: 0,
    }
}

const UV: &[&str] = &[
    "-p",
    "--python",
    "--with",
    "-w",
    "--with-editable",
    "--with-requirements",
    "--extra",
    "--group",
    "--no-group",
    "--only-group",
    "--env-file",
    "--package",
    "--project",
    "--directory",
    "--index",
    "--default-index",
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--config-file",
    "--cache-dir",
    "--color",
    "-P",
    "--upgrade-package",
    "--python-platform",
    "--link-mode",
    "--refresh-package",
    "-C",
    "--config-setting",
];

const WRAPPERS: [Wrapper; 20] = [
    plain("env", &["-u", "--unset", "-C", "--chdir"], 0),
    runner("uv", UV),
    runner("poetry", &["-C", "--directory", "-P", "--project"]),
    runner("pipenv", &["--python", "--pypi-mirror"]),
    runner("pdm", &["-p", "--project", "-s", "--site-packages"]),
    runner("hatch", &["-e", "--env", "-p", "--project"]),
    runner("rye", &["--pyproject"]),
    runner("conda", &["-n", "--name", "-p", "--prefix", "--cwd"]),
    runner("mamba", &["-n", "--name", "-p", "--prefix", "--cwd"]),
    runner("micromamba", &["-n", "--name", "-p", "--prefix", "--cwd"]),
    plain("nohup", &[], 0),
    plain("setsid", &[], 0),
    plain("nice", &["-n", "--adjustment"], 0),
    plain("ionice", &["-c", "--class", "-n", "--classdata"], 0),
    plain("chrt", &["-T", "-P", "-D"], 1),
    plain("taskset", &["-c", "--cpu-list"], 0),
    plain("stdbuf", &["-i", "-o", "-e"], 0),
    plain("timeout", &["-k", "--kill-after", "-s", "--signal"], 1),
    plain("tini", &["-p", "-e"], 0),
    plain("dumb-init", &["-r", "--rewrite"], 0),
];

enum Unwrapped<'a> {
    Not,
    Command(&'a [OsString]),
    Runs(Runs<'a>),
}

fn unwrap(arguments: &[OsString]) -> Unwrapped<'_> {
    let name = program(arguments);
    let Some(wrapper) = WRAPPERS.iter().find(|wrapper| name == wrapper.name) else {
        return Unwrapped::Not;
    };
    let mut rest = skip_options(&arguments[1..], wrapper.valued);
    if let Some(word) = wrapper.word {
        if rest.first().is_none_or(|first| first != word) {
            return Unwrapped::Not;
        }
        let options = &rest[1..];
        rest = skip_options(options, wrapper.valued);
        if wrapper.name == "uv"
            && let Some(runs) = uv(&options[..options.len() - rest.len()], rest)
        {
            return Unwrapped::Runs(runs);
        }
    }
    rest = rest.get(wrapper.positional..).unwrap_or_default();
    if wrapper.name == "env" {
        let assigned = rest.iter().take_while(|a| a.as_bytes().contains(&b'='));
        rest = &rest[assigned.count()..];
    }
    if rest.is_empty() {
        Unwrapped::Not
    } else {
        Unwrapped::Command(rest)
    }
}

/// `uv run` takes a script by its suffix, or what an option says that its first argument is.
fn uv<'a>(options: &[OsString], rest: &'a [OsString]) -> Option<Runs<'a>> {
    let first = rest.first()?;
    if options.iter().any(|o| o == "-m" || o == "--module") {
        return Some(Runs::Module(first));
    }
    let said = |o: &OsString| o == "-s" || o == "--script" || o == "--gui-script";
    (options.iter().any(said) || first.as_bytes().ends_with(b".py")).then_some(Runs::Script(first))
}

/// What follows the options. `--` ends them and is skipped too.
fn skip_options<'a>(mut rest: &'a [OsString], valued: &[&str]) -> &'a [OsString] {
    while let Some(first) = rest.first() {
        if first == "--" {
            return &rest[1..];
        }
        if !first.as_bytes().starts_with(b"-") {
            return rest;
        }
        let takes = if valued.iter().any(|v| first == v) {
            2
        } else {
            1
        };
        rest = rest.get(takes..).unwrap_or_default();
    }
    rest
}

/// A program that runs a script.
struct Interpreter {
    /// Without a version (`python3.12` is `python`).
    names: &'static [&'static str],
    /// The word after which options and script follow (`deno run`).
    word: Option<&'static str>,
    /// Options after which code follows.
    inline: &'static [&'static str],
    /// Options whose value is the next argument.
    valued: &'static [&'static str],
}

const INTERPRETERS: [Interpreter; 8] = [
    Interpreter {
        names: &["node", "nodejs", "tsx", "ts-node"],
        word: None,
        inline: &["-e", "--eval", "-p", "--print", "-pe"],
        valued: &[
            "-r",
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "-C",
            "--conditions",
            "--title",
            "--env-file",
            "--inspect-port",
        ],
    },
    Interpreter {
        names: &["deno", "bun"],
        word: Some("run"),
        inline: &["-e", "--eval"],
        valued: &[
            "-c",
            "--config",
            "--import-map",
            "--env-file",
            "-r",
            "--preload",
            "--cwd",
        ],
    },
    Interpreter {
        names: &["ruby"],
        word: None,
        inline: &["-e"],
        valued: &["-r", "-I", "-C", "-E"],
    },
    Interpreter {
        names: &["perl"],
        word: None,
        inline: &["-e", "-E"],
        valued: &["-I"],
    },
    Interpreter {
        names: &["php"],
        word: None,
        inline: &["-r"],
        valued: &["-c", "-d", "-z"],
    },
    Interpreter {
        names: &["julia"],
        word: None,
        inline: &["-e", "-E"],
        valued: &["-p", "-t", "-J", "-L", "-C", "-H"],
    },
    Interpreter {
        names: &["Rscript", "lua", "luajit"],
        word: None,
        inline: &["-e"],
        valued: &["-l"],
    },
    Interpreter {
        names: &["sh", "bash", "dash", "zsh", "ksh", "fish", "ash", "busybox"],
        word: None,
        inline: &["-c"],
        valued: &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"],
    },
];

fn runs<'a>(program: &OsStr, arguments: &'a [OsString]) -> Runs<'a> {
    let name = unversioned(program.as_bytes());
    match name {
        b"python" | b"pypy" | b"pythonw" => return python(arguments),
        b"java" => return java(arguments),
        _ => {}
    }
    let known = |i: &&Interpreter| i.names.iter().any(|known| known.as_bytes() == name);
    INTERPRETERS
        .iter()
        .find(known)
        .map_or(Runs::Itself, |interpreter| script(interpreter, arguments))
}

/// `python3.13t` is `python`: digits, dots and the letters of a build follow the name.
fn unversioned(name: &[u8]) -> &[u8] {
    let Some(at) = name.iter().position(u8::is_ascii_digit) else {
        return name;
    };
    let version = &name[at..];
    let letters = version.iter().rev().take_while(|b| b"tdmu".contains(b));
    let numbers = &version[..version.len() - letters.count()];
    if numbers.iter().all(|b| b.is_ascii_digit() || *b == b'.') {
        name[..at].strip_suffix(b"-").unwrap_or(&name[..at])
    } else {
        name
    }
}

fn script<'a>(interpreter: &Interpreter, arguments: &'a [OsString]) -> Runs<'a> {
    let mut rest = arguments;
    if let Some(word) = interpreter.word
        && rest.first().is_some_and(|first| first == word)
    {
        rest = &rest[1..];
    }
    let after = skip_options(rest, interpreter.valued);
    let options = &rest[..rest.len() - after.len()];
    let is_shell = interpreter.inline == ["-c"];
    let inline = |option: &OsString| {
        interpreter.inline.iter().any(|code| option == code)
            || (is_shell && is_short(option) && option.as_bytes().contains(&b'c'))
    };
    if options.iter().any(inline) {
        return Runs::Inline;
    }
    match after.first() {
        Some(path) if path != "-" && !path.is_empty() => Runs::Script(path),
        _ => Runs::Itself,
    }
}

fn is_short(option: &OsString) -> bool {
    option.as_bytes().starts_with(b"-") && !option.as_bytes().starts_with(b"--")
}

/// The interpreter's own rule (`Python/getopt.c`): short options can be joined (`-uOm module`), `-c`, `-m`,
/// `-W`, `-X` and `--check-hash-based-pycs` take a value, and `-c` and `-m` end the options.
fn python(arguments: &[OsString]) -> Runs<'_> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--" {
            return rest.next().map_or(Runs::Itself, |s| Runs::Script(s));
        }
        if bytes == b"--check-hash-based-pycs" {
            rest.next();
            continue;
        }
        if bytes.starts_with(b"--") {
            continue;
        }
        let Some(letters) = bytes
            .strip_prefix(b"-")
            .filter(|letters| !letters.is_empty())
        else {
            // `-` is a script from standard input, an empty argument is none.
            let is_path = !bytes.is_empty() && bytes != b"-";
            return if is_path {
                Runs::Script(argument)
            } else {
                Runs::Itself
            };
        };
        let Some(at) = letters.iter().position(|letter| b"cmWX".contains(letter)) else {
            continue;
        };
        let attached = Some(OsStr::from_bytes(&letters[at + 1..])).filter(|v| !v.is_empty());
        let value = attached.or_else(|| rest.next().map(OsString::as_os_str));
        match (letters[at], value) {
            (b'c', _) => return Runs::Inline,
            (b'm', Some(module)) => return Runs::Module(module),
            (b'm', None) => return Runs::Itself,
            _ => {}
        }
    }
    Runs::Itself
}

/// `java [options] -jar FILE`, `-m MODULE/CLASS`, or a class (`java(1)`).
fn java(arguments: &[OsString]) -> Runs<'_> {
    const VALUED: [&[u8]; 8] = [
        b"-cp",
        b"-classpath",
        b"--class-path",
        b"-p",
        b"--module-path",
        b"--add-modules",
        b"--add-opens",
        b"--add-exports",
    ];
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_bytes() {
            b"-jar" => return rest.next().map_or(Runs::Itself, |jar| Runs::Script(jar)),
            b"-m" | b"--module" => return rest.next().map_or(Runs::Itself, |m| Runs::Module(m)),
            option if VALUED.contains(&option) => {
                rest.next();
            }
            option if option.starts_with(b"-") || option.starts_with(b"@") => {}
            b"" => return Runs::Itself,
            _ => return Runs::Module(argument),
        }
    }
    Runs::Itself
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> (String, String) {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let invocation = Invocation::read(&arguments);
        let runs = match invocation.runs {
            Runs::Script(path) => format!("script {}", path.display()),
            Runs::Module(name) => format!("module {}", name.display()),
            Runs::Inline => "inline".to_owned(),
            Runs::Itself => "itself".to_owned(),
        };
        (invocation.program.display().to_string(), runs)
    }

    #[test]
    fn python_reads_its_own_options_first() {
        for (arguments, expected) in [
            (&["python", "x.py", "-m", "y"][..], "script x.py"),
            (&["python3.12", "-u", "-O", "x.py"], "script x.py"),
            (&["/usr/bin/python3", "-uOm", "a.b", "x.py"], "module a.b"),
            (&["python", "-ma.b"], "module a.b"),
            (
                &["python", "-X", "dev", "-W", "ignore", "x.py"],
                "script x.py",
            ),
            (&["python", "-Xdev", "-Wignore", "x.py"], "script x.py"),
            (&["python", "-uX", "dev", "x.py"], "script x.py"),
            (&["python", "-c", "import agents", "x.py"], "inline"),
            (&["python", "-cimport agents"], "inline"),
            (&["python", "--", "-x.py"], "script -x.py"),
            (
                &["python", "--check-hash-based-pycs", "never", "x.py"],
                "script x.py",
            ),
            (&["python", "-"], "itself"),
            (&["python", ""], "itself"),
            (&["python"], "itself"),
            (&["python", "-m"], "itself"),
            (&["python", "-X"], "itself"),
            (&["python3.13t", "x.py"], "script x.py"),
            (&["pypy3", "x.py"], "script x.py"),
            (&["python-config", "x.py"], "itself"),
            (&["python3-agent", "x.py"], "itself"),
        ] {
            assert_eq!(read(arguments).1, expected, "{arguments:?}");
        }
    }

    #[test]
    fn wrappers_are_looked_through() {
        for (arguments, program, runs) in [
            (
                &["env", "-i", "A=b", "python", "x.py"][..],
                "python",
                "script x.py",
            ),
            (
                &["env", "-u", "A", "python", "x.py"],
                "python",
                "script x.py",
            ),
            (&["env"], "env", "itself"),
            (&["uv", "run", "x.py"], "uv", "script x.py"),
            (
                &["uv", "run", "--with", "numpy", "-m", "a.b"],
                "uv",
                "module a.b",
            ),
            (
                &["uv", "--project", "p", "run", "python", "-m", "a"],
                "python",
                "module a",
            ),
            (&["uv", "run", "-s", "agents/x"], "uv", "script agents/x"),
            (
                &["uv", "run", "--", "python", "x.py"],
                "python",
                "script x.py",
            ),
            (&["uv", "run", "grep", "agent"], "grep", "itself"),
            (&["uv", "pip", "install", "agent"], "uv", "itself"),
            (
                &["poetry", "-C", "p", "run", "python", "x.py"],
                "python",
                "script x.py",
            ),
            (&["poetry", "run"], "poetry", "itself"),
            (
                &[
                    "nice", "-n", "5", "timeout", "-k", "1", "9", "python", "x.py",
                ],
                "python",
                "script x.py",
            ),
            (
                &["conda", "run", "-n", "e", "python", "-m", "a"],
                "python",
                "module a",
            ),
            (
                &[
                    "env", "env", "env", "env", "env", "env", "env", "env", "env",
                ],
                "env",
                "itself",
            ),
        ] {
            assert_eq!(
                read(arguments),
                (program.to_owned(), runs.to_owned()),
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn other_interpreters_have_scripts_too() {
        for (arguments, expected) in [
            (
                &["node", "--inspect", "-r", "dotenv", "agents/x.js"][..],
                "script agents/x.js",
            ),
            (&["node", "-e", "agent()"], "inline"),
            (&["/usr/bin/node18", "x.js"], "script x.js"),
            (&["deno", "run", "--allow-net", "x.ts"], "script x.ts"),
            (
                &[
                    "java",
                    "-javaagent:/agents/a.jar",
                    "-cp",
                    "agents",
                    "com.x.Main",
                ],
                "module com.x.Main",
            ),
            (&["java", "-Xmx1g", "-jar", "x.jar"], "script x.jar"),
            (&["bash", "-eu", "x.sh"], "script x.sh"),
            (&["-bash"], "itself"),
            (&["sh", "-ec", "python agents/x.py"], "inline"),
            (&["bash", "-o", "pipefail", "-lc", "x"], "inline"),
            (&["ruby", "-I", "lib", "x.rb"], "script x.rb"),
            (&["grep", "agent"], "itself"),
            (&[""], "itself"),
            (&[], "itself"),
        ] {
            assert_eq!(read(arguments).1, expected, "{arguments:?}");
        }
    }
}
