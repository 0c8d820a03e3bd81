//! The role between apps: for now it watches new instances until they are ready.
//!
//! One thread, one loop. Each watch tries at once and then again after pauses that grow; what the
//! last try met is told in words whenever the words change.

mod attempt;
mod notify;
mod shell;
mod watch;

use std::os::fd::OwnedFd;
use std::path::Path;

/// Why doors ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The keeper is gone, or does not speak as it should.
    #[error("the keeper cannot be heard")]
    Keeper(#[source] toft_link::LinkError),
    /// The loop could not be set up or broke.
    #[error("{what}")]
    Loop {
        /// What was being done.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: rustix::io::Errno,
    },
}

/// Serves until the keeper is gone. `control` is the link to the keeper. `_state` is a folder of its
/// own; a watch that is lost with its process is asked for again by server, so nothing is in it.
pub fn run(control: OwnedFd, _state: &Path) -> Result<(), Error> {
    shell::Shell::new(control)?.run()
}
