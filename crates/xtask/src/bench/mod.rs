//! `cargo xtask bench NAME`: measures beside a peer, both sides interleaved in one run.

use crate::{Entry, dispatch};

const ENTRIES: &[Entry] = &[];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<bool> {
    dispatch("bench", ENTRIES, arguments)
}
