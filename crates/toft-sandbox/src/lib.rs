//! From an order to a process that the kernel holds to it.
//!
//! The spawner of a keeper calls this crate: it builds file trees ([`view`]), makes control groups
//! ([`cgroup`]), clones instances ([`spawn`]) and makes sockets inside their networks ([`sockets`]).
//! Everything is synchronous; the caller is small and has one thread.
//!
//! A spawner calls [`shed_bounding_set`] once and [`warm`] whenever it waits: both make starts quicker
//! and may be left out.
//!
//! Every wall stands or the start is refused. A budget is held by the best that the machine has,
//! and [`Spawned::budgets`] says by what.
//!
//! In both modes an instance has its own mounts, process tree, IPC, host name, cgroup view and,
//! with `Network::Doors`, network; no capability, no new privileges, a Landlock domain and a
//! system call filter. As root its user id is fresh on the machine too. As a plain user all its
//! namespaces belong to the keeper's user namespace and it stands in one below, as user
//! [`INNER_UID`]; outside it is the person, whose supplementary groups it keeps, because the
//! kernel lets a plain user drop none.

mod bpf;
pub mod cgroup;
mod child;
mod error;
pub mod features;
pub mod init;
mod kernel;
mod landlock;
mod listening;
mod mount;
mod netns;
mod own;
pub mod process;
mod program;
mod seccomp;
pub mod sockets;
mod spawning;
mod userns;
pub mod view;

pub use error::{Error, Step};
pub use init::{Status, decode_status};
pub use listening::listening;
pub use spawning::{Input, Spawned, shed_bounding_set, spawn, spawn_as_child, warm};
pub use userns::enter_user_namespace;

/// The user and group id that a plain user's app sees itself as.
pub const INNER_UID: u32 = 1000;

/// Name of the notify socket, abstract, in the instance's own network namespace.
pub const NOTIFY_NAME: &str = "toft/notify";
