//! The loop of doors: links, sockets, timers.

use super::Error;
use super::attempt::{Attempt, Outcome};
use super::notify;
use super::watch::Watch;
use crate::limits::PROBE_TRY_TIME;
use crate::net::{self, EventFlags, Poll, Read};
use crate::server::Server;
use crate::slab::{Key, Slab};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use toft_link::{Link, LinkError};
use toft_model::InstanceId;
use toft_model::message::{DoorsToServer, KeeperToRouter, RouterToKeeper, ServerToDoors};
use toft_model::table::{Check, Probe, Verdict};

const KEEPER: u64 = 0;
const SERVER: u64 = 1;
const WATCH: u64 = 2;

/// What a watch is doing.
enum Doing {
    /// The next try is due then.
    Pausing(Instant),
    /// The keeper is asked for a socket.
    AwaitingSocket,
    /// A try runs until then at the longest.
    Trying(Attempt, Instant),
    /// The keeper is asked for the notify socket.
    AwaitingNotify,
    /// The program will speak.
    Listening(OwnedFd),
    /// A command runs; its answer has this token.
    Running(u64),
}

struct Watched {
    watch: Watch,
    doing: Doing,
    /// A socket that was never connected, for the next try.
    blank: Option<OwnedFd>,
}

/// The loop and all it knows.
pub(super) struct Shell {
    poll: Poll,
    keeper: Link,
    keeper_writes: bool,
    server: Server<DoorsToServer>,
    watches: Slab<Watched>,
    by_instance: HashMap<InstanceId, Key>,
    next_token: u64,
    now: Instant,
}

fn broken(what: &'static str) -> impl Fn(Errno) -> Error {
    move |source| Error::Loop { what, source }
}

impl Shell {
    pub(super) fn new(keeper: OwnedFd) -> Result<Self, Error> {
        let poll = Poll::new().map_err(broken("make an epoll set"))?;
        let keeper = Link::new(keeper);
        poll.add_level(&keeper, KEEPER << 62)
            .map_err(broken("watch the keeper"))?;
        Ok(Self {
            poll,
            keeper,
            keeper_writes: false,
            server: Server::new(),
            watches: Slab::new(),
            by_instance: HashMap::new(),
            next_token: 1,
            now: read_clock(),
        })
    }

    /// Until the keeper is gone.
    pub(super) fn run(mut self) -> Result<(), Error> {
        loop {
            match self.turn() {
                Ok(()) => {}
                Err(Error::Keeper(LinkError::Closed)) => return Ok(()),
                Err(other) => return Err(other),
            }
        }
    }

    fn turn(&mut self) -> Result<(), Error> {
        let timeout = self.until_next();
        let events = self.poll.wait(timeout).map_err(broken("wait for events"))?;
        self.now = read_clock();
        for event in &events {
            let token = event.data.u64();
            match token >> 62 {
                KEEPER => self.read_keeper()?,
                SERVER => self.read_server()?,
                _ => self.watch_event(Key::from_bits(token & (u64::MAX >> 2)))?,
            }
        }
        self.poll.give_back(events);
        self.let_time_act()?;
        self.server.flush();
        self.keeper.flush().map_err(Error::Keeper)?;
        self.watch_links()
    }

    /// Waits for room to write where something waits to be written.
    fn watch_links(&mut self) -> Result<(), Error> {
        let flags = |writes| {
            if writes {
                EventFlags::IN | EventFlags::OUT
            } else {
                EventFlags::IN
            }
        };
        let writes = self.keeper.wants_write();
        if writes != self.keeper_writes {
            self.keeper_writes = writes;
            self.poll
                .set_level(&self.keeper, KEEPER << 62, flags(writes))
                .map_err(broken("watch the keeper"))?;
        }
        if let Some((link, writes)) = self.server.link() {
            self.poll
                .set_level(link, SERVER << 62, flags(writes))
                .map_err(broken("watch server"))?;
        }
        Ok(())
    }

    fn read_keeper(&mut self) -> Result<(), Error> {
        loop {
            match self.keeper.recv::<KeeperToRouter>() {
                Ok(Some((message, fds))) => self.hear_keeper(message, fds)?,
                Ok(None) => return Ok(()),
                Err(LinkError::Decode(error)) => {
                    tracing::warn!(%error, "a message of the keeper was not understood");
                }
                Err(other) => return Err(Error::Keeper(other)),
            }
        }
    }

    fn hear_keeper(&mut self, message: KeeperToRouter, mut fds: Vec<OwnedFd>) -> Result<(), Error> {
        match message {
            KeeperToRouter::Link => {
                if let Some(fd) = fds.pop() {
                    self.server.attach(fd);
                    if let Some((link, _)) = self.server.link() {
                        self.poll
                            .add_level(link, SERVER << 62)
                            .map_err(broken("watch server"))?;
                    }
                }
                Ok(())
            }
            KeeperToRouter::Sockets { instance, .. } => self.got_socket(&instance, fds.pop()),
            KeeperToRouter::Notify(instance) => self.got_notify(&instance, fds.pop()),
            KeeperToRouter::Ran { token, code } => self.ran(token, code),
            KeeperToRouter::Exited(instance, _) => {
                self.forget(&instance);
                Ok(())
            }
            // For edge only.
            KeeperToRouter::Listener(_) => Ok(()),
        }
    }

