//! What keeper, edge and doors tell: folded into the planner's view, the events and the log of lives.

use super::act::tell;
use super::{LAST_LINES, Server, UNREADY_WORTH_A_LINE_MS};
use crate::clock::Clock;
use crate::inherited::Inherited;
use crate::links::AsyncLink;
use crate::record;
use std::os::fd::OwnedFd;
use toft_model::InstanceId;
use toft_model::event::What;
use toft_model::instance::{End, Listening, Outcome, Refusal, Running};
use toft_model::message::{
    DoorsToServer, EdgeToServer, KeeperToServer, Role, ServerToDoors, ServerToKeeper,
};
use toft_model::sandbox::Enforcer;
use toft_model::table::{Probe, Verdict};
use toft_plan::Seen;

impl Server {
    pub(super) fn heard_keeper(&mut self, message: KeeperToServer, mut fds: Vec<OwnedFd>) {
        match message {
            KeeperToServer::Hello {
                running, newest, ..
            } => {
                self.inherited = Inherited::new(&running, newest);
                self.runs_made = self.runs_made.max(newest.0);
            }
            KeeperToServer::Started(running) => self.started(&running),
            KeeperToServer::Refused(id, refusal) => self.refused(&id, refusal),
            KeeperToServer::Exited(id, outcome) => self.exited(&id, outcome),
            KeeperToServer::Inspected(id, listening) => self.inspected(&id, listening),
            KeeperToServer::Link { role } => match fds.pop().map(AsyncLink::new) {
                Some(Ok(link)) => self.linked(role, link),
                Some(Err(error)) => tracing::error!(%error, "a link cannot be watched"),
                None => tracing::error!("a link came without its socket"),
            },
        }
    }

    /// A role is new, or this server is: it is told everything again.
    pub(super) fn linked(&mut self, role: Role, link: AsyncLink) {
        match role {
            Role::Edge => {
                self.edge = Some(link);
                self.tell_edge();
            }
            Role::Doors => {
                self.doors = Some(link);
                for probe in self.probes.values() {
                    tell(
                        &mut self.doors,
                        &ServerToDoors::Probe(probe.clone()),
                        "doors",
                    );
                }
            }
            Role::Server => tracing::error!("the keeper linked server to itself"),
        }
    }

    pub(super) fn heard_edge(&mut self, message: EdgeToServer) {
        match message {
            EdgeToServer::Serving { revision } => {
                self.serving = revision;
                record::announce(&mut self.apps, revision, &self.events, Clock::wall());
                self.stop_inherited();
            }
            EdgeToServer::Drained(id) => self.see(&id, Seen::Drained),
        }
    }

    pub(super) fn heard_doors(&mut self, message: DoorsToServer) {
        let DoorsToServer::Verdict(id, verdict) = message;
        match verdict {
            Verdict::Ready => self.ready(&id),
            Verdict::NotYet(words) => {
                let now = self.clock.now();
                if let Some(live) = self.live.get_mut(&id)
                    && live.words.as_ref() != Some(&words)
                {
                    live.words = Some(words);
                    live.look_at = Some((live.started + UNREADY_WORTH_A_LINE_MS).max(now));
                }
            }
            Verdict::Late(words) => {
                self.probes.remove(&id);
                let listening = self.live.get(&id).and_then(|l| l.listening.clone());
                let last = self.last_lines(&id);
                self.event(
                    &id.app,
                    What::Late {
                        instance: id.clone(),
                        probe: words.clone(),
                        listening,
                        last,
                    },
                );
                self.see(&id, Seen::Late(words));
                // A late one of the release that serves has no successor to wait for: it is ended
                // and comes back by the crash schedule.
                let serves = self.apps.get_mut(&id.app).is_some_and(|record| {
                    let release = record.plan.find(&id).map(|i| i.release);
                    release.is_some() && release == record.plan.current
                });
                if serves {
                    self.keeper(&ServerToKeeper::Stop(id));
                }
            }
        }
    }

    pub(super) fn started(&mut self, running: &Running) {
        let id = running.id.clone();
        let live = self.live.entry(id.clone()).or_default();
        live.pid = Some(running.pid);
        live.started = self.clock.now();
        self.see(&id, Seen::Started);
        if self.runs.contains(&id) {
            return;
        }
        self.tell_budgets(running);
        let Some(record) = self.apps.get_mut(&id.app) else {
            return;
        };
        let Some(release) = record.plan.find(&id).map(|i| i.release) else {
            return;
        };
        let Some(process) = record.process(release, &id.process) else {
            return;
        };
        match process.ready.clone() {
            Some(check) => {
                let probe = Probe {
                    instance: id.clone(),
                    check,
                    within: process.ready_within,
                };
                tell(
                    &mut self.doors,
                    &ServerToDoors::Probe(probe.clone()),
                    "doors",
                );
                self.probes.insert(id, probe);
            }
            None => self.ready(&id),
        }
    }

