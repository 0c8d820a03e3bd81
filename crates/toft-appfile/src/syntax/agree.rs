//! Whatever is written, the tree says what the `toml` crate says of the whole text.

use super::read;
use crate::node::Value;
use proptest::prelude::*;

const TOKENS: &[&str] = &[
    "a",
    "b",
    "c.d",
    "'q'",
    "=",
    " = ",
    ".",
    ",",
    "[",
    "]",
    "{",
    "}",
    "[t]",
    "[t.u]",
    "[a]",
    "[[l]]",
    "\n",
    "\n",
    "\n",
    "1",
    "0x1f",
    "1.5",
    "true",
    "inf",
    "\"x\"",
    "'y'",
    "\"\"\"",
    "'''",
    "#",
    " ",
    "\\",
    "\r\n",
    "1979-05-27",
    "é",
];
const KEYS: &[&str] = &[
    "", "a = ", "b = ", "a.b = ", "t.x = ", "[a]", "[t]", "[t.u]", "[t.u.v]",
];
const VALUES: &[&str] = &[
    "",
    "1",
    "'x'",
    "[1,\n2]",
    "{ x = 1 }",
    "{}",
    "# c",
    "true # d",
];

fn plain(value: &Value) -> toml::Value {
    match value {
        Value::Text(text) => toml::Value::String(text.clone()),
        Value::Integer(number) => toml::Value::Integer(i64::try_from(*number).unwrap_or(i64::MAX)),
        Value::Float(number) => toml::Value::Float(*number),
        Value::Boolean(yes) => toml::Value::Boolean(*yes),
        Value::Moment => toml::Value::String("moment".into()),
        Value::Broken => toml::Value::String("broken".into()),
        Value::List(nodes) => {
            toml::Value::Array(nodes.iter().map(|node| plain(&node.value)).collect())
        }
        Value::Table(table) => {
            let entries = table.entries.iter();
            toml::Value::Table(
                entries
                    .map(|entry| (entry.key.clone(), plain(&entry.node.value)))
                    .collect(),
            )
        }
    }
}

/// Which moment it is, is not kept.
fn without_moments(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::Datetime(_) => toml::Value::String("moment".into()),
        toml::Value::Array(items) => {
            toml::Value::Array(items.into_iter().map(without_moments).collect())
        }
        toml::Value::Table(table) => toml::Value::Table(
            table
                .into_iter()
                .map(|(key, value)| (key, without_moments(value)))
                .collect(),
        ),
        value => value,
    }
}

fn check(text: &str) {
    let mut mistakes = Vec::new();
    let table = Value::Table(read(0, text, &mut mistakes));
    for mistake in &mistakes {
        assert!(
            text.get(mistake.at.start..mistake.at.end).is_some(),
            "{text:?}"
        );
    }
    match text.parse::<toml::Table>() {
        Err(_) => assert!(!mistakes.is_empty(), "{text:?} is no TOML"),
        // Lists of tables are TOML, but nothing of the app file.
        Ok(_) if text.contains("[[") => {}
        Ok(good) => {
            let titles: Vec<&String> = mistakes.iter().map(|mistake| &mistake.title).collect();
            assert!(mistakes.is_empty(), "{text:?} is TOML: {titles:?}");
            assert_eq!(
                plain(&table),
                without_moments(toml::Value::Table(good)),
                "{text:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_tokens(tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 0..24)) {
        check(&tokens.concat());
    }

    #[test]
    fn any_lines(
        lines in proptest::collection::vec((proptest::sample::select(KEYS), proptest::sample::select(VALUES)), 0..10)
    ) {
        let text: String = lines.iter().map(|(key, value)| format!("{key}{value}\n")).collect();
        check(&text);
    }
}
