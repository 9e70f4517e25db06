//! From a node of a file to a checked value, by the kind of its key.

use std::path::{Component, Path};

use super::error::Span;
use super::keys::{CODECS, Kind};
use super::literal;
use super::spelling::nearest;
use super::tree::{Data, Node};
use super::value::{Unit, Value};
use crate::plan::policy::{Globs, MinFree, command_regex};

/// Why a node is not such a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, where that is not the whole value.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

type Checked<T> = Result<T, Problem>;

fn problem<T>(node: &Node, message: impl Into<String>, help: Option<&str>) -> Checked<T> {
    Err(Problem {
        span: node.span.clone(),
        message: message.into(),
        help: help.map(str::to_owned),
    })
}

/// Signals that may be sent: those that cannot kill or stop a process that handles them.
const SIGNALS: &[&str] = &[
    "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT", "URG", "WINCH", "IO", "PWR",
];

/// Signals that ask an agent for memory: not those that programs handle in order to end (Python
/// does so with INT).
const RECLAIM_SIGNALS: &[&str] = &["USR1", "USR2", "HUP", "CONT", "URG", "WINCH", "IO"];

/// Checks a value.
///
/// # Errors
/// What is wrong with it, where, and what to write instead.
pub fn check(kind: Kind, node: &Node) -> Checked<Value> {
    match kind {
        Kind::Bool => match node.data {
            Data::Bool(value) => Ok(Value::Bool(value)),
            _ => wrong_type(kind, node),
        },
        Kind::Duration(_) | Kind::Size(_) | Kind::MinFree => literal(kind, node),
        Kind::Percent => number(kind, node, |n| (0.0..=100.0).contains(&n)),
        Kind::Fraction => number(kind, node, |n| n > 0.0 && n <= 1.0),
        Kind::Multiplier => number(kind, node, |n| (1.0..=1000.0).contains(&n)),
        Kind::Count(least, most) => count(kind, node, least, most),
        Kind::Choices(_) | Kind::Names | Kind::Argv | Kind::Directories | Kind::Globs => {
            list(kind, node)
        }
        Kind::Compression => match node.data {
            Data::Bool(true) => Ok(Value::Text("gzip".into())),
            Data::Bool(false) => Ok(Value::Text("none".into())),
            _ => word(kind, node),
        },
        Kind::Signal => signal(node),
        Kind::Choice(_)
        | Kind::Text
        | Kind::Path
        | Kind::ArchivePath
        | Kind::Glob
        | Kind::Regex
        | Kind::SignalName
        | Kind::Assignment => word(kind, node),
    }
}

fn wrong_type<T>(kind: Kind, node: &Node) -> Checked<T> {
    let message = format!("this is {}, not {}", node.data.noun(), kind.noun());
    let help = matches!(node.data, Data::Other("null")).then_some("leave the key out to unset it");
    problem(node, message, help)
}

fn literal(kind: Kind, node: &Node) -> Checked<Value> {
    let refused = |error: literal::LiteralError| Problem {
        span: node.span.clone(),
        message: error.problem,
        help: Some(error.hint),
    };
    let value = match (kind, &node.data) {
        (Kind::Duration(_), Data::Text(text)) => {
            Value::Duration(literal::duration(text).map_err(refused)?)
        }
        (Kind::Duration(_), Data::Integer(number)) => {
            Value::Duration(literal::duration(&number.to_string()).map_err(refused)?)
        }
        (Kind::Size(_), Data::Text(text)) => Value::Size(literal::size(text).map_err(refused)?),
        (Kind::Size(_), Data::Integer(bytes)) => {
            Value::Size(literal::size(&bytes.to_string()).map_err(refused)?)
        }
        (Kind::MinFree, Data::Text(text)) => {
            Value::MinFree(literal::percent_or_size(text).map_err(refused)?)
        }
        (Kind::MinFree, Data::Integer(bytes)) => {
            let bytes = literal::size(&bytes.to_string()).map_err(refused)?;
            Value::MinFree(MinFree::Bytes(bytes))
        }
        _ => return wrong_type(kind, node),
    };
    not_zero(kind, node, value)
}

