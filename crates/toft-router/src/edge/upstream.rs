//! The instance's side: answers, and what happens when a connection is lost.

use super::client::Step;
use super::connection::{Back, Duty, Stage};
use super::worker::{Io, Tag, Work, Worker};
use crate::http1::{Cause, Phase};
use crate::limits::{IDLE_TIME, READS_PER_TURN, REFUSED_TIME};
use crate::net::{self, EventFlags, Read};
use crate::slab::Key;
use rustix::io::Errno;

const ENDED: EventFlags = EventFlags::RDHUP
    .union(EventFlags::HUP)
    .union(EventFlags::ERR);

impl Back {
    /// Reads what came. `None`: there is nothing to go on with now.
    pub(super) fn read_socket(&mut self, buffer: &mut [u8]) -> Option<Read> {
        if !self.readable {
            return None;
        }
        let read = net::read(&self.fd, buffer);
        match read {
            Read::Bytes(length) if length < buffer.len() && !self.half_closed => {
                self.readable = false;
            }
            Read::Later => {
                self.readable = false;
                return None;
            }
            Read::End | Read::Broken(_) => {
                self.readable = false;
                self.ended = true;
            }
            Read::Bytes(_) => {}
        }
        Some(read)
    }
}

impl Worker {
    /// Something happened on a socket towards an instance.
    pub(super) fn upstream_event(&mut self, key: Key, flags: EventFlags, io: &mut Io) {
        let Some(back) = self.backs.get_mut(key) else {
            return;
        };
        match back.duty {
            // A blank socket reports that it is not connected.
            Duty::Blank => return,
            Duty::Resting(_) => {
                if flags.intersects(EventFlags::IN | ENDED) && !net::is_silent(&back.fd) {
                    self.drop_resting(key);
                }
                return;
            }
            Duty::Closing(_) => return self.read_out(key, io),
            Duty::Busy(_) => {}
        }
        if flags.intersects(ENDED) {
            back.half_closed = true;
        }
        if flags.intersects(EventFlags::IN | ENDED) {
            back.readable = !back.ended;
        }
        if flags.contains(EventFlags::OUT) && !back.out.is_empty() {
            match back.out.flush(&back.fd) {
                Ok(sent) => {
                    let taken = sent > 0 && !back.sent;
                    back.sent |= taken;
                    // The connection was made: from here on the answer has its own time.
                    if taken && let Duty::Busy(front) = back.duty {
                        self.set_deadline(front, self.now + IDLE_TIME);
                    }
                }
                Err(_) => {
                    back.deaf = true;
                    back.readable = true;
                }
            }
        }
        self.upstream_turn(key, io);
        // Room for more of the request.
        if let Some(Back {
            duty: Duty::Busy(front),
            out,
            ..
        }) = self.backs.get(key)
            && out.is_empty()
        {
            let front = *front;
            self.client_turn(front, io);
        }
    }

    /// Goes on with an upstream connection as far as its turn reaches.
    pub(super) fn upstream_turn(&mut self, key: Key, io: &mut Io) {
        for _ in 0..READS_PER_TURN {
            let Some(Back {
                duty: Duty::Busy(front),
                ..
            }) = self.backs.get(key)
            else {
                return;
            };
            let front = *front;
            let step = match self.fronts.get(front).map(|front| front.stage) {
                Some(Stage::Active(_)) => self.answer_bytes(key, front, io),
                Some(Stage::Tunnel(_)) => self.tunnel_down(key, front, io),
                _ => unreachable!("a busy upstream socket has a client"),
            };
            if step == Step::Wait {
                return;
            }
        }
        self.again.push_back(Tag::Back.token(key.bits()));
    }

