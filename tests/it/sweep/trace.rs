//! The points of a command, as strace sees them.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::{Scenario, World};

/// Calls that change something.
const CHANGING: &str = "?unlink,unlinkat,?rename,?renameat,renameat2,?link,linkat,?symlinkat,\
                        write,?pwrite64,fsync,fdatasync,ftruncate,?mkdir,mkdirat,fchmod,\
                        ?fchmodat,fchown,?fchownat,utimensat,fsetxattr,?fallocate,\
                        ?copy_file_range,?sendfile";
/// Calls that look. Not `close`: after a successful `fsync` its answer tells nothing.
const LOOKING: &str = "openat,read,?pread64,getdents64,statx,?newfstatat,?fstat,fgetxattr,\
                       flistxattr,?readlinkat,flock,fcntl";

/// The Nth call of a kind, made below the tree.
#[derive(Clone, Debug)]
pub struct Point {
    pub call: String,
    pub number: usize,
    /// Not merely looks.
    pub changes: bool,
    /// As strace shows it.
    pub line: String,
}

/// Runs sysopt under strace, always with the same files open, which sysopt would see. Only the
/// process itself is traced, not what it starts: children make calls of the same kinds.
pub fn strace(world: &World, options: &[&str], args: &[&str]) -> Output {
    let mut command = Command::new("strace");
    command.args(["-qq", "-y", "-o"]).arg(log_of(world));
    command.args(options);
    command.arg(env!("CARGO_BIN_EXE_sysopt"));
    world.tree.prepare(
        &mut command,
        &["-C", ".", "--threads", "1", "--format", "json"],
    );
    command.args(args).output().unwrap()
}

/// What strace saw in the last run.
pub fn seen(world: &World) -> String {
    let text = fs::read(log_of(world)).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

fn log_of(world: &World) -> PathBuf {
    world.tree.outside().join("trace")
}

/// All points of a command, from a run that nothing disturbs.
pub fn points(scenario: &Scenario) -> Vec<Point> {
    let world = (scenario.build)();
    let beside = scenario.beside.map(|start| start(&world));
    let output = strace(
        &world,
        &["-e", &format!("trace={CHANGING},{LOOKING}")],
        scenario.args,
    );
    if let Some(beside) = beside {
        beside.stop(&world);
    }
    assert!(output.status.success(), "{output:?}");
    (scenario.holds)(&world);
    if scenario.beside.is_none() && scenario.again.is_none() {
        (scenario.settled)(&world);
    }
    let text = seen(&world);
    let places = [world.tree.base(), world.archive.clone()]
        .map(|path| fs::canonicalize(&path).unwrap_or(path))
        .map(|path| path.to_str().unwrap().to_owned());
    let mut numbers = HashMap::new();
    let points = text
        .lines()
        .filter_map(|line| point(line, &mut numbers, &places));
    let points: Vec<Point> = points.collect();
    assert!(points.len() > 5, "{text}");
    points
}

/// Counts a call, and takes it down where it is made below one of the places.
fn point(line: &str, numbers: &mut HashMap<String, usize>, places: &[String]) -> Option<Point> {
    let (call, rest) = line.split_once('(')?;
    let number = numbers.entry(call.to_owned()).or_default();
    *number += 1;
    // The current directory is shown beside AT_FDCWD, whatever is opened.
    let rest = rest.split_once(">, \"/").map_or(rest, |(_, path)| path);
    let below = places.iter().any(|place| rest.contains(&place[1..]));
    let changes = match call {
        "openat" => ["O_CREAT", "O_RDWR", "O_WRONLY", "O_TRUNC"]
            .iter()
            .any(|flag| rest.contains(flag)),
        _ => CHANGING
            .split(',')
            .any(|one| one.trim_start_matches('?') == call),
    };
    // Failing to look for what is not there is nothing new.
    let vain = !changes && rest.contains("ENOENT");
    (below && !vain).then(|| Point {
        call: call.to_owned(),
        number: *number,
        changes,
        line: line.to_owned(),
    })
}
