//! What a keeper holds, and how it comes to hold it.

use super::folder::Folder;
use super::helper::Helper;
use super::instance::{Instance, Kind};
use super::listeners::Listener;
use super::token::Token;
use super::uids::Uids;
use super::views::{Key, Views};
use super::{failed, roles};
use crate::bucket::Bucket;
use crate::poll::{Poll, Port};
use crate::system;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use toft_model::instance::{Outcome, Refusal};
use toft_model::machine::Bounds;
use toft_model::message::{LoggerOrder, Role, SpawnerOrder, ToLogger, ToSpawner, UpOrder};
use toft_model::sandbox::{Limits, Mode};
use toft_model::{AppName, Generation, InstanceId, ProcessName};

/// One listener thread of edge for each processor, up to this many.
const LISTENERS_MAX: usize = 8;
/// Open files of a role.
const ROLE_FILES_MAX: u64 = 16_384;
/// Descriptors that an instance costs the keeper, rounded up, and those that it needs itself.
const FILES_PER_INSTANCE: u64 = 10;
const FILES_OF_OUR_OWN: u64 = 256;
/// How long the spawner may take for anything but a view.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// Sockets into instances: so many a second, and so many at once. What edge and doors hold of them
/// is bounded by their own limit of open files.
const SOCKETS_PER_SECOND: f64 = 2_000.0;
const SOCKETS_AT_ONCE: f64 = 4_096.0;

/// What the spawner was asked, by the token that comes back.
#[derive(Debug)]
pub(crate) enum Call {
    Prepare(Key),
    Spawn(u64),
    Sockets {
        role: Role,
        instance: InstanceId,
    },
    Inspect(InstanceId),
    Sweep(u64),
    /// Nothing but whether it answers.
    Alive,
}

/// What is to happen at a certain time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The grace of this instance is over.
    Kill(u64),
    /// The log of this one should have been drained by now.
    DrainLate(u64),
    /// What is left of this one should have been swept by now.
    SweepLate(u64),
    /// A role without its link should have ended by now.
    Mute(u64),
    /// A role is to start again.
    Start(Role),
    /// Every call up to this token should have been answered by now.
    Answers(u64),
    /// What was killed should be gone.
    GiveUp,
}

/// How far the keeper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The roles start for the first time.
    Starting,
    /// They run.
    Running,
    /// Instances end in good order, then the roles.
    Stopping,
    /// Everything was killed.
    Killing,
    /// What was killed does not go away; we do.
    GivenUp,
}

/// One of the three roles.
#[derive(Debug)]
pub(crate) struct RoleState {
    pub(crate) serial: Option<u64>,
    /// The control link of the generation that is starting or runs.
    pub(crate) port: Option<Port>,
    /// Whether it was spawned: only then it is told things.
    pub(crate) up: bool,
    pub(crate) generation: u64,
    pub(crate) failures: u32,
    /// How many sockets it may still ask for.
    pub(crate) sockets: Bucket,
}

impl RoleState {
    fn new(now: Instant) -> Self {
        Self {
            serial: None,
            port: None,
            up: false,
            generation: 0,
            failures: 0,
            sockets: Bucket::new(SOCKETS_PER_SECOND, SOCKETS_AT_ONCE, now),
        }
    }
}

/// The place of an instance, whatever its generation.
pub(crate) type Place = (AppName, ProcessName, u32);

