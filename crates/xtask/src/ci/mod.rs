//! `cargo xtask ci`: everything that must hold before a change is kept.
//!
//! Steps run one after the other and go on after a failure, so that one run says all that is
//! wrong. The last line counts: each test is one, and each other step is one.

mod command;
mod deny;
mod examples;
mod packages;
mod tests;

use crate::say::say;
use command::{answers, cargo, succeeds};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

/// What a step found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Why something was not checked, one sentence each.
    skips: Vec<String>,
}

impl Found {
    fn of(passed: bool) -> Self {
        Self {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            ..Self::default()
        }
    }

    fn skip(why: impl Into<String>) -> Self {
        Self {
            skipped: 1,
            skips: vec![why.into()],
            ..Self::default()
        }
    }

    fn add(&mut self, other: Found) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.skips.extend(other.skips);
    }
}

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> anyhow::Result<Found>,
}

const STEPS: &[Step] = &[
    Step {
        name: "packages",
        about: "what the tests need from Debian",
        run: packages::run,
    },
    Step {
        name: "fmt",
        about: "rustfmt has nothing to change",
        run: fmt,
    },
    Step {
        name: "tidy",
        about: "the map, lengths, error pages, words",
        run: tidy,
    },
    Step {
        name: "clippy",
        about: "no warning in any target",
        run: clippy,
    },
    Step {
        name: "doc",
        about: "the code's own pages build, every link leads somewhere",
        run: doc,
    },
    Step {
        name: "examples",
        about: "the Rust examples and fuzz targets, which are packages of their own",
        run: examples::run,
    },
    Step {
        name: "deny",
        about: "licences, doubled packages, origins, advisories",
        run: deny::run,
    },
    Step {
        name: "tests",
        about: "all tests, with real kernels and peers",
        run: tests::run,
    },
    Step {
        name: "doctests",
        about: "the examples in the documentation",
        run: tests::run_doc,
    },
];

/// Runs the named steps, or all; true when nothing failed.
pub(crate) fn run(names: &[String]) -> anyhow::Result<bool> {
    for name in names {
        if !STEPS.iter().any(|step| step.name == name) {
            anyhow::bail!("ci has no step `{name}`; there are:{}", list());
        }
    }
    let mut all = Found::default();
    let mut broken = Vec::new();
    for step in STEPS
        .iter()
        .filter(|s| names.is_empty() || names.iter().any(|n| n == s.name))
    {
        let found = run_step(step);
        if found.failed > 0 {
            broken.push(step.name);
        }
        all.add(found);
    }
    say(&summary(&all, &broken));
    Ok(all.failed == 0)
}

fn run_step(step: &Step) -> Found {
    say(&format!("\n== {}: {}", step.name, step.about));
    let started = now();
    let found = (step.run)().unwrap_or_else(|error| {
        say(&format!("{}: {error:#}", step.name));
        Found::of(false)
    });
    let word = if found.failed > 0 { "failed" } else { "done" };
    say(&format!(
        "== {}: {word} in {:.1} s",
        step.name,
        started.elapsed().as_secs_f64()
    ));
    found
}

#[expect(
    clippy::disallowed_methods,
    reason = "chores are a shell: they tell people how long a step took"
)]
fn now() -> Instant {
    Instant::now()
}

fn list() -> String {
    STEPS
        .iter()
        .map(|step| format!("\n  {:<10} {}", step.name, step.about))
        .collect()
}

/// What was not checked, what failed, and the counts as the last line.
fn summary(all: &Found, broken: &[&str]) -> String {
    let mut text = String::new();
    if !all.skips.is_empty() {
        text.push_str("\nNOT CHECKED HERE:");
        let mut told = BTreeSet::new();
        for why in all.skips.iter().filter(|why| told.insert(*why)) {
            text.push_str(&format!("\n  SKIPPED: {why}"));
        }
    }
    if !broken.is_empty() {
        text.push_str(&format!("\nFAILED: {}", broken.join(", ")));
    }
    text.push_str(&format!(
        "\n{} passed, {} failed, {} skipped",
        all.passed, all.failed, all.skipped
    ));
    text
}

fn fmt() -> anyhow::Result<Found> {
    if let Some(skip) = component("fmt", "rustfmt")? {
        return Ok(skip);
    }
    Ok(Found::of(succeeds(
        cargo().args(["fmt", "--all", "--check"]),
    )?))
}

/// Sees to it that a part of the toolchain is there; a skip when it cannot be had.
fn component(verb: &str, name: &str) -> anyhow::Result<Option<Found>> {
    let there = || answers(cargo().args([verb, "--version"]));
    if there() {
        return Ok(None);
    }
    let added = answers(Command::new("rustup").args(["component", "add", name]));
    Ok((!added || !there()).then(|| Found::skip(format!("{name} is not part of this toolchain"))))
}

fn tidy() -> anyhow::Result<Found> {
    Ok(Found::of(crate::tidy::run()?))
}

fn clippy() -> anyhow::Result<Found> {
    if let Some(skip) = component("clippy", "clippy")? {
        return Ok(skip);
    }
    let arguments = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    Ok(Found::of(succeeds(cargo().args(arguments))?))
}

/// The pages are for those who change the code, so private items have theirs too.
fn doc() -> anyhow::Result<Found> {
    let arguments = [
        "doc",
        "--locked",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ];
    let mut doc = cargo();
    doc.env(
        "RUSTDOCFLAGS",
        "-D warnings -A rustdoc::private_intra_doc_links",
    );
    Ok(Found::of(succeeds(doc.args(arguments).arg("--quiet"))?))
}

#[cfg(test)]
mod self_tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_what_was_not_checked_is_said() {
        let mut all = Found::of(true);
        all.add(Found::of(false));
        all.add(Found::skip("no network"));
        all.skips.push("no network".into());
        insta::assert_snapshot!(summary(&all, &["fmt"]), @"

        NOT CHECKED HERE:
          SKIPPED: no network
        FAILED: fmt
        1 passed, 1 failed, 1 skipped
        ");
    }

    #[test]
    fn a_clean_run_ends_in_one_line() {
        assert_eq!(
            summary(&Found::of(true), &[]),
            "\n1 passed, 0 failed, 0 skipped"
        );
    }
}
