//! As much of HTTP/1.1 as a guestbook needs: whole requests in, whole responses out, keep-alive.

use std::io::{Read, Write};
use std::net::TcpStream;

const HEAD_MAX: usize = 16 << 10;
const BODY_MAX: usize = 16 << 10;

/// A status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(u16);

impl Status {
    pub const OK: Self = Self(200);
    pub const SEE_OTHER: Self = Self(303);
    pub const BAD: Self = Self(400);
    pub const FORBIDDEN: Self = Self(403);
    pub const NOT_FOUND: Self = Self(404);
    pub const METHOD: Self = Self(405);
    pub const LARGE: Self = Self(413);
    pub const UNPROCESSABLE: Self = Self(422);
    pub const STORAGE: Self = Self(507);

    /// What it means, for a visitor.
    pub fn words(self) -> &'static str {
        match self.0 {
            400 => "That was not a request that this page understands.",
            405 => "This page can be read and signed, nothing else.",
            413 => "That is more than fits on a page.",
            _ => "Something went wrong.",
        }
    }
}

/// One whole request. When it could not be read as one, `refused` says how to answer it.
#[derive(Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
    pub refused: Option<Status>,
    headers: Vec<(String, String)>,
    keep: bool,
}

impl Request {
    fn refuse(status: Status) -> Self {
        Self {
            refused: Some(status),
            ..Self::default()
        }
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target, version) = (first.next()?, first.next()?, first.next()?);
        if first.next().is_some() || !target.starts_with('/') {
            return None;
        }
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            if name.is_empty() || name.contains([' ', '\t']) {
                return None;
            }
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let path = target.split('?').next().unwrap_or(target);
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers,
            ..Self::default()
        };
        let close = request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        request.keep = match version {
            "HTTP/1.1" => !close,
            "HTTP/1.0" => false,
            _ => return None,
        };
        Some(request)
    }

    /// Bytes of the body; an error when it comes in a way that is not taken here.
    fn length(&self) -> Result<usize, Status> {
        let mut lengths = self
            .headers
            .iter()
            .filter(|(key, _)| key == "content-length");
        let first = lengths.next().map(|(_, value)| value);
        if lengths.next().is_some() || self.header("transfer-encoding").is_some() {
            return Err(Status::BAD);
        }
        let Some(text) = first else { return Ok(0) };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Status::BAD);
        }
        text.parse()
            .ok()
            .filter(|length| *length <= BODY_MAX)
            .ok_or(Status::LARGE)
    }
}

/// A visitor's connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The next request; `None` once the visitor is gone or silent for too long.
    pub fn next(&mut self) -> Option<Request> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if self.buffer.len() > HEAD_MAX {
                return Some(Request::refuse(Status::LARGE));
            }
            self.fill()?;
        };
        let head = std::str::from_utf8(&self.buffer[..end])
            .ok()
            .and_then(Request::parse);
        let Some(mut request) = head else {
            return Some(Request::refuse(Status::BAD));
        };
        let length = match request.length() {
            Ok(length) => length,
            Err(status) => return Some(Request::refuse(status)),
        };
        let total = end + 4 + length;
        if self.buffer.len() < total && request.header("expect").is_some() {
            self.stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .ok()?;
        }
        while self.buffer.len() < total {
            self.fill()?;
        }
        request.body = self.buffer[end + 4..total].to_vec();
        self.buffer.drain(..total);
        Some(request)
    }

    fn fill(&mut self) -> Option<()> {
        let mut chunk = [0; 4096];
        let count = self
            .stream
            .read(&mut chunk)
            .ok()
            .filter(|count| *count > 0)?;
        self.buffer.extend_from_slice(&chunk[..count]);
        Some(())
    }

    /// Sends the answer; whether another request may follow.
    pub fn send(&mut self, request: &Request, response: Response) -> bool {
        let keep = request.keep && request.refused.is_none();
        let bytes = response.to_bytes(request.method == "HEAD", keep);
        self.stream.write_all(&bytes).is_ok() && keep
    }
}

