//! The spawner: what may be slow, done for the keeper.
//!
//! It keeps nothing but the views that are being built: every order holds all that it needs, so one
//! that was killed is replaced by the next. Instances are cloned as the keeper's children. While an
//! instance is being cloned it waits for that one's exec; views are built by children of its own,
//! so that a mount that hangs holds up nobody.

use crate::poll::{Poll, Port};
use crate::system;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use toft_link::{Link, LinkError};
use toft_model::instance::Refusal;
use toft_model::message::{FromSpawner, SpawnSpec, SpawnerOrder, ToSpawner};
use toft_model::sandbox::{Mode, Mount};
use toft_sandbox::cgroup::{self, Tree};
use toft_sandbox::view::{self, Pending};
use toft_sandbox::{Input, sockets};

/// How long the first packet may take.
const ORDER_WITHIN_MS: u32 = 10_000;
/// Descriptors that come with every order to spawn, before the program's own.
const FIXED: usize = 6;
/// No order has this token.
const LINK: u64 = u64::MAX;

/// Why the spawner ended other than by the end of its link.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No order came, or none that can be read.
    #[error("the spawner was not told what to be: it is started by the keeper, not by hand")]
    NoOrder,
    /// The link to the keeper broke.
    #[error("the keeper's messages cannot be read")]
    Link(#[source] LinkError),
    /// A system call without which there is no spawner.
    #[error("{step}: {errno}")]
    System {
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

/// Serves the keeper until the link ends; then removes the cgroups that it made, and returns.
///
/// `link` is a seqpacket socket to the keeper, this process' parent; the first packet is a
/// [`SpawnerOrder`].
pub fn run(link: OwnedFd) -> Result<(), Error> {
    let mut first = Link::new(link);
    let order = match first.recv_within::<SpawnerOrder>(ORDER_WITHIN_MS) {
        Ok(Some((order, _))) => order,
        _ => return Err(Error::NoOrder),
    };
    let failed = |step| move |errno| Error::System { step, errno };
    let poll = Poll::new().map_err(failed("make a poll set"))?;
    let port = Port::adopt(first, LINK, &poll).map_err(failed("wait for the keeper"))?;
    system::default_signals();
    lower_open_files(order.open_files);
    cgroup::sweep_stale();
    let tree = Tree::detect(&order.cgroup);
    // Nothing is executed here but instances. Where it cannot be done, each start does it itself.
    let _ = toft_sandbox::shed_bounding_set();
    // Limits of the whole are a budget: where they cannot be set they are best effort.
    let _ = tree.limit(&order.limits);
    let views = BTreeMap::new();
    let spawner = Spawner {
        mode: order.mode,
        tree,
        poll,
        port,
        views,
    };
    spawner.run()
}

/// What is cloned here inherits our limits: those that the caller had, not the keeper's.
fn lower_open_files(count: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(count, |most| most.min(count)));
    // More open files than were meant are no way through a wall.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
}

struct Spawner {
    mode: Mode,
    tree: Tree,
    poll: Poll,
    port: Port,
    /// Views that are being built, by the token of their order.
    views: BTreeMap<u64, Pending>,
}

impl Spawner {
    fn run(mut self) -> Result<(), Error> {
        let mut ready = Vec::new();
        let ended = loop {
            if let Err(errno) = self.poll.wait(None, &mut ready) {
                break Err(Error::System {
                    step: "wait for events",
                    errno,
                });
            }
            let mut more = Ok(true);
            for token in ready.drain(..) {
                if token == LINK {
                    more = self.messages();
                } else {
                    self.view_done(token);
                }
            }
            match more {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        for pending in self.views.into_values() {
            pending.kill();
        }
        self.tree.remove_all();
        ended
    }

    /// Carries out what the keeper says; false when it is gone.
    fn messages(&mut self) -> Result<bool, Error> {
        if self.port.flush(&self.poll).is_err() {
            return Ok(false);
        }
        loop {
            match self.port.link.recv::<ToSpawner>() {
                Ok(Some((message, fds))) => self.message(message, fds),
                Ok(None) => {
                    // Nothing else to do: the next start finds its network made.
                    toft_sandbox::warm();
                    return Ok(true);
                }
                Err(LinkError::Closed) => return Ok(false),
                Err(LinkError::Decode(_)) => {}
                Err(other) => return Err(Error::Link(other)),
            }
        }
    }

    fn message(&mut self, message: ToSpawner, fds: Vec<OwnedFd>) {
        let (token, answer) = match message {
            ToSpawner::Prepare { token, view } => (token, self.prepare(token, &view)),
            ToSpawner::Spawn { token, spec } => (token, self.spawn(token, &spec, fds).map(Some)),
            ToSpawner::Sockets { token, count } => {
                (token, make_sockets(token, count, fds).map(Some))
            }
            ToSpawner::Inspect { token, pid } => {
                let listening = toft_sandbox::listening(pid).map_err(Refusal::from);
                let answer = listening.map(|listening| FromSpawner::Inspected { token, listening });
                (token, answer.map(|answer| Some((answer, vec![]))))
            }
            ToSpawner::Sweep { token, cgroup } => {
                let swept = self.tree.sweep(&cgroup);
                let answer = FromSpawner::Swept {
                    token,
                    oom_kills: swept.oom_kills,
                    memory_peak: swept.memory_peak,
                };
                (token, Ok(Some((answer, vec![]))))
            }
        };
        match answer {
            Ok(Some((answer, fds))) => self.answer(&answer, fds),
            Ok(None) => {}
            Err(refusal) => self.answer(&FromSpawner::Failed { token, refusal }, vec![]),
        }
    }

    fn answer(&mut self, answer: &FromSpawner, fds: Vec<OwnedFd>) {
        // A keeper that is gone is noticed by the loop.
        let _ = self.port.send(&self.poll, answer, fds);
    }

    /// Begins to build a view; the answer comes from [`Spawner::view_done`].
    fn prepare(&mut self, token: u64, mounts: &[Mount]) -> Result<Option<Answer>, Refusal> {
        let pending = view::start(mounts, self.mode).map_err(Refusal::from)?;
        let watched = self.poll.add(&pending, token);
        if let Err(errno) = watched {
            pending.kill();
            return Err(refusal("wait for a view", errno));
        }
        self.views.insert(token, pending);
        Ok(None)
    }

    fn view_done(&mut self, token: u64) {
        let Some(pending) = self.views.remove(&token) else {
            return;
        };
        self.poll.remove(&pending);
        match pending.finish() {
            Ok(namespace) => self.answer(&FromSpawner::Prepared { token }, vec![namespace]),
            Err(error) => {
                let failed = FromSpawner::Failed {
                    token,
                    refusal: error.into(),
                };
                self.answer(&failed, vec![]);
            }
        }
    }

    fn spawn(
        &self,
        token: u64,
        spec: &SpawnSpec,
        mut fds: Vec<OwnedFd>,
    ) -> Result<Answer, Refusal> {
        if fds.len() != FIXED + spec.extra as usize {
            return Err(refusal("take the descriptors of an instance", Errno::BADF));
        }
        let extra = fds.split_off(FIXED);
        let input = Input {
            spec,
            mode: self.mode,
            view: fds[0].as_fd(),
            stdin: fds[1].as_fd(),
            stdout: fds[2].as_fd(),
            stderr: fds[3].as_fd(),
            status: fds[4].as_fd(),
            control: fds[5].as_fd(),
            extra: &extra,
            cgroups: &self.tree,
        };
        let spawned = match toft_sandbox::spawn(&input) {
            Ok(spawned) => spawned,
            Err(error) => {
                // The start may have got as far as the cgroup.
                self.tree.sweep(&spec.cgroup);
                return Err(error.into());
            }
        };
        let answer = FromSpawner::Spawned {
            token,
            pid: spawned.pid,
            start_time: spawned.start_time,
            budgets: spawned.budgets,
            netns: spawned.netns.is_some(),
            notify: spawned.notify.is_some(),
        };
        let fds = std::iter::once(spawned.pidfd)
            .chain(spawned.netns)
            .chain(spawned.notify);
        Ok((answer, fds.collect()))
    }
}

type Answer = (FromSpawner, Vec<OwnedFd>);

fn refusal(step: &str, errno: Errno) -> Refusal {
    Refusal {
        step: step.to_owned(),
        cause: errno.to_string(),
        cure: None,
    }
}

fn make_sockets(token: u64, count: u32, fds: Vec<OwnedFd>) -> Result<Answer, Refusal> {
    let netns = fds
        .first()
        .ok_or_else(|| refusal("take a network namespace", Errno::BADF))?;
    let made = sockets::blank_tcp(netns.as_fd(), count).map_err(Refusal::from)?;
    let count = made.len() as u32;
    Ok((FromSpawner::Sockets { token, count }, made))
}
