//! The table that is read by people: outside, inside, and what follows.

use super::{Finding, Got, errno_name};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What may stay allowed, each with the sentence that accounts for it.
const EXPLAINED: [(&str, &str); 2] = [
    (
        "listen-without-bind",
        "the port is in the instance's own network, where nobody can come to it but through a declared door",
    ),
    (
        "exec-memfd",
        "the program runs within the same walls as the one that made it, and could have been interpreted just as well",
    ),
];

/// What a kernel says outside any filter when it was built without something.
const UNKNOWN: [i32; 4] = [
    libc::ENOSYS,
    libc::EAFNOSUPPORT,
    libc::EPROTONOSUPPORT,
    libc::ESOCKTNOSUPPORT,
];

/// What a probe's outcome means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It succeeds outside and gets nothing inside.
    Held,
    /// It gets nothing inside; outside it cannot succeed either, for a stated reason.
    HeldAnyway(String),
    /// It gets something inside that is accounted for.
    Explained(String),
    /// It could be tried on neither side.
    NotHere(String),
    /// It succeeds inside and nothing accounts for it.
    LetThrough,
    /// It was not shown to succeed outside and nothing says why.
    NotShown,
    /// It has no result inside.
    Missing,
}

impl Verdict {
    /// Whether the table stands with it.
    pub fn is_good(&self) -> bool {
        !matches!(
            self,
            Verdict::LetThrough | Verdict::NotShown | Verdict::Missing
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Held => f.write_str("held"),
            Verdict::HeldAnyway(why) => write!(f, "held (outside: {why})"),
            Verdict::Explained(why) => write!(f, "allowed: {why}"),
            Verdict::NotHere(why) => write!(f, "not here: {why}"),
            Verdict::LetThrough => f.write_str("LET THROUGH"),
            Verdict::NotShown => f.write_str("NOT SHOWN to succeed outside"),
            Verdict::Missing => f.write_str("NO RESULT inside"),
        }
    }
}

/// One probe on both sides, for one kind of user.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The probe, with what it got outside.
    pub outside: Finding,
    /// What it got inside.
    pub inside: Option<Got>,
    /// What follows.
    pub verdict: Verdict,
}

impl Row {
    /// Compares. `plain`: the run was made as a plain user.
    pub fn new(outside: Finding, inside: Option<Got>, plain: bool) -> Self {
        let verdict = judge(&outside, inside.as_ref(), plain);
        Self {
            outside,
            inside,
            verdict,
        }
    }
}

fn judge(outside: &Finding, inside: Option<&Got>, plain: bool) -> Verdict {
    let Some(inside) = inside else {
        return Verdict::Missing;
    };
    if *inside == Got::Allowed {
        let explained = EXPLAINED.iter().find(|(name, _)| *name == outside.name);
        return explained.map_or(Verdict::LetThrough, |(_, why)| {
            Verdict::Explained((*why).to_owned())
        });
    }
    match (&outside.got, &outside.right) {
        (Got::Allowed, _) => Verdict::Held,
        (Got::NotHere(why), _) => Verdict::NotHere(why.clone()),
        (Got::Denied(errno), _) if UNKNOWN.contains(errno) => Verdict::NotHere(format!(
            "this kernel has none, it says {}",
            errno_name(*errno)
        )),
        (_, Some(right)) if plain => Verdict::HeldAnyway(right.clone()),
        _ => Verdict::NotShown,
    }
}

/// All rows of one run, for one or both kinds of user.
#[derive(Debug, Default, Serialize)]
pub struct Table {
    /// Name of the kind of user, and its rows in the order of the probes.
    pub runs: Vec<(String, Vec<Row>)>,
}

impl Table {
    /// Whether nothing undeclared got through and every probe was shown.
    pub fn is_good(&self) -> bool {
        self.runs
            .iter()
            .all(|(_, rows)| !rows.is_empty() && rows.iter().all(|row| row.verdict.is_good()))
    }

    /// How often each verdict was given, by the first words of it.
    fn counts(rows: &[Row]) -> String {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for row in rows {
            *counts.entry(kind(&row.verdict)).or_default() += 1;
        }
        let words: Vec<String> = counts
            .iter()
            .map(|(kind, n)| format!("{n} {kind}"))
            .collect();
        format!("{} probes: {}", rows.len(), words.join(", "))
    }
}

fn kind(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::HeldAnyway(_) => "held that a plain user could not do outside either",
        Verdict::Explained(_) => "allowed and explained",
        Verdict::NotHere(_) => "not on this machine",
        Verdict::LetThrough => "LET THROUGH",
        Verdict::NotShown => "NOT SHOWN",
        Verdict::Missing => "WITHOUT RESULT",
    }
}

impl fmt::Display for Table {
    /// One line for each probe: name, then outside, inside and verdict for each kind of user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (user, rows) in &self.runs {
            writeln!(f, "\nas {user}")?;
            writeln!(
                f,
                "{:<28} {:<24} {:<24} verdict",
                "probe", "outside", "inside"
            )?;
            let mut group = "";
            for row in rows {
                if row.outside.group != group {
                    group = &row.outside.group;
                    writeln!(f, "— {group}")?;
                }
                let inside = row.inside.as_ref().map_or("—".to_owned(), Got::to_string);
                let Finding { name, got, .. } = &row.outside;
                writeln!(
                    f,
                    "{name:<28} {:<24} {inside:<24} {}",
                    got.to_string(),
                    row.verdict
                )?;
            }
        }
        writeln!(f)?;
        for (user, rows) in &self.runs {
            writeln!(f, "as {user}: {}", Self::counts(rows))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, right: Option<&str>, outside: Got, inside: Got) -> Verdict {
        let finding = Finding {
            name: name.into(),
            group: "files".into(),
            tries: String::new(),
            right: right.map(Into::into),
            got: outside,
        };
        Row::new(finding, Some(inside), true).verdict
    }

    #[test]
    fn only_what_was_shown_outside_is_held_inside() {
        let denied = || Got::Denied(libc::EPERM);
        assert_eq!(row("x", None, Got::Allowed, denied()), Verdict::Held);
        assert_eq!(row("x", None, denied(), denied()), Verdict::NotShown);
        assert!(matches!(
            row("x", Some("why"), denied(), denied()),
            Verdict::HeldAnyway(_)
        ));
        assert_eq!(
            row("x", None, Got::Allowed, Got::Allowed),
            Verdict::LetThrough
        );
        assert_eq!(
            row("x", Some("why"), denied(), Got::Allowed),
            Verdict::LetThrough
        );
        assert!(matches!(
            row("exec-memfd", None, Got::Allowed, Got::Allowed),
            Verdict::Explained(_)
        ));
        assert!(row("x", None, Got::NotHere("old kernel".into()), denied()).is_good());
    }

    #[test]
    fn an_empty_run_is_not_good() {
        assert!(
            !Table {
                runs: vec![("root".into(), Vec::new())]
            }
            .is_good()
        );
    }
}