    fn read_server(&mut self) -> Result<(), Error> {
        while let Some(message) = self.server.recv() {
            match message {
                ServerToDoors::Probe(probe) => self.begin(probe)?,
                ServerToDoors::Forget(instance) => self.forget(&instance),
            }
        }
        Ok(())
    }

    fn begin(&mut self, probe: Probe) -> Result<(), Error> {
        self.forget(&probe.instance);
        let instance = probe.instance.clone();
        let watch = Watch::new(probe, self.now);
        let doing = Doing::Pausing(self.now);
        let key = self.watches.insert(Watched {
            watch,
            doing,
            blank: None,
        });
        self.by_instance.insert(instance, key);
        self.try_now(key)
    }

    fn forget(&mut self, instance: &InstanceId) {
        if let Some(key) = self.by_instance.remove(instance) {
            self.watches.remove(key);
        }
    }

    /// A try is due.
    fn try_now(&mut self, key: Key) -> Result<(), Error> {
        let Some(watched) = self.watches.get_mut(key) else {
            return Ok(());
        };
        let instance = watched.watch.probe.instance.clone();
        match watched.watch.probe.check.clone() {
            Check::Tcp { .. } | Check::Http { .. } => match watched.blank.take() {
                Some(fd) => self.attempt(key, fd),
                None => {
                    watched.doing = Doing::AwaitingSocket;
                    self.ask(&RouterToKeeper::Sockets { instance, count: 1 })
                }
            },
            Check::Notify => {
                watched.doing = Doing::AwaitingNotify;
                self.ask(&RouterToKeeper::Notify(instance))
            }
            Check::Command { argv } => {
                let token = self.next_token;
                self.next_token += 1;
                watched.doing = Doing::Running(token);
                self.ask(&RouterToKeeper::Run {
                    instance,
                    argv,
                    token,
                })
            }
        }
    }

    fn ask(&mut self, question: &RouterToKeeper) -> Result<(), Error> {
        self.keeper.send(question, vec![]).map_err(Error::Keeper)
    }

    fn got_socket(&mut self, instance: &InstanceId, fd: Option<OwnedFd>) -> Result<(), Error> {
        let Some(key) = self.by_instance.get(instance).copied() else {
            return Ok(());
        };
        if !matches!(
            self.watches.get(key),
            Some(Watched {
                doing: Doing::AwaitingSocket,
                ..
            })
        ) {
            return Ok(());
        }
        let ready = fd.and_then(|fd| {
            net::prepare_blank(&fd).ok()?;
            self.poll.add_edge(&fd, WATCH << 62 | key.bits()).ok()?;
            Some(fd)
        });
        match ready {
            Some(fd) => self.attempt(key, fd),
            None => {
                self.failed(key, "its network cannot be entered".to_owned());
                Ok(())
            }
        }
    }

    fn attempt(&mut self, key: Key, fd: OwnedFd) -> Result<(), Error> {
        let Some(watched) = self.watches.get_mut(key) else {
            return Ok(());
        };
        let (port, path) = match &watched.watch.probe.check {
            Check::Http { port, path } => (*port, Some(path.clone())),
            Check::Tcp { port } => (*port, None),
            Check::Notify | Check::Command { .. } => return Ok(()),
        };
        let mut attempt = Attempt::new(fd, port, path);
        let outcome = attempt.begin();
        watched.doing = Doing::Trying(attempt, self.now + PROBE_TRY_TIME);
        self.settle(key, outcome);
        Ok(())
    }

    fn watch_event(&mut self, key: Key) -> Result<(), Error> {
        match self.watches.get_mut(key) {
            Some(Watched {
                doing: Doing::Trying(attempt, _),
                ..
            }) => {
                let outcome = attempt.go_on();
                self.settle(key, outcome);
            }
            Some(Watched {
                doing: Doing::Listening(_),
                ..
            }) => self.hear(key),
            _ => {}
        }
        Ok(())
    }

    fn settle(&mut self, key: Key, outcome: Outcome) {
        match outcome {
            Outcome::Pending => {}
            Outcome::Ready => self.end(key, Verdict::Ready),
            Outcome::Failed(words) => self.failed(key, words),
        }
    }

