//! Requests as they are passed on, and as they are refused.

use super::drive::{Up, show};

/// What an instance gets for these bytes; a refusal stands alone. Text has `\n` for CR LF.
fn check(text: &str) -> String {
    let mut up = Up::default();
    up.feed(text.replace('\n', "\r\n").as_bytes());
    match up.refused {
        Some(malformed) => format!("{}: {malformed}", malformed.status()),
        None => show(&up.out),
    }
}

#[test]
fn a_head_is_written_anew() {
    insta::assert_snapshot!(check("GET /a?b=c HTTP/1.1\nHOST:  Shop.test:8080 \nAccept: */*\nX-Empty:\nCookie: a=b\n\n"), @r"
    GET /a?b=c HTTP/1.1
    Host: Shop.test:8080
    Accept: */*
    X-Empty: 
    Cookie: a=b
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: Shop.test:8080
    ");
}

#[test]
fn fields_of_one_connection_are_left_out() {
    insta::assert_snapshot!(check("GET / HTTP/1.1\nHost: a\nConnection: keep-alive, X-Mine\nX-Mine: 1\nX-Other: 2\nKeep-Alive: timeout=5\nTE: trailers\nProxy-Connection: close\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk\n\n"), @r"
    GET / HTTP/1.1
    Host: a
    X-Other: 2
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a
    ");
}

#[test]
fn nobody_says_who_asked_but_the_router() {
    insta::assert_snapshot!(check("GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 1.2.3.4\nx_forwarded_for: 1.2.3.4\nX-Forwarded-Port: 1\nForwarded: for=1.2.3.4\nX-Real-IP: 1.2.3.4\nX-Real_Ip: 1.2.3.4\nX-Forward: stays\n\n"), @r"
    GET / HTTP/1.1
    Host: a
    X-Forward: stays
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a
    ");
}

#[test]
fn framing_fields_in_disguise_are_left_out() {
    insta::assert_snapshot!(check("POST / HTTP/1.1\nHost: a\nContent_Length: 9\nTransfer_Encoding: chunked\nContent-Length: 2\n\nhi"), @r"
    POST / HTTP/1.1
    Host: a
    Content-Length: 2
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a

    hi
    ");
}

#[test]
fn an_old_client_may_have_no_host() {
    insta::assert_snapshot!(check("GET / HTTP/1.0\n\n"), @r"
    GET / HTTP/1.1
    Host: 
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    ");
}

#[test]
fn an_absolute_target_becomes_a_path() {
    insta::assert_snapshot!(check("GET http://A.test/x?y HTTP/1.1\nHost: a.test\n\nGET HTTP://a.test HTTP/1.1\nHost: a.test\n\n"), @r"
    GET /x?y HTTP/1.1
    Host: a.test
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a.test

    GET / HTTP/1.1
    Host: a.test
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a.test
    ");
}

#[test]
fn chunks_lose_their_extensions_and_forbidden_trailers() {
    insta::assert_snapshot!(check("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\nTrailer: X-Sum\n\n5;x=\"y\"\nhello\n00b\n, old world\n0;last\nX-Sum: 1\nContent-Length: 3\nHost: b\nX-Also: 2\n\n"), @r"
    POST / HTTP/1.1
    Host: a
    Trailer: X-Sum
    Transfer-Encoding: chunked
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a

    5
    hello
    00b
    , old world
    0
    X-Sum: 1
    X-Also: 2
    ");
}

#[test]
fn requests_follow_each_other() {
    insta::assert_snapshot!(check("POST /1 HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc\nGET /2 HTTP/1.1\nHost: a\n\nDELETE /3 HTTP/1.1\nHost: a\nContent-Length: 0\n\n"), @r"
    POST /1 HTTP/1.1
    Host: a
    Content-Length: 3
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a

    abcGET /2 HTTP/1.1
    Host: a
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a

    DELETE /3 HTTP/1.1
    Host: a
    Content-Length: 0
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a
    ");
}

#[test]
fn a_websocket_is_asked_for_and_nothing_else() {
    insta::assert_snapshot!(check("GET /ws HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket\nSec-WebSocket-Key: x\n\nGET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket, h2c\n\n"), @r"
    GET /ws HTTP/1.1
    Host: a
    Sec-WebSocket-Key: x
    Connection: Upgrade
    Upgrade: websocket
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a

    GET / HTTP/1.1
    Host: a
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a
    ");
}

#[test]
fn a_client_that_waits_for_a_go_ahead_is_passed_on() {
    insta::assert_snapshot!(check("PUT / HTTP/1.1\nHost: a\nContent-Length: 3\nExpect: 100-Continue\n\n"), @r"
    PUT / HTTP/1.1
    Host: a
    Content-Length: 3
    Expect: 100-continue
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a
    ");
}

#[test]
fn what_cannot_be_understood_is_refused() {
    let cases = [
        "GET / HTTP/1.1\nHost: a\nExpect: more\n\n",
        "GET / HTTP/2.0\nHost: a\n\n",
        "GET / HTTP/1.2\nHost: a\n\n",
        "GET / http/1.1\nHost: a\n\n",
        "GET  / HTTP/1.1\nHost: a\n\n",
        "GET /\n\n",
        "GET /a b HTTP/1.1\nHost: a\n\n",
        "GET /# HTTP/1.1\nHost: a\n\n",
        "GET /\u{e9} HTTP/1.1\nHost: a\n\n",
        "GET a.test HTTP/1.1\nHost: a.test\n\n",
        "GET https://a/ HTTP/1.1\nHost: a\n\n",
        "GET * HTTP/1.1\nHost: a\n\n",
        "CONNECT a:443 HTTP/1.1\nHost: a:443\n\n",
        "G(T / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a/b\n\n",
        "GET / HTTP/1.1\nHost: a, b\n\n",
        "GET / HTTP/1.1\nHost: u@a\n\n",
        "GET / HTTP/1.1\nHost: a:b\n\n",
        "GET / HTTP/1.1\nHost: [::1\n\n",
        "GET / HTTP/1.1\nHost: a\n: x\n\n",
        "GET / HTTP/1.1\nHost: a\nx\n\n",
        "GET / HTTP/1.1\nHost: a\nConnection: a b\n\n",
        "\n\nGET / HTTP/1.1\nHost: a\n\n",
    ];
    let said: Vec<String> = cases
        .iter()
        .map(|case| format!("{} <- {case:?}", check(case)))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    417: Expect is not `100-continue` <- "GET / HTTP/1.1\nHost: a\nExpect: more\n\n"
    505: the version is neither HTTP/1.1 nor HTTP/1.0 <- "GET / HTTP/2.0\nHost: a\n\n"
    505: the version is neither HTTP/1.1 nor HTTP/1.0 <- "GET / HTTP/1.2\nHost: a\n\n"
    400: the request line is not `METHOD TARGET HTTP/1.1` <- "GET / http/1.1\nHost: a\n\n"
    400: the request line is not `METHOD TARGET HTTP/1.1` <- "GET  / HTTP/1.1\nHost: a\n\n"
    400: the request line is not `METHOD TARGET HTTP/1.1` <- "GET /\n\n"
    400: the request line is not `METHOD TARGET HTTP/1.1` <- "GET /a b HTTP/1.1\nHost: a\n\n"
    400: the request target is not a path <- "GET /# HTTP/1.1\nHost: a\n\n"
    400: the request target is not a path <- "GET /é HTTP/1.1\nHost: a\n\n"
    400: the request target is not a path <- "GET a.test HTTP/1.1\nHost: a.test\n\n"
    400: the request target is not a path <- "GET https://a/ HTTP/1.1\nHost: a\n\n"
    400: the request target is not a path <- "GET * HTTP/1.1\nHost: a\n\n"
    405: CONNECT is not served here <- "CONNECT a:443 HTTP/1.1\nHost: a:443\n\n"
    400: the request line is not `METHOD TARGET HTTP/1.1` <- "G(T / HTTP/1.1\nHost: a\n\n"
    400: the Host field is not a host name <- "GET / HTTP/1.1\nHost: a/b\n\n"
    400: the Host field is not a host name <- "GET / HTTP/1.1\nHost: a, b\n\n"
    400: the Host field is not a host name <- "GET / HTTP/1.1\nHost: u@a\n\n"
    400: the Host field is not a host name <- "GET / HTTP/1.1\nHost: a:b\n\n"
    400: the Host field is not a host name <- "GET / HTTP/1.1\nHost: [::1\n\n"
    400: a header line is not `name: value` <- "GET / HTTP/1.1\nHost: a\n: x\n\n"
    400: a header line is not `name: value` <- "GET / HTTP/1.1\nHost: a\nx\n\n"
    400: a header line is not `name: value` <- "GET / HTTP/1.1\nHost: a\nConnection: a b\n\n"
    400: the request line is not `METHOD TARGET HTTP/1.1` <- "\n\nGET / HTTP/1.1\nHost: a\n\n"
    "#);
}

#[test]
fn heads_are_bounded() {
    let many = "X-A: 1\n".repeat(100);
    assert_eq!(
        check(&format!("GET / HTTP/1.1\nHost: a\n{many}\n")),
        "431: there are more than 100 header fields"
    );
    let many = "a,".repeat(101);
    assert_eq!(
        check(&format!("GET / HTTP/1.1\nHost: a\nConnection: {many}\n\n")),
        "431: there are more than 100 header fields"
    );
    let long = "x".repeat(70_000);
    assert_eq!(
        check(&format!("GET / HTTP/1.1\nHost: a\nX-Long: {long}\n\n")),
        "431: the head is larger than 64 KiB"
    );
    assert_eq!(
        check(&format!("GET /{long}")),
        "431: the head is larger than 64 KiB"
    );
}
