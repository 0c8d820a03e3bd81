//! The Rust packages beside the workspace: examples are what people copy from, and the fuzz targets
//! are built by another toolchain.

use super::Found;
use super::command::{cargo, succeeds, target};
use anyhow::Context;
use std::path::PathBuf;

/// Formatting, lints and tests of every Rust example; formatting of the fuzz targets.
pub(super) fn run() -> anyhow::Result<Found> {
    let root = crate::tree::root()?;
    let products = target()?.join("examples");
    let mut found = Found::default();
    for manifest in manifests()? {
        let arguments = |verb: &str, rest: &[&str]| {
            let mut command = cargo();
            command
                .arg(verb)
                .arg("--manifest-path")
                .arg(&manifest)
                .args(rest);
            command.env("CARGO_TARGET_DIR", &products);
            command
        };
        let deny = [
            "--locked",
            "--quiet",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        let good = succeeds(&mut arguments("fmt", &["--check"]))?
            && succeeds(&mut arguments("clippy", &deny))?
            && succeeds(&mut arguments("test", &["--locked", "--quiet"]))?;
        found.add(Found::of(good));
    }
    let fuzz = root.join("fuzz/Cargo.toml");
    if fuzz.exists() {
        let mut check = cargo();
        check.args(["fmt", "--check", "--manifest-path"]).arg(fuzz);
        found.add(Found::of(succeeds(&mut check)?));
    }
    Ok(found)
}

fn manifests() -> anyhow::Result<Vec<PathBuf>> {
    let folder = crate::tree::root()?.join("examples");
    let entries =
        std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let manifest = entry.context("read examples")?.path().join("Cargo.toml");
        if manifest.exists() {
            found.push(manifest);
        }
    }
    found.sort();
    Ok(found)
}
