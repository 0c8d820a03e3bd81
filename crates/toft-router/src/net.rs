//! The few socket calls that the loops make, each once and with its traps.

use crate::http1::Pieces;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrAny, SocketFlags, sockopt,
};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Where instances are reached: their own loopback.
const INSIDE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The most stretches of one `sendmsg`.
const SLICES_MAX: usize = 64;

pub(crate) use epoll::EventFlags;

/// An epoll set.
pub(crate) struct Poll {
    set: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    pub(crate) fn new() -> Result<Self, Errno> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self {
            set,
            events: Vec::with_capacity(256),
        })
    }

    /// Reports readiness once per change.
    pub(crate) fn add_edge(&self, fd: impl AsFd, token: u64) -> Result<(), Errno> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.set, fd, epoll::EventData::new_u64(token), flags)
    }

    /// Reports as long as there is something to read.
    pub(crate) fn add_level(&self, fd: impl AsFd, token: u64) -> Result<(), Errno> {
        epoll::add(
            &self.set,
            fd,
            epoll::EventData::new_u64(token),
            EventFlags::IN,
        )
    }

    /// Changes what a level-triggered descriptor reports.
    pub(crate) fn set_level(
        &self,
        fd: impl AsFd,
        token: u64,
        flags: EventFlags,
    ) -> Result<(), Errno> {
        epoll::modify(&self.set, fd, epoll::EventData::new_u64(token), flags)
    }

    /// Waits and hands out what happened.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<Vec<epoll::Event>, Errno> {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let span = timeout.map(timespec);
        match epoll::wait(
            &self.set,
            rustix::buffer::spare_capacity(&mut events),
            span.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(events),
            Err(other) => Err(other),
        }
    }

    /// Gives the list back for the next turn.
    pub(crate) fn give_back(&mut self, events: Vec<epoll::Event>) {
        self.events = events;
    }
}

fn timespec(span: Duration) -> rustix::event::Timespec {
    rustix::event::Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}

/// Bytes that the kernel did not take yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    at: usize,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What waits, as one buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..self.at);
        self.at = 0;
        bytes
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Appends.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Sends what waits; the number of bytes that went.
    pub(crate) fn flush(&mut self, fd: impl AsFd) -> Result<usize, Errno> {
        let mut went = 0;
        while self.at < self.bytes.len() {
            match rustix::net::send(&fd, &self.bytes[self.at..], SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    self.at += sent;
                    went += sent;
                }
                Err(Errno::AGAIN) => return Ok(went),
                Err(Errno::INTR) => {}
                Err(other) => return Err(other),
            }
        }
        self.clear();
        Ok(went)
    }
}

/// Sends the pieces; what the kernel does not take goes behind what waits already. The number of
/// bytes that went.
pub(crate) fn send_pieces(
    fd: impl AsFd,
    pieces: &Pieces,
    input: &[u8],
    pending: &mut Pending,
) -> Result<usize, Errno> {
    if !pending.is_empty() {
        pieces.copy_behind(input, 0, &mut pending.bytes);
        return Ok(0);
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let (mut count, mut whole) = (0, true);
    for slice in pieces.slices(input) {
        if count == SLICES_MAX {
            whole = false;
            break;
        }
        slices[count] = slice;
        count += 1;
    }
    let slices = &slices[..count];
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let sent = match send_slices(&fd, slices) {
        Ok(sent) => sent,
        Err(Errno::AGAIN | Errno::INTR) => 0,
        Err(other) => return Err(other),
    };
    if sent < total || !whole {
        pieces.copy_behind(input, sent, &mut pending.bytes);
    }
    if whole {
        Ok(sent)
    } else {
        Ok(sent + pending.flush(fd)?)
    }
}

fn send_slices(fd: impl AsFd, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    match slices {
        [] => Ok(0),
        [one] => rustix::net::send(fd, one, SendFlags::NOSIGNAL),
        many => {
            let mut control = SendAncillaryBuffer::default();
            rustix::net::sendmsg(fd, many, &mut control, SendFlags::NOSIGNAL)
        }
    }
}

/// What a read gave.
pub(crate) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Later,
    /// The other side sends no more.
    End,
    /// The connection is broken.
    Broken(Errno),
}

