//! One word per thing: pages do not use the words that GLOSSARY.md gives up for another.

use super::absences::has_word;
use super::{Finding, page};
use crate::table;
use crate::tree::File;

const GLOSSARY: &str = "GLOSSARY.md";
const HEADER: &[&str] = &["word", "what it is", "not"];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let rows = match page(files, GLOSSARY) {
        Ok(text) => table::find(text, HEADER).unwrap_or_default(),
        Err(missing) => return vec![missing],
    };
    let given_up: Vec<(&str, &str)> = rows
        .iter()
        .filter_map(|row| Some((row.cells.first()?, row.cells.get(2)?)))
        .flat_map(|(word, not)| {
            table::ticked(not)
                .into_iter()
                .map(move |n| (word.as_str(), n))
        })
        .collect();
    if given_up.is_empty() {
        return vec![Finding::wrong(
            GLOSSARY,
            0,
            "no table of words with the ones given up for them",
        )];
    }
    let pages = files
        .iter()
        .filter(|file| file.is_page() && file.path != GLOSSARY);
    pages.flat_map(|file| check_page(file, &given_up)).collect()
}

fn check_page(file: &File, given_up: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in prose(&file.text) {
        let line = line.to_lowercase();
        for (word, not) in given_up.iter().filter(|(_, not)| has_word(&line, not)) {
            findings.push(Finding::wrong(
                &file.path,
                at,
                format!("“{not}”: here it is called {word}"),
            ));
        }
    }
    findings
}

/// The lines of a page outside of code blocks, without what stands in backticks; numbers from 1.
fn prose(page: &str) -> Vec<(usize, String)> {
    let mut in_code = false;
    let mut lines = Vec::new();
    for (at, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            lines.push((at + 1, line.split('`').step_by(2).collect()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, text};
    use super::*;

    #[test]
    fn a_word_that_was_given_up_is_found_in_prose_only() {
        let found = check(&files(
            "\
=== GLOSSARY.md
| word | what it is | not |
|---|---|---|
| **instance** | one running copy | `pod`, `task` |
=== README.md
A Pod is a pod; a podium is none.
Code says `pod`.
```
pod
```
And a task.
=== a.rs
pod
",
        ));
        insta::assert_snapshot!(text(&found), @"
        wrong: README.md:1: “pod”: here it is called **instance**
        wrong: README.md:6: “task”: here it is called **instance**
        ");
    }
}
