//! The control thread: the keeper, server and the table; never a request.

use super::Error;
use super::drain::Draining;
use super::mail::{FromWorker, ToWorker};
use super::worker::Worker;
use crate::limits::UPSTREAM_SOCKETS_MAX;
use crate::mailbox::Mailbox;
use crate::routes::{self, Routes};
use crate::server::Server;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use toft_link::{Link, LinkError};
use toft_model::InstanceId;
use toft_model::message::{EdgeToServer, KeeperToRouter, RouterToKeeper, ServerToEdge};
use toft_model::table::Table;

struct Thread {
    mail: Arc<Mailbox<ToWorker>>,
    handle: JoinHandle<()>,
    /// Sequence number of the table that it serves by.
    serves: u64,
}

/// Everything that the control thread knows.
pub(super) struct Control {
    keeper: Link,
    server: Server<EdgeToServer>,
    mail: Arc<Mailbox<FromWorker>>,
    threads: Vec<Thread>,
    state: PathBuf,
    table: Table,
    routes: Arc<Routes>,
    /// Which threads wait for sockets of an instance, in order.
    asks: HashMap<InstanceId, VecDeque<usize>>,
    draining: Draining,
    /// The table that server was told of.
    told: u64,
}

impl Control {
    pub(super) fn new(keeper: OwnedFd, state: &Path) -> Result<Self, Error> {
        let mail = Mailbox::new().map_err(|source| Error::Loop {
            what: "make a mailbox",
            source,
        })?;
        let table = match routes::load(state) {
            Ok(table) => table.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "the kept table cannot be read; waiting for a new one");
                Table::default()
            }
        };
        Ok(Self {
            keeper: Link::new(keeper),
            server: Server::new(),
            mail: Arc::new(mail),
            threads: Vec::new(),
            state: state.to_owned(),
            routes: Arc::new(Routes::new(&table, 1)),
            table,
            asks: HashMap::new(),
            draining: Draining::default(),
            told: 0,
        })
    }

    /// Until the keeper is gone or a serving thread ended.
    pub(super) fn run(mut self) -> Result<(), Error> {
        let ended = loop {
            if let Err(error) = self.turn() {
                break error;
            }
        };
        for thread in &self.threads {
            thread.mail.put(ToWorker::Stop);
        }
        for thread in self.threads {
            // A thread that panicked has said so already.
            let _ = thread.handle.join();
        }
        match ended {
            Error::Keeper(LinkError::Closed) => Ok(()),
            other => Err(other),
        }
    }

    fn turn(&mut self) -> Result<(), Error> {
        self.wait().map_err(|source| Error::Loop {
            what: "wait for messages",
            source,
        })?;
        for message in self.mail.take() {
            self.hear_worker(message)?;
        }
        self.keeper.flush().map_err(Error::Keeper)?;
        loop {
            match self.keeper.recv::<KeeperToRouter>() {
                Ok(Some((message, fds))) => self.hear_keeper(message, fds)?,
                Ok(None) => break,
                Err(LinkError::Decode(error)) => {
                    tracing::warn!(%error, "a message of the keeper was not understood");
                }
                Err(other) => return Err(Error::Keeper(other)),
            }
        }
        self.read_server();
        Ok(())
    }

    fn wait(&self) -> Result<(), Errno> {
        let flags = |writes| {
            if writes {
                PollFlags::IN | PollFlags::OUT
            } else {
                PollFlags::IN
            }
        };
        let server = self.server.link();
        let mut polls = vec![
            PollFd::new(&*self.mail, PollFlags::IN),
            PollFd::new(&self.keeper, flags(self.keeper.wants_write())),
        ];
        if let Some((link, writes)) = &server {
            polls.push(PollFd::new(link, flags(*writes)));
        }
        match rustix::event::poll(&mut polls, None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn hear_keeper(&mut self, message: KeeperToRouter, mut fds: Vec<OwnedFd>) -> Result<(), Error> {
        match message {
            KeeperToRouter::Listener(listener) => {
                tracing::info!(address = %listener.address, threads = fds.len(), "listening");
                self.add_listener(fds)
            }
            KeeperToRouter::Link => {
                if let Some(fd) = fds.pop() {
                    self.server.attach(fd);
                    self.told = 0;
                    self.tell_serving();
                }
                Ok(())
            }
            KeeperToRouter::Sockets { instance, .. } => {
                self.hand_over(instance, fds);
                Ok(())
            }
            KeeperToRouter::Exited(instance, _) => {
                for thread in &self.threads {
                    thread.mail.put(ToWorker::Exited(instance.clone()));
                }
                if self.draining.exited(&instance) {
                    self.server.tell(EdgeToServer::Drained(instance));
                }
                Ok(())
            }
            // For doors only.
            KeeperToRouter::Notify(_) | KeeperToRouter::Ran { .. } => Ok(()),
        }
    }

    /// The first listener decides how many threads serve.
    fn add_listener(&mut self, fds: Vec<OwnedFd>) -> Result<(), Error> {
        if self.threads.is_empty() {
            for id in 0..fds.len() {
                let thread = self.start_thread(id, fds.len())?;
                self.threads.push(thread);
            }
        }
        for (at, fd) in fds.into_iter().enumerate() {
            self.threads[at % self.threads.len()]
                .mail
                .put(ToWorker::Listener(fd));
        }
        Ok(())
    }

    fn start_thread(&self, id: usize, of: usize) -> Result<Thread, Error> {
        let failed = |source| Error::Loop {
            what: "set up a serving thread",
            source,
        };
        let mail = Arc::new(Mailbox::new().map_err(failed)?);
        let sockets = (UPSTREAM_SOCKETS_MAX / of).max(1);
        mail.put(ToWorker::Table(Arc::clone(&self.routes)));
        let (inbox, control) = (Arc::clone(&mail), Arc::clone(&self.mail));
        let ended = Ended {
            id,
            control: Arc::clone(&self.mail),
        };
        let handle = std::thread::Builder::new()
            .name(format!("serve-{id}"))
            .spawn(move || {
                let _ended = ended;
                let worker = Worker::new(id, inbox, control, sockets, read_clock());
                if let Err(error) = worker.and_then(|mut worker| worker.run(&read_clock)) {
                    tracing::error!(%error, "a serving thread cannot wait for events");
                }
            })
            .map_err(Error::Thread)?;
        Ok(Thread {
            mail,
            handle,
            serves: 0,
        })
    }

    /// Answers come in the order of the questions.
    fn hand_over(&mut self, instance: InstanceId, fds: Vec<OwnedFd>) {
        let asker = self.asks.get_mut(&instance).and_then(VecDeque::pop_front);
        if self.asks.get(&instance).is_some_and(VecDeque::is_empty) {
            self.asks.remove(&instance);
        }
        if let Some(thread) = asker.and_then(|id| self.threads.get(id)) {
            thread.mail.put(ToWorker::Sockets(instance, fds));
        }
    }

    fn hear_worker(&mut self, message: FromWorker) -> Result<(), Error> {
        match message {
            FromWorker::Need(id, instance, count) => {
                self.asks.entry(instance.clone()).or_default().push_back(id);
                let question = RouterToKeeper::Sockets { instance, count };
                self.keeper.send(&question, vec![]).map_err(Error::Keeper)?;
            }
            FromWorker::Serving(id, sequence) => {
                if let Some(thread) = self.threads.get_mut(id) {
                    thread.serves = sequence;
                }
                self.tell_serving();
            }
            FromWorker::Drained(id, instance, sequence) => {
                if self.draining.drained(id, &instance, sequence) {
                    self.server.tell(EdgeToServer::Drained(instance));
                }
            }
            FromWorker::Ended(id) => return Err(Error::WorkerEnded(id)),
        }
        Ok(())
    }

    fn read_server(&mut self) {
        self.server.flush();
        while let Some(ServerToEdge::Table(table)) = self.server.recv() {
            self.set_table(table);
        }
    }

    fn set_table(&mut self, table: Table) {
        let before = instances(&self.table);
        let present = instances(&table);
        let sequence = self.routes.sequence + 1;
        let lost = before.difference(&present).cloned();
        let threads = self.threads.len();
        for instance in self.draining.table(sequence, lost, &present, threads) {
            self.server.tell(EdgeToServer::Drained(instance));
        }
        self.routes = Arc::new(Routes::new(&table, sequence));
        for thread in &self.threads {
            thread.mail.put(ToWorker::Table(Arc::clone(&self.routes)));
        }
        self.table = table;
        if let Err(error) = routes::save(&self.state, &self.table) {
            tracing::warn!(%error, "the table cannot be kept on disk");
        }
    }

    /// Tells server of a revision once every thread serves by it.
    fn tell_serving(&mut self) {
        let sequence = self.routes.sequence;
        let all = self.threads.iter().all(|thread| thread.serves == sequence);
        if self.server.link().is_some() && !self.threads.is_empty() && all && self.told != sequence
        {
            self.told = sequence;
            let revision = self.table.revision;
            self.server.tell(EdgeToServer::Serving { revision });
        }
    }
}

/// Says that its thread is over, whichever way.
struct Ended {
    id: usize,
    control: Arc<Mailbox<FromWorker>>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.control.put(FromWorker::Ended(self.id));
    }
}

fn instances(table: &Table) -> BTreeSet<InstanceId> {
    let backends = table.upstreams.iter().flat_map(|upstream| &upstream.ready);
    backends.map(|backend| backend.instance.clone()).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shell of the router: its loops hand time down"
)]
fn read_clock() -> Instant {
    Instant::now()
}
