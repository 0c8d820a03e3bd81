//! Where a process may be placed: `needs`.

use crate::capabilities::Ability;
use crate::decoder::{Decoder, Item};
use crate::index::Target;
use crate::value::name::{key_name, name};
use toft_model::Label;
use toft_model::app::{Needs, Peer};

/// Placement: three words of ours, every other key is a label of machines.
pub(super) fn needs(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Needs> {
    d.needs(Ability::Needs, item.key_at);
    let table = d.table(item)?;
    let mut needs = Needs::default();
    for item in d.items(table, &item.path) {
        match item.key {
            "spread" => {
                needs.spread = d
                    .full_text(&item, "zone")
                    .map(|piece| piece.text.to_owned())
            }
            "apart" => needs.apart = peers(d, &item),
            "beside" => needs.beside = peers(d, &item),
            _ => {
                let label: Option<Label> = key_name(d, &item, "a label of machines");
                if let (Some(label), Some(value)) = (label, d.full_text(&item, "a")) {
                    needs
                        .labels
                        .insert(label.as_str().to_owned(), value.text.to_owned());
                }
            }
        }
    }
    Some(needs)
}

fn peers(d: &mut Decoder<'_>, item: &Item<'_>) -> Vec<Peer> {
    let items = d
        .list(item, "[\"worker\", \"app:shop\"]")
        .unwrap_or_default();
    let mut peers = Vec::new();
    for item in items {
        let Some(piece) = d.full_text(&item, "worker") else {
            continue;
        };
        let peer = match piece.strip_prefix("app:") {
            Some(app) => name(d, &app, "an app's name").map(Peer::App),
            None => name(d, &piece, "a process' name").map(|process| {
                d.refer(piece.at(), Target::Process(piece.text.to_owned()));
                Peer::Own(process)
            }),
        };
        peers.extend(peer);
    }
    peers
}
