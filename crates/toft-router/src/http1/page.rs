//! The router's own answers: a status, a cause that a program can read, and words for a person.

use super::bytes::push_decimal;

/// Why the router answered itself; its name stands in the `x-toft-cause` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The request was not understood.
    BadRequest,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body stopped coming.
    BodyTimeout,
    /// No route has this host and path.
    NoRoute,
    /// There is a route, but no instance is ready.
    NoInstance,
    /// No socket towards the instance was free in time.
    NoSocket,
    /// The instance refused the connection.
    Refused,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The instance closed before it answered.
    Closed,
    /// The instance answered something that is not HTTP.
    BadAnswer,
    /// The instance did not answer in time.
    AnswerTimeout,
}

impl Cause {
    /// As in the `x-toft-cause` field.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::BadRequest => "bad-request",
            Cause::HeadTimeout => "head-timeout",
            Cause::BodyTimeout => "body-timeout",
            Cause::NoRoute => "no-route",
            Cause::NoInstance => "no-instance",
            Cause::NoSocket => "no-socket",
            Cause::Refused => "connection-refused",
            Cause::ConnectTimeout => "connect-timeout",
            Cause::Closed => "closed-early",
            Cause::BadAnswer => "bad-answer",
            Cause::AnswerTimeout => "answer-timeout",
        }
    }

    /// The status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Cause::BadRequest => 400,
            Cause::HeadTimeout | Cause::BodyTimeout => 408,
            Cause::NoRoute => 404,
            Cause::NoInstance | Cause::NoSocket => 503,
            Cause::Refused | Cause::Closed | Cause::BadAnswer => 502,
            Cause::ConnectTimeout | Cause::AnswerTimeout => 504,
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

/// Writes a whole answer: `words` is one sentence for a person. `head_only` leaves the body out.
pub fn error_page(
    out: &mut Vec<u8>,
    status: u16,
    cause: Cause,
    words: &str,
    close: bool,
    head_only: bool,
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    push_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(
        b"\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n",
    );
    out.extend_from_slice(b"X-Toft-Cause: ");
    out.extend_from_slice(cause.as_str().as_bytes());
    out.extend_from_slice(b"\r\n");
    if close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    if status == 503 {
        out.extend_from_slice(b"Retry-After: 1\r\n");
    }
    let body = format!("{status} {}\n{words}\n", reason(status));
    super::request::push_length(out, body.len() as u64);
    out.extend_from_slice(b"\r\n");
    if !head_only {
        out.extend_from_slice(body.as_bytes());
    }
}
