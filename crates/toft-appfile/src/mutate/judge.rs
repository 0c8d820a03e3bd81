//! Judges a mutant by rules that know nothing of the decoder.

use crate::capabilities::Capabilities;
use crate::explain::Explained;
use crate::overrides::Overrides;
use crate::report::Report;
use crate::source::{Origin, Source};
use crate::{AnyFolder, decode_with};

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Refused,
    Changed,
    Respelled,
    Void,
    Ignored,
}

/// One effective value as it is shown: key, value, spelling, and whether anybody said it.
type Shown = (String, String, Option<String>, bool);

/// Holds what the text said before it was changed.
pub(super) struct Judge {
    accepted: Capabilities,
    shown: Vec<Shown>,
    meaning: toml::Table,
}

impl Judge {
    pub(super) fn new(text: &str, accepted: Capabilities) -> Self {
        let explained =
            explain(text, accepted).unwrap_or_else(|report| panic!("an example is good: {report}"));
        Self {
            accepted,
            shown: shown(&explained),
            meaning: text.parse().expect("an example is TOML"),
        }
    }

    pub(super) fn judge(&self, mutant: &str) -> Verdict {
        let explained = match explain(mutant, self.accepted) {
            Ok(explained) => explained,
            Err(report) => return refused(&report, mutant),
        };
        let now = shown(&explained);
        let values = |all: &[Shown]| -> Vec<(String, String, bool)> {
            all.iter()
                .map(|(key, value, _, said)| (key.clone(), value.clone(), *said))
                .collect()
        };
        if values(&now) != values(&self.shown) {
            return Verdict::Changed;
        }
        if now != self.shown {
            let same = now
                .iter()
                .zip(&self.shown)
                .all(|(now, before)| same_meaning(spelling(now), spelling(before)));
            return if same {
                Verdict::Respelled
            } else {
                Verdict::Ignored
            };
        }
        match mutant.parse::<toml::Table>() {
            Ok(meaning) if meaning == self.meaning => Verdict::Void,
            _ => Verdict::Ignored,
        }
    }
}

fn explain(text: &str, accepted: Capabilities) -> Result<Explained, Report> {
    let source = Source {
        path: "mutant.toml",
        text,
    };
    decode_with(source, &Overrides::default(), &AnyFolder, accepted)
        .map(|decoded| decoded.explained)
}

/// A refusal says where: a line of the text and a column of that line, or just behind it.
fn refused(report: &Report, mutant: &str) -> Verdict {
    let lines: Vec<&str> = mutant.split('\n').collect();
    let placed = |entry: &crate::Entry| {
        let line = entry.line.checked_sub(1).and_then(|line| lines.get(line));
        line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&entry.column))
    };
    let entries = report.entries();
    let printed = report.render(false);
    let good = !entries.is_empty() && entries.iter().all(placed) && !printed.is_empty();
    if good {
        Verdict::Refused
    } else {
        Verdict::Ignored
    }
}

fn shown(explained: &Explained) -> Vec<Shown> {
    let values = explained.0.iter();
    values
        .map(|value| {
            (
                value.key.clone(),
                value.value.clone(),
                value.written.clone(),
                value.origin != Origin::Default,
            )
        })
        .collect()
}

fn spelling((_, value, written, _): &Shown) -> &str {
    written.as_ref().unwrap_or(value)
}

/// Whether two spellings say the same: blank space, quotes within commands, `./` and leading zeros
/// aside, and with every quantity in its smallest unit.
fn same_meaning(a: &str, b: &str) -> bool {
    plain(a) == plain(b)
}

fn plain(text: &str) -> String {
    let bare: String = text
        .chars()
        .filter(|c| !matches!(c, '"' | '\'' | '\\' | '{' | '}'))
        .collect();
    let bare = bare
        .replace("./", "")
        .replace("port =", "")
        .replace(", client_address = false", "");
    let mut out = String::new();
    let mut rest = bare.trim_start();
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_digit() {
            let (value, after) = quantity(rest);
            out.push_str(&format!("<{value}>"));
            rest = after;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
        rest = rest.trim_start();
    }
    out
}

/// The quantities that stand at the front, added up: `1m 30s`. Without units, one number.
fn quantity(text: &str) -> (u128, &str) {
    let (mut sum, mut rest) = (0u128, text);
    loop {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        if digits == 0 {
            return (sum, rest);
        }
        let number: u128 = rest[..digits].parse().unwrap_or(u128::MAX);
        let fraction = rest[digits..]
            .strip_prefix(".0")
            .filter(|after| !after.starts_with(|c: char| c.is_ascii_digit()));
        let behind = fraction.unwrap_or(&rest[digits..]);
        let unit_text = behind.trim_start();
        let letters = unit_text
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(unit_text.len());
        match factor(&unit_text[..letters]) {
            Some(factor) => {
                sum = sum.saturating_add(number.saturating_mul(factor));
                rest = unit_text[letters..].trim_start();
            }
            // A number without a unit stands alone, or behind those that had one.
            None if rest.len() == text.len() => return (number, behind),
            None => return (sum, rest),
        }
    }
}

/// How many of the smallest unit make this one.
fn factor(unit: &str) -> Option<u128> {
    Some(match unit {
        "B" | "ms" => 1,
        "kB" | "s" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        "TB" => 1_000_000_000_000,
        "TiB" => 1 << 40,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_value_are_told_from_other_values() {
        for (a, b) in [
            ("\"90s\"", "\"1m 30s\""),
            ("\"256 MiB\"", "\"0256MiB\""),
            ("\"1024MiB\"", "\"1GiB\""),
            ("\"12 releases, 30 days\"", "\"12 releases, 30d\""),
            ("\"a  'b'\"", "\"a b\""),
            ("1.0", "1"),
        ] {
            assert!(same_meaning(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("\"1s to 5m\"", "\"1s to 5m, x\""),
            ("\"90s\"", "\"91s\""),
            ("8080", "8081"),
        ] {
            assert!(!same_meaning(a, b), "{a} {b}");
        }
    }
}
