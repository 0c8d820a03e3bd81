//! What edge and doors ask for: sockets into instances, notify sockets, commands inside.

use super::instance::Instance;
use super::state::{Call, Keeper};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::os::fd::AsFd;
use toft_model::InstanceId;
use toft_model::message::{KeeperToRouter, Role, RouterToKeeper, ToSpawner};
use toft_sandbox::init::{self, ANSWER_BYTES};

/// The most sockets in one answer.
const SOCKETS_MAX: u32 = 64;
/// The most commands that run inside one instance at a time.
const RUNS_MAX: usize = 16;

impl Keeper {
    pub(super) fn router_says(&mut self, role: Role, message: RouterToKeeper) {
        match message {
            RouterToKeeper::Sockets { instance, count } => {
                if !self.ask_for_sockets(role, &instance, count) {
                    let none = KeeperToRouter::Sockets { instance, count: 0 };
                    self.tell_router(role, &none, vec![]);
                }
            }
            RouterToKeeper::Notify(id) => self.pass_notify(role, id),
            RouterToKeeper::Run {
                instance,
                argv,
                token,
            } => {
                if role != Role::Doors || !self.run_inside(&instance, &argv, token) {
                    self.tell_router(role, &KeeperToRouter::Ran { token, code: None }, vec![]);
                }
            }
        }
    }

    /// An instance that this role may reach: doors all of server's, edge those with a routed door.
    fn reachable(&self, role: Role, id: &InstanceId) -> Option<&Instance> {
        let instance = self.instances.get(&self.app(id)?)?;
        (role == Role::Doors || instance.is_routed()).then_some(instance)
    }

    fn ask_for_sockets(&mut self, role: Role, id: &InstanceId, count: u32) -> bool {
        if !(1..=SOCKETS_MAX).contains(&count) {
            return false;
        }
        let life = self.reachable(role, id).and_then(Instance::running);
        let Some(netns) = life.and_then(|life| life.netns.as_ref()) else {
            return false;
        };
        let Ok(netns) = rustix::io::fcntl_dupfd_cloexec(netns, 0) else {
            return false;
        };
        let now = self.now;
        if !self.role(role).sockets.take(count, now) {
            return false;
        }
        let call = Call::Sockets {
            role,
            instance: id.clone(),
        };
        self.call(call, vec![netns], |token| ToSpawner::Sockets {
            token,
            count,
        })
        .is_ok()
    }

    fn pass_notify(&mut self, role: Role, id: InstanceId) {
        if role != Role::Doors {
            return;
        }
        let life = self.reachable(role, &id).and_then(Instance::running);
        let notify = life.and_then(|life| life.notify.as_ref());
        let copy = notify.and_then(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 0).ok());
        if let Some(copy) = copy {
            self.tell_router(role, &KeeperToRouter::Notify(id), vec![copy]);
        }
    }

    fn run_inside(&mut self, id: &InstanceId, argv: &[String], doors_token: u64) -> bool {
        let number = self.number();
        let Some(request) = init::run_request(number, argv) else {
            return false;
        };
        let instance = self
            .app(id)
            .and_then(|serial| self.instances.get_mut(&serial));
        let Some(instance) = instance.filter(|instance| instance.running().is_some()) else {
            return false;
        };
        let Some(ends) = instance
            .ends
            .as_ref()
            .filter(|_| instance.runs.len() < RUNS_MAX)
        else {
            return false;
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = rustix::net::send(&ends.control, &request, flags);
        if sent.is_ok() {
            instance.runs.insert(number, doors_token);
        }
        sent.is_ok()
    }

    /// The init of an instance says how commands ended.
    pub(super) fn run_answers(&mut self, serial: u64) {
        let mut packet = [0; ANSWER_BYTES];
        loop {
            let Some(instance) = self.instances.get_mut(&serial) else {
                return;
            };
            let Some(ends) = &instance.ends else { return };
            let got = rustix::net::recv(ends.control.as_fd(), &mut packet[..], RecvFlags::DONTWAIT);
            let length = match got {
                Ok((length, _)) if length > 0 => length,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                // Its end comes by its pidfd.
                _ => return self.poll.remove(&ends.control),
            };
            let Some((number, status)) = init::decode_run_answer(&packet[..length]) else {
                continue;
            };
            if let Some(token) = instance.runs.remove(&number) {
                let code = status.code();
                self.tell_router(Role::Doors, &KeeperToRouter::Ran { token, code }, vec![]);
            }
        }
    }

    /// It ended: what ran inside will not be answered any more.
    pub(super) fn runs_ended(&mut self, serial: u64) {
        self.run_answers(serial);
        let Some(instance) = self.instances.get_mut(&serial) else {
            return;
        };
        for token in std::mem::take(&mut instance.runs).into_values() {
            self.tell_router(
                Role::Doors,
                &KeeperToRouter::Ran { token, code: None },
                vec![],
            );
        }
    }
}
