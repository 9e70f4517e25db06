//! The commented `sysopt.toml` that `config --init` writes.

use std::fmt::Write as _;

use super::keys::{Initial, Key, SECTIONS, Section};

const HEAD: &str = "\
# sysopt.toml: the configuration of sysopt. Here every key has its default; a key that is left out
# has it too. `sysopt config` shows what is in force and where it is from, and
# `sysopt config --check sysopt.toml` says what is wrong with a file.
#
# Sizes: \"512KiB\", \"1GiB\", \"500MB\" (decimal), \"100M\" as du reads it, or a number of bytes.
# Durations: \"30s\", \"30min\", \"6h\", \"7d\", \"1w\", \"1h30m\" (m is minutes).
# Patterns without a / match a name at any depth; with one, the path relative to the directory.
";

/// The text: it loads, and means the same as no file at all in its place.
#[must_use]
pub fn text() -> String {
    let mut out = HEAD.to_owned();
    for section in SECTIONS {
        out.push('\n');
        write_section(&mut out, section);
    }
    out
}

fn write_section(out: &mut String, section: &Section) {
    if section.repeated {
        line(out, &format!("# [[{}]]", section.name), section.doc);
        // A rule that takes the keys of the table above it need not list them again.
        let shared = SECTIONS
            .iter()
            .any(|other| !other.repeated && std::ptr::eq(other.keys, section.keys));
        if shared {
            return;
        }
    } else if !section.name.is_empty() {
        line(out, &format!("[{}]", section.name), section.doc);
    }
    for key in section.keys {
        write_key(out, key, section.repeated);
    }
}

fn write_key(out: &mut String, key: &Key, commented: bool) {
    let (mark, value) = match key.initial {
        Initial::Value(value) if !commented => ("", value),
        Initial::Value(value) | Initial::Quiet(value) | Initial::Unset(value) => ("# ", value),
    };
    line(out, &format!("{mark}{} = {value}", key.name), key.doc);
}

fn line(out: &mut String, text: &str, doc: &str) {
    // Writing to a string cannot fail.
    let _ = if text.len() > 60 {
        writeln!(out, "# {doc}:\n{text}")
    } else {
        writeln!(out, "{text:<36} # {doc}")
    };
}