    fn answer_bytes(&mut self, key: Key, front_key: Key, io: &mut Io) -> Step {
        let (Some(back), Some(front)) = (self.backs.get_mut(key), self.fronts.get_mut(front_key))
        else {
            return Step::Wait;
        };
        if !front.out.is_empty() {
            return Step::Wait;
        }
        let length = match back.read_socket(&mut io.buffer) {
            None => return Step::Wait,
            Some(Read::Bytes(length)) => length,
            Some(Read::End) => {
                self.answer_end(key, front_key, &mut io.work);
                return Step::Wait;
            }
            Some(Read::Broken(error)) => {
                self.lost(key, front_key, Some(error), &mut io.work);
                return Step::Wait;
            }
            Some(Read::Later) => unreachable!("read as nothing"),
        };
        let mut joined = std::mem::take(&mut back.read);
        let input = if joined.is_empty() {
            &io.buffer[..length]
        } else {
            joined.extend_from_slice(&io.buffer[..length]);
            &joined[..]
        };
        let work = &mut io.work;
        work.pieces.clear();
        let exchange = front
            .exchange
            .as_mut()
            .expect("an active client has an exchange");
        let taken = match exchange.response(input, &mut work.fields, &mut work.pieces) {
            Ok(taken) => taken,
            Err(malformed) => {
                self.bad_answer(front_key, &malformed.to_string());
                return Step::Wait;
            }
        };
        let phase = exchange.phase();
        match phase {
            Phase::Head => back.read = input[taken..].to_vec(),
            Phase::Tunnel => work.pieces.input(taken..input.len()),
            Phase::Body | Phase::Done => {}
        }
        let surplus = phase == Phase::Done && taken < input.len();
        if net::send_pieces(&front.fd, &work.pieces, input, &mut front.out).is_err() {
            self.abort(front_key);
            return Step::Wait;
        }
        match phase {
            Phase::Done => {
                self.finish(key, front_key, surplus);
                return Step::Wait;
            }
            Phase::Tunnel => self.begin_tunnel(key, front_key),
            Phase::Head | Phase::Body => self.set_deadline(front_key, self.now + IDLE_TIME),
        }
        Step::More
    }

    fn answer_end(&mut self, key: Key, front_key: Key, work: &mut Work) {
        let Some(front) = self.fronts.get_mut(front_key) else {
            return;
        };
        let exchange = front
            .exchange
            .as_mut()
            .expect("an active client has an exchange");
        work.pieces.clear();
        if exchange.response_end(&mut work.pieces).is_err() {
            return self.lost(key, front_key, None, work);
        }
        if net::send_pieces(&front.fd, &work.pieces, &[], &mut front.out).is_err() {
            return self.abort(front_key);
        }
        self.finish(key, front_key, false);
    }

    fn bad_answer(&mut self, front_key: Key, words: &str) {
        let begun = self
            .fronts
            .get(front_key)
            .and_then(|front| front.exchange.as_ref());
        if begun.is_some_and(|exchange| exchange.phase() != Phase::Head) {
            self.abort(front_key);
        } else {
            self.answer(
                front_key,
                Cause::BadAnswer,
                &format!("the app's answer is not HTTP: {words}"),
            );
        }
    }

    /// The answer is through: both connections go their ways.
    fn finish(&mut self, key: Key, front_key: Key, surplus: bool) {
        let Some(front) = self.fronts.get_mut(front_key) else {
            return;
        };
        let exchange = front
            .exchange
            .take()
            .expect("a finished client has an exchange");
        let keeps = exchange.client_keeps();
        front.lingers |= !exchange.is_request_done();
        front.stage = Stage::Head;
        self.release(key, exchange.upstream_keeps() && !surplus);
        self.after_answer(front_key, keeps);
    }

    /// The connection ended before the answer did. What was not answered at all goes to another
    /// connection when that can do no harm.
    fn lost(&mut self, key: Key, front_key: Key, error: Option<Errno>, work: &mut Work) {
        let (Some(back), Some(front)) = (self.backs.get_mut(key), self.fronts.get_mut(front_key))
        else {
            return;
        };
        let exchange = front
            .exchange
            .as_ref()
            .expect("an active client has an exchange");
        if exchange.phase() != Phase::Head {
            return self.abort(front_key);
        }
        let (pool, reused) = (back.pool, back.reused);
        let unsent = (!back.sent).then(|| back.out.take());
        let again = match unsent {
            Some(bytes) => Some(bytes),
            None if !exchange.is_answered() && !front.repeated && !back.repeat.is_empty() => {
                front.repeated = true;
                Some(std::mem::take(&mut back.repeat))
            }
            None => None,
        };
        front.fresh_only = true;
        let cause = match error {
            Some(Errno::CONNREFUSED) => Cause::Refused,
            _ => Cause::Closed,
        };
        if !reused {
            front.was_tried(pool, cause);
            self.pass_over(pool);
        }
        match again {
            Some(bytes) => self.redispatch(front_key, None, &bytes, work),
            None => self.answer(front_key, cause, cause_words(cause)),
        }
    }

    /// Others are better than this one for a while.
    pub(super) fn pass_over(&mut self, pool: Key) {
        let until = self.now + REFUSED_TIME;
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.refused_until = Some(until);
        }
    }
}

/// What a failed try means, for a person.
pub(super) fn cause_words(cause: Cause) -> &'static str {
    match cause {
        Cause::Refused => "the app refused the connection",
        Cause::Closed => "the app closed the connection before it answered",
        Cause::NoSocket => "there is no connection to the app to be had",
        _ => "the app cannot be reached",
    }
}
