//! What follows from it: decisions carried out, and the table published.

use super::Server;
use crate::clock::Clock;
use crate::links::AsyncLink;
use crate::record;
use toft_link::LinkError;
use toft_model::event::What;
use toft_model::instance::Refusal;
use toft_model::message::{ServerToEdge, ServerToKeeper};
use toft_model::{AppName, InstanceId};
use toft_plan::{Action, Seen};

impl Server {
    pub(super) fn see(&mut self, id: &InstanceId, seen: Seen) {
        let now = self.clock.now();
        if let Some(record) = self.apps.get_mut(&id.app) {
            record.plan.see(id, seen, now);
        }
    }

    /// Decides and acts until there is nothing to do but wait; then publishes the table.
    pub(super) fn settle(&mut self) {
        let now = self.clock.now();
        let mut wake: Option<u64> = None;
        let mut promoted = Vec::new();
        let names: Vec<AppName> = self.apps.keys().cloned().collect();
        for name in &names {
            let at = self.settle_app(name, now, &mut promoted);
            wake = [wake, at].into_iter().flatten().min();
        }
        self.publish(&promoted);
        let looks = self.live.values().filter_map(|live| live.look_at).min();
        self.wake = [wake, looks].into_iter().flatten().min();
    }

    /// Acts for one app until nothing is left but to wait; until when, if there is a time.
    pub(super) fn settle_app(
        &mut self,
        name: &AppName,
        now: u64,
        promoted: &mut Vec<(AppName, u64)>,
    ) -> Option<u64> {
        loop {
            let actions = toft_plan::decide(name, &self.apps.get(name)?.plan, now);
            let mut acted = false;
            let mut wake: Option<u64> = None;
            for action in actions {
                match action {
                    Action::Wake { at, .. } => wake = Some(wake.map_or(at, |w| w.min(at))),
                    action => {
                        acted = true;
                        if let Action::Promote { release } = action {
                            promoted.push((name.clone(), release));
                        }
                        self.act(name, &action, now);
                    }
                }
            }
            if !acted {
                return wake;
            }
        }
    }

    pub(super) fn act(&mut self, name: &AppName, action: &Action, now: u64) {
        if let Some(record) = self.apps.get_mut(name) {
            record.plan.apply(action, now);
        }
        match action {
            Action::Start {
                id,
                release,
                reason,
            } => {
                let template = self
                    .apps
                    .get(name)
                    .and_then(|r| r.process(*release, &id.process))
                    .map(|process| record::instance(&process.template, id));
                let Some(spec) = template else {
                    tracing::error!(instance = %id, "the planner wants a process that the release does not have");
                    return;
                };
                self.event(
                    name,
                    What::Starting {
                        instance: id.clone(),
                        reason: reason.clone(),
                    },
                );
                self.live.entry(id.clone()).or_default().since_ns = Clock::wall_ns();
                self.keeper(&ServerToKeeper::Start(Box::new(spec)));
            }
            Action::Drain { id, reason } => {
                self.event(
                    name,
                    What::Draining {
                        instance: id.clone(),
                        reason: reason.clone(),
                    },
                );
            }
            Action::Stop { id, reason, cut } => {
                if *cut {
                    let (instance, reason) = (id.clone(), reason.clone());
                    self.event(name, What::Cut { instance, reason });
                }
                self.keeper(&ServerToKeeper::Stop(id.clone()));
            }
            Action::GiveUp {
                release,
                keeps,
                reason,
            } => {
                let (release, keeps, reason) = (*release, *keeps, reason.clone());
                self.event(
                    name,
                    What::GivenUp {
                        release,
                        keeps,
                        reason,
                    },
                );
            }
            Action::Promote { .. } | Action::Wake { .. } => {}
        }
    }

    /// Publishes the table when it changed, and remembers which releases are to be announced by it.
    pub(super) fn publish(&mut self, promoted: &[(AppName, u64)]) {
        let mut table = record::table(&self.apps);
        table.revision = self.table.revision;
        if table != self.table && !self.inherited.holds_back(self.table.revision, &table) {
            table.revision = table.revision.max(self.serving) + 1;
            self.table = table;
            self.tell_edge();
        }
        for (name, release) in promoted {
            if let Some(record) = self.apps.get_mut(name) {
                record.to_announce = Some((*release, self.table.revision));
            }
        }
        record::announce(&mut self.apps, self.serving, &self.events, Clock::wall());
        self.stop_inherited();
    }

    pub(super) fn stop_inherited(&mut self) {
        for id in self.inherited.take_served(&self.apps) {
            self.keeper(&ServerToKeeper::Stop(id));
        }
    }

    pub(super) fn tell_edge(&mut self) {
        if self.inherited.holds_back(self.table.revision, &self.table) {
            return;
        }
        tell(
            &mut self.edge,
            &ServerToEdge::Table(self.table.clone()),
            "edge",
        );
    }

    pub(super) fn keeper(&mut self, message: &ServerToKeeper) {
        if let Err(error) = self.keeper.send(message, Vec::new()) {
            tracing::error!(%error, "the keeper does not take an order");
            let (ServerToKeeper::Start(spec), LinkError::TooLarge(bytes)) = (message, &error)
            else {
                return;
            };
            let refusal = Refusal {
                step: "send the order to the keeper".to_owned(),
                cause: format!("it has {bytes} bytes, more than fit in one message"),
                cure: Some(
                    "declare fewer paths, or whole folders instead of single files".to_owned(),
                ),
            };
            self.refused(&spec.id.clone(), refusal);
        }
    }

    pub(super) fn event(&self, app: &AppName, what: What) {
        self.events.add(app, Clock::wall(), what);
    }
}

pub(super) fn tell<M: serde::Serialize>(
    link: &mut Option<AsyncLink>,
    message: &M,
    whom: &'static str,
) {
    if let Some(open) = link
        && let Err(error) = open.send(message, Vec::new())
    {
        tracing::warn!(%error, whom, "a message could not be sent");
        *link = None;
    }
}
