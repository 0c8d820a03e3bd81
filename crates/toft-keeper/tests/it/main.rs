//! Keepers, spawners and loggers as real processes, with played roles.
//!
//! This binary plays every part: started plainly it is the tests; started as `keeper`, `spawner`
//! or `logger` it is that; as `server`, `edge` and `doors` it passes on whatever the tests say; as
//! `app` it is a program that misbehaves as asked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the played programs print; so do skips"
)]

mod app;
mod keeper;
mod killed;
mod limits;
mod logger;
mod played;
mod serving;
mod world;

use libtest_mimic::{Arguments, Failed, Trial};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::ExitCode;

fn link() -> OwnedFd {
    // SAFETY: whoever started us in a role left a socket at this number, and nothing else uses it.
    unsafe { OwnedFd::from_raw_fd(3) }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let done = |result: Result<(), String>| match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", arguments[1]);
            ExitCode::FAILURE
        }
    };
    // Cargo's name of this binary has a hash in it; whoever starts it in a part says `toft` or `it`.
    let name = arguments[0].rsplit('/').next().unwrap_or_default();
    let part = arguments.get(1).filter(|_| name == "toft" || name == "it");
    match part.map(String::as_str) {
        Some("keeper") => done(toft_keeper::keeper::run_up(link()).map_err(|e| e.to_string())),
        Some("spawner") => done(toft_keeper::spawner::run(link()).map_err(|e| e.to_string())),
        Some("logger") => done(toft_keeper::logger::run(link()).map_err(|e| e.to_string())),
        Some("server") => played::server(link()),
        Some(role @ ("edge" | "doors")) => played::router(role, link()),
        Some("app") => app::run(&arguments[2..]),
        _ => tests(),
    }
}

fn tests() -> ExitCode {
    let arguments = Arguments::from_args();
    let all = [
        logger::tests(),
        keeper::tests(),
        killed::tests(),
        limits::tests(),
        serving::tests(),
    ];
    let trials = all.into_iter().flatten().map(|(name, test)| {
        Trial::test(name, move || -> Result<(), Failed> {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A named test.
pub(crate) type Test = (&'static str, fn());
