//! Each stable error code in the code (before its unit tests) has its section in `docs/errors/`, and
//! each section its code.

use super::{Finding, absences};
use crate::tree::File;
use std::collections::BTreeMap;

const PAGES: &str = "docs/errors/";

/// Where a code was first met.
type Places = BTreeMap<String, (String, usize)>;

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut used = Places::new();
    let mut explained = Places::new();
    let mut findings = Vec::new();
    for file in files {
        if is_source(file) {
            for (code, line) in codes(absences::code(&file.text)) {
                used.entry(code).or_insert((file.path.clone(), line));
            }
        } else if file.is_page() && file.path.starts_with(PAGES) {
            for (code, line) in sections(&file.text) {
                if explained
                    .insert(code.clone(), (file.path.clone(), line))
                    .is_some()
                {
                    findings.push(Finding::wrong(
                        &file.path,
                        line,
                        format!("{code} has two sections"),
                    ));
                }
            }
        }
    }
    let only = |a: &Places, b: &Places, text: &str| -> Vec<Finding> {
        a.iter()
            .filter(|(code, _)| !b.contains_key(*code))
            .map(|(code, (path, line))| Finding::wrong(path, *line, format!("{code} {text}")))
            .collect()
    };
    findings.extend(only(&used, &explained, "has no section in docs/errors/"));
    findings.extend(only(&explained, &used, "is used nowhere in the code"));
    findings
}

/// Chores do not meet an operator, and their tests invent codes.
fn is_source(file: &File) -> bool {
    file.is_rust()
        && file.path.starts_with("crates/")
        && file.path.contains("/src/")
        && !file.path.starts_with("crates/xtask/")
}

/// Codes of four digits after an `E`, standing alone, with their lines from 1.
fn codes<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, line) in lines.enumerate() {
        let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        found.extend(
            words
                .filter(|word| is_code(word))
                .map(|word| (word.to_owned(), at + 1)),
        );
    }
    found
}

fn is_code(word: &str) -> bool {
    word.strip_prefix('E')
        .is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Codes that head a section of their own: `## E0101: words`.
fn sections(page: &str) -> Vec<(String, usize)> {
    page.lines()
        .enumerate()
        .filter_map(|(at, line)| Some((line.strip_prefix("## ")?, at + 1)))
        .filter_map(|(title, line)| Some((codes(title.lines()).into_iter().next()?.0, line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, text};
    use super::*;

    #[test]
    fn codes_and_sections_meet() {
        let found = check(&files(
            "\
=== crates/a/src/x.rs
const A: &str = \"E0101\"; // and E0102, not HE0103, E01034 or 0xE0104
#[cfg(test)]
E0107
=== crates/xtask/src/x.rs
\"E9999\"
=== docs/errors/app-file.md
## E0101: a key that is not known
It says E0106.
## E0105: gone
## E0101: again
",
        ));
        insta::assert_snapshot!(text(&found), @"
        wrong: docs/errors/app-file.md:4: E0101 has two sections
        wrong: crates/a/src/x.rs:1: E0102 has no section in docs/errors/
        wrong: docs/errors/app-file.md:3: E0105 is used nowhere in the code
        ");
    }
}
