//! `cargo xtask probe`: hostile probes outside and inside an app, as one table.

use crate::built::{self, Profile};
use crate::say::say;
use anyhow::{Result, bail};
use toft_testkit::probe::{Kind, Tools, Walls, drive};
use toft_testkit::user;

const USAGE: &str = "usage: cargo xtask probe [--root | --user] [--bwrap] [--json FILE]

  --root, --user  one kind of user only; without it both
  --bwrap         the same app in bubblewrap, to see how another sandbox does
  --json FILE     the whole table as data, too";

/// Prints the table; true when nothing undeclared got through and every probe was shown.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let mut kinds = vec![Kind::Root, Kind::User];
    let mut bubblewrap = false;
    let mut json = None;
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        match argument {
            "--root" => kinds = vec![Kind::Root],
            "--user" => kinds = vec![Kind::User],
            "--bwrap" => bubblewrap = true,
            "--json" => json = rest.next(),
            other => bail!("`{other}` is not an option\n{USAGE}"),
        }
    }
    if !user::is_root() {
        toft_testkit::skipped("the probes' targets are set up by root");
        return Ok(false);
    }
    let [probes] = built::binaries(Profile::Dev, [("toft-testkit", "toft-probes")])?;
    let walls = if bubblewrap {
        Walls::Bubblewrap
    } else {
        let toft = built::toft(Profile::Dev)?;
        Walls::Toft(toft)
    };
    let table = drive(&Tools { probes, walls }, &kinds)?;
    say(&table.to_string());
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&table)?)?;
    }
    Ok(table.is_good())
}
