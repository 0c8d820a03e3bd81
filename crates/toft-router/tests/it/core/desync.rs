//! The payloads by which one request was smuggled inside another in other proxies.

use super::drive::Up;

/// Each one is sent with a second request behind it, which a confused reader would take for part of
/// the first or for a request of its own at the wrong place.
const PAYLOADS: &[(&str, &[u8])] = &[
    ("length and coding", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX"),
    ("coding and length", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX"),
    ("two lengths that differ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    ("two lengths that agree", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    ("a list of lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello"),
    ("a length with a sign", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
    ("a length in hex", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello"),
    ("a length beyond counting", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello"),
    ("an empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello"),
    ("a coding with a prefix", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("a coding behind identity", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a list of codings", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a coding in quotes", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("a coding behind a vertical tab", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("a coding in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a folded coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("a folded first line", b"GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n"),
    ("space before the colon", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello"),
    ("a tab before the colon", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"),
    ("CR alone in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n"),
    ("CR alone in the first line", b"GET / HTTP/1.1\rX\r\nHost: a\r\n\r\n"),
    ("LF alone behind a field", b"GET / HTTP/1.1\r\nHost: a\nTransfer-Encoding: chunked\r\n\r\n"),
    ("LF alone behind the head", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("LF alone everywhere", b"GET / HTTP/1.1\nHost: a\n\n"),
    ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    ("NUL in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("no host", b"GET / HTTP/1.1\r\n\r\n"),
    ("an absolute target of another host", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an absolute target with a user", b"GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a chunk that ends in LF", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
    ("LF in a chunk extension", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("CR in a chunk extension", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with a prefix", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with a sign", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size behind space", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size before space", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"),
    ("a chunk size beyond counting", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("no chunk size", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"),
    ("a chunk that is longer than it says", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n"),
    ("a trailer that ends in LF", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n"),
    ("a trailer without a colon", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET /evil HTTP/1.1\r\n\r\n"),
];

#[test]
fn none_is_passed_on() {
    let mut said = Vec::new();
    for (name, payload) in PAYLOADS {
        let mut stream = payload.to_vec();
        stream.extend_from_slice(b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut up = Up::default();
        up.feed(&stream);
        let malformed = up.refused.unwrap_or_else(|| panic!("{name} was passed on"));
        assert!(
            !up.out.windows(5).any(|part| part == b"/evil"),
            "{name} smuggles"
        );
        said.push(format!("{name}: {} {malformed}", malformed.status()));
    }
    insta::assert_snapshot!(said.join("\n"), @r"
    length and coding: 400 there are both Content-Length and Transfer-Encoding
    coding and length: 400 there are both Content-Length and Transfer-Encoding
    two lengths that differ: 400 there is more than one Content-Length
    two lengths that agree: 400 there is more than one Content-Length
    a list of lengths: 400 Content-Length is not a number
    a length with a sign: 400 Content-Length is not a number
    a length in hex: 400 Content-Length is not a number
    a length beyond counting: 400 Content-Length is not a number
    an empty length: 400 Content-Length is not a number
    a coding with a prefix: 400 Transfer-Encoding is not exactly `chunked`
    a coding behind identity: 400 Transfer-Encoding is not exactly `chunked`
    a list of codings: 400 Transfer-Encoding is not exactly `chunked`
    chunked twice: 400 Transfer-Encoding is not exactly `chunked`
    a coding in quotes: 400 Transfer-Encoding is not exactly `chunked`
    a coding behind a vertical tab: 400 a control character stands in the head
    a coding in HTTP/1.0: 400 Transfer-Encoding is not part of HTTP/1.0
    a folded coding: 400 a header line is folded
    a folded first line: 400 a header line is folded
    space before the colon: 400 a header line is not `name: value`
    a tab before the colon: 400 a header line is not `name: value`
    CR alone in a value: 400 a control character stands in the head
    CR alone in the first line: 400 the request line is not `METHOD TARGET HTTP/1.1`
    LF alone behind a field: 400 a line ends without CR
    LF alone behind the head: 400 a line ends without CR
    LF alone everywhere: 400 a line ends without CR
    NUL in a value: 400 a control character stands in the head
    NUL in a name: 400 a header line is not `name: value`
    two hosts: 400 there is more than one Host field
    no host: 400 there is no Host field
    an absolute target of another host: 400 the request target and the Host field differ
    an absolute target with a user: 400 the request target and the Host field differ
    a chunk that ends in LF: 400 a chunk has a malformed size line
    LF in a chunk extension: 400 a chunk has a malformed size line
    CR in a chunk extension: 400 a chunk has a malformed size line
    a chunk size with a prefix: 400 a chunk has a malformed size line
    a chunk size with a sign: 400 a chunk has a malformed size line
    a chunk size behind space: 400 a chunk has a malformed size line
    a chunk size before space: 400 a chunk has a malformed size line
    a chunk size beyond counting: 400 a chunk has a malformed size line
    no chunk size: 400 a chunk has a malformed size line
    a chunk that is longer than it says: 400 a chunk does not end where its size says
    a trailer that ends in LF: 400 a line ends without CR
    a trailer without a colon: 400 the trailer section is malformed
    ");
}
