//! What every crate's manifest says, and that a crate has one binary of integration tests: each
//! further one is linked for nothing.

use super::Finding;
use crate::tree::File;
use std::collections::BTreeSet;

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = files.iter().filter_map(lints).collect();
    let mut seen = BTreeSet::new();
    for file in files {
        let Some((name, binary)) = integration(&file.path) else {
            continue;
        };
        if binary != "it" && seen.insert((name, binary)) {
            let text = format!("`{binary}` is a binary of tests by itself; move it into tests/it/");
            findings.push(Finding::wrong(&file.path, 0, text));
        }
    }
    findings
}

/// A crate that does not take the workspace's lints has none.
fn lints(file: &File) -> Option<Finding> {
    let name = file
        .path
        .strip_prefix("crates/")?
        .strip_suffix("/Cargo.toml")?;
    if name.contains('/') {
        return None;
    }
    let manifest = file.text.parse::<toml::Table>().ok()?;
    let taken = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    let taken = taken.and_then(toml::Value::as_bool).unwrap_or(false);
    (!taken).then(|| {
        Finding::wrong(
            &file.path,
            0,
            "does not take the lints: `[lints] workspace = true`",
        )
    })
}

/// The crate and the test binary that a file in `tests/` belongs to, if cargo makes it one.
fn integration(path: &str) -> Option<(&str, &str)> {
    let (name, below) = path.strip_prefix("crates/")?.split_once("/tests/")?;
    match below.split_once('/') {
        Some((folder, "main.rs")) => Some((name, folder)),
        Some(_) => None,
        None => below.strip_suffix(".rs").map(|file| (name, file)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, text};
    use super::*;

    #[test]
    fn lints_are_taken_and_tests_are_one_binary() {
        let found = check(&files(
            "\
=== crates/a/Cargo.toml
[lints]
workspace = true
=== crates/a/tests/it/main.rs
=== crates/a/tests/apps/slow.rs
=== crates/b/Cargo.toml
[package]
=== crates/b/tests/more.rs
=== crates/b/tests/other/main.rs
",
        ));
        insta::assert_snapshot!(text(&found), @"
        wrong: crates/b/Cargo.toml: does not take the lints: `[lints] workspace = true`
        wrong: crates/b/tests/more.rs: `more` is a binary of tests by itself; move it into tests/it/
        wrong: crates/b/tests/other/main.rs: `other` is a binary of tests by itself; move it into tests/it/
        ");
    }
}
