//! `--set`, `--env` and `--offset`: arguments that put their values into the tree before it is
//! decoded, so that the same rules read them and a mistake points into the argument.

use crate::mistake::Mistake;
use crate::node::{Made, Node, Table, Value};
use crate::piece::Piece;
use crate::source::{Kind, Place, Sources};
use crate::statement::too_deep;
use crate::syntax::{Step, read_path, read_value};
use crate::value::name::is_variable;

/// The largest offset.
pub const OFFSET_MAX: u16 = 40_000;

/// What the command line says over the app file, each as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Each `--set`: `process.web.count=3`. A value that is no TOML is a text: `process.web.run=python3 app.py`.
    pub set: Vec<String>,
    /// Each `--env`: `LOG_LEVEL=debug`. For every process, over what the file gives one of them.
    pub env: Vec<String>,
    /// `--offset`: what is added to each outside port, 0 to 40,000.
    pub offset: Option<String>,
}

/// Puts every override into the tree; the offset and where it was said.
pub(crate) fn apply(
    overrides: &Overrides,
    root: &mut Table,
    sources: &mut Sources,
    mistakes: &mut Vec<Mistake>,
) -> (u16, Option<Place>) {
    for (at, text) in overrides.set.iter().enumerate() {
        let source = sources.add(Kind::Set(at + 1), format!("--set #{}", at + 1), text);
        if let Err(mistake) = set(root, source, text) {
            mistakes.push(*mistake);
        }
    }
    for (at, text) in overrides.env.iter().enumerate() {
        let source = sources.add(Kind::Env(at + 1), format!("--env #{}", at + 1), text);
        if let Err(mistake) = env(root, source, text) {
            mistakes.push(*mistake);
        }
    }
    let Some(text) = &overrides.offset else {
        return (0, None);
    };
    let source = sources.add(Kind::Offset, "--offset".to_owned(), text);
    offset(source, text, sources, mistakes)
}

type Applied = Result<(), Box<Mistake>>;

fn set(root: &mut Table, source: usize, text: &str) -> Applied {
    let whole = Place {
        source,
        start: 0,
        end: text.len(),
    };
    let Some(equals) = outside_quotes(text, '=') else {
        let mistake = Mistake::bad_override(
            whole,
            "`--set` takes a key and its value",
            "the `=` is missing",
        );
        return Err(Box::new(mistake.help("like `--set process.web.count=3`")));
    };
    let key = Place {
        source,
        start: 0,
        end: equals,
    };
    let Some(path) = read_path(source, &text[..equals], 0) else {
        let mistake = Mistake::bad_override(key, "`--set` takes a key with dots", "not such a key")
            .help("like `--set process.web.count=3`, or `--set 'route.\"example.com\".to=\"web/http\"'`");
        return Err(Box::new(mistake));
    };
    put(root, &path, value(source, text, equals + 1)?)
}

/// The first `c` that stands in no quotes.
fn outside_quotes(text: &str, c: char) -> Option<usize> {
    let mut quote = None;
    for (at, here) in text.char_indices() {
        match quote {
            Some(open) if open == here => quote = None,
            Some(_) => {}
            None if here == c => return Some(at),
            None if here == '"' || here == '\'' => quote = Some(here),
            None => {}
        }
    }
    None
}

/// A value of TOML, else the text as it stands. What opens like a text, a list or a table must be one.
fn value(source: usize, text: &str, start: usize) -> Result<Node, Box<Mistake>> {
    let said = &text[start..];
    if too_deep(said) {
        let at = Place {
            source,
            start,
            end: text.len(),
        };
        return Err(Box::new(Mistake::bad_override(
            at,
            "a key here has too many parts",
            "too many dots",
        )));
    }
    match read_value(source, said, start) {
        Ok(node) => Ok(node),
        Err(error) if said.trim_start().starts_with(['"', '\'', '[', '{']) => {
            let span = error.span().unwrap_or(0..said.len());
            let at = Place {
                source,
                start: start + span.start,
                end: start + span.end,
            };
            Err(Box::new(Mistake::bad_override(
                at,
                "this value is not complete",
                error.message(),
            )))
        }
        Err(_) => {
            let at = Place {
                source,
                start,
                end: text.len(),
            };
            Ok(Node {
                at,
                value: Value::Text(said.to_owned()),
            })
        }
    }
}

