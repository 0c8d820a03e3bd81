//! The decode layer: reading a key marks it as known, finishing a table reports the rest, and
//! every value that was read keeps its place.

use crate::capabilities::{Ability, Capabilities};
use crate::index::Index;
use crate::mistake::Mistake;
use crate::near::{in_our_words, nearest, table_of};
use crate::node::{Entry, Node, Table, Value, join};
use crate::piece::Piece;
use crate::source::{Place, Sources};
use crate::{Folder, node};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Where an effective value was said, and how.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) at: Place,
    /// As TOML on one line.
    pub(crate) text: String,
}

/// Everything that one decoding collects.
pub(crate) struct Decoder<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) folder: &'a dyn Folder,
    pub(crate) capabilities: Capabilities,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) warnings: Vec<Mistake>,
    /// By dotted key.
    pub(crate) written: BTreeMap<String, Written>,
    /// What the file declares and what it refers to.
    pub(crate) index: Index,
}

/// A key that was given, with its value.
#[derive(Debug, Clone)]
pub(crate) struct Item<'n> {
    /// Dotted, as in `--set`.
    pub(crate) path: String,
    pub(crate) key: &'n str,
    pub(crate) key_at: Place,
    pub(crate) node: &'n Node,
}

/// A table of fixed keys while it is read.
pub(crate) struct Fields<'n> {
    table: &'n Table,
    /// Where the table itself was named.
    pub(crate) at: Place,
    pub(crate) path: String,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    pub(crate) fn new(table: &'n Table, path: String, at: Place) -> Self {
        Self {
            table,
            at,
            path,
            known: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// A key that may be given.
    pub(crate) fn get(&mut self, d: &mut Decoder<'_>, key: &'static str) -> Option<Item<'n>> {
        self.known.push(key);
        let entry = self.table.get(key)?;
        Some(d.item(&self.path, entry))
    }

    /// The value of a key that may be given, as `read` understands it.
    pub(crate) fn read<T>(
        &mut self,
        d: &mut Decoder<'_>,
        key: &'static str,
        read: impl FnOnce(&mut Decoder<'_>, &Item<'n>) -> Option<T>,
    ) -> Option<T> {
        let item = self.get(d, key)?;
        read(d, &item)
    }

    /// A key that must be given. [`Fields::finish`] says so where it is not.
    pub(crate) fn require(&mut self, d: &mut Decoder<'_>, key: &'static str) -> Option<Item<'n>> {
        let item = self.get(d, key);
        if item.is_none() {
            self.missing.push(key);
        }
        item
    }

    /// Reports keys that were given and never asked for, and those that must be there and are not.
    ///
    /// A key that is missing because it stands there under another name is one mistake.
    pub(crate) fn finish(self, d: &mut Decoder<'_>) {
        let mut missing = self.missing.clone();
        for entry in &self.table.entries {
            if !self.known.contains(&entry.key.as_str()) {
                let mistake = Mistake::unknown_key(entry.key_at, &entry.key, &self.path);
                let mistake = self.advise(mistake, entry);
                missing.retain(|key| mistake.instead.as_deref() != Some(*key));
                d.push(mistake);
            }
        }
        for key in missing {
            d.push(Mistake::missing_key(self.at, key, &self.path));
        }
    }

    /// What was meant: a word of other tools, a slip of the pen, a key of a table within, a process.
    fn advise(&self, mistake: Mistake, entry: &Entry) -> Mistake {
        let known = |key: &&str| self.known.contains(key);
        if let Some(ours) = in_our_words(&entry.key).filter(known) {
            return mistake.meant(Some(ours));
        }
        if let Some(inner) = table_of(&entry.key).filter(known) {
            return mistake.meant(Some(format!("{inner}.{}", entry.key)));
        }
        if self.path.is_empty() && is_process(entry) {
            return mistake.meant(Some(format!("process.{}", entry.key)));
        }
        if let Some(near) = nearest(&entry.key, self.known.iter().copied()) {
            return mistake.meant(Some(near));
        }
        let mut known = self.known.clone();
        known.sort_unstable();
        known.dedup();
        let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
        mistake.help(format!("its keys are {}", known.join(", ")))
    }
}

