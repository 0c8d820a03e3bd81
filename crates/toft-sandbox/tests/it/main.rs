//! The kernel floor: real namespaces, real mounts, real filters.
//!
//! Everything runs twice: as root, and by `user.rs` as a plain user in a namespace of his own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::print_stderr, reason = "what was skipped is said loudly")]

mod budgets;
mod files;
mod help;
mod inside;
mod network;
mod running;
mod user;
mod walls;