/// Puts a value at a path, over what stands there.
fn put(root: &mut Table, path: &[Step], node: Node) -> Applied {
    let Some(((last, last_at), above)) = path.split_last() else {
        return Ok(());
    };
    let mut table = root;
    let mut so_far = String::new();
    for (key, at) in above {
        so_far = crate::node::join(&so_far, key);
        if table.get(key).is_none() {
            let inner = Node {
                at: *at,
                value: Value::Table(Table::new(Made::Implied)),
            };
            table.push(key.clone(), *at, inner);
        }
        let Some(entry) = table.get_mut(key) else {
            return Ok(());
        };
        let kind = entry.node.value.kind();
        table = match &mut entry.node.value {
            Value::Table(inner) => inner,
            // Its mistake was reported; nothing can be put into it.
            Value::Broken => return Ok(()),
            _ => {
                let title = format!("nothing stands below `{so_far}`");
                let mistake = Mistake::bad_override(*at, title, format!("it is {kind}"));
                return Err(Box::new(mistake.also(entry.node.at, "said here")));
            }
        };
    }
    match table.get_mut(last) {
        Some(entry) => {
            entry.key_at = *last_at;
            entry.node = node;
        }
        None => table.push(last.clone(), *last_at, node),
    }
    Ok(())
}

fn env(root: &mut Table, source: usize, text: &str) -> Applied {
    let whole = Place {
        source,
        start: 0,
        end: text.len(),
    };
    let Some((key, value)) = text.split_once('=') else {
        let mistake = Mistake::bad_override(
            whole,
            "`--env` takes a variable and its value",
            "the `=` is missing",
        );
        return Err(Box::new(mistake.help(format!("like `--env {text}=VALUE`"))));
    };
    let key_at = Place {
        end: key.len(),
        ..whole
    };
    if !is_variable(key) {
        let why = "A–Z, a–z, 0–9 and `_`, no digit in front";
        return Err(Box::new(Mistake::bad_name(
            key_at,
            "an environment variable",
            key,
            why,
        )));
    }
    let node = || Node {
        at: Place {
            start: key.len() + 1,
            ..whole
        },
        value: Value::Text(value.to_owned()),
    };
    put(
        root,
        &[("env".to_owned(), key_at), (key.to_owned(), key_at)],
        node(),
    )?;
    // A process that gives the variable a value of its own gets this one too.
    let Some(Value::Table(processes)) = root.get_mut("process").map(|entry| &mut entry.node.value)
    else {
        return Ok(());
    };
    for process in &mut processes.entries {
        let Value::Table(table) = &mut process.node.value else {
            continue;
        };
        let Some(Value::Table(own)) = table.get_mut("env").map(|entry| &mut entry.node.value)
        else {
            continue;
        };
        if own.get(key).is_some() {
            put(own, &[(key.to_owned(), key_at)], node())?;
        }
    }
    Ok(())
}

fn offset(
    source: usize,
    text: &str,
    sources: &Sources,
    mistakes: &mut Vec<Mistake>,
) -> (u16, Option<Place>) {
    let place = Place {
        source,
        start: 0,
        end: text.len(),
    };
    let piece = Piece::new(sources, place, text);
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text
        .parse::<u16>()
        .ok()
        .filter(|number| digits && *number <= OFFSET_MAX)
    {
        Some(number) => (number, Some(place)),
        None => {
            let range = format!("a whole number from 0 to {OFFSET_MAX}");
            mistakes.push(Mistake::out_of_range(
                piece.at(),
                "--offset",
                &range,
                "not such a number",
            ));
            (0, None)
        }
    }
}
