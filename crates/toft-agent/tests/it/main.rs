//! The role server between a keeper, an edge and a doors that this test plays over real links.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what cannot be unwrapped is the failure"
)]

mod rollout;
mod stage;
