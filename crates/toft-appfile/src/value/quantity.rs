//! Sizes, spans of time, ports, decimal numbers.

use crate::decoder::{Decoder, Item};
use crate::mistake::Mistake;
use crate::node::Value;
use crate::piece::Piece;
use std::ops::RangeInclusive;
use std::time::Duration;
use toft_model::app::Thousandths;
use toft_model::unit::{Bytes, MilliCpu, UnitError, duration_text, parse_duration};

/// A size of at least `least`, in a text.
pub(crate) fn bytes(d: &mut Decoder<'_>, item: &Item<'_>, least: Bytes) -> Option<Bytes> {
    if let Value::Integer(number) = item.node.value {
        return d.refuse(without_unit(item, "a size", number, "MiB"));
    }
    let piece = d.text(item, "256MiB")?;
    bytes_in(d, &piece, &item.path, least)
}

/// A size of at least `least`, in a part of a text.
pub(crate) fn bytes_in(
    d: &mut Decoder<'_>,
    piece: &Piece<'_>,
    path: &str,
    least: Bytes,
) -> Option<Bytes> {
    match Bytes::parse(piece.text) {
        Ok(size) if size < least => {
            let range = format!("a size of {least} or more");
            d.refuse(Mistake::out_of_range(piece.at(), path, &range, "too small"))
        }
        Ok(size) => Some(size),
        Err(error) => d.refuse(bad_unit(piece, path, "a size, like `256MiB`", &error)),
    }
}

/// A span of time within bounds.
pub(crate) fn span(
    d: &mut Decoder<'_>,
    item: &Item<'_>,
    bounds: RangeInclusive<Duration>,
) -> Option<Duration> {
    if let Value::Integer(number) = item.node.value {
        return d.refuse(without_unit(item, "a span of time", number, "s"));
    }
    let piece = d.text(item, "30s")?;
    span_in(d, &piece, &item.path, bounds)
}

/// A span of time within bounds, in a part of a text.
pub(crate) fn span_in(
    d: &mut Decoder<'_>,
    piece: &Piece<'_>,
    path: &str,
    bounds: RangeInclusive<Duration>,
) -> Option<Duration> {
    match parse_duration(piece.text) {
        Ok(span) if bounds.contains(&span) => Some(span),
        Ok(span) => {
            let (low, high) = (duration_text(*bounds.start()), duration_text(*bounds.end()));
            let range = format!("a span of time from {low} to {high}");
            let why = if span < *bounds.start() {
                "too short"
            } else {
                "too long"
            };
            d.refuse(Mistake::out_of_range(piece.at(), path, &range, why))
        }
        Err(error) => d.refuse(bad_unit(piece, path, "a span of time, like `30s`", &error)),
    }
}

/// From nothing to ten years.
pub(crate) fn any_span() -> RangeInclusive<Duration> {
    Duration::ZERO..=Duration::from_secs(3650 * 86_400)
}

/// From a second to ten years.
pub(crate) fn real_span() -> RangeInclusive<Duration> {
    Duration::from_secs(1)..=Duration::from_secs(3650 * 86_400)
}

fn without_unit(item: &Item<'_>, what: &str, number: i128, unit: &str) -> Mistake {
    let wanted = format!("{what}, with its unit");
    Mistake::bad_quantity(item.node.at, &item.path, &wanted, "a number without a unit")
        .meant(Some(format!("\"{number}{unit}\"")))
}

fn bad_unit(piece: &Piece<'_>, path: &str, wanted: &str, error: &UnitError) -> Mistake {
    let why = match error {
        UnitError::NoNumber(_) => "this does not start with a whole number",
        UnitError::NoUnit(..) => "the unit is missing",
        UnitError::BadUnit(..) => "not a unit",
        UnitError::TooLarge(_) => "larger than can be counted",
    };
    let (at, meant, units) = match error {
        UnitError::BadUnit(unit, units) => {
            let at = piece.text.rfind(unit.as_str()).unwrap_or(0);
            let part = piece.part(at..at + unit.len().min(piece.text.len() - at));
            (part.at(), likely_unit(unit, units), Some(units))
        }
        UnitError::NoUnit(_, units) => (piece.at(), None, Some(units)),
        UnitError::NoNumber(_) | UnitError::TooLarge(_) => (piece.at(), None, None),
    };
    let mistake = Mistake::bad_quantity(at, path, wanted, why)
        .help_if(units.map(|units| format!("the units are {units}")));
    mistake.meant(meant)
}

