//! Programs of Debian that tests use as real peers and as real apps.

use super::Found;
use super::command::{answers, succeeds};
use crate::say::say;
use std::process::Command;

/// Package, and why it is needed.
const PACKAGES: &[(&str, &str)] = &[
    (
        "ca-certificates",
        "builds inside the sandbox reach package indexes over TLS",
    ),
    ("curl", "the client that people use"),
    (
        "gcc",
        "the linker of every Rust build, also of the apps in the tests",
    ),
    ("libc6-dev", "what gcc links against"),
    (
        "git",
        "a dynamically linked program whose files the `use` sets must find",
    ),
    (
        "nodejs",
        "Node apps, and a large program whose files the `use` sets must find",
    ),
    (
        "postgresql-client",
        "a program with many libraries, started inside a sandbox",
    ),
    ("procps", "ps, to compare what runs before and after"),
    ("python3", "Python apps"),
    ("python3-pip", "builds of Python apps"),
    (
        "util-linux",
        "setpriv and unshare, to be a plain user in tests",
    ),
];

pub(super) fn run() -> anyhow::Result<Found> {
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|(name, _)| !installed(name))
        .collect();
    if missing.is_empty() {
        say("all there");
        return Ok(Found::of(true));
    }
    for (name, why) in &missing {
        say(&format!("missing: {name} ({why})"));
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    if !answers(Command::new("apt-get").arg("--version")) {
        return Ok(Found::skip(format!(
            "no apt-get here to install {}",
            names.join(" ")
        )));
    }
    if !is_root() {
        let line = format!("sudo apt-get install {}", names.join(" "));
        return Ok(Found::skip(format!(
            "only root can install what tests need: {line}"
        )));
    }
    if !install(&names)? {
        let line = format!("apt-get could not install {}", names.join(" "));
        return Ok(Found::skip(format!(
            "{line}; tests that need them are skipped"
        )));
    }
    Ok(Found::of(true))
}

fn install(names: &[&str]) -> anyhow::Result<bool> {
    let mut update = Command::new("apt-get");
    // Lists that cannot be refreshed may still do.
    succeeds(update.args(["-q", "update"]))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    succeeds(
        install
            .args(["-q", "-y", "install", "--no-install-recommends"])
            .args(names),
    )
}

/// Whether dpkg knows it as installed; a name that others provide counts by its provider.
fn installed(name: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    let Ok(out) = query
        .args(["-W", "-f", "${db:Status-Status}", name])
        .output()
    else {
        return false;
    };
    out.status.success() && out.stdout.starts_with(b"installed")
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|line| line.split_whitespace().take(3).eq(["Uid:", "0", "0"]))
}
