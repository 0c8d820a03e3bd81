//! New clients.

use super::connection::Front;
use super::worker::{Tag, Worker};
use crate::limits::{ACCEPTS_PER_TURN, CLIENTS_PER_THREAD_MAX, HEAD_TIME};
use crate::net::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::SocketAddrAny;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long nobody is accepted when there is no room.
const PAUSE: Duration = Duration::from_millis(100);

impl Worker {
    pub(super) fn add_listener(&mut self, fd: OwnedFd) {
        let token = Tag::Listener.token(self.listeners.len() as u64);
        let added = net::prepare_listener(&fd).and_then(|()| self.poll.add_level(&fd, token));
        match added {
            Ok(()) => self.listeners.push(fd),
            Err(error) => tracing::error!(%error, "a listening socket cannot be used"),
        }
    }

    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            if self.fronts.len() >= CLIENTS_PER_THREAD_MAX {
                return self.pause_accepting();
            }
            match net::accept(&self.listeners[index]) {
                Ok((fd, address)) => self.add_client(fd, address),
                Err(Errno::AGAIN) => return,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    return self.pause_accepting();
                }
                // The others concern the one connection, which is gone (accept(2)).
                Err(_) => {}
            }
        }
    }

    fn add_client(&mut self, fd: OwnedFd, address: Option<SocketAddrAny>) {
        let address = address
            .and_then(|address| SocketAddr::try_from(address).ok())
            .map_or_else(
                || "unknown".to_owned(),
                |address| address.ip().to_canonical().to_string(),
            );
        let deadline = self.now + HEAD_TIME;
        let key = self
            .fronts
            .insert(Front::new(fd, address.into_boxed_str(), deadline));
        let front = self.fronts.get(key).expect("it was just put in");
        if self
            .poll
            .add_edge(&front.fd, Tag::Front.token(key.bits()))
            .is_err()
        {
            self.fronts.remove(key);
            return;
        }
        self.timers.push(deadline, key);
    }

    fn pause_accepting(&mut self) {
        self.accept_again = Some(self.now + PAUSE);
        self.set_accepting(false);
    }

    pub(super) fn set_accepting(&mut self, accepting: bool) {
        let flags = if accepting {
            EventFlags::IN
        } else {
            EventFlags::empty()
        };
        for (index, fd) in self.listeners.iter().enumerate() {
            if let Err(error) = self
                .poll
                .set_level(fd, Tag::Listener.token(index as u64), flags)
            {
                tracing::error!(%error, "a listening socket cannot be watched");
            }
        }
    }
}
