//! `[process.NAME]`.

mod door;
mod life;
mod log;
mod needs;
mod share;

pub(super) use door::declare_doors;

use super::{run, sets, variables};
use crate::capabilities::Ability;
use crate::decoder::{Decoder, Fields, Item};
use crate::mistake::Mistake;
use crate::near::nearest;
use crate::node::Value;
use crate::value::command::command;
use crate::value::phrase::restart;
use crate::value::quantity::{real_span, span};
use std::collections::BTreeMap;
use std::time::Duration;
use toft_model::app::{Budgets, Command, Count, IfLost, ProcessSpec};
use toft_model::sandbox::Network;

/// How long an instance may take to be ready when nothing is said.
const READY_WITHIN: Duration = Duration::from_secs(30);

const BUDGETS: [(&str, Budgets); 2] = [
    ("required", Budgets::Required),
    ("best effort", Budgets::BestEffort),
];

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
    let count = f.read(d, "count", life::instances);
    let sets = f.read(d, "use", sets);
    let listen = f.read(d, "listen", door::doors).unwrap_or_default();
    let (ready, alive) = life::checks(d, &mut f, &listen);
    let ready_within = f.read(d, "ready_within", |d, item| span(d, item, real_span()));
    let init = f.read(d, "init", init);
    let stop = f.read(d, "stop", life::stop).unwrap_or_default();
    let restart = f.read(d, "restart", restart).unwrap_or_default();
    let if_lost = f.read(d, "if_lost", if_lost).unwrap_or_default();
    let needs = f.read(d, "needs", needs::needs).unwrap_or_default();
    let network = f.read(d, "network", network).unwrap_or(Network::Doors);
    let budgets = f.read(d, "budgets", |d, item| d.choice(item, &BUDGETS));
    let env = environment(d, &mut f, env);
    let connect = f.read(d, "connect", door::ways_out).unwrap_or_default();
    let files = f.read(d, "files", share::files).unwrap_or_default();
    let limits = f.read(d, "limits", share::limits).unwrap_or_default();
    let log = f.read(d, "log", log::log).unwrap_or_else(log::default_log);
    f.finish(d);
    Some(ProcessSpec {
        run: run?,
        count: count.unwrap_or(Count::Fixed(1)),
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
        budgets: budgets.unwrap_or_default(),
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

fn init(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Command> {
    d.needs(Ability::Init, item.key_at);
    command(d, item)
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
