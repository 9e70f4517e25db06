//! Asking an agent to collect its own garbage, by a signal that it handles.
//!
//! Without a handler the signal would end the agent, so one that is not seen to handle it is never
//! signalled. That is looked at twice: for the plan, and again on a handle of the process just
//! before the signal.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Agent, Detected, Given, Standing};
use crate::plan::action::{OperationPlan, Subject, Task, Verb};
use crate::plan::entry::Inventory;
use crate::plan::policy::{AgentRule, AgentsPolicy};
use crate::plan::reason::{Keep, Reason, Words, size};

/// An agent that was asked before is asked again when it grew by a tenth, and by so much.
const GROWTH_BYTES: u64 = 16 << 20;

/// A signal for one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reclaim {
    /// The boot in which the process runs.
    pub boot_id: String,
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks after boot; with boot and pid its identity.
    pub start_ticks: u64,
    /// Its user.
    pub uid: u32,
    /// The signal, without `SIG`.
    pub name: String,
    /// Its number.
    pub signal: i32,
}

/// Why a process that stands like this must not be signalled; `None` where it may be.
#[must_use]
pub fn refusal(wanted: &Reclaim, now: Option<&Standing>) -> Option<String> {
    let Some(now) = now else {
        return Some("it is gone".to_owned());
    };
    if (&now.boot_id, now.start_ticks) != (&wanted.boot_id, wanted.start_ticks) {
        return Some("another process has its id now".to_owned());
    }
    if now.uid != wanted.uid {
        return Some("it runs as another user now".to_owned());
    }
    (!handles(now.caught, wanted.signal)).then(|| no_handler(&wanted.name))
}

fn handles(caught: u64, signal: i32) -> bool {
    let bit = u32::try_from(signal - 1).ok();
    bit.and_then(|bit| caught.checked_shr(bit))
        .is_some_and(|rest| rest & 1 == 1)
}

fn no_handler(name: &str) -> String {
    format!("it has no handler for SIG{name}, which would end it")
}

/// Plans a signal for each agent of a rule that names one, or says why not.
pub(super) fn plan(
    policy: &AgentsPolicy,
    given: &Given<'_>,
    detected: &Detected<'_>,
    inventory: &mut Inventory,
    plan: &mut OperationPlan,
    results: &mut Vec<Value>,
) {
    for agent in &detected.agents {
        let named = |rule: &&AgentRule| rule.name == agent.rule;
        let Some(rule) = policy.rules.iter().find(named) else {
            continue;
        };
        let Some(name) = rule.reclaim_signal.as_deref() else {
            continue;
        };
        let subject = Subject::Named(inventory.name_subject(&shown(agent)));
        let result = match decide(agent, rule, name, given) {
            Ok((reclaim, reason)) => {
                let task = Task::Reclaim(Box::new(reclaim));
                plan.act(Verb::Signal, subject, reason, task);
                json!({ "result": "planned" })
            }
            Err(keep) => {
                let result = json!({ "result": keep.code(), "reason": keep.to_string() });
                plan.keep(subject, keep);
                result
            }
        };
        results.push(entry(agent, result));
    }
}

fn entry(agent: &Agent<'_>, mut result: Value) -> Value {
    result["action"] = json!("signal");
    result["agent"] = json!(agent.name);
    result["rule"] = json!(agent.rule);
    result["pid"] = json!(agent.process.pid);
    result
}

/// An agent as the lists of items show it.
fn shown(agent: &Agent<'_>) -> String {
    format!("{} (pid {})", agent.name, agent.process.pid)
}

