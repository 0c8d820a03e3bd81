//! Ends: of one instance, and of the keeper itself.

use super::helper::Helper;
use super::instance::{Instance, Kind, Phase};
use super::state::{Call, Keeper, Stage, Timer};
use super::turn::GONE_WITHIN;
use super::{Error, failed};
use crate::system::{self, Reaped};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions, kill_process, waitpid};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::Duration;
use toft_model::InstanceId;
use toft_model::instance::{End, Outcome, Refusal};
use toft_model::message::{KeeperToRouter, KeeperToServer, Role, ToLogger, ToSpawner, ToUp};
use toft_sandbox::init::{STATUS_BYTES, Status, decode_status};

/// How long the rest of a log may take, and the sweep of a cgroup.
const DRAINED_WITHIN: Duration = Duration::from_secs(5);
const SWEPT_WITHIN: Duration = Duration::from_secs(10);
/// How many ends are kept for a server that may not have heard of them.
const RECENT_EXITS: usize = 256;

impl Keeper {
    /// Its pidfd woke us: takes its end, and begins to clear up.
    pub(super) fn reap(&mut self, serial: u64) {
        let Some(instance) = self.instances.get_mut(&serial) else {
            return;
        };
        let Some(life) = instance.running() else {
            return;
        };
        let reaped = match system::reap(life.pidfd.as_fd()) {
            Ok(None) => return,
            Ok(Some(reaped)) => Some(reaped),
            Err(_) => None,
        };
        let lived = self.now.saturating_duration_since(life.since);
        self.poll.remove(&life.pidfd);
        let (end, note) = instance_end(instance, reaped);
        instance.outcome = Some(Outcome {
            end,
            oom_kills: 0,
            memory_peak: None,
            asked: instance.asked.is_some(),
            lived,
        });
        instance.phase = Phase::Ending;
        instance.note = note;
        // The namespaces go now, not when the log has been read.
        if let Some(life) = &mut instance.life {
            life.netns = None;
            life.notify = None;
        }
        if let Some(ends) = &instance.ends {
            self.poll.remove(&ends.control);
        }
        self.runs_ended(serial);
        self.clear_up(serial);
    }

    fn clear_up(&mut self, serial: u64) {
        let Some(instance) = self.instances.get(&serial) else {
            return;
        };
        let finish = ToLogger::Finish {
            instance: instance.spec.id.clone(),
            note: instance.note.clone(),
        };
        let cgroup = instance.cgroup();
        self.tell_logger(&finish, vec![]);
        self.at(self.now + DRAINED_WITHIN, Timer::DrainLate(serial));
        self.at(self.now + SWEPT_WITHIN, Timer::SweepLate(serial));
        let ask = |token| ToSpawner::Sweep { token, cgroup };
        if self.call(Call::Sweep(serial), vec![], ask).is_err() {
            self.swept(serial, 0, None);
        } else {
            self.finish(serial);
        }
    }

    pub(super) fn swept(&mut self, serial: u64, oom_kills: u64, memory_peak: Option<u64>) {
        let Some(instance) = self.instances.get_mut(&serial) else {
            return;
        };
        if instance.swept || instance.phase != Phase::Ending {
            return;
        }
        instance.swept = true;
        if let Some(outcome) = &mut instance.outcome {
            outcome.oom_kills = oom_kills;
            outcome.memory_peak = memory_peak;
        }
        self.finish(serial);
    }

    pub(super) fn drained(&mut self, id: &InstanceId) {
        let Some(serial) = self.serials.get(id).copied() else {
            return;
        };
        if let Some(instance) = self.instances.get_mut(&serial) {
            instance.drained = instance.phase == Phase::Ending;
        }
        self.finish(serial);
    }

    /// Somebody else holds its pipes, or the logger is slow: it is not waited for.
    pub(super) fn drain_late(&mut self, serial: u64) {
        let Some(instance) = self.instances.get_mut(&serial) else {
            return;
        };
        if instance.phase != Phase::Ending || instance.drained {
            return;
        }
        instance.drained = true;
        let forget = ToLogger::Forget(instance.spec.id.clone());
        self.tell_logger(&forget, vec![]);
        self.finish(serial);
    }

    /// Says that it ended, once all of it is gone.
    fn finish(&mut self, serial: u64) {
        let Some(instance) = self.instances.get(&serial) else {
            return;
        };
        if instance.phase != Phase::Ending || !(instance.swept && instance.drained) {
            return;
        }
        let Some(instance) = self.release(serial) else {
            return;
        };
        let routed = instance.is_routed();
        let Instance {
            kind,
            spec,
            outcome: Some(outcome),
            ..
        } = instance
        else {
            return;
        };
        match kind {
            Kind::App => self.exited(spec.id, outcome, routed),
            Kind::Role(role) => self.role_ended(role, outcome),
        }
    }

