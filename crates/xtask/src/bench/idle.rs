//! All of an idle Toft: one small app served, nobody asks.

use super::memory::idle_promise;
use super::processes;
use crate::say::say;
use crate::tree;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;
use toft_testkit::stage::{Net, Stage};
use toft_testkit::up::Options;

/// Prints the share of memory of each process of a `toft up` that serves a static page.
pub(crate) fn print(toft: &Path) -> Result<()> {
    let toft = toft.to_owned();
    let played = std::thread::spawn(move || play(&toft)).join();
    played.map_err(|_| anyhow::anyhow!("the idle Toft broke"))?
}

fn play(toft: &Path) -> Result<()> {
    let stage = Stage::new(Net::Own)?;
    let folder = stage.dir().join("pages");
    std::fs::create_dir(&folder)?;
    std::fs::copy(
        tree::root()?.join("examples/pages/index.html"),
        folder.join("index.html"),
    )?;
    let mut up = Options::up(toft, &folder, 8080).start()?;
    let url = up.url(Duration::from_secs(60))?;
    toft_testkit::http::get(&url).context("ask once")?;
    let shares = processes::shares()?;
    up.end(Duration::from_secs(30))?;
    say("all of an idle Toft that serves a static page; proportional set size in KiB\n");
    for share in &shares {
        let whose = if share.own { "toft" } else { "the app" };
        say(&format!("{:<28} {:>8}  {whose}", share.name, share.pss_kib));
    }
    let own: u64 = shares
        .iter()
        .filter(|share| share.own)
        .map(|share| share.pss_kib)
        .sum();
    say("");
    say(&idle_promise(own as f64 / 1024.0));
    Ok(())
}
