//! TOML text to a tree. Each statement is read by the `toml` crate on its own and put into the
//! tree here, so that one mistake hides neither the next one nor what the file means otherwise.

use crate::mistake::Mistake;
use crate::node::{Entry, Made, Node, Table, Value, text_literal};
use crate::source::Place;
use crate::statement::{self, Statement};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

/// Reads a whole text. What could not be read is reported, and stands in the tree as broken.
pub(crate) fn read(source: usize, text: &str, mistakes: &mut Vec<Mistake>) -> Table {
    let mut reader = Reader {
        source,
        text,
        mistakes,
        root: Table::new(Made::Header),
        current: Vec::new(),
        again: false,
    };
    let before = reader.mistakes.len();
    let mut at = 0;
    while let Some(statement) = statement::next(text, at) {
        at = if statement.unclosed.is_some() {
            statement::resume(text, statement.span.start)
        } else {
            statement.span.end
        };
        reader.statement(&statement);
    }
    if reader.mistakes.len() == before {
        reader.agree();
    }
    reader.root
}

/// Reads one value, as an override gives it.
pub(crate) fn read_value(source: usize, text: &str, offset: usize) -> Result<Node, Error> {
    let value = DeValue::parse(text)?;
    Ok(convert(source, offset, &value))
}

/// A key on the way to a value, with its place.
pub(crate) type Step = (String, Place);

/// Reads a dotted key: `process.web.count`, `route."example.com".to`.
pub(crate) fn read_path(source: usize, text: &str, offset: usize) -> Option<Vec<Step>> {
    if statement::too_deep(text) {
        return None;
    }
    let document = format!("{text}=0");
    let table = DeTable::parse(&document).ok()?;
    let mut path = Vec::new();
    leaf(source, offset, table.get_ref(), &mut path)?;
    Some(path)
}

/// The way down to the only leaf, and the leaf.
fn leaf<'t, 'i>(
    source: usize,
    offset: usize,
    table: &'t DeTable<'i>,
    path: &mut Vec<Step>,
) -> Option<&'t Spanned<DeValue<'i>>> {
    let (key, value) = table.iter().next()?;
    path.push((key.get_ref().to_string(), place(source, offset, key.span())));
    match value.get_ref() {
        // A table that a dotted key made has that key's own place; one in braces stands after the `=`.
        DeValue::Table(inner) if value.span() == key.span() => leaf(source, offset, inner, path),
        _ => Some(value),
    }
}

fn place(source: usize, offset: usize, span: Range<usize>) -> Place {
    Place {
        source,
        start: offset + span.start,
        end: offset + span.end,
    }
}

fn convert(source: usize, offset: usize, value: &Spanned<DeValue<'_>>) -> Node {
    let at = place(source, offset, value.span());
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Integer(integer(number.as_str(), number.radix())),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(yes) => Value::Boolean(*yes),
        DeValue::Datetime(_) => Value::Moment,
        DeValue::Array(list) => Value::List(
            list.iter()
                .map(|item| convert(source, offset, item))
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(source, offset, table)),
    };
    Node { at, value }
}

fn convert_table(source: usize, offset: usize, table: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_at: place(source, offset, key.span()),
            node: convert(source, offset, value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_at);
    Table {
        made: Made::Inline,
        entries,
    }
}

fn integer(digits: &str, radix: u32) -> i128 {
    let limit = if digits.starts_with('-') {
        i128::MIN
    } else {
        i128::MAX
    };
    i128::from_str_radix(digits, radix).unwrap_or(limit)
}

