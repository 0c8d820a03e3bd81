//! Responses: strict reading, and writing anew for the client.

use super::Malformed;
use super::bytes::VALUE;
use super::fields::{self, Connection, Field, Span};
use super::request::{Framing, Version, coding, is_websocket, length, push_length, version};

/// A response as it stands in the buffer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Three digits.
    pub status: u16,
    reason: Span,
    /// Where its body ends.
    pub framing: Framing,
    /// What `Content-Length` said, for answers that have no body but tell its size.
    told_length: Option<u64>,
    /// Whether the program behind keeps the connection.
    pub keep_alive: bool,
    /// Whether it changes to a WebSocket.
    pub websocket: bool,
    connection: Connection,
}

/// What the client's side decides about the head of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Towards {
    /// The client speaks HTTP/1.0.
    pub(super) old: bool,
    /// The connection ends after this answer.
    pub(super) close: bool,
    /// How the body will be written.
    pub(super) framing: Framing,
}

/// Reads one whole head. `head_only` when the request was HEAD.
pub fn parse_response(
    buffer: &[u8],
    fields: &mut Vec<Field>,
    head_only: bool,
) -> Result<Response, Malformed> {
    let start = buffer.strip_prefix(b"\r\n").unwrap_or(buffer);
    let (line, rest) = fields::split_line(start)?;
    let (version, status, reason) = status_line(line)?;
    fields::parse(buffer, rest, fields)?;
    let connection = Connection::read(buffer, fields)?;
    let told_length = length(buffer, fields)?;
    let chunked = coding(buffer, fields, version)?;
    if chunked && told_length.is_some() {
        return Err(Malformed::LengthAndCoding);
    }
    let bodiless = head_only || status < 200 || status == 204 || status == 304;
    let framing = match (bodiless, chunked, told_length) {
        (true, ..) => Framing::None,
        (_, true, _) => Framing::Chunked,
        (.., Some(length)) => Framing::Length(length),
        (.., None) => Framing::Close,
    };
    let keep_alive = match version {
        Version::New => !connection.close,
        Version::Old => connection.keep_alive && !connection.close,
    };
    Ok(Response {
        status,
        reason: Span::of(buffer, reason),
        framing,
        told_length: told_length.filter(|_| head_only || status == 304),
        keep_alive: keep_alive && framing != Framing::Close,
        websocket: status == 101 && connection.upgrade && is_websocket(buffer, fields),
        connection,
    })
}

fn status_line(line: &[u8]) -> Result<(Version, u16, &[u8]), Malformed> {
    let bad = Malformed::StatusLine;
    let (word, rest) = line.split_at_checked(8).ok_or(bad)?;
    let version = version(word, bad)?;
    let [
        b' ',
        a @ b'1'..=b'9',
        b @ b'0'..=b'9',
        c @ b'0'..=b'9',
        reason @ ..,
    ] = rest
    else {
        return Err(bad);
    };
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] => reason,
        _ => return Err(bad),
    };
    if !VALUE.all(reason) {
        return Err(Malformed::Control);
    }
    let digit = |d: &u8| u16::from(d - b'0');
    Ok((version, digit(a) * 100 + digit(b) * 10 + digit(c), reason))
}

impl Response {
    /// Writes the head that the client gets.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        buffer: &[u8],
        fields: &[Field],
        towards: Towards,
    ) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(&[
            b'0' + (self.status / 100) as u8,
            b'0' + (self.status / 10 % 10) as u8,
            b'0' + (self.status % 10) as u8,
            b' ',
        ]);
        out.extend_from_slice(self.reason.of_buffer(buffer));
        out.extend_from_slice(b"\r\n");
        fields::push_passed(out, buffer, fields, &self.connection, true);
        match (towards.framing, self.told_length) {
            (Framing::Length(length), _) | (Framing::None, Some(length)) => {
                push_length(out, length)
            }
            (Framing::Chunked, _) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            (Framing::None | Framing::Close, _) => {}
        }
        if self.websocket {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
        } else if self.status >= 200 && towards.close {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if self.status >= 200 && towards.old {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}
