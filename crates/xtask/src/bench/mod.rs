//! `cargo xtask bench NAME`: measures beside a peer, both sides interleaved in one run.
//!
//! A benchmark prints ratios, processor time and spread, and ends in lines as they stand in
//! PROMISES.md. It is a program, not a test: it fails only when it cannot measure.

mod idle;
mod memory;
mod meter;
mod networks;
mod peers;
mod processes;
mod save;
mod size;
mod spawner;
mod start;
mod stats;

use crate::{Entry, dispatch};

const ENTRIES: &[Entry] = &[
    Entry {
        name: "start",
        about: "a sandboxed start, spawn to exit, beside bubblewrap and crun",
        run: start::run,
    },
    Entry {
        name: "memory",
        about: "an idle instance beside bubblewrap and crun; all of an idle Toft",
        run: memory::run,
    },
    Entry {
        name: "save",
        about: "save a file under `toft up` to serving it, under load",
        run: save::run,
    },
    Entry {
        name: "size",
        about: "the binary",
        run: size::run,
    },
];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<bool> {
    dispatch("bench", ENTRIES, arguments)
}

/// The number after `--NAME`, or this one.
fn number(arguments: &[String], name: &str, otherwise: usize) -> anyhow::Result<usize> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == name {
            let value = rest
                .next()
                .ok_or_else(|| anyhow::anyhow!("{name} wants a number"))?;
            return Ok(value.parse()?);
        }
    }
    Ok(otherwise)
}
