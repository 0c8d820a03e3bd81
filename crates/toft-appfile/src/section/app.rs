//! The top of the file.

use super::{process, release, route, schedule, variables, volume};
use crate::decoder::{Decoder, Fields, Item, is_process};
use crate::mistake::Mistake;
use crate::node::{Table, Value, join};
use crate::piece::Piece;
use crate::source::Place;
use crate::value::name::{key_name, name};
use std::collections::BTreeMap;
use toft_model::AppName;
use toft_model::app::AppSpec;

/// The offset, and where it was said.
pub(crate) type Offset = (u16, Option<Place>);

/// The whole file. `None` where something that every app has could not be read; that is reported.
pub(crate) fn app(
    d: &mut Decoder<'_>,
    root: &Table,
    start: Place,
    offset: Offset,
) -> Option<AppSpec> {
    declare(d, root);
    let mut fields = Fields::new(root, String::new(), start);
    let name = fields
        .require(d, "app")
        .and_then(|item| d.full_text(&item, "guestbook"))
        .and_then(|piece| app_name(d, &piece));
    let env = fields
        .get(d, "env")
        .map(|item| variables(d, &item))
        .unwrap_or_default();
    let processes = match fields.get(d, "process") {
        Some(item) => named(d, &item, "a process' name", |d, item| {
            process_name(d, item);
            process::process(d, item, &env)
        }),
        None => no_process(d, root, start),
    };
    let build = fields.read(d, "build", release::build);
    let release_spec = fields.read(d, "release", release::release);
    let deploy = fields
        .read(d, "deploy", release::deploy)
        .unwrap_or_default();
    let routes = fields
        .get(d, "route")
        .map(|item| route::routes(d, &item, offset))
        .unwrap_or_default();
    let schedules = match fields.get(d, "schedule") {
        Some(item) => named(d, &item, "a schedule's name", schedule::schedule),
        None => BTreeMap::new(),
    };
    let volumes = match fields.get(d, "volume") {
        Some(item) => named(d, &item, "a volume's name", volume::volume),
        None => BTreeMap::new(),
    };
    let notify = fields
        .get(d, "notify")
        .map(|item| release::notify(d, &item))
        .unwrap_or_default();
    let test = fields.read(d, "test", release::test);
    fields.finish(d);
    schedule::no_circles(d, root, &schedules);
    Some(AppSpec {
        name: name?,
        offset: offset.0,
        env,
        build,
        release: release_spec,
        deploy,
        processes,
        routes,
        schedules,
        volumes,
        notify,
        test,
    })
}

/// The app's name, which is not the one under which Toft's own processes run.
fn app_name(d: &mut Decoder<'_>, piece: &Piece<'_>) -> Option<AppName> {
    if piece.text == "toft" {
        let why = "Toft's own processes run under this name";
        return d.refuse(Mistake::bad_name(
            piece.at(),
            "an app's name",
            piece.text,
            why,
        ));
    }
    name(d, piece, "an app's name")
}

/// A process' name, which is not the one under which builds run.
fn process_name(d: &mut Decoder<'_>, item: &Item<'_>) {
    if item.key == "build" {
        let why = "builds run under this name";
        d.push(Mistake::bad_name(
            item.key_at,
            "a process' name",
            item.key,
            why,
        ));
    }
}

/// Every name that others may refer to, before anything else is read.
fn declare(d: &mut Decoder<'_>, root: &Table) {
    let names = |key: &str| -> BTreeMap<String, Place> {
        let entries = root
            .table(key)
            .map(|table| table.entries.as_slice())
            .unwrap_or_default();
        entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.key_at))
            .collect()
    };
    d.index.processes = names("process");
    d.index.volumes = names("volume");
    d.index.schedules = names("schedule");
    for entry in root
        .table("process")
        .map(|table| table.entries.as_slice())
        .unwrap_or_default()
    {
        if let Value::Table(table) = &entry.node.value {
            process::declare_doors(d, &entry.key, table);
        } else {
            d.index.unreadable.insert(entry.key.clone());
        }
    }
}

/// One that stands at the top of the file is told where it belongs, and not called missing.
fn no_process<T: Default>(d: &mut Decoder<'_>, root: &Table, start: Place) -> T {
    if root.entries.iter().any(is_process) {
        return T::default();
    }
    let mistake = Mistake::missing_key(start, "process", "")
        .help("an app runs at least one process: `[process.web]` with `run = \"…\"`");
    d.push(mistake);
    T::default()
}

/// A table whose keys are names: each is read, and what could not be read is left out.
fn named<N, T>(
    d: &mut Decoder<'_>,
    item: &Item<'_>,
    what: &str,
    read: impl Fn(&mut Decoder<'_>, &Item<'_>) -> Option<T>,
) -> BTreeMap<N, T>
where
    N: Ord + std::str::FromStr<Err = toft_model::id::NameError>,
{
    let mut all = BTreeMap::new();
    let Some(table) = d.table(item) else {
        return all;
    };
    if table.entries.is_empty() {
        let title = format!("`[{}]` needs a name", item.path);
        let help = format!("write `[{}]`", join(&item.path, "NAME"));
        d.push(Mistake::not_understood(item.key_at, title, "nothing is in it").help(help));
    }
    for item in d.items(table, &item.path) {
        let name = key_name::<N>(d, &item, what);
        let value = read(d, &item);
        if let (Some(name), Some(value)) = (name, value) {
            all.insert(name, value);
        }
    }
    all
}