fn not_zero(kind: Kind, node: &Node, value: Value) -> Checked<Value> {
    let zero = match (kind, &value) {
        (Kind::Duration(false), Value::Duration(span)) => span.is_zero(),
        (Kind::Size(false), Value::Size(bytes)) => *bytes == 0,
        _ => false,
    };
    if zero {
        return problem(node, "this must be more than zero", None);
    }
    Ok(value)
}

/// Checks a number whose unit is in the key's name.
///
/// # Errors
/// What is not a number, is negative or too large.
pub fn check_with_unit(kind: Kind, unit: &Unit, node: &Node) -> Checked<Value> {
    let number = match node.data {
        Data::Integer(number) if number >= 0 => number.to_string(),
        Data::Float(number) if number >= 0.0 && number.is_finite() => number.to_string(),
        Data::Integer(_) | Data::Float(_) => {
            return problem(node, "this must be a number from zero", None);
        }
        _ => {
            let message = format!("this is {}, not a number", node.data.noun());
            let help = "the unit is in the name of the key";
            return problem(node, message, Some(help));
        }
    };
    let typed = Node {
        span: node.span.clone(),
        data: Data::Text(format!("{number}{}", unit.literal)),
    };
    literal(kind, &typed)
}

fn number(kind: Kind, node: &Node, within: impl Fn(f64) -> bool) -> Checked<Value> {
    let number = match node.data {
        Data::Integer(number) => {
            // Beyond these no number is within any bounds.
            i32::try_from(number).map_or(f64::NAN, f64::from)
        }
        Data::Float(number) => number,
        _ => return wrong_type(kind, node),
    };
    if within(number) {
        Ok(Value::Number(number))
    } else {
        problem(node, format!("this must be {}", kind.noun()), None)
    }
}

fn count(kind: Kind, node: &Node, least: u32, most: u32) -> Checked<Value> {
    let Data::Integer(number) = node.data else {
        return wrong_type(kind, node);
    };
    match u32::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Ok(Value::Count(number)),
        _ => problem(node, format!("this must be {}", kind.noun()), None),
    }
}

fn text(kind: Kind, node: &Node) -> Checked<&str> {
    match &node.data {
        Data::Text(text) if text.is_empty() => problem(node, "this is empty", None),
        Data::Text(text) if text.contains('\0') => {
            problem(node, "this holds a NUL character", None)
        }
        Data::Text(text) => Ok(text),
        _ => wrong_type(kind, node),
    }
}

fn word(kind: Kind, node: &Node) -> Checked<Value> {
    let text = text(kind, node)?;
    match kind {
        Kind::Choice(words) => choice(words, kind, node, text)?,
        Kind::Compression => choice(CODECS, kind, node, text)?,
        Kind::Path => path(node, text)?,
        Kind::ArchivePath => archive_path(node, text)?,
        Kind::Glob => glob(node, text)?,
        Kind::Regex => {
            if let Err(error) = command_regex(text) {
                let why = regex_problem(&error);
                return problem(
                    node,
                    format!("this is not a regular expression: {why}"),
                    None,
                );
            }
        }
        Kind::SignalName => return signal_name(node, text, RECLAIM_SIGNALS).map(Value::Text),
        Kind::Assignment if text.find('=').is_none_or(|at| at == 0) => {
            return problem(node, "this is not NAME=VALUE", None);
        }
        _ => {}
    }
    Ok(Value::Text(text.to_owned()))
}