/// Whether what stands at the top of the file was meant for a process.
pub(crate) fn is_process(entry: &Entry) -> bool {
    matches!(&entry.node.value, Value::Table(table) if table.get("run").is_some())
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(
        sources: &'a Sources,
        folder: &'a dyn Folder,
        capabilities: Capabilities,
    ) -> Self {
        Self {
            sources,
            folder,
            capabilities,
            mistakes: Vec::new(),
            warnings: Vec::new(),
            written: BTreeMap::new(),
            index: Index::default(),
        }
    }

    pub(crate) fn push(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// Reports a mistake in place of a value.
    pub(crate) fn refuse<T>(&mut self, mistake: Mistake) -> Option<T> {
        self.mistakes.push(mistake);
        None
    }

    /// Refuses what is right but not yet possible.
    pub(crate) fn needs(&mut self, ability: Ability, at: Place) {
        if !self.capabilities.has(ability) {
            self.mistakes.push(Mistake::not_yet(at, ability.words()));
        }
    }

    fn item<'n>(&mut self, parent: &str, entry: &'n Entry) -> Item<'n> {
        let path = join(parent, &entry.key);
        self.written.insert(
            path.clone(),
            Written {
                at: entry.node.at,
                text: node::value_text(&entry.node.value),
            },
        );
        Item {
            path,
            key: &entry.key,
            key_at: entry.key_at,
            node: &entry.node,
        }
    }

    /// Every key of a table whose keys are names, in the order in which they were written.
    pub(crate) fn items<'n>(&mut self, table: &'n Table, path: &str) -> Vec<Item<'n>> {
        table
            .entries
            .iter()
            .map(|entry| self.item(path, entry))
            .collect()
    }

    /// Reports a value of another type, unless it is known to be broken.
    pub(crate) fn wrong_type<T>(&mut self, item: &Item<'_>, wanted: &str) -> Option<T> {
        if matches!(item.node.value, Value::Broken) {
            return None;
        }
        let found = item.node.value.kind();
        let mistake = Mistake::wrong_type(item.node.at, &item.path, wanted, found);
        self.refuse(mistake)
    }

    pub(crate) fn table<'n>(&mut self, item: &Item<'n>) -> Option<&'n Table> {
        match &item.node.value {
            Value::Table(table) => Some(table),
            _ => self.wrong_type(item, "a table of keys"),
        }
    }

    pub(crate) fn fields<'n>(&mut self, item: &Item<'n>) -> Option<Fields<'n>> {
        let table = self.table(item)?;
        Some(Fields::new(table, item.path.clone(), item.key_at))
    }

    /// A text; `like` is an example of one.
    pub(crate) fn text<'n>(&mut self, item: &Item<'n>, like: &str) -> Option<Piece<'n>> {
        match &item.node.value {
            Value::Text(text) => Some(Piece::of(self.sources, item.node, text)),
            _ => self.wrong_type(
                item,
                &format!("a text, like `{}`", node::text_literal(like)),
            ),
        }
    }

    /// Any text; a number or a truth is told to stand in quotes.
    pub(crate) fn free_text<'n>(&mut self, item: &Item<'n>) -> Option<Piece<'n>> {
        let bare = match &item.node.value {
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
                node::text_literal(self.sources.slice(item.node.at))
            }
            _ => return self.text(item, "info"),
        };
        let found = item.node.value.kind();
        let mistake = Mistake::wrong_type(item.node.at, &item.path, "a text", found);
        self.refuse(mistake.meant(Some(bare)))
    }

    /// A text that says something.
    pub(crate) fn full_text<'n>(&mut self, item: &Item<'n>, like: &str) -> Option<Piece<'n>> {
        let piece = self.text(item, like)?;
        if piece.text.trim().is_empty() {
            let title = format!("`{}` says nothing", item.path);
            let help = format!(
                "write something like `{}`, or leave the key out",
                node::text_literal(like)
            );
            return self.refuse(Mistake::not_understood(item.node.at, title, "empty").help(help));
        }
        Some(piece)
    }

    pub(crate) fn boolean(&mut self, item: &Item<'_>) -> Option<bool> {
        match item.node.value {
            Value::Boolean(yes) => Some(yes),
            _ => self.wrong_type(item, "`true` or `false`"),
        }
    }

    /// A whole number within bounds.
    pub(crate) fn whole(&mut self, item: &Item<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let words = format!("a whole number from {} to {}", range.start(), range.end());
        match item.node.value {
            Value::Integer(number) => {
                match u32::try_from(number).ok().filter(|n| range.contains(n)) {
                    Some(number) => Some(number),
                    None => self.refuse(Mistake::out_of_range(
                        item.node.at,
                        &item.path,
                        &words,
                        beyond(number, &range),
                    )),
                }
            }
            _ => self.wrong_type(item, &words),
        }
    }

    /// The elements of a list, each as an item of its own; no element twice.
    pub(crate) fn list<'n>(&mut self, item: &Item<'n>, like: &str) -> Option<Vec<Item<'n>>> {
        let Value::List(nodes) = &item.node.value else {
            return self.wrong_type(item, &format!("a list, like `{like}`"));
        };
        for (at, node) in nodes.iter().enumerate() {
            let text = node::value_text(&node.value);
            if let Some(first) = nodes[..at]
                .iter()
                .find(|other| node::value_text(&other.value) == text)
            {
                let title = format!("{text} stands twice in `{}`", item.path);
                self.push(Mistake::twice(node.at, title, first.at));
            }
        }
        let element = |node| Item {
            path: item.path.clone(),
            key: item.key,
            key_at: item.key_at,
            node,
        };
        Some(nodes.iter().map(element).collect())
    }

    /// One of a few words.
    pub(crate) fn choice<T: Clone>(&mut self, item: &Item<'_>, choices: &[(&str, T)]) -> Option<T> {
        let piece = self.text(item, choices[0].0)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == piece.text) {
            return Some(value.clone());
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.refuse(not_one_of(&piece, &item.path, &words))
    }
}

/// “`x` is not one of …”, with the nearest of them.
pub(crate) fn not_one_of(piece: &Piece<'_>, path: &str, words: &[&str]) -> Mistake {
    let all: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let mistake = Mistake::not_understood(
        piece.at(),
        format!("`{path}` cannot be `{}`", piece.text),
        "not one of its words",
    )
    .help(format!("it is {}", either(&all)));
    mistake.meant(nearest(piece.text, words.iter().copied()))
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn either(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

fn beyond(number: i128, range: &RangeInclusive<u32>) -> String {
    let too = if number < i128::from(*range.start()) {
        "small"
    } else {
        "large"
    };
    format!("too {too}")
}
