//! Which backend a request goes to, and how it gets there: over a resting connection, a new one, or
//! from the queue.

use super::connection::{Back, Duty, Stage};
use super::upstream::cause_words;
use super::worker::{Tag, Work, Worker};
use crate::http1::Cause;
use crate::limits::{CONNECT_PAUSE_MAX, CONNECT_PAUSE_MIN, CONNECT_TIME, IDLE_TIME};
use crate::net;
use crate::slab::Key;

/// What came of looking for a socket.
enum Acquired {
    /// This one is connected or about to be.
    Socket(Key),
    /// There is none now.
    None,
    /// There was one, and the kernel said no at once.
    Failed,
}

impl Worker {
    /// Sends a request, which stands in `work.pieces` over `input`, to a backend: `first` if given.
    pub(super) fn dispatch(&mut self, key: Key, first: Option<Key>, input: &[u8], work: &mut Work) {
        let mut first = first;
        loop {
            let Some(front) = self.fronts.get(key) else {
                return;
            };
            let (repeatable, fresh_only, met) = (front.repeatable, front.fresh_only, front.met);
            let Some(pool) = first.take().or_else(|| self.choose(key)) else {
                let cause = met.unwrap_or(Cause::NoInstance);
                let words = met.map_or("no instance of the app is ready", cause_words);
                return self.answer(key, cause, words);
            };
            match self.acquire(pool, repeatable, fresh_only) {
                Acquired::Socket(back) => {
                    if self.send_first(key, back, input, work) {
                        return;
                    }
                }
                Acquired::None => return self.wait_for_socket(key, pool, input, work),
                Acquired::Failed => self.try_failed(key, pool),
            }
        }
    }

    /// The same for bytes that were held back or are sent anew.
    pub(super) fn redispatch(
        &mut self,
        key: Key,
        first: Option<Key>,
        bytes: &[u8],
        work: &mut Work,
    ) {
        self.detach(key);
        if let Some(front) = self.fronts.get_mut(key) {
            front.stage = Stage::Head;
            work.pieces.clear();
            work.pieces.input(0..bytes.len());
            self.dispatch(key, first, bytes, work);
        }
    }

    /// The next pool whose turn it is; one that refused lately only when there is no other.
    fn choose(&mut self, key: Key) -> Option<Key> {
        let front = self.fronts.get(key)?;
        if !front.may_try() {
            return None;
        }
        let rotation = self.rotations.get(front.rotation)?;
        let count = rotation.pools.len();
        let mut second = None;
        for step in 0..count {
            let at = (rotation.next + step) % count;
            let candidate = rotation.pools[at];
            let Some(pool) = self.pools.get(candidate).filter(|pool| pool.is_open()) else {
                continue;
            };
            if front.tried.contains(&Some(candidate)) {
                continue;
            }
            if pool.refused_until.is_none_or(|until| until <= self.now) {
                self.rotations[front.rotation].next = at + 1;
                return Some(candidate);
            }
            second.get_or_insert(candidate);
        }
        second
    }

    fn acquire(&mut self, pool_key: Key, repeatable: bool, fresh_only: bool) -> Acquired {
        while !fresh_only && let Some(key) = self.warmest(pool_key, repeatable) {
            let silent = repeatable || self.backs.get(key).is_some_and(|b| net::is_silent(&b.fd));
            if silent {
                return Acquired::Socket(key);
            }
            self.recycle(key);
        }
        let room = self.room();
        let Some(pool) = self
            .pools
            .get_mut(pool_key)
            .filter(|pool| pool.may_connect())
        else {
            return Acquired::None;
        };
        let key = match pool.blank.pop() {
            Some(key) => key,
            // The budget is used up: a resting connection gives its socket for a new one.
            None if room == 0 && !pool.resting.is_empty() => {
                let key = pool.resting.remove(0);
                let reset = self.backs.get_mut(key).map(|back| {
                    back.forget();
                    net::disconnect(&back.fd)
                });
                match reset {
                    Some(Ok(())) => key,
                    _ => {
                        self.drop_socket(key);
                        return Acquired::None;
                    }
                }
            }
            None => return Acquired::None,
        };
        let port = self.pools.get(pool_key).map_or(0, |pool| pool.backend.port);
        let Some(back) = self.backs.get_mut(key) else {
            return Acquired::None;
        };
        match net::connect(&back.fd, port) {
            Ok(()) => Acquired::Socket(key),
            Err(_) => {
                self.recycle(key);
                Acquired::Failed
            }
        }
    }

    /// Takes the connection that rested least out of the pool; for a request that cannot be sent
    /// twice only one that rested so short that its program cannot be tired of it.
    fn warmest(&mut self, pool_key: Key, repeatable: bool) -> Option<Key> {
        let pool = self.pools.get_mut(pool_key)?;
        let (key, rest_max) = (*pool.resting.last()?, pool.rest_max);
        if let Duty::Resting(since) = self.backs.get(key)?.duty
            && !repeatable
            && self.now.duration_since(since) > rest_max
        {
            return None;
        }
        pool.resting.pop()
    }

