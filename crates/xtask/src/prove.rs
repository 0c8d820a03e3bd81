//! `cargo xtask prove NAME`: long seeded proofs that print their counts.

use crate::{Entry, dispatch};

const ENTRIES: &[Entry] = &[];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<bool> {
    dispatch("prove", ENTRIES, arguments)
}
