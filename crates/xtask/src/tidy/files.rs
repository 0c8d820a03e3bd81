//! What holds for each file alone: its length, its opening, what must not be left in it.

use super::Finding;
use super::absences::has_word;
use crate::tree::File;

const LINES_WARN: usize = 500;
const LINES_MAX: usize = 1000;

/// Marks of work that is not done. Put together here, so that this file does not bear them.
const UNDONE: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];

/// `root` is where the project lies on this machine: a path that no file may name.
pub(super) fn check(file: &File, root: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.is_rust() {
        findings.extend(length(file));
        findings.extend(opening(file));
    }
    if file.path != "Cargo.lock" {
        findings.extend(left_over(file, root));
    }
    findings
}

fn length(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    match lines {
        _ if lines > LINES_MAX => Some(Finding::wrong(
            &file.path,
            0,
            format!("{lines} lines; split it, {LINES_MAX} is the most"),
        )),
        _ if lines > LINES_WARN => Some(Finding::warning(
            &file.path,
            0,
            format!("{lines} lines; over {LINES_WARN} it wants two files"),
        )),
        _ => None,
    }
}

fn opening(file: &File) -> Option<Finding> {
    let says = file
        .text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//!"));
    match says {
        Some(text) if !text.trim().is_empty() => None,
        _ => Some(Finding::wrong(
            &file.path,
            1,
            "a file opens with `//!` and says what it is",
        )),
    }
}

fn left_over(file: &File, root: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        if let Some(mark) = UNDONE.iter().find(|mark| has_word(line, mark)) {
            findings.push(Finding::wrong(
                &file.path,
                at + 1,
                format!("`{mark}`: finish it or write it down where work is planned"),
            ));
        }
        if root.len() > 1 && has_word(line, root) {
            findings.push(Finding::wrong(
                &file.path,
                at + 1,
                "names the folder of this checkout, which is nowhere else",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, text};
    use super::*;

    fn check_all(input: &str) -> String {
        let found: Vec<Finding> = files(input)
            .iter()
            .flat_map(|file| check(file, "/srv/checkout"))
            .collect();
        text(&found)
    }

    #[test]
    fn a_file_says_what_it_is() {
        insta::assert_snapshot!(check_all("=== a.rs\n//! A thing.\n=== b.rs\nuse x;\n=== c.rs\n//!\n=== d.md\ntext\n"), @"
        wrong: b.rs:1: a file opens with `//!` and says what it is
        wrong: c.rs:1: a file opens with `//!` and says what it is
        ");
    }

    #[test]
    fn a_long_file_is_worth_a_word_and_a_very_long_one_is_wrong() {
        let of = |lines: usize| format!("=== a.rs\n//! Long.\n{}", "x\n".repeat(lines - 1));
        assert_eq!(check_all(&of(500)), "");
        assert_eq!(
            check_all(&of(501)),
            "warning: a.rs: 501 lines; over 500 it wants two files\n"
        );
        assert_eq!(
            check_all(&of(1001)),
            "wrong: a.rs: 1001 lines; split it, 1000 is the most\n"
        );
    }

    #[test]
    fn nothing_is_left_over() {
        let undone = UNDONE[0];
        let input = format!(
            "=== a.rs\n//! A.\n// {undone}: more\n// {undone}S are fine\n=== b.md\nsee /srv/checkout/x\n"
        );
        let found = check_all(&input);
        assert!(
            found.starts_with(&format!("wrong: a.rs:2: `{undone}`")),
            "{found}"
        );
        assert!(found.contains("wrong: b.md:1: names the folder"), "{found}");
        assert_eq!(found.lines().count(), 2, "{found}");
    }
}