/// All that a keeper holds.
pub(crate) struct Keeper {
    pub(crate) mode: Mode,
    pub(crate) bounds: Bounds,
    pub(crate) folder: Folder,
    pub(crate) program: PathBuf,
    pub(crate) poll: Poll,
    pub(crate) now: Instant,
    pub(crate) signals: OwnedFd,
    pub(crate) up: Option<Port>,
    pub(crate) spawner: Option<Helper>,
    pub(crate) spawner_order: SpawnerOrder,
    pub(crate) logger: Option<Helper>,
    pub(crate) logger_order: LoggerOrder,
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) last_number: u64,
    pub(crate) answers_watched: bool,
    pub(crate) views: Views,
    pub(crate) uids: Option<Uids>,
    pub(crate) instances: BTreeMap<u64, Instance>,
    pub(crate) instances_max: usize,
    pub(crate) serials: HashMap<InstanceId, u64>,
    pub(crate) newest: HashMap<Place, Generation>,
    /// Ends that a server may not have heard of, because it ended itself before it read them.
    pub(crate) recent_exits: VecDeque<(InstanceId, Outcome)>,
    pub(crate) roles: BTreeMap<Role, RoleState>,
    pub(crate) role_files: u32,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) api: OwnedFd,
    pub(crate) api_path: PathBuf,
    pub(crate) timers: BTreeMap<(Instant, u64), Timer>,
    pub(crate) stage: Stage,
    pub(crate) failure: Option<Refusal>,
}

impl Keeper {
    /// Takes what it needs, in an order in which a refusal leaves nothing behind. Nothing runs yet
    /// but spawner and logger.
    pub(crate) fn start(order: UpOrder, signals: OwnedFd) -> Result<Self, Refusal> {
        let now = system::now();
        let mode = if rustix::process::geteuid().is_root() {
            Mode::Root
        } else {
            Mode::User
        };
        let (files_before, files) = raise_open_files();
        let folder = Folder::open(&order.state)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let listeners = order
            .listeners
            .iter()
            .map(|outer| Listener::open(outer, threads.min(LISTENERS_MAX)))
            .collect::<Result<Vec<_>, _>>()?;
        let (api, api_path) = folder.api()?;
        let program = std::env::current_exe().map_err(|e| failed("find this program", e))?;
        toft_sandbox::enter_user_namespace().map_err(Refusal::from)?;
        let mut uids = match mode {
            Mode::Root => Some(Uids::claim()?),
            Mode::User => None,
        };
        let logger_uid = uids.as_mut().map(Uids::take).transpose()?;
        // It tells the next start whether we still live.
        let cgroup = toft_sandbox::cgroup::parent_name(std::process::id())
            .ok_or_else(|| failed("find our own start time", "/proc cannot be read"))?;
        let poll = Poll::new().map_err(|e| failed("make a poll set", e))?;
        poll.add(&signals, Token::Signals.encode())
            .map_err(|e| failed("wait for signals", e))?;
        let mut keeper = Self {
            mode,
            bounds: order.bounds,
            folder,
            program,
            poll,
            now,
            signals,
            up: None,
            spawner: None,
            spawner_order: SpawnerOrder {
                mode,
                cgroup,
                limits: Limits::default(),
                open_files: files_before,
            },
            logger: None,
            logger_order: LoggerOrder { uid: logger_uid },
            calls: BTreeMap::new(),
            last_number: 0,
            answers_watched: false,
            views: Views::default(),
            uids,
            instances: BTreeMap::new(),
            instances_max: (files.saturating_sub(FILES_OF_OUR_OWN) / FILES_PER_INSTANCE) as usize,
            serials: HashMap::new(),
            newest: HashMap::new(),
            recent_exits: VecDeque::new(),
            roles: roles::ALL
                .into_iter()
                .map(|role| (role, RoleState::new(now)))
                .collect(),
            role_files: files.min(ROLE_FILES_MAX) as u32,
            listeners,
            api,
            api_path,
            timers: BTreeMap::new(),
            stage: Stage::Starting,
            failure: None,
        };
        keeper.start_helpers()?;
        Ok(keeper)
    }

