//! The systemd unit of a process, from its control group, and the commands that act on it.
//!
//! The control group is what the scheduler shares between; a nice value often changes nothing.

use super::Process;

/// A unit, and whose systemd manages it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit<'a> {
    name: &'a str,
    /// The user id in `user@1000.service`, where it is a unit of that user's own manager.
    manager: Option<&'a str>,
}

/// Gives the unit of a process half of the usual weight, until the next boot.
pub(super) fn lower_weight(process: &Process) -> Option<String> {
    let unit = unit(process)?;
    Some(format!(
        "{} set-property --runtime {} CPUWeight=50",
        unit.systemctl(),
        quoted(unit.name)
    ))
}

/// Restarts the service of a process; `None` where it is none.
pub(super) fn restart(process: &Process) -> Option<String> {
    let unit = unit(process).filter(|unit| unit.name.ends_with(".service"))?;
    Some(format!(
        "{} restart {}",
        unit.systemctl(),
        quoted(unit.name)
    ))
}

impl Unit<'_> {
    fn systemctl(&self) -> String {
        match self.manager {
            Some(uid) => format!("systemctl --user --machine={uid}@.host"),
            None => "systemctl".to_owned(),
        }
    }
}

/// The last component of the control group that is a service or a scope.
fn unit(process: &Process) -> Option<Unit<'_>> {
    let parts: Vec<&str> = process.cgroup.as_deref()?.split('/').collect();
    let at = parts.iter().rposition(|part| is_unit(part))?;
    Some(Unit {
        name: parts[at],
        manager: parts[..at].iter().find_map(|part| manager(part)),
    })
}

/// The user of `user@1000.service`.
fn manager(part: &str) -> Option<&str> {
    let uid = part.strip_prefix("user@")?.strip_suffix(".service")?;
    let is_number = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(uid)
}

/// A name as systemd allows it (`systemd.unit(5)`), so that it cannot be another command.
fn is_unit(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    part.rsplit_once('.').is_some_and(|(name, kind)| {
        matches!(kind, "service" | "scope") && !name.is_empty() && name.bytes().all(allowed)
    })
}

/// Escapes of systemd (`\x2d`) are kept from the shell.
fn quoted(name: &str) -> String {
    if name.contains('\\') {
        format!("'{name}'")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(cgroup: &str) -> Option<String> {
        lower_weight(&Process {
            cgroup: Some(cgroup.to_owned()),
            ..Process::default()
        })
    }

    #[test]
    fn the_unit_is_found_in_the_control_group() {
        let system = |unit: &str| {
            Some(format!(
                "systemctl set-property --runtime {unit} CPUWeight=50"
            ))
        };
        for (cgroup, expected) in [
            ("/system.slice/bot.service", system("bot.service")),
            ("/system.slice/bot.service/workers", system("bot.service")),
            (
                "/user.slice/user-1.slice/session-2.scope",
                system("session-2.scope"),
            ),
            (
                "/system.slice/system-a.slice/a@x.service",
                system("a@x.service"),
            ),
            ("/system.slice/a\\x2db.service", system("'a\\x2db.service'")),
            (
                "/user.slice/user-7.slice/user@7.service",
                system("user@7.service"),
            ),
            (
                "/user.slice/user-7.slice/user@7.service/app.slice/bot.service",
                Some(
                    "systemctl --user --machine=7@.host set-property --runtime bot.service \
                     CPUWeight=50"
                        .to_owned(),
                ),
            ),
            ("/", None),
            ("/user.slice", None),
            ("/.service", None),
            ("/a;rm -r x.service", None),
            ("/a'b.service", None),
            ("/$(x).service", None),
        ] {
            assert_eq!(weight(cgroup), expected, "{cgroup}");
        }
    }

    #[test]
    fn only_a_service_is_restarted() {
        let of = |cgroup: &str| {
            restart(&Process {
                cgroup: Some(cgroup.to_owned()),
                ..Process::default()
            })
        };
        let expected = Some("systemctl restart bot.service".to_owned());
        assert_eq!(of("/system.slice/bot.service"), expected);
        assert_eq!(of("/user.slice/session-2.scope"), None);
    }
}