    /// Says which budgets are not held as they would be with cgroups.
    pub(super) fn tell_budgets(&self, running: &Running) {
        let weak = |held: &Enforcer| matches!(held, Enforcer::Rlimit | Enforcer::Nothing);
        let budgets: Vec<_> = running
            .budgets
            .iter()
            .filter(|(name, held)| name != "open_files" && weak(held))
            .cloned()
            .collect();
        if !budgets.is_empty() {
            self.event(
                &running.id.app,
                What::BestEffort {
                    instance: running.id.clone(),
                    budgets,
                },
            );
        }
    }

    pub(super) fn ready(&mut self, id: &InstanceId) {
        self.probes.remove(id);
        let after_ms = self.live.get_mut(id).map_or(0, |live| {
            live.look_at = None;
            self.clock.now().saturating_sub(live.started)
        });
        self.event(
            &id.app,
            What::Ready {
                instance: id.clone(),
                after_ms,
            },
        );
        self.see(id, Seen::Ready);
    }

    pub(super) fn refused(&mut self, id: &InstanceId, refusal: Refusal) {
        self.event(
            &id.app,
            What::Refused {
                instance: id.clone(),
                refusal: refusal.clone(),
            },
        );
        self.runs.remove(id);
        self.forget(id);
        self.see(id, Seen::Refused(refusal.to_string()));
    }

    pub(super) fn exited(&mut self, id: &InstanceId, outcome: Outcome) {
        self.inherited.gone(id);
        let last = self.last_lines(id);
        let lived = u64::try_from(outcome.lived.as_millis()).unwrap_or(u64::MAX);
        let end = outcome.end;
        let words = end.to_string();
        if self.runs.remove(id) {
            self.event(
                &id.app,
                What::RunEnded {
                    instance: id.clone(),
                    outcome,
                    last,
                },
            );
        } else {
            self.event(
                &id.app,
                What::Exited {
                    instance: id.clone(),
                    outcome,
                    last,
                },
            );
        }
        let done = self.is_done(id, end);
        self.forget(id);
        let seen = if done {
            Seen::Finished
        } else {
            Seen::Exited(words, lived)
        };
        self.see(id, seen);
        self.tell_restart(id);
    }

    /// The last lines that an instance said, none of an earlier one in the same place.
    fn last_lines(&self, id: &InstanceId) -> Vec<String> {
        let since = self.live.get(id).map_or(0, |live| live.since_ns);
        self.logs.last(id, LAST_LINES, since)
    }

    /// Whether this end is what its process is for: programs that end, and it ended well.
    fn is_done(&mut self, id: &InstanceId, end: End) -> bool {
        let Some(record) = self.apps.get_mut(&id.app) else {
            return false;
        };
        let Some(release) = record.plan.find(id).map(|instance| instance.release) else {
            return false;
        };
        let process = record.process(release, &id.process);
        end == End::Code(0) && process.is_some_and(|process| process.restart.never)
    }

    /// Says when the place of an instance that ended by itself is filled again.
    pub(super) fn tell_restart(&self, id: &InstanceId) {
        let now = self.clock.now();
        let slot = (id.process.clone(), id.index);
        let at = self
            .apps
            .get(&id.app)
            .and_then(|record| record.plan.crashes.get(&slot))
            .map(|crash| crash.retry_at);
        if let Some(at) = at.filter(|at| *at > now && *at != u64::MAX) {
            let ms = at - now;
            self.event(
                &id.app,
                What::RestartIn {
                    instance: id.clone(),
                    ms,
                },
            );
        }
    }

    pub(super) fn forget(&mut self, id: &InstanceId) {
        self.live.remove(id);
        if self.probes.remove(id).is_some() {
            tell(&mut self.doors, &ServerToDoors::Forget(id.clone()), "doors");
        }
    }

    pub(super) fn inspected(&mut self, id: &InstanceId, listening: Option<Listening>) {
        let Some(live) = self.live.get_mut(id) else {
            return;
        };
        live.listening = listening.clone();
        if let (Some(probe), true) = (live.words.clone(), self.probes.contains_key(id)) {
            self.event(
                &id.app,
                What::Waiting {
                    instance: id.clone(),
                    probe,
                    listening,
                },
            );
        }
    }
}
