//! The role server between a keeper, an edge and a doors that this test plays over real links.

mod rollout;
mod stage;
