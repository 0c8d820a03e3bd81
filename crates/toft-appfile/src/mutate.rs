//! Proof that no change to an app file is ignored.
//!
//! Seeded mutants of example texts are decoded. Each must be refused with a position, or accepted
//! with the change to be seen in what `explain` prints, or mean the same by rules of its own that
//! know nothing of the decoder: equal values to the `toml` crate, or another spelling of one value.

mod change;
mod judge;

use crate::capabilities::Capabilities;
use change::Change;
use judge::{Judge, Verdict};

/// What became of a number of mutants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Refused, each mistake with its line and column.
    pub refused: usize,
    /// Accepted, and another effective value, key or origin is shown.
    pub accepted_changed: usize,
    /// Accepted, and the new spelling of the same value is shown: `90s` for `1m 30s`.
    pub respelled: usize,
    /// Accepted, and the text means the same TOML: comments, blank space.
    pub void: usize,
    /// Accepted with the change ignored: the mutants themselves. Each is a defect.
    pub ignored: Vec<String>,
}

/// The texts that [`prove`] mutates, and what is accepted of each.
pub fn examples() -> Vec<(&'static str, Capabilities)> {
    vec![
        (
            include_str!("../examples-text/whole.toml"),
            Capabilities::whole(),
        ),
        (
            include_str!("../examples-text/guestbook.toml"),
            Capabilities::now(),
        ),
        (
            include_str!("../examples-text/small.toml"),
            Capabilities::now(),
        ),
        (
            include_str!("../examples-text/shop.toml"),
            Capabilities::whole(),
        ),
    ]
}

/// Judges `number` mutants of [`examples`]. The same seed makes the same mutants.
pub fn prove(seed: u64, number: usize) -> Counts {
    prove_over(&examples(), seed, number)
}

/// Judges `number` mutants of these texts, each of which must be a good app file.
///
/// # Panics
///
/// When a text is not good as it stands.
pub fn prove_over(examples: &[(&str, Capabilities)], seed: u64, number: usize) -> Counts {
    let texts: Vec<&str> = examples.iter().map(|(text, _)| *text).collect();
    let judges: Vec<Judge> = examples
        .iter()
        .map(|(text, accepted)| Judge::new(text, *accepted))
        .collect();
    let mut change = Change::new(seed, &texts);
    let mut counts = Counts::default();
    while counts.sum() < number {
        let (example, mutant) = change.mutant();
        if mutant == texts[example] {
            continue;
        }
        match judges[example].judge(&mutant) {
            Verdict::Refused => counts.refused += 1,
            Verdict::Changed => counts.accepted_changed += 1,
            Verdict::Respelled => counts.respelled += 1,
            Verdict::Void => counts.void += 1,
            Verdict::Ignored => counts.ignored.push(mutant),
        }
    }
    counts
}

impl Counts {
    fn sum(&self) -> usize {
        self.refused + self.accepted_changed + self.respelled + self.void + self.ignored.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_change_is_ignored() {
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(7);
        let number = std::env::var("MUTANTS")
            .ok()
            .and_then(|number| number.parse().ok())
            .unwrap_or(200);
        let counts = prove(seed, number);
        println!("{counts:?}");
        assert_eq!(counts.ignored, Vec::<String>::new(), "seed {seed}");
        assert!(
            counts.refused > 0 && counts.accepted_changed > 0,
            "{counts:?}"
        );
    }

    #[test]
    fn the_same_seed_makes_the_same_mutants() {
        assert_eq!(prove(3, 20), prove(3, 20));
    }
}
