//! The one task that owns all state and sees every event in one order.

use crate::Error;
use crate::api::{self, Question};
use crate::clock::Clock;
use crate::events::EventLog;
use crate::inherited::Inherited;
use crate::links::{AsyncLink, recv_from};
use crate::logs::Logs;
use crate::record::{self, Live, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toft_api::{AppOrder, Status};
use toft_link::LinkError;
use toft_model::event::What;
use toft_model::instance::{InstanceSpec, Listening, Outcome, Refusal, Running};
use toft_model::message::{
    DoorsToServer, EdgeToServer, KeeperToServer, Role, ServerToDoors, ServerToEdge, ServerToKeeper,
};
use toft_model::sandbox::Enforcer;
use toft_model::table::{Probe, Table, Verdict};
use toft_model::{AppName, Generation, InstanceId};
use toft_plan::{Action, Seen};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// How long an instance may be unready before that is worth a line.
const UNREADY_WORTH_A_LINE_MS: u64 = 700;
/// How many last lines go with an end.
const LAST_LINES: usize = 20;

/// Everything that server knows.
pub(crate) struct Server {
    clock: Clock,
    keeper: AsyncLink,
    edge: Option<AsyncLink>,
    doors: Option<AsyncLink>,
    apps: BTreeMap<AppName, Record>,
    live: BTreeMap<InstanceId, Live>,
    runs: BTreeSet<InstanceId>,
    runs_made: u64,
    /// What runs by the orders of a server before this one.
    inherited: Inherited,
    probes: BTreeMap<InstanceId, Probe>,
    table: Table,
    serving: u64,
    events: EventLog,
    logs: Logs,
    wake: Option<u64>,
}

/// Serves until the keeper's link ends.
pub(crate) async fn serve(
    listener: UnixListener,
    keeper: AsyncLink,
    logs: &Path,
) -> Result<(), Error> {
    let events = EventLog::new();
    let logs = Logs::new(logs);
    let (questions, mut asked) = mpsc::channel(64);
    api::start(listener, questions, events.clone(), logs.clone());
    let mut server = Server {
        clock: Clock::start(),
        keeper,
        edge: None,
        doors: None,
        apps: BTreeMap::new(),
        live: BTreeMap::new(),
        runs: BTreeSet::new(),
        runs_made: 0,
        inherited: Inherited::default(),
        probes: BTreeMap::new(),
        table: Table::default(),
        serving: 0,
        events,
        logs,
        wake: None,
    };
    loop {
        server.turn(&mut asked).await?;
        server.settle();
    }
}

impl Server {
    /// Waits for one thing and takes it in.
    async fn turn(&mut self, asked: &mut mpsc::Receiver<Question>) -> Result<(), Error> {
        let wake = self.wake.map(|at| self.clock.instant(at));
        let sleep = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = self.keeper.recv() => match message {
                Ok((message, fds)) => self.heard_keeper(message, fds),
                Err(LinkError::Decode(error)) => tracing::error!(%error, "a message of the keeper cannot be read"),
                Err(error) => return Err(Error::Keeper(error)),
            },
            message = recv_from(&mut self.edge) => match message {
                Ok((message, _)) => self.heard_edge(message),
                Err(error) => {
                    tracing::warn!(%error, "the link to edge ended");
                    self.edge = None;
                }
            },
            message = recv_from(&mut self.doors) => match message {
                Ok((message, _)) => self.heard_doors(message),
                Err(error) => {
                    tracing::warn!(%error, "the link to doors ended");
                    self.doors = None;
                }
            },
            Some(question) = asked.recv() => self.answer(question),
            () = sleep => self.look(),
        }
        Ok(())
    }

    fn heard_keeper(&mut self, message: KeeperToServer, mut fds: Vec<std::os::fd::OwnedFd>) {
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
    fn linked(&mut self, role: Role, link: AsyncLink) {
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

    fn heard_edge(&mut self, message: EdgeToServer) {
        match message {
            EdgeToServer::Serving { revision } => {
                self.serving = revision;
                record::announce(&mut self.apps, revision, &self.events, Clock::wall());
                self.stop_inherited();
            }
            EdgeToServer::Drained(id) => self.see(&id, Seen::Drained),
        }
    }

    fn heard_doors(&mut self, message: DoorsToServer) {
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
                let last = self.logs.last(&id, LAST_LINES);
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

    fn started(&mut self, running: &Running) {
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
    fn tell_budgets(&self, running: &Running) {
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

    fn ready(&mut self, id: &InstanceId) {
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

    fn refused(&mut self, id: &InstanceId, refusal: Refusal) {
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

    fn exited(&mut self, id: &InstanceId, outcome: Outcome) {
        self.inherited.gone(id);
        let last = self.logs.last(id, LAST_LINES);
        let lived = u64::try_from(outcome.lived.as_millis()).unwrap_or(u64::MAX);
        let words = outcome.end.to_string();
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
        self.forget(id);
        self.see(id, Seen::Exited(words, lived));
        self.tell_restart(id);
    }

    /// Says when the place of an instance that ended by itself is filled again.
    fn tell_restart(&self, id: &InstanceId) {
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

    fn forget(&mut self, id: &InstanceId) {
        self.live.remove(id);
        if self.probes.remove(id).is_some() {
            tell(&mut self.doors, &ServerToDoors::Forget(id.clone()), "doors");
        }
    }

    fn inspected(&mut self, id: &InstanceId, listening: Option<Listening>) {
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

    /// Looks at instances that have been unready for long enough to be worth a line.
    fn look(&mut self) {
        let now = self.clock.now();
        let mut due = Vec::new();
        for (id, live) in &mut self.live {
            if live.look_at.is_some_and(|at| at <= now) {
                live.look_at = None;
                due.push(id.clone());
            }
        }
        for id in due {
            self.keeper(&ServerToKeeper::Inspect(id));
        }
    }

    fn answer(&mut self, question: Question) {
        match question {
            Question::Release(order, answer) => {
                // A client that left does not need the answer.
                let _ = answer.send(self.release(*order));
            }
            Question::Run(spec, answer) => {
                let _ = answer.send(self.run(*spec));
            }
            Question::EndRun(id, answer) => {
                let known = self.runs.contains(&id);
                if known {
                    self.keeper(&ServerToKeeper::Kill(id));
                }
                let _ = answer.send(known);
            }
            Question::Status(answer) => {
                let apps = self
                    .apps
                    .iter()
                    .map(|(name, r)| r.status(name, &self.live))
                    .collect();
                let _ = answer.send(Status {
                    apps,
                    serving_revision: self.serving,
                });
            }
        }
    }

    fn release(&mut self, order: AppOrder) -> u64 {
        let app = order.app.clone();
        let record = self.apps.entry(app.clone()).or_default();
        record.plan.floor = self.inherited.floor();
        let release = record.order(order);
        self.event(&app, What::Released { release });
        release
    }

    fn run(&mut self, mut spec: InstanceSpec) -> InstanceId {
        self.runs_made += 1;
        spec.id.generation = Generation(self.runs_made);
        let id = spec.id.clone();
        self.runs.insert(id.clone());
        self.keeper(&ServerToKeeper::Start(Box::new(spec)));
        id
    }

    fn see(&mut self, id: &InstanceId, seen: Seen) {
        let now = self.clock.now();
        if let Some(record) = self.apps.get_mut(&id.app) {
            record.plan.see(id, seen, now);
        }
    }

    /// Decides and acts until there is nothing to do but wait; then publishes the table.
    fn settle(&mut self) {
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
    fn settle_app(
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

    fn act(&mut self, name: &AppName, action: &Action, now: u64) {
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
            Action::Stop { id, .. } => self.keeper(&ServerToKeeper::Stop(id.clone())),
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
    fn publish(&mut self, promoted: &[(AppName, u64)]) {
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

    fn stop_inherited(&mut self) {
        for id in self.inherited.take_served(&self.apps) {
            self.keeper(&ServerToKeeper::Stop(id));
        }
    }

    fn tell_edge(&mut self) {
        if self.inherited.holds_back(self.table.revision, &self.table) {
            return;
        }
        tell(
            &mut self.edge,
            &ServerToEdge::Table(self.table.clone()),
            "edge",
        );
    }

    fn keeper(&mut self, message: &ServerToKeeper) {
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

    fn event(&self, app: &AppName, what: What) {
        self.events.add(app, Clock::wall(), what);
    }
}

fn tell<M: serde::Serialize>(link: &mut Option<AsyncLink>, message: &M, whom: &'static str) {
    if let Some(open) = link
        && let Err(error) = open.send(message, Vec::new())
    {
        tracing::warn!(%error, whom, "a message could not be sent");
        *link = None;
    }
}