    /// A try failed: tells it if it is news, and sets the time of the next one.
    fn failed(&mut self, key: Key, words: String) {
        let Some(watched) = self.watches.get_mut(key) else {
            return;
        };
        let due = watched.watch.next_try(self.now);
        if let Doing::Trying(attempt, _) =
            std::mem::replace(&mut watched.doing, Doing::Pausing(due))
            && !attempt.is_connected()
            && net::disconnect(&attempt.fd).is_ok()
        {
            // A connection that the program saw ends with its socket, in good order; one that
            // never was leaves the socket as good as new.
            watched.blank = Some(attempt.fd);
        }
        self.tell_not_yet(key, words);
    }

    fn tell_not_yet(&mut self, key: Key, words: String) {
        if let Some(watched) = self.watches.get_mut(key)
            && let Some(verdict) = watched.watch.not_yet(words)
        {
            let instance = watched.watch.probe.instance.clone();
            self.server.tell(DoorsToServer::Verdict(instance, verdict));
        }
    }

    fn end(&mut self, key: Key, verdict: Verdict) {
        if let Some(watched) = self.watches.remove(key) {
            let instance = watched.watch.probe.instance;
            self.by_instance.remove(&instance);
            self.server.tell(DoorsToServer::Verdict(instance, verdict));
        }
    }

    fn got_notify(&mut self, instance: &InstanceId, fd: Option<OwnedFd>) -> Result<(), Error> {
        let Some(key) = self.by_instance.get(instance).copied() else {
            return Ok(());
        };
        let usable = fd.filter(|fd| {
            net::set_nonblocking(fd).is_ok()
                && self.poll.add_level(fd, WATCH << 62 | key.bits()).is_ok()
        });
        match (usable, self.watches.get_mut(key)) {
            (Some(fd), Some(watched)) => {
                watched.doing = Doing::Listening(fd);
                self.tell_not_yet(key, "READY=1 was not said yet".to_owned());
            }
            (None, Some(_)) => self.failed(key, "it has no notify socket".to_owned()),
            (_, None) => {}
        }
        Ok(())
    }

    fn hear(&mut self, key: Key) {
        let mut buffer = [0u8; 4096];
        while let Some(Watched {
            doing: Doing::Listening(fd),
            ..
        }) = self.watches.get(key)
        {
            let Read::Bytes(length) = net::read(fd, &mut buffer) else {
                return;
            };
            let said = notify::read(&buffer[..length]);
            if said.ready {
                return self.end(key, Verdict::Ready);
            }
            if let Some(status) = said.status {
                self.tell_not_yet(key, format!("it says: {status}"));
            }
        }
    }

    fn ran(&mut self, token: u64, code: Option<i32>) -> Result<(), Error> {
        let runs = |watched: &Watched| matches!(watched.doing, Doing::Running(t) if t == token);
        let Some(key) = self
            .watches
            .iter()
            .find(|(_, w)| runs(w))
            .map(|(key, _)| key)
        else {
            return Ok(());
        };
        let Some(Watched { watch, .. }) = self.watches.get(key) else {
            return Ok(());
        };
        let command = match &watch.probe.check {
            Check::Command { argv } => notify::plain(argv.join(" ").as_bytes()),
            _ => return Ok(()),
        };
        match code {
            Some(0) => self.end(key, Verdict::Ready),
            Some(code) => self.failed(key, format!("`{command}` ended with code {code}")),
            None => self.failed(key, format!("`{command}` cannot be run")),
        }
        Ok(())
    }

    fn until_next(&self) -> Option<Duration> {
        let soonest = self.watches.iter().map(|(_, watched)| due(watched)).min()?;
        Some(soonest.saturating_duration_since(self.now))
    }

    fn let_time_act(&mut self) -> Result<(), Error> {
        for key in self.watches.keys() {
            let Some(watched) = self.watches.get_mut(key).filter(|w| due(w) <= self.now) else {
                continue;
            };
            if watched.watch.deadline <= self.now {
                let otherwise = match &watched.doing {
                    Doing::Trying(attempt, _) => attempt.late(watched.watch.probe.within),
                    Doing::Running(_) => "its command still runs".to_owned(),
                    _ => "no try came to an end".to_owned(),
                };
                let verdict = watched.watch.late(&otherwise);
                self.end(key, verdict);
                continue;
            }
            match &watched.doing {
                Doing::Pausing(_) => self.try_now(key)?,
                Doing::Trying(attempt, _) => {
                    let words = attempt.late(PROBE_TRY_TIME);
                    self.failed(key, words);
                }
                Doing::AwaitingSocket
                | Doing::AwaitingNotify
                | Doing::Listening(_)
                | Doing::Running(_) => {}
            }
        }
        Ok(())
    }
}

/// When something must happen by itself.
fn due(watched: &Watched) -> Instant {
    let soonest = match &watched.doing {
        Doing::Pausing(until) | Doing::Trying(_, until) => *until,
        Doing::AwaitingSocket | Doing::AwaitingNotify | Doing::Listening(_) | Doing::Running(_) => {
            watched.watch.deadline
        }
    };
    soonest.min(watched.watch.deadline)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shell of the router: its loop hands time down"
)]
fn read_clock() -> Instant {
    Instant::now()
}
