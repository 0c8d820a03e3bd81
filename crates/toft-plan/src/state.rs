//! One app as the planner knows it: what is wanted of it and what was seen of it.

use crate::backoff::Schedule;
use std::collections::{BTreeMap, BTreeSet};
use toft_model::{Generation, InstanceId, ProcessName};

/// Milliseconds on one monotonic clock; the caller's.
pub type Millis = u64;

/// A place that an instance fills: a process and an index.
pub type Slot = (ProcessName, u32);

/// What a release wants of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// How many instances.
    pub count: u32,
    /// Whether a route leads to one of its doors.
    pub routed: bool,
    /// What happens when one ends by itself.
    pub restart: Schedule,
    /// How long an instance that left the table may take to finish its requests.
    pub drain_within: Millis,
}

/// What a release wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its processes.
    pub processes: BTreeMap<ProcessName, Process>,
    /// How many instances change together, at least 1.
    pub at_once: u32,
}

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The order to start it was given.
    Ordered,
    /// It runs; its readiness is being probed.
    Running,
    /// It takes requests.
    Ready,
    /// It is out of the table; what is in flight ends.
    Draining {
        /// Since when.
        since: Millis,
        /// Edge said that nothing is in flight any more.
        done: bool,
    },
    /// It was asked to end.
    Stopping,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Who.
    pub id: InstanceId,
    /// Of which release.
    pub release: u64,
    /// Where it is in its life.
    pub phase: Phase,
    /// When it was ordered.
    pub ordered_at: Millis,
}

impl Instance {
    /// Its place.
    pub fn slot(&self) -> Slot {
        (self.id.process.clone(), self.id.index)
    }

    /// Whether it may still come to serve: not on its way out.
    pub fn is_staying(&self) -> bool {
        matches!(self.phase, Phase::Ordered | Phase::Running | Phase::Ready)
    }
}

/// What is remembered of a place that crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crash {
    /// Ends in a row without a good life between them.
    pub count: u32,
    /// Not to be started before this.
    pub retry_at: Millis,
}

/// One app: wanted and seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct App {
    /// Releases that instances may belong to.
    pub releases: BTreeMap<u64, Release>,
    /// The last good one: the base of every restart.
    pub current: Option<u64>,
    /// The one that is being rolled out.
    pub next: Option<u64>,
    /// Why `next` cannot go on.
    pub failure: Option<String>,
    /// All instances that are not known to be gone.
    pub instances: Vec<Instance>,
    /// Places of releases whose program ended well and is not to be started again.
    pub done: BTreeSet<(u64, Slot)>,
    /// Crash counts by place, of the current release.
    pub crashes: BTreeMap<Slot, Crash>,
    /// The newest generation given to each place.
    pub generations: BTreeMap<Slot, u64>,
    /// A generation that every new one is above, whatever its place: those before it were given by
    /// somebody who is gone.
    pub floor: u64,
}

/// What was seen of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It runs.
    Started,
    /// It could not be started, in words.
    Refused(String),
    /// It is ready.
    Ready,
    /// It was not ready in time, in words.
    Late(String),
    /// Edge has nothing in flight to it any more.
    Drained,
    /// It is gone, in words, after this long a life.
    Exited(String, Millis),
    /// It ended well, and its process is one of programs that end.
    Finished,
}

/// What is to be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start an instance of this release in this place.
    Start {
        /// Who; its generation is new.
        id: InstanceId,
        /// Of which release.
        release: u64,
        /// Why.
        reason: String,
    },
    /// Take it out of the table; new requests go elsewhere.
    Drain {
        /// Who.
        id: InstanceId,
        /// Why.
        reason: String,
    },
    /// Ask it to end: signal, grace, KILL.
    Stop {
        /// Who.
        id: InstanceId,
        /// Why.
        reason: String,
        /// Requests in flight are cut off by it.
        cut: bool,
    },
    /// The release serves in every place: it is the last good one now.
    Promote {
        /// Which.
        release: u64,
    },
    /// The release is given up; `keeps` goes on.
    GiveUp {
        /// Which.
        release: u64,
        /// What goes on.
        keeps: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Nothing to do before this time.
    Wake {
        /// When.
        at: Millis,
        /// For which place.
        slot: Slot,
    },
}

impl App {
    /// Orders a release: it is rolled out over what runs.
    pub fn order(&mut self, number: u64, release: Release) {
        self.releases.insert(number, release);
        self.next = Some(number);
        self.failure = None;
    }

