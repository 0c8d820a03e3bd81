//! What went wrong, for the person who has to do something about it: what, why, evidence, next.

use crate::say::Screen;
use toft_model::code;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// It did not work.
    Failed = 1,
    /// It was asked for in a way that cannot be understood.
    Usage = 2,
}

/// An error with its four parts. The last three may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was not done.
    pub(crate) what: String,
    /// Why.
    pub(crate) why: String,
    /// What was seen, a line each.
    pub(crate) evidence: Vec<String>,
    /// What to do now: a command or a change.
    pub(crate) next: String,
    /// The exit code.
    pub(crate) code: Code,
    /// Its stable code: `toft explain E0502` prints its page.
    pub(crate) id: Option<code::Code>,
}

impl Failure {
    /// A failure with a reason.
    pub(crate) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
            evidence: Vec::new(),
            next: String::new(),
            code: Code::Failed,
            id: None,
        }
    }

    /// With one more piece of evidence.
    pub(crate) fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    /// With what to do now.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// With another exit code.
    pub(crate) fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// With its stable code.
    pub(crate) fn id(mut self, id: code::Code) -> Self {
        self.id = Some(id);
        self
    }

    /// Prints it; parts that are not there take no line.
    pub(crate) fn print(&self, screen: &Screen) {
        screen.error(self.id, &self.what);
        if !self.why.is_empty() {
            screen.part("why", &self.why);
        }
        for line in &self.evidence {
            screen.part("seen", line);
        }
        if !self.next.is_empty() {
            screen.part("next", &self.next);
        }
    }
}

/// The whole chain of causes, outermost first, as one text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}
