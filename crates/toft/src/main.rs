//! Toft: one program that makes plain Linux machines into a small cloud.
//!
//! This file reads the command line, hands it to one verb and turns its end into an exit code:
//! 0 done, 1 failed, 2 usage.

mod check;
mod doctor;
mod explain;
mod failure;
mod pages;
mod roles;
mod say;
mod setup;
mod static_pages;
mod up;
mod uses;

use clap::Parser;
use failure::{Code, Failure};
use say::Screen;
use std::process::ExitCode;

/// Apps on plain Linux machines: each in a sandbox that the kernel holds, behind a built-in router
#[derive(Debug, Parser)]
#[command(
    name = "toft",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Toft {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Serve a folder from a sandbox, and again at each save
    Up(up::UpArgs),
    /// Read an app's file and say what is wrong with it, or what it comes to
    Check(check::CheckArgs),
    /// Named sets of the machine's files that an app may be shown
    Use(uses::UseArgs),
    /// What this machine's kernel can hold an app to, and what it lacks
    Doctor(doctor::DoctorArgs),
    /// Give a machine what `toft doctor` misses (needs root)
    Setup(setup::SetupArgs),
    /// What an error code means and what to do about it
    Explain(explain::ExplainArgs),
    /// Serve a folder of static pages
    #[command(hide = true)]
    Static(pages::StaticArgs),
    #[command(flatten)]
    Role(roles::RoleVerb),
}

fn main() -> ExitCode {
    let arguments = match Toft::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are what was asked for; everything else is a usage error. When the
            // terminal is gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                Code::Usage as u8
            } else {
                0
            });
        }
    };
    let screen = Screen::detect();
    match run(arguments.verb, screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(&screen);
            ExitCode::from(failure.code as u8)
        }
    }
}

fn run(verb: Verb, screen: Screen) -> Result<(), Failure> {
    match verb {
        Verb::Up(args) => match up::run(&args, screen)? {
            true => Ok(()),
            false => Err(Failure::new("nothing was served", "the app never came up")),
        },
        Verb::Check(args) => check::run(&args, screen),
        Verb::Use(args) => uses::run(&args, screen),
        Verb::Doctor(args) => doctor::run(&args, screen),
        Verb::Setup(args) => setup::run(&args, screen),
        Verb::Explain(args) => explain::run(&args, screen),
        Verb::Static(args) => pages::run(&args),
        Verb::Role(role) => roles::run(role),
    }
}
