//! `cargo xtask prove NAME`: long seeded proofs that print their counts.

use crate::say::say;
use crate::{Entry, dispatch};

const ENTRIES: &[Entry] = &[
    Entry {
        name: "first-minute",
        about: "mutants, hostile probes, the whole product's tests and saves under load, as root and as a plain user",
        run: first_minute,
    },
    Entry {
        name: "mutants",
        about: "[SEED [NUMBER]] mutants of app files are refused with a place, or the change is shown",
        run: mutants,
    },
];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<bool> {
    dispatch("prove", ENTRIES, arguments)
}

type Part = fn(&[String]) -> anyhow::Result<bool>;

/// From a folder to a served, locked-in app: everything that is shown of it, one after the other.
fn first_minute(_arguments: &[String]) -> anyhow::Result<bool> {
    let parts: [(&str, Part); 4] = [
        ("app files", mutants),
        ("hostile probes", crate::probe::run),
        ("the whole product", whole_product),
        ("saves under load", |_| {
            crate::bench::run(&["save".to_owned()])
        }),
    ];
    let mut good = true;
    for (name, part) in parts {
        say(&format!("== {name}"));
        good &= part(&[])?;
    }
    Ok(good)
}

/// The tests that drive the real binary, as root and as a plain user.
fn whole_product(_arguments: &[String]) -> anyhow::Result<bool> {
    let status = std::process::Command::new(env!("CARGO"))
        .args([
            "test",
            "--package",
            "toft",
            "--test",
            "it",
            "--",
            "--test-threads=1",
        ])
        .current_dir(crate::tree::root()?)
        .status()?;
    Ok(status.success())
}

/// Whether no change to an app file was ignored.
fn mutants(arguments: &[String]) -> anyhow::Result<bool> {
    let number =
        |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (seed, count) = (number(0, 1)?, number(1, 2000)?);
    let files = app_files()?;
    let mut texts = toft_appfile::mutate::examples();
    texts.extend(
        files
            .iter()
            .map(|text| (text.as_str(), toft_appfile::Capabilities::now())),
    );
    let counts = toft_appfile::mutate::prove_over(&texts, seed, usize::try_from(count)?);
    say(&format!(
        "{count} mutants of seed {seed}: {} refused with a place, {} accepted with another value shown, \
         {} accepted as another spelling of the same value, {} without any meaning, {} ignored",
        counts.refused,
        counts.accepted_changed,
        counts.respelled,
        counts.void,
        counts.ignored.len()
    ));
    for mutant in &counts.ignored {
        say(&format!("ignored:\n{mutant}"));
    }
    Ok(counts.ignored.is_empty())
}

/// The app files of the examples that have one.
fn app_files() -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(crate::tree::root()?.join("examples"))? {
        let file = entry?.path().join("toft.toml");
        if file.exists() {
            texts.push(std::fs::read_to_string(file)?);
        }
    }
    Ok(texts)
}
