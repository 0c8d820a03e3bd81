//! How a process starts, shows that it works, and ends: `count`, `ready`, `alive`, `stop`.

use crate::capabilities::Ability;
use crate::decoder::{Decoder, Fields, Item, not_one_of};
use crate::mistake::Mistake;
use crate::piece::Piece;
use crate::value::phrase::{CheckWords, alive, check, count};
use crate::value::quantity::span;
use std::time::Duration;
use toft_model::app::{Alive, Count, Listen, ListenOn, StopSpec};
use toft_model::instance::signal_number;
use toft_model::table::Check;

/// A check at the first door for TCP, where it needs one.
fn at_door(
    d: &mut Decoder<'_>,
    f: &Fields<'_>,
    piece: &Piece<'_>,
    words: CheckWords,
    port: Option<u16>,
) -> Option<Check> {
    let check = words.on(port);
    if check.is_none() {
        no_door(d, f, piece);
    }
    check
}

/// Says that a check has no door to ask at, unless a door that has a mistake may be the one.
fn no_door(d: &mut Decoder<'_>, f: &Fields<'_>, piece: &Piece<'_>) {
    let process = f.path.strip_prefix("process.").unwrap_or_default();
    let perhaps =
        |on: &Option<ListenOn>| !matches!(on, Some(ListenOn::Udp { .. } | ListenOn::Unix { .. }));
    let mut doors = d.index.doors.iter();
    if d.index.unreadable.contains(process)
        || doors.any(|((owner, _), (_, on))| owner == process && perhaps(on))
    {
        return;
    }
    let title = format!(
        "`{}` asks at a door for TCP, and this process has none",
        piece.text
    );
    let help = format!("give it one: `[{}.listen]` with `http = 8080`", f.path);
    d.push(Mistake::contradiction(piece.at(), title, "no door to ask at").help(help));
}

/// `ready` and `alive`, on the first door for TCP.
pub(super) fn checks(
    d: &mut Decoder<'_>,
    f: &mut Fields<'_>,
    listen: &[Listen],
) -> (Option<Check>, Option<Alive>) {
    let port = listen.iter().find_map(|door| match door.on {
        ListenOn::Tcp { port } => Some(port),
        ListenOn::Udp { .. } | ListenOn::Unix { .. } => None,
    });
    let ready = match f.get(d, "ready") {
        Some(item) => d.full_text(&item, "http:/healthz").and_then(|piece| {
            let words = check(d, &piece, &item.path)?;
            at_door(d, f, &piece, words, port)
        }),
        None => CheckWords::Tcp.on(port),
    };
    let alive = f.get(d, "alive").and_then(|item| {
        d.needs(Ability::Alive, item.key_at);
        let piece = d.full_text(&item, "http:/healthz every 10s")?;
        let (words, every) = alive(d, &piece, &item.path)?;
        let check = at_door(d, f, &piece, words, port)?;
        Some(Alive { check, every })
    });
    (ready, alive)
}

pub(super) fn stop(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<StopSpec> {
    let mut f = d.fields(item)?;
    let default = StopSpec::default();
    let signal = f.read(d, "signal", signal).unwrap_or(default.signal);
    let hour = Duration::ZERO..=Duration::from_secs(3600);
    let grace = f
        .get(d, "grace")
        .and_then(|item| span(d, &item, hour))
        .unwrap_or(default.grace);
    f.finish(d);
    Some(StopSpec { signal, grace })
}

/// A signal that asks for an end, and that a program can answer.
fn signal(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<i32> {
    const ASKING: [&str; 6] = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"];
    let piece = d.full_text(item, "TERM")?;
    if let Some(number) = ASKING
        .iter()
        .find(|name| **name == piece.text)
        .and_then(|name| signal_number(name))
    {
        return Some(number);
    }
    let folded = piece.text.to_ascii_uppercase();
    let folded = folded.strip_prefix("SIG").unwrap_or(&folded);
    if folded == "KILL" {
        let title = "KILL ends a program without asking";
        let mistake = Mistake::not_understood(piece.at(), title, "no program can answer it").help(
            "KILL comes by itself when `grace` is over; `grace = \"0s\"` leaves no time at all",
        );
        return d.refuse(mistake);
    }
    let mistake = not_one_of(&piece, &item.path, &ASKING);
    d.refuse(match ASKING.iter().find(|name| **name == folded) {
        Some(name) => mistake.meant(Some(*name)),
        None => mistake,
    })
}

pub(super) fn instances(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Count> {
    let count = count(d, item)?;
    if matches!(count, Count::Range { .. }) {
        d.needs(Ability::CountRange, item.node.at);
    }
    Some(count)
}
