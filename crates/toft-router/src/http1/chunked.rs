//! The chunked coding (RFC 9112 §7.1), read strictly and passed on without its extensions.

use super::bytes::VALUE;
use super::fields::{self, Kind};
use super::{Malformed, Pieces};
use crate::limits::{CHUNK_EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { digits: u8, value: u64 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer,
    Done,
}

/// Where a chunked body stands.
#[derive(Debug, Clone)]
pub(super) struct Chunked {
    state: State,
    extension_bytes: usize,
    trailer: Vec<u8>,
    trailer_line: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            state: State::Size {
                digits: 0,
                value: 0,
            },
            extension_bytes: 0,
            trailer: Vec::new(),
            trailer_line: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes input behind `from` up to the body's end and says how much it took. With `keep_chunks`
    /// the chunks are passed on as chunks, without it as the plain data in them.
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        from: usize,
        keep_chunks: bool,
        out: &mut Pieces,
    ) -> Result<usize, Malformed> {
        let mut at = from;
        while at < input.len() && self.state != State::Done {
            if let State::Data { left } = self.state {
                let taken = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(input.len() - at);
                out.input(at..at + taken);
                at += taken;
                let left = left - taken as u64;
                self.state = if left == 0 {
                    State::DataCr
                } else {
                    State::Data { left }
                };
                continue;
            }
            if self.state == State::Trailer {
                self.trailer_byte(input[at], keep_chunks, out)?;
                at += 1;
                continue;
            }
            let kept = self.framing_byte(input[at])?;
            if kept && keep_chunks {
                out.input(at..at + 1);
            }
            at += 1;
        }
        Ok(at - from)
    }

    /// One byte of a size line or of the line end behind data; whether it is passed on.
    fn framing_byte(&mut self, byte: u8) -> Result<bool, Malformed> {
        let (next, kept) = match self.state {
            State::Size { digits, value } => match (hex(byte), byte) {
                // 15 digits are 2^60 bytes: the sum cannot overflow and nobody sends as much.
                (Some(digit), _) if digits < 15 => (
                    State::Size {
                        digits: digits + 1,
                        value: value << 4 | digit,
                    },
                    true,
                ),
                (None, b'\r') if digits > 0 => (State::SizeLf { value }, true),
                (None, b';') if digits > 0 => (State::Extension { value }, false),
                _ => return Err(Malformed::ChunkSize),
            },
            State::Extension { value } => {
                self.extension_bytes += 1;
                if self.extension_bytes > CHUNK_EXTENSION_BYTES_MAX {
                    return Err(Malformed::ChunkExtension);
                }
                match byte {
                    b'\r' => (State::SizeLf { value }, true),
                    byte if VALUE.has(byte) => (self.state, false),
                    _ => return Err(Malformed::ChunkSize),
                }
            }
            State::SizeLf { value } => match (byte, value) {
                (b'\n', 0) => (State::Trailer, true),
                (b'\n', left) => (State::Data { left }, true),
                _ => return Err(Malformed::ChunkSize),
            },
            State::DataCr if byte == b'\r' => (State::DataLf, true),
            State::DataLf if byte == b'\n' => (
                State::Size {
                    digits: 0,
                    value: 0,
                },
                true,
            ),
            _ => return Err(Malformed::ChunkEnd),
        };
        self.state = next;
        Ok(kept)
    }

    /// The trailer section is held until it is whole: it is small, and each line of it is judged.
    fn trailer_byte(
        &mut self,
        byte: u8,
        keep_chunks: bool,
        out: &mut Pieces,
    ) -> Result<(), Malformed> {
        if self.trailer.len() == TRAILER_BYTES_MAX {
            return Err(Malformed::Trailer);
        }
        self.trailer.push(byte);
        if byte != b'\n' {
            return Ok(());
        }
        let line = &self.trailer[self.trailer_line..];
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Err(Malformed::BareLf);
        };
        if line.is_empty() {
            self.state = State::Done;
            if keep_chunks {
                let trailer = &self.trailer;
                out.write(|own| own.extend_from_slice(trailer));
            }
            self.trailer = Vec::new();
            return Ok(());
        }
        let (name, _) = fields::field_line(line).map_err(|_| Malformed::Trailer)?;
        if fields::kind(name) == Kind::End {
            self.trailer_line = self.trailer.len();
        } else {
            self.trailer.truncate(self.trailer_line);
        }
        Ok(())
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
