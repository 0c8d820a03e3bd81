//! What one thread keeps of each connection.

use super::held::Held;
use crate::http1::{Cause, Exchange, HeadScan};
use crate::limits::{CONNECT_PAUSE_MIN, TRIES_MAX};
use crate::net::Pending;
use crate::slab::Key;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// What a client's connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Reading the next head, or resting before it.
    Head,
    /// A request waits for a socket of this pool.
    Queued(Key),
    /// A request is on this upstream socket.
    Active(Key),
    /// Bytes go both ways between it and this upstream socket.
    Tunnel(Key),
    /// The last answer is being sent, then the connection ends.
    Ending,
    /// The answer is sent; what still comes is thrown away for a while.
    Lingering,
}

/// A client's connection.
pub(super) struct Front {
    pub(super) fd: OwnedFd,
    pub(super) address: Box<str>,
    pub(super) stage: Stage,
    /// The kernel may have bytes for us.
    pub(super) readable: bool,
    /// The other side ended its half: read on until that is seen.
    pub(super) half_closed: bool,
    /// That end was read.
    pub(super) ended: bool,
    /// Bytes that were read and not used yet.
    pub(super) read: Held,
    pub(super) scan: HeadScan,
    pub(super) out: Pending,
    pub(super) exchange: Option<Exchange>,
    /// The request's bytes while it waits for a socket.
    pub(super) held: Vec<u8>,
    /// Which upstream the request goes to, for another try.
    pub(super) rotation: usize,
    pub(super) repeatable: bool,
    /// A resting connection died under it: the next one is a new one.
    pub(super) fresh_only: bool,
    /// It was sent and lost once already.
    pub(super) repeated: bool,
    pub(super) tried: [Option<Key>; TRIES_MAX as usize],
    /// A connection that was not taken is tried anew until then, after this pause next time.
    pub(super) connect_by: Instant,
    pub(super) connect_pause: Duration,
    /// What the last try met.
    pub(super) met: Option<Cause>,
    /// Bytes of the client may be unread when the last answer goes.
    pub(super) lingers: bool,
    pub(super) deadline: Instant,
    /// The entry among the timers that counts.
    pub(super) timer: Instant,
}

impl Front {
    pub(super) fn new(fd: OwnedFd, address: Box<str>, deadline: Instant) -> Self {
        Self {
            fd,
            address,
            stage: Stage::Head,
            readable: false,
            half_closed: false,
            ended: false,
            read: Held::default(),
            scan: HeadScan::default(),
            out: Pending::default(),
            exchange: None,
            held: Vec::new(),
            rotation: 0,
            repeatable: false,
            fresh_only: false,
            repeated: false,
            tried: [None; TRIES_MAX as usize],
            connect_by: deadline,
            connect_pause: CONNECT_PAUSE_MIN,
            met: None,
            lingers: false,
            deadline,
            timer: deadline,
        }
    }

    /// The upstream socket that it is joined to.
    pub(super) fn back(&self) -> Option<Key> {
        match self.stage {
            Stage::Active(back) | Stage::Tunnel(back) => Some(back),
            _ => None,
        }
    }

    /// Remembers that this pool was tried, and what was met there.
    pub(super) fn was_tried(&mut self, pool: Key, met: Cause) {
        self.met = Some(met);
        if let Some(place) = self.tried.iter_mut().find(|place| place.is_none()) {
            *place = Some(pool);
        }
    }

    /// Whether another pool may be tried.
    pub(super) fn may_try(&self) -> bool {
        self.tried.iter().any(Option::is_none)
    }

    /// Whether bytes of the client wait here or in the kernel.
    pub(super) fn has_unread(&self) -> bool {
        self.readable || !self.read.is_empty()
    }
}

/// What an upstream socket is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Not connected.
    Blank,
    /// Connected, without a request, since then.
    Resting(Instant),
    /// With the request of this client, or its tunnel.
    Busy(Key),
    /// Our half is closed; the other one may take until then.
    Closing(Instant),
}

/// A socket inside an instance's network. Its place lives as long as its descriptor, through many
/// connections.
pub(super) struct Back {
    pub(super) fd: OwnedFd,
    pub(super) pool: Key,
    pub(super) duty: Duty,
    pub(super) readable: bool,
    pub(super) half_closed: bool,
    pub(super) ended: bool,
    /// The start of a head that goes on.
    pub(super) read: Vec<u8>,
    pub(super) out: Pending,
    /// Whether any byte of the request went.
    pub(super) sent: bool,
    /// Whether it carried a request before this one.
    pub(super) reused: bool,
    /// Nothing more can be written: the answer may be there all the same.
    pub(super) deaf: bool,
    /// The whole request, when it may be sent anew.
    pub(super) repeat: Vec<u8>,
}

impl Back {
    pub(super) fn new(fd: OwnedFd, pool: Key) -> Self {
        Self {
            fd,
            pool,
            duty: Duty::Blank,
            readable: false,
            half_closed: false,
            ended: false,
            read: Vec::new(),
            out: Pending::default(),
            sent: false,
            reused: false,
            deaf: false,
            repeat: Vec::new(),
        }
    }

    /// Forgets the connection that ended.
    pub(super) fn forget(&mut self) {
        self.duty = Duty::Blank;
        self.readable = false;
        self.half_closed = false;
        self.ended = false;
        self.read = Vec::new();
        self.out.clear();
        self.sent = false;
        self.reused = false;
        self.deaf = false;
        self.repeat.clear();
    }
}