    fn start_helpers(&mut self) -> Result<(), Refusal> {
        let spawner = ("spawner", (Token::Spawner, Token::SpawnerEnd));
        let logger = ("logger", (Token::Logger, Token::LoggerEnd));
        let begin = |(role, tokens): (&'static str, (Token, Token))| {
            Helper::start(role, tokens, &self.poll, self.now)
                .map_err(|error| failed(format!("start the {role}"), error))
        };
        let (mut spawner, mut logger) = (begin(spawner)?, begin(logger)?);
        // A helper that is gone already is met again as one that ended.
        let _ = spawner.port.send(&self.poll, &self.spawner_order, vec![]);
        let _ = logger.port.send(&self.poll, &self.logger_order, vec![]);
        self.spawner = Some(spawner);
        self.logger = Some(logger);
        Ok(())
    }

    /// A number that nothing else of this keeper has.
    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Asks the spawner; `ask` gets the token that comes back with the answer.
    pub(crate) fn call(
        &mut self,
        call: Call,
        fds: Vec<OwnedFd>,
        ask: impl FnOnce(u64) -> ToSpawner,
    ) -> Result<(), toft_link::LinkError> {
        let token = self.number();
        let message = ask(token);
        let Some(spawner) = &mut self.spawner else {
            return Err(toft_link::LinkError::Closed);
        };
        match spawner.port.send(&self.poll, &message, fds) {
            // What could not be sent because it is gone is asked again of the next one.
            Ok(()) | Err(toft_link::LinkError::Closed) => {
                self.calls.insert(token, call);
                self.watch_answers();
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    /// Sees to it that a spawner that hangs is noticed.
    fn watch_answers(&mut self) {
        if !self.answers_watched {
            self.answers_watched = true;
            let newest = self.last_number;
            self.at(self.now + ANSWERED_WITHIN, Timer::Answers(newest));
        }
    }

    /// A call that is not answered for so long hangs, and with it every call after it. Views are
    /// built beside the spawner's own work and may take as long as they like: while one is waited
    /// for, the spawner is asked for a sign of life.
    pub(crate) fn answers_late(&mut self, newest: u64) {
        self.answers_watched = false;
        let hangs = |call: &Call| !matches!(call, Call::Prepare(_));
        if self.calls.range(..=newest).any(|(_, call)| hangs(call)) {
            if let Some(spawner) = &mut self.spawner {
                spawner.kill();
            }
        } else if self.calls.range(..=newest).next().is_some() {
            let pid = std::process::id();
            // What cannot be sent because it does not read is as good as no answer.
            let _ = self.call(Call::Alive, vec![], |token| ToSpawner::Inspect {
                token,
                pid,
            });
        } else if !self.calls.is_empty() {
            self.watch_answers();
        }
    }

    /// Tells the logger. One that is gone hears all it needs when it is started again.
    pub(crate) fn tell_logger(&mut self, message: &ToLogger, fds: Vec<OwnedFd>) {
        if let Some(logger) = &mut self.logger
            && let Err(toft_link::LinkError::Full) = logger.port.send(&self.poll, message, fds)
        {
            logger.kill();
        }
    }

    /// Sets a timer.
    pub(crate) fn at(&mut self, when: Instant, timer: Timer) {
        let number = self.number();
        self.timers.insert((when, number), timer);
    }

    /// The state of a role.
    pub(crate) fn role(&mut self, role: Role) -> &mut RoleState {
        self.roles
            .entry(role)
            .or_insert_with(|| RoleState::new(self.now))
    }

    /// How many instances of server's there are.
    pub(crate) fn apps(&self) -> usize {
        self.instances
            .values()
            .filter(|instance| instance.kind == Kind::App)
            .count()
    }
}

/// Lets this process open as many files as it ever may; how many it could before, and can now.
fn raise_open_files() -> (u64, u64) {
    const AT_LEAST: u64 = 1024;
    const AT_MOST: u64 = 1 << 20;
    let found = getrlimit(Resource::Nofile);
    let before = found.current.unwrap_or(AT_MOST).max(AT_LEAST);
    let most = found.maximum.unwrap_or(AT_MOST);
    let raised = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => (before, most),
        Err(_) => (before, before),
    }
}
