//! An edge with its keeper and its server.

use crate::keeper::{Has, Keeper, loopback};
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use toft_link::Link;
use toft_model::InstanceId;
use toft_model::machine::OuterListener;
use toft_model::message::{EdgeToServer, KeeperToRouter, ServerToEdge};
use toft_model::table::{Backend, HostMatch, Route, Table, Upstream, UpstreamId};

/// Whatever is waited for comes within this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a fact that another thread brings about.
pub(crate) fn wait_until(fact: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "it did not come true in time");
        std::thread::yield_now();
    }
}

/// `shop/web.INDEX#GENERATION`.
pub(crate) fn instance(index: u32, generation: u64) -> InstanceId {
    InstanceId {
        app: "shop".parse().unwrap(),
        process: "web".parse().unwrap(),
        index,
        generation: toft_model::Generation(generation),
    }
}

pub(crate) fn upstream_id(app: &str) -> UpstreamId {
    UpstreamId {
        app: app.parse().unwrap(),
        door: "http".parse().unwrap(),
    }
}

/// One app for every host.
pub(crate) fn table(revision: u64, ready: &[(InstanceId, u16)]) -> Table {
    let ready = ready
        .iter()
        .map(|(instance, port)| Backend {
            instance: instance.clone(),
            port: *port,
        })
        .collect();
    let route = Route {
        host: HostMatch::Any,
        path: String::new(),
        to: upstream_id("shop"),
    };
    Table {
        revision,
        routes: vec![route],
        upstreams: vec![Upstream {
            id: upstream_id("shop"),
            ready,
        }],
    }
}

/// An edge and all around it.
pub(crate) struct World {
    pub(crate) keeper: Keeper,
    pub(crate) server: Link,
    pub(crate) address: SocketAddr,
    state: Option<tempfile::TempDir>,
    edge: Option<JoinHandle<()>>,
    drained: BTreeSet<InstanceId>,
}

impl World {
    /// With so many serving threads.
    pub(crate) fn start(threads: usize) -> Self {
        let state = tempfile::tempdir().unwrap();
        Self::start_in(state, threads)
    }

    pub(crate) fn start_in(state: tempfile::TempDir, threads: usize) -> Self {
        Self::start_silent(state, threads, |_| {})
    }

    /// With a keeper that has something before edge asks for it.
    pub(crate) fn start_silent(
        state: tempfile::TempDir,
        threads: usize,
        prepare: impl FnOnce(&mut Has),
    ) -> Self {
        let (keeper, control) = Keeper::start();
        prepare(&mut keeper.has.lock().unwrap());
        let (listeners, address) = listeners(threads);
        let edge = run_edge(control, state.path());
        keeper.send(
            KeeperToRouter::Listener(OuterListener { address }),
            listeners,
        );
        let server = connect_server(&keeper);
        Self {
            keeper,
            server,
            address,
            state: Some(state),
            edge: Some(edge),
            drained: BTreeSet::new(),
        }
    }

    /// Ends it; its folder stays.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        let state = self.state.take().unwrap();
        drop(self);
        state
    }

    /// Waits until edge says that every thread serves by this revision.
    pub(crate) fn wait_serving(&mut self, revision: u64) {
        self.wait_for(|world, message| world.note(message) == Some(revision));
    }

    /// A new server takes the place of the one before.
    pub(crate) fn restart_server(&mut self) {
        self.server = connect_server(&self.keeper);
    }

    /// The instance can be reached on this process' own loopback.
    pub(crate) fn admit(&self, instance: &InstanceId) {
        self.keeper
            .has
            .lock()
            .unwrap()
            .sockets
            .insert(instance.clone(), loopback());
    }

    /// Publishes and waits until every thread serves by it.
    pub(crate) fn publish(&mut self, table: Table) {
        let revision = table.revision;
        self.server
            .send(&ServerToEdge::Table(table), vec![])
            .unwrap();
        self.wait_serving(revision);
    }

    /// Waits until edge says that nothing is in flight to it.
    pub(crate) fn wait_drained(&mut self, instance: &InstanceId) {
        if self.drained.remove(instance) {
            return;
        }
        self.wait_for(|world, message| {
            world.note(message);
            world.drained.remove(instance)
        });
    }

    /// Everything that edge said until now; whether this instance is drained.
    pub(crate) fn is_drained(&mut self, instance: &InstanceId) -> bool {
        while let Some((message, _)) = self.server.recv::<EdgeToServer>().unwrap() {
            self.note(message);
        }
        self.drained.contains(instance)
    }

    fn note(&mut self, message: EdgeToServer) -> Option<u64> {
        match message {
            EdgeToServer::Serving { revision } => Some(revision),
            EdgeToServer::Drained(instance) => {
                assert!(self.drained.insert(instance), "drained is said once");
                None
            }
        }
    }

    fn wait_for(&mut self, mut done: impl FnMut(&mut Self, EdgeToServer) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some((message, _)) = self.server.recv_within(100).unwrap()
                && done(self, message)
            {
                return;
            }
        }
        panic!("edge did not say it in time");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let (unused, _) = Keeper::start();
        // The keeper's end of the link closes with it, and edge ends.
        drop(std::mem::replace(&mut self.keeper, unused));
        if let Some(edge) = self.edge.take()
            && edge.join().is_err()
            && !std::thread::panicking()
        {
            panic!("edge panicked");
        }
    }
}

fn run_edge(control: OwnedFd, state: &Path) -> JoinHandle<()> {
    let state = state.to_owned();
    std::thread::spawn(move || toft_router::edge::run(control, &state).unwrap())
}

fn connect_server(keeper: &Keeper) -> Link {
    let (server, theirs) = toft_link::pair().unwrap();
    keeper.send(KeeperToRouter::Link, vec![theirs]);
    server
}

/// `count` descriptors of one listening socket; with SO_REUSEPORT they would be sockets of their
/// own, which only spreads the clients differently.
fn listeners(count: usize) -> (Vec<OwnedFd>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let fds = (0..count)
        .map(|_| OwnedFd::from(listener.try_clone().unwrap()))
        .collect();
    (fds, address)
}
