//! Doors in and doors out, and what they lead to.

use super::name::{host, name};
use super::path::inside;
use super::quantity::port_in;
use crate::decoder::{Decoder, Item};
use crate::index::{Target, Wanted};
use crate::mistake::Mistake;
use crate::near::nearest;
use crate::node::Value;
use crate::piece::Piece;
use std::net::{Ipv4Addr, Ipv6Addr};
use toft_model::app::{Connect, DoorRef, ListenOn, Outside};

const LISTEN_HELP: &str =
    "a door is a TCP port, like `8080`, or `\"udp:5353\"`, or `\"unix:/run/x.sock\"`";
const CONNECT_HELP: &str = "it leads to `app:NAME/DOOR`, to `PROCESS/DOOR` of this app, to `machine:PORT`, to `HOST:PORT` or to `*:PORT`";

/// What a program binds inside: a number, or a text with its kind.
pub(crate) fn listen_on(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<ListenOn> {
    match &item.node.value {
        Value::Integer(number) => match u16::try_from(*number).ok().filter(|port| *port > 0) {
            Some(port) => Some(ListenOn::Tcp { port }),
            None => d.refuse(Mistake::out_of_range(
                item.node.at,
                &item.path,
                "a port from 1 to 65535",
                "not a port",
            )),
        },
        Value::Text(text) => {
            let piece = Piece::of(d.sources, item.node, text);
            listen_text(d, &piece, item)
        }
        _ => d.wrong_type(item, "a port, like `8080`"),
    }
}

fn listen_text(d: &mut Decoder<'_>, piece: &Piece<'_>, item: &Item<'_>) -> Option<ListenOn> {
    if let Some(port) = piece.strip_prefix("udp:") {
        return port_in(d, &port, &item.path).map(|port| ListenOn::Udp { port });
    }
    if let Some(path) = piece.strip_prefix("unix:") {
        let path = inside(d, &path)?;
        // sockaddr_un.sun_path with its final zero byte (unix(7)).
        if path.len() > 107 {
            let range = "a path of at most 107 bytes";
            return d.refuse(Mistake::out_of_range(
                piece.at(),
                &item.path,
                range,
                "too long for a unix socket",
            ));
        }
        return Some(ListenOn::Unix { path });
    }
    let title = format!("`{}` cannot be `{}`", item.path, piece.text);
    let number = piece.strip_prefix("tcp:").unwrap_or(*piece).text;
    if number.parse::<u16>().is_ok_and(|port| port > 0) {
        let mistake =
            Mistake::not_understood(item.node.at, title, "a TCP port is written as a number");
        return d.refuse(mistake.meant(Some(number)));
    }
    d.refuse(Mistake::not_understood(piece.at(), title, "not a door").help(LISTEN_HELP))
}

/// `PROCESS/DOOR` of this app.
pub(crate) fn door_ref(
    d: &mut Decoder<'_>,
    piece: &Piece<'_>,
    path: &str,
    wanted: Wanted,
) -> Option<DoorRef> {
    let Some((process, door)) = piece.split_once("/") else {
        let title = format!("`{path}` is a door of a process, like `web/http`");
        let only = only_door(d, piece.text);
        return d
            .refuse(Mistake::not_understood(piece.at(), title, "the door is missing").meant(only));
    };
    let names = (
        name(d, &process, "a process' name"),
        name(d, &door, "a door's label"),
    );
    let (Some(process_name), Some(label)) = names else {
        return None;
    };
    let target = Target::Door {
        process: process.text.to_owned(),
        door: door.text.to_owned(),
        door_at: door.at(),
        wanted,
    };
    d.refer(process.at(), target);
    Some(DoorRef {
        process: process_name,
        door: label,
    })
}

/// `web/http`, where `web` has one door.
fn only_door(d: &Decoder<'_>, process: &str) -> Option<String> {
    let mut doors = d.index.doors.keys().filter(|(owner, _)| owner == process);
    let (_, label) = doors.next()?;
    doors.next().is_none().then(|| format!("{process}/{label}"))
}

/// Where a door out leads.
pub(crate) fn connect(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Connect> {
    let piece = d.full_text(item, "db.example.com:5432")?;
    if let Some(rest) = piece.strip_prefix("app:") {
        let Some((app, door)) = rest.split_once("/") else {
            let title = format!(
                "`{}` is another app's door, like `app:shop-db/sql`",
                item.path
            );
            return d.refuse(Mistake::not_understood(
                rest.at(),
                title,
                "the door is missing",
            ));
        };
        let names = (
            name(d, &app, "an app's name"),
            name(d, &door, "a door's label"),
        );
        return match names {
            (Some(app), Some(door)) => Some(Connect::App { app, door }),
            _ => None,
        };
    }
    if let Some(port) = piece.strip_prefix("machine:") {
        return port_in(d, &port, &item.path).map(|port| Connect::Machine { port });
    }
    if piece.text.contains("://") {
        return d.refuse(url_instead(&piece, &item.path));
    }
    if piece.text.contains('/') {
        return door_ref(d, &piece, &item.path, Wanted::Any).map(Connect::Own);
    }
    outside(d, &piece, &item.path).map(Connect::Outside)
}

/// A URL was written where a host and a port are meant.
fn url_instead(piece: &Piece<'_>, path: &str) -> Mistake {
    let (scheme, rest) = piece.text.split_once("://").unwrap_or(("", piece.text));
    let authority = rest.split('/').next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let port = match scheme {
        "http" | "ws" => "80",
        "https" | "wss" => "443",
        "postgres" | "postgresql" => "5432",
        "mysql" => "3306",
        "redis" => "6379",
        _ => "PORT",
    };
    let meant = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:{port}")
    };
    Mistake::not_understood(
        piece.at(),
        format!("`{path}` is a host and a port"),
        "this is a URL",
    )
    .meant(Some(meant))
}

/// A place of the outside: a host or a wildcard, and a port.
pub(crate) fn outside(d: &mut Decoder<'_>, piece: &Piece<'_>, path: &str) -> Option<Outside> {
    let Some((at, port)) = piece
        .rsplit_once(":")
        .filter(|(at, _)| !at.text.contains(':') || at.text.ends_with(']'))
    else {
        return d.refuse(without_port(d, piece, path));
    };
    let port = port_in(d, &port, path);
    let outside = outside_host(d, &at)?;
    let port = port?;
    Some(match outside {
        Place::Any => Outside::Any { port },
        Place::Private => Outside::Private { port },
        Place::Below(domain) => Outside::Below { domain, port },
        Place::Host(host) => Outside::Host { host, port },
    })
}

/// A host without its port, or a process without its door.
fn without_port(d: &Decoder<'_>, piece: &Piece<'_>, path: &str) -> Mistake {
    let text = piece.text;
    if d.index.processes.contains_key(text) {
        let title = format!("`{path}` leads to a door, not to a process");
        let door = only_door(d, text).unwrap_or_else(|| format!("{text}/DOOR"));
        return Mistake::not_understood(piece.at(), title, "the door is missing").meant(Some(door));
    }
    let title = format!("`{path}` needs a port number");
    let mistake = Mistake::not_understood(piece.at(), title, "the port is missing")
        .help(format!("write it behind the host: `{text}:443`"))
        .help(CONNECT_HELP);
    let processes = d.index.processes.keys().map(String::as_str);
    mistake.help_if(
        nearest(text, processes)
            .map(|near| format!("for a door of the process `{near}`, write `{near}/DOOR`")),
    )
}

enum Place {
    Any,
    Private,
    Below(String),
    Host(String),
}

fn outside_host(d: &mut Decoder<'_>, at: &Piece<'_>) -> Option<Place> {
    if at.text == "*" {
        return Some(Place::Any);
    }
    if at.text == "*.private" {
        return Some(Place::Private);
    }
    if let Some(domain) = at.strip_prefix("*.") {
        return host(d, &domain).map(|domain| Place::Below(domain.to_owned()));
    }
    if let Some(inner) = at
        .strip_prefix("[")
        .and_then(|inner| inner.strip_suffix("]"))
    {
        return address::<Ipv6Addr>(d, &inner);
    }
    if at.text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && at.text.contains('.') {
        return address::<Ipv4Addr>(d, at);
    }
    if at.text == "localhost" {
        let mistake = Mistake::not_understood(at.at(), "inside, `localhost` is the instance itself", "leads nowhere else")
            .help("for a server on the machine write `machine:PORT`, for a process of this app `PROCESS/DOOR`");
        return d.refuse(mistake);
    }
    if at.text.contains('*') {
        let mistake = Mistake::not_understood(
            at.at(),
            "a wildcard stands alone or before the first dot",
            "not in this form",
        );
        return d.refuse(mistake.help("write `*:443` or `*.example.com:443`"));
    }
    host(d, at).map(|host| Place::Host(host.to_owned()))
}

/// An IP address in the one form in which it is printed.
fn address<A: std::str::FromStr + ToString>(
    d: &mut Decoder<'_>,
    piece: &Piece<'_>,
) -> Option<Place> {
    match piece.text.parse::<A>() {
        Ok(address) if address.to_string() == piece.text => {
            Some(Place::Host(piece.text.to_owned()))
        }
        Ok(address) => {
            let mistake = Mistake::not_understood(
                piece.at(),
                "an address stands in its usual form",
                "not in its usual form",
            );
            d.refuse(mistake.meant(Some(address.to_string())))
        }
        Err(_) => {
            let mistake = Mistake::not_understood(
                piece.at(),
                format!("`{}` is not an address", piece.text),
                "not an IP address",
            );
            d.refuse(mistake)
        }
    }
}
