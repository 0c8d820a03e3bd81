//! Quantities with their units: bytes, CPU shares, spans of time.
//!
//! Each has one way to be written by people (`256MiB`, `0.5`, `30s`) and one to be printed, and
//! printing then reading gives the same value.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No number in front.
    #[error("`{0}` does not start with a whole number")]
    NoNumber(String),
    /// A number without its unit.
    #[error("`{0}` has no unit; write one of {1}")]
    NoUnit(String, &'static str),
    /// A unit that is not known.
    #[error("`{0}` is not a unit; write one of {1}")]
    BadUnit(String, &'static str),
    /// More than can be counted.
    #[error("`{0}` is larger than can be counted")]
    TooLarge(String),
}

const BYTE_UNITS: &str = "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB";
const TIME_UNITS: &str = "ms, s, m, h, d";

fn split(text: &str, units: &'static str) -> Result<(u64, String), UnitError> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    if end == 0 {
        return Err(UnitError::NoNumber(text.to_owned()));
    }
    let number = text[..end]
        .parse()
        .map_err(|_| UnitError::TooLarge(text.to_owned()))?;
    let unit = text[end..].trim().to_owned();
    if unit.is_empty() {
        return Err(UnitError::NoUnit(text.to_owned(), units));
    }
    Ok((number, unit))
}

impl Bytes {
    /// Reads `256MiB`, `1 GB`, `512B`. A unit must be there; binary and decimal ones are told apart.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text, BYTE_UNITS)?;
        let factor: u64 = match unit.as_str() {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return Err(UnitError::BadUnit(unit, BYTE_UNITS)),
        };
        number
            .checked_mul(factor)
            .map(Self)
            .ok_or_else(|| UnitError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for Bytes {
    /// The largest unit that keeps the number whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: [(u64, &str); 8] = [
            (1 << 40, "TiB"),
            (1_000_000_000_000, "TB"),
            (1 << 30, "GiB"),
            (1_000_000_000, "GB"),
            (1 << 20, "MiB"),
            (1_000_000, "MB"),
            (1 << 10, "KiB"),
            (1_000, "kB"),
        ];
        for (size, unit) in units {
            if self.0 != 0 && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// A share of processors in thousandths: 500 is half of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliCpu(pub u32);

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

/// Reads `500ms`, `30s`, `5m`, `26h`, `90d`; parts may follow each other: `1m 30s`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UnitError::NoNumber(text.to_owned()));
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |at| digits + at);
        let (number, unit) = split(&rest[..unit_end], TIME_UNITS)?;
        let milliseconds: u64 = match unit.as_str() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(UnitError::BadUnit(unit, TIME_UNITS)),
        };
        total = number
            .checked_mul(milliseconds)
            .and_then(|ms| total.checked_add(Duration::from_millis(ms)))
            .ok_or_else(|| UnitError::TooLarge(text.to_owned()))?;
        rest = rest[unit_end..].trim_start();
    }
    Ok(total)
}

/// Prints a span as [`parse_duration`] reads it, in the largest unit that keeps it whole.
pub fn duration_text(span: Duration) -> String {
    let ms = span.as_millis();
    for (size, unit) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ] {
        if ms != 0 && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_need_a_unit() {
        assert_eq!(Bytes::parse("256MiB"), Ok(Bytes(256 << 20)));
        assert_eq!(Bytes::parse("1 GB"), Ok(Bytes(1_000_000_000)));
        assert!(matches!(Bytes::parse("256"), Err(UnitError::NoUnit(..))));
        assert!(matches!(Bytes::parse("256M"), Err(UnitError::BadUnit(..))));
        assert!(matches!(Bytes::parse("-1MiB"), Err(UnitError::NoNumber(_))));
        assert!(matches!(
            Bytes::parse("99999999999TiB"),
            Err(UnitError::TooLarge(_))
        ));
    }

    #[test]
    fn printing_then_reading_is_the_same() {
        for n in [
            0,
            1,
            999,
            1000,
            1024,
            1 << 20,
            1_500_000,
            (1 << 30) + 1,
            5 << 30,
        ] {
            assert_eq!(Bytes::parse(&Bytes(n).to_string()), Ok(Bytes(n)));
        }
        for ms in [0, 1, 1000, 90_000, 3_600_000, 26 * 3_600_000, 86_400_000] {
            let span = Duration::from_millis(ms);
            assert_eq!(parse_duration(&duration_text(span)), Ok(span));
        }
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(matches!(parse_duration("30"), Err(UnitError::NoUnit(..))));
    }
}
