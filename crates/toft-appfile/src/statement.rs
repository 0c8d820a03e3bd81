//! Cuts a TOML text into statements, so that a broken one does not take the next ones with it.

use std::ops::Range;

/// One header, or one key with its value; whole lines, comments and blank lines left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Its bytes, without the line end.
    pub(crate) span: Range<usize>,
    /// Whether it is a header, `[…]`.
    pub(crate) header: bool,
    /// Where something begins that never ends: a bracket, or a text in three quotes.
    pub(crate) unclosed: Option<Range<usize>>,
}

/// The statement that begins at or after `from`, or `None` at the end.
pub(crate) fn next(text: &str, from: usize) -> Option<Statement> {
    let start = skip_blank(text, from)?;
    let header = text[start..].starts_with('[');
    let mut scan = Scan {
        text,
        at: start,
        open: Vec::new(),
    };
    let unclosed = if header {
        scan.skip_line();
        None
    } else {
        scan.value()
    };
    Some(Statement {
        span: start..scan.at,
        header,
        unclosed,
    })
}

/// The most parts that a dotted key may have. The grammar needs four.
pub(crate) const PARTS_MAX: usize = 32;

/// Whether some dotted key has more parts than [`PARTS_MAX`]: no reader need nest so deep.
///
/// Counts dots outside of quotes between what can stand around a key, so that it never says no to a
/// value of the grammar.
pub(crate) fn too_deep(text: &str) -> bool {
    let mut quote = None;
    let mut dots = 0;
    for c in text.chars() {
        match (quote, c) {
            (_, '\n') => (quote, dots) = (None, 0),
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '=' | ',' | '{' | '}' | '[' | ']' | '#') => dots = 0,
            (None, '.') => dots += 1,
            (None, _) => {}
        }
        if dots >= PARTS_MAX {
            return true;
        }
    }
    false
}

/// Where the next line begins that looks like the start of a statement, after the line of `from`.
///
/// For going on after something that never ends.
pub(crate) fn resume(text: &str, from: usize) -> usize {
    let mut at = line_end(text, from);
    while at < text.len() {
        let begin = at + 1;
        at = line_end(text, begin);
        if looks_like_statement(text[begin..at].trim()) {
            return begin;
        }
    }
    text.len()
}

fn looks_like_statement(line: &str) -> bool {
    if let Some(inner) = line.strip_prefix('[') {
        let name = inner.trim_start_matches('[').trim_start();
        let letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
        return letter
            && !line.ends_with(',')
            && line.contains(']')
            && !name.starts_with("true")
            && !name.starts_with("false");
    }
    let Some((key, _)) = line.split_once('=') else {
        return false;
    };
    let key = key.trim();
    !key.is_empty()
        && key.chars().all(|c| {
            c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | '/' | '*' | ':')
        })
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |at| from + at)
}

/// Over blank lines, comments and indentation.
fn skip_blank(text: &str, mut at: usize) -> Option<usize> {
    loop {
        let rest = text.get(at..)?;
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{feff}']);
        at += rest.len() - trimmed.len();
        match trimmed.chars().next()? {
            '#' => at = line_end(text, at),
            _ => return Some(at),
        }
    }
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// Brackets that wait for their other half, with their places.
    open: Vec<usize>,
}

impl Scan<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_line(&mut self) {
        self.at = line_end(self.text, self.at);
        self.drop_carriage_return();
    }

    fn drop_carriage_return(&mut self) {
        if self.text[..self.at].ends_with('\r') {
            self.at -= 1;
        }
    }

    /// A key and its value: to the end of the line on which every bracket is closed.
    fn value(&mut self) -> Option<Range<usize>> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\n' if self.open.is_empty() => {
                    self.drop_carriage_return();
                    return None;
                }
                '#' => {
                    self.at = line_end(self.text, self.at);
                    continue;
                }
                '"' | '\'' => {
                    if let Some(unclosed) = self.quoted(c) {
                        return Some(unclosed);
                    }
                    continue;
                }
                '[' | '{' => self.open.push(self.at),
                ']' | '}' => {
                    self.open.pop();
                }
                _ => {}
            }
            self.at += c.len_utf8();
        }
        self.open.first().map(|&at| at..at + 1)
    }

    /// Over one quoted text. One on a single line ends with its line at the latest.
    fn quoted(&mut self, quote: char) -> Option<Range<usize>> {
        let start = self.at;
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let long = self.rest().starts_with(&triple);
        self.at += if long { 3 } else { 1 };
        while let Some(c) = self.rest().chars().next() {
            if c == '\\' && quote == '"' {
                self.at += 1;
                self.at += self.rest().chars().next().map_or(0, char::len_utf8);
                continue;
            }
            if long && self.rest().starts_with(&triple) {
                self.at += 3;
                // Up to two more quotes belong to the text itself (TOML 1.0, “String”).
                self.at += self
                    .rest()
                    .chars()
                    .take(2)
                    .take_while(|c| *c == quote)
                    .count();
                return None;
            }
            if !long && c == '\n' {
                return None;
            }
            self.at += c.len_utf8();
            if !long && c == quote {
                return None;
            }
        }
        long.then_some(start..start + 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(&str, bool)> {
        let mut out = Vec::new();
        let mut at = 0;
        while let Some(statement) = next(text, at) {
            at = statement.span.end;
            let broken = statement.unclosed.is_some();
            if broken {
                at = resume(text, statement.span.start);
            }
            out.push((&text[statement.span], broken));
        }
        out
    }

    #[test]
    fn lines_comments_and_long_values() {
        let text = "# head\r\na = 1 # why\r\n\n[t.\"x]y\"]\nb = [ # no ]\n 1,\n]\nc = '''\n[x]\n'''\nd = \"a\\\"#\"\n";
        assert_eq!(
            cut(text),
            [
                ("a = 1 # why", false),
                ("[t.\"x]y\"]", false),
                ("b = [ # no ]\n 1,\n]", false),
                ("c = '''\n[x]\n'''", false),
                ("d = \"a\\\"#\"", false),
            ]
        );
    }

    #[test]
    fn depth_is_counted_outside_of_quotes() {
        let deep = vec!["a"; 33].join(".");
        assert!(too_deep(&format!("{deep} = 1")));
        assert!(too_deep(&format!("x = {{ {deep} = 1 }}")));
        assert!(too_deep(&format!("[{deep}]")));
        assert!(!too_deep(&format!("x = \"{deep}\" # {}", ".".repeat(20))));
        assert!(!too_deep("x = [1.5, 2.5]"));
    }

    #[test]
    fn what_never_ends_is_left_at_the_next_statement() {
        let cuts = cut("a = [1,\n 2\nb = 3\n[t]\nc = \"open\nd = '''\ne = 1");
        let firsts: Vec<&str> = cuts
            .iter()
            .map(|(text, _)| text.lines().next().unwrap())
            .collect();
        assert_eq!(
            firsts,
            ["a = [1,", "b = 3", "[t]", "c = \"open", "d = '''", "e = 1"]
        );
        assert_eq!(cuts.iter().filter(|(_, broken)| *broken).count(), 2);
    }
}