    fn exited(&mut self, id: InstanceId, outcome: Outcome, routed: bool) {
        self.tell_router(
            Role::Doors,
            &KeeperToRouter::Exited(id.clone(), outcome.clone()),
            vec![],
        );
        if routed {
            let message = KeeperToRouter::Exited(id.clone(), outcome.clone());
            self.tell_router(Role::Edge, &message, vec![]);
        }
        self.tell_server(&KeeperToServer::Exited(id.clone(), outcome.clone()), vec![]);
        if self.recent_exits.len() == RECENT_EXITS {
            self.recent_exits.pop_front();
        }
        self.recent_exits.push_back((id, outcome));
    }

    /// Something without which there is no going on.
    pub(super) fn give_up(&mut self, refusal: Refusal) {
        if self.failure.is_none() {
            self.tell_up(&ToUp::Failed(refusal.clone()));
            self.failure = Some(refusal);
        }
        self.end(true);
    }

    /// Begins to end: in good order, or by KILL. The second may follow the first.
    pub(super) fn end(&mut self, kill: bool) {
        match self.stage {
            Stage::Starting | Stage::Running => {}
            Stage::Stopping if kill => {}
            _ => return,
        }
        self.stage = if kill {
            Stage::Killing
        } else {
            Stage::Stopping
        };
        let all: Vec<(u64, Kind)> = self.instances.iter().map(|(s, i)| (*s, i.kind)).collect();
        for (serial, kind) in all {
            match kind {
                _ if kill => self.kill(serial),
                Kind::App => self.stop(serial),
                Kind::Role(_) => {}
            }
        }
        if kill {
            self.at(self.now + GONE_WITHIN, Timer::GiveUp);
        }
    }

    /// What was killed is still there: we do not wait for ever, and say so.
    pub(super) fn not_gone(&mut self) {
        let lives = self
            .instances
            .values()
            .filter_map(|instance| instance.running());
        let pids: Vec<String> = lives.map(|life| life.running.pid.to_string()).collect();
        let words = format!(
            "killed, and still there after {GONE_WITHIN:?}: pid {}",
            pids.join(", ")
        );
        let refusal = failed("end what runs", words);
        self.tell_up(&ToUp::Failed(refusal.clone()));
        self.failure.get_or_insert(refusal);
        self.stage = Stage::GivenUp;
    }

    /// Once the apps have ended, the roles are stopped.
    pub(super) fn go_on_ending(&mut self) {
        if self.stage != Stage::Stopping || self.apps() > 0 {
            return;
        }
        let roles: Vec<u64> = self.instances.keys().copied().collect();
        for serial in roles {
            self.stop(serial);
        }
    }

    /// Everything has ended: the helpers leave, the run folder goes.
    pub(super) fn leave(mut self) -> Result<(), Error> {
        if let Some(spawner) = self.spawner.take() {
            // It removes the cgroups at the end of its link.
            spawner.leave();
        }
        if let Some(logger) = self.logger.take() {
            logger.leave();
        }
        self.strays();
        self.uids = None;
        self.folder.clean();
        match self.failure.take() {
            Some(refusal) => Err(Error::Refused(refusal)),
            None => {
                self.tell_up(&ToUp::Ended);
                Ok(())
            }
        }
    }

    /// Kills children that nobody knows: a spawner that was killed may have made one without
    /// having said so.
    pub(super) fn strays(&self) {
        let helpers = [&self.spawner, &self.logger].into_iter().flatten();
        let lives = self.instances.values().filter_map(|i| i.life.as_ref());
        let known: BTreeSet<u32> = helpers
            .map(Helper::pid)
            .chain(lives.map(|life| life.running.pid))
            .collect();
        for pid in system::children() {
            if !known.contains(&pid.as_raw_nonzero().get().unsigned_abs()) {
                let _ = kill_process(pid, Signal::KILL);
                // One that does not go at once is reaped by the next call, or by init after us.
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }
}

/// How it ended, from what its init said and from what the kernel says of its init; and what its
/// log should say of that.
fn instance_end(instance: &Instance, reaped: Option<Reaped>) -> (End, Option<String>) {
    let program = instance.spec.argv.first().map_or("", String::as_str);
    match (init_said(instance), reaped) {
        (Some(Status::Ended(end)), _) => (end, None),
        (Some(Status::NotRun(errno)), _) => {
            // As shells have it: 127 for what is not there, 126 for what may not be run.
            let code = if errno == Errno::NOENT { 127 } else { 126 };
            let error = std::io::Error::from(errno);
            (
                End::Code(code),
                Some(format!("cannot run {program}: {error}")),
            )
        }
        (None, Some(Reaped::Signal(signal))) => (End::Signal(signal), None),
        (None, Some(Reaped::Code(code))) => (End::Code(code), None),
        (None, None) => (End::Unknown, None),
    }
}

fn init_said(instance: &Instance) -> Option<Status> {
    let ends = instance.ends.as_ref()?;
    let mut record = [0; STATUS_BYTES];
    let got = rustix::io::read(&ends.status, &mut record).ok()?;
    decode_status(record.get(..got)?)
}