struct Reader<'a> {
    source: usize,
    text: &'a str,
    mistakes: &'a mut Vec<Mistake>,
    root: Table,
    /// The keys of the header above.
    current: Vec<Step>,
    /// Whether that header stood in the file before: its keys are read, but none is called a repetition.
    again: bool,
}

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        place(self.source, 0, span)
    }

    fn statement(&mut self, statement: &Statement) {
        if statement::too_deep(&self.text[statement.span.clone()]) {
            let at = self.place(statement.span.clone());
            let title = format!("a key has at most {} parts", statement::PARTS_MAX);
            self.mistakes
                .push(Mistake::syntax(at, title, "too many dots"));
            return;
        }
        if statement.header {
            self.header(statement)
        } else {
            self.key_value(statement)
        }
    }

    fn header(&mut self, statement: &Statement) {
        let start = statement.span.start;
        let line = &self.text[statement.span.clone()];
        let (inner, list) = match line.strip_prefix("[[") {
            Some(inner) => (inner, 2),
            None => (&line[1..], 1),
        };
        let Some(path) = self.header_path(inner, start + list) else {
            self.report(&statement.span);
            return;
        };
        if list == 2 {
            let help = "each thing has a name here: `[process.web]`, `[route.\"example.com\"]`";
            let at = self.place(start..start + line.trim_end().len());
            self.mistakes.push(
                Mistake::syntax(
                    at,
                    "the app file has no lists of tables",
                    "write `[…]`, once for each name",
                )
                .help(help),
            );
        } else if DeTable::parse(line).is_err() {
            self.report(&statement.span);
        }
        self.current = path;
        self.again = false;
        self.open_table();
    }

    /// The keys of a header, also when its bracket is not closed.
    fn header_path(&self, inner: &str, offset: usize) -> Option<Vec<Step>> {
        let whole = inner
            .char_indices()
            .filter(|(_, c)| *c == ']')
            .map(|(at, _)| at);
        let cut = inner.find(['#', '\r']).unwrap_or(inner.len());
        whole
            .chain([cut])
            .find_map(|end| read_path(self.source, inner[..end].trim_end(), offset))
    }

    /// Makes the table of the header, or says that it is there already.
    fn open_table(&mut self) {
        let Some(((last, last_at), above)) = self.current.split_last() else {
            return;
        };
        let twice = match descend(&mut self.root, above, Made::Implied) {
            Err(first) => Some(first),
            Ok(parent) => match parent.get_mut(last) {
                None => {
                    let node = Node {
                        at: *last_at,
                        value: Value::Table(Table::new(Made::Header)),
                    };
                    parent.push(last.clone(), *last_at, node);
                    None
                }
                Some(Entry {
                    node:
                        Node {
                            value: Value::Table(table),
                            at,
                        },
                    key_at,
                    ..
                }) if table.made == Made::Implied => {
                    table.made = Made::Header;
                    (*at, *key_at) = (*last_at, *last_at);
                    None
                }
                Some(entry) => Some(entry.key_at),
            },
        };
        if let Some(first) = twice {
            self.again = true;
            let name: Vec<&str> = self.current.iter().map(|(key, _)| key.as_str()).collect();
            let title = format!("`[{}]` stands twice in the file", dotted(&name));
            self.mistakes.push(
                Mistake::twice(*last_at, title, first).help("put all its keys under one header"),
            );
        }
    }

    fn key_value(&mut self, statement: &Statement) {
        let text = &self.text[statement.span.clone()];
        let start = statement.span.start;
        if let Some(unclosed) = &statement.unclosed {
            self.unclosed(unclosed.clone());
            self.insert_broken(text, start);
            return;
        }
        match DeTable::parse(text) {
            Ok(table) => {
                let mut path = Vec::new();
                if let Some(value) = leaf(self.source, start, table.get_ref(), &mut path) {
                    let node = convert(self.source, start, value);
                    self.insert(&path, node);
                }
            }
            Err(_) => {
                self.report(&statement.span);
                self.insert_broken(text, start);
            }
        }
    }

    fn unclosed(&mut self, at: Range<usize>) {
        let opener = &self.text[at.clone()];
        let closer = match opener {
            "[" => "]",
            "{" => "}",
            quotes => quotes,
        };
        let title = format!("this `{opener}` has no end");
        let place = self.place(at);
        self.mistakes.push(Mistake::syntax(
            place,
            title,
            format!("the `{closer}` is missing"),
        ));
    }

    /// A key whose value could not be read: it counts as given, so that nobody calls it missing.
    fn insert_broken(&mut self, text: &str, start: usize) {
        let end = text.find(['=', '\n', ':']).unwrap_or(text.len());
        let key = text[..end].trim_end();
        if let Some(path) = read_path(self.source, key, start) {
            let node = Node {
                at: self.place(start..start + key.len()),
                value: Value::Broken,
            };
            self.insert(&path, node);
        }
    }

    fn insert(&mut self, path: &[Step], node: Node) {
        let Some(((key, key_at), dotted_keys)) = path.split_last() else {
            return;
        };
        let found = self
            .current_table()
            .and_then(|table| descend(table, dotted_keys, Made::Dotted));
        let first = match found {
            Ok(table) if !dotted_keys.is_empty() && table.made != Made::Dotted => {
                dotted_keys.last().map(|(_, at)| *at)
            }
            Ok(table) => match table.get(key) {
                None => {
                    table.push(key.clone(), *key_at, node);
                    None
                }
                Some(entry) => Some(entry.key_at),
            },
            Err(first) => Some(first),
        };
        if let Some(first) = first.filter(|_| !self.again) {
            self.mistakes.push(Mistake::twice(
                *key_at,
                format!("`{key}` stands twice in one table"),
                first,
            ));
        }
    }

    /// The table of the header above. Where that header clashed with a value, its keys go nowhere.
    fn current_table(&mut self) -> Result<&mut Table, Place> {
        let path = self.current.clone();
        descend(&mut self.root, &path, Made::Implied)
    }

    /// Says what the `toml` crate has against a statement, in words of ours where they are better.
    fn report(&mut self, span: &Range<usize>) {
        let text = &self.text[span.clone()];
        let (_, errors) = DeTable::parse_recoverable(text);
        let Some(error) = pick(&errors) else { return };
        let found = error.span().unwrap_or(0..0);
        let found = found.start.min(text.len())..found.end.min(text.len());
        let at = self.place(span.start + found.start..span.start + found.end);
        self.mistakes
            .push(explain(error.message(), text, &found, at));
    }

    /// The whole text once more, for rules that no single statement breaks.
    fn agree(&mut self) {
        if let Err(error) = DeTable::parse(self.text) {
            let span = error.span().unwrap_or(0..0);
            let at = self.place(span);
            self.mistakes
                .push(Mistake::syntax(at, error.message(), "here"));
        }
    }
}

