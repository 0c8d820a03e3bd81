//! Binaries of this workspace, built before they are measured or attacked.

use crate::tree;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// How they are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As tests are.
    Dev,
    /// As people get them.
    Release,
}

/// The `toft` that is measured or attacked: the one that `TOFT_BIN` names (not below /tmp, which is
/// hidden on a stage), else a fresh build.
pub(crate) fn toft(profile: Profile) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("TOFT_BIN") {
        return Ok(PathBuf::from(given));
    }
    let [toft] = binaries(profile, [("toft", "toft")])?;
    Ok(toft)
}

/// Builds these binaries (package and name) and returns their paths, in order.
pub(crate) fn binaries<const N: usize>(
    profile: Profile,
    wanted: [(&str, &str); N],
) -> Result<[PathBuf; N]> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg("build").current_dir(tree::root()?);
    for (package, name) in wanted {
        command.args(["--package", package, "--bin", name]);
    }
    if profile == Profile::Release {
        command.arg("--release");
    }
    // The paths come as JSON on standard output; what people read goes to standard error.
    command.args(["--message-format", "json-render-diagnostics"]);
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("run cargo")?;
    if !output.status.success() {
        bail!("cargo build ended with {}", output.status);
    }
    let text = String::from_utf8(output.stdout).context("read what cargo built")?;
    let mut paths = Vec::new();
    for (_, name) in wanted {
        let path = text
            .lines()
            .filter_map(executable)
            .find(|path| path.file_name().is_some_and(|n| n == name));
        paths.push(path.with_context(|| format!("cargo built no `{name}`"))?);
    }
    Ok(paths.try_into().expect("one path for each that was wanted"))
}

/// The path in a line that tells of an executable.
fn executable(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(PathBuf::from(message.get("executable")?.as_str()?))
}
