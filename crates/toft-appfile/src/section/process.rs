//! `[process.NAME]`.

use super::{run, sets, variables};
use crate::capabilities::Ability;
use crate::decoder::{Decoder, Fields, Item};
use crate::index::Target;
use crate::mistake::Mistake;
use crate::near::nearest;
use crate::node::{Table, Value};
use crate::piece::Piece;
use crate::value::command::command;
use crate::value::door::{connect, listen_on};
use crate::value::name::{key_name, name};
use crate::value::path::{host_path, inside};
use crate::value::phrase::{CheckWords, alive, alive_on, check, count, rate, restart};
use crate::value::quantity::{bytes, bytes_in, cpu, real_span, span};
use std::collections::BTreeMap;
use std::time::Duration;
use toft_model::Label;
use toft_model::app::{
    Budgets, Connect, Count, FileGrant, HostPath, IfLost, Listen, ListenOn, LogSpec, LogTarget,
    LogTransport, Needs, Peer, ProcessSpec, StopSpec,
};
use toft_model::sandbox::{Limits, Network};
use toft_model::unit::Bytes;

/// The least memory in which anything at all starts.
const LEAST_MEMORY: Bytes = Bytes(1 << 20);
/// How long an instance may take to be ready when nothing is said.
const READY_WITHIN: Duration = Duration::from_secs(30);
const BUDGETS: [(&str, Budgets); 2] = [
    ("required", Budgets::Required),
    ("best effort", Budgets::BestEffort),
];
/// Lines per second that are kept when nothing is said.
const RATE: u32 = 20_000;