fn list(kind: Kind, node: &Node) -> Checked<Value> {
    let Data::List(items) = &node.data else {
        let help = matches!(node.data, Data::Text(_)).then_some("put it in brackets: [\"...\"]");
        let message = format!("this is {}, not {}", node.data.noun(), kind.noun());
        return problem(node, message, help);
    };
    if kind == Kind::Argv && items.is_empty() {
        return problem(node, "this is empty", Some("name the command to run"));
    }
    let mut texts = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        // An argument may be empty, the command may not.
        if kind == Kind::Argv && index > 0 && matches!(&item.data, Data::Text(t) if t.is_empty()) {
            texts.push(String::new());
            continue;
        }
        let text = text(Kind::Text, item)?;
        match kind {
            Kind::Choices(words) => choice(words, kind, item, text)?,
            Kind::Directories => path(item, text)?,
            Kind::Globs => glob(item, text)?,
            _ => {}
        }
        texts.push(text.to_owned());
    }
    Ok(Value::List(texts))
}

fn choice(words: &[&str], kind: Kind, node: &Node, text: &str) -> Checked<()> {
    if words.contains(&text) {
        return Ok(());
    }
    let near = nearest(text, words.iter().copied()).map(|word| format!("did you mean '{word}'?"));
    problem(
        node,
        format!("this must be {}", kind.noun()),
        near.as_deref(),
    )
}

fn path(node: &Node, text: &str) -> Checked<()> {
    if text == "~" || text.starts_with("~/") {
        let help = "write the whole path; a name that begins with ~ is './~'";
        return problem(node, "'~' is not expanded", Some(help));
    }
    Ok(())
}

fn archive_path(node: &Node, text: &str) -> Checked<()> {
    path(node, text)?;
    let relative = Path::new(text);
    let inside = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        && relative
            .components()
            .any(|part| matches!(part, Component::Normal(_)));
    if relative.is_absolute() || inside {
        return Ok(());
    }
    let message = "this is not inside the model directory";
    problem(
        node,
        message,
        Some("name a directory below it, or an absolute path"),
    )
}

fn glob(node: &Node, text: &str) -> Checked<()> {
    match Globs::new(&[text]) {
        Ok(_) => Ok(()),
        Err(error) => problem(
            node,
            format!("this is not a pattern: {}", error.kind()),
            None,
        ),
    }
}

fn signal_name(node: &Node, text: &str, known: &[&str]) -> Checked<String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("these are: {}", known.join(", ")),
    };
    problem(
        node,
        "this is not a signal that sysopt sends here",
        Some(&help),
    )
}

fn signal(node: &Node) -> Checked<Value> {
    let Data::Table(members) = &node.data else {
        return wrong_type(Kind::Signal, node);
    };
    let (mut name, mut pid_file) = (None, None);
    for member in members {
        let value = text(Kind::Text, &member.node)?;
        let slot = match member.key.as_str() {
            "name" => {
                signal_name(&member.node, value, SIGNALS)?;
                &mut name
            }
            "pid_file" => {
                path(&member.node, value)?;
                &mut pid_file
            }
            other => {
                let near = nearest(other, ["name", "pid_file"]);
                return Err(Problem {
                    span: member.span.clone(),
                    message: "a signal has only a name and a pid_file".into(),
                    help: near.map(|near| format!("did you mean '{near}'?")),
                });
            }
        };
        if slot.replace(value).is_some() {
            return problem(
                &member.node,
                format!("'{}' is given twice", member.key),
                None,
            );
        }
    }
    match (name, pid_file) {
        (Some(name), Some(file)) => {
            let name = signal_name(node, name, SIGNALS)?;
            Ok(Value::Signal(name, file.to_owned()))
        }
        (None, _) => problem(node, "the signal has no name", Some("add name = \"HUP\"")),
        (_, None) => problem(
            node,
            "the signal has no pid_file",
            Some("add pid_file = \"...\""),
        ),
    }
}

/// The cause without the drawing of the pattern that comes before it.
fn regex_problem(error: &dyn std::error::Error) -> String {
    let cause = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let last = cause.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
