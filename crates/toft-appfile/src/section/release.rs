//! `[build]`, `[release]`, `[deploy]`, `[test]` and `[notify]`.

use super::{like, run, sets};
use crate::capabilities::Ability;
use crate::decoder::{Decoder, Item};
use crate::mistake::Mistake;
use crate::node::Value;
use crate::value::command::command_in;
use crate::value::door::outside;
use crate::value::path::cache_path;
use crate::value::phrase::{abort, keep};
use toft_model::app::{BuildSpec, DeploySpec, NotifyTarget, Outside, ReleaseSpec, TestSpec};

pub(super) fn build(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<BuildSpec> {
    let mut f = d.fields(item)?;
    let run = run(d, &mut f);
    let sets = f.read(d, "use", sets);
    let connect = f.read(d, "connect", reach);
    let cache = f.get(d, "cache").and_then(|item| {
        let items = d.list(&item, "[\"~/.cache/pip\"]")?;
        Some(
            items
                .iter()
                .filter_map(|item| cache_path(d, item))
                .collect(),
        )
    });
    f.finish(d);
    Some(BuildSpec {
        run: run?,
        sets,
        connect: connect.unwrap_or_else(|| vec![DEFAULT_REACH]),
        cache: cache.unwrap_or_default(),
    })
}

/// What a build may reach when nothing is said.
const DEFAULT_REACH: Outside = Outside::Any { port: 443 };

fn reach(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Vec<Outside>> {
    let before = d.mistakes.len();
    let mut all = Vec::new();
    for element in d.list(item, "[\"*:443\"]")? {
        if let Some(piece) = d.full_text(&element, "*:443") {
            all.extend(outside(d, &piece, &element.path));
        }
    }
    if d.mistakes.len() == before && all != [DEFAULT_REACH] {
        d.needs(Ability::BuildConnect, item.node.at);
    }
    Some(all)
}

pub(super) fn release(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<ReleaseSpec> {
    d.needs(Ability::Release, item.key_at);
    let mut f = d.fields(item)?;
    let (run, like) = (run(d, &mut f), like(d, &mut f));
    f.finish(d);
    Some(ReleaseSpec {
        run: run?,
        like: like?,
    })
}

pub(super) fn test(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<TestSpec> {
    d.needs(Ability::Test, item.key_at);
    let mut f = d.fields(item)?;
    let (run, like) = (run(d, &mut f), like(d, &mut f));
    f.finish(d);
    Some(TestSpec {
        run: run?,
        like: like?,
    })
}

pub(super) fn deploy(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<DeploySpec> {
    d.needs(Ability::Deploy, item.key_at);
    let mut f = d.fields(item)?;
    let default = DeploySpec::default();
    let spec = DeploySpec {
        at_once: f
            .get(d, "at_once")
            .and_then(|item| d.whole(&item, 1..=10_000))
            .unwrap_or(default.at_once),
        canary: f.read(d, "canary", canary).unwrap_or(default.canary),
        abort: f.read(d, "abort", abort).unwrap_or(default.abort),
        keep: f.read(d, "keep", keep).unwrap_or(default.keep),
    };
    f.finish(d);
    Some(spec)
}

/// Shares in percent, each larger than the one before.
fn canary(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Vec<u8>> {
    let mut steps: Vec<u8> = Vec::new();
    for element in d.list(item, "[5, 25, 100]")? {
        let Some(step) = d
            .whole(&element, 1..=100)
            .and_then(|step| u8::try_from(step).ok())
        else {
            continue;
        };
        if steps.last().is_some_and(|last| *last > step) {
            let range = "a list of shares in percent, each larger than the one before";
            d.push(Mistake::out_of_range(
                element.node.at,
                &item.path,
                range,
                "smaller than the one before",
            ));
        }
        steps.push(step);
    }
    Some(steps)
}

pub(super) fn notify(d: &mut Decoder<'_>, item: &Item<'_>) -> Vec<NotifyTarget> {
    d.needs(Ability::Notify, item.key_at);
    let Some(mut f) = d.fields(item) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if let Some(item) = f.require(d, "to") {
        let items = d
            .list(&item, "[\"https://hooks.example.com/x\"]")
            .unwrap_or_default();
        if items.is_empty() && matches!(item.node.value, Value::List(_)) {
            d.push(Mistake::not_understood(
                item.node.at,
                "nobody is told",
                "nothing is in this list",
            ));
        }
        for item in items {
            all.extend(target(d, &item));
        }
    }
    f.finish(d);
    all
}

fn target(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<NotifyTarget> {
    let piece = d.full_text(item, "https://hooks.example.com/x")?;
    if let Some(command) = piece.strip_prefix("run:") {
        return command_in(d, &command, &item.path).map(NotifyTarget::Run);
    }
    let Some(rest) = piece.strip_prefix("https://") else {
        let title = format!("`{}` tells nobody", piece.text);
        let mistake = Mistake::not_understood(piece.at(), title, "neither `https://…` nor `run:…`");
        return d.refuse(mistake);
    };
    let end = rest.text.find(['/', '?', ':']).unwrap_or(rest.text.len());
    crate::value::name::host(d, &rest.part(0..end))?;
    if rest
        .text
        .contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return d.refuse(Mistake::not_understood(
            piece.at(),
            "a URL has no spaces",
            "not a URL",
        ));
    }
    Some(NotifyTarget::Web(piece.text.to_owned()))
}
