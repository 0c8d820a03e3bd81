//! Requests: strict reading, and writing anew for the program behind.

use super::Malformed;
use super::bytes::{HOST, TARGET, TOKEN, decimal, push_decimal};
use super::fields::{self, Connection, Field, Kind, Span};

/// Minor version of HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Old,
    /// HTTP/1.1.
    New,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the last chunk and its trailer section.
    Chunked,
    /// With the connection (responses only).
    Close,
}

/// A request as it stands in the buffer.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: Span,
    /// Path and query; empty for the root of an absolute target.
    target: Span,
    /// Host and port as sent; empty when an HTTP/1.0 client sent none.
    pub host: Span,
    /// The client's version.
    pub version: Version,
    /// Where its body ends.
    pub framing: Framing,
    /// Whether the client wants to keep the connection.
    pub keep_alive: bool,
    /// Whether the client waits for a go-ahead before it sends the body.
    pub expect: bool,
    /// Whether the client asks to change to a WebSocket.
    pub websocket: bool,
    connection: Connection,
}

/// What the router knows of a client and tells the program behind.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its address as text.
    pub address: &'a [u8],
    /// `http` or `https`.
    pub proto: &'a [u8],
}

impl Request {
    /// Path and query.
    pub fn target<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        match self.target.of_buffer(buffer) {
            b"" => b"/",
            target => target,
        }
    }

    /// Path without the query.
    pub fn path<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        let target = self.target(buffer);
        &target[..memchr::memchr(b'?', target).unwrap_or(target.len())]
    }

    /// Whether sending it twice is the same as once and nothing of it would be missing
    /// (RFC 9110 §9.2.2).
    pub fn is_repeatable(&self, buffer: &[u8]) -> bool {
        matches!(self.framing, Framing::None | Framing::Length(0))
            && matches!(
                self.method.of_buffer(buffer),
                b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"
            )
            && !self.websocket
    }
}

/// Reads one whole head: `buffer` is what `HeadScan` found, from its first byte to its empty line.
pub fn parse_request(buffer: &[u8], fields: &mut Vec<Field>) -> Result<Request, Malformed> {
    let start = buffer.strip_prefix(b"\r\n").unwrap_or(buffer);
    let (line, rest) = fields::split_line(start)?;
    let (method, target, version) = request_line(line)?;
    fields::parse(buffer, rest, fields)?;
    let connection = Connection::read(buffer, fields)?;
    let host = host(buffer, fields, version)?;
    let target = origin_form(method, target, host)?;
    let framing = request_framing(buffer, fields, version)?;
    let keep_alive = match version {
        Version::New => !connection.close,
        Version::Old => connection.keep_alive && !connection.close,
    };
    let websocket = version == Version::New
        && method == b"GET"
        && framing == Framing::None
        && connection.upgrade
        && is_websocket(buffer, fields);
    Ok(Request {
        method: Span::of(buffer, method),
        target: target.map_or(Span::default(), |part| Span::of(buffer, part)),
        host: host.map_or(Span::default(), |part| Span::of(buffer, part)),
        version,
        framing,
        keep_alive,
        expect: expect(buffer, fields, version)?,
        websocket,
        connection,
    })
}

fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Malformed> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Malformed::RequestLine);
    };
    if method.is_empty() || method.len() > 32 || !TOKEN.all(method) {
        return Err(Malformed::RequestLine);
    }
    if target.is_empty() || !TARGET.all(target) {
        return Err(Malformed::Target);
    }
    Ok((
        method,
        target,
        self::version(version, Malformed::RequestLine)?,
    ))
}

/// `HTTP/1.1` or `HTTP/1.0`; `otherwise` when it is not even HTTP.
pub(super) fn version(word: &[u8], otherwise: Malformed) -> Result<Version, Malformed> {
    match word {
        b"HTTP/1.1" => Ok(Version::New),
        b"HTTP/1.0" => Ok(Version::Old),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Malformed::Version)
        }
        _ => Err(otherwise),
    }
}

fn host<'a>(
    buffer: &'a [u8],
    fields: &[Field],
    version: Version,
) -> Result<Option<&'a [u8]>, Malformed> {
    let mut hosts = fields.iter().filter(|field| field.kind == Kind::Host);
    let first = hosts.next().map(|field| field.value.of_buffer(buffer));
    if hosts.next().is_some() {
        return Err(Malformed::SecondHost);
    }
    match first {
        None if version == Version::New => Err(Malformed::NoHost),
        None => Ok(None),
        Some(host) if is_authority(host) => Ok(Some(host)),
        Some(_) => Err(Malformed::BadHost),
    }
}

/// Whether it is `name`, `name:port`, `[v6]` or `[v6]:port` (RFC 3986 §3.2).
fn is_authority(host: &[u8]) -> bool {
    if host.len() > 260 || !HOST.all(host) {
        return false;
    }
    let (name, port) = split_port(host);
    let inner_ok = match name {
        [b'[', inner @ .., b']'] => inner
            .iter()
            .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')),
        plain => !plain.iter().any(|b| matches!(b, b'[' | b']' | b':')),
    };
    inner_ok && port.iter().all(u8::is_ascii_digit) && port.len() <= 5
}