    /// The instance with this identity.
    pub fn find(&mut self, id: &InstanceId) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|i| &i.id == id)
    }

    /// Folds in what was seen of an instance. What is seen of an unknown one changes nothing.
    pub fn see(&mut self, id: &InstanceId, seen: Seen, now: Millis) {
        let next = self.next;
        let Some(instance) = self.instances.iter_mut().find(|i| &i.id == id) else {
            return;
        };
        let of_next = Some(instance.release) == next;
        let staying = instance.is_staying();
        match seen {
            Seen::Started => {
                if instance.phase == Phase::Ordered {
                    instance.phase = Phase::Running;
                }
            }
            Seen::Ready => {
                if staying {
                    instance.phase = Phase::Ready;
                }
            }
            Seen::Drained => {
                if let Phase::Draining { done, .. } = &mut instance.phase {
                    *done = true;
                }
            }
            Seen::Late(words) => {
                if of_next && staying {
                    self.failure = Some(format!("{} was not ready in time: {words}", id.short()));
                }
            }
            Seen::Refused(words) => self.gone(id, format!("could not be started: {words}"), 0, now),
            Seen::Finished => self.finished(id),
            Seen::Exited(words, lived) => self.gone(id, format!("ended with {words}"), lived, now),
        }
    }

    /// Its work is done: the place counts as filled and stays empty for the rest of the release.
    fn finished(&mut self, id: &InstanceId) {
        let Some(at) = self.instances.iter().position(|i| &i.id == id) else {
            return;
        };
        let instance = self.instances.remove(at);
        if instance.is_staying() {
            self.done.insert((instance.release, instance.slot()));
        }
    }

    fn gone(&mut self, id: &InstanceId, words: String, lived: Millis, now: Millis) {
        let Some(at) = self.instances.iter().position(|i| &i.id == id) else {
            return;
        };
        let instance = self.instances.remove(at);
        if !instance.is_staying() {
            return;
        }
        let slot = instance.slot();
        if self.next == Some(instance.release) {
            self.failure = Some(format!("{} {words}", id.short()));
        } else if let Some(schedule) = self
            .releases
            .get(&instance.release)
            .and_then(|r| r.processes.get(&slot.0))
            .map(|p| p.restart)
        {
            let crash = self.crashes.entry(slot).or_default();
            crash.count = schedule.crashes_after(crash.count, lived);
            crash.retry_at = if schedule.never {
                Millis::MAX
            } else {
                now.saturating_add(schedule.wait(crash.count))
            };
        }
    }

    /// Folds in an action that was carried out.
    pub fn apply(&mut self, action: &Action, now: Millis) {
        match action {
            Action::Start { id, release, .. } => {
                self.generations
                    .insert((id.process.clone(), id.index), id.generation.0);
                self.instances.push(Instance {
                    id: id.clone(),
                    release: *release,
                    phase: Phase::Ordered,
                    ordered_at: now,
                });
            }
            Action::Drain { id, .. } => {
                if let Some(instance) = self.find(id) {
                    instance.phase = Phase::Draining {
                        since: now,
                        done: false,
                    };
                }
            }
            Action::Stop { id, .. } => {
                if let Some(instance) = self.find(id) {
                    instance.phase = Phase::Stopping;
                }
            }
            Action::Promote { release } => {
                self.current = Some(*release);
                self.next = None;
                self.failure = None;
                self.crashes.clear();
                self.forget_releases();
            }
            Action::GiveUp { .. } => {
                self.next = None;
                self.failure = None;
                self.forget_releases();
            }
            Action::Wake { .. } => {}
        }
    }

    /// Drops releases that nothing can refer to any more.
    fn forget_releases(&mut self) {
        let (current, next) = (self.current, self.next);
        let in_use: Vec<u64> = self.instances.iter().map(|i| i.release).collect();
        self.releases
            .retain(|n, _| Some(*n) == current || Some(*n) == next || in_use.contains(n));
        let releases = &self.releases;
        self.done.retain(|(n, _)| releases.contains_key(n));
    }

    /// The next generation of a place.
    pub(crate) fn next_generation(&self, slot: &Slot) -> Generation {
        let known = self.generations.get(slot).copied().unwrap_or(0);
        Generation(known.max(self.floor) + 1)
    }
}
