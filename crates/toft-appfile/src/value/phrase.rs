//! Values that read like words: `1s to 5m, reset after 5m`, `http:/healthz every 10s`.

use super::command::command_in;
use super::quantity::{any_span, real_span, span_in, thousandths, whole_in};
use crate::decoder::{Decoder, Item};
use crate::mistake::Mistake;
use crate::node::{Value, text_literal};
use crate::piece::Piece;
use std::time::Duration;
use toft_model::app::{AbortWhen, Count, Keep, Missed, Restart, Retries, RetryGrowth, SyncPolicy};
use toft_model::table::Check;

fn form<T>(d: &mut Decoder<'_>, piece: &Piece<'_>, path: &str, why: &str, like: &str) -> Option<T> {
    let title = format!("`{path}` cannot be `{}`", piece.text);
    d.refuse(
        Mistake::not_understood(piece.at(), title, why)
            .help(format!("write something like `{}`", text_literal(like))),
    )
}

/// A number, or a range in a text.
pub(crate) fn count(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Count> {
    const MOST: u32 = 10_000;
    let Value::Text(text) = &item.node.value else {
        return match item.node.value {
            Value::Integer(_) => d.whole(item, 0..=MOST).map(Count::Fixed),
            _ => d.wrong_type(item, "a whole number, or a range, like `\"0..10\"`"),
        };
    };
    let piece = Piece::of(d.sources, item.node, text);
    let Some((low, high)) = piece.split_once("..") else {
        let wanted = "a whole number, or a range, like `\"0..10\"`";
        let mistake = Mistake::wrong_type(item.node.at, &item.path, wanted, "a text, and no range");
        return d.refuse(
            mistake.meant(
                text.trim()
                    .parse::<u32>()
                    .ok()
                    .map(|number| number.to_string()),
            ),
        );
    };
    let bounds = (
        whole_in(d, &low, &item.path, 0..=MOST),
        whole_in(d, &high, &item.path, 1..=MOST),
    );
    let (Some(min), Some(max)) = bounds else {
        return None;
    };
    if min > max {
        let range = "a range from few to many";
        return d.refuse(Mistake::out_of_range(
            piece.at(),
            &item.path,
            range,
            format!("{min} is more than {max}"),
        ));
    }
    Some(Count::Range { min, max })
}

/// What a check is, before the process' doors are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CheckWords {
    Tcp,
    Http(String),
    Notify,
    Command(Vec<String>),
}

impl CheckWords {
    /// With the port of the first door for TCP; `None` where it needs one and there is none.
    pub(crate) fn on(self, port: Option<u16>) -> Option<Check> {
        Some(match self {
            Self::Tcp => Check::Tcp { port: port? },
            Self::Http(path) => Check::Http { port: port?, path },
            Self::Notify => Check::Notify,
            Self::Command(argv) => Check::Command { argv },
        })
    }
}

/// `tcp`, `http:/path`, `notify` or `run:CMD`.
pub(crate) fn check(d: &mut Decoder<'_>, piece: &Piece<'_>, path: &str) -> Option<CheckWords> {
    match piece.text {
        "tcp" => return Some(CheckWords::Tcp),
        "notify" => return Some(CheckWords::Notify),
        _ => {}
    }
    if let Some(command) = piece.strip_prefix("run:") {
        return command_in(d, &command, path).map(|command| CheckWords::Command(command.0));
    }
    if let Some(url) = piece.strip_prefix("http:") {
        let good = url.text.starts_with('/')
            && !url.text.starts_with("//")
            && url.text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if good {
            return Some(CheckWords::Http(url.text.to_owned()));
        }
        return form(
            d,
            piece,
            path,
            "a path that starts with one `/` and has no spaces belongs behind `http:`",
            "http:/healthz",
        );
    }
    let words = ["tcp", "http:/", "notify", "run:"];
    let mistake = crate::decoder::not_one_of(piece, path, &words);
    let path_alone = piece
        .text
        .starts_with('/')
        .then(|| format!("http:{}", piece.text));
    d.refuse(if path_alone.is_some() {
        mistake.meant(path_alone)
    } else {
        mistake
    })
}

