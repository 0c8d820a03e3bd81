//! The role that faces outside: HTTP from listening sockets to ready instances.
//!
//! One control thread talks to the keeper and to server; one serving thread per listening socket
//! has its own loop, sockets and buffers. Tables, sockets and news of ended instances reach a
//! serving thread through its mailbox; a request never does.

mod accept;
mod client;
mod connection;
mod control;
mod dispatch;
mod drain;
mod held;
mod mail;
mod pool;
mod sockets;
mod table;
mod timers;
mod tunnel;
mod upstream;
mod worker;

#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::path::Path;

/// Why edge ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The keeper is gone, or does not speak as it should.
    #[error("the keeper cannot be heard")]
    Keeper(#[source] toft_link::LinkError),
    /// A loop could not be set up or broke.
    #[error("{what}")]
    Loop {
        /// What was being done.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: rustix::io::Errno,
    },
    /// A serving thread could not be started.
    #[error("a serving thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// A serving thread ended by itself.
    #[error("serving thread {0} ended")]
    WorkerEnded(usize),
}

/// Serves until the keeper is gone. `control` is the link to the keeper, `state` a folder of edge's
/// own, where it keeps its table.
pub fn run(control: OwnedFd, state: &Path) -> Result<(), Error> {
    control::Control::new(control, state)?.run()
}
