//! What the rules of a configuration have to be told of every process.

use crate::plan::policy::AgentsPolicy;

/// What costs a call of the kernel for each process, and is read of all only where a rule asks;
/// names, arguments and users are always known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Predicates<'a> {
    /// The executable.
    pub exe: bool,
    /// The working directory; a relative script is looked for below it.
    pub cwd: bool,
    /// The control group.
    pub cgroup: bool,
    /// `NAME=VALUE` of the environment.
    pub variables: Vec<&'a str>,
}

impl<'a> Predicates<'a> {
    /// What these rules ask for.
    #[must_use]
    pub fn of(policy: &'a AgentsPolicy) -> Self {
        let rules = || policy.rules.iter();
        Self {
            exe: rules().any(|rule| rule.exe.is_some()),
            cwd: rules().any(|rule| rule.cwd.is_some() || rule.script.is_some()),
            cgroup: rules().any(|rule| rule.cgroup.is_some()),
            variables: rules().filter_map(|rule| rule.env.as_deref()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::policy::AgentRule;

    #[test]
    fn only_what_a_rule_names_is_asked_for() {
        let text = || Some("x=y".to_owned());
        let with = |change: fn(&mut AgentRule, Option<String>)| {
            let mut rule = AgentRule::default();
            change(&mut rule, text());
            AgentsPolicy {
                rules: vec![rule],
                ..AgentsPolicy::default()
            }
        };
        for (change, expected) in [
            (
                (|rule, text| rule.module = text) as fn(&mut AgentRule, Option<String>),
                (false, false, false, 0),
            ),
            (|rule, text| rule.exe = text, (true, false, false, 0)),
            (|rule, text| rule.cwd = text, (false, true, false, 0)),
            (|rule, text| rule.script = text, (false, true, false, 0)),
            (|rule, text| rule.cgroup = text, (false, false, true, 0)),
            (|rule, text| rule.env = text, (false, false, false, 1)),
        ] {
            let policy = with(change);
            let asked = Predicates::of(&policy);
            let Predicates {
                exe,
                cwd,
                cgroup,
                variables,
            } = asked;
            assert_eq!((exe, cwd, cgroup, variables.len()), expected);
        }
    }
}
