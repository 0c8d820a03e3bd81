//! Sockets towards instances: who gets one, and where it goes afterwards.

use super::connection::{Back, Duty, Stage};
use super::mail::FromWorker;
use super::upstream::cause_words;
use super::worker::{Io, Tag, Work, Worker};
use crate::http1::Cause;
use crate::limits::{
    CONNECT_PAUSE_MAX, CONNECT_PAUSE_MIN, CONNECT_TIME, IDLE_TIME, SOCKETS_WARM,
    UPSTREAM_CLOSE_TIME, UPSTREAM_IDLE_TIME,
};
use crate::net::{self, Read};
use crate::slab::Key;
use std::os::fd::OwnedFd;
use toft_model::InstanceId;

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
        let port = pool_port(self, pool_key);
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
        let begun = net::disconnect(&back.fd)
            .and_then(|()| net::connect(&back.fd, port))
            .and_then(|()| back.out.flush(&back.fd));
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

    /// How many more sockets this thread may have.
    fn room(&self) -> usize {
        let asked: usize = self.asks.values().flatten().map(|(_, count)| count).sum();
        self.sockets_max.saturating_sub(self.backs.len() + asked)
    }

    /// Asks the keeper for sockets where the pool lacks some.
    pub(super) fn ask(&mut self, pool_key: Key) {
        // Most of the time nothing is missing.
        if self
            .pools
            .get(pool_key)
            .is_none_or(|pool| pool.shortage(usize::MAX) == 0)
        {
            return;
        }
        let room = self.room();
        let Some(pool) = self.pools.get_mut(pool_key) else {
            return;
        };
        let count = pool.shortage(room);
        if count == 0 {
            return;
        }
        pool.asked += count;
        let instance = pool.backend.instance.clone();
        self.asks
            .entry(instance.clone())
            .or_default()
            .push_back((pool_key, count));
        self.tell(FromWorker::Need(self.id, instance, count as u32));
    }

    /// The keeper answered.
    pub(super) fn add_sockets(&mut self, instance: &InstanceId, fds: Vec<OwnedFd>) {
        let Some(asks) = self.asks.get_mut(instance) else {
            return;
        };
        let ask = asks.pop_front();
        if asks.is_empty() {
            self.asks.remove(instance);
        }
        let Some((pool_key, count)) = ask else {
            return;
        };
        let Some(pool) = self.pools.get_mut(pool_key) else {
            return;
        };
        pool.asked -= count;
        if fds.is_empty() && pool.total == 0 {
            self.turn_away(pool_key, Cause::NoSocket);
            return;
        }
        for fd in fds {
            self.add_socket(pool_key, fd);
        }
        self.hungry.push(pool_key);
    }

    fn add_socket(&mut self, pool_key: Key, fd: OwnedFd) {
        let Some(pool) = self.pools.get_mut(pool_key).filter(|pool| pool.is_open()) else {
            return;
        };
        if let Err(error) = net::prepare_blank(&fd) {
            tracing::warn!(%error, "a socket from the keeper cannot be used");
            return;
        }
        let key = self.backs.insert(Back::new(fd, pool_key));
        let back = self.backs.get(key).expect("it was just put in");
        if let Err(error) = self.poll.add_edge(&back.fd, Tag::Back.token(key.bits())) {
            tracing::warn!(%error, "a socket from the keeper cannot be watched");
            self.backs.remove(key);
            return;
        }
        pool.total += 1;
        pool.blank.push(key);
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

    /// Parts a client from its upstream connection, whose request is given up.
    pub(super) fn detach(&mut self, front_key: Key) {
        let Some(front) = self.fronts.get_mut(front_key) else {
            return;
        };
        let Some(back) = front.back() else {
            return;
        };
        front.stage = Stage::Head;
        self.release(back, false);
    }

    /// A connection has no request any more.
    pub(super) fn release(&mut self, key: Key, keeps: bool) {
        let Some(back) = self.backs.get_mut(key) else {
            return;
        };
        let pool_key = back.pool;
        let Some(pool) = self.pools.get_mut(pool_key) else {
            return;
        };
        pool.busy -= 1;
        if !pool.is_open() {
            self.drop_socket(key);
            self.check_drained(pool_key);
            return;
        }
        // An end that was announced is read now: its event does not come again.
        if back.half_closed && !back.ended {
            back.ended = matches!(
                net::read(&back.fd, &mut [0; 1]),
                Read::End | Read::Broken(_)
            );
        }
        let whole = back.out.is_empty() && !back.half_closed && !back.ended && !back.deaf;
        if keeps && whole {
            back.duty = Duty::Resting(self.now);
            back.reused = true;
            back.repeat.clear();
            pool.resting.push(key);
        } else if back.ended || !back.sent {
            self.recycle(key);
        } else {
            back.forget();
            back.duty = Duty::Closing(self.now + UPSTREAM_CLOSE_TIME);
            net::end_writing(&back.fd);
        }
        self.wake_waiting(pool_key);
    }

    fn wake_waiting(&mut self, pool_key: Key) {
        if self
            .pools
            .get(pool_key)
            .is_some_and(|pool| !pool.waiting.is_empty())
        {
            self.hungry.push(pool_key);
        }
    }

    /// A resting connection ended, or said something that nobody asked for.
    pub(super) fn drop_resting(&mut self, key: Key) {
        let Some(back) = self.backs.get(key) else {
            return;
        };
        if let Some(pool) = self.pools.get_mut(back.pool) {
            pool.forget_resting(key);
            if let Duty::Resting(since) = back.duty {
                pool.got_tired(self.now.duration_since(since));
            }
        }
        self.recycle(key);
    }

    /// Reads a closing connection to its end.
    pub(super) fn read_out(&mut self, key: Key, io: &mut Io) {
        let Some(back) = self.backs.get_mut(key) else {
            return;
        };
        if matches!(
            net::read(&back.fd, &mut io.buffer),
            Read::End | Read::Broken(_)
        ) {
            self.recycle(key);
        }
    }

    /// Makes a used socket blank and free. It must be in no list.
    pub(super) fn recycle(&mut self, key: Key) {
        let Some(back) = self.backs.get_mut(key) else {
            return;
        };
        let pool_key = back.pool;
        let open = self
            .pools
            .get(pool_key)
            .is_some_and(super::pool::Pool::is_open);
        if !open || net::disconnect(&back.fd).is_err() {
            return self.drop_socket(key);
        }
        back.forget();
        if let Some(pool) = self.pools.get_mut(pool_key) {
            pool.blank.push(key);
        }
        self.wake_waiting(pool_key);
    }

    /// Closes a socket. It must be in no list.
    pub(super) fn drop_socket(&mut self, key: Key) {
        if let Some(back) = self.backs.remove(key)
            && let Some(pool) = self.pools.get_mut(back.pool)
        {
            pool.total -= 1;
        }
    }

    /// Once in a while: closes what rests too long and what does not end, drops surplus.
    pub(super) fn sweep(&mut self) {
        for key in self.backs.keys() {
            let Some(back) = self.backs.get_mut(key) else {
                continue;
            };
            match back.duty {
                Duty::Closing(until) if until <= self.now => self.recycle(key),
                Duty::Resting(since) if since + UPSTREAM_IDLE_TIME <= self.now => {
                    let pool = back.pool;
                    back.forget();
                    back.duty = Duty::Closing(self.now + UPSTREAM_CLOSE_TIME);
                    net::end_writing(&back.fd);
                    if let Some(pool) = self.pools.get_mut(pool) {
                        pool.forget_resting(key);
                    }
                }
                _ => {}
            }
        }
        for pool_key in self.pools.keys() {
            let Some(pool) = self.pools.get_mut(pool_key) else {
                continue;
            };
            // A few at a time: what was needed a moment ago may be needed again.
            let surplus = pool.blank.len().saturating_sub(SOCKETS_WARM).div_ceil(8);
            let surplus: Vec<Key> = (0..surplus).filter_map(|_| pool.blank.pop()).collect();
            surplus.into_iter().for_each(|key| self.drop_socket(key));
            if let Some(pool) = self.pools.get_mut(pool_key) {
                pool.try_more();
            }
            self.wake_waiting(pool_key);
            // The keeper may have had none when it was asked.
            if self
                .pools
                .get(pool_key)
                .is_some_and(|pool| !pool.waiting.is_empty())
            {
                self.ask(pool_key);
            }
        }
    }
}

fn pool_port(worker: &Worker, pool: Key) -> u16 {
    worker.pools.get(pool).map_or(0, |pool| pool.backend.port)
}
