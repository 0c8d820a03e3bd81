//! Header fields: where they stand in the read buffer and what they mean to a proxy.

use super::Malformed;
use super::bytes::{TOKEN, VALUE, trim};
use crate::limits::FIELDS_MAX;

/// A stretch of the buffer that a head was parsed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// `part` must be a sub-slice of `whole`, which is at most `HEAD_BYTES_MAX` long.
    pub(super) fn of(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        debug_assert!(start + part.len() <= whole.len());
        Self {
            start: start as u32,
            end: (start + part.len()) as u32,
        }
    }

    /// The bytes, from the buffer that the head was parsed from.
    pub fn of_buffer<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        &buffer[self.start as usize..self.end as usize]
    }
}

/// What a proxy does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Passes it on.
    End,
    /// `Host`.
    Host,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding`.
    Coding,
    /// `Connection`.
    Connection,
    /// `Upgrade`.
    Upgrade,
    /// `Expect`.
    Expect,
    /// Another field that concerns one connection only (RFC 9110 §7.6.1).
    Hop,
    /// A field by which proxies say who asked, in any spelling that a program might take for it.
    Forwarded,
}

/// One field line.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: Span,
    /// Its value without space around it.
    pub value: Span,
    /// What it is to a proxy.
    pub kind: Kind,
}

/// Reads field lines up to the empty line that ends `rest`, a part of `buffer`.
pub(super) fn parse(buffer: &[u8], mut rest: &[u8], out: &mut Vec<Field>) -> Result<(), Malformed> {
    out.clear();
    loop {
        let (line, after) = split_line(rest)?;
        if line.is_empty() {
            return Ok(());
        }
        if out.len() == FIELDS_MAX {
            return Err(Malformed::TooManyFields);
        }
        let (name, value) = field_line(line)?;
        out.push(Field {
            name: Span::of(buffer, name),
            value: Span::of(buffer, value),
            kind: kind(name),
        });
        rest = after;
    }
}

/// The line up to CR LF and what follows it.
pub(super) fn split_line(rest: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = memchr::memchr(b'\n', rest).ok_or(Malformed::BareLf)?;
    match rest[..end].split_last() {
        Some((b'\r', line)) => Ok((line, &rest[end + 1..])),
        _ => Err(Malformed::BareLf),
    }
}

/// Name and trimmed value of one line without its end.
pub(super) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Malformed::Folded);
    }
    let colon = memchr::memchr(b':', line).ok_or(Malformed::FieldLine)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !TOKEN.all(name) {
        return Err(Malformed::FieldLine);
    }
    if !VALUE.all(value) {
        return Err(Malformed::Control);
    }
    Ok((name, trim(value)))
}

/// What a field of this name is to a proxy.
pub(super) fn kind(name: &[u8]) -> Kind {
    let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
    match name.len() {
        2 if is("te") => Kind::Hop,
        4 if is("host") => Kind::Host,
        6 if is("expect") => Kind::Expect,
        7 if is("upgrade") => Kind::Upgrade,
        9 if is("forwarded") => Kind::Forwarded,
        10 if is("connection") => Kind::Connection,
        10 if is("keep-alive") => Kind::Hop,
        14 if is("content-length") => Kind::Length,
        14 if is("http2-settings") => Kind::Hop,
        16 if is("proxy-connection") => Kind::Hop,
        17 if is("transfer-encoding") => Kind::Coding,
        _ if says_who_asked(name) => Kind::Forwarded,
        _ if lookalike(name) => Kind::Hop,
        _ => Kind::End,
    }
}

/// `X-Forwarded-*` and `X-Real-IP`, also with `_`: CGI and WSGI programs see no difference.
fn says_who_asked(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'x' | b'X'))
        && (starts_like(name, b"x-forwarded-")
            || (name.len() == 9 && starts_like(name, b"x-real-ip")))
}

/// Framing fields spelt with `_`, which CGI and WSGI programs would take for the real ones.
fn lookalike(name: &[u8]) -> bool {
    (name.len() == 14 && starts_like(name, b"content-length"))
        || (name.len() == 17 && starts_like(name, b"transfer-encoding"))
}

fn starts_like(name: &[u8], text: &[u8]) -> bool {
    name.len() >= text.len()
        && name
            .iter()
            .zip(text)
            .all(|(a, b)| a.to_ascii_lowercase() == *b || (*a == b'_' && *b == b'-'))
}

/// What the `Connection` fields of one head say.
#[derive(Debug, Clone, Default)]
pub(super) struct Connection {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Whether other fields are named, which then concern this connection only.
    pub(super) names_others: bool,
}

impl Connection {
    /// Reads all of them.
    pub(super) fn read(buffer: &[u8], fields: &[Field]) -> Result<Self, Malformed> {
        let mut found = Self::default();
        for (count, token) in tokens(buffer, fields, Kind::Connection).enumerate() {
            // Each field is compared with each of them.
            if count == FIELDS_MAX {
                return Err(Malformed::TooManyFields);
            }
            if token.eq_ignore_ascii_case(b"close") {
                found.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                found.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                found.upgrade = true;
            } else if TOKEN.all(token) {
                found.names_others = true;
            } else {
                return Err(Malformed::FieldLine);
            }
        }
        Ok(found)
    }
}

/// The members of a comma-separated field, over all its lines.
pub(super) fn tokens<'a>(
    buffer: &'a [u8],
    fields: &'a [Field],
    kind: Kind,
) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| field.kind == kind)
        .flat_map(|field| field.value.of_buffer(buffer).split(|b| *b == b','))
        .map(trim)
        .filter(|token| !token.is_empty())
}

/// Whether a `Connection` field names this one.
pub(super) fn is_named(buffer: &[u8], fields: &[Field], name: &[u8]) -> bool {
    tokens(buffer, fields, Kind::Connection).any(|token| token.eq_ignore_ascii_case(name))
}

/// Writes one field line.
pub(super) fn push(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes the fields that are passed on.
pub(super) fn push_passed(
    out: &mut Vec<u8>,
    buffer: &[u8],
    fields: &[Field],
    connection: &Connection,
    also_forwarded: bool,
) {
    for field in fields {
        let passes = field.kind == Kind::End || (also_forwarded && field.kind == Kind::Forwarded);
        if !passes {
            continue;
        }
        let name = field.name.of_buffer(buffer);
        if connection.names_others && is_named(buffer, fields, name) {
            continue;
        }
        push(out, name, field.value.of_buffer(buffer));
    }
}
