//! What the `toml` crate has against a statement, in words of ours where they are better.

use crate::mistake::Mistake;
use crate::node::text_literal;
use crate::source::Place;
use std::ops::Range;
use toml::de::Error;

/// The error that says most: what follows a value explains the rest of its line.
pub(super) fn pick(errors: &[Error]) -> Option<&Error> {
    errors
        .iter()
        .find(|error| error.message().starts_with("unexpected key or value"))
        .or_else(|| {
            errors
                .iter()
                .find(|error| error.message().starts_with("invalid unquoted key"))
        })
        .or_else(|| {
            errors
                .iter()
                .min_by_key(|error| error.span().map_or(0, |span| span.start))
        })
}

/// Turns the parser's words into ours.
pub(super) fn explain(message: &str, text: &str, found: &Range<usize>, at: Place) -> Mistake {
    let said = text.get(found.clone()).unwrap_or_default();
    if said.is_empty() && message.starts_with("string values must be quoted") {
        return Mistake::syntax(at, "a key without a value", "a value is missing after `=`");
    }
    if message.starts_with("string values must be quoted") || message.starts_with("invalid boolean")
    {
        if numbers(said) {
            return Mistake::syntax(
                at,
                "something follows the value",
                "one value, or a list in `[ ]`",
            );
        }
        return Mistake::syntax(at, "a text stands in quotes", "quotes are missing here")
            .meant(Some(text_literal(said)));
    }
    if message.starts_with("unexpected key or value") {
        return Mistake::syntax(
            at,
            "something follows the value",
            "each key stands on a line of its own",
        )
        .help("a text with spaces in it stands in quotes");
    }
    if message.starts_with("key with no value") {
        return Mistake::syntax(at, "a key without a value", "`= …` is missing here");
    }
    if message.starts_with("invalid basic string") || message.starts_with("invalid literal string")
    {
        return Mistake::syntax(
            at,
            "a text that does not end on its line",
            "the closing quote is missing",
        );
    }
    if message.starts_with("unclosed table") {
        return Mistake::syntax(at, "a header that is not closed", "the `]` is missing");
    }
    if message.starts_with("invalid unquoted key") {
        return Mistake::syntax(
            at,
            "a key with this character stands in quotes",
            "not part of a bare key",
        )
        .help("a key and its value are joined by `=`: `count = 2`");
    }
    let (title, label) = message.split_once(", expected ").unwrap_or((message, ""));
    let label = if label.is_empty() {
        "here".to_owned()
    } else {
        format!("expected {label}")
    };
    Mistake::syntax(at, title, label)
}

/// Whether a bare text is made of several numbers.
fn numbers(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words.clone().count() > 1
        && words.all(|word| word.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}
