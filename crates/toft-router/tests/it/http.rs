//! HTTP through edge, over real sockets.

use crate::app::{App, say};
use crate::client::Client;
use crate::world::{World, instance, table};
use std::io::Write;

#[test]
fn a_request_reaches_the_app_and_the_answer_comes_back() {
    let mut world = World::start(2);
    let app = App::http(|seen, stream| say(stream, &seen.head));
    world.admit(&instance(0, 1));
    world.publish(table(1, &[(instance(0, 1), app.port)]));
    let mut client = Client::connect(world.address);
    let answer = client.get("/hello?x=1");
    assert_eq!(answer.status, 200);
    insta::assert_snapshot!(answer.text().replace("\r\n", "\n"), @r"
    GET /hello?x=1 HTTP/1.1
    Host: shop.test
    X-Forwarded-For: 127.0.0.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: shop.test
    ");
    for n in 0..50 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
    }
    assert_eq!(app.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn a_body_goes_both_ways() {
    let mut world = World::start(1);
    let app = App::http(|seen, stream| {
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            seen.body.len()
        )
        .into_bytes();
        answer.extend_from_slice(&seen.body);
        stream.write_all(&answer).is_ok()
    });
    world.admit(&instance(0, 1));
    world.publish(table(1, &[(instance(0, 1), app.port)]));
    let mut client = Client::connect(world.address);
    for size in [0, 1, 1000, 200_000, 3_000_000] {
        let body = "x".repeat(size);
        client.send(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}"
        ));
        let answer = client.answer();
        assert_eq!((answer.status, answer.body.len()), (200, size));
    }
}
