//! Texts that were read, and places in them.

use serde::Serialize;
use std::fmt;

/// One app file as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its path as people know it: `toft.toml`.
    pub path: &'a str,
    /// What it says.
    pub text: &'a str,
}

/// Where an effective value was said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In the app file. Line and column count from 1, the column in characters.
    File {
        /// Path of the file.
        path: String,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// Found in the folder that has no app file.
    Detected,
    /// In the nth `--set`, counted from 1.
    Set(usize),
    /// In the nth `--env`, counted from 1.
    Env(usize),
    /// In `--offset`.
    Offset,
    /// Nowhere: it is what stands when nothing is said.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Detected => f.write_str("detected"),
            Self::Set(number) => write!(f, "--set #{number}"),
            Self::Env(number) => write!(f, "--env #{number}"),
            Self::Offset => f.write_str("--offset"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What kind of text a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Detected,
    Set(usize),
    Env(usize),
    Offset,
}

/// A text with its name.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Bytes `start..end` of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) source: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Every text that takes part in one decoding, the app file first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources(Vec<Text>);

impl Sources {
    pub(crate) fn add(&mut self, kind: Kind, name: String, text: &str) -> usize {
        self.0.push(Text {
            kind,
            name,
            text: text.to_owned(),
        });
        self.0.len() - 1
    }

    pub(crate) fn get(&self, source: usize) -> &Text {
        &self.0[source]
    }

    /// The text at a place; empty where the place is not on character borders.
    pub(crate) fn slice(&self, place: Place) -> &str {
        self.get(place.source)
            .text
            .get(place.start..place.end)
            .unwrap_or_default()
    }

    /// Line and column of a byte, from 1; the column in characters.
    pub(crate) fn line_column(&self, source: usize, byte: usize) -> (usize, usize) {
        let text = &self.get(source).text;
        let mut byte = byte.min(text.len());
        while !text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = &text[..byte];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// Where a place was said, as people are told.
    pub(crate) fn origin(&self, place: Place) -> Origin {
        let text = self.get(place.source);
        match text.kind {
            Kind::File => {
                let (line, column) = self.line_column(place.source, place.start);
                Origin::File {
                    path: text.name.clone(),
                    line,
                    column,
                }
            }
            Kind::Detected => Origin::Detected,
            Kind::Set(number) => Origin::Set(number),
            Kind::Env(number) => Origin::Env(number),
            Kind::Offset => Origin::Offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let mut sources = Sources::default();
        let id = sources.add(Kind::File, "toft.toml".into(), "a\nöö = 1\n");
        assert_eq!(sources.line_column(id, 0), (1, 1));
        assert_eq!(sources.line_column(id, 2), (2, 1));
        assert_eq!(sources.line_column(id, 4), (2, 2));
        assert_eq!(sources.line_column(id, 3), (2, 1));
        assert_eq!(sources.line_column(id, 999), (3, 1));
    }
}
