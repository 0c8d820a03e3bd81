//! The keeper: privilege, children, sockets, and a loop that never blocks.
//!
//! Everything happens in [`Keeper::run`]: one poll set, one turn for each batch of events, timers
//! between the turns. The other files of this module are what it does with each kind of event.

mod check;
mod ending;
mod folder;
mod helper;
mod instance;
mod listeners;
mod orders;
mod roles;
mod routers;
mod spawned;
mod state;
mod supervise;
mod token;
mod turn;
mod uids;
mod views;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};
use state::Keeper;
use std::os::fd::OwnedFd;
use toft_link::Link;
use toft_model::instance::Refusal;
use toft_model::message::{ToUp, UpOrder};

/// How long the first packet may take.
const ORDER_WITHIN_MS: u32 = 10_000;

/// Why a keeper ended without having been told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was handed over is no lifeline.
    #[error("standard input is no lifeline: the keeper is started by `toft up`, not by hand")]
    NotALifeline,
    /// No order came over the lifeline.
    #[error("no order came over the lifeline")]
    NoOrder,
    /// It could not do what it was ordered. `up` was told so too.
    #[error("{0}")]
    Refused(Refusal),
    /// A system call without which there is no keeper.
    #[error("{step}: {errno}")]
    System {
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

/// Keeps what one `toft up` started, until that ends.
///
/// `lifeline` is a seqpacket socket whose other end `up` holds; its first packet is an
/// [`UpOrder`]. Comes back when everything has ended and was removed: in good order after
/// `FromUp::End` or a signal, at once when the lifeline ends.
pub fn run_up(lifeline: OwnedFd) -> Result<(), Error> {
    check_lifeline(&lifeline)?;
    let mut up = Link::new(lifeline);
    let order = match up.recv_within::<UpOrder>(ORDER_WITHIN_MS) {
        Ok(Some((order, _))) => order,
        _ => return Err(Error::NoOrder),
    };
    let signals =
        crate::system::signals(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP]).map_err(|errno| {
            Error::System {
                step: "take signals",
                errno,
            }
        })?;
    match Keeper::start(order, signals) {
        Ok(keeper) => keeper.run(up),
        Err(refusal) => {
            // When nobody listens any more, the error says it all the same.
            let _ = up.send(&ToUp::Failed(refusal.clone()), vec![]);
            Err(Error::Refused(refusal))
        }
    }
}

fn check_lifeline(lifeline: &OwnedFd) -> Result<(), Error> {
    let kind = (
        sockopt::socket_domain(lifeline),
        sockopt::socket_type(lifeline),
    );
    match kind {
        (Ok(AddressFamily::UNIX), Ok(SocketType::SEQPACKET)) => Ok(()),
        _ => Err(Error::NotALifeline),
    }
}

/// A step that a system call refused, in words.
fn failed(step: impl Into<String>, cause: impl ToString) -> Refusal {
    Refusal {
        step: step.into(),
        cause: cause.to_string(),
        cure: None,
    }
}
