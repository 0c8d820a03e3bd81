//! One epoll set, level-triggered, and links that are registered with it.

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use serde::Serialize;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use toft_link::{Link, LinkError};

/// The most events of one turn.
const EVENTS_MAX: usize = 256;

/// What a loop waits on.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub(crate) fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Waits for `source` to become readable; `token` comes back.
    pub(crate) fn add(&self, source: impl AsFd, token: u64) -> Result<(), Errno> {
        epoll::add(
            &self.epoll,
            source,
            EventData::new_u64(token),
            EventFlags::IN,
        )
    }

    /// Forgets `source`. Closing its last descriptor does so too, but copies may live elsewhere.
    pub(crate) fn remove(&self, source: impl AsFd) {
        // Forgetting what is not known is no harm.
        let _ = epoll::delete(&self.epoll, source);
    }

    fn set_writing(&self, source: impl AsFd, token: u64, writing: bool) -> Result<(), Errno> {
        let flags = if writing {
            EventFlags::IN | EventFlags::OUT
        } else {
            EventFlags::IN
        };
        epoll::modify(&self.epoll, source, EventData::new_u64(token), flags)
    }

    /// Waits at most `timeout` and puts the tokens of what is ready into `ready`.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<u64>,
    ) -> Result<(), Errno> {
        ready.clear();
        self.events.clear();
        let span = timeout.map(|t| Timespec {
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), span.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(other) => return Err(other),
        }
        ready.extend(self.events.iter().map(|event| event.data.u64()));
        Ok(())
    }
}

/// A link in a poll set.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) link: Link,
    token: u64,
    writing: bool,
}

impl Port {
    pub(crate) fn new(socket: OwnedFd, token: u64, poll: &Poll) -> Result<Self, Errno> {
        Self::adopt(Link::new(socket), token, poll)
    }

    /// The same for a link that has been used already.
    pub(crate) fn adopt(link: Link, token: u64, poll: &Poll) -> Result<Self, Errno> {
        poll.add(&link, token)?;
        Ok(Self {
            link,
            token,
            writing: false,
        })
    }

    /// Sends or queues; what is queued goes out when the loop finds the link writable.
    pub(crate) fn send<M: Serialize>(
        &mut self,
        poll: &Poll,
        message: &M,
        fds: Vec<OwnedFd>,
    ) -> Result<(), LinkError> {
        let sent = self.link.send(message, fds);
        self.arm(poll);
        sent
    }

    /// Sends what waits; call when the token comes up.
    pub(crate) fn flush(&mut self, poll: &Poll) -> Result<(), LinkError> {
        if !self.writing {
            return Ok(());
        }
        let sent = self.link.flush();
        self.arm(poll);
        sent
    }

    fn arm(&mut self, poll: &Poll) {
        let wanted = self.link.wants_write();
        if wanted != self.writing && poll.set_writing(&self.link, self.token, wanted).is_ok() {
            self.writing = wanted;
        }
    }
}
