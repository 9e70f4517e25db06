use std::process::Command;

use super::*;

type Tested = Result<(), Box<dyn std::error::Error>>;

fn now() -> Time {
    super::super::clock(rustix::time::ClockId::Realtime)
}

#[test]
fn a_pid_is_dead_when_nobody_has_it() -> Tested {
    let mut child = Command::new("true").spawn()?;
    let pid = child.id();
    child.wait()?;
    assert!(pid_is_dead(pid, now()));
    assert!(!pid_is_dead(std::process::id(), now()));
    assert!(!pid_is_dead(1, now()), "also where we may not signal it");
    for nonsense in [0, u32::MAX] {
        assert!(!pid_is_dead(nonsense, now()));
    }
    Ok(())
}

#[test]
fn a_pid_file_is_a_regular_file_with_a_number() -> Tested {
    let directory = tempfile::tempdir()?;
    for (text, expected) in [
        ("12\n", Some(12)),
        (" 12 agent\n", Some(12)),
        ("", None),
        ("-12", None),
        ("x", None),
        ("99999999999", None),
    ] {
        let path = directory.path().join("a.pid");
        std::fs::write(&path, text)?;
        assert_eq!(pid_file(&path).map(|(pid, _)| pid), expected, "{text:?}");
    }
    assert_eq!(pid_file(directory.path()), None);
    assert_eq!(pid_file(&directory.path().join("none")), None);
    Ok(())
}

#[cfg(all(target_os = "linux", not(sysopt_portable)))]
mod linux {
    use std::ffi::OsStr;
    use std::process::{Child, Stdio};

    use super::*;
    use crate::plan::policy::AgentRule;

    /// Ends the child whatever becomes of the test.
    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_child_is_read_with_all_its_arguments() -> Tested {
        use std::os::unix::ffi::OsStrExt as _;
        let directory = tempfile::tempdir()?;
        let raw = OsStr::from_bytes(b"\xff\n[12]");
        let mut command = Command::new("sh");
        command.args(["-c", "read x", "", "-lead"]).arg(raw);
        command.env("SYSOPT_AGENT", "whale").env("TOKEN", "hush");
        command.current_dir(directory.path());
        let child = Ended(command.stdin(Stdio::piped()).spawn()?);
        let pid = child.0.id();
        let pid_file = directory.path().join("a.pid");
        std::fs::write(&pid_file, format!("{pid}\n"))?;
        let policy = AgentsPolicy {
            rules: vec![AgentRule {
                exe: Some("*".to_owned()),
                cwd: Some("*".to_owned()),
                env: Some("SYSOPT_AGENT=whale".to_owned()),
                pid_file: Some(pid_file.clone()),
                ..AgentRule::default()
            }],
            ..AgentsPolicy::default()
        };
        let table = read(&policy);
        let process = table.get(pid).ok_or("the child is not listed")?;
        assert_eq!(process.arguments.len(), 6);
        assert_eq!(
            process.arguments[3..5],
            [OsStr::new(""), OsStr::new("-lead")]
        );
        assert_eq!(process.arguments[5], raw);
        assert_eq!(process.environment, ["SYSOPT_AGENT=whale"]);
        assert_eq!(
            process.cwd.as_deref(),
            Some(directory.path().canonicalize()?.as_path())
        );
        assert_eq!(
            (process.parent, process.threads),
            (Some(table.own), Some(1))
        );
        assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()));
        assert!(process.rss_bytes.is_some_and(|bytes| bytes > 0));
        assert!(process.open_files.is_some_and(|count| count >= 3));
        assert!(!process.kernel && process.exe.is_some());
        assert_eq!(table.pid_files.get(&pid_file), Some(&pid));
        let age = table.age(process).ok_or("no age")?;
        assert!(age.as_secs() < 60, "{age:?}");
        let started = table.started(process).ok_or("no start")?;
        assert!((now().0 - started.0).abs() < SLACK_NANOSECONDS);
        Ok(())
    }

    #[test]
    fn the_table_is_sorted_and_holds_processes_not_threads() {
        let other = std::thread::spawn(|| read(&AgentsPolicy::default()));
        let table = other.join().unwrap_or_default();
        assert!(table.processes.is_sorted_by_key(|process| process.pid));
        let own = table.get(table.own);
        assert!(own.is_some_and(|own| own.threads.is_some_and(|count| count > 1)));
        let name = own.map(|own| own.name.clone());
        let same = table
            .processes
            .iter()
            .filter(|p| p.parent == Some(table.own));
        assert!(same.filter(|p| Some(&p.name) == name.as_ref()).count() == 0);
        assert!(table.visibility.looked && table.ticks_per_second > 0);
        assert!(!table.boot_id.is_empty());
    }

    #[test]
    fn a_process_younger_than_its_file_is_another() {
        let own = std::process::id();
        let hours = |count: u64| std::time::Duration::from_secs(count * 3600);
        assert!(pid_is_dead(own, now().before(hours(24 * 365))));
        assert!(!pid_is_dead(own, now().after(hours(1))));
    }
}
