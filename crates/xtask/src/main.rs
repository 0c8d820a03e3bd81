//! The chores of this project: `cargo xtask VERB`.

mod bench;
mod built;
mod ci;
#[cfg(test)]
mod pages;
mod probe;
mod prove;
mod say;
mod table;
mod tidy;
mod tree;

use say::say;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask VERB

  tidy              what the compiler does not check: the map, lengths, error pages, words
  ci [STEP...]      everything that must hold before a change is kept; ends in one line of counts
  bench NAME        measure beside a peer, in one run; prints ratios and spread
  probe             hostile probes outside and inside the sandbox, as a table
  prove NAME        long seeded proofs; prints their counts";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = match arguments.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("help", &[][..]),
    };
    let done = match verb {
        "tidy" => tidy::run(),
        "ci" => ci::run(rest),
        "bench" => bench::run(rest),
        "probe" => probe::run(rest),
        "prove" => prove::run(rest),
        "help" | "-h" | "--help" => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        unknown => {
            say(&format!("xtask has no verb `{unknown}`\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("xtask {verb}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A named thing that a verb can run: its name, what it is for, and the program.
struct Entry {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> anyhow::Result<bool>,
}

/// Runs the entry that the first argument names; without one, prints the list.
fn dispatch(verb: &str, entries: &[Entry], arguments: &[String]) -> anyhow::Result<bool> {
    let list = || {
        let names = entries
            .iter()
            .map(|e| format!("\n  {:<10} {}", e.name, e.about));
        format!(
            "usage: cargo xtask {verb} NAME{}",
            names.collect::<String>()
        )
    };
    let Some((name, rest)) = arguments.split_first() else {
        say(&list());
        return Ok(false);
    };
    match entries.iter().find(|entry| entry.name == name) {
        Some(entry) => (entry.run)(rest),
        None => anyhow::bail!("no {verb} is named `{name}`\n{}", list()),
    }
}
