//! `cargo xtask tidy`: what the compiler does not check.
//!
//! Each check is a pure function from the project's files to findings; this file reads the files,
//! runs the checks and prints what they found.

mod absences;
mod codes;
mod edges;
mod files;
mod links;
mod manifests;
mod words;

use crate::say::say;
use crate::tree::{self, File};
use std::fmt;
use std::path::Path;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// From 1; 0 when the finding is about the whole file.
    line: usize,
    text: String,
    /// Whether it fails the check, or is only worth knowing.
    fails: bool,
}

impl Finding {
    fn wrong(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            text: text.into(),
            fails: true,
        }
    }

    fn warning(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            fails: false,
            ..Self::wrong(path, line, text)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.fails { "wrong" } else { "warning" };
        match self.line {
            0 => write!(f, "{level}: {}: {}", self.path, self.text),
            line => write!(f, "{level}: {}:{line}: {}", self.path, self.text),
        }
    }
}

/// Runs all checks and prints their findings; true when none of them fails.
pub(crate) fn run() -> anyhow::Result<bool> {
    let root = tree::root()?;
    let files = tree::files(&root)?;
    let findings = check(&root, &files);
    for finding in &findings {
        say(&finding.to_string());
    }
    let wrong = findings.iter().filter(|finding| finding.fails).count();
    say(&format!(
        "tidy: {} files, {wrong} wrong, {} warnings",
        files.len(),
        findings.len() - wrong
    ));
    Ok(wrong == 0)
}

fn check(root: &Path, files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        findings.extend(files::check(file, &root.to_string_lossy()));
    }
    findings.extend(edges::check(files));
    findings.extend(manifests::check(files));
    findings.extend(absences::check(files));
    findings.extend(codes::check(files));
    findings.extend(links::check(files));
    findings.extend(words::check(files));
    findings.sort();
    findings
}

/// The page at `path`, or a finding that it is missing.
fn page<'a>(files: &'a [File], path: &str) -> Result<&'a str, Finding> {
    files
        .iter()
        .find(|file| file.path == path)
        .map(|file| file.text.as_str())
        .ok_or_else(|| Finding::wrong(path, 0, "this page is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files from a text: each starts with a line `=== PATH`.
    pub(super) fn files(text: &str) -> Vec<File> {
        let mut files: Vec<File> = Vec::new();
        for line in text.lines() {
            match (line.strip_prefix("=== "), files.last_mut()) {
                (Some(path), _) => files.push(File {
                    path: path.to_owned(),
                    text: String::new(),
                }),
                (None, Some(file)) => {
                    file.text.push_str(line);
                    file.text.push('\n');
                }
                (None, None) => {}
            }
        }
        files
    }

    /// One line per finding.
    pub(super) fn text(findings: &[Finding]) -> String {
        findings
            .iter()
            .map(|finding| format!("{finding}\n"))
            .collect()
    }

    #[test]
    fn the_map_is_true() {
        let root = tree::root().expect("the tests run inside the project");
        let files = tree::files(&root).expect("the project's files can be read");
        let mut findings = edges::check(&files);
        findings.extend(absences::check(&files));
        assert!(findings.is_empty(), "\n{}", text(&findings));
    }

    #[test]
    fn ci_runs_the_command_that_the_readme_names() {
        let root = tree::root().expect("the tests run inside the project");
        let command = "cargo xtask ci";
        for path in ["README.md", ".ci/run"] {
            let text = std::fs::read_to_string(root.join(path)).expect("it can be read");
            let named = text.lines().any(|line| line.trim_end().ends_with(command));
            assert!(named, "{path} does not name `{command}`");
        }
    }
}
