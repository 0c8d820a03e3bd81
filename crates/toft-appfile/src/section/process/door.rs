//! Doors of a process: `listen` and `connect`.

use crate::capabilities::Ability;
use crate::decoder::{Decoder, Item};
use crate::mistake::Mistake;
use crate::node::{Table, Value};
use crate::source::Place;
use crate::value::door::{connect, listen_on};
use crate::value::name::key_name;
use std::collections::BTreeMap;
use toft_model::Label;
use toft_model::app::{Connect, Listen, ListenOn};

/// Puts a process' doors into the index, without a word about their mistakes.
pub(in crate::section) fn declare_doors(d: &mut Decoder<'_>, process: &str, table: &Table) {
    let Some(entry) = table.get("listen") else {
        return;
    };
    let Value::Table(doors) = &entry.node.value else {
        d.index.unreadable.insert(process.to_owned());
        return;
    };
    for door in &doors.entries {
        let on = match &door.node.value {
            Value::Integer(port) => u16::try_from(*port).ok().map(|port| ListenOn::Tcp { port }),
            Value::Text(text) if text.starts_with("udp:") => {
                let port = text["udp:".len()..].parse().ok();
                port.map(|port| ListenOn::Udp { port })
            }
            Value::Text(text) => text.strip_prefix("unix:").map(|path| ListenOn::Unix {
                path: path.to_owned(),
            }),
            _ => None,
        };
        d.index
            .doors
            .insert((process.to_owned(), door.key.clone()), (door.key_at, on));
    }
}

/// `[process.NAME.listen]`, in the order of the file.
pub(super) fn doors(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Vec<Listen>> {
    let table = d.table(item)?;
    let process = item.path.clone();
    let mut doors: Vec<(Listen, Place)> = Vec::new();
    for item in d.items(table, &item.path) {
        let label: Option<Label> = key_name(d, &item, "a door's label");
        label_once(d, &item, &process);
        let (on, client_address) = door(d, &item);
        let (Some(label), Some(on)) = (label, on) else {
            continue;
        };
        match &on {
            ListenOn::Tcp { .. } => {}
            ListenOn::Udp { .. } => d.needs(Ability::ListenUdp, item.node.at),
            ListenOn::Unix { .. } => d.needs(Ability::ListenUnix, item.node.at),
        }
        if let Some((_, first)) = doors.iter().find(|(door, _)| door.on == on) {
            let title = format!("two doors of one process listen on `{on}`");
            d.push(Mistake::twice(item.node.at, title, *first));
        }
        doors.push((
            Listen {
                label,
                on,
                client_address,
            },
            item.node.at,
        ));
    }
    Some(doors.into_iter().map(|(door, _)| door).collect())
}

/// A label is unique in the app, over all processes.
fn label_once(d: &mut Decoder<'_>, item: &Item<'_>, listen: &str) {
    let owner = listen
        .strip_prefix("process.")
        .and_then(|rest| rest.strip_suffix(".listen"))
        .unwrap_or_default();
    let other = d.index.doors.iter().find(|((process, label), (at, _))| {
        label == item.key && process != owner && *at < item.key_at
    });
    if let Some(((process, _), (first, _))) = other {
        let title = format!("two doors of this app are called `{}`", item.key);
        let mistake = Mistake::twice(item.key_at, title, *first).help(format!(
            "a label is unique in the app; `{process}` has it already"
        ));
        d.push(mistake);
    }
}

/// A port, or a table with `port` and `client_address`.
fn door(d: &mut Decoder<'_>, item: &Item<'_>) -> (Option<ListenOn>, bool) {
    if !matches!(item.node.value, Value::Table(_)) {
        return (listen_on(d, item), false);
    }
    let Some(mut f) = d.fields(item) else {
        return (None, false);
    };
    let on = f.require(d, "port").and_then(|item| listen_on(d, &item));
    let mut shown = false;
    if let Some(item) = f.get(d, "client_address") {
        shown = d.boolean(&item).unwrap_or(false);
        if shown {
            d.needs(Ability::ClientAddress, item.key_at);
        }
        if shown && matches!(on, Some(ListenOn::Unix { .. })) {
            let title = "a unix socket has no client address to show";
            d.push(Mistake::contradiction(
                item.key_at,
                title,
                "goes with a port",
            ));
        }
    }
    f.finish(d);
    (on, shown)
}

/// `[process.NAME.connect]`.
pub(super) fn ways_out(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<BTreeMap<Label, Connect>> {
    let mut all = BTreeMap::new();
    d.needs(Ability::Connect, item.key_at);
    let table = d.table(item)?;
    for item in d.items(table, &item.path) {
        let label: Option<Label> = key_name(d, &item, "the name of a door out");
        if item.key == "localhost" {
            let why = "inside, this is the instance itself";
            d.push(Mistake::bad_name(
                item.key_at,
                "the name of a door out",
                item.key,
                why,
            ));
        }
        if let (Some(label), Some(to)) = (label, connect(d, &item)) {
            all.insert(label, to);
        }
    }
    Some(all)
}