    /// Joins both and sends what there is; `false` when not a byte went and another must be tried.
    fn send_first(&mut self, key: Key, back_key: Key, input: &[u8], work: &mut Work) -> bool {
        let (Some(front), Some(back)) = (self.fronts.get_mut(key), self.backs.get_mut(back_key))
        else {
            return true;
        };
        let pool_key = back.pool;
        match net::send_pieces(&back.fd, &work.pieces, input, &mut back.out) {
            Ok(sent) => {
                back.sent = sent > 0;
                back.duty = Duty::Busy(key);
                if front.repeatable {
                    back.repeat.clear();
                    work.pieces.copy_behind(input, 0, &mut back.repeat);
                }
                front.stage = Stage::Active(back_key);
                let sent = back.sent;
                front.connect_by = self.now + CONNECT_TIME;
                front.connect_pause = CONNECT_PAUSE_MIN;
                if let Some(pool) = self.pools.get_mut(pool_key) {
                    pool.busy += 1;
                }
                let span = if sent { IDLE_TIME } else { CONNECT_PAUSE_MIN };
                self.set_deadline(key, self.now + span);
                self.ask(pool_key);
                true
            }
            Err(_) => {
                let reused = back.reused;
                self.recycle(back_key);
                if reused {
                    if let Some(front) = self.fronts.get_mut(key) {
                        front.fresh_only = true;
                    }
                } else {
                    self.try_failed(key, pool_key);
                }
                false
            }
        }
    }

    /// The connection was not taken yet: tries it anew, sooner than the kernel would.
    pub(super) fn connect_anew(&mut self, key: Key, back_key: Key) {
        let (Some(front), Some(back)) = (self.fronts.get_mut(key), self.backs.get_mut(back_key))
        else {
            return;
        };
        let pool_key = back.pool;
        let port = self.pools.get(pool_key).map_or(0, |pool| pool.backend.port);
        // It may have been made while nobody looked.
        let begun = match net::is_connected(&back.fd) {
            Ok(true) => Ok(()),
            _ => net::disconnect(&back.fd).and_then(|()| net::connect(&back.fd, port)),
        };
        let begun = begun.and_then(|()| back.out.flush(&back.fd));
        front.connect_pause = (front.connect_pause * 2).min(CONNECT_PAUSE_MAX);
        let mut span = front.connect_pause;
        match begun {
            Ok(0) => self.queue_was_full(pool_key),
            Ok(_) => {
                back.sent = true;
                span = IDLE_TIME;
            }
            // Reading meets the failure, and another instance is tried.
            Err(_) => {
                back.readable = true;
                self.again.push_back(Tag::Back.token(back_key.bits()));
            }
        }
        self.set_deadline(key, self.now + span);
    }

    fn queue_was_full(&mut self, pool_key: Key) {
        let untaken =
            |back: &Back| back.pool == pool_key && matches!(back.duty, Duty::Busy(_)) && !back.sent;
        let untaken = self.backs.iter().filter(|(_, back)| untaken(back)).count();
        if let Some(pool) = self.pools.get_mut(pool_key) {
            pool.was_full(untaken);
        }
    }

    fn try_failed(&mut self, key: Key, pool: Key) {
        self.pass_over(pool);
        if let Some(front) = self.fronts.get_mut(key) {
            front.was_tried(pool, Cause::Refused);
        }
    }

    fn wait_for_socket(&mut self, key: Key, pool_key: Key, input: &[u8], work: &mut Work) {
        let (Some(front), Some(pool)) = (self.fronts.get_mut(key), self.pools.get_mut(pool_key))
        else {
            return;
        };
        front.held.clear();
        work.pieces.copy_behind(input, 0, &mut front.held);
        front.stage = Stage::Queued(pool_key);
        pool.waiting.push_back(key);
        self.set_deadline(key, self.now + CONNECT_TIME);
        self.ask(pool_key);
    }

    /// Requests that wait at this pool go elsewhere.
    pub(super) fn turn_away(&mut self, pool_key: Key, met: Cause) {
        self.pass_over(pool_key);
        let Some(pool) = self.pools.get_mut(pool_key) else {
            return;
        };
        for key in std::mem::take(&mut pool.waiting) {
            if let Some(front) = self.fronts.get_mut(key)
                && front.stage == Stage::Queued(pool_key)
            {
                front.was_tried(pool_key, met);
                self.evicted.push(key);
            }
        }
    }

    /// Gives free sockets to requests that wait.
    pub(super) fn feed_hungry(&mut self, work: &mut Work) {
        for key in std::mem::take(&mut self.evicted) {
            let Some(front) = self.fronts.get_mut(key) else {
                continue;
            };
            if let Stage::Queued(_) = front.stage {
                let held = std::mem::take(&mut front.held);
                self.redispatch(key, None, &held, work);
            }
        }
        for pool_key in std::mem::take(&mut self.hungry) {
            let waiting = self
                .pools
                .get(pool_key)
                .map_or(0, |pool| pool.waiting.len());
            for _ in 0..waiting {
                let Some(pool) = self.pools.get_mut(pool_key) else {
                    break;
                };
                if pool.resting.is_empty() && (pool.blank.is_empty() || !pool.may_connect()) {
                    break;
                }
                let Some(key) = pool.waiting.pop_front() else {
                    break;
                };
                if let Some(front) = self.fronts.get_mut(key)
                    && front.stage == Stage::Queued(pool_key)
                {
                    let held = std::mem::take(&mut front.held);
                    self.redispatch(key, Some(pool_key), &held, work);
                }
            }
        }
    }
}
