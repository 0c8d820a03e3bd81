//! Everybody around the role server, and one app.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;
use tempfile::TempDir;
use toft_api::{AppOrder, Client, Events, ProcessOrder, Restart, RouteOrder};
use toft_link::Link;
use toft_model::event::{Event, What};
use toft_model::instance::{End, InstanceSpec, ListenDoor, LogSpec, Outcome, Running, Stop};
use toft_model::message::{
    DoorsToServer, EdgeToServer, KeeperToServer, Role, ServerToDoors, ServerToEdge, ServerToKeeper,
};
use toft_model::sandbox::{Calls, Limits, Network, SandboxSpec};
use toft_model::table::{Check, HostMatch, Table, Verdict};
use toft_model::{Generation, InstanceId};

/// How long anything may take before the test has failed.
const DEADLINE_MS: u32 = 10_000;

pub(crate) struct Stage {
    pub(crate) keeper: Link,
    pub(crate) edge: Link,
    pub(crate) doors: Link,
    pub(crate) client: Client,
    pub(crate) events: Events<Event>,
    _folder: TempDir,
}

impl Stage {
    /// Starts the role on a thread of its own; it ends when the keeper's link does.
    pub(crate) async fn new() -> Self {
        let mut stage = Self::after(vec![], 0).await;
        assert_eq!(stage.table(), Table::default());
        stage
    }

    /// The same, where a server before this one had started these, and generations up to `newest`.
    pub(crate) async fn after(running: Vec<Running>, newest: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (mut keeper, theirs) = toft_link::pair().unwrap();
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        std::thread::spawn(move || toft_agent::run(theirs, OwnedFd::from(listener), &logs));
        let mode = toft_model::sandbox::Mode::Root;
        keeper
            .send(
                &KeeperToServer::Hello {
                    running,
                    newest: toft_model::Generation(newest),
                    mode,
                },
                vec![],
            )
            .unwrap();
        let edge = link(&mut keeper, Role::Edge);
        let doors = link(&mut keeper, Role::Doors);
        let client = Client::new(&socket);
        let events = client.events(0).await.unwrap();
        Self {
            keeper,
            edge,
            doors,
            client,
            events,
            _folder: folder,
        }
    }

    /// The next order to the keeper.
    pub(crate) fn order(&mut self) -> ServerToKeeper {
        next(&mut self.keeper)
    }

    /// The instance that the keeper is told to start; it reports it as running.
    pub(crate) fn start_next(&mut self) -> InstanceSpec {
        let ServerToKeeper::Start(spec) = self.order() else {
            panic!("no start")
        };
        let running = Running {
            id: spec.id.clone(),
            pid: 7,
            start_time: 1,
            budgets: vec![],
        };
        self.keeper
            .send(&KeeperToServer::Started(running), vec![])
            .unwrap();
        *spec
    }

    /// Doors is asked to watch this instance and finds this.
    pub(crate) fn probe_finds(&mut self, id: &InstanceId, verdict: Verdict) {
        let ServerToDoors::Probe(probe) = next(&mut self.doors) else {
            panic!("no probe")
        };
        assert_eq!(&probe.instance, id);
        self.doors
            .send(&DoorsToServer::Verdict(id.clone(), verdict), vec![])
            .unwrap();
    }

    /// The next table; edge says that it serves by it.
    pub(crate) fn table(&mut self) -> Table {
        let ServerToEdge::Table(table) = next(&mut self.edge);
        let revision = table.revision;
        self.edge
            .send(&EdgeToServer::Serving { revision }, vec![])
            .unwrap();
        table
    }

    pub(crate) fn drained(&mut self, id: &InstanceId) {
        self.edge
            .send(&EdgeToServer::Drained(id.clone()), vec![])
            .unwrap();
    }

    pub(crate) fn exited(&mut self, id: &InstanceId, end: End, asked: bool) {
        let outcome = Outcome {
            end,
            oom_kills: 0,
            memory_peak: None,
            asked,
            lived: Duration::from_millis(5),
        };
        self.keeper
            .send(&KeeperToServer::Exited(id.clone(), outcome), vec![])
            .unwrap();
    }

    /// Waits for an event that `pick` takes.
    pub(crate) async fn event<T>(&mut self, pick: impl Fn(&What) -> Option<T>) -> T {
        let find = async {
            loop {
                let event = self
                    .events
                    .next()
                    .await
                    .unwrap()
                    .expect("the stream goes on");
                if let Some(found) = pick(&event.what) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_millis(DEADLINE_MS.into()), find)
            .await
            .expect("the event comes in time")
    }
}

fn link(keeper: &mut Link, role: Role) -> Link {
    let (ours, theirs) = toft_link::pair().unwrap();
    keeper
        .send(&KeeperToServer::Link { role }, vec![theirs])
        .unwrap();
    ours
}

fn next<M: serde::de::DeserializeOwned>(link: &mut Link) -> M {
    link.recv_within(DEADLINE_MS)
        .unwrap()
        .expect("a message in time")
        .0
}

/// An app with one routed process.
pub(crate) fn shop(count: u32) -> AppOrder {
    let template = InstanceSpec {
        id: InstanceId {
            app: "shop".parse().unwrap(),
            process: "web".parse().unwrap(),
            index: 0,
            generation: Generation(0),
        },
        argv: vec!["/app/shop".into()],
        env: vec![("TOFT_INSTANCE".into(), "web.{toft.index}".into())],
        workdir: "/app".into(),
        sandbox: SandboxSpec {
            hostname: "web-{toft.index}".into(),
            view: vec![],
            own: vec![],
            run_files: vec![],
            network: Network::Doors,
            calls: Calls::App,
            limits: Limits::default(),
        },
        listen: vec![ListenDoor {
            label: "http".parse().unwrap(),
            port: 8080,
            routed: true,
        }],
        stop: Stop {
            signal: 15,
            grace: Duration::from_secs(1),
        },
        log: LogSpec::default(),
        notify: false,
    };
    let week = Duration::from_secs(7 * 86_400);
    AppOrder {
        app: "shop".parse().unwrap(),
        processes: vec![ProcessOrder {
            process: "web".parse().unwrap(),
            count,
            template,
            ready: Some(Check::Tcp { port: 8080 }),
            ready_within: Duration::from_secs(30),
            restart: Restart {
                from: Duration::ZERO,
                to: Duration::ZERO,
                reset_after: week,
                never: false,
            },
        }],
        routes: vec![RouteOrder {
            host: HostMatch::Any,
            path: String::new(),
            process: "web".parse().unwrap(),
            door: "http".parse().unwrap(),
        }],
        at_once: 1,
    }
}
