//! What a file says, before its keys have a meaning: one tree for TOML and JSON, in which
//! everything knows its place.

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use toml_edit::{Document, Item, TableLike, Value};

use super::error::Span;

/// The language of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// TOML 1.1.
    Toml,
    /// JSON as in RFC 8259, without comments.
    Json,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub data: Data,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Data {
    /// A table or object; keys may repeat in JSON.
    Table(Vec<Member>),
    /// An array, also of tables.
    List(Vec<Node>),
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// What no key wants, and its name.
    Other(&'static str),
}

impl Data {
    /// What it is, for error messages.
    #[must_use]
    pub const fn noun(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::List(_) => "a list",
            Self::Text(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Other(noun) => noun,
        }
    }
}

/// A key of a table with its value.
#[derive(Clone, Debug)]
pub struct Member {
    /// The key as written.
    pub key: String,
    /// Where the key stands.
    pub span: Span,
    /// Its value.
    pub node: Node,
}

/// Why a text has no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where the parser gave up.
    pub span: Span,
    /// What it says.
    pub message: String,
}

/// Parses a text. Nothing but white space is an empty table in both languages.
///
/// # Errors
/// The first place where the text is not of that language.
pub fn parse(text: &str, language: Language) -> Result<Node, SyntaxError> {
    if text.trim().is_empty() {
        return Ok(Node {
            span: 0..0,
            data: Data::Table(Vec::new()),
        });
    }
    match language {
        Language::Toml => toml(text),
        Language::Json => json(text),
    }
}

fn toml(text: &str) -> Result<Node, SyntaxError> {
    let document = Document::parse(text).map_err(|error| SyntaxError {
        span: error.span().unwrap_or(0..0),
        message: error.message().to_owned(),
    })?;
    Ok(toml_item(document.as_item(), &(0..0)))
}

/// `near` is the place of the key, for tables that are only implied by a longer one.
fn toml_item(item: &Item, near: &Span) -> Node {
    let span = item.span().unwrap_or_else(|| near.clone());
    let data = match item {
        Item::None => Data::Other("nothing"),
        Item::Table(table) => toml_table(table),
        Item::ArrayOfTables(tables) => Data::List(
            tables
                .iter()
                .map(|table| Node {
                    span: table.span().unwrap_or_else(|| span.clone()),
                    data: toml_table(table),
                })
                .collect(),
        ),
        Item::Value(value) => return toml_value(value, near),
    };
    Node { span, data }
}

fn toml_table(table: &dyn TableLike) -> Data {
    Data::Table(
        table
            .iter()
            .map(|(name, item)| {
                let key = table.get_key_value(name).and_then(|(key, _)| key.span());
                let span = key.or_else(|| item.span()).unwrap_or(0..0);
                Member {
                    key: name.to_owned(),
                    node: toml_item(item, &span),
                    span,
                }
            })
            .collect(),
    )
}

fn toml_value(value: &Value, near: &Span) -> Node {
    let span = value.span().unwrap_or_else(|| near.clone());
    let data = match value {
        Value::String(text) => Data::Text(text.value().clone()),
        Value::Integer(number) => Data::Integer((*number.value()).into()),
        Value::Float(number) => Data::Float(*number.value()),
        Value::Boolean(bool) => Data::Bool(*bool.value()),
        Value::Datetime(_) => Data::Other("a date"),
        Value::Array(values) => {
            Data::List(values.iter().map(|item| toml_value(item, &span)).collect())
        }
        Value::InlineTable(table) => toml_table(table),
    };
    Node { span, data }
}

/// `serde_json` is the judge of what is JSON, and `jsonc-parser` knows where everything stands.
fn json(text: &str) -> Result<Node, SyntaxError> {
    serde_json::from_str::<serde_json::Value>(text).map_err(|error| SyntaxError {
        span: json_position(text, error.line(), error.column()),
        message: json_message(&error),
    })?;
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict).map_err(|error| {
        let range = error.range();
        SyntaxError {
            span: range.start..range.end,
            message: error.kind().to_string(),
        }
    })?;
    Ok(parsed.value.map_or(
        Node {
            span: 0..0,
            data: Data::Other("nothing"),
        },
        json_value,
    ))
}

/// `serde_json` counts columns in bytes, up to and including the byte that it stumbled over.
fn json_position(text: &str, line: usize, column: usize) -> Span {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let at = start + column.saturating_sub(1);
    at..at + 1
}

