//! Agents and processes, on real processes.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::fixture::{Tree, operation, set_mode};
use crate::require;

const AGENTS: &str = "agent_optimization";

/// A Python agent that says when it is up; it ends with the test.
struct Agent(Child);

impl Agent {
    fn start(tree: &Tree, script: &str, code: &str) -> Self {
        let path = tree.write(script, code);
        let mut python = Command::new("python3");
        python.arg(path).current_dir(tree.base());
        Self::wait(python)
    }

    fn wait(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says that it is up, and waits for the end of its input.
const WAIT: &str = "print('up', flush=True)\nsys.stdin.read()\n";

fn of(list: &Value, pid: u32) -> &Value {
    let rows = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    let found = rows.iter().find(|row| row["pid"] == pid);
    found.unwrap_or_else(|| panic!("no {pid} in {list:#}"))
}

fn cycle(tree: &Tree, more: &[&str]) -> Value {
    let mut args = vec![
        "-C",
        ".",
        "cycle",
        "--force",
        "--only",
        "agents",
        "--only",
        "processes",
    ];
    args.extend(more);
    let (ran, report) = tree.json(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    report
}

const RECLAIM: &str = "[[agents.rule]]\nname = \"whale\"\nscript = \"*/whale*.py\"\n\
                       reclaim_signal = \"SIGUSR1\"\n";

/// Holds 100 MiB in a cycle of references until it is asked to collect.
fn hoarder() -> String {
    format!(
        "import ctypes, gc, signal, sys\ngc.disable()\n\
         def reclaim(*_):\n    gc.collect()\n    ctypes.CDLL(None).malloc_trim(0)\n\
         signal.signal(signal.SIGUSR1, reclaim)\n\
         ring = [bytearray(1 << 20) for _ in range(100)]\n\
         for part in ring: part[::4096] = b'x' * 256\n\
         ring.append(ring)\ndel ring, part\n{WAIT}"
    )
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it reads the process table")]
fn an_agent_that_handles_the_signal_gives_memory_back_and_one_that_does_not_lives_on() {
    if !require::own_machine(
        an_agent_that_handles_the_signal_gives_memory_back_and_one_that_does_not_lives_on,
    ) || !require::tool("python3")
    {
        return;
    }
    let tree = Tree::new();
    tree.config(RECLAIM);
    let mut good = Agent::start(&tree, "whale.py", &hoarder());
    let mut bare = Agent::start(&tree, "whale [12]\n.py", &format!("import sys\n{WAIT}"));
    let dry = cycle(&tree, &["-n"]);
    let planned = &operation(&dry, AGENTS)["actions"];
    assert_eq!(planned.as_array().unwrap().len(), 1, "{planned:#}");
    let action = &planned[0];
    assert_eq!(action["action"], "signal");
    assert_eq!(action["path"], format!("whale (pid {})", good.pid()));
    assert_eq!(action["status"], "planned");
    assert_eq!(dry["total_items_processed"], 1);

    let report = cycle(&tree, &[]);
    let agents = operation(&report, AGENTS);
    let done = &agents["actions"][0];
    assert_eq!(done["status"], "done", "{agents:#}");
    assert_eq!(done["result"], "applied_effective", "{agents:#}");
    let figure = |key: &str| done["effects"][key].as_i64().unwrap();
    let freed = figure("rss_before_bytes") - figure("rss_after_bytes");
    assert!(freed > 80 << 20, "{done:#}");
    assert!(done["effects"]["after_seconds"].as_f64().unwrap() >= 2.0);
    assert!(agents["metadata"]["effects"]["mem_available_delta_bytes"].is_i64());
    assert_eq!(agents["bytes_freed"], 0, "memory is not disk");
    let refused = of(&agents["metadata"]["results"], bare.pid());
    assert_eq!(refused["result"], "refused");
    assert!(good.runs() && bare.runs());

    let again = cycle(&tree, &[]);
    let agents = operation(&again, AGENTS);
    assert_eq!(agents["actions"], json!([]));
    assert_eq!(
        of(&agents["metadata"]["results"], good.pid())["result"],
        "skipped"
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it reads the process table")]
fn figures_of_one_agent_are_never_those_of_another_that_could_not_be_asked() {
    if !require::own_machine(
        figures_of_one_agent_are_never_those_of_another_that_could_not_be_asked,
    ) || !require::tool("python3")
        || !require::tool("strace")
    {
        return;
    }
    let tree = Tree::new();
    tree.config(RECLAIM);
    let large = Agent::start(&tree, "whale.py", &hoarder());
    let small = Agent::start(
        &tree,
        "whale2.py",
        &hoarder().replace("range(100)", "range(1)"),
    );
    assert!(large.pid() < small.pid(), "asked in this order");
    let output = Command::new("strace")
        .args([
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=pidfd_send_signal",
            "-e",
        ])
        .arg("inject=pidfd_send_signal:error=EPERM:when=1")
        .arg(env!("CARGO_BIN_EXE_sysopt"))
        .args(["--format", "json", "-C", ".", "cycle", "--only", "agents"])
        .current_dir(tree.base())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let actions = &operation(&report, AGENTS)["actions"];
    assert_eq!(actions[0]["status"], "failed", "{actions:#}");
    assert_eq!(actions[1]["status"], "done", "{actions:#}");
    let before = actions[1]["effects"]["rss_before_bytes"].as_u64().unwrap();
    assert!(before < 80 << 20, "{actions:#}");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it reads the process table")]
fn roots_signal_is_not_for_a_process_of_another_user() {
    if !require::own_machine(roots_signal_is_not_for_a_process_of_another_user)
        || !require::tool("python3")
    {
        return;
    }
    let tree = Tree::new();
    set_mode(tree.outside(), 0o755);
    let script = tree.write("whale.py", hoarder().replace("range(100)", "range(1)"));
    let start = |uid: u32| {
        let mut python = Command::new("/usr/bin/python3");
        python.arg(&script).uid(uid).gid(uid);
        Agent::wait(python)
    };
    let mut eve = start(4321);
    for (rule, result) in [("", "refused"), ("user = \"4321\"\n", "applied_effective")] {
        tree.config(&format!("{RECLAIM}{rule}"));
        let report = cycle(&tree, &[]);
        let results = &operation(&report, AGENTS)["metadata"]["results"];
        let seen = of(results, eve.pid())["result"].as_str().unwrap();
        assert_eq!(seen == "refused", result == "refused", "{results:#}");
    }
    assert!(eve.runs());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it reads the process table")]
fn the_pace_file_is_written_and_read_by_a_python_agent() {
    let tree = Tree::new();
    tree.config("[agents]\npace_file = \"run/pace.json\"\n");
    cycle(&tree, &[]);
    assert!(
        !tree.path("run").exists(),
        "the load is known from the second run on"
    );
    let before = tree.files();
    let dry = cycle(&tree, &["-n"]);
    assert_eq!(operation(&dry, AGENTS)["actions"][0]["action"], "pace");
    assert_eq!(tree.files(), before);
    let report = cycle(&tree, &[]);
    let done = &operation(&report, AGENTS)["actions"][0];
    assert_eq!(done["status"], "done", "{done:#}");
    let text = fs::read(tree.path("run/pace.json")).unwrap();
    let pace: Value = serde_json::from_slice(&text).unwrap();
    assert!(pace["multiplier"].as_f64().unwrap() >= 1.0 && pace["until"].is_string());
    assert_eq!(tree.names("run"), ["pace.json"]);

    tree.write("run/pace.json", "{\"mine\": true}\n");
    let report = cycle(&tree, &[]);
    let agents = operation(&report, AGENTS);
    assert_eq!(agents["metadata"]["results"][0]["result"], "refused");
    assert_eq!(
        fs::read(tree.path("run/pace.json")).unwrap(),
        b"{\"mine\": true}\n"
    );
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it reads the process table")]
fn an_agent_is_shown_with_its_children_files_zombies_and_without_its_secrets() {
    if !require::own_machine(
        an_agent_is_shown_with_its_children_files_zombies_and_without_its_secrets,
    ) || !require::tool("python3")
    {
        return;
    }
    let tree = Tree::new();
    tree.config(
        "[[agents.rule]]\nname = \"whale\"\nscript = \"*/whale.py\"\ninclude_children = true\n\
         [[agents.rule]]\nname = \"shark\"\nmodule = \"fund.shark\"\nexpect = 1\n",
    );
    let code = format!(
        "import os, subprocess, sys\n\
         child = subprocess.Popen(['sleep', '99'])\n\
         dead = os.fork()\nif dead == 0: os._exit(0)\nos.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)\n\
         lost = open('cache.bin', 'wb+')\nlost.write(b'x' * 1000000)\nlost.flush()\nos.unlink('cache.bin')\n{WAIT}\
         child.kill()\n"
    );
    let path = tree.write("whale.py", code);
    let mut python = Command::new("python3");
    python
        .arg(path)
        .arg("--api-key=hush")
        .current_dir(tree.base());
    let mut whale = Agent::wait(python);
    let (ran, status) = tree.json(&["-v", "-C", ".", "status", "--agents"]);
    assert_eq!(ran.code, Some(0));
    assert!(!ran.stdout.contains("hush"), "{}", ran.stdout);
    let found = &status["agents"];
    let row = of(&found["agents"], whale.pid());
    assert_eq!(
        (&row["rule"], &row["name"]),
        (&json!("whale"), &json!("whale"))
    );
    assert!(row["predicate"].as_str().unwrap().starts_with("script "));
    assert!(row["command"].as_str().unwrap().ends_with("--api-key=***"));
    for key in [
        "pss_bytes",
        "rss_bytes",
        "swap_bytes",
        "threads",
        "open_files",
        "cpu_percent_sample",
    ] {
        assert!(row[key].is_number(), "{key} of {row:#}");
    }
    assert_eq!(
        row["cpu_percent_since_last_run"],
        Value::Null,
        "nothing to compare with"
    );
    assert_eq!(row["flags"], json!(["zombie"]));
    assert_eq!(row["deleted_open_files"]["count"], 1);
    assert!(row["deleted_open_files"]["bytes"].as_u64().unwrap() >= 1_000_000);
    let rows = found["agents"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "the child too: {rows:#?}");
    assert_eq!(
        found["missing"],
        json!([{ "rule": "shark", "expected": 1, "found": 0 }])
    );

    let (_, report) = tree.json(&["-C", ".", "cycle", "--only", "garbage"]);
    let metadata = &operation(&report, "garbage_collection")["metadata"];
    let file = of(&metadata["deleted_open_files"], whale.pid());
    assert_eq!(file["agent"], json!({ "name": "whale", "rule": "whale" }));

    let text = tree.run(&["-C", ".", "status", "--agents"]).stdout;
    assert!(
        text.contains("rule whale: script ") && text.contains("ZOMBIE"),
        "{text}"
    );
    assert!(text.contains("missing    shark: 0 of 1 run"), "{text}");

    whale.0.stdin.take().unwrap().flush().unwrap();
    whale.0.wait().unwrap();
    let report = cycle(&tree, &[]);
    let lost = &operation(&report, AGENTS)["metadata"]["lost"];
    assert_eq!(of(lost, whale.pid())["flag"], "not_running");
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it reads the process table")]
fn figures_since_the_last_run_are_there_from_the_second_on() {
    if !require::tool("python3") {
        return;
    }
    let tree = Tree::new();
    tree.config(RECLAIM.split("reclaim").next().unwrap());
    let agent = Agent::start(&tree, "whale.py", &format!("import sys\n{WAIT}"));
    cycle(&tree, &[]);
    let report = cycle(&tree, &[]);
    let row = of(
        &operation(&report, AGENTS)["metadata"]["agents"],
        agent.pid(),
    );
    assert!(row["rss_delta_bytes"].is_i64(), "{row:#}");
    assert_eq!(
        row["cpu_percent_sample"],
        Value::Null,
        "a cycle takes no sample"
    );
    let before = &report["system_metrics_before"];
    assert!(before["deltas"]["seconds"].is_number() && before["deltas"]["oom_kill"].is_u64());
    let processes = &operation(&report, "process_optimization")["metadata"];
    assert!(processes["since_last_run"]["pgmajfault"].is_u64());
}

#[test]
#[cfg_attr(sysopt_portable, ignore = "it reads the process table")]
fn another_user_sees_less_and_says_so() {
    if !require::own_machine(another_user_sees_less_and_says_so) || !require::tool("python3") {
        return;
    }
    let tree = Tree::new();
    tree.config(RECLAIM);
    let agent = Agent::start(
        &tree,
        "whale.py",
        &hoarder().replace("range(100)", "range(1)"),
    );
    let status = |tree: &Tree| -> Value {
        let args = ["--format", "json", "-C", ".", "status", "--agents"];
        let output = tree.command_as(4321, &args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let found = status(&tree)["agents"].clone();
    let row = of(&found["agents"], agent.pid());
    assert_eq!(
        (&row["pss_bytes"], &row["open_files"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(of(&found["results"], agent.pid())["result"], "refused");
    assert!(found["visibility"]["hidden"].as_u64().unwrap() > 0);
    let hide = Command::new("mount")
        .args(["-o", "remount,hidepid=2", "/proc"])
        .status();
    assert!(hide.unwrap().success());
    let found = status(&tree)["agents"].clone();
    assert_eq!(
        (&found["matched"], &found["visibility"]["hidepid"]),
        (&json!(0), &json!(true))
    );
}

#[test]
fn the_python_module_passes_its_own_tests() {
    if !require::tool("python3") {
        return;
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/python");
    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "discover"])
        .current_dir(directory)
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), None);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
