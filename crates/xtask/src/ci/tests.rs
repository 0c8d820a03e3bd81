//! All tests: by nextest where it is there (one process per test, so that kernel tests do not meet
//! each other), else by `cargo test`, one after the other for the same reason.
//!
//! A test that cannot run here prints `SKIPPED: why` on a line of its own. Such a test counts as
//! skipped, not as passed, and its sentence is repeated at the end.

use super::Found;
use super::command::{answers, cargo, succeeds, target};
use crate::say::say;
use anyhow::Context;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const MARK: &str = "SKIPPED:";

pub(super) fn run() -> anyhow::Result<Found> {
    if answers(cargo().args(["nextest", "--version"])) {
        nextest()
    } else {
        say("cargo-nextest is not installed: cargo test does it, more slowly");
        cargo_test(&[
            "test",
            "--locked",
            "--workspace",
            "--all-targets",
            "--no-fail-fast",
            "--",
            "--show-output",
            "--test-threads=1",
        ])
    }
}

/// The examples in the documentation, which nextest does not run.
pub(super) fn run_doc() -> anyhow::Result<Found> {
    cargo_test(&[
        "test",
        "--locked",
        "--workspace",
        "--doc",
        "--no-fail-fast",
        "--",
        "--show-output",
    ])
}

/// Nextest prints for people and writes a report for us: the profile `ci` says where.
fn nextest() -> anyhow::Result<Found> {
    let report = target()?.join("nextest/ci/junit.xml");
    if report.exists() {
        std::fs::remove_file(&report).with_context(|| format!("remove {}", report.display()))?;
    }
    let arguments = [
        "nextest",
        "run",
        "--locked",
        "--workspace",
        "--profile",
        "ci",
        "--no-fail-fast",
    ];
    let passed = succeeds(cargo().args(arguments))?;
    let Ok(text) = std::fs::read_to_string(&report) else {
        return Ok(Found::of(passed)); // it did not build: the words are above
    };
    let mut found = read_report(&text);
    if !passed && found.failed == 0 {
        found.failed = 1;
    }
    Ok(found)
}

/// Counts the cases of a JUnit report and takes the `SKIPPED:` lines out of their output.
fn read_report(xml: &str) -> Found {
    let mut found = Found::default();
    for case in xml.split("<testcase ").skip(1) {
        let skips: Vec<&str> = case.lines().filter_map(skip_in).collect();
        if case.contains("<failure") || case.contains("<error") {
            found.failed += 1;
        } else if skips.is_empty() {
            found.passed += 1;
        } else {
            found.skipped += 1;
        }
        let name = unescape(attribute(case, "name").unwrap_or("?"));
        found.skips.extend(
            skips
                .iter()
                .map(|why| format!("{} ({name})", unescape(why))),
        );
    }
    found
}

/// What stands after the mark; the line may open with the element that holds the output.
fn skip_in(line: &str) -> Option<&str> {
    let line = match line.rfind("<system-") {
        Some(at) => line[at..].split_once('>').map_or("", |(_, rest)| rest),
        None => line,
    };
    let why = line.trim().strip_prefix(MARK)?;
    Some(why.split("</system-").next().unwrap_or(why).trim())
}

fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = element.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

fn unescape(text: &str) -> String {
    let pairs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Runs cargo's own tests, passing their lines on and reading their results on the way.
fn cargo_test(arguments: &[&str]) -> anyhow::Result<Found> {
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    let mut command = cargo();
    command
        .args(arguments)
        .stdout(writer.try_clone().context("double a pipe")?)
        .stderr(writer);
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .context("start cargo test")?;
    drop(command); // and with it our writing ends, else the pipe never ends
    let mut reading = Reading::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.context("read from cargo test")?;
        let line = String::from_utf8_lossy(&line);
        say(&line);
        reading.line(&line);
    }
    let mut found = reading.found;
    let status = child.wait().context("wait for cargo test")?;
    if !status.success() && found.failed == 0 {
        found.failed = 1;
    }
    Ok(found)
}

/// Reads libtest's output line by line.
#[derive(Default)]
struct Reading {
    found: Found,
    /// Tests of the running binary that said they skipped: libtest counts them as passed.
    skipped: usize,
    /// Whether the test whose output is being read has said so already.
    told: bool,
}

impl Reading {
    fn line(&mut self, line: &str) {
        if line.starts_with("---- ") {
            self.told = false;
        } else if let Some(why) = line.trim().strip_prefix(MARK) {
            self.found.skips.push(why.trim().to_owned());
            self.skipped += usize::from(!self.told);
            self.told = true;
        } else if let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        {
            self.result(counts);
        }
    }

    /// `3 passed; 0 failed; 1 ignored; …`, the end of one binary.
    fn result(&mut self, counts: &str) {
        let skipped = std::mem::take(&mut self.skipped);
        self.told = false;
        self.found.skipped += skipped;
        for part in counts.split("; ") {
            let (number, word) = part.split_once(' ').unwrap_or((part, ""));
            let number: usize = number.parse().unwrap_or(0);
            match word {
                "passed" => self.found.passed += number.saturating_sub(skipped),
                "failed" => self.found.failed += number,
                "ignored" => self.found.skipped += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod self_tests {
    use super::*;

    #[test]
    fn a_report_is_counted_and_its_skips_are_told() {
        let xml = r#"<testsuites name="ci" tests="4" failures="1">
  <testsuite name="a">
    <testcase name="it::works" classname="a" time="0.1">
    </testcase>
    <testcase name="it::is_far" classname="a" time="0.1">
      <system-out>running 1 test
SKIPPED: needs root &amp; a kernel
</system-out>
      <system-err>SKIPPED: no &lt;bpf&gt;</system-err>
    </testcase>
    <testcase name="fails" classname="a" time="0.1">
      <failure type="test failure">it SKIPPED: not</failure>
    </testcase>
  </testsuite>
</testsuites>"#;
        assert_eq!(
            read_report(xml),
            Found {
                passed: 1,
                failed: 1,
                skipped: 1,
                skips: vec![
                    "needs root & a kernel (it::is_far)".into(),
                    "no <bpf> (it::is_far)".into()
                ],
            }
        );
    }

    #[test]
    fn cargo_tests_own_lines_are_counted() {
        let mut reading = Reading::default();
        for line in [
            "---- far stdout ----",
            "SKIPPED: needs root",
            "SKIPPED: and a kernel",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.0s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            reading.line(line);
        }
        let found = reading.found;
        assert_eq!((found.passed, found.failed, found.skipped), (3, 2, 2));
        assert_eq!(found.skips, ["needs root", "and a kernel"]);
    }
}
