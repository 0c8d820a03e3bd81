//! What was written, as a tree that knows where each part stands.

use crate::source::Place;

/// One value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Value,
}

/// A value of TOML. Numbers are read already.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    /// Saturated where it is larger than fits, which no key allows anyway.
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Moment,
    List(Vec<Node>),
    Table(Table),
    /// Its mistake was reported already; the key counts as given.
    Broken,
}

impl Value {
    /// The kind in words, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a decimal number",
            Self::Boolean(_) => "true or false",
            Self::Moment => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Broken => "unreadable",
        }
    }
}

/// How a table came to be, which decides what may be added to it (TOML 1.0, “Table”).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// By a longer header, or by an override: `[a.b]` makes `a`.
    Implied,
    /// By its own header.
    Header,
    /// By a dotted key: `a.b = 1` makes `a`.
    Dotted,
    /// In braces: complete as it stands.
    Inline,
}

/// Keys and values in the order in which they were written.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) made: Made,
    pub(crate) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Place,
    pub(crate) node: Node,
}

impl Table {
    pub(crate) fn new(made: Made) -> Self {
        Self {
            made,
            entries: Vec::new(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    pub(crate) fn push(&mut self, key: String, key_at: Place, node: Node) {
        self.entries.push(Entry { key, key_at, node });
    }

    /// The table below `key`, where there is one.
    pub(crate) fn table(&self, key: &str) -> Option<&Table> {
        match &self.get(key)?.node.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// A key as it has to be written: bare where it can be, else in quotes.
pub(crate) fn key_text(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        text_literal(key)
    }
}

/// A text as a TOML string on one line.
pub(crate) fn text_literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `parent.key`, or `key` at the top.
pub(crate) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key_text(key)
    } else {
        format!("{parent}.{}", key_text(key))
    }
}

/// A value as TOML on one line. Table keys stand in the order in which they were written.
pub(crate) fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text_literal(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(yes) => yes.to_string(),
        Value::Moment => "a moment".to_owned(),
        Value::Broken => "unreadable".to_owned(),
        Value::List(nodes) => {
            let texts: Vec<String> = nodes.iter().map(|node| value_text(&node.value)).collect();
            format!("[{}]", texts.join(", "))
        }
        Value::Table(table) => {
            let texts: Vec<String> = table
                .entries
                .iter()
                .map(|entry| {
                    format!(
                        "{} = {}",
                        key_text(&entry.key),
                        value_text(&entry.node.value)
                    )
                })
                .collect();
            if texts.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", texts.join(", "))
            }
        }
    }
}
