//! TOML text to a tree. Each statement is read by the `toml` crate on its own and put into the
//! tree here, so that one mistake hides neither the next one nor what the file means otherwise.

#[cfg(test)]
mod agree;
#[cfg(test)]
mod tests;
mod words;

use crate::mistake::Mistake;
use crate::node::{Entry, Made, Node, Table, Value};
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
        let Some(error) = words::pick(&errors) else {
            return;
        };
        let found = error.span().unwrap_or(0..0);
        let found = found.start.min(text.len())..found.end.min(text.len());
        let at = self.place(span.start + found.start..span.start + found.end);
        self.mistakes
            .push(words::explain(error.message(), text, &found, at));
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