/// The message without the position, which is told in our own form.
fn json_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn json_value(value: ast::Value<'_>) -> Node {
    let range = value.range();
    let data = match value {
        ast::Value::StringLit(text) => Data::Text(text.value.into_owned()),
        ast::Value::NumberLit(number) => number.value.parse().map_or_else(
            |_| Data::Float(number.value.parse().unwrap_or(f64::NAN)),
            Data::Integer,
        ),
        ast::Value::BooleanLit(bool) => Data::Bool(bool.value),
        ast::Value::NullKeyword(_) => Data::Other("null"),
        ast::Value::Array(array) => {
            Data::List(array.elements.into_iter().map(json_value).collect())
        }
        ast::Value::Object(object) => Data::Table(
            object
                .properties
                .into_iter()
                .map(|property| {
                    let range = property.name.range();
                    Member {
                        key: property.name.into_string(),
                        span: range.start..range.end,
                        node: json_value(property.value),
                    }
                })
                .collect(),
        ),
    };
    Node {
        span: range.start..range.end,
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The tree as text: keys and values each with the source they point at.
    fn outline(text: &str, node: &Node, out: &mut Vec<String>) {
        match &node.data {
            Data::Table(members) => {
                for member in members {
                    out.push(format!("{}@{}", member.key, &text[member.span.clone()]));
                    outline(text, &member.node, out);
                }
            }
            Data::List(nodes) => nodes.iter().for_each(|node| outline(text, node, out)),
            data => out.push(format!("{}: {}", data.noun(), &text[node.span.clone()])),
        }
    }

    fn outlined(text: &str, language: Language) -> Vec<String> {
        let mut out = Vec::new();
        if let Ok(node) = parse(text, language) {
            outline(text, &node, &mut out);
        }
        out
    }

    #[test]
    fn toml_and_json_give_the_same_tree() {
        let toml = "[a]\nb = \"x\"\nc = [1, 2.5]\n[[a.d]]\ne = true\n";
        let json = r#"{"a": {"b": "x", "c": [1, 2.5], "d": [{"e": true}]}}"#;
        let strip = |lines: Vec<String>| -> Vec<String> {
            lines.iter().map(|line| line.replace('"', "")).collect()
        };
        let tree = strip(outlined(toml, Language::Toml));
        assert_eq!(tree, strip(outlined(json, Language::Json)));
        assert_eq!(tree.len(), 9, "{tree:?}");
    }

    #[test]
    fn dotted_and_quoted_keys_have_a_place() {
        assert_eq!(
            outlined("a.\"b\" = 1\nx = {y = 2}\n", Language::Toml),
            [
                "a@a",
                "b@\"b\"",
                "a whole number: 1",
                "x@x",
                "y@y",
                "a whole number: 2"
            ]
        );
    }

    #[test]
    fn json_is_strict_and_says_where_it_is_not_json() {
        for (text, at) in [
            ("{\"a\": 1,}", "}"),
            ("{\"a\": 1 // x\n}", "/"),
            ("{'a': 1}", "'"),
            ("{\"a\": [[] []]}", "["),
            ("{\"a\": 01}", "1"),
            ("{\n\"ä\": nul}", "}"),
        ] {
            let Err(error) = parse(text, Language::Json) else {
                panic!("accepted {text}");
            };
            assert!(
                text[error.span.start..].starts_with(at),
                "{text}: {error:?}"
            );
            assert!(!error.message.contains("line"), "{error:?}");
        }
        assert_eq!(outlined("{\"a\": 1, \"a\": 2}", Language::Json).len(), 4);
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        for depth in [200, 300_000] {
            let text = format!("a = {}", "[".repeat(depth));
            assert!(parse(&text, Language::Toml).is_err());
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(parse(&text, Language::Json).is_err());
            assert!(parse(&"{\"a\":".repeat(depth), Language::Json).is_err());
            assert!(parse(&format!("{}b = 1", "a.".repeat(depth)), Language::Toml).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_panic(text in "[\\[\\]{}a=.\",:'0-9\n #\\\\-]{0,40}|\\PC*") {
            for language in [Language::Toml, Language::Json] {
                if let Err(error) = parse(&text, language) {
                    let place = super::super::error::place(&text, &error.span);
                    prop_assert!(place.line >= 1);
                }
            }
        }
    }
}