/// Puts a process' doors into the index, without a word about their mistakes.
pub(super) fn declare_doors(d: &mut Decoder<'_>, process: &str, table: &Table) {
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

/// One process, over the environment of the whole app.
pub(super) fn process(
    d: &mut Decoder<'_>,
    item: &Item<'_>,
    env: &BTreeMap<String, String>,
) -> Option<ProcessSpec> {
    let mut f = d.fields(item)?;
    if from_nowhere(d, item, &f) {
        return None;
    }
    let run = run(d, &mut f);
    let count = f
        .get(d, "count")
        .and_then(|item| instances(d, &item))
        .unwrap_or(Count::Fixed(1));
    let sets = f.get(d, "use").and_then(|item| sets(d, &item));
    let listen = f
        .get(d, "listen")
        .map(|item| doors(d, &item))
        .unwrap_or_default();
    let (ready, alive) = checks(d, &mut f, &listen);
    let ready_within = f
        .get(d, "ready_within")
        .and_then(|item| span(d, &item, real_span()));
    let init = f.get(d, "init").and_then(|item| {
        d.needs(Ability::Init, item.key_at);
        command(d, &item)
    });
    let stop = f
        .get(d, "stop")
        .and_then(|item| stop(d, &item))
        .unwrap_or_default();
    let restart = f
        .get(d, "restart")
        .and_then(|item| restart(d, &item))
        .unwrap_or_default();
    let if_lost = f
        .get(d, "if_lost")
        .and_then(|item| if_lost(d, &item))
        .unwrap_or_default();
    let needs = f
        .get(d, "needs")
        .and_then(|item| needs(d, &item))
        .unwrap_or_default();
    let network = f
        .get(d, "network")
        .and_then(|item| network(d, &item))
        .unwrap_or(Network::Doors);
    let budgets = f
        .get(d, "budgets")
        .and_then(|item| d.choice(&item, &BUDGETS))
        .unwrap_or_default();
    let env = environment(d, &mut f, env);
    let connect = f
        .get(d, "connect")
        .map(|item| ways_out(d, &item))
        .unwrap_or_default();
    let files = f
        .get(d, "files")
        .map(|item| files(d, &item))
        .unwrap_or_default();
    let limits = f
        .get(d, "limits")
        .and_then(|item| limits(d, &item))
        .unwrap_or_default();
    let log = f
        .get(d, "log")
        .and_then(|item| log(d, &item))
        .unwrap_or_else(default_log);
    f.finish(d);
    Some(ProcessSpec {
        run: run?,
        count,
        sets,
        ready,
        ready_within: ready_within.unwrap_or(READY_WITHIN),
        alive,
        init,
        stop,
        restart,
        if_lost,
        needs,
        network,
        budgets,
        env,
        listen,
        connect,
        files,
        limits,
        log,
    })
}

/// A process that only an argument names is a slip of the pen.
fn from_nowhere(d: &mut Decoder<'_>, item: &Item<'_>, fields: &Fields<'_>) -> bool {
    let others = d
        .index
        .processes
        .iter()
        .filter(|(_, at)| at.source != item.key_at.source);
    let others: Vec<String> = others.map(|(name, _)| name.clone()).collect();
    let Value::Table(table) = &item.node.value else {
        return false;
    };
    if fields.at.source == 0 || others.is_empty() || table.get("run").is_some() {
        return false;
    }
    let mistake = Mistake::missing_target(item.key_at, "process", item.key);
    d.push(mistake.meant(nearest(item.key, others.iter().map(String::as_str))));
    true
}

fn instances(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Count> {
    let count = count(d, item)?;
    if matches!(count, Count::Range { .. }) {
        d.needs(Ability::CountRange, item.node.at);
    }
    Some(count)
}

/// `ready` and `alive`, on the first door for TCP.
fn checks(
    d: &mut Decoder<'_>,
    f: &mut Fields<'_>,
    listen: &[Listen],
) -> (
    Option<toft_model::table::Check>,
    Option<toft_model::app::Alive>,
) {
    let port = listen.iter().find_map(|door| match door.on {
        ListenOn::Tcp { port } => Some(port),
        ListenOn::Udp { .. } | ListenOn::Unix { .. } => None,
    });
    let ready = match f.get(d, "ready") {
        Some(item) => d
            .full_text(&item, "http:/healthz")
            .and_then(|piece| Some((check(d, &piece, &item.path)?, piece)))
            .filter(|(words, piece)| has_door(d, f, words, piece, port))
            .map(|(words, _)| words.on(port.unwrap_or(0))),
        None => port.map(|port| CheckWords::Tcp.on(port)),
    };
    let alive = f.get(d, "alive").and_then(|item| {
        d.needs(Ability::Alive, item.key_at);
        let piece = d.full_text(&item, "http:/healthz every 10s")?;
        let (words, every) = alive(d, &piece, &item.path)?;
        let good = has_door(d, f, &words, &piece, port);
        good.then(|| alive_on((words, every), port.unwrap_or(0)))
    });
    (ready, alive)
}

/// Whether a check that asks at a door has one to ask at.
fn has_door(
    d: &mut Decoder<'_>,
    f: &Fields<'_>,
    words: &CheckWords,
    piece: &Piece<'_>,
    port: Option<u16>,
) -> bool {
    let process = f.path.rsplit('.').next().unwrap_or_default();
    let unsure = d.index.unreadable.contains(process)
        || d.index.doors.iter().any(|((owner, _), _)| owner == process);
    if !words.needs_door() || port.is_some() {
        return true;
    }
    let declared_tcp = d.index.doors.iter().any(|((owner, _), (_, on))| {
        owner == process && !matches!(on, Some(ListenOn::Udp { .. } | ListenOn::Unix { .. }))
    });
    if unsure && (declared_tcp || d.index.unreadable.contains(process)) {
        return false;
    }
    let title = format!(
        "`{}` asks at a door for TCP, and this process has none",
        piece.text
    );
    let help = format!("give it one: `[{}.listen]` with `http = 8080`", f.path);
    d.push(Mistake::contradiction(piece.at(), title, "no door to ask at").help(help));
    false
}

fn stop(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<StopSpec> {
    let mut f = d.fields(item)?;
    let default = StopSpec::default();
    let signal = f
        .get(d, "signal")
        .and_then(|item| signal(d, &item))
        .unwrap_or(default.signal);
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
        .and_then(|name| toft_model::instance::signal_number(name))
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
    let mistake = crate::decoder::not_one_of(&piece, &item.path, &ASKING);
    d.refuse(match ASKING.iter().find(|name| **name == folded) {
        Some(name) => mistake.meant(Some(*name)),
        None => mistake,
    })
}

fn if_lost(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<IfLost> {
    d.needs(Ability::IfLost, item.key_at);
    d.choice(
        item,
        &[
            ("replace", IfLost::Replace),
            ("fence first", IfLost::FenceFirst),
        ],
    )
}

fn network(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Network> {
    let network = d.choice(item, &[("doors", Network::Doors), ("host", Network::Host)])?;
    if network == Network::Host {
        d.needs(Ability::NetworkHost, item.node.at);
    }
    Some(network)
}

/// Placement: three words of ours, every other key is a label of machines.
fn needs(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Needs> {
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

/// The app's environment, and the process' own over it.
fn environment(
    d: &mut Decoder<'_>,
    f: &mut Fields<'_>,
    app: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let own = f
        .get(d, "env")
        .map(|item| variables(d, &item))
        .unwrap_or_default();
    let mut all = app.clone();
    for key in app.keys().filter(|key| !own.contains_key(*key)) {
        if let Some(written) = d.written.get(&format!("env.{key}")).cloned() {
            d.written.insert(format!("{}.env.{key}", f.path), written);
        }
    }
    all.extend(own);
    all
}

/// `[process.NAME.listen]`, in the order of the file.
fn doors(d: &mut Decoder<'_>, item: &Item<'_>) -> Vec<Listen> {
    let Some(table) = d.table(item) else {
        return Vec::new();
    };
    let process = item.path.clone();
    let mut doors: Vec<(Listen, crate::source::Place)> = Vec::new();
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
    doors.into_iter().map(|(door, _)| door).collect()
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
fn ways_out(d: &mut Decoder<'_>, item: &Item<'_>) -> BTreeMap<Label, Connect> {
    let mut all = BTreeMap::new();
    d.needs(Ability::Connect, item.key_at);
    let Some(table) = d.table(item) else {
        return all;
    };
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
    all
}

/// `[process.NAME.files]`.
fn files(d: &mut Decoder<'_>, item: &Item<'_>) -> BTreeMap<String, FileGrant> {
    let mut all = BTreeMap::new();
    let Some(table) = d.table(item) else {
        return all;
    };
    for item in d.items(table, &item.path) {
        let target = Piece::new(d.sources, item.key_at, item.key);
        let target = inside(d, &target);
        if let (Some(target), Some(grant)) = (target, grant(d, &item)) {
            all.insert(target, grant);
        }
    }
    all
}

fn grant(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<FileGrant> {
    const KINDS: [&str; 4] = ["read:", "write:", "volume:", "scratch:"];
    let piece = d.full_text(item, "read:./static")?;
    if let Some(path) = piece.strip_prefix("read:") {
        return shown_path(d, &path).map(FileGrant::Read);
    }
    if let Some(path) = piece.strip_prefix("write:") {
        return shown_path(d, &path).map(FileGrant::Write);
    }
    if let Some(volume) = piece.strip_prefix("volume:") {
        let name = name(d, &volume, "a volume's name")?;
        d.refer(volume.at(), Target::Volume(volume.text.to_owned()));
        return Some(FileGrant::Volume(name));
    }
    if let Some(size) = piece.strip_prefix("scratch:") {
        return bytes_in(d, &size, &item.path, Bytes(4096)).map(FileGrant::Scratch);
    }
    let title = format!("`{}` does not say how it is shared", piece.text);
    let (at, near) = match piece.split_once(":") {
        Some((kind, _)) => (
            kind,
            nearest(kind.text, KINDS.map(|kind| kind.trim_end_matches(':'))),
        ),
        None => (piece, None),
    };
    let words: Vec<String> = KINDS.iter().map(|kind| format!("`{kind}`")).collect();
    let mistake = Mistake::not_understood(at.at(), title, "not one of its words")
        .help(format!("it starts with {}", crate::decoder::either(&words)));
    d.refuse(mistake.meant(near))
}

/// A path to show; one that is not in the folder now is warned of, since a build may make it.
fn shown_path(d: &mut Decoder<'_>, piece: &Piece<'_>) -> Option<HostPath> {
    let path = host_path(d, piece)?;
    if let HostPath::Project(inner) = &path
        && !inner.is_empty()
        && !d.folder.exists(inner)
    {
        let help = "the build may make it; if nothing does, the start is refused";
        d.warnings
            .push(Mistake::absent(piece.at(), &path.to_string()).help(help));
    }
    Some(path)
}

fn limits(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Limits> {
    let mut f = d.fields(item)?;
    let limits = Limits {
        memory: f
            .get(d, "memory")
            .and_then(|item| bytes(d, &item, LEAST_MEMORY)),
        cpu: f.get(d, "cpu").and_then(|item| cpu(d, &item)),
        // The kernel's own bound on process ids (PID_MAX_LIMIT).
        pids: f
            .get(d, "pids")
            .and_then(|item| d.whole(&item, 1..=4_194_304)),
        // The kernel's own bound on open files (sysctl fs.nr_open), as it stands by default.
        open_files: f
            .get(d, "open_files")
            .and_then(|item| d.whole(&item, 16..=1_048_576)),
    };
    f.finish(d);
    Some(limits)
}

fn default_log() -> LogSpec {
    LogSpec {
        to: vec![LogTarget::Store],
        lines_per_second: RATE,
    }
}

fn log(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<LogSpec> {
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
    let rate = f.get(d, "rate").and_then(|item| rate(d, &item));
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
        return d.refuse(crate::decoder::not_one_of(&piece, &item.path, &words));
    };
    let Some(transport) = LogTransport::ALL
        .into_iter()
        .find(|transport| transport.scheme() == scheme.text)
    else {
        return d.refuse(crate::decoder::not_one_of(&scheme, &item.path, &schemes));
    };
    let (authority, path) = match rest.text.find('/') {
        Some(at) => (rest.part(0..at), rest.text[at..].to_owned()),
        None => (rest, String::new()),
    };
    let (host_piece, port) = match authority.rsplit_once(":") {
        Some((host, port)) => (
            host,
            Some(crate::value::quantity::port_in(d, &port, &item.path)?),
        ),
        None => (authority, None),
    };
    let host = crate::value::name::host(d, &host_piece)?.to_owned();
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
