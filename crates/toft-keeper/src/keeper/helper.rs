//! The keeper's own two processes, spawner and logger.

use super::token::Token;
use crate::bucket::Bucket;
use crate::poll::{Poll, Port};
use crate::system;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::Instant;

/// How long a helper may take to end after its link was closed.
const LEAVE_WITHIN_SECONDS: i64 = 10;
/// How often a helper may be started again at once, and how long one more takes to be earned.
const RESTARTS_AT_ONCE: f64 = 5.0;
const RESTARTS_PER_SECOND: f64 = 0.2;

/// A helper that runs.
pub(crate) struct Helper {
    role: &'static str,
    tokens: (Token, Token),
    child: Child,
    pidfd: OwnedFd,
    pub(crate) port: Port,
    restarts: Bucket,
}

impl Helper {
    /// Starts one; `tokens` are for its messages and for its end.
    pub(crate) fn start(
        role: &'static str,
        tokens: (Token, Token),
        poll: &Poll,
        now: Instant,
    ) -> std::io::Result<Self> {
        let restarts = Bucket::new(RESTARTS_PER_SECOND, RESTARTS_AT_ONCE, now);
        Self::begin(role, tokens, poll, restarts)
    }

    fn begin(
        role: &'static str,
        tokens: (Token, Token),
        poll: &Poll,
        restarts: Bucket,
    ) -> std::io::Result<Self> {
        let (ours, theirs) = toft_link::socket_pair()?;
        let port = Port::new(ours, tokens.0.encode(), poll)?;
        let child = system::start_helper(role, &theirs)?;
        let pidfd = pidfd_open(pid_of(&child)?, PidfdFlags::empty())?;
        poll.add(&pidfd, tokens.1.encode())?;
        Ok(Self {
            role,
            tokens,
            child,
            pidfd,
            port,
            restarts,
        })
    }

    /// Starts another one in the place of one that ended; an error when that happens too often.
    pub(crate) fn again(mut self, poll: &Poll, now: Instant) -> std::io::Result<Self> {
        self.kill();
        let ended = self.child.wait()?;
        poll.remove(&self.pidfd);
        poll.remove(&self.port.link);
        if !self.restarts.take(1, now) {
            return Err(std::io::Error::other(format!(
                "it ends again and again, with {ended}"
            )));
        }
        Self::begin(self.role, self.tokens, poll, self.restarts)
    }

    /// Which process it is.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it now. It may have ended already.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Closes its link, and waits until it has ended. Only for the keeper's own end.
    pub(crate) fn leave(self) {
        let Self {
            mut child,
            pidfd,
            port,
            ..
        } = self;
        drop(port);
        let span = Timespec {
            tv_sec: LEAVE_WITHIN_SECONDS,
            tv_nsec: 0,
        };
        let ended = rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&span));
        if ended != Ok(1) {
            let _ = child.kill();
        }
        // A child that was killed is reaped; there is nothing to learn from it.
        let _ = child.wait();
    }
}

fn pid_of(child: &Child) -> std::io::Result<Pid> {
    let number = i32::try_from(child.id()).ok();
    number
        .and_then(Pid::from_raw)
        .ok_or_else(|| std::io::Error::other("a child without a number"))
}
