//! Answers as they are passed on.

use super::drive::{Down, show};
use toft_router::http1::Phase;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const WEBSOCKET: &str =
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// What a client gets for these bytes and their end, and which connections are used again. Text
/// has `\n` for CR LF.
fn check(request: &str, text: &str) -> String {
    let mut down = Down::new(request);
    down.feed(text.replace('\n', "\r\n").as_bytes());
    let before_end = down.phase();
    if before_end == Phase::Body {
        down.end();
    }
    if let Some(malformed) = down.refused {
        return format!("refused: {malformed}");
    }
    let keeps = |keeps| if keeps { "kept" } else { "closed" };
    format!(
        "{}\n-- {:?}, client {}, upstream {}{}",
        show(&down.out),
        before_end,
        keeps(down.client_keeps()),
        keeps(down.upstream_keeps()),
        if down.surplus { ", with surplus" } else { "" }
    )
}

#[test]
fn a_plain_answer() {
    insta::assert_snapshot!(check(GET, "HTTP/1.1 200 OK\nContent-Length: 2\nServer: x\nConnection: keep-alive, X-Hop\nX-Hop: 1\nX-Forwarded-For: stays\n\nhi"), @r"
    HTTP/1.1 200 OK
    Server: x
    X-Forwarded-For: stays
    Content-Length: 2

    hi
    -- Done, client kept, upstream kept
    ");
}

#[test]
fn an_answer_without_length_ends_with_its_connection() {
    insta::assert_snapshot!(check(GET, "HTTP/1.0 200 OK\nServer: SimpleHTTP\n\nhello"), @r"
    HTTP/1.1 200 OK
    Server: SimpleHTTP
    Transfer-Encoding: chunked

    5
    hello
    0


    -- Body, client kept, upstream closed
    ");
    insta::assert_snapshot!(check(OLD, "HTTP/1.0 200 OK\n\nhello"), @r"
    HTTP/1.1 200 OK
    Connection: close

    hello
    -- Body, client closed, upstream closed
    ");
}

#[test]
fn an_old_client_gets_chunks_as_plain_bytes() {
    insta::assert_snapshot!(check(OLD, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;x\nhello\n0\n\n"), @r"
    HTTP/1.1 200 OK
    Connection: close

    hello
    -- Done, client closed, upstream kept
    ");
    insta::assert_snapshot!(check(OLD, "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"), @r"
    HTTP/1.1 200 OK
    Content-Length: 2
    Connection: keep-alive

    hi
    -- Done, client kept, upstream kept
    ");
}

#[test]
fn answers_without_a_body() {
    insta::assert_snapshot!(check(HEAD, "HTTP/1.1 200 OK\nContent-Length: 5\n\n"), @r"
    HTTP/1.1 200 OK
    Content-Length: 5


    -- Done, client kept, upstream kept
    ");
    insta::assert_snapshot!(check(HEAD, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"), @r"
    HTTP/1.1 200 OK


    -- Done, client kept, upstream kept
    ");
    insta::assert_snapshot!(check(GET, "HTTP/1.1 204 No Content\nContent-Length: 5\n\n"), @r"
    HTTP/1.1 204 No Content


    -- Done, client kept, upstream kept
    ");
    insta::assert_snapshot!(check(GET, "HTTP/1.1 304 Not Modified\nContent-Length: 5\nETag: x\n\n"), @r"
    HTTP/1.1 304 Not Modified
    ETag: x
    Content-Length: 5


    -- Done, client kept, upstream kept
    ");
}

#[test]
fn interim_answers_come_first() {
    insta::assert_snapshot!(check(GET, "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: </x>\n\nHTTP/1.1 200\nContent-Length: 0\n\n"), @r"
    HTTP/1.1 100 Continue

    HTTP/1.1 103 Early Hints
    Link: </x>

    HTTP/1.1 200 
    Content-Length: 0


    -- Done, client kept, upstream kept
    ");
    insta::assert_snapshot!(check(OLD, "HTTP/1.1 103 Early Hints\nLink: </x>\n\nHTTP/1.1 200 \nContent-Length: 0\n\n"), @r"
    HTTP/1.1 200 
    Content-Length: 0
    Connection: keep-alive


    -- Done, client kept, upstream kept
    ");
}

#[test]
fn a_tunnel_needs_both_to_want_it() {
    let switching = "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: x\n\n";
    insta::assert_snapshot!(check(WEBSOCKET, switching), @r"
    HTTP/1.1 101 Switching Protocols
    Sec-WebSocket-Accept: x
    Connection: Upgrade
    Upgrade: websocket


    -- Tunnel, client closed, upstream closed
    ");
    insta::assert_snapshot!(check(GET, switching), @r"refused: the answer changes to a protocol that was not asked for");
    insta::assert_snapshot!(check(WEBSOCKET, "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: h2c\n\n"), @r"refused: the answer changes to a protocol that was not asked for");
    insta::assert_snapshot!(check(WEBSOCKET, "HTTP/1.1 426 No\nContent-Length: 0\n\n"), @r"
    HTTP/1.1 426 No
    Content-Length: 0


    -- Done, client kept, upstream kept
    ");
}

#[test]
fn more_than_was_asked_for_ends_the_upstream_connection() {
    insta::assert_snapshot!(check(GET, "HTTP/1.1 200 OK\nContent-Length: 2\n\nhiHTTP/1.1 200 OK\nContent-Length: 4\n\nevil"), @r"
    HTTP/1.1 200 OK
    Content-Length: 2

    hi
    -- Done, client kept, upstream kept, with surplus
    ");
}

#[test]
fn what_cannot_be_trusted_is_refused() {
    let cases = [
        "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\nhi",
        "HTTP/1.1 200 OK\nContent-Length: +2\n\nhi",
        "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n",
        "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n0\n\n",
        "HTTP/1.1 20 OK\n\n",
        "HTTP/1.1 2000 OK\n\n",
        "HTTP/2 200 OK\n\n",
        "HTTP/1.1 200 OK\n folded\n\n",
        "HTTP/1.1 200 OK\nX : y\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhi",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhiX\n",
        "hello\n\n",
    ];
    let said: Vec<String> = cases
        .iter()
        .map(|case| format!("{} <- {case:?}", check(GET, case)))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    refused: there are both Content-Length and Transfer-Encoding <- "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n"
    refused: there is more than one Content-Length <- "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\nhi"
    refused: Content-Length is not a number <- "HTTP/1.1 200 OK\nContent-Length: +2\n\nhi"
    refused: Transfer-Encoding is not exactly `chunked` <- "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n"
    refused: Transfer-Encoding is not part of HTTP/1.0 <- "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n0\n\n"
    refused: the status line is not `HTTP/1.1 CODE REASON` <- "HTTP/1.1 20 OK\n\n"
    refused: the status line is not `HTTP/1.1 CODE REASON` <- "HTTP/1.1 2000 OK\n\n"
    refused: the status line is not `HTTP/1.1 CODE REASON` <- "HTTP/2 200 OK\n\n"
    refused: a header line is folded <- "HTTP/1.1 200 OK\n folded\n\n"
    refused: a header line is not `name: value` <- "HTTP/1.1 200 OK\nX : y\n\n"
    refused: the connection ended in the middle of a message <- "HTTP/1.1 200 OK\nContent-Length: 5\n\nhi"
    refused: the connection ended in the middle of a message <- "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n"
    refused: a chunk does not end where its size says <- "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhiX\n"
    refused: the status line is not `HTTP/1.1 CODE REASON` <- "hello\n\n"
    "#);
    let endless = "HTTP/1.1 102 Processing\n\n".repeat(20);
    assert_eq!(
        check(GET, &endless),
        "refused: there are too many interim answers"
    );
}
