//! Server, edge, doors, spawner and logger: starting them, and starting them again.

use super::failed;
use super::instance::{Kind, Phase};
use super::roles;
use super::state::{Call, Keeper, Stage, Timer};
use super::token::Token;
use crate::poll::Port;
use std::os::fd::OwnedFd;
use std::time::Duration;
use toft_link::LinkError;
use toft_model::Generation;
use toft_model::instance::{Outcome, Refusal, Running};
use toft_model::message::{KeeperToRouter, KeeperToServer, Role, ToLogger, ToSpawner, ToUp};

/// How long a role may live without its link.
const MUTE_FOR: Duration = Duration::from_secs(1);

/// How many instances one `Hello` names, so that it is a packet of tolerable size.
const HELLO_MAX: usize = 100;

impl Keeper {
    pub(super) fn start_roles(&mut self) {
        for role in roles::ALL {
            self.start_role(role);
        }
    }

    pub(super) fn start_role(&mut self, role: Role) {
        if !matches!(self.stage, Stage::Starting | Stage::Running) {
            return;
        }
        if let Err(refusal) = self.try_start_role(role) {
            self.role_refused(role, refusal);
        }
    }

    fn try_start_role(&mut self, role: Role) -> Result<(), Refusal> {
        let step = || format!("start {}", role.as_str());
        let (ours, theirs) = toft_link::socket_pair().map_err(|e| failed(step(), e))?;
        let port = Port::new(ours, Token::Role(role).encode(), &self.poll);
        let port = port.map_err(|e| failed(step(), e))?;
        let mut extra = vec![theirs];
        if role == Role::Server {
            let api = rustix::io::fcntl_dupfd_cloexec(&self.api, 0);
            extra.push(api.map_err(|e| failed(step(), e))?);
        }
        let state = self.role(role);
        state.generation += 1;
        state.up = false;
        let generation = state.generation;
        if let Some(old) = state.port.replace(port) {
            self.poll.remove(&old.link);
        }
        let spec = roles::spec(
            role,
            generation,
            &self.program,
            &self.folder,
            self.role_files,
        )?;
        let id = spec.id.clone();
        self.begin(spec, Kind::Role(role), extra)?;
        let serial = self.serials.get(&id).copied();
        self.role(role).serial = serial;
        Ok(())
    }

    /// It could not be started: at the first start that is the end, later it is tried again.
    pub(super) fn role_refused(&mut self, role: Role, refusal: Refusal) {
        self.drop_role(role);
        match self.stage {
            Stage::Starting => self.give_up(refusal),
            Stage::Running => self.start_later(role),
            _ => {}
        }
    }

    fn start_later(&mut self, role: Role) {
        let state = self.role(role);
        state.failures += 1;
        let wait = roles::back_off(state.failures);
        self.at(self.now + wait, Timer::Start(role));
    }

    fn drop_role(&mut self, role: Role) {
        let state = self.role(role);
        state.serial = None;
        state.up = false;
        if let Some(port) = state.port.take() {
            self.poll.remove(&port.link);
        }
    }

    /// Its link is of no use any more, and without it the role is none. Most likely it is just
    /// ending, and its init is about to say how: it gets a moment for that.
    pub(super) fn drop_role_port(&mut self, role: Role) {
        let state = self.role(role);
        let (port, serial) = (state.port.take(), state.serial);
        if let Some(port) = port {
            self.poll.remove(&port.link);
        }
        if let Some(serial) = serial {
            self.at(self.now + MUTE_FOR, Timer::Mute(serial));
        }
    }

    /// It was spawned: it hears what it needs, and gets links to the others.
    pub(super) fn role_runs(&mut self, role: Role) {
        let state = self.role(role);
        state.up = true;
        // Their view holds this very program, also when another one is built in its place: a role
        // that starts again must be the one that the others know.
        if let Some(serial) = state.serial.filter(|_| state.generation == 1)
            && let Some(instance) = self.instances.get(&serial)
        {
            self.views.keep(&instance.view);
        }
        match role {
            Role::Server => self.greet_server(),
            Role::Edge => self.pass_listeners(),
            Role::Doors => {}
        }
        match role {
            Role::Server => {
                self.connect(Role::Edge);
                self.connect(Role::Doors);
            }
            other => self.connect(other),
        }
        let all_up = self.roles.values().all(|state| state.up);
        if self.stage == Stage::Starting && all_up {
            self.stage = Stage::Running;
            let running = ToUp::Running {
                api: self.api_path.clone(),
                mode: self.mode,
            };
            self.tell_up(&running);
        }
    }

    fn greet_server(&mut self) {
        let lives = self
            .instances
            .values()
            .filter(|instance| instance.kind == Kind::App);
        let lives = lives.filter_map(|instance| instance.running());
        let mut running: Vec<Running> = lives.map(|life| life.running.clone()).collect();
        let more = running.split_off(running.len().min(HELLO_MAX));
        let mode = self.mode;
        let newest = self.newest.values().max().copied().unwrap_or(Generation(0));
        self.tell_server(
            &KeeperToServer::Hello {
                running,
                newest,
                mode,
            },
            vec![],
        );
        for one in more {
            self.tell_server(&KeeperToServer::Started(one), vec![]);
        }
        let exits: Vec<_> = self.recent_exits.iter().cloned().collect();
        for (id, outcome) in exits {
            self.tell_server(&KeeperToServer::Exited(id, outcome), vec![]);
        }
    }

