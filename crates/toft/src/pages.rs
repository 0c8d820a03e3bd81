//! `toft static`: serves a folder of static pages; what a detected folder of pages runs.

use crate::failure::{Failure, chain};
use std::path::PathBuf;

/// Serve a folder of static pages
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StaticArgs {
    /// The folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The port to bind
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
}

pub(crate) fn run(args: &StaticArgs) -> Result<(), Failure> {
    crate::static_pages::run(&args.dir, args.port).map_err(|error| {
        Failure::new(
            format!("{} cannot be served", args.dir.display()),
            chain(&error),
        )
    })
}
