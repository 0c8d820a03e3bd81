//! The link to server, which comes and goes: what cannot be said now is said to the next one.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use toft_link::{Link, LinkError};

/// The most messages that wait for a server; the oldest give way.
const UNSAID_MAX: usize = 4096;

/// The link to server, if there is one.
pub(crate) struct Server<M> {
    link: Option<Link>,
    unsaid: VecDeque<M>,
}

impl<M: Serialize> Server<M> {
    pub(crate) fn new() -> Self {
        Self {
            link: None,
            unsaid: VecDeque::new(),
        }
    }

    /// A new link takes the place of the one before.
    pub(crate) fn attach(&mut self, fd: OwnedFd) {
        self.link = Some(Link::new(fd));
        self.flush();
    }

    /// Says it, now or later.
    pub(crate) fn tell(&mut self, message: M) {
        if self.unsaid.len() == UNSAID_MAX {
            self.unsaid.pop_front();
        }
        self.unsaid.push_back(message);
        self.flush();
    }

    /// Says what waits.
    pub(crate) fn flush(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        let mut result = link.flush();
        while result.is_ok()
            && let Some(message) = self.unsaid.front()
        {
            result = link.send(message, vec![]);
            if result.is_ok() {
                self.unsaid.pop_front();
            }
        }
        if let Err(error) = result {
            self.lose(&error);
        }
    }

    /// The next message.
    pub(crate) fn recv<R: DeserializeOwned>(&mut self) -> Option<R> {
        while let Some(link) = &mut self.link {
            match link.recv::<R>() {
                Ok(Some((message, _))) => return Some(message),
                Ok(None) => return None,
                Err(LinkError::Decode(error)) => {
                    tracing::warn!(%error, "a message of server was not understood");
                }
                Err(error) => self.lose(&error),
            }
        }
        None
    }

    /// What to wait on, and whether for room to write too.
    pub(crate) fn link(&self) -> Option<(impl AsFd + '_, bool)> {
        self.link.as_ref().map(|link| (link, link.wants_write()))
    }

    fn lose(&mut self, error: &LinkError) {
        tracing::info!(%error, "server is gone; going on without it");
        self.link = None;
    }
}