/// A check, and how often it is made: `http:/healthz every 10s`.
pub(crate) fn alive(
    d: &mut Decoder<'_>,
    piece: &Piece<'_>,
    path: &str,
) -> Option<(CheckWords, Duration)> {
    let Some((what, span)) = piece.rsplit_once(" every ") else {
        return form(
            d,
            piece,
            path,
            "how often is missing",
            &format!("{} every 10s", piece.text),
        );
    };
    let every = span_in(d, &span, path, real_span());
    let check = check(d, &what.trim(), path)?;
    Some((check, every?))
}

/// `1s to 5m, reset after 5m`, or `never`.
pub(crate) fn restart(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Restart> {
    const LIKE: &str = "1s to 5m, reset after 5m";
    let piece = d.full_text(item, LIKE)?;
    if piece.text == "never" {
        return Some(Restart::Never);
    }
    let parts = piece.split_once(", reset after ");
    let (waits, reset) = match parts {
        Some((waits, reset)) => (waits, Some(reset)),
        None => (piece, None),
    };
    let Some((first, max)) = waits.split_once(" to ") else {
        return form(
            d,
            &piece,
            &item.path,
            "neither `never` nor a first and a longest wait",
            LIKE,
        );
    };
    let first_at = first;
    let waits = (
        span_in(d, &first, &item.path, any_span()),
        span_in(d, &max, &item.path, any_span()),
    );
    let reset_after = match reset {
        Some(reset) => span_in(d, &reset, &item.path, real_span()),
        None => waits.1,
    };
    let (Some(first), Some(max)) = waits else {
        return None;
    };
    if first > max {
        let range = "a first wait and a longest one";
        return d.refuse(Mistake::out_of_range(
            first_at.at(),
            &item.path,
            range,
            "longer than the longest",
        ));
    }
    Some(Restart::Backoff {
        first,
        max,
        reset_after: reset_after?,
    })
}

/// `2000 lines/s`.
pub(crate) fn rate(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<u32> {
    const LIKE: &str = "2000 lines/s";
    if let Value::Integer(number) = item.node.value {
        let mistake = Mistake::bad_quantity(
            item.node.at,
            &item.path,
            "a rate, with its unit",
            "a number without a unit",
        );
        return d.refuse(mistake.meant(Some(format!("\"{number} lines/s\""))));
    }
    let piece = d.full_text(item, LIKE)?;
    let Some(number) = piece.strip_suffix("lines/s") else {
        let mistake = Mistake::bad_quantity(
            piece.at(),
            &item.path,
            "a rate, like `2000 lines/s`",
            "the unit is `lines/s`",
        );
        return d.refuse(mistake);
    };
    whole_in(d, &number.trim(), &item.path, 1..=10_000_000)
}

/// `immediate`, or `every 1s`.
pub(crate) fn sync(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<SyncPolicy> {
    let piece = d.full_text(item, "every 1s")?;
    if piece.text == "immediate" {
        return Some(SyncPolicy::Immediate);
    }
    match piece.strip_prefix("every ") {
        Some(span) => {
            let bounds = Duration::from_millis(10)..=Duration::from_secs(3600);
            span_in(d, &span, &item.path, bounds).map(SyncPolicy::Every)
        }
        None => form(
            d,
            &piece,
            &item.path,
            "neither `immediate` nor `every` and a span",
            "every 1s",
        ),
    }
}

/// `errors > 2% or p99 > 2x`.
pub(crate) fn abort(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Vec<AbortWhen>> {
    let piece = d.full_text(item, "errors > 2% or p99 > 2x")?;
    let rules: Vec<Option<AbortWhen>> = piece
        .split(" or ")
        .iter()
        .map(|rule| abort_rule(d, &rule.trim(), &item.path))
        .collect();
    rules.into_iter().collect()
}

fn abort_rule(d: &mut Decoder<'_>, rule: &Piece<'_>, path: &str) -> Option<AbortWhen> {
    const LIKE: &str = "errors > 2% or p99 > 2x";
    let Some((figure, bound)) = rule.split_once(">") else {
        return form(d, rule, path, "a figure, `>` and a bound", LIKE);
    };
    let (figure, bound) = (figure.trim(), bound.trim());
    let percentile = match figure.text {
        "errors" => {
            let Some(percent) = bound.strip_suffix("%") else {
                return form(d, &bound, path, "a share of requests, in percent", LIKE);
            };
            return thousandths(d, &percent.trim(), path).map(AbortWhen::Errors);
        }
        "p50" => 50,
        "p90" => 90,
        "p95" => 95,
        "p99" => 99,
        _ => {
            return d.refuse(crate::decoder::not_one_of(
                &figure,
                path,
                &["errors", "p50", "p90", "p95", "p99"],
            ));
        }
    };
    let Some(factor) = bound.strip_suffix("x") else {
        return form(
            d,
            &bound,
            path,
            "how many times the old release's figure, like `2x`",
            LIKE,
        );
    };
    thousandths(d, &factor.trim(), path).map(|factor| AbortWhen::Latency { percentile, factor })
}

/// `20 releases, 90 days`, or one of both.
pub(crate) fn keep(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Keep> {
    const LIKE: &str = "20 releases, 90 days";
    let piece = d.full_text(item, LIKE)?;
    let mut keep = Keep {
        releases: None,
        age: None,
    };
    for part in piece.split(",") {
        let part = part.trim();
        if let Some(number) = part
            .strip_suffix("releases")
            .or_else(|| part.strip_suffix("release"))
        {
            let number = whole_in(d, &number.trim(), &item.path, 1..=10_000)?;
            if keep.releases.replace(number).is_some() {
                return form(d, &part, &item.path, "a second number of releases", LIKE);
            }
            continue;
        }
        let age = match part
            .strip_suffix("days")
            .or_else(|| part.strip_suffix("day"))
        {
            Some(days) => {
                let days = whole_in(d, &days.trim(), &item.path, 1..=3650)?;
                Duration::from_secs(u64::from(days) * 86_400)
            }
            None => span_in(d, &part, &item.path, real_span())?,
        };
        if keep.age.replace(age).is_some() {
            return form(d, &part, &item.path, "a second age", LIKE);
        }
    }
    Some(keep)
}

/// `once within 6h`, or `never`.
pub(crate) fn missed(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Missed> {
    let piece = d.full_text(item, "once within 6h")?;
    if piece.text == "never" {
        return Some(Missed::Never);
    }
    match piece.strip_prefix("once within ") {
        Some(span) => span_in(d, &span, &item.path, real_span()).map(Missed::OnceWithin),
        None => form(
            d,
            &piece,
            &item.path,
            "neither `never` nor `once within` and a span",
            "once within 6h",
        ),
    }
}

/// `3, 1m doubling`, or `3, 1m`.
pub(crate) fn retries(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Retries> {
    const LIKE: &str = "3, 1m doubling";
    let piece = d.full_text(item, LIKE)?;
    let Some((count, wait)) = piece.split_once(",") else {
        return form(
            d,
            &piece,
            &item.path,
            "how often, and after what wait",
            LIKE,
        );
    };
    let wait = wait.trim();
    let (wait, growth) = match wait.strip_suffix(" doubling") {
        Some(wait) => (wait, RetryGrowth::Doubling),
        None => (wait, RetryGrowth::Constant),
    };
    let values = (
        whole_in(d, &count.trim(), &item.path, 1..=100),
        span_in(d, &wait.trim(), &item.path, any_span()),
    );
    match values {
        (Some(count), Some(wait)) => Some(Retries {
            count,
            wait,
            growth,
        }),
        _ => None,
    }
}

/// `success every 26h`.
pub(crate) fn expect(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Duration> {
    let piece = d.full_text(item, "success every 26h")?;
    match piece.strip_prefix("success every ") {
        Some(span) => span_in(d, &span, &item.path, real_span()),
        None => form(
            d,
            &piece,
            &item.path,
            "it is `success every` and a span",
            "success every 26h",
        ),
    }
}
