//! The logger: reads the pipes of all instances and writes frames into their rings.
//!
//! It holds no privilege and knows no instance but by its pipes. A program that writes faster than
//! its rate is read all the same, so that it never stalls for long; what is too much is counted and
//! told in the stream. Memory is bounded by one partial line for each stream.

mod lines;
mod source;

use crate::poll::{Poll, Port};
use crate::system;
use lines::Splitter;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};
use source::{At, LOSS_TOLD_EVERY, Source};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Instant;
use toft_link::{Link, LinkError};
use toft_model::InstanceId;
use toft_model::frame::{Flags, Stream};
use toft_model::instance::LogSpec;
use toft_model::message::{FromLogger, LoggerOrder, ToLogger};
use toft_observe::ring::Writer;

/// How much is read from a pipe at once.
const READ_BYTES: usize = 256 * 1024;
/// How long the first packet may take.
const ORDER_WITHIN_MS: u32 = 10_000;
const LINK: u64 = 0;

/// Why the logger ended other than by the end of its link.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No order came, or none that can be read.
    #[error("the logger was not told what to be: it is started by the keeper, not by hand")]
    NoOrder,
    /// The link to the keeper broke.
    #[error("the keeper's messages cannot be read")]
    Link(#[source] LinkError),
    /// A system call without which there is no logger.
    #[error("{step}: {errno}")]
    System {
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

fn system_error(step: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::System { step, errno }
}

/// Follows what the keeper names until the link ends, then what is in the pipes, and returns.
///
/// `link` is a seqpacket socket to the keeper; the first packet is a [`LoggerOrder`].
pub fn run(link: OwnedFd) -> Result<(), Error> {
    let mut first = Link::new(link);
    let order = match first.recv_within::<LoggerOrder>(ORDER_WITHIN_MS) {
        Ok(Some((order, _))) => order,
        _ => return Err(Error::NoOrder),
    };
    drop_rights(order.uid).map_err(system_error("give up rights"))?;
    let poll = Poll::new().map_err(system_error("make a poll set"))?;
    let port = Port::adopt(first, LINK, &poll).map_err(system_error("wait for the keeper"))?;
    Logger {
        poll,
        port,
        sources: BTreeMap::new(),
        streams: BTreeMap::new(),
        rings: BTreeMap::new(),
        next_token: LINK + 1,
        buffer: vec![0; READ_BYTES],
    }
    .run()
}

/// Becomes a user who owns nothing, and can never be more again.
fn drop_rights(uid: Option<u32>) -> Result<(), Errno> {
    if let Some(id) = uid {
        let gid = rustix::process::Gid::from_raw(id);
        let uid = rustix::process::Uid::from_raw(id);
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        // The change of user cleared it.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::set_no_new_privs(true)?;
    match system::close_the_world() {
        // A kernel without Landlock: no rights are left all the same.
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        other => other,
    }
}

struct Pipe {
    instance: InstanceId,
    stream: Stream,
    pipe: OwnedFd,
    splitter: Splitter,
}

struct Ring {
    writer: Option<Writer>,
    users: usize,
}

struct Logger {
    poll: Poll,
    port: Port,
    sources: BTreeMap<InstanceId, Source>,
    streams: BTreeMap<u64, Pipe>,
    rings: BTreeMap<PathBuf, Ring>,
    next_token: u64,
    buffer: Vec<u8>,
}

impl Logger {
    fn run(mut self) -> Result<(), Error> {
        let mut ready = Vec::new();
        loop {
            let losing = self.sources.values().any(Source::has_loss);
            let timeout = losing.then_some(LOSS_TOLD_EVERY);
            self.poll
                .wait(timeout, &mut ready)
                .map_err(system_error("wait for events"))?;
            let now = system::now();
            let mut ended = false;
            for token in &ready {
                match *token {
                    LINK => ended |= !self.messages(now)?,
                    token => self.read(token, now),
                }
            }
            self.tell_losses(now);
            self.settle(now);
            if ended {
                self.last_words(now);
                return Ok(());
            }
        }
    }

    /// Takes what the keeper says; false when it is gone.
    fn messages(&mut self, now: Instant) -> Result<bool, Error> {
        if self.port.flush(&self.poll).is_err() {
            return Ok(false);
        }
        loop {
            match self.port.link.recv::<ToLogger>() {
                Ok(Some((message, fds))) => self.message(message, fds, now),
                Ok(None) => return Ok(true),
                Err(LinkError::Closed) => return Ok(false),
                Err(LinkError::Decode(_)) => {}
                Err(other) => return Err(Error::Link(other)),
            }
        }
    }

    fn message(&mut self, message: ToLogger, fds: Vec<OwnedFd>, now: Instant) {
        match message {
            ToLogger::Follow {
                instance,
                log,
                resumed,
            } => {
                let Ok([out, err, ring]) = <[OwnedFd; 3]>::try_from(fds) else {
                    return;
                };
                self.follow(&instance, log, [out, err], ring, now);
                if resumed {
                    let text = "the logger was started again: lines that it held in hand are lost";
                    self.note(&instance, text, Flags::LOST, now);
                }
            }
            ToLogger::Note { instance, text } => self.note(&instance, &text, Flags::default(), now),
            ToLogger::Finish { instance, note } => {
                if let Some(source) = self.sources.get_mut(&instance) {
                    source.finish = Some(note);
                }
            }
            ToLogger::Forget(instance) => self.forget(&instance),
        }
    }

    fn follow(
        &mut self,
        id: &InstanceId,
        log: LogSpec,
        pipes: [OwnedFd; 2],
        ring: OwnedFd,
        now: Instant,
    ) {
        self.forget(id);
        let mut source = Source::new(id.clone(), log, now);
        let entry = self
            .rings
            .entry(source.ring.clone())
            .or_insert_with(|| Ring {
                // Without a ring the pipes are read all the same: the program must not stall.
                writer: Writer::open(File::from(ring), log.ring_bytes).ok(),
                users: 0,
            });
        entry.users += 1;
        for (pipe, stream) in pipes.into_iter().zip([Stream::Out, Stream::Err]) {
            let token = self.next_token;
            self.next_token += 1;
            if set_nonblocking(&pipe).is_err() || self.poll.add(&pipe, token).is_err() {
                continue;
            }
            source.open.push(token);
            let pipe = Pipe {
                instance: id.clone(),
                stream,
                pipe,
                splitter: Splitter::default(),
            };
            self.streams.insert(token, pipe);
        }
        self.sources.insert(id.clone(), source);
    }

    /// One read of one pipe; the poll set brings us back while there is more.
    fn read(&mut self, token: u64, now: Instant) {
        let Some(pipe) = self.streams.get_mut(&token) else {
            return;
        };
        let got = match rustix::io::read(&pipe.pipe, &mut self.buffer[..]) {
            Ok(n) => n,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => 0,
        };
        let Some(source) = self.sources.get_mut(&pipe.instance) else {
            return;
        };
        let writer = self
            .rings
            .get_mut(&source.ring)
            .and_then(|ring| ring.writer.as_mut());
        let at = At {
            now,
            wall_ns: system::wall_ns(),
            stream: pipe.stream,
            writer,
        };
        if got > 0 {
            source.chunk(&mut pipe.splitter, &self.buffer[..got], at);
            return;
        }
        source.stream_ended(&mut pipe.splitter, at);
        source.open.retain(|open| *open != token);
        self.poll.remove(&pipe.pipe);
        self.streams.remove(&token);
    }

    fn note(&mut self, id: &InstanceId, text: &str, flags: Flags, now: Instant) {
        let Some(source) = self.sources.get_mut(id) else {
            return;
        };
        let writer = self
            .rings
            .get_mut(&source.ring)
            .and_then(|ring| ring.writer.as_mut());
        let mut at = At {
            now,
            wall_ns: system::wall_ns(),
            stream: Stream::Toft,
            writer,
        };
        source.note(text, flags, &mut at);
    }

    fn tell_losses(&mut self, now: Instant) {
        for source in self
            .sources
            .values_mut()
            .filter(|source| source.loss_is_due(now))
        {
            let writer = self
                .rings
                .get_mut(&source.ring)
                .and_then(|ring| ring.writer.as_mut());
            let mut at = At {
                now,
                wall_ns: system::wall_ns(),
                stream: Stream::Toft,
                writer,
            };
            source.tell_loss(&mut at);
        }
    }

    /// Brings this turn's frames into the files, and says goodbye to those that are through.
    fn settle(&mut self, now: Instant) {
        let through: Vec<InstanceId> = self
            .sources
            .values()
            .filter(|s| s.is_through())
            .map(|s| s.id.clone())
            .collect();
        for id in &through {
            let Some(source) = self.sources.get_mut(id) else {
                continue;
            };
            let writer = self
                .rings
                .get_mut(&source.ring)
                .and_then(|ring| ring.writer.as_mut());
            let mut at = At {
                now,
                wall_ns: system::wall_ns(),
                stream: Stream::Toft,
                writer,
            };
            if source.has_loss() {
                source.tell_loss(&mut at);
            }
            if let Some(note) = source.finish.take().flatten() {
                source.note(&note, Flags::default(), &mut at);
            }
        }
        self.flush();
        for id in through {
            self.forget(&id);
            // A keeper that is gone is noticed by the loop.
            let _ = self.port.send(&self.poll, &FromLogger::Drained(id), vec![]);
        }
    }

    fn flush(&mut self) {
        for (path, ring) in &mut self.rings {
            let Some(writer) = &mut ring.writer else {
                continue;
            };
            let in_hand = writer.in_hand();
            if in_hand == 0 || writer.flush().is_ok() {
                continue;
            }
            if let Some(source) = self
                .sources
                .values_mut()
                .find(|source| source.ring == *path)
            {
                source.unwritten(in_hand);
            }
        }
    }

    fn forget(&mut self, id: &InstanceId) {
        let Some(source) = self.sources.remove(id) else {
            return;
        };
        for token in source.open {
            if let Some(pipe) = self.streams.remove(&token) {
                self.poll.remove(&pipe.pipe);
            }
        }
        if let Some(ring) = self.rings.get_mut(&source.ring) {
            ring.users -= 1;
            if ring.users == 0 {
                if let Some(writer) = &mut ring.writer {
                    // Nobody is left who could be told that it failed.
                    let _ = writer.flush();
                }
                self.rings.remove(&source.ring);
            }
        }
    }

    /// The keeper is gone: what stands in the pipes already is still written.
    fn last_words(&mut self, now: Instant) {
        let tokens: Vec<u64> = self.streams.keys().copied().collect();
        for token in tokens {
            self.read(token, now);
        }
        self.settle(now);
    }
}

fn set_nonblocking(pipe: &OwnedFd) -> Result<(), Errno> {
    let flags = rustix::fs::fcntl_getfl(pipe)?;
    rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK)
}
