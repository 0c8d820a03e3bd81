//! One serving thread: its loop and what it hands out to the other files of this folder.

use super::connection::{Back, Front};
use super::mail::{FromWorker, ToWorker};
use super::pool::Pool;
use super::timers::Timers;
use crate::http1::{Field, Pieces};
use crate::limits::{READ_BYTES, SWEEP_TIME};
use crate::mailbox::Mailbox;
use crate::net::{EventFlags, Poll};
use crate::routes::Routes;
use crate::slab::{Key, Slab};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use toft_model::InstanceId;
use toft_model::table::{Backend, UpstreamId};

/// Two bits in front of a key say what an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Mail = 0,
    Listener = 1,
    Front = 2,
    Back = 3,
}

impl Tag {
    pub(super) fn token(self, bits: u64) -> u64 {
        (self as u64) << 62 | bits
    }

    fn of(token: u64) -> (Self, u64) {
        let tag = match token >> 62 {
            0 => Tag::Mail,
            1 => Tag::Listener,
            2 => Tag::Front,
            _ => Tag::Back,
        };
        (tag, token & (u64::MAX >> 2))
    }
}

/// Buffers of the thread that are lent to whatever runs.
#[derive(Default)]
pub(super) struct Work {
    pub(super) pieces: Pieces,
    pub(super) fields: Vec<Field>,
    pub(super) host: Vec<u8>,
}

/// [`Work`] and the buffer that sockets are read into.
#[derive(Default)]
pub(super) struct Io {
    pub(super) buffer: Vec<u8>,
    pub(super) work: Work,
}

/// The backends of one upstream, and whose turn it is.
#[derive(Default)]
pub(super) struct Rotation {
    pub(super) pools: Vec<Key>,
    pub(super) next: usize,
}

/// One serving thread.
pub(super) struct Worker {
    pub(super) id: usize,
    pub(super) poll: Poll,
    mail: Arc<Mailbox<ToWorker>>,
    control: Arc<Mailbox<FromWorker>>,
    pub(super) listeners: Vec<OwnedFd>,
    /// Nobody is accepted until then.
    pub(super) accept_again: Option<Instant>,
    pub(super) fronts: Slab<Front>,
    pub(super) backs: Slab<Back>,
    pub(super) pools: Slab<Pool>,
    pub(super) pool_of: HashMap<Backend, Key>,
    /// Which pools wait for sockets from the keeper, in order, and for how many.
    pub(super) asks: HashMap<InstanceId, VecDeque<(Key, usize)>>,
    pub(super) routes: Arc<Routes>,
    pub(super) rotations: Vec<Rotation>,
    pub(super) rotation_of: HashMap<UpstreamId, usize>,
    /// The rotation of each upstream of the table.
    pub(super) slots: Vec<usize>,
    /// Instances that the table lost while something was in flight to them.
    pub(super) draining: BTreeSet<InstanceId>,
    pub(super) timers: Timers,
    /// Connections with more to do than one turn allows, as event tokens.
    pub(super) again: VecDeque<u64>,
    /// Pools that may have a socket for a request that waits.
    pub(super) hungry: Vec<Key>,
    /// Clients whose requests waited in vain and go elsewhere.
    pub(super) evicted: Vec<Key>,
    pub(super) now: Instant,
    /// How many upstream sockets this thread may have.
    pub(super) sockets_max: usize,
    pub(super) next_sweep: Instant,
    io: Io,
}

impl Worker {
    pub(super) fn new(
        id: usize,
        mail: Arc<Mailbox<ToWorker>>,
        control: Arc<Mailbox<FromWorker>>,
        sockets_max: usize,
        now: Instant,
    ) -> Result<Self, Errno> {
        let poll = Poll::new()?;
        poll.add_level(&*mail, Tag::Mail.token(0))?;
        Ok(Self {
            id,
            poll,
            mail,
            control,
            listeners: Vec::new(),
            accept_again: None,
            fronts: Slab::new(),
            backs: Slab::new(),
            pools: Slab::new(),
            pool_of: HashMap::new(),
            asks: HashMap::new(),
            routes: Arc::default(),
            rotations: Vec::new(),
            rotation_of: HashMap::new(),
            slots: Vec::new(),
            draining: BTreeSet::new(),
            timers: Timers::default(),
            again: VecDeque::new(),
            hungry: Vec::new(),
            evicted: Vec::new(),
            now,
            sockets_max,
            next_sweep: now + SWEEP_TIME,
            io: Io {
                buffer: vec![0; READ_BYTES],
                work: Work::default(),
            },
        })
    }

    /// Serves until it is told to end.
    pub(super) fn run(&mut self, clock: &impl Fn() -> Instant) -> Result<(), Errno> {
        while self.turn(clock, Duration::MAX)? {}
        Ok(())
    }

