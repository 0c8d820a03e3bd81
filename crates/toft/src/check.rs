//! `toft check`: reads an app's file and says what is wrong with it, or what it comes to.

use crate::failure::Failure;
use crate::say::{Ink, Screen};
use crate::up::{OverrideArgs, load};
use std::path::PathBuf;

/// Read an app's file and say what is wrong with it, or what it comes to
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CheckArgs {
    /// The folder with the code
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Print every effective value and where it was said
    #[arg(long)]
    explain: bool,
    /// Print the app file that the values come to
    #[arg(long, conflicts_with_all = ["explain", "json"])]
    toml: bool,
    /// Print for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: OverrideArgs,
}

pub(crate) fn run(args: &CheckArgs, screen: Screen) -> Result<(), Failure> {
    match load(&args.dir, &args.overrides)? {
        Err(report) => {
            let count = report.len();
            if args.json {
                screen.data(&serde_json::json!({ "mistakes": report.entries() }).to_string());
            } else {
                screen.words(report.render(screen.colour_err).trim_end());
            }
            let mistakes = if count == 1 {
                "1 mistake".to_owned()
            } else {
                format!("{count} mistakes")
            };
            Err(Failure::new(format!("{mistakes} in the app's file"), "")
                .next("toft explain CODE tells more of each"))
        }
        Ok(loaded) => {
            let decoded = loaded.decoded;
            if args.json {
                screen.data(
                    &serde_json::json!({
                        "app": decoded.spec,
                        "values": decoded.explained,
                        "warnings": decoded.warnings.entries(),
                    })
                    .to_string(),
                );
                return Ok(());
            }
            if !decoded.warnings.is_empty() {
                screen.words(decoded.warnings.render(screen.colour_err).trim_end());
            }
            if args.explain {
                screen.data(decoded.explained.to_string().trim_end());
            } else if args.toml {
                screen.data(decoded.explained.to_toml().trim_end());
            } else {
                screen.step(
                    Ink::Good,
                    "good",
                    &format!("{}: {}", decoded.spec.name, loaded.words),
                );
            }
            Ok(())
        }
    }
}
