//! Sockets towards instances: where they come from, and where they go after a request.

use super::connection::{Back, Duty, Stage};
use super::mail::FromWorker;
use super::pool::Pool;
use super::worker::{Io, Tag, Worker};
use crate::http1::Cause;
use crate::limits::{SOCKETS_WARM, UPSTREAM_CLOSE_TIME, UPSTREAM_IDLE_TIME};
use crate::net::{self, Read};
use crate::slab::Key;
use std::os::fd::OwnedFd;
use toft_model::InstanceId;

impl Worker {
    /// How many more sockets this thread may have.
    pub(super) fn room(&self) -> usize {
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
        let open = self.pools.get(pool_key).is_some_and(Pool::is_open);
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
