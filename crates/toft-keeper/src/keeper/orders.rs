//! What server orders: start, stop, kill, inspect.

use super::check;
use super::failed;
use super::instance::{Asked, Instance, Kind, Phase, make_ends};
use super::state::{Call, Keeper, Stage, Timer};
use rustix::process::{Signal, pidfd_send_signal};
use std::os::fd::OwnedFd;
use toft_model::InstanceId;
use toft_model::instance::{InstanceSpec, Refusal};
use toft_model::message::{KeeperToServer, ServerToKeeper, SpawnSpec, ToLogger, ToSpawner};

/// How many places (app, process, index) are remembered.
const PLACES_MAX: usize = 65_536;

impl Keeper {
    pub(super) fn server_says(&mut self, message: ServerToKeeper) {
        match message {
            ServerToKeeper::Start(spec) => self.start_app(*spec),
            ServerToKeeper::Stop(id) => {
                if let Some(serial) = self.app(&id) {
                    self.stop(serial);
                }
            }
            ServerToKeeper::Kill(id) => {
                if let Some(serial) = self.app(&id) {
                    self.kill(serial);
                }
            }
            ServerToKeeper::Inspect(id) => self.inspect(id),
        }
    }

    /// The serial number of an instance of server's.
    pub(super) fn app(&self, id: &InstanceId) -> Option<u64> {
        let serial = *self.serials.get(id)?;
        let instance = self.instances.get(&serial)?;
        (instance.kind == Kind::App).then_some(serial)
    }

    fn start_app(&mut self, spec: InstanceSpec) {
        if let Some(serial) = self.serials.get(&spec.id).copied() {
            return self.told_again(serial, &spec);
        }
        let id = spec.id.clone();
        let begun = self
            .may_start(&spec)
            .and_then(|()| self.begin(spec, Kind::App, vec![]));
        if let Err(refusal) = begun {
            self.tell_server(&KeeperToServer::Refused(id, bounded(refusal)), vec![]);
        }
    }

    /// An order under the name of one that is there already: a server that was started again asks
    /// for what it wants without knowing what runs.
    fn told_again(&mut self, serial: u64, order: &InstanceSpec) {
        let Some(instance) = self.instances.get(&serial) else {
            return;
        };
        if instance.kind != Kind::App || !instance.is_of(order) {
            let step = format!("start {}", order.id);
            let refusal = failed(step, "another one runs under this name and generation");
            let message = KeeperToServer::Refused(order.id.clone(), refusal);
            return self.tell_server(&message, vec![]);
        }
        // One that is being started, or has ended, is told of in any case.
        if let Some(running) = instance.running().map(|life| life.running.clone()) {
            self.tell_server(&KeeperToServer::Started(running), vec![]);
        }
    }

    fn may_start(&mut self, spec: &InstanceSpec) -> Result<(), Refusal> {
        let step = || format!("start {}", spec.id);
        if !matches!(self.stage, Stage::Starting | Stage::Running) {
            return Err(failed(step(), "toft is ending"));
        }
        check::order(spec, &self.bounds)?;
        if self.apps() >= self.instances_max {
            let cause = format!("{} instances run already", self.instances_max);
            let cure = Some("raise the limit of open files (ulimit -n)".into());
            return Err(Refusal {
                step: step(),
                cause,
                cure,
            });
        }
        let id = &spec.id;
        let place = (id.app.clone(), id.process.clone(), id.index);
        let known = self.newest.get(&place).copied();
        if let Some(newest) = known.filter(|newest| *newest >= id.generation) {
            let cause = format!("generation {} of it was started already", newest.0);
            return Err(failed(step(), cause));
        }
        if known.is_none() && self.newest.len() >= PLACES_MAX {
            return Err(failed(step(), "too many different instances were started"));
        }
        self.newest.insert(place, id.generation);
        Ok(())
    }

    /// Begins with an instance, a checked one or a role: its view first.
    pub(super) fn begin(
        &mut self,
        mut spec: InstanceSpec,
        kind: Kind,
        extra: Vec<OwnedFd>,
    ) -> Result<(), Refusal> {
        let id = spec.id.clone();
        let mounts = std::mem::take(&mut spec.sandbox.view);
        let wanted = self.views.want(mounts);
        let (view, new) =
            wanted.map_err(|error| failed(format!("read the files of {id}"), error))?;
        let uid = match self.uids.as_mut().map(|uids| uids.take()).transpose() {
            Ok(uid) => uid,
            Err(refusal) => {
                self.views.release(&view);
                return Err(refusal);
            }
        };
        let serial = self.number();
        self.instances
            .insert(serial, Instance::new(spec, kind, view.clone(), uid, extra));
        self.serials.insert(id, serial);
        if new {
            let mounts = self.views.mounts(&view).unwrap_or_default().to_vec();
            let ask = |token| ToSpawner::Prepare {
                token,
                view: mounts,
            };
            if let Err(error) = self.call(Call::Prepare(view), vec![], ask) {
                let refusal = failed("make the files of an instance", error);
                self.refuse(serial, refusal);
            }
        } else if self.views.namespace(&view).is_some() {
            self.spawn(serial);
        }
        Ok(())
    }

