//! What tests and benchmarks of the whole product are made of.
//!
//! A [`stage::Stage`] is a piece of the machine in which only the test's own processes act, so that
//! an [`inventory`] taken before and after tells exactly what was left behind. [`up::Up`] drives the
//! real binary on it as a person would, [`user::Plain`] does so as a plain user, [`http`] is the
//! client, [`probe`] the hostile programs that an app must not get anything out of.
//!
//! Nothing here is part of the product: errors are `anyhow`, and a broken expectation is an error
//! that says what was seen.

pub mod clock;
pub mod http;
pub mod inventory;
pub mod probe;
pub mod stage;
pub mod up;
pub mod user;
pub mod wait;

/// Says loudly that a test cannot run here; the test then returns.
///
/// The chore that runs all tests collects these lines and shows them at its end.
#[expect(clippy::print_stderr, reason = "a skipped test must be heard")]
pub fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
