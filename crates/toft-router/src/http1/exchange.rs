//! One request and its answer, seen from between the two connections.

use super::fields::Field;
use super::request::{Framing, Request, Version};
use super::response::{Response, Towards, parse_response};
use super::{Body, HeadScan, Malformed, Pieces, Writing};
use crate::limits::INTERIM_MAX;

/// Where the answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing but interim answers so far.
    Head,
    /// The head was passed on.
    Body,
    /// All of it was passed on.
    Done,
    /// It was `101`: both connections carry what they like from here.
    Tunnel,
}

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    head_only: bool,
    old_client: bool,
    websocket: bool,
    client_keeps: bool,
    upstream_keeps: bool,
    /// Whether any byte of an answer was seen.
    answered: bool,
    interims: u8,
    phase: Phase,
    scan: HeadScan,
    request: Body,
    response: Body,
}

impl Exchange {
    /// Begins with a request whose head was read from `buffer`.
    pub fn new(buffer: &[u8], request: &Request) -> Self {
        Self {
            head_only: request.method.of_buffer(buffer) == b"HEAD",
            old_client: request.version == Version::Old,
            websocket: request.websocket,
            client_keeps: request.keep_alive,
            upstream_keeps: true,
            answered: false,
            interims: 0,
            phase: Phase::Head,
            scan: HeadScan::default(),
            request: Body::new(request.framing, Writing::Same),
            response: Body::new(Framing::None, Writing::Same),
        }
    }

    /// Where the answer stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the whole request was read.
    pub fn is_request_done(&self) -> bool {
        self.request.is_done()
    }

    /// Whether any byte of an answer was seen, so that the request cannot be sent anew.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// Whether the request was HEAD.
    pub fn is_head_only(&self) -> bool {
        self.head_only
    }

    /// Whether the client's connection takes another request after this one.
    pub fn client_keeps(&self) -> bool {
        self.client_keeps && self.request.is_done()
    }

    /// Whether the upstream connection takes another request after this one.
    pub fn upstream_keeps(&self) -> bool {
        self.upstream_keeps && self.request.is_done() && self.phase == Phase::Done
    }

    /// Takes request body from the client. Says how much of the input behind `from` it took; the
    /// rest belongs to the next request.
    pub fn request(
        &mut self,
        input: &[u8],
        from: usize,
        out: &mut Pieces,
    ) -> Result<usize, Malformed> {
        let taken = self.request.feed(input, from, out)?;
        self.check_invariants();
        Ok(taken)
    }

    /// Takes answer from the program behind. What was not taken is the start of a head that goes on,
    /// or, when the phase is `Done`, more than was asked for; give it again with more behind it.
    pub fn response(
        &mut self,
        input: &[u8],
        fields: &mut Vec<Field>,
        out: &mut Pieces,
    ) -> Result<usize, Malformed> {
        self.answered |= !input.is_empty();
        let mut at = 0;
        while self.phase == Phase::Head {
            let Some(length) = self.scan.find(&input[at..])? else {
                return Ok(at);
            };
            self.scan = HeadScan::default();
            self.head(&input[at..at + length], fields, out)?;
            at += length;
        }
        if self.phase == Phase::Body {
            at += self.response.feed(input, at, out)?;
            if self.response.is_done() {
                self.phase = Phase::Done;
            }
        }
        self.check_invariants();
        Ok(at)
    }

    fn head(
        &mut self,
        buffer: &[u8],
        fields: &mut Vec<Field>,
        out: &mut Pieces,
    ) -> Result<(), Malformed> {
        let response = parse_response(buffer, fields, self.head_only)?;
        if response.status == 101 {
            return self.switch(&response, buffer, fields, out);
        }
        if response.status < 200 {
            return self.interim(&response, buffer, fields, out);
        }
        // An answer before the end of its request: the rest of the request is somebody's guess, so
        // neither connection is used again.
        self.client_keeps &= self.request.is_done();
        self.upstream_keeps = response.keep_alive && self.request.is_done();
        let (framing, writing) = match (response.framing, self.old_client) {
            (Framing::Chunked, true) => (Framing::Close, Writing::Plain),
            (Framing::Close, true) => (Framing::Close, Writing::Plain),
            (Framing::Close, false) => (Framing::Chunked, Writing::Chunks),
            (framing, _) => (framing, Writing::Same),
        };
        self.client_keeps &= framing != Framing::Close;
        let towards = Towards {
            old: self.old_client,
            close: !self.client_keeps,
            framing,
        };
        out.write(|own| response.write(own, buffer, fields, towards));
        self.response = Body::new(response.framing, writing);
        self.phase = Phase::Body;
        Ok(())
    }

    fn switch(
        &mut self,
        response: &Response,
        buffer: &[u8],
        fields: &[Field],
        out: &mut Pieces,
    ) -> Result<(), Malformed> {
        if !self.websocket || !response.websocket {
            return Err(Malformed::Upgrade);
        }
        self.client_keeps = false;
        self.upstream_keeps = false;
        self.phase = Phase::Tunnel;
        let towards = Towards {
            old: false,
            close: false,
            framing: Framing::None,
        };
        out.write(|own| response.write(own, buffer, fields, towards));
        Ok(())
    }

    fn interim(
        &mut self,
        response: &Response,
        buffer: &[u8],
        fields: &[Field],
        out: &mut Pieces,
    ) -> Result<(), Malformed> {
        self.interims += 1;
        if self.interims > INTERIM_MAX {
            return Err(Malformed::Interim);
        }
        if !self.old_client {
            let towards = Towards {
                old: false,
                close: false,
                framing: Framing::None,
            };
            out.write(|own| response.write(own, buffer, fields, towards));
        }
        Ok(())
    }

    /// The program behind closed: the end of an answer that ends with its connection, else an error.
    pub fn response_end(&mut self, out: &mut Pieces) -> Result<(), Malformed> {
        self.upstream_keeps = false;
        match self.phase {
            Phase::Head => Err(Malformed::Truncated),
            Phase::Body => {
                self.response.end(out)?;
                self.phase = Phase::Done;
                Ok(())
            }
            Phase::Done | Phase::Tunnel => Ok(()),
        }
    }

    /// What must hold whenever the core returns.
    pub fn check_invariants(&self) {
        assert!(
            self.phase != Phase::Done || self.response.is_done(),
            "done means read to the end"
        );
        assert!(
            self.phase != Phase::Body || !self.response.is_done(),
            "a finished answer is done"
        );
        assert!(
            self.phase != Phase::Tunnel || self.websocket,
            "no tunnel that nobody asked for"
        );
        assert!(
            self.phase == Phase::Head || self.answered,
            "no answer out of nothing"
        );
        assert!(
            self.phase != Phase::Tunnel || self.request.is_done(),
            "a tunnel starts behind a request without a body"
        );
    }
}
