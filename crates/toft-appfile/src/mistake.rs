//! What can be wrong: one constructor per kind, each with its stable code.

use crate::source::Place;

/// A stable code, explained in `docs/errors/`.
pub type Code = &'static str;

/// One mistake, or one warning.
#[derive(Debug, Clone)]
pub(crate) struct Mistake {
    pub(crate) code: Code,
    /// The sentence on the first line.
    pub(crate) title: String,
    /// Where.
    pub(crate) at: Place,
    /// What stands beside the place.
    pub(crate) label: String,
    /// Other places that belong to it, each with its words.
    pub(crate) also: Vec<(Place, String)>,
    /// What is meant, what is allowed, what to do.
    pub(crate) help: Vec<String>,
    /// What to write at `at` instead, where one text is clearly meant.
    pub(crate) instead: Option<String>,
}

impl Mistake {
    fn new(code: Code, at: Place, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            code,
            title: printable(title),
            at,
            label: printable(label),
            also: Vec::new(),
            help: Vec::new(),
            instead: None,
        }
    }

    /// Adds a line of help.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(printable(help));
        self
    }

    /// Adds a line of help where there is one.
    pub(crate) fn help_if(self, help: Option<impl Into<String>>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }

    /// Adds another place.
    pub(crate) fn also(mut self, at: Place, label: impl Into<String>) -> Self {
        self.also.push((at, printable(label)));
        self
    }

    /// Says what to write instead, and asks whether it was meant.
    pub(crate) fn meant(mut self, instead: Option<impl Into<String>>) -> Self {
        if let Some(instead) = instead {
            let instead = instead.into();
            self.help
                .push(printable(format!("did you mean `{instead}`?")));
            self.instead = Some(instead);
        }
        self
    }

    /// The text is not TOML here.
    pub(crate) fn syntax(at: Place, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self::new("E0101", at, title, label)
    }

    /// Nothing of this name is in the grammar here.
    pub(crate) fn unknown_key(at: Place, key: &str, table: &str) -> Self {
        let title = if table.is_empty() {
            format!("the app file has no key `{key}`")
        } else {
            format!("`[{table}]` has no key `{key}`")
        };
        Self::new("E0102", at, title, "not a key here")
    }

    /// A value of another type.
    pub(crate) fn wrong_type(at: Place, key: &str, wanted: &str, found: &str) -> Self {
        Self::new(
            "E0103",
            at,
            format!("`{key}` is {wanted}"),
            format!("this is {found}"),
        )
    }

    /// A key that must be there.
    pub(crate) fn missing_key(at: Place, key: &str, table: &str) -> Self {
        let title = if table.is_empty() {
            format!("the app file does not say `{key}`")
        } else {
            format!("`[{table}]` does not say `{key}`")
        };
        Self::new("E0104", at, title, format!("`{key}` is missing here"))
    }

    /// A text that cannot be a name of this kind.
    pub(crate) fn bad_name(at: Place, what: &str, text: &str, why: impl Into<String>) -> Self {
        let title = match text {
            "" => format!("{what} is missing"),
            _ => format!("`{text}` cannot be {what}"),
        };
        Self::new("E0105", at, title, why)
    }

    /// A quantity without its unit, or with one that is not known.
    pub(crate) fn bad_quantity(at: Place, key: &str, wanted: &str, why: impl Into<String>) -> Self {
        Self::new("E0106", at, format!("`{key}` is {wanted}"), why)
    }

    /// A number beyond its bounds.
    pub(crate) fn out_of_range(at: Place, key: &str, range: &str, why: impl Into<String>) -> Self {
        Self::new("E0107", at, format!("`{key}` is {range}"), why)
    }

    /// A text that has a form, and is not in it.
    pub(crate) fn not_understood(
        at: Place,
        title: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::new("E0108", at, title, why)
    }

    /// A name of something that the file does not have.
    pub(crate) fn missing_target(at: Place, what: &str, name: &str) -> Self {
        Self::new(
            "E0109",
            at,
            format!("there is no {what} `{name}`"),
            format!("no such {what} in this app"),
        )
    }

    /// Something that may be there once.
    pub(crate) fn twice(at: Place, title: impl Into<String>, first: Place) -> Self {
        Self::new("E0110", at, title, "and here again").also(first, "here first")
    }

    /// A path that leads where the app file cannot reach.
    pub(crate) fn bad_path(at: Place, title: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new("E0111", at, title, why)
    }

    /// Right, but this build cannot do it.
    pub(crate) fn not_yet(at: Place, what: &str) -> Self {
        Self::new(
            "E0112",
            at,
            format!("{what}: not yet"),
            "right, but this build of Toft cannot do it yet",
        )
    }

    /// An argument that is not in its form.
    pub(crate) fn bad_override(
        at: Place,
        title: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::new("E0113", at, title, why)
    }

    /// Two things that do not go together.
    pub(crate) fn contradiction(
        at: Place,
        title: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::new("E0114", at, title, why)
    }

    /// Things that wait for each other.
    pub(crate) fn circle(at: Place, title: impl Into<String>) -> Self {
        Self::new("E0115", at, title, "this closes the circle")
    }

    /// Warning: something is declared that nothing uses.
    pub(crate) fn unused(at: Place, title: impl Into<String>) -> Self {
        Self::new("E0116", at, title, "declared here")
    }

    /// Warning: a path that is not in the folder now.
    pub(crate) fn absent(at: Place, path: &str) -> Self {
        Self::new(
            "E0117",
            at,
            format!("there is no `{path}` in the folder"),
            "not there now",
        )
    }
}

/// Words as they may go to a terminal: characters that would steer it are shown by their number.
fn printable(text: impl Into<String>) -> String {
    let text = text.into();
    if !text.contains(char::is_control) {
        return text;
    }
    let show = |c: char| {
        if c.is_control() {
            c.escape_unicode().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(show).collect()
}