/// The table below `path`, made on the way where it is missing; else where the other thing stands.
fn descend<'t>(
    mut table: &'t mut Table,
    path: &[Step],
    made: Made,
) -> Result<&'t mut Table, Place> {
    for (key, at) in path {
        if table.get(key).is_none() {
            table.push(
                key.clone(),
                *at,
                Node {
                    at: *at,
                    value: Value::Table(Table::new(made)),
                },
            );
        }
        let entry = table.get_mut(key).expect("pushed above");
        table = match &mut entry.node.value {
            Value::Table(inner) if inner.made != Made::Inline => inner,
            _ => return Err(entry.key_at),
        };
    }
    Ok(table)
}

fn dotted(keys: &[&str]) -> String {
    keys.iter()
        .fold(String::new(), |path, key| crate::node::join(&path, key))
}

/// The error that says most: what follows a value explains the rest of its line.
fn pick(errors: &[Error]) -> Option<&Error> {
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
fn explain(message: &str, text: &str, found: &Range<usize>, at: Place) -> Mistake {
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

#[cfg(test)]
mod agree;
#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in one line, and each mistake's place and title.
    fn check(text: &str) -> (String, Vec<String>) {
        let mut mistakes = Vec::new();
        let table = read(0, text, &mut mistakes);
        let said = mistakes
            .iter()
            .map(|m| format!("{}..{} {}", m.at.start, m.at.end, m.title))
            .collect();
        (show(&Value::Table(table)), said)
    }

    fn show(value: &Value) -> String {
        match value {
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(yes) => yes.to_string(),
            Value::Moment => "moment".into(),
            Value::Broken => "?".into(),
            Value::List(list) => {
                let items: Vec<String> = list.iter().map(|node| show(&node.value)).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Table(table) => {
                let items: Vec<String> = table
                    .entries
                    .iter()
                    .map(|entry| format!("{}={}", entry.key, show(&entry.node.value)))
                    .collect();
                format!("{{{}}}", items.join(" "))
            }
        }
    }

    #[test]
    fn a_good_text_is_a_tree_in_its_own_order() {
        let (tree, said) =
            check("b = 1_000\na.x = 'q'\n[t.u]\nc = [1, 2.5]\n[t]\nd = { e = true }\n[t.u.v]\n");
        assert_eq!(
            tree,
            "{b=1000 a={x=\"q\"} t={u={c=[1 2.5] v={}} d={e=true}}}"
        );
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn line_ends_and_a_mark_in_front_are_no_part_of_it() {
        let (tree, said) = check("\u{feff}a = 1\r\n[t]\r\nb = [\r\n  1,\r\n]\r\n");
        assert_eq!(tree, "{a=1 t={b=[1]}}");
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn what_nests_without_end_is_refused() {
        let (tree, said) = check(&format!("{}a = 1\nb = 1", "a.".repeat(100_000)));
        assert_eq!((tree.as_str(), said.len()), ("{b=1}", 1));
        let (_, said) = check(&format!(
            "a = {}1{}\nb = 1",
            "[".repeat(100_000),
            "]".repeat(100_000)
        ));
        assert!(!said.is_empty());
    }

    #[test]
    fn a_broken_statement_hides_no_other() {
        for (text, tree, mistakes) in [
            (
                "foo\nbar = 1\n",
                "{foo=? bar=1}",
                "3..3 a key without a value",
            ),
            (
                "a = \"x\nb = 1\n",
                "{a=? b=1}",
                "6..6 a text that does not end on its line",
            ),
            (
                "m = 256MiB\nb = 1",
                "{m=? b=1}",
                "4..10 a text stands in quotes",
            ),
            (
                "a = tcp\nb = 1",
                "{a=? b=1}",
                "4..7 a text stands in quotes",
            ),
            (
                "a = 1 2\nb = 1",
                "{a=? b=1}",
                "4..7 something follows the value",
            ),
            (
                "a = [1, 2\nb = 3\n[t]\nc = 1",
                "{a=? b=3 t={c=1}}",
                "4..5 this `[` has no end",
            ),
            (
                "a = { b = 1\n[t]\nd = 1",
                "{a=? t={d=1}}",
                "4..5 this `{` has no end",
            ),
            (
                "[t\na = 1\n[u]\nb = 1",
                "{t={a=1} u={b=1}}",
                "2..2 a header that is not closed",
            ),
            (
                "a: 1\nc = 1",
                "{a=? c=1}",
                "1..2 a key with this character stands in quotes",
            ),
            ("a =\nc = 1", "{a=? c=1}", "3..3 a key without a value"),
            (
                "a = 1 b = 2\nc = 1",
                "{a=? c=1}",
                "8..8 something follows the value",
            ),
            (
                "[[t]]\na = 1",
                "{t={a=1}}",
                "0..5 the app file has no lists of tables",
            ),
        ] {
            assert_eq!(
                check(text),
                (tree.to_owned(), vec![mistakes.to_owned()]),
                "{text}"
            );
        }
    }

    #[test]
    fn twice_is_said_where_it_stands_again() {
        for (text, mistake) in [
            ("a = 1\na = 2", "6..7 `a` stands twice in one table"),
            (
                "[t]\na = 1\n[t]\na = 1",
                "11..12 `[t]` stands twice in the file",
            ),
            (
                "b.c = 1\n[b]\nd = 1",
                "9..10 `[b]` stands twice in the file",
            ),
            (
                "[a.b]\nc = 1\n[a]\nb.d = 1",
                "18..19 `d` stands twice in one table",
            ),
            ("a = 1\n[a.b]\n", "9..10 `[a.b]` stands twice in the file"),
        ] {
            assert_eq!(check(text).1, [mistake], "{text}");
        }
    }
}
