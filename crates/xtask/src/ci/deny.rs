//! cargo-deny: licences, doubled packages, origins, and known weaknesses where their list can be
//! reached. A pinned version, built once into `target/tools`.

use super::Found;
use super::command::{answers, cargo, succeeds, target};
use crate::say::say;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "0.20.2";

pub(super) fn run() -> anyhow::Result<Found> {
    let folder = target()?.join("tools");
    let Some(program) = program(&folder)? else {
        return Ok(Found::skip(format!(
            "cargo-deny {VERSION} could not be installed: licences and origins"
        )));
    };
    let arguments = [
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ];
    let mut found = Found::of(succeeds(deny(&program).args(arguments))?);
    if answers(deny(&program).args(["fetch", "db"])) {
        found.add(Found::of(succeeds(deny(&program).args([
            "check",
            "--disable-fetch",
            "advisories",
        ]))?));
    } else {
        found.add(Found::skip(
            "the list of advisories cannot be reached from here",
        ));
    }
    Ok(found)
}

/// `cargo deny`, as cargo would start it.
fn deny(program: &Path) -> Command {
    let mut command = cargo();
    let cargo = command.get_program().to_owned();
    let root = command.get_current_dir().map(Path::to_path_buf);
    command = Command::new(program);
    command.env("CARGO", cargo);
    if let Some(root) = root {
        command.current_dir(root);
    }
    command
}

/// The pinned version, installed if it was not there; `None` when it cannot be had.
fn program(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let program = folder.join("bin/cargo-deny");
    if is_pinned(&program) {
        return Ok(Some(program));
    }
    say(&format!(
        "building cargo-deny {VERSION} once, into {}",
        folder.display()
    ));
    // Not optimised: it builds in a third of the time and still runs in a second.
    let mut install = cargo();
    install.args([
        "install",
        "--locked",
        "--quiet",
        "--debug",
        "cargo-deny",
        "--version",
        VERSION,
        "--root",
    ]);
    let done = succeeds(install.arg(folder))?;
    Ok((done && is_pinned(&program)).then_some(program))
}

fn is_pinned(program: &Path) -> bool {
    let version = Command::new(program).arg("--version").output();
    version.is_ok_and(|out| {
        String::from_utf8_lossy(&out.stdout)
            .trim()
            .ends_with(VERSION)
    })
}
