//! The keeper with its spawner and logger: the processes that hold what runs.
//!
//! - [`keeper`]: the only one with privilege. One thread, one loop that never blocks. It owns the
//!   children, their pidfds and exit codes, the sockets that it makes for others and copies of every
//!   log pipe. It reads and writes no network socket, and judges each message from server, edge and
//!   doors as if its sender had been taken over.
//! - [`spawner`]: stateless. Makes views, clones instances as the keeper's children, makes sockets
//!   in their networks. What is slow stalls it, never the keeper.
//! - [`logger`]: unprivileged. Reads the pipes, writes frames into rings, counts what it drops.
//!
//! The binary calls the three `run` functions with the descriptor that its parent left at number 3.

pub mod keeper;
pub mod logger;
pub mod spawner;

mod bucket;
mod poll;
mod system;
