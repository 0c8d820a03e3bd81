//! The sections of the app file, each from its table to its part of the model.

mod app;
mod process;
mod release;
mod route;
mod schedule;
mod volume;

pub(crate) use app::app;

use crate::decoder::{Decoder, Fields, Item};
use crate::index::Target;
use crate::mistake::Mistake;
use crate::value::command::command;
use crate::value::name::{is_variable, name};
use std::collections::BTreeMap;
use toft_model::ProcessName;
use toft_model::app::{Command, UseSet};

/// A table of environment variables.
fn variables(d: &mut Decoder<'_>, item: &Item<'_>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let Some(table) = d.table(item) else {
        return variables;
    };
    for item in d.items(table, &item.path) {
        if !is_variable(item.key) {
            let why = "A–Z, a–z, 0–9 and `_`, no digit in front";
            d.push(Mistake::bad_name(
                item.key_at,
                "an environment variable",
                item.key,
                why,
            ));
        }
        let Some(piece) = d.free_text(&item) else {
            continue;
        };
        if piece.text.contains('\0') {
            d.push(Mistake::not_understood(
                piece.at(),
                "no variable can hold a zero byte",
                "not a value",
            ));
        }
        variables.insert(item.key.to_owned(), piece.text.to_owned());
    }
    variables
}

/// A list of named sets.
fn sets(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Vec<UseSet>> {
    let items = d.list(item, "[\"python3\", \"certs\"]")?;
    Some(
        items
            .iter()
            .filter_map(|item| crate::value::name::use_set(d, item))
            .collect(),
    )
}

/// The key `run`, which must be there.
fn run(d: &mut Decoder<'_>, fields: &mut Fields<'_>) -> Option<Command> {
    let item = fields.require(d, "run")?;
    command(d, &item)
}

/// The key `like`: the process whose sandbox a run takes.
fn like(d: &mut Decoder<'_>, fields: &mut Fields<'_>) -> Option<ProcessName> {
    if let Some(item) = fields.get(d, "like") {
        let piece = d.full_text(&item, "web")?;
        let process = name(d, &piece, "a process' name")?;
        d.refer(piece.at(), Target::Process(piece.text.to_owned()));
        return Some(process);
    }
    let names: Vec<&String> = d.index.processes.keys().collect();
    let default = match names.as_slice() {
        [only] => Some(only.as_str()),
        _ => names
            .iter()
            .map(|name| name.as_str())
            .find(|name| *name == "web"),
    };
    if let Some(name) = default {
        return name.parse().ok();
    }
    if !names.is_empty() {
        let names: Vec<String> = names
            .iter()
            .map(|name| format!("`like = \"{name}\"`"))
            .collect();
        let mistake = Mistake::missing_key(fields.at, "like", &fields.path)
            .help("a run takes the sandbox, the doors and the environment of a process; none is called `web` here")
            .help(format!("write {}", crate::decoder::either(&names)));
        d.push(mistake);
    }
    None
}
