//! `cargo xtask probe`: hostile probes outside and inside the sandbox, as one table.

use crate::{Entry, dispatch};

const ENTRIES: &[Entry] = &[];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<bool> {
    dispatch("probe", ENTRIES, arguments)
}