    fn pass_listeners(&mut self) {
        let mut messages = Vec::new();
        for listener in &self.listeners {
            if let Ok(copies) = listener.copies() {
                messages.push((KeeperToRouter::Listener(listener.outer.clone()), copies));
            }
        }
        for (message, copies) in messages {
            self.tell_router(Role::Edge, &message, copies);
        }
    }

    /// A fresh link between server and edge or doors, where both are there.
    fn connect(&mut self, other: Role) {
        let is_up = |role: Role| self.roles.get(&role).is_some_and(|state| state.up);
        if !is_up(Role::Server) || !is_up(other) {
            return;
        }
        if let Ok((a, b)) = toft_link::socket_pair() {
            self.tell_server(&KeeperToServer::Link { role: other }, vec![a]);
            self.tell_router(other, &KeeperToRouter::Link, vec![b]);
        }
    }

    pub(super) fn role_ended(&mut self, role: Role, outcome: Outcome) {
        self.drop_role(role);
        if outcome.lived >= roles::GOOD_LIFE {
            self.role(role).failures = 0;
        }
        if matches!(self.stage, Stage::Starting | Stage::Running) {
            self.start_later(role);
            self.tell_up(&ToUp::RoleEnded(role, outcome));
        }
    }

    /// The next message of a role; false when there is none now.
    pub(super) fn role_message(&mut self, role: Role) -> Result<bool, LinkError> {
        let Some(port) = self
            .roles
            .get_mut(&role)
            .and_then(|state| state.port.as_mut())
        else {
            return Ok(false);
        };
        if role == Role::Server {
            let Some((message, _)) = port.link.recv()? else {
                return Ok(false);
            };
            self.server_says(message);
        } else {
            let Some((message, _)) = port.link.recv()? else {
                return Ok(false);
            };
            self.router_says(role, message);
        }
        Ok(true)
    }

    /// Tells server, if it runs. It hears of what it missed when it runs again.
    pub(super) fn tell_server(&mut self, message: &KeeperToServer, fds: Vec<OwnedFd>) {
        self.tell_role(Role::Server, message, fds);
    }

    /// Tells edge or doors, if it runs.
    pub(super) fn tell_router(&mut self, role: Role, message: &KeeperToRouter, fds: Vec<OwnedFd>) {
        self.tell_role(role, message, fds);
    }

    fn tell_role<M: serde::Serialize>(&mut self, role: Role, message: &M, fds: Vec<OwnedFd>) {
        let Some(state) = self.roles.get_mut(&role).filter(|state| state.up) else {
            return;
        };
        let Some(port) = &mut state.port else { return };
        match port.send(&self.poll, message, fds) {
            Ok(()) | Err(LinkError::TooLarge(_) | LinkError::Encode(_)) => {}
            // It does not read, or is gone: another one is started in its place.
            Err(_) => self.drop_role_port(role),
        }
    }

    pub(super) fn spawner_ended(&mut self) {
        // Its last answers first.
        self.spawner_messages();
        let Some(spawner) = self.spawner.take() else {
            return;
        };
        match spawner.again(&self.poll, self.now) {
            Ok(mut next) => {
                // One that is gone again comes up again.
                let _ = next.port.send(&self.poll, &self.spawner_order, vec![]);
                self.spawner = Some(next);
            }
            Err(error) => self.give_up(failed("start the spawner again", error)),
        }
        self.ask_again();
    }

    /// What the spawner that ended had not answered.
    fn ask_again(&mut self) {
        for (_, call) in std::mem::take(&mut self.calls) {
            let asked = match &call {
                Call::Prepare(view) => {
                    let mounts = self.views.mounts(view).unwrap_or_default().to_vec();
                    let ask = |token| ToSpawner::Prepare {
                        token,
                        view: mounts,
                    };
                    self.call(Call::Prepare(view.clone()), vec![], ask)
                }
                Call::Sweep(serial) => {
                    let Some(instance) = self.instances.get(serial) else {
                        continue;
                    };
                    let cgroup = instance.cgroup();
                    let ask = |token| ToSpawner::Sweep { token, cgroup };
                    self.call(Call::Sweep(*serial), vec![], ask)
                }
                // Perhaps it was made, perhaps not: it must not run unknown.
                Call::Spawn(_) | Call::Sockets { .. } | Call::Inspect(_) | Call::Alive => {
                    Err(LinkError::Closed)
                }
            };
            if asked.is_err() {
                self.call_failed(call, failed("ask the spawner", "it ended"));
            }
        }
        self.strays();
    }

    pub(super) fn logger_ended(&mut self) {
        self.logger_messages();
        let Some(logger) = self.logger.take() else {
            return;
        };
        match logger.again(&self.poll, self.now) {
            Ok(mut next) => {
                let _ = next.port.send(&self.poll, &self.logger_order, vec![]);
                self.logger = Some(next);
            }
            Err(error) => return self.give_up(failed("start the logger again", error)),
        }
        let open = |i: &super::instance::Instance| {
            !i.drained && matches!(i.phase, Phase::Running | Phase::Ending)
        };
        let serials: Vec<u64> = self
            .instances
            .iter()
            .filter(|(_, i)| open(i))
            .map(|(serial, _)| *serial)
            .collect();
        for serial in serials {
            self.follow(serial, true);
            let Some(instance) = self.instances.get(&serial) else {
                continue;
            };
            if instance.phase == Phase::Ending {
                let finish = ToLogger::Finish {
                    instance: instance.spec.id.clone(),
                    note: instance.note.clone(),
                };
                self.tell_logger(&finish, vec![]);
            }
        }
    }
}
