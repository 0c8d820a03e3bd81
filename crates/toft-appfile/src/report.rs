//! Every mistake of one decoding, for people and for programs.

use crate::mistake::{Code, Mistake};
use crate::source::{Kind, Place, Sources};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use std::fmt;

/// Everything that is wrong with an app file and its overrides, or, beside a good one, every warning.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub(crate) sources: Sources,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) warning: bool,
}

/// One mistake for programs. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Stable code: `E0102`.
    pub code: Code,
    /// `error` or `warning`.
    pub level: &'static str,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What stands at the place.
    pub label: String,
    /// Path of the app file, or the argument: `--set #1`.
    pub file: String,
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line after the last character.
    pub end_line: usize,
    /// Column after the last character.
    pub end_column: usize,
    /// What is meant, what is allowed, what to do.
    pub help: Vec<String>,
    /// What to write at the place instead, where one text is clearly meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// Other places that belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Another place that belongs to a mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// What stands there.
    pub label: String,
    /// Path of the app file, or the argument.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Report {
    /// In the order of the texts: the file first, then the arguments as they were given.
    pub(crate) fn new(sources: Sources, mut mistakes: Vec<Mistake>, warning: bool) -> Self {
        mistakes.sort_by(|a, b| (a.at, &a.title).cmp(&(b.at, &b.title)));
        Self {
            sources,
            mistakes,
            warning,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.mistakes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Each one with its file, line, column, meaning and help.
    pub fn entries(&self) -> Vec<Entry> {
        self.mistakes
            .iter()
            .map(|mistake| self.entry(mistake))
            .collect()
    }

    fn entry(&self, mistake: &Mistake) -> Entry {
        let at = mistake.at;
        let (line, column) = self.sources.line_column(at.source, at.start);
        let (end_line, end_column) = self.sources.line_column(at.source, at.end);
        Entry {
            code: mistake.code,
            level: if self.warning { "warning" } else { "error" },
            message: mistake.title.clone(),
            label: mistake.label.clone(),
            file: self.sources.get(at.source).name.clone(),
            line,
            column,
            end_line,
            end_column,
            help: mistake.help.clone(),
            instead: mistake.instead.clone(),
            related: mistake
                .also
                .iter()
                .map(|(at, label)| self.related(*at, label))
                .collect(),
        }
    }

    fn related(&self, at: Place, label: &str) -> Related {
        let (line, column) = self.sources.line_column(at.source, at.start);
        Related {
            label: label.to_owned(),
            file: self.sources.get(at.source).name.clone(),
            line,
            column,
        }
    }

    /// As people read it: each mistake with the lines that it is about, and a blank line behind it.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut out = String::new();
        for mistake in &self.mistakes {
            out.push_str(&renderer.render(&[self.group(mistake)]));
            out.push_str("\n\n");
        }
        out
    }

    fn group<'m>(&'m self, mistake: &'m Mistake) -> Group<'m> {
        let level = if self.warning {
            Level::WARNING
        } else {
            Level::ERROR
        };
        let mut group = level
            .primary_title(mistake.title.as_str())
            .id(mistake.code)
            .element(self.snippet(mistake, mistake.at.source));
        for (at, label) in &mistake.also {
            if at.source != mistake.at.source {
                let text = self.sources.get(at.source);
                let annotation = AnnotationKind::Context
                    .span(shown(&text.text, *at))
                    .label(label.as_str());
                let snippet = Snippet::source(text.text.as_str())
                    .path(text.name.as_str())
                    .annotation(annotation);
                group = group.element(snippet);
            }
        }
        for help in &mistake.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }

    fn snippet<'m>(
        &'m self,
        mistake: &'m Mistake,
        source: usize,
    ) -> Snippet<'m, annotate_snippets::Annotation<'m>> {
        let text = self.sources.get(source);
        let primary = AnnotationKind::Primary
            .span(shown(&text.text, mistake.at))
            .label(mistake.label.as_str());
        let also = mistake
            .also
            .iter()
            .filter(|(at, _)| at.source == source)
            .map(|(at, label)| {
                AnnotationKind::Context
                    .span(shown(&text.text, *at))
                    .label(label.as_str())
            });
        Snippet::source(text.text.as_str())
            .path(text.name.as_str())
            .line_numbering(matches!(text.kind, Kind::File | Kind::Detected))
            .annotation(primary)
            .annotations(also)
    }
}

/// The bytes to underline: on character borders, and of a long stretch only its first line.
fn shown(text: &str, at: Place) -> std::ops::Range<usize> {
    let border = |mut byte: usize| {
        byte = byte.min(text.len());
        while !text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    };
    let (start, end) = (border(at.start), border(at.end));
    let line_end = text[start..end].find('\n').map_or(end, |at| start + at);
    start..line_end.max(start)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