/// Reads once.
pub(crate) fn read(fd: impl AsFd, buffer: &mut [u8]) -> Read {
    loop {
        match rustix::net::recv(&fd, &mut *buffer, RecvFlags::empty()) {
            Ok((_, 0)) => return Read::End,
            Ok((_, length)) => return Read::Bytes(length),
            Err(Errno::AGAIN) => return Read::Later,
            Err(Errno::INTR) => {}
            Err(other) => return Read::Broken(other),
        }
    }
}

/// Whether a resting connection is still whole and silent.
pub(crate) fn is_silent(fd: impl AsFd) -> bool {
    let mut byte = [0u8; 1];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(
        rustix::net::recv(fd, &mut byte[..], flags),
        Err(Errno::AGAIN)
    )
}

/// Begins to connect a blank socket to a port inside its namespace.
pub(crate) fn connect(fd: impl AsFd, port: u16) -> Result<(), Errno> {
    match rustix::net::connect(&fd, &SocketAddr::V4(SocketAddrV4::new(INSIDE, port))) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(other) => return Err(other),
    }
    if is_connected_to_itself(&fd, port) {
        disconnect(&fd)?;
        return Err(Errno::CONNREFUSED);
    }
    Ok(())
}

/// On loopback a socket may be given the very port that it connects to as its own; then TCP's
/// simultaneous open joins it to itself, and a program that does not listen seems to answer.
fn is_connected_to_itself(fd: impl AsFd, port: u16) -> bool {
    const OWN_PORTS_FROM: u16 = 1024;
    port >= OWN_PORTS_FROM
        && rustix::net::getsockname(fd)
            .ok()
            .and_then(|own| SocketAddr::try_from(own).ok())
            .is_some_and(|own| own.port() == port)
}

/// Makes a used socket blank again (connect(2), `AF_UNSPEC`).
pub(crate) fn disconnect(fd: impl AsFd) -> Result<(), Errno> {
    rustix::net::connect_unspec(fd)
}

/// Whether a begun connection is made; its error, when it failed.
pub(crate) fn is_connected(fd: impl AsFd) -> Result<bool, Errno> {
    sockopt::socket_error(&fd)??;
    match rustix::net::getpeername(&fd) {
        Ok(_) => Ok(true),
        Err(Errno::NOTCONN) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Sends no more.
pub(crate) fn end_writing(fd: impl AsFd) {
    // It fails only where the connection is gone already.
    let _ = rustix::net::shutdown(fd, Shutdown::Write);
}

/// The coming close tells the other side that something is missing.
pub(crate) fn reset_on_close(fd: impl AsFd) {
    // Without it the other side sees an early end instead, which is wrong only where the end of
    // the connection is the end of the message.
    let _ = sockopt::set_socket_linger(fd, Some(Duration::ZERO));
}

/// Accepts one; accepted sockets take `TCP_NODELAY` from their listener.
pub(crate) fn accept(listener: impl AsFd) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    rustix::net::acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}

/// Readies a listener that was passed in.
pub(crate) fn prepare_listener(fd: impl AsFd) -> Result<(), Errno> {
    set_nonblocking(&fd)?;
    sockopt::set_tcp_nodelay(fd, true)
}

/// Readies a blank socket that was passed in.
pub(crate) fn prepare_blank(fd: impl AsFd) -> Result<(), Errno> {
    set_nonblocking(&fd)?;
    sockopt::set_tcp_nodelay(fd, true)
}

pub(crate) fn set_nonblocking(fd: impl AsFd) -> Result<(), Errno> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)
}
