//! The sockets of one backend on one thread.

use crate::limits::{SOCKETS_BATCH_MAX, SOCKETS_WARM, UNREPEATABLE_REST_MAX};
use crate::slab::Key;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use toft_model::table::Backend;

/// Sockets and requests of one backend.
pub(super) struct Pool {
    pub(super) backend: Backend,
    /// Connected and resting, the warmest last.
    pub(super) resting: Vec<Key>,
    /// Not connected.
    pub(super) blank: Vec<Key>,
    /// All sockets, in whatever state.
    pub(super) total: usize,
    /// With a request on them.
    pub(super) busy: usize,
    /// Asked of the keeper and not yet answered.
    pub(super) asked: usize,
    /// Requests that wait for a socket.
    pub(super) waiting: VecDeque<Key>,
    /// Whether the newest table has it.
    pub(super) listed: bool,
    /// Whether the keeper has no sockets of it: it ended.
    pub(super) gone: bool,
    /// A connection that rested longer may be closed by the program at any moment: not for requests
    /// that cannot be sent twice.
    pub(super) rest_max: Duration,
    /// With so many requests under way no new connection is made: the program's queue was full.
    pub(super) busy_max: usize,
    /// It refused; others are better until then.
    pub(super) refused_until: Option<Instant>,
}

impl Pool {
    pub(super) fn new(backend: Backend) -> Self {
        Self {
            backend,
            resting: Vec::new(),
            blank: Vec::new(),
            total: 0,
            busy: 0,
            asked: 0,
            waiting: VecDeque::new(),
            listed: true,
            gone: false,
            rest_max: UNREPEATABLE_REST_MAX,
            busy_max: usize::MAX,
            refused_until: None,
        }
    }

    /// Whether new requests may go there.
    pub(super) fn is_open(&self) -> bool {
        self.listed && !self.gone
    }

    /// Whether another connection may be made.
    pub(super) fn may_connect(&self) -> bool {
        self.busy < self.busy_max
    }

    /// Its queue was full with all but `unsent` of its requests taken: others wait here, in order,
    /// rather than there by chance.
    pub(super) fn was_full(&mut self, unsent: usize) {
        self.busy_max = self.busy_max.min(self.busy.saturating_sub(unsent)).max(1);
    }

    /// A moment passed: more is tried again. What was true of a full queue is soon true no longer.
    pub(super) fn try_more(&mut self) {
        self.busy_max = self.busy_max.saturating_mul(2);
    }

    /// How many sockets to ask for now, with `room` left in the thread's budget.
    pub(super) fn shortage(&self, room: usize) -> usize {
        if !self.is_open() {
            return 0;
        }
        let waiting = if self.may_connect() {
            self.waiting.len()
        } else {
            0
        };
        let wanted = waiting.max(SOCKETS_WARM.saturating_sub(self.blank.len()));
        let missing = wanted.saturating_sub(self.asked + self.blank.len());
        if missing == 0 {
            return 0;
        }
        // Demand that grows is met in batches that grow with it.
        missing.max(self.total / 4).min(SOCKETS_BATCH_MAX).min(room)
    }

    /// The program closed a connection that had rested this long: it gets tired sooner than thought.
    pub(super) fn got_tired(&mut self, rested: Duration) {
        self.rest_max = self.rest_max.min(rested / 2);
    }

    /// Takes a resting socket out of the list, wherever it stands.
    pub(super) fn forget_resting(&mut self, key: Key) {
        self.resting.retain(|other| *other != key);
    }

    /// What must hold between turns.
    pub(super) fn check_invariants(&self) {
        assert!(
            self.resting.len() + self.blank.len() + self.busy <= self.total,
            "a socket is in one list at most"
        );
        assert!(
            self.is_open() || self.resting.is_empty() && self.blank.is_empty(),
            "a closed backend keeps no free sockets"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toft_model::InstanceId;

    fn pool() -> Pool {
        let instance = InstanceId {
            app: "shop".parse().unwrap(),
            process: "web".parse().unwrap(),
            index: 0,
            generation: toft_model::Generation(1),
        };
        Pool::new(Backend { instance, port: 80 })
    }

    #[test]
    fn sockets_are_asked_for_once_in_batches_within_the_budget() {
        let mut pool = pool();
        assert_eq!(pool.shortage(100), SOCKETS_WARM);
        pool.asked = SOCKETS_WARM;
        assert_eq!(pool.shortage(100), 0);
        let mut slab = crate::slab::Slab::new();
        pool.waiting.extend((0..10).map(|_| slab.insert(())));
        assert_eq!(pool.shortage(100), 8);
        assert_eq!(pool.shortage(3), 3);
        pool.total = 400;
        assert_eq!(pool.shortage(100), 64);
        pool.listed = false;
        assert_eq!(pool.shortage(100), 0);
    }

    #[test]
    fn a_full_queue_holds_new_connections_back_for_a_moment() {
        let mut pool = pool();
        pool.busy = 9;
        assert!(pool.may_connect());
        pool.was_full(3);
        assert!(!pool.may_connect());
        pool.busy = 5;
        assert!(pool.may_connect());
        pool.busy = 9;
        pool.try_more();
        assert!(pool.may_connect());
        pool.was_full(9);
        assert_eq!(
            pool.busy_max, 1,
            "one at least, else nothing would ever move"
        );
        (0..70).for_each(|_| pool.try_more());
        assert_eq!(pool.busy_max, usize::MAX);
    }
}
