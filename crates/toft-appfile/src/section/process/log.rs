//! Where a process' words go: `log`.

use crate::capabilities::Ability;
use crate::decoder::{Decoder, Item, not_one_of};
use crate::mistake::Mistake;
use crate::node::Value;
use crate::value::name::host;
use crate::value::phrase::rate;
use crate::value::quantity::port_in;
use toft_model::app::{LogSpec, LogTarget, LogTransport};

/// Lines per second that are kept when nothing is said.
const RATE: u32 = 20_000;

pub(super) fn default_log() -> LogSpec {
    LogSpec {
        to: vec![LogTarget::Store],
        lines_per_second: RATE,
    }
}

pub(super) fn log(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<LogSpec> {
    let mut f = d.fields(item)?;
    let default = default_log();
    let to = f.get(d, "to").map(|item| {
        d.needs(Ability::LogTo, item.key_at);
        let items = d.list(&item, "[\"store\"]").unwrap_or_default();
        if items.is_empty() && matches!(item.node.value, Value::List(_)) {
            let mistake = Mistake::not_understood(
                item.node.at,
                "log lines go somewhere",
                "nothing is in this list",
            );
            d.push(mistake.help("leave the key out, or write `[\"store\"]`"));
        }
        items
            .iter()
            .filter_map(|item| log_target(d, item))
            .collect()
    });
    let rate = f.read(d, "rate", rate);
    f.finish(d);
    Some(LogSpec {
        to: to.unwrap_or(default.to),
        lines_per_second: rate.unwrap_or(default.lines_per_second),
    })
}

fn log_target(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<LogTarget> {
    let piece = d.full_text(item, "syslog+tls://logs.example.com:6514")?;
    if piece.text == "store" {
        return Some(LogTarget::Store);
    }
    let schemes: Vec<&str> = LogTransport::ALL
        .iter()
        .map(|transport| transport.scheme())
        .collect();
    let Some((scheme, rest)) = piece.split_once("://") else {
        let mut words = schemes;
        words.insert(0, "store");
        return d.refuse(not_one_of(&piece, &item.path, &words));
    };
    let Some(transport) = LogTransport::ALL
        .into_iter()
        .find(|transport| transport.scheme() == scheme.text)
    else {
        return d.refuse(not_one_of(&scheme, &item.path, &schemes));
    };
    let (authority, path) = match rest.text.find('/') {
        Some(at) => (rest.part(0..at), rest.text[at..].to_owned()),
        None => (rest, String::new()),
    };
    let (host_piece, port) = match authority.rsplit_once(":") {
        Some((host, port)) => (host, Some(port_in(d, &port, &item.path)?)),
        None => (authority, None),
    };
    let host = host(d, &host_piece)?.to_owned();
    if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return d.refuse(Mistake::not_understood(
            rest.at(),
            "a URL has no spaces",
            "not a URL",
        ));
    }
    Some(LogTarget::Remote {
        transport,
        host,
        port,
        path,
    })
}
