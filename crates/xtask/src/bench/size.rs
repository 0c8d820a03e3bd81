//! The size of the binary.

use crate::built::{self, Profile};
use crate::say::say;
use anyhow::Result;

pub(crate) fn run(_: &[String]) -> Result<bool> {
    let toft = built::toft(Profile::Release)?;
    let mib = std::fs::metadata(&toft)?.len() as f64 / f64::from(1 << 20);
    say(&format!(
        "| size of the binary | {mib:.1} MiB | — | `cargo xtask bench size` |"
    ));
    Ok(true)
}