/// A whole response.
#[derive(Debug)]
pub struct Response {
    status: Status,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Response {
    fn new(status: Status, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", kind.to_owned())],
            body: body.into(),
        }
    }

    /// HTML that may load nothing from elsewhere and run no script.
    pub fn page(status: Status, html: &str) -> Self {
        let mut response = Self::new(status, "text/html; charset=utf-8", html);
        let policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";
        response
            .headers
            .push(("Content-Security-Policy", policy.to_owned()));
        response
            .headers
            .push(("Cache-Control", "no-cache".to_owned()));
        if status == Status::METHOD {
            response
                .headers
                .push(("Allow", "GET, HEAD, POST".to_owned()));
        }
        response
    }

    pub fn text(text: &str) -> Self {
        Self::new(Status::OK, "text/plain; charset=utf-8", text)
    }

    pub fn json(text: String) -> Self {
        Self::new(Status::OK, "application/json", text)
    }

    pub fn asset(kind: &str, text: &str) -> Self {
        let mut response = Self::new(Status::OK, kind, text);
        response
            .headers
            .push(("Cache-Control", "no-cache".to_owned()));
        response
    }

    pub fn see_other(place: &str) -> Self {
        let mut response = Self::new(Status::SEE_OTHER, "text/plain; charset=utf-8", "");
        response.headers.push(("Location", place.to_owned()));
        response
    }

    fn to_bytes(&self, head_only: bool, keep: bool) -> Vec<u8> {
        let reason = match self.status.0 {
            200 => "OK",
            303 => "See Other",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            413 => "Content Too Large",
            422 => "Unprocessable Content",
            507 => "Insufficient Storage",
            _ => "Bad Request",
        };
        let mut head = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Length: {}\r\n",
            self.status.0,
            self.body.len()
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("X-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n");
        head.push_str(if keep {
            "\r\n"
        } else {
            "Connection: close\r\n\r\n"
        });
        let mut bytes = head.into_bytes();
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// The fields of a form (`application/x-www-form-urlencoded`).
pub fn form(body: &[u8]) -> Vec<(String, String)> {
    let pairs = body
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || decode(halves.next().unwrap_or_default());
            (half(), half())
        })
        .collect()
}

fn decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let hex = text
            .get(at + 1..at + 3)
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match (text[at], hex.and_then(|hex| std::str::from_utf8(hex).ok())) {
            (b'%', Some(hex)) => {
                out.push(u8::from_str_radix(hex, 16).unwrap_or(b'?'));
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let fields = form(b"name=Ada+L.&message=caf%C3%A9+%26+50%25%&empty");
        let expected = [
            ("name", "Ada L."),
            ("message", "café & 50%%"),
            ("empty", ""),
        ];
        assert_eq!(fields, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn odd_requests_are_refused() {
        assert!(Request::parse("GET / HTTP/1.1\r\nHost: x").is_some());
        for bad in [
            "GET /",
            "GET x HTTP/1.1",
            "GET / HTTP/2",
            "GET / HTTP/1.1\r\nHost : x",
            "GET / / HTTP/1.1",
        ] {
            assert!(Request::parse(bad).is_none(), "{bad}");
        }
        let length = |head: &str| Request::parse(head).unwrap().length();
        assert_eq!(length("POST / HTTP/1.1\r\nContent-Length: 5"), Ok(5));
        assert_eq!(
            length("POST / HTTP/1.1\r\nContent-Length: +5"),
            Err(Status::BAD)
        );
        assert_eq!(
            length("POST / HTTP/1.1\r\nContent-Length: 99999999"),
            Err(Status::LARGE)
        );
        assert_eq!(
            length("POST / HTTP/1.1\r\nTransfer-Encoding: chunked"),
            Err(Status::BAD)
        );
    }
}
