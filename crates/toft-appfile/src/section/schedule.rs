//! `[schedule.NAME]`.

use super::{like, run};
use crate::capabilities::Ability;
use crate::decoder::{Decoder, Fields, Item};
use crate::index::Target;
use crate::mistake::Mistake;
use crate::node::Table;
use crate::value::cron::cron;
use crate::value::name::{name, zone};
use crate::value::phrase::{expect, missed, retries};
use crate::value::quantity::{any_span, real_span, span};
use std::collections::BTreeMap;
use std::time::Duration;
use toft_model::app::{Overlap, ScheduleSpec, When};
use toft_model::id::ScheduleName;

pub(super) fn schedule(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<ScheduleSpec> {
    d.needs(Ability::Schedule, item.key_at);
    let mut f = d.fields(item)?;
    let run = run(d, &mut f);
    let after = f.read(d, "after", after);
    let when = when(d, &mut f);
    let zone = f.read(d, "zone", zone);
    let overlap = f.read(d, "overlap", overlap).unwrap_or_default();
    let missed = f.read(d, "missed", missed).unwrap_or_default();
    let jitter = f
        .get(d, "jitter")
        .and_then(|item| span(d, &item, any_span()))
        .unwrap_or(Duration::ZERO);
    let retries = f.read(d, "retries", retries);
    let limit = f
        .get(d, "limit")
        .and_then(|item| span(d, &item, real_span()));
    let expect = f.read(d, "expect", expect);
    let like = like(d, &mut f);
    f.finish(d);
    Some(ScheduleSpec {
        run: run?,
        when,
        zone: zone.unwrap_or_else(|| "UTC".to_owned()),
        overlap,
        missed,
        jitter,
        retries,
        limit,
        after,
        expect,
        like: like?,
    })
}

fn overlap(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Overlap> {
    let words = [
        ("skip", Overlap::Skip),
        ("queue", Overlap::Queue),
        ("kill", Overlap::Kill),
        ("allow", Overlap::Allow),
    ];
    d.choice(item, &words)
}

fn after(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<ScheduleName> {
    let piece = d.full_text(item, "export")?;
    let name = name(d, &piece, "a schedule's name")?;
    d.refer(piece.at(), Target::Schedule(piece.text.to_owned()));
    Some(name)
}

/// `at` or `every`, not both; neither only behind another schedule.
fn when(d: &mut Decoder<'_>, f: &mut Fields<'_>) -> Option<When> {
    let at = f.get(d, "at");
    let every = f.get(d, "every");
    let follows = f.get(d, "after").is_some();
    if let (Some(at), Some(every)) = (&at, &every) {
        let title = format!("`[{}]` says twice when it is", f.path);
        d.push(
            Mistake::contradiction(every.key_at, title, "either this").also(at.key_at, "or this"),
        );
    }
    if at.is_none() && every.is_none() && !follows {
        let mistake = Mistake::missing_key(f.at, "at", &f.path)
            .help("write `at = \"30 2 * * *\"`, `every = \"90m\"`, or `after = \"ANOTHER\"`");
        d.push(mistake);
    }
    let every = every
        .and_then(|item| span(d, &item, real_span()))
        .map(When::Every);
    let at = at.and_then(|item| d.full_text(&item, "30 2 * * mon-fri"));
    let at = at.and_then(|piece| cron(d, &piece)).map(When::Cron);
    every.or(at)
}

/// Schedules that wait for each other in a circle never run.
pub(super) fn no_circles(
    d: &mut Decoder<'_>,
    root: &Table,
    schedules: &BTreeMap<ScheduleName, ScheduleSpec>,
) {
    let next = |name: &ScheduleName| {
        schedules
            .get(name)
            .and_then(|schedule| schedule.after.as_ref())
    };
    let mut told: Vec<&ScheduleName> = Vec::new();
    for start in schedules.keys() {
        let mut circle = vec![start];
        let mut at = start;
        while let Some(after) = next(at).filter(|after| !circle[1..].contains(after)) {
            circle.push(after);
            at = after;
            if after == start {
                break;
            }
        }
        let closed = circle.len() > 1 && circle.last() == Some(&start);
        if !closed || circle.iter().any(|name| told.contains(name)) {
            continue;
        }
        let names: Vec<String> = circle.iter().map(|name| format!("`{name}`")).collect();
        let place = root
            .table("schedule")
            .and_then(|table| table.table(start.as_str()))
            .and_then(|table| table.get("after"))
            .map(|entry| entry.node.at);
        if let Some(place) = place {
            d.push(Mistake::circle(
                place,
                format!("{} wait for each other", names.join(" after ")),
            ));
        }
        told.extend(circle);
    }
}
