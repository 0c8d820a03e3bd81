//! Packets with descriptors between the processes of one machine.
//!
//! A [`Link`] is one end of a `SOCK_SEQPACKET` unix socket. A packet is one JSON value and up to
//! [`FDS_MAX`] descriptors. Links are never blocking; who wants to wait polls. What cannot be sent
//! at once is queued up to a bound, so that a peer that stopped reading costs memory up to that
//! bound and then its link, and never the caller's time.

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The largest packet in bytes: what the kernel's default send buffer holds.
pub const PACKET_BYTES_MAX: usize = 180 * 1024;
/// The most descriptors in one packet (`SCM_MAX_FD` is 253).
pub const FDS_MAX: usize = 128;
/// The most packets that wait for a slow reader.
pub const QUEUE_MAX: usize = 4096;

/// What went wrong on a link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The other end is gone.
    #[error("the other end of the link is gone")]
    Closed,
    /// The peer does not read and its queue is full.
    #[error("the other end of the link does not read: {QUEUE_MAX} packets wait")]
    Full,
    /// A packet that is not the message that was expected.
    #[error("a packet cannot be read as a message")]
    Decode(#[source] serde_json::Error),
    /// A message that cannot be a packet.
    #[error("a message of {0} bytes does not fit in a packet of {PACKET_BYTES_MAX}")]
    TooLarge(usize),
    /// A message that cannot be written.
    #[error("a message cannot be written as a packet")]
    Encode(#[source] serde_json::Error),
    /// The kernel refused.
    #[error("link: {0}")]
    Io(Errno),
}

/// One end of a packet socket.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    queue: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    buffer: Vec<u8>,
}

/// Two ends that are connected, close-on-exec, not blocking.
pub fn pair() -> Result<(Link, OwnedFd), Errno> {
    let (a, b) = socket_pair()?;
    Ok((Link::new(a), b))
}

/// Two bare ends, close-on-exec, not blocking.
pub fn socket_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
}

impl Link {
    /// Takes one end. It must be a seqpacket socket; it is made non-blocking.
    pub fn new(socket: OwnedFd) -> Self {
        if let Ok(flags) = rustix::fs::fcntl_getfl(&socket) {
            // A socket that cannot be made non-blocking fails at its first use instead.
            let _ = rustix::fs::fcntl_setfl(&socket, flags | rustix::fs::OFlags::NONBLOCK);
        }
        Self {
            socket,
            queue: VecDeque::new(),
            buffer: Vec::new(),
        }
    }

    /// Sends, or queues when the peer is slow. Descriptors are moved.
    pub fn send<M: Serialize>(&mut self, message: &M, fds: Vec<OwnedFd>) -> Result<(), LinkError> {
        let bytes = serde_json::to_vec(message).map_err(LinkError::Encode)?;
        if bytes.len() > PACKET_BYTES_MAX || fds.len() > FDS_MAX {
            return Err(LinkError::TooLarge(bytes.len()));
        }
        if self.queue.len() >= QUEUE_MAX {
            return Err(LinkError::Full);
        }
        self.queue.push_back((bytes, fds));
        self.flush()
    }

    /// Sends what waits, as far as the peer takes it.
    pub fn flush(&mut self) -> Result<(), LinkError> {
        while let Some((bytes, fds)) = self.queue.front() {
            match send_one(self.socket.as_fd(), bytes, fds) {
                Ok(()) => {
                    self.queue.pop_front();
                }
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::TOOMANYREFS) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => {
                    return Err(LinkError::Closed);
                }
                Err(other) => return Err(LinkError::Io(other)),
            }
        }
        Ok(())
    }

    /// Whether something waits to be sent: poll for writing.
    pub fn wants_write(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The next message, `None` when there is none now.
    ///
    /// After [`LinkError::Decode`] the link is still good: the bad packet and its descriptors are gone.
    pub fn recv<M: DeserializeOwned>(&mut self) -> Result<Option<(M, Vec<OwnedFd>)>, LinkError> {
        self.buffer.resize(PACKET_BYTES_MAX, 0);
        loop {
            let received = receive_one(self.socket.as_fd(), &mut self.buffer);
            return match received {
                Ok((0, _)) => Err(LinkError::Closed),
                Ok((length, fds)) => {
                    let message =
                        serde_json::from_slice(&self.buffer[..length]).map_err(LinkError::Decode);
                    if self.queue.is_empty() && length > 16 * 1024 {
                        self.buffer = Vec::new();
                    }
                    Ok(Some((message?, fds)))
                }
                Err(Errno::AGAIN) => {
                    self.buffer = Vec::new();
                    Ok(None)
                }
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET) => Err(LinkError::Closed),
                Err(other) => Err(LinkError::Io(other)),
            };
        }
    }

    /// Waits for the next message at most this long. For starts and tests; loops poll.
    pub fn recv_within<M: DeserializeOwned>(
        &mut self,
        milliseconds: u32,
    ) -> Result<Option<(M, Vec<OwnedFd>)>, LinkError> {
        if let Some(found) = self.recv()? {
            return Ok(Some(found));
        }
        let mut polls = [rustix::event::PollFd::new(
            &self.socket,
            rustix::event::PollFlags::IN,
        )];
        let span = rustix::event::Timespec {
            tv_sec: i64::from(milliseconds / 1000),
            tv_nsec: i64::from(milliseconds % 1000) * 1_000_000,
        };
        match rustix::event::poll(&mut polls, Some(&span)) {
            Ok(_) | Err(Errno::INTR) => self.recv(),
            Err(other) => Err(LinkError::Io(other)),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn send_one(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[OwnedFd]) -> Result<(), Errno> {
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&borrowed));
    }
    sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    )
    .map(|_| ())
}

fn receive_one(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    let fds = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    Ok((received.bytes, fds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_its_descriptors_arrive() {
        let (mut a, b) = pair().unwrap();
        let mut b = Link::new(b);
        let (read, write) = rustix::pipe::pipe().unwrap();
        a.send(&"hello", vec![write]).unwrap();
        let (text, fds): (String, _) = b.recv().unwrap().unwrap();
        assert_eq!(text, "hello");
        rustix::io::write(&fds[0], b"x").unwrap();
        let mut byte = [0u8; 1];
        assert_eq!(rustix::io::read(&read, &mut byte).unwrap(), 1);
        assert!(b.recv::<String>().unwrap().is_none());
    }

    #[test]
    fn a_slow_reader_loses_nothing_and_a_dead_one_is_an_error() {
        let (mut a, b) = pair().unwrap();
        let text = "x".repeat(50_000);
        for n in 0..40 {
            a.send(&(n, &text), vec![]).unwrap();
        }
        assert!(a.wants_write());
        let mut b = Link::new(b);
        for n in 0..40 {
            let ((got, _), _): ((i32, String), _) = b.recv().unwrap().unwrap();
            assert_eq!(got, n);
            a.flush().unwrap();
        }
        drop(b);
        assert!(matches!(a.send(&1, vec![]), Err(LinkError::Closed)));
    }

    #[test]
    fn a_bad_packet_leaves_the_link_good() {
        let (mut a, b) = pair().unwrap();
        let mut b = Link::new(b);
        a.send(&"no number", vec![]).unwrap();
        a.send(&7, vec![]).unwrap();
        assert!(matches!(b.recv::<i32>(), Err(LinkError::Decode(_))));
        assert_eq!(b.recv::<i32>().unwrap().unwrap().0, 7);
        assert!(matches!(
            a.send(&"x".repeat(PACKET_BYTES_MAX), vec![]),
            Err(LinkError::TooLarge(_))
        ));
    }
}