fn split_port(host: &[u8]) -> (&[u8], &[u8]) {
    let from = host.iter().rposition(|b| *b == b']').unwrap_or(0);
    match host[from..].iter().position(|b| *b == b':') {
        Some(colon) => (&host[..from + colon], &host[from + colon + 1..]),
        None => (host, b""),
    }
}

/// The name that routes go by: lower case, without port and final dot.
pub fn host_name(host: &[u8], out: &mut Vec<u8>) {
    let (name, _) = split_port(host);
    out.clear();
    out.extend_from_slice(name.strip_suffix(b".").unwrap_or(name));
    out.make_ascii_lowercase();
}

/// Path and query of the target, `None` for the root of an absolute one.
fn origin_form<'a>(
    method: &[u8],
    target: &'a [u8],
    host: Option<&[u8]>,
) -> Result<Option<&'a [u8]>, Malformed> {
    if method == b"CONNECT" {
        return Err(Malformed::Connect);
    }
    if target[0] == b'/' || (target == b"*" && method == b"OPTIONS") {
        return Ok(Some(target));
    }
    let Some((scheme, rest)) = target.split_at_checked(7) else {
        return Err(Malformed::Target);
    };
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return Err(Malformed::Target);
    }
    let end = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !host.is_some_and(|host| host.eq_ignore_ascii_case(authority)) || authority.is_empty() {
        return Err(Malformed::HostMismatch);
    }
    match path.first() {
        None => Ok(None),
        Some(b'/') => Ok(Some(path)),
        Some(_) => Err(Malformed::Target),
    }
}

fn request_framing(
    buffer: &[u8],
    fields: &[Field],
    version: Version,
) -> Result<Framing, Malformed> {
    let length = length(buffer, fields)?;
    match (coding(buffer, fields, version)?, length) {
        (true, Some(_)) => Err(Malformed::LengthAndCoding),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::None),
    }
}

/// The one `Content-Length`.
pub(super) fn length(buffer: &[u8], fields: &[Field]) -> Result<Option<u64>, Malformed> {
    let mut lengths = fields.iter().filter(|field| field.kind == Kind::Length);
    let Some(first) = lengths.next() else {
        return Ok(None);
    };
    if lengths.next().is_some() {
        return Err(Malformed::SecondLength);
    }
    decimal(first.value.of_buffer(buffer))
        .map(Some)
        .ok_or(Malformed::BadLength)
}

/// Whether it is chunked.
pub(super) fn coding(buffer: &[u8], fields: &[Field], version: Version) -> Result<bool, Malformed> {
    let mut codings = fields.iter().filter(|field| field.kind == Kind::Coding);
    let Some(first) = codings.next() else {
        return Ok(false);
    };
    if version == Version::Old {
        return Err(Malformed::CodingInOld);
    }
    let chunked = first
        .value
        .of_buffer(buffer)
        .eq_ignore_ascii_case(b"chunked");
    if !chunked || codings.next().is_some() {
        return Err(Malformed::BadCoding);
    }
    Ok(true)
}

/// Whether the one protocol offered is a WebSocket.
pub(super) fn is_websocket(buffer: &[u8], fields: &[Field]) -> bool {
    let mut offers = fields::tokens(buffer, fields, Kind::Upgrade);
    matches!((offers.next(), offers.next()),
        (Some(only), None) if only.eq_ignore_ascii_case(b"websocket"))
}

fn expect(buffer: &[u8], fields: &[Field], version: Version) -> Result<bool, Malformed> {
    let mut expects = fields.iter().filter(|field| field.kind == Kind::Expect);
    match (expects.next(), expects.next()) {
        (None, _) => Ok(false),
        (Some(_), _) if version == Version::Old => Ok(false),
        (Some(one), None)
            if one
                .value
                .of_buffer(buffer)
                .eq_ignore_ascii_case(b"100-continue") =>
        {
            Ok(true)
        }
        _ => Err(Malformed::BadExpect),
    }
}

/// Writes the head that the program behind gets.
///
/// Whatever the client said about who asked is replaced by what the router saw.
pub fn write_request(
    out: &mut Vec<u8>,
    buffer: &[u8],
    request: &Request,
    fields: &[Field],
    client: &Client<'_>,
) {
    let host = request.host.of_buffer(buffer);
    out.extend_from_slice(request.method.of_buffer(buffer));
    out.push(b' ');
    out.extend_from_slice(request.target(buffer));
    out.extend_from_slice(b" HTTP/1.1\r\n");
    fields::push(out, b"Host", host);
    fields::push_passed(out, buffer, fields, &request.connection, false);
    match request.framing {
        Framing::Length(length) => push_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::None | Framing::Close => {}
    }
    if request.expect && request.framing != Framing::None {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    if request.websocket {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    }
    fields::push(out, b"X-Forwarded-For", client.address);
    fields::push(out, b"X-Forwarded-Proto", client.proto);
    if !host.is_empty() {
        fields::push(out, b"X-Forwarded-Host", host);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes `Content-Length`.
pub(super) fn push_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    push_decimal(out, length);
    out.extend_from_slice(b"\r\n");
}
