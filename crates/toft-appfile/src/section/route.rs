//! `[route."NAME"]`.

use super::app::Offset;
use crate::capabilities::Ability;
use crate::decoder::{Decoder, Fields, Item};
use crate::index::Wanted;
use crate::mistake::Mistake;
use crate::near::nearest;
use crate::piece::Piece;
use crate::source::Place;
use crate::value::door::door_ref;
use crate::value::name::{host, interface};
use crate::value::path::project_path;
use crate::value::quantity::port_in;
use toft_model::app::{Balance, HashBy, Picker, RouteFrom, RouteSpec};

/// Every route, in the order of the outside names.
pub(super) fn routes(d: &mut Decoder<'_>, item: &Item<'_>, offset: Offset) -> Vec<RouteSpec> {
    let Some(table) = d.table(item) else {
        return Vec::new();
    };
    let mut all: Vec<(RouteSpec, Place)> = Vec::new();
    for item in d.items(table, &item.path) {
        let key = Piece::new(d.sources, item.key_at, item.key);
        let from = from(d, &key, &item.path);
        if let Some(from) = &from {
            with_offset(d, from, &item, offset);
        }
        let Some(route) = d.fields(&item).and_then(|f| route(d, f, from)) else {
            continue;
        };
        all.push((route, item.key_at));
    }
    all.sort_by(|(a, _), (b, _)| a.from.cmp(&b.from));
    all.into_iter().map(|(route, _)| route).collect()
}

fn route(d: &mut Decoder<'_>, mut f: Fields<'_>, from: Option<RouteFrom>) -> Option<RouteSpec> {
    let wanted = match from {
        Some(RouteFrom::Udp { .. }) => Wanted::Datagrams,
        _ => Wanted::Stream,
    };
    let to = f.require(d, "to").and_then(|item| {
        let piece = d.full_text(&item, "web/http")?;
        door_ref(d, &piece, &item.path, wanted)
    });
    let on = f.get(d, "on").and_then(|item| {
        let items = d.list(&item, "[\"eth0\"]")?;
        Some(items.iter().filter_map(|item| interface(d, item)).collect())
    });
    let balance = f.read(d, "balance", balance);
    f.finish(d);
    Some(RouteSpec {
        from: from?,
        to: to?,
        on: on.unwrap_or_default(),
        balance: balance.unwrap_or_default(),
    })
}

/// `example.com`, `example.com/api`, `tcp:5432`, `udp:5353`, `sni:db.example.com`.
fn from(d: &mut Decoder<'_>, key: &Piece<'_>, path: &str) -> Option<RouteFrom> {
    if let Some(port) = key.strip_prefix("tcp:") {
        d.needs(Ability::RouteTcp, key.at());
        return port_in(d, &port, path).map(|port| RouteFrom::Tcp { port });
    }
    if let Some(port) = key.strip_prefix("udp:") {
        d.needs(Ability::RouteUdp, key.at());
        return port_in(d, &port, path).map(|port| RouteFrom::Udp { port });
    }
    if let Some(name) = key.strip_prefix("sni:") {
        d.needs(Ability::RouteSni, key.at());
        return host(d, &name).map(|host| RouteFrom::Sni {
            host: host.to_owned(),
        });
    }
    if key.text.contains("://") {
        let rest = key
            .text
            .split_once("://")
            .map_or(key.text, |(_, rest)| rest)
            .trim_end_matches('/');
        let mistake = Mistake::not_understood(
            key.at(),
            "a route is a host, not a URL",
            "the scheme does not belong here",
        );
        return d.refuse(mistake.meant(Some(rest)));
    }
    if let Some((kind, rest)) = key.split_once(":") {
        return d.refuse(odd_kind(&kind, &rest));
    }
    http(d, key)
}

fn odd_kind(kind: &Piece<'_>, rest: &Piece<'_>) -> Mistake {
    if rest.text.bytes().all(|b| b.is_ascii_digit()) && kind.text.contains('.') {
        let mistake = Mistake::not_understood(
            rest.at(),
            "a route by host has no port of its own",
            "HTTP comes in at the machine's own ports",
        );
        return mistake.help(format!("write `[route.\"{}\"]`", kind.text));
    }
    let title = format!("`{}` is not a kind of route", kind.text);
    Mistake::not_understood(kind.at(), title, "neither `tcp`, `udp` nor `sni`")
        .meant(nearest(kind.text, ["tcp", "udp", "sni"]))
}

