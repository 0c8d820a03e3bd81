//! Two connections joined as they are, after `101 Switching Protocols`.

use super::client::Step;
use super::connection::Stage;
use super::worker::{Io, Worker};
use crate::limits::TUNNEL_IDLE_TIME;
use crate::net::{self, Read};
use crate::slab::Key;

impl Worker {
    pub(super) fn begin_tunnel(&mut self, back: Key, front_key: Key) {
        let Some(front) = self.fronts.get_mut(front_key) else {
            return;
        };
        front.stage = Stage::Tunnel(back);
        self.set_deadline(front_key, self.now + TUNNEL_IDLE_TIME);
        self.again
            .push_back(super::worker::Tag::Front.token(front_key.bits()));
    }

    /// From the client to the program.
    pub(super) fn tunnel_up(&mut self, key: Key, back: Key, io: &mut Io) -> Step {
        let (Some(front), Some(back)) = (self.fronts.get_mut(key), self.backs.get_mut(back)) else {
            return Step::Wait;
        };
        if !back.out.is_empty() {
            return Step::Wait;
        }
        let held = std::mem::take(&mut front.read);
        let input = if held.is_empty() {
            match front.read_socket(&mut io.buffer) {
                None => return Step::Wait,
                Some(Read::Bytes(length)) => &io.buffer[..length],
                Some(Read::Broken(_)) => return self.tunnel_broken(key),
                Some(_) => {
                    net::end_writing(&back.fd);
                    let both = back.ended;
                    return self.tunnel_half(key, both);
                }
            }
        } else {
            held.left()
        };
        io.work.pieces.clear();
        io.work.pieces.input(0..input.len());
        if net::send_pieces(&back.fd, &io.work.pieces, input, &mut back.out).is_err() {
            return self.tunnel_broken(key);
        }
        self.set_deadline(key, self.now + TUNNEL_IDLE_TIME);
        Step::More
    }

    /// From the program to the client.
    pub(super) fn tunnel_down(&mut self, back: Key, key: Key, io: &mut Io) -> Step {
        let (Some(front), Some(back)) = (self.fronts.get_mut(key), self.backs.get_mut(back)) else {
            return Step::Wait;
        };
        if !front.out.is_empty() {
            return Step::Wait;
        }
        let length = match back.read_socket(&mut io.buffer) {
            None => return Step::Wait,
            Some(Read::Bytes(length)) => length,
            Some(Read::Broken(_)) => return self.tunnel_broken(key),
            Some(_) => {
                net::end_writing(&front.fd);
                let both = front.ended;
                return self.tunnel_half(key, both);
            }
        };
        let input = &io.buffer[..length];
        io.work.pieces.clear();
        io.work.pieces.input(0..length);
        if net::send_pieces(&front.fd, &io.work.pieces, input, &mut front.out).is_err() {
            return self.tunnel_broken(key);
        }
        self.set_deadline(key, self.now + TUNNEL_IDLE_TIME);
        Step::More
    }

    fn tunnel_half(&mut self, key: Key, both: bool) -> Step {
        if both {
            self.close_client(key);
        }
        Step::Wait
    }

    fn tunnel_broken(&mut self, key: Key) -> Step {
        self.abort(key);
        Step::Wait
    }
}
