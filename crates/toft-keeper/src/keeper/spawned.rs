//! What the spawner answers.

use super::failed;
use super::instance::{Asked, Instance, Kind, Life, Phase};
use super::state::{Call, Keeper};
use super::token::Token;
use super::views::Key;
use std::os::fd::{AsFd, OwnedFd};
use toft_model::instance::{Refusal, Running};
use toft_model::message::{FromSpawner, KeeperToRouter, KeeperToServer, ToLogger};
use toft_model::sandbox::Enforcer;

/// How many sockets one answer shows; an app may have any number.
const LISTENING_MAX: usize = 64;

impl Keeper {
    pub(super) fn spawner_answer(&mut self, message: FromSpawner, fds: Vec<OwnedFd>) {
        let token = match &message {
            FromSpawner::Prepared { token }
            | FromSpawner::Spawned { token, .. }
            | FromSpawner::Failed { token, .. }
            | FromSpawner::Sockets { token, .. }
            | FromSpawner::Inspected { token, .. }
            | FromSpawner::Swept { token, .. } => *token,
        };
        let Some(call) = self.calls.remove(&token) else {
            return;
        };
        match (call, message) {
            (Call::Prepare(view), FromSpawner::Prepared { .. }) => self.prepared(&view, fds),
            (
                Call::Spawn(serial),
                FromSpawner::Spawned {
                    pid,
                    start_time,
                    budgets,
                    netns,
                    notify,
                    ..
                },
            ) => {
                let born = Born {
                    pid,
                    start_time,
                    budgets,
                    netns,
                    notify,
                };
                self.spawned(serial, born, fds);
            }
            (Call::Sockets { role, instance }, FromSpawner::Sockets { .. }) => {
                let count = fds.len() as u32;
                self.tell_router(role, &KeeperToRouter::Sockets { instance, count }, fds);
            }
            (Call::Alive, _) => {}
            (Call::Inspect(id), FromSpawner::Inspected { mut listening, .. }) => {
                listening.tcp.truncate(LISTENING_MAX);
                self.tell_server(&KeeperToServer::Inspected(id, Some(listening)), vec![]);
            }
            (
                Call::Sweep(serial),
                FromSpawner::Swept {
                    oom_kills,
                    memory_peak,
                    ..
                },
            ) => {
                self.swept(serial, oom_kills, memory_peak);
            }
            (call, FromSpawner::Failed { refusal, .. }) => self.call_failed(call, refusal),
            (call, _) => {
                self.call_failed(call, failed("ask the spawner", "it gave another answer"))
            }
        }
    }

    pub(super) fn call_failed(&mut self, call: Call, refusal: Refusal) {
        match call {
            Call::Prepare(view) => {
                for serial in self.waiting_for(&view) {
                    self.refuse(serial, refusal.clone());
                }
            }
            Call::Spawn(serial) => self.refuse(serial, refusal),
            Call::Sockets { role, instance } => {
                self.tell_router(
                    role,
                    &KeeperToRouter::Sockets { instance, count: 0 },
                    vec![],
                );
            }
            Call::Inspect(id) => self.tell_server(&KeeperToServer::Inspected(id, None), vec![]),
            Call::Sweep(serial) => self.swept(serial, 0, None),
            Call::Alive => {}
        }
    }

    fn waiting_for(&self, view: &Key) -> Vec<u64> {
        let waits = |i: &Instance| i.phase == Phase::Preparing && i.view == *view;
        self.instances
            .iter()
            .filter(|(_, i)| waits(i))
            .map(|(serial, _)| *serial)
            .collect()
    }

    fn prepared(&mut self, view: &Key, fds: Vec<OwnedFd>) {
        let Some(namespace) = fds.into_iter().next() else {
            let refusal = failed("make the files of an instance", "no namespace came back");
            return self.call_failed(Call::Prepare(view.clone()), refusal);
        };
        self.views.prepared(view, namespace);
        for serial in self.waiting_for(view) {
            self.spawn(serial);
        }
    }

    fn spawned(&mut self, serial: u64, born: Born, fds: Vec<OwnedFd>) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(&serial) else {
            return;
        };
        let Some(life) = born.into_life(instance, fds, now) else {
            let refusal = failed(
                format!("start {}", instance.spec.id),
                "its descriptors did not come",
            );
            self.strays();
            return self.refuse(serial, refusal);
        };
        let watched = self
            .poll
            .add(&life.pidfd, Token::InstanceEnd(serial).encode());
        if let (Ok(()), Some(ends)) = (watched, &instance.ends) {
            // Without it a command inside is never answered; the instance itself is not harmed.
            let _ = self
                .poll
                .add(&ends.control, Token::Control(serial).encode());
        }
        let running = life.running.clone();
        instance.life = Some(life);
        instance.phase = Phase::Running;
        let (kind, asked) = (instance.kind, instance.asked.take());
        self.follow(serial, false);
        match kind {
            Kind::App => self.tell_server(&KeeperToServer::Started(running), vec![]),
            Kind::Role(role) => self.role_runs(role),
        }
        match asked {
            Some(Asked::Stop) => self.stop(serial),
            Some(Asked::Kill) => self.kill(serial),
            None => {}
        }
    }

    /// Hands copies of its log pipes to the logger.
    pub(super) fn follow(&mut self, serial: u64, resumed: bool) {
        let Some(instance) = self.instances.get(&serial) else {
            return;
        };
        let Some(ends) = &instance.ends else { return };
        let copy = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), 0);
        let fds = || -> std::io::Result<Vec<OwnedFd>> {
            let ring = self.folder.ring(&instance.spec.id)?;
            Ok(vec![copy(&ends.out)?, copy(&ends.err)?, ring])
        };
        let message = ToLogger::Follow {
            instance: instance.spec.id.clone(),
            log: instance.spec.log,
            resumed,
        };
        match fds() {
            Ok(fds) => self.tell_logger(&message, fds),
            // Nobody will read what it says; it must not wait for its log at its end.
            Err(_) => {
                if let Some(instance) = self.instances.get_mut(&serial) {
                    instance.drained = true;
                }
            }
        }
    }
}

/// What the spawner says of a child.
struct Born {
    pid: u32,
    start_time: u64,
    budgets: Vec<(String, Enforcer)>,
    netns: bool,
    notify: bool,
}

impl Born {
    fn into_life(
        self,
        instance: &Instance,
        fds: Vec<OwnedFd>,
        since: std::time::Instant,
    ) -> Option<Life> {
        if fds.len() != 1 + usize::from(self.netns) + usize::from(self.notify) {
            return None;
        }
        let mut fds = fds.into_iter();
        let pidfd = fds.next()?;
        let netns = if self.netns { fds.next() } else { None };
        let notify = if self.notify { fds.next() } else { None };
        let running = Running {
            id: instance.spec.id.clone(),
            pid: self.pid,
            start_time: self.start_time,
            budgets: self.budgets,
        };
        Some(Life {
            running,
            pidfd,
            netns,
            notify,
            since,
        })
    }
}
