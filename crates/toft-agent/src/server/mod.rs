//! The one task that owns all state and sees every event in one order.

mod act;
mod heard;

use crate::Error;
use crate::api::{self, Question};
use crate::clock::Clock;
use crate::events::EventLog;
use crate::inherited::Inherited;
use crate::links::{AsyncLink, recv_from};
use crate::logs::Logs;
use crate::record::{Live, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toft_api::{AppOrder, Status};
use toft_link::LinkError;
use toft_model::event::What;
use toft_model::instance::InstanceSpec;
use toft_model::message::{KeeperToServer, ServerToKeeper};
use toft_model::table::{Probe, Table};
use toft_model::{AppName, Generation, InstanceId};
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
    server.hello().await?;
    api::start(
        listener,
        questions,
        server.events.clone(),
        server.logs.clone(),
    );
    loop {
        server.turn(&mut asked).await?;
        server.settle();
    }
}

impl Server {
    /// Waits for the keeper's first message. An order that came before it would be carried out as if
    /// nothing ran yet: visitors of what an earlier server left would be turned away.
    async fn hello(&mut self) -> Result<(), Error> {
        loop {
            match self.keeper.recv().await {
                Ok((message, fds)) => {
                    let hello = matches!(message, KeeperToServer::Hello { .. });
                    self.heard_keeper(message, fds);
                    if hello {
                        return Ok(());
                    }
                }
                Err(LinkError::Decode(error)) => {
                    tracing::error!(%error, "a message of the keeper cannot be read");
                }
                Err(error) => return Err(Error::Keeper(error)),
            }
        }
    }

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
        self.live.entry(id.clone()).or_default().since_ns = Clock::wall_ns();
        self.keeper(&ServerToKeeper::Start(Box::new(spec)));
        id
    }
}
