//! Command lines without their secrets: a report is kept, mailed and pasted.

use std::ffi::OsString;

/// What marks the value that follows it as a secret.
const MARKS: [&str; 8] = [
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "authorization",
];

const HIDDEN: &str = "***";

/// The arguments joined by spaces, secrets hidden, at most `limit` characters long.
///
/// A value is hidden after a mark and `=` or `:`, in the argument after an option with a mark, and
/// between `://user:` and `@`. Hiding too much is harmless.
#[must_use]
pub fn command_line(arguments: &[OsString], limit: usize) -> String {
    let mut shown = String::new();
    let mut hide_next = false;
    for argument in arguments {
        let text = argument.to_string_lossy();
        if !shown.is_empty() {
            shown.push(' ');
        }
        if hide_next {
            shown.push_str(HIDDEN);
            hide_next = false;
        } else {
            hide_next = text.starts_with('-') && !text.contains(['=', ':']) && is_marked(&text);
            shown.push_str(&redact(&text));
        }
    }
    match shown.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

fn redact(text: &str) -> String {
    let secret = text
        .match_indices(['=', ':'])
        .find(|(at, _)| is_marked(&text[..*at]));
    if let Some((at, separator)) = secret {
        return format!("{}{separator}{HIDDEN}", &text[..at]);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((login, _)) if login.contains(':') => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:{HIDDEN}{}", &rest[login.len()..])
        }
        _ => text.to_owned(),
    }
}

fn is_marked(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    MARKS.iter().any(|mark| text.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn secrets_are_hidden() {
        for (given, expected) in [
            (&["a", "--api-key=s3"][..], "a --api-key=***"),
            (&["a", "--api-key", "s3", "b"], "a --api-key *** b"),
            (&["a", "--token", "-s3", "b"], "a --token *** b"),
            (&["env", "DB_PASSWORD=s3", "a"], "env DB_PASSWORD=*** a"),
            (&["curl", "-H", "X-Api-Key: s3"], "curl -H X-Api-Key:***"),
            (
                &["a", "http://h/?x=1&token=s3"],
                "a http://h/?x=1&token=***",
            ),
            (&["a", "pg://bob:s3@db:5432/x"], "a pg://bob:***@db:5432/x"),
            (&["a", "pg://bob:s@3@db/x"], "a pg://bob:***@db/x"),
            (&["a", "http://h:80/x@y"], "a http://h:80/x@y"),
            (
                &["curl", "-H", "Authorization: Bearer s3"],
                "curl -H Authorization:***",
            ),
            (&["a", "SECRET"], "a SECRET"),
            (&["a", "--secret"], "a --secret"),
            (&["a", "", "--x=1"], "a  --x=1"),
            (&["python", "agents/x.py"], "python agents/x.py"),
        ] {
            let arguments: Vec<OsString> = given.iter().map(OsString::from).collect();
            assert_eq!(command_line(&arguments, 200), expected);
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let arguments = [OsString::from("äöü"), OsString::from_vec(vec![0xff])];
        assert_eq!(command_line(&arguments, 200), "äöü \u{fffd}");
        assert_eq!(command_line(&arguments, 2), "äö…");
    }
}
