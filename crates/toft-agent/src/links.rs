//! Links on the event loop.

use crate::pollable::{Pollable, register};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::fd::OwnedFd;
use toft_link::{Link, LinkError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A link that tasks can wait on.
pub(crate) struct AsyncLink {
    inner: AsyncFd<Pollable<Link>>,
}

impl AsyncLink {
    pub(crate) fn new(socket: OwnedFd) -> std::io::Result<Self> {
        let inner = register(Link::new(socket), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { inner })
    }

    /// Sends or queues; what is queued goes out while [`AsyncLink::recv`] is waited on.
    pub(crate) fn send<M: Serialize>(
        &mut self,
        message: &M,
        fds: Vec<OwnedFd>,
    ) -> Result<(), LinkError> {
        self.inner.get_mut().0.send(message, fds)
    }

    /// The next message. Safe to cancel.
    pub(crate) async fn recv<M: DeserializeOwned>(
        &mut self,
    ) -> Result<(M, Vec<OwnedFd>), LinkError> {
        loop {
            if let Some(found) = self.inner.get_mut().0.recv()? {
                return Ok(found);
            }
            let interest = if self.inner.get_ref().0.wants_write() {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            let mut ready = self.inner.ready_mut(interest).await.map_err(broken)?;
            let link = &mut ready.get_inner_mut().0;
            link.flush()?;
            match link.recv()? {
                Some(found) => return Ok(found),
                None => ready.clear_ready(),
            }
        }
    }
}

fn broken(error: std::io::Error) -> LinkError {
    LinkError::Io(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
}

/// Waits on a link that may not be there.
pub(crate) async fn recv_from<M: DeserializeOwned>(
    link: &mut Option<AsyncLink>,
) -> Result<(M, Vec<OwnedFd>), LinkError> {
    match link {
        Some(link) => link.recv().await,
        None => std::future::pending().await,
    }
}
