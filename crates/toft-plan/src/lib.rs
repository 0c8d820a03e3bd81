//! Every decision, pure: from (wanted, seen, now) to actions, each with its reason.
//!
//! Nothing here reads a clock, draws a random number, logs or does IO. The caller folds what it saw
//! into [`App`], asks [`decide`] what to do, carries it out and folds that in by [`App::apply`].

pub mod backoff;
pub mod rollout;
pub mod state;

pub use backoff::Schedule;
pub use rollout::decide;
pub use state::{Action, App, Instance, Millis, Phase, Process, Release, Seen, Slot};
