//! Names as they are shown to people.
//!
//! A file may be called anything, a line break and an escape sequence included. Whoever prints such
//! a name as it is lets its author steer the terminal and write lines that look like Toft's own.

use std::fmt;
use std::path::Path;

/// A name that can be printed.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(&'a Path);

/// A path to be printed: what would steer a terminal or turn the text around stands there escaped.
pub fn path(path: &Path) -> Shown<'_> {
    Shown(path)
}

/// The same of any text.
pub fn text(text: &str) -> String {
    path(Path::new(text)).to_string()
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let name = self.0.to_string_lossy();
        name.chars().try_for_each(|c| match steers(c) {
            true => write!(f, "{}", c.escape_debug()),
            false => f.write_char(c),
        })
    }
}

/// Control characters, breaks of lines, and what turns the direction of writing.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_writes_no_line_of_its_own() {
        let shown = |name: &str| path(Path::new(name)).to_string();
        assert_eq!(
            shown("naïve 'a'/\u{1f980} b.py"),
            "naïve 'a'/\u{1f980} b.py"
        );
        assert_eq!(shown("a\nerror: b\x1b[2J\r"), "a\\nerror: b\\u{1b}[2J\\r");
        assert_eq!(shown("a\u{202e}yp.\u{9b}1m"), "a\\u{202e}yp.\\u{9b}1m");
    }
}
