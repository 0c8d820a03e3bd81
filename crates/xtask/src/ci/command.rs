//! Programs that steps run.

use anyhow::Context;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Cargo, in the project's root, without the variables that it set for this program itself: some
/// build scripts would see them as a change and run again.
pub(super) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let own = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if own.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    if let Ok(root) = crate::tree::root() {
        command.current_dir(root);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs it with its output to ours; true when it ended with code 0.
pub(super) fn succeeds(command: &mut Command) -> anyhow::Result<bool> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("start {program}"))?;
    Ok(status.success())
}

/// Whether it starts and ends with code 0; its output is thrown away.
pub(super) fn answers(command: &mut Command) -> bool {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Where this project's builds go.
pub(super) fn target() -> anyhow::Result<PathBuf> {
    Ok(match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => folder.into(),
        None => crate::tree::root()?.join("target"),
    })
}
