//! What the processes of a running `toft up` hold.

use anyhow::{Context, Result};
use std::fs;
use toft_testkit::inventory::{Process, descendants};

/// One process and its share of memory.
#[derive(Debug)]
pub(crate) struct Share {
    /// Its role, or the program that it runs.
    pub(crate) name: String,
    /// Whether it is one of Toft's own rather than an app's.
    pub(crate) own: bool,
    /// Proportional set size in KiB.
    pub(crate) pss_kib: u64,
}

/// All descendants of this process, by their command lines.
pub(crate) fn shares() -> Result<Vec<Share>> {
    let mut shares: Vec<Share> = descendants()?
        .iter()
        .filter_map(|process| share(process).ok())
        .collect();
    shares.sort_by(|a, b| b.own.cmp(&a.own).then(a.name.cmp(&b.name)));
    Ok(shares)
}

fn share(process: &Process) -> Result<Share> {
    let pid = process.pid;
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let pss = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .context("no Pss")?;
    let pss_kib = pss.trim().trim_end_matches(" kB").trim().parse()?;
    let line = fs::read(format!("/proc/{pid}/cmdline"))?;
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let program = words
        .first()
        .map(|word| word.rsplit('/').next().unwrap_or_default())
        .unwrap_or_default();
    let verb = words.get(1).cloned().unwrap_or_default();
    // A static page is served by Toft's own program, but as an app.
    let own = (program.starts_with("toft") || program == "exe") && verb != "static";
    Ok(Share {
        name: format!("{program} {verb}").trim().to_owned(),
        own,
        pss_kib,
    })
}