/// The unit that somebody had in mind who wrote this one.
fn likely_unit(said: &str, units: &str) -> Option<&'static str> {
    const MEANT: &[(&str, &str)] = &[
        ("b", "B"),
        ("byte", "B"),
        ("bytes", "B"),
        ("k", "KiB"),
        ("kb", "kB"),
        ("kib", "KiB"),
        ("m", "MiB"),
        ("mb", "MB"),
        ("mib", "MiB"),
        ("g", "GiB"),
        ("gb", "GB"),
        ("gib", "GiB"),
        ("t", "TiB"),
        ("tb", "TB"),
        ("tib", "TiB"),
        ("sec", "s"),
        ("secs", "s"),
        ("second", "s"),
        ("seconds", "s"),
        ("msec", "ms"),
        ("min", "m"),
        ("mins", "m"),
        ("minute", "m"),
        ("minutes", "m"),
        ("hour", "h"),
        ("hours", "h"),
        ("hr", "h"),
        ("day", "d"),
        ("days", "d"),
        ("s", "s"),
        ("h", "h"),
        ("d", "d"),
    ];
    let folded = said.to_ascii_lowercase();
    let allowed = |unit: &str| units.split(", ").any(|known| known == unit);
    MEANT
        .iter()
        .find(|(word, unit)| *word == folded && allowed(unit))
        .map(|(_, unit)| *unit)
}

/// A port number, 1 to 65535, in a part of a text.
pub(crate) fn port_in(d: &mut Decoder<'_>, piece: &Piece<'_>, path: &str) -> Option<u16> {
    let digits = !piece.text.is_empty() && piece.text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        let title = format!("`{path}` needs a port number");
        let why = if piece.text.is_empty() {
            "the port is missing"
        } else {
            "not a number"
        };
        let mistake = Mistake::not_understood(piece.at(), title, why);
        return d.refuse(mistake.meant(well_known(piece.text)));
    }
    match piece.text.parse::<u16>() {
        Ok(port) if port > 0 && !piece.text.starts_with('0') => Some(port),
        _ => d.refuse(Mistake::out_of_range(
            piece.at(),
            path,
            "a port from 1 to 65535",
            "not a port",
        )),
    }
}

/// The port of a service that people like to write by name.
fn well_known(name: &str) -> Option<&'static str> {
    let ports = [
        ("http", "80"),
        ("https", "443"),
        ("smtp", "25"),
        ("submission", "587"),
        ("imaps", "993"),
        ("postgres", "5432"),
        ("postgresql", "5432"),
        ("mysql", "3306"),
        ("redis", "6379"),
        ("ssh", "22"),
    ];
    ports
        .iter()
        .find(|(service, _)| *service == name)
        .map(|(_, port)| *port)
}

/// A share of processors, 0.001 to 4096.
pub(crate) fn cpu(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<MilliCpu> {
    let wanted = "a number of processors, like `0.5`";
    let share = match &item.node.value {
        Value::Integer(number) => *number as f64,
        Value::Float(number) => *number,
        _ => return d.wrong_type(item, wanted),
    };
    let milli = (share * 1000.0).round();
    if !(1.0..=4_096_000.0).contains(&milli) {
        let range = "a number of processors from 0.001 to 4096";
        let why = if milli > 1.0 {
            "too large"
        } else {
            "too small"
        };
        return d.refuse(Mistake::out_of_range(item.node.at, &item.path, range, why));
    }
    if (share * 1000.0 - milli).abs() > 1e-6 {
        let range = "counted in thousandths of a processor";
        return d.refuse(Mistake::out_of_range(
            item.node.at,
            &item.path,
            range,
            "finer than that",
        ));
    }
    Some(MilliCpu(milli as u32))
}

/// A decimal number above nothing with at most three places, in a part of a text.
pub(crate) fn thousandths(
    d: &mut Decoder<'_>,
    piece: &Piece<'_>,
    path: &str,
) -> Option<Thousandths> {
    let (whole, part) = piece.text.split_once('.').unwrap_or((piece.text, "0"));
    let digits = |text: &str, most| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if digits(whole, 6) && digits(part, 3) {
        let whole: u32 = whole.parse().unwrap_or(0);
        let part: u32 = format!("{part:0<3}").parse().unwrap_or(0);
        if whole + part > 0 {
            return Some(Thousandths(whole * 1000 + part));
        }
    }
    let range = "a number above 0 with at most three decimal places";
    d.refuse(Mistake::out_of_range(
        piece.at(),
        path,
        range,
        "not such a number",
    ))
}

/// A whole number within bounds, in a part of a text.
pub(crate) fn whole_in(
    d: &mut Decoder<'_>,
    piece: &Piece<'_>,
    path: &str,
    range: RangeInclusive<u32>,
) -> Option<u32> {
    let digits = piece.text.bytes().all(|b| b.is_ascii_digit());
    match piece
        .text
        .parse::<u32>()
        .ok()
        .filter(|number| digits && range.contains(number))
    {
        Some(number) => Some(number),
        None => {
            let words = format!("a whole number from {} to {}", range.start(), range.end());
            d.refuse(Mistake::out_of_range(
                piece.at(),
                path,
                &words,
                "not such a number",
            ))
        }
    }
}
