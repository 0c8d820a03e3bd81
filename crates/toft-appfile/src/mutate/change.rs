//! Makes mutants: bytes, tokens, lines, keys, types, units.

use crate::mistake::Mistake;
use crate::node::{Table, Value};
use crate::source::Place;
use crate::syntax;
use std::ops::Range;

/// A small generator with a good spread (splitmix64, Steele and others 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is above 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }
}

/// A text with the places that can be changed with a meaning.
struct Example<'t> {
    text: &'t str,
    keys: Vec<Range<usize>>,
    values: Vec<Range<usize>>,
    /// A number with what stands behind it, up to a border.
    quantities: Vec<Range<usize>>,
    tokens: Vec<Range<usize>>,
}

/// Makes mutants of a few texts.
pub(super) struct Change<'t> {
    chance: Chance,
    examples: Vec<Example<'t>>,
}

const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "3.5",
    "65536",
    "99999999999999999999",
    "true",
    "false",
    "\"\"",
    "\"x\"",
    "\"8080\"",
    "[]",
    "{}",
    "[1]",
    "[\"x\"]",
    "{ x = 1 }",
    "1979-05-27",
    "inf",
    "\"never\"",
    "\"1s\"",
    "\"../x\"",
    "\"/\"",
    "'''long'''",
];
const UNITS: &[&str] = &[
    "", "B", "KiB", "MiB", "GiB", "kB", "MB", "TB", "M", "mb", "ms", "s", "m", "h", "d", "sec",
    "%", "x", " s", "lines/s",
];

impl<'t> Change<'t> {
    pub(super) fn new(seed: u64, texts: &[&'t str]) -> Self {
        Self {
            chance: Chance(seed),
            examples: texts.iter().map(|text| Example::new(text)).collect(),
        }
    }

    /// The number of the text that was changed, and what became of it.
    pub(super) fn mutant(&mut self) -> (usize, String) {
        let at = self.chance.below(self.examples.len());
        let mutant = match self.chance.below(6) {
            0 => self.bytes(at),
            1 => self.token(at),
            2 => self.lines(at),
            3 => self.key(at),
            4 => self.value(at),
            _ => self.quantity(at),
        };
        (at, mutant)
    }

    fn bytes(&mut self, at: usize) -> String {
        let mut bytes = self.examples[at].text.as_bytes().to_vec();
        for _ in 0..=self.chance.below(2) {
            let place = self.chance.below(bytes.len());
            let byte = u8::try_from(self.chance.below(256)).unwrap_or(0);
            let printed = b' ' + u8::try_from(self.chance.below(95)).unwrap_or(0);
            match self.chance.below(5) {
                0 => bytes[place] = byte,
                1 => bytes[place] = printed,
                2 => bytes.insert(place, printed),
                3 => bytes[place] ^= 1 << self.chance.below(8),
                _ => {
                    bytes.remove(place);
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn token(&mut self, at: usize) -> String {
        let from = self.chance.below(self.examples.len());
        let other = self.chance.of(&self.examples[from].tokens).clone();
        let other = &self.examples[from].text[other];
        let tokens = &self.examples[at].tokens;
        let (a, b) = (
            self.chance.of(tokens).clone(),
            self.chance.of(tokens).clone(),
        );
        let text = self.examples[at].text;
        match self.chance.below(4) {
            0 => splice(text, a, ""),
            1 => splice(text, a.clone(), &text[a].repeat(2)),
            2 => splice(text, a, other),
            _ if a.end <= b.start => {
                let swapped = splice(text, b.clone(), &text[a.clone()]);
                splice(&swapped, a, &text[b])
            }
            _ => splice(text, a, &text[b]),
        }
    }

    fn lines(&mut self, at: usize) -> String {
        let mut lines: Vec<&str> = self.examples[at].text.lines().collect();
        let (a, b) = (
            self.chance.below(lines.len()),
            self.chance.below(lines.len()),
        );
        match self.chance.below(4) {
            0 => {
                lines.remove(a);
            }
            1 => lines.insert(b, lines[a]),
            2 => lines.swap(a, b),
            _ => lines.insert(a, "# a remark"),
        }
        lines.join("\n") + "\n"
    }

    fn key(&mut self, at: usize) -> String {
        let from = self.chance.below(self.examples.len());
        let other = self.chance.of(&self.examples[from].keys).clone();
        let other = self.examples[from].text[other].to_owned();
        let place = self.chance.of(&self.examples[at].keys).clone();
        let text = self.examples[at].text;
        let mut word: Vec<char> = text[place.clone()].chars().collect();
        let here = self.chance.below(word.len());
        match self.chance.below(6) {
            0 => return splice(text, place, &other),
            1 => {
                word.remove(here);
            }
            2 => word.insert(here, word[here]),
            3 if here > 0 => word.swap(here, here - 1),
            4 => word[here] = word[here].to_ascii_uppercase(),
            _ => word.push('s'),
        }
        splice(text, place, &word.into_iter().collect::<String>())
    }

    fn value(&mut self, at: usize) -> String {
        let from = self.chance.below(self.examples.len());
        let other = self.chance.of(&self.examples[from].values).clone();
        let other = self.examples[from].text[other].to_owned();
        let place = self.chance.of(&self.examples[at].values).clone();
        let new = if self.chance.below(3) == 0 {
            other
        } else {
            (*self.chance.of(VALUES)).to_owned()
        };
        splice(self.examples[at].text, place, &new)
    }

    fn quantity(&mut self, at: usize) -> String {
        let place = self.chance.of(&self.examples[at].quantities).clone();
        let text = self.examples[at].text;
        let said = &text[place.clone()];
        let digits = said
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(said.len());
        let (number, unit) = said.split_at(digits);
        let new = match self.chance.below(5) {
            0 => format!("{number}{}", self.chance.of(UNITS)),
            1 => format!("{}{unit}", self.chance.below(100_000)),
            2 => format!("{number} {unit}"),
            3 => format!("0{number}{unit}"),
            _ => format!("{number}{number}{number}{number}{unit}"),
        };
        splice(text, place, &new)
    }
}

fn splice(text: &str, place: Range<usize>, new: &str) -> String {
    format!("{}{new}{}", &text[..place.start], &text[place.end..])
}

impl<'t> Example<'t> {
    fn new(text: &'t str) -> Self {
        let mut mistakes: Vec<Mistake> = Vec::new();
        let table = syntax::read(0, text, &mut mistakes);
        let mut example = Self {
            text,
            keys: Vec::new(),
            values: Vec::new(),
            quantities: quantities(text),
            tokens: tokens(text),
        };
        example.collect(&table);
        example
    }

    fn collect(&mut self, table: &Table) {
        let range = |place: Place| place.start..place.end;
        for entry in &table.entries {
            self.keys.push(range(entry.key_at));
            // A table that no braces hold has its key's place for its own.
            if entry.node.at != entry.key_at {
                self.values.push(range(entry.node.at));
            }
            if let Value::Table(inner) = &entry.node.value {
                self.collect(inner);
            }
        }
    }
}

/// Runs of letters and digits, and every other character.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut last_was_word = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        match all.last_mut() {
            Some(last) if last_was_word && word(c) => last.end = end,
            _ => all.push(at..end),
        }
        last_was_word = word(c);
    }
    all
}

fn quantities(text: &str) -> Vec<Range<usize>> {
    let starts_number =
        |range: &Range<usize>| text[range.clone()].starts_with(|c: char| c.is_ascii_digit());
    tokens(text).into_iter().filter(starts_number).collect()
}
