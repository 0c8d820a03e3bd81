//! Bodies on their way: from one framing to another.

use super::chunked::Chunked;
use super::{Framing, Malformed, Pieces};

/// How a body is written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// As it came.
    Same,
    /// As plain bytes that end with the connection.
    Plain,
    /// As chunks; it came without a length.
    Chunks,
}

#[derive(Debug, Clone)]
enum Rest {
    None,
    Length(u64),
    Chunked(Box<Chunked>),
    Close,
}

/// A body that is being read.
#[derive(Debug, Clone)]
pub struct Body {
    rest: Rest,
    writing: Writing,
}

impl Body {
    /// From its framing.
    pub fn new(framing: Framing, writing: Writing) -> Self {
        let rest = match framing {
            Framing::None | Framing::Length(0) => Rest::None,
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunked(Box::new(Chunked::new())),
            Framing::Close => Rest::Close,
        };
        Self { rest, writing }
    }

    /// Whether all of it was read.
    pub fn is_done(&self) -> bool {
        matches!(self.rest, Rest::None)
    }

    /// Takes input behind `from` up to the body's end, appends what is to be sent, says how much it
    /// took. The pieces are stretches of the whole `input`.
    pub fn feed(
        &mut self,
        input: &[u8],
        from: usize,
        out: &mut Pieces,
    ) -> Result<usize, Malformed> {
        let available = input.len() - from;
        match &mut self.rest {
            Rest::None => Ok(0),
            Rest::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
                out.input(from..from + taken);
                *left -= taken as u64;
                if *left == 0 {
                    self.rest = Rest::None;
                }
                Ok(taken)
            }
            Rest::Chunked(chunked) => {
                let keep = self.writing == Writing::Same;
                let taken = chunked.feed(input, from, keep, out)?;
                if chunked.is_done() {
                    self.rest = Rest::None;
                }
                Ok(taken)
            }
            Rest::Close => {
                self.until_close(from, available, out);
                Ok(available)
            }
        }
    }

    fn until_close(&self, from: usize, available: usize, out: &mut Pieces) {
        if self.writing != Writing::Chunks {
            out.input(from..from + available);
        } else if available > 0 {
            out.write(|own| own.extend_from_slice(format!("{available:x}\r\n").as_bytes()));
            out.input(from..from + available);
            out.write(|own| own.extend_from_slice(b"\r\n"));
        }
    }

    /// The connection ended: fine for a body that ends with it.
    pub fn end(&mut self, out: &mut Pieces) -> Result<(), Malformed> {
        match self.rest {
            Rest::None => Ok(()),
            Rest::Close => {
                if self.writing == Writing::Chunks {
                    out.write(|own| own.extend_from_slice(b"0\r\n\r\n"));
                }
                self.rest = Rest::None;
                Ok(())
            }
            Rest::Length(_) | Rest::Chunked(_) => Err(Malformed::Truncated),
        }
    }
}