    /// Its view is there: asks the spawner for the instance itself.
    pub(super) fn spawn(&mut self, serial: u64) {
        if let Err(refusal) = self.try_spawn(serial) {
            self.refuse(serial, refusal);
        }
    }

    fn try_spawn(&mut self, serial: u64) -> Result<(), Refusal> {
        let Some(instance) = self.instances.get_mut(&serial) else {
            return Ok(());
        };
        let step = format!("start {}", instance.spec.id);
        let Some(view) = self.views.namespace(&instance.view) else {
            return Err(failed(step, "its view is gone"));
        };
        let extra = std::mem::take(&mut instance.extra);
        let spec = SpawnSpec {
            uid: instance.uid.unwrap_or(0),
            cgroup: instance.cgroup(),
            extra: extra.len() as u32,
            die_with_keeper: true,
            instance: instance.spec.clone(),
        };
        let (ends, passed) = make_ends(view, extra).map_err(|e| failed(step.clone(), e))?;
        instance.ends = Some(ends);
        instance.phase = Phase::Spawning;
        let ask = |token| ToSpawner::Spawn {
            token,
            spec: Box::new(spec),
        };
        self.call(Call::Spawn(serial), passed, ask)
            .map_err(|e| failed(step, e))
    }

    /// It could not be started: gives back what it had, and says so once.
    pub(super) fn refuse(&mut self, serial: u64, refusal: Refusal) {
        let Some(instance) = self.release(serial) else {
            return;
        };
        match instance.kind {
            Kind::App => {
                let refusal = bounded(refusal);
                let message = KeeperToServer::Refused(instance.spec.id, refusal);
                self.tell_server(&message, vec![]);
            }
            Kind::Role(role) => self.role_refused(role, refusal),
        }
    }

    /// Takes an instance out of all tables.
    pub(super) fn release(&mut self, serial: u64) -> Option<Instance> {
        let instance = self.instances.remove(&serial)?;
        self.serials.remove(&instance.spec.id);
        self.views.release(&instance.view);
        if let (Some(uids), Some(uid)) = (&mut self.uids, instance.uid) {
            uids.give_back(uid);
        }
        Some(instance)
    }

    /// Stop signal now, KILL after its grace.
    pub(super) fn stop(&mut self, serial: u64) {
        let Some(instance) = self.instances.get_mut(&serial) else {
            return;
        };
        if instance.asked.is_some() {
            return;
        }
        instance.asked = Some(Asked::Stop);
        if instance.phase == Phase::Preparing {
            return self.never_ran(serial);
        }
        let Some(life) = instance.running() else {
            return;
        };
        if let Some(signal) = Signal::from_named_raw(instance.spec.stop.signal) {
            // One that has ended already is about to be reaped.
            let _ = pidfd_send_signal(&life.pidfd, signal);
        }
        let when = self.now + instance.spec.stop.grace;
        self.at(when, Timer::Kill(serial));
    }

    /// KILL, to its init: the kernel ends the rest of its process tree.
    pub(super) fn kill(&mut self, serial: u64) {
        let Some(instance) = self.instances.get_mut(&serial) else {
            return;
        };
        instance.asked = Some(Asked::Kill);
        if instance.phase == Phase::Preparing {
            return self.never_ran(serial);
        }
        if let Some(life) = instance.running() {
            let _ = pidfd_send_signal(&life.pidfd, Signal::KILL);
        }
    }

    /// It was stopped while its view was being built, which may hang.
    fn never_ran(&mut self, serial: u64) {
        if let Some(instance) = self.instances.get(&serial) {
            let step = format!("start {}", instance.spec.id);
            self.refuse(serial, failed(step, "it was stopped before it ran"));
        }
    }

    pub(super) fn grace_over(&mut self, serial: u64) {
        let Some(instance) = self.instances.get(&serial) else {
            return;
        };
        if instance.running().is_some() && instance.asked == Some(Asked::Stop) {
            let note = ToLogger::Note {
                instance: instance.spec.id.clone(),
                text: instance.late_words(),
            };
            self.tell_logger(&note, vec![]);
            self.kill(serial);
        }
    }

    fn inspect(&mut self, id: InstanceId) {
        let life = self
            .app(&id)
            .and_then(|serial| self.instances.get(&serial)?.running());
        let asked = match life.map(|life| life.running.pid) {
            Some(pid) => {
                let ask = |token| ToSpawner::Inspect { token, pid };
                self.call(Call::Inspect(id.clone()), vec![], ask).is_ok()
            }
            None => false,
        };
        if !asked {
            self.tell_server(&KeeperToServer::Inspected(id, None), vec![]);
        }
    }
}

/// Cuts words that quote what server itself sent: answers that it does not read must not fill memory.
fn bounded(mut refusal: Refusal) -> Refusal {
    const WORDS_BYTES_MAX: usize = 1024;
    for text in [&mut refusal.step, &mut refusal.cause] {
        if text.len() > WORDS_BYTES_MAX {
            text.truncate(text.floor_char_boundary(WORDS_BYTES_MAX));
            text.push('…');
        }
    }
    refusal
}
