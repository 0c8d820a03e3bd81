//! A part of a text value that still knows where it stands.

use crate::node::Node;
use crate::source::{Place, Sources};
use std::ops::Range;

/// Some text with its place. Where the value was written with escapes, every part of it stands at
/// the place of the whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'t> {
    pub(crate) text: &'t str,
    at: Place,
    exact: bool,
}

impl<'t> Piece<'t> {
    /// The text of a string value.
    pub(crate) fn of(sources: &Sources, node: &Node, text: &'t str) -> Self {
        Self::new(sources, node.at, text)
    }

    /// A text that was written at `place`, bare or in quotes.
    pub(crate) fn new(sources: &Sources, place: Place, text: &'t str) -> Self {
        let literal = sources.slice(place);
        if literal == text {
            return Self {
                text,
                at: place,
                exact: true,
            };
        }
        let inside = ["\"", "'", "\"\"\"", "'''"].into_iter().find(|quote| {
            literal.len() == text.len() + 2 * quote.len()
                && literal[quote.len()..].starts_with(text)
        });
        match inside {
            Some(quote) => {
                let start = place.start + quote.len();
                let at = Place {
                    start,
                    end: start + text.len(),
                    ..place
                };
                Self {
                    text,
                    at,
                    exact: true,
                }
            }
            None => Self {
                text,
                at: place,
                exact: false,
            },
        }
    }

    /// Where it stands. Nothing at all is shown with the quotes around it.
    pub(crate) fn at(&self) -> Place {
        self.at
    }

    /// A part of it, by bytes.
    pub(crate) fn part(&self, range: Range<usize>) -> Piece<'t> {
        let at = if self.exact {
            Place {
                start: self.at.start + range.start,
                end: self.at.start + range.end,
                ..self.at
            }
        } else {
            self.at
        };
        Piece {
            text: &self.text[range],
            at,
            exact: self.exact,
        }
    }

    pub(crate) fn trim(&self) -> Piece<'t> {
        let start = self.text.len() - self.text.trim_start().len();
        self.part(start..start + self.text.trim().len())
    }

    pub(crate) fn strip_prefix(&self, prefix: &str) -> Option<Piece<'t>> {
        self.text
            .starts_with(prefix)
            .then(|| self.part(prefix.len()..self.text.len()))
    }

    pub(crate) fn strip_suffix(&self, suffix: &str) -> Option<Piece<'t>> {
        self.text
            .ends_with(suffix)
            .then(|| self.part(0..self.text.len() - suffix.len()))
    }

    pub(crate) fn split_once(&self, by: &str) -> Option<(Piece<'t>, Piece<'t>)> {
        let at = self.text.find(by)?;
        Some((self.part(0..at), self.part(at + by.len()..self.text.len())))
    }

    pub(crate) fn rsplit_once(&self, by: &str) -> Option<(Piece<'t>, Piece<'t>)> {
        let at = self.text.rfind(by)?;
        Some((self.part(0..at), self.part(at + by.len()..self.text.len())))
    }

    pub(crate) fn split(&self, by: &str) -> Vec<Piece<'t>> {
        let mut parts = Vec::new();
        let mut rest = *self;
        while let Some((part, after)) = rest.split_once(by) {
            parts.push(part);
            rest = after;
        }
        parts.push(rest);
        parts
    }

    /// Its words, by white space.
    pub(crate) fn words(&self) -> Vec<Piece<'t>> {
        let start = |word: &str| word.as_ptr() as usize - self.text.as_ptr() as usize;
        self.text
            .split_whitespace()
            .map(|word| self.part(start(word)..start(word) + word.len()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Kind;

    #[test]
    fn parts_stand_where_they_were_written() {
        let mut sources = Sources::default();
        let text = r#"'ab cd' "a\tb" ab"#;
        let source = sources.add(Kind::File, "x".into(), text);
        let place = |start, end| Place { source, start, end };
        let quoted = Piece::new(&sources, place(0, 7), "ab cd");
        assert_eq!(quoted.words()[1].at(), place(4, 6));
        assert_eq!(quoted.split_once(" ").unwrap().0.at(), place(1, 3));
        let escaped = Piece::new(&sources, place(8, 14), "a\tb");
        assert_eq!(escaped.words()[1].at(), place(8, 14));
        let bare = Piece::new(&sources, place(15, 17), "ab");
        assert_eq!(bare.part(1..2).at(), place(16, 17));
    }
}
