//! The client's side: heads and bodies of requests, and the end of connections.

use super::connection::{Front, Stage};
use super::held::Held;
use super::worker::{Io, Tag, Work, Worker};
use crate::http1::{
    Cause, Client, Exchange, HeadScan, Malformed, error_page, host_name, parse_request,
    write_request,
};
use crate::limits::{
    HEAD_TIME, IDLE_TIME, KEEP_ALIVE_TIME, LINGER_TIME, READS_PER_TURN, TUNNEL_IDLE_TIME,
};
use crate::net::{self, EventFlags, Read};
use crate::slab::Key;

const ENDED: EventFlags = EventFlags::RDHUP
    .union(EventFlags::HUP)
    .union(EventFlags::ERR);
const BROKEN: EventFlags = EventFlags::HUP.union(EventFlags::ERR);

/// What to do after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Another one may follow.
    More,
    /// Nothing can be done until something happens.
    Wait,
}

impl Front {
    /// Reads what came. `None`: there is nothing to go on with now.
    pub(super) fn read_socket(&mut self, buffer: &mut [u8]) -> Option<Read> {
        if !self.readable {
            return None;
        }
        let read = net::read(&self.fd, buffer);
        match read {
            // A short read emptied the kernel's buffer; an end behind it is an event of its own.
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
    /// Something happened on a client's connection.
    pub(super) fn client_event(&mut self, key: Key, flags: EventFlags, io: &mut Io) {
        let Some(front) = self.fronts.get_mut(key) else {
            return;
        };
        if flags.intersects(ENDED) {
            front.half_closed = true;
        }
        if flags.intersects(EventFlags::IN | ENDED) {
            front.readable = !front.ended;
        }
        // Before the answer is through, a broken connection means that nobody waits for it.
        if flags.intersects(BROKEN) && matches!(front.stage, Stage::Active(_) | Stage::Queued(_)) {
            return self.abort(key);
        }
        if flags.contains(EventFlags::OUT) && !front.out.is_empty() {
            if front.out.flush(&front.fd).is_err() {
                return self.abort(key);
            }
            if front.out.is_empty() {
                let (stage, back) = (front.stage, front.back());
                if stage == Stage::Ending {
                    return self.end_client(key);
                }
                if let Some(back) = back {
                    let tunnel = matches!(stage, Stage::Tunnel(_));
                    let span = if tunnel { TUNNEL_IDLE_TIME } else { IDLE_TIME };
                    self.set_deadline(key, self.now + span);
                    self.upstream_turn(back, io);
                }
            }
        }
        self.client_turn(key, io);
    }

    /// Goes on with a client as far as its turn reaches.
    pub(super) fn client_turn(&mut self, key: Key, io: &mut Io) {
        for _ in 0..READS_PER_TURN {
            let Some(front) = self.fronts.get_mut(key) else {
                return;
            };
            let step = match front.stage {
                Stage::Head => self.client_head(key, io),
                Stage::Active(back) => self.client_body(key, back, io),
                Stage::Tunnel(back) => self.tunnel_up(key, back, io),
                Stage::Lingering => self.linger(key, io),
                Stage::Queued(_) | Stage::Ending => Step::Wait,
            };
            if step == Step::Wait {
                return;
            }
        }
        self.again.push_back(Tag::Front.token(key.bits()));
    }

    fn client_head(&mut self, key: Key, io: &mut Io) -> Step {
        let Some(front) = self.fronts.get_mut(key) else {
            return Step::Wait;
        };
        if !front.out.is_empty() {
            return Step::Wait;
        }
        // Bytes that were looked through already need more behind them.
        let mut held = std::mem::take(&mut front.read);
        let length = if held.is_empty() || !front.scan.is_fresh() {
            match front.read_socket(&mut io.buffer) {
                None => {
                    front.read = held;
                    return Step::Wait;
                }
                Some(Read::Bytes(length)) => length,
                Some(_) => {
                    self.close_client(key);
                    return Step::Wait;
                }
            }
        } else {
            0
        };
        let read = &io.buffer[..length];
        let step = if held.is_empty() {
            let (step, used) = self.head_bytes(key, read, &mut io.work);
            held.append(&read[used..]);
            step
        } else {
            held.append(read);
            let (step, used) = self.head_bytes(key, held.left(), &mut io.work);
            held.advance(used);
            step
        };
        if let Some(front) = self.fronts.get_mut(key) {
            front.read = held;
        }
        step
    }

    /// Goes on with a head; how much of the input was used.
    fn head_bytes(&mut self, key: Key, input: &[u8], work: &mut Work) -> (Step, usize) {
        let Some(front) = self.fronts.get_mut(key) else {
            return (Step::Wait, 0);
        };
        let begins = front.scan.is_fresh();
        let request = match front.scan.find(input) {
            Ok(None) => {
                if begins {
                    let deadline = front.deadline.min(self.now + HEAD_TIME);
                    self.set_deadline(key, deadline);
                }
                return (Step::More, 0);
            }
            Ok(Some(length)) => {
                front.scan = HeadScan::default();
                self.request(key, input, length, work)
            }
            Err(malformed) => Err(malformed),
        };
        match request {
            Ok(used) => (Step::More, used),
            Err(malformed) => {
                self.refuse(key, malformed);
                (Step::Wait, 0)
            }
        }
    }

    /// A whole head of `length` bytes stands in front of `input`; how much of that was used.
    fn request(
        &mut self,
        key: Key,
        input: &[u8],
        length: usize,
        work: &mut Work,
    ) -> Result<usize, Malformed> {
        let Some(front) = self.fronts.get_mut(key) else {
            return Ok(length);
        };
        let head = &input[..length];
        let request = parse_request(head, &mut work.fields)?;
        let mut exchange = Exchange::new(head, &request);
        work.pieces.clear();
        let client = Client {
            address: front.address.as_bytes(),
            proto: b"http",
        };
        work.pieces
            .write(|own| write_request(own, head, &request, &work.fields, &client));
        let taken = exchange.request(input, length, &mut work.pieces)?;
        let used = length + taken;
        front.exchange = Some(exchange);
        front.repeatable = request.is_repeatable(head);
        front.fresh_only = false;
        front.repeated = false;
        front.met = None;
        front.tried = Default::default();
        host_name(request.host.of_buffer(head), &mut work.host);
        let Some(upstream) = self.routes.find(&work.host, request.path(head)) else {
            if self.routes.is_empty() {
                self.answer(key, Cause::NoInstance, "no app has come up here yet");
            } else {
                let words = self.no_route_words(&work.host);
                self.answer(key, Cause::NoRoute, &words);
            }
            return Ok(used);
        };
        front.rotation = self.slots[upstream];
        self.dispatch(key, None, input, work);
        Ok(used)
    }

    fn no_route_words(&self, host: &[u8]) -> String {
        let mut words = format!("no app answers to `{}` here", String::from_utf8_lossy(host));
        let names = self.routes.local_names();
        if !names.is_empty() {
            words.push_str("; these do: ");
            words.push_str(names);
        }
        words
    }

    fn client_body(&mut self, key: Key, back_key: Key, io: &mut Io) -> Step {
        let (Some(front), Some(back)) = (self.fronts.get_mut(key), self.backs.get_mut(back_key))
        else {
            return Step::Wait;
        };
        let exchange = front
            .exchange
            .as_mut()
            .expect("an active client has an exchange");
        if exchange.is_request_done() || !back.out.is_empty() || back.deaf {
            return Step::Wait;
        }
        let held = std::mem::take(&mut front.read);
        let input = if held.is_empty() {
            match front.read_socket(&mut io.buffer) {
                None => return Step::Wait,
                Some(Read::Bytes(length)) => &io.buffer[..length],
                Some(_) => {
                    self.abort(key);
                    return Step::Wait;
                }
            }
        } else {
            held.left()
        };
        let exchange = front
            .exchange
            .as_mut()
            .expect("an active client has an exchange");
        io.work.pieces.clear();
        let taken = match exchange.request(input, 0, &mut io.work.pieces) {
            Ok(taken) => taken,
            Err(malformed) => {
                self.refuse(key, malformed);
                return Step::Wait;
            }
        };
        front.read.append(&input[taken..]);
        match net::send_pieces(&back.fd, &io.work.pieces, input, &mut back.out) {
            Ok(sent) => back.sent |= sent > 0,
            // It listens no longer; it may have answered before.
            Err(_) => {
                back.deaf = true;
                back.readable = true;
                self.again.push_back(Tag::Back.token(back_key.bits()));
            }
        }
        self.set_deadline(key, self.now + IDLE_TIME);
        Step::More
    }

    fn linger(&mut self, key: Key, io: &mut Io) -> Step {
        let Some(front) = self.fronts.get_mut(key) else {
            return Step::Wait;
        };
        match front.read_socket(&mut io.buffer) {
            None => Step::Wait,
            Some(Read::Bytes(_)) => Step::More,
            Some(_) => {
                self.close_client(key);
                Step::Wait
            }
        }
    }

    /// The request was not understood: says so and ends the connection, since nobody knows where
    /// the next request would begin.
    fn refuse(&mut self, key: Key, malformed: Malformed) {
        self.refuse_with(
            key,
            malformed.status(),
            Cause::BadRequest,
            &malformed.to_string(),
        );
    }

    /// Answers in the router's own name and goes on with the connection where that is safe.
    pub(super) fn answer(&mut self, key: Key, cause: Cause, words: &str) {
        self.detach(key);
        let Some(front) = self.fronts.get_mut(key) else {
            return;
        };
        let exchange = front.exchange.take();
        let keeps = exchange.as_ref().is_some_and(Exchange::client_keeps);
        front.lingers |= exchange
            .as_ref()
            .is_none_or(|exchange| !exchange.is_request_done());
        let head_only = exchange.as_ref().is_some_and(Exchange::is_head_only);
        self.send_page(key, (cause.status(), cause), words, !keeps, head_only);
        self.after_answer(key, keeps);
    }

    /// Answers in the router's own name and ends the connection.
    pub(super) fn refuse_with(&mut self, key: Key, status: u16, cause: Cause, words: &str) {
        let begun = self
            .fronts
            .get(key)
            .and_then(|front| front.exchange.as_ref());
        if begun.is_some_and(|exchange| exchange.phase() != crate::http1::Phase::Head) {
            return self.abort(key);
        }
        let head_only = begun.is_some_and(Exchange::is_head_only);
        self.detach(key);
        if let Some(front) = self.fronts.get_mut(key) {
            front.exchange = None;
            front.lingers = true;
            self.send_page(key, (status, cause), words, true, head_only);
            self.after_answer(key, false);
        }
    }

    fn send_page(
        &mut self,
        key: Key,
        (status, cause): (u16, Cause),
        words: &str,
        close: bool,
        head_only: bool,
    ) {
        let Some(front) = self.fronts.get_mut(key) else {
            return;
        };
        let mut page = Vec::new();
        error_page(&mut page, status, cause, words, close, head_only);
        let mut pieces = crate::http1::Pieces::default();
        pieces.input(0..page.len());
        // A client that is gone shows itself at the next event.
        let _ = net::send_pieces(&front.fd, &pieces, &page, &mut front.out);
    }

    /// An answer was handed to the kernel, or to the buffer before it.
    pub(super) fn after_answer(&mut self, key: Key, keeps: bool) {
        let Some(front) = self.fronts.get_mut(key) else {
            return;
        };
        front.held = Vec::new();
        if keeps {
            front.stage = Stage::Head;
            if front.has_unread() || front.half_closed {
                self.again.push_back(Tag::Front.token(key.bits()));
            }
            return self.set_deadline(key, self.now + KEEP_ALIVE_TIME);
        }
        front.stage = Stage::Ending;
        front.lingers |= front.has_unread();
        if front.out.is_empty() {
            self.end_client(key);
        } else {
            self.set_deadline(key, self.now + IDLE_TIME);
        }
    }

    /// Everything is sent: closes at once where nothing of the client can be unread. Closing over
    /// unread bytes would reset the connection and could take the answer with it.
    fn end_client(&mut self, key: Key) {
        let Some(front) = self.fronts.get_mut(key) else {
            return;
        };
        if !front.lingers || front.ended {
            return self.close_client(key);
        }
        net::end_writing(&front.fd);
        front.stage = Stage::Lingering;
        front.read = Held::default();
        front.readable = true;
        self.set_deadline(key, self.now + LINGER_TIME);
        self.again.push_back(Tag::Front.token(key.bits()));
    }

    /// Closes in good order.
    pub(super) fn close_client(&mut self, key: Key) {
        self.detach(key);
        self.fronts.remove(key);
    }

    /// Ends a connection whose answer cannot be completed, so that the client sees it broken off.
    pub(super) fn abort(&mut self, key: Key) {
        self.detach(key);
        if let Some(front) = self.fronts.remove(key) {
            net::reset_on_close(&front.fd);
        }
    }

    /// Its deadline passed.
    pub(super) fn client_is_late(&mut self, key: Key) {
        let Some(front) = self.fronts.get(key) else {
            return;
        };
        match front.stage {
            Stage::Head if front.read.is_empty() && front.out.is_empty() => self.close_client(key),
            Stage::Head if front.out.is_empty() => {
                let words = "the head of the request did not arrive within 10 s";
                self.refuse_with(key, 408, Cause::HeadTimeout, words);
            }
            Stage::Queued(_) => self.answer(
                key,
                Cause::NoSocket,
                "every connection to the app is in use",
            ),
            Stage::Active(back) => self.exchange_is_late(key, back),
            Stage::Lingering => self.close_client(key),
            Stage::Head | Stage::Tunnel(_) | Stage::Ending => self.abort(key),
        }
    }

    fn exchange_is_late(&mut self, key: Key, back_key: Key) {
        let (Some(front), Some(back)) = (self.fronts.get(key), self.backs.get(back_key)) else {
            return;
        };
        let exchange = front
            .exchange
            .as_ref()
            .expect("an active client has an exchange");
        let waits_for_client = !exchange.is_request_done() && back.out.is_empty();
        if exchange.phase() != crate::http1::Phase::Head {
            self.abort(key);
        } else if !back.sent && self.now < front.connect_by {
            self.connect_anew(key, back_key);
        } else if !back.sent {
            self.answer(
                key,
                Cause::ConnectTimeout,
                "the app did not take the connection in time",
            );
        } else if waits_for_client {
            self.refuse_with(
                key,
                408,
                Cause::BodyTimeout,
                "the body of the request stopped coming",
            );
        } else {
            self.answer(key, Cause::AnswerTimeout, "the app did not answer in time");
        }
    }
}