    /// One turn: waits for events, at most `longest`; handles them; lets time act. `false` when it
    /// was told to end.
    pub(super) fn turn(
        &mut self,
        clock: &impl Fn() -> Instant,
        longest: Duration,
    ) -> Result<bool, Errno> {
        let timeout = self.until_next(clock()).min(longest);
        let events = self.poll.wait(Some(timeout))?;
        self.now = clock();
        let mut io = std::mem::take(&mut self.io);
        let mut goes_on = true;
        for event in &events {
            match Tag::of(event.data.u64()) {
                (Tag::Mail, _) => goes_on &= self.read_mail(),
                (Tag::Listener, index) => self.accept(index as usize),
                (tag, bits) => self.connection(tag, Key::from_bits(bits), event.flags, &mut io),
            }
        }
        for _ in 0..self.again.len() {
            if let Some(token) = self.again.pop_front() {
                let (tag, bits) = Tag::of(token);
                self.connection(tag, Key::from_bits(bits), EventFlags::empty(), &mut io);
            }
        }
        self.let_time_act();
        self.feed_hungry(&mut io.work);
        self.io = io;
        self.poll.give_back(events);
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        Ok(goes_on)
    }

    fn connection(&mut self, tag: Tag, key: Key, flags: EventFlags, io: &mut Io) {
        match tag {
            Tag::Front => self.client_event(key, flags, io),
            Tag::Back => self.upstream_event(key, flags, io),
            Tag::Mail | Tag::Listener => unreachable!("handled by the loop"),
        }
    }

    /// Tells the control thread.
    pub(super) fn tell(&self, message: FromWorker) {
        self.control.put(message);
    }

    fn read_mail(&mut self) -> bool {
        let mut goes_on = true;
        for message in self.mail.take() {
            match message {
                ToWorker::Listener(fd) => self.add_listener(fd),
                ToWorker::Table(routes) => self.set_table(routes),
                ToWorker::Sockets(instance, fds) => self.add_sockets(&instance, fds),
                ToWorker::Exited(instance) => self.instance_ended(&instance),
                ToWorker::Stop => goes_on = false,
            }
        }
        goes_on
    }

    /// How long nothing needs to happen by itself.
    fn until_next(&self, now: Instant) -> Duration {
        if !(self.again.is_empty() && self.hungry.is_empty() && self.evicted.is_empty()) {
            return Duration::ZERO;
        }
        let soonest = [Some(self.next_sweep), self.timers.next(), self.accept_again];
        let soonest = soonest
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.next_sweep);
        soonest.saturating_duration_since(now)
    }

    fn let_time_act(&mut self) {
        while let Some((at, key)) = self.timers.pop(self.now) {
            let Some(front) = self.fronts.get(key).filter(|front| front.timer == at) else {
                continue;
            };
            if front.deadline <= self.now {
                self.client_is_late(key);
                let stuck = |front: &Front| front.deadline <= self.now;
                assert!(
                    !self.fronts.get(key).is_some_and(stuck),
                    "a late client has another time"
                );
            }
            // It was put off, or goes on for another reason.
            if let Some(front) = self.fronts.get_mut(key) {
                front.timer = front.deadline;
                self.timers.push(front.deadline, key);
            }
        }
        if self.next_sweep <= self.now {
            self.next_sweep = self.now + SWEEP_TIME;
            self.sweep();
        }
        if self.accept_again.is_some_and(|at| at <= self.now) {
            self.accept_again = None;
            self.set_accepting(true);
        }
    }

    /// Makes sure that the connection is looked at by its deadline.
    pub(super) fn set_deadline(&mut self, key: Key, deadline: Instant) {
        if let Some(front) = self.fronts.get_mut(key) {
            front.deadline = deadline;
            if deadline < front.timer {
                front.timer = deadline;
                self.timers.push(deadline, key);
            }
        }
    }

    /// What must hold between turns.
    pub(super) fn check_invariants(&self) {
        use super::connection::{Duty, Stage};
        for (key, front) in self.fronts.iter() {
            if let Some(back) = front.back() {
                let back = self
                    .backs
                    .get(back)
                    .expect("a joined upstream socket exists");
                assert_eq!(back.duty, Duty::Busy(key), "both ends know of each other");
            }
            assert!(
                front.timer <= front.deadline,
                "a deadline is looked at in time"
            );
            assert!(
                front.exchange.is_some()
                    || matches!(front.stage, Stage::Head | Stage::Ending | Stage::Lingering),
                "a request has its exchange"
            );
        }
        for (_, pool) in self.pools.iter() {
            pool.check_invariants();
        }
        let total: usize = self.pools.iter().map(|(_, pool)| pool.total).sum();
        assert_eq!(
            total,
            self.backs.len(),
            "every upstream socket belongs to a pool"
        );
    }
}