fn http(d: &mut Decoder<'_>, key: &Piece<'_>) -> Option<RouteFrom> {
    let (name, path) = match key.text.find('/') {
        Some(at) => (key.part(0..at), key.part(at..key.text.len())),
        None => (*key, key.part(key.text.len()..key.text.len())),
    };
    if name.text.starts_with("*") {
        let mistake =
            Mistake::not_understood(name.at(), "a route names one host", "no wildcard here");
        return d.refuse(mistake);
    }
    let host = host(d, &name)?.to_owned();
    if path.text.is_empty() {
        return Some(RouteFrom::Http {
            host,
            path: String::new(),
        });
    }
    let segment = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"?#%\\".contains(&b))
    };
    if !path.text[1..].split('/').all(segment) {
        let mistake = Mistake::not_understood(
            path.at(),
            "a route's path is made of plain segments",
            "not in this form",
        );
        let plain: Vec<&str> = path.text.split('/').filter(|part| segment(part)).collect();
        let plain = if plain.is_empty() {
            None
        } else {
            Some(format!("/{}", plain.join("/")))
        };
        return d.refuse(
            mistake
                .help("like `/api` or `/api/v2`; the host alone is for every path")
                .meant(plain),
        );
    }
    d.needs(Ability::RoutePath, path.at());
    Some(RouteFrom::Http {
        host,
        path: path.text.to_owned(),
    })
}

/// The outside port that this copy of the app claims must be a port, and nobody else's.
fn with_offset(d: &mut Decoder<'_>, from: &RouteFrom, item: &Item<'_>, (offset, said): Offset) {
    let Some(port) = from.port() else { return };
    let (Some(at), None) = (said, port.checked_add(offset)) else {
        return;
    };
    let title = format!(
        "`{from}` and an offset of {offset} make {}, past the last port",
        u32::from(port) + u32::from(offset)
    );
    let mistake = Mistake::out_of_range(
        at,
        "--offset",
        &format!("at most {} for this app", u16::MAX - port),
        "too large",
    )
    .also(item.key_at, title);
    d.push(mistake);
}

fn balance(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Balance> {
    let balance = balance_words(d, item)?;
    if balance != Balance::RoundRobin {
        d.needs(Ability::Balance, item.node.at);
    }
    Some(balance)
}

fn balance_words(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Balance> {
    let words = [
        ("round-robin", Balance::RoundRobin),
        ("least-loaded", Balance::LeastLoaded),
        ("random", Balance::Random),
        ("sticky", Balance::Sticky),
    ];
    let piece = d.full_text(item, "round-robin")?;
    if let Some((_, balance)) = words.iter().find(|(word, _)| *word == piece.text) {
        return Some(balance.clone());
    }
    if let Some(name) = piece.strip_prefix("hash:header:") {
        let token = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !name.text.is_empty() && name.text.chars().all(token) {
            return Some(Balance::Hash(HashBy::Header(name.text.to_owned())));
        }
        let why = "a–z, 0–9, `-` and `_`, in lower case";
        let folded = name.text.to_ascii_lowercase();
        let good = !folded.is_empty() && folded.chars().all(token);
        return d.refuse(
            Mistake::bad_name(name.at(), "a header's name", name.text, why)
                .meant(good.then_some(folded)),
        );
    }
    if let Some(picker) = piece.strip_prefix("picker:") {
        if picker.text.starts_with("./") {
            return module(d, &picker).map(|path| Balance::Picker(Picker::Module(path)));
        }
        return door_ref(d, &picker, &item.path, Wanted::Unix)
            .map(|door| Balance::Picker(Picker::Door(door)));
    }
    let mut all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    all.extend([
        "hash:header:NAME",
        "picker:./FILE.wasm",
        "picker:PROCESS/DOOR",
    ]);
    d.refuse(crate::decoder::not_one_of(&piece, &item.path, &all))
}

/// A module of the project, which is a file.
fn module(d: &mut Decoder<'_>, piece: &Piece<'_>) -> Option<String> {
    let path = project_path(d, piece)?;
    if path.is_empty() || d.folder.is_dir(&path) {
        let title = format!("`{}` is a folder", piece.text);
        return d.refuse(Mistake::bad_path(piece.at(), title, "a module is a file"));
    }
    if !d.folder.exists(&path) {
        d.warnings
            .push(Mistake::absent(piece.at(), piece.text).help("the build may make it"));
    }
    Some(path)
}
