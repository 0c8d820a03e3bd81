//! What a crate must not have in its sources, as the second table in ARCHITECTURE.md says.
//!
//! A name may go deeper than a crate: `toft-router/http1` is that crate's `src/http1`. A crate's own unit tests may do what its code may not: a file is read up to its first
//! `#[cfg(test)]`, and comments are not looked at.

use super::{Finding, page};
use crate::table;
use crate::tree::File;

const MAP: &str = "ARCHITECTURE.md";
const HEADER: &[&str] = &["crate", "never in its sources", "because"];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let rows = match page(files, MAP).map(|map| table::find(map, HEADER)) {
        Ok(Some(rows)) => rows,
        Ok(None) => {
            let header = HEADER.join(" | ");
            return vec![Finding::wrong(
                MAP,
                0,
                format!("no table with the header | {header} |"),
            )];
        }
        Err(missing) => return vec![missing],
    };
    let mut findings = Vec::new();
    for row in &rows {
        let [crates, absent, because] = row.cells.as_slice() else {
            continue;
        };
        for name in table::ticked(crates) {
            let (folder, below) = name.split_once('/').unwrap_or((name, ""));
            let top = format!("crates/{folder}/src/{below}");
            for file in files
                .iter()
                .filter(|f| f.is_rust() && f.path.starts_with(&top))
            {
                for word in table::ticked(absent) {
                    findings.extend(lines_with(&file.text, word).map(|line| {
                        Finding::wrong(&file.path, line, format!("`{word}` in `{name}`: {because}"))
                    }));
                }
            }
        }
    }
    findings
}

/// The numbers of the lines of code, before the unit tests, in which `word` stands as a whole.
fn lines_with(source: &str, word: &str) -> impl Iterator<Item = usize> {
    code(source)
        .enumerate()
        .filter(move |(_, line)| has_word(line.split("//").next().unwrap_or(line), word))
        .map(|(at, _)| at + 1)
}

/// The lines of a source before its unit tests.
pub(super) fn code(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
}

/// Whether `word` stands in `line` without a letter, digit or `_` on either side.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, text};
    use super::*;

    #[test]
    fn what_must_be_absent_is_found_outside_of_tests_and_comments() {
        let found = check(&files(
            "\
=== ARCHITECTURE.md
| crate | never in its sources | because |
|---|---|---|
| `a`, `b` | `std::fs`, `unsafe` | it only decides |
| `c/core` | `Instant` | time is handed down |
=== crates/a/src/lib.rs
//! May say unsafe and std::fs.
use std::fs::File;
fn unsafely() {} // no unsafe here
#[cfg(test)]
mod tests { use std::fs; }
=== crates/b/src/x.rs
unsafe { }
=== crates/c/src/lib.rs
use Instant;
=== crates/c/src/core/lib.rs
use Instant;
",
        ));
        insta::assert_snapshot!(text(&found), @"
        wrong: crates/a/src/lib.rs:2: `std::fs` in `a`: it only decides
        wrong: crates/b/src/x.rs:1: `unsafe` in `b`: it only decides
        wrong: crates/c/src/core/lib.rs:1: `Instant` in `c/core`: time is handed down
        ");
    }
}
