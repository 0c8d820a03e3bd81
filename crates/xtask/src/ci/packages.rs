//! Programs of Debian that tests use as real peers and as real apps.

use super::Found;
use super::command::{answers, succeeds};
use crate::say::say;
use std::path::Path;
use std::process::Command;

/// A package, a file of it that shows that it is there, and why it is needed.
struct Package {
    name: &'static str,
    shows: &'static str,
    why: &'static str,
}

const fn package(name: &'static str, shows: &'static str, why: &'static str) -> Package {
    Package { name, shows, why }
}

const PACKAGES: &[Package] = &[
    package(
        "ca-certificates",
        "/etc/ssl/certs/ca-certificates.crt",
        "builds reach package indexes over TLS",
    ),
    package("curl", "/usr/bin/curl", "the client that people use"),
    package(
        "gcc",
        "/usr/bin/gcc",
        "the linker of every Rust build, also of the apps in the tests",
    ),
    package(
        "libc6-dev",
        "/usr/include/stdlib.h",
        "what gcc links against",
    ),
    package(
        "git",
        "/usr/bin/git",
        "a program whose files the `use` sets must find",
    ),
    package(
        "nodejs",
        "/usr/bin/node",
        "Node apps; a large program for the `use` sets",
    ),
    package(
        "postgresql-client",
        "/usr/bin/psql",
        "a script and a program with many libraries for the `use` sets",
    ),
    package(
        "procps",
        "/usr/bin/ps",
        "to compare what runs before and after",
    ),
    package("python3", "/usr/bin/python3", "Python apps"),
    package("python3-pip", "/usr/bin/pip3", "builds of Python apps"),
    package(
        "util-linux",
        "/usr/bin/setpriv",
        "to be a plain user in tests",
    ),
];

pub(super) fn run() -> anyhow::Result<Found> {
    let missing: Vec<&Package> = PACKAGES
        .iter()
        .filter(|p| !Path::new(p.shows).exists())
        .collect();
    if missing.is_empty() {
        say("all there");
        return Ok(Found::of(true));
    }
    for package in &missing {
        say(&format!("missing: {} ({})", package.name, package.why));
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let list = names.join(" ");
    if !answers(Command::new("apt-get").arg("--version")) {
        return Ok(Found::skip(format!("no apt-get here to install {list}")));
    }
    if !is_root() {
        let cure = format!("sudo apt-get install {list}");
        return Ok(Found::skip(format!(
            "only root can install what tests need: {cure}"
        )));
    }
    if !install(&names)? {
        return Ok(Found::skip(format!(
            "apt-get could not install {list}; tests that need them are skipped"
        )));
    }
    Ok(Found::of(true))
}

fn install(names: &[&str]) -> anyhow::Result<bool> {
    // Lists that cannot be refreshed may still do.
    succeeds(Command::new("apt-get").args(["-qq", "update"]))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install.args([
        "-qq",
        "-y",
        "-o",
        "Dpkg::Use-Pty=0",
        "install",
        "--no-install-recommends",
    ]);
    succeeds(install.args(names))
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|line| line.split_whitespace().take(3).eq(["Uid:", "0", "0"]))
}
