//! `toft doctor`: what this machine's kernel can hold an app to, and what it lacks.

use crate::failure::Failure;
use crate::say::Screen;

/// What this machine's kernel can hold an app to, and what it lacks
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Print for programs
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(_args: &DoctorArgs, _screen: Screen) -> Result<(), Failure> {
    Ok(())
}