fn decide(
    agent: &Agent<'_>,
    rule: &AgentRule,
    name: &str,
    given: &Given<'_>,
) -> Result<(Reclaim, Reason), Keep> {
    let (process, observed) = (agent.process, &given.observed);
    let refused = |why: String| Keep::Refused(why.into_boxed_str());
    let unknown = || refused("its user, start or handlers could not be read".to_owned());
    let uid = process.uid.ok_or_else(unknown)?;
    let start_ticks = process.start_ticks.ok_or_else(unknown)?;
    let caught = process.caught.ok_or_else(unknown)?;
    let signal = number(name).ok_or_else(|| refused(format!("SIG{name} asks for no memory")))?;
    if !is_allowed(uid, process.user.as_deref(), rule, given) {
        let user = process.user.clone().unwrap_or_else(|| uid.to_string());
        return Err(refused(format!(
            "it belongs to {user}; root signals processes of root, of the owner of the base, and \
             of the user that the rule names"
        )));
    }
    if !handles(caught, signal) {
        return Err(refused(no_handler(name)));
    }
    let then = observed
        .earlier
        .and_then(|earlier| earlier.find(observed.table, process))
        .and_then(|then| then.reclaimed_bytes);
    let resident = process.rss_bytes.unwrap_or(0);
    if let Some(then) = then
        && resident < then.saturating_add((then / 10).max(GROWTH_BYTES))
    {
        return Err(Keep::Skipped(
            format!(
                "it holds {}, and held {} when it had last been asked",
                size(resident),
                size(then)
            )
            .into_boxed_str(),
        ));
    }
    let reclaim = Reclaim {
        boot_id: observed.table.boot_id.clone(),
        pid: process.pid,
        start_ticks,
        uid,
        name: name.to_owned(),
        signal,
    };
    let reason = format!("holds {}, handles SIG{name}", size(resident));
    Ok((reclaim, Reason::Agent(Box::new(Words(reason)))))
}

/// Whether the caller may signal a process of that user. The kernel asks the same of everybody but
/// root, who could be led to a process of another's choice.
fn is_allowed(uid: u32, user: Option<&str>, rule: &AgentRule, given: &Given<'_>) -> bool {
    if given.caller != 0 {
        return uid == given.caller;
    }
    let named = |wanted: &String| Some(wanted.as_str()) == user || *wanted == uid.to_string();
    uid == 0 || given.owner == Some(uid) || rule.user.as_ref().is_some_and(named)
}

/// The number of a signal that an agent may be asked with. Python handles INT by ending, and TERM,
/// QUIT, ALRM and PWR are handled to end or to time something: a handler does not make them safe.
fn number(name: &str) -> Option<i32> {
    let asks = matches!(
        name,
        "HUP" | "USR1" | "USR2" | "CONT" | "URG" | "WINCH" | "IO"
    );
    signal_number(name).filter(|_| asks)
}

/// The number of a signal that the configuration may name, for the writer of a log.
#[must_use]
pub fn signal_number(name: &str) -> Option<i32> {
    let signal = match name {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "ALRM" => Signal::ALARM,
        "TERM" => Signal::TERM,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "CONT" => Signal::CONT,
        "URG" => Signal::URG,
        "WINCH" => Signal::WINCH,
        "IO" => Signal::IO,
        _ => return None,
    };
    Some(signal.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_signalled_only_as_the_one_that_was_planned_and_with_a_handler() {
        let wanted = Reclaim {
            boot_id: "a".to_owned(),
            pid: 7,
            start_ticks: 5,
            uid: 1000,
            name: "USR1".to_owned(),
            signal: 10,
        };
        let standing = Standing {
            boot_id: "a".to_owned(),
            start_ticks: 5,
            uid: 1000,
            caught: 1 << 9,
            rss_bytes: None,
        };
        assert_eq!(refusal(&wanted, Some(&standing)), None);
        assert!(refusal(&wanted, None).is_some());
        let boot_id = "b".to_owned();
        for changed in [
            Standing {
                boot_id,
                ..standing.clone()
            },
            Standing {
                start_ticks: 6,
                ..standing.clone()
            },
            Standing {
                uid: 0,
                ..standing.clone()
            },
            Standing {
                caught: !(1 << 9),
                ..standing.clone()
            },
            Standing {
                caught: 0,
                ..standing.clone()
            },
        ] {
            assert!(refusal(&wanted, Some(&changed)).is_some(), "{changed:?}");
        }
    }

    #[test]
    fn every_signal_of_the_configuration_has_its_bit() {
        for name in ["HUP", "USR1", "USR2", "CONT", "URG", "WINCH", "IO"] {
            let signal = number(name).unwrap_or(0);
            assert!(signal > 0 && handles(1 << (signal - 1), signal), "{name}");
        }
        for name in [
            "KILL", "STOP", "SEGV", "INT", "QUIT", "TERM", "ALRM", "PWR", "usr1", "",
        ] {
            assert_eq!(number(name), None, "{name}");
        }
        assert_eq!(signal_number("KILL"), None);
        assert!(signal_number("TERM").is_some());
        assert!(!handles(u64::MAX, 0) && !handles(u64::MAX, 65));
    }
}
