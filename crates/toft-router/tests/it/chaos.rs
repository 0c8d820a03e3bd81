//! Clients and programs that do whatever they like, while tables change: edge stays whole, which its
//! own invariants check at every turn, and serves the next request as if nothing had been.
//! `SEED=` replays one run's choices.

use crate::app::{App, next_request, say};
use crate::client::Client;
use crate::core::drive::next;
use crate::world::{World, instance, table};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\ntoo little",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzzz",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nsurplus",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTT",
];

const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
    "HTTP/1.1 101 Switch\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 O",
    "garbage\r\n\r\n",
    "",
];

fn pick<'a>(seed: &mut u64, from: &[&'a str]) -> &'a str {
    from[(next(seed) % from.len() as u64) as usize]
}

/// Ends a connection in one of the ways there are.
fn end(stream: &TcpStream, seed: &mut u64) {
    match next(seed) % 4 {
        0 => rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap(),
        1 => drop(stream.shutdown(Shutdown::Write)),
        2 => drop(stream.shutdown(Shutdown::Both)),
        _ => {}
    }
}

fn wild_app(seed: u64) -> App {
    let connections = AtomicU64::new(seed);
    App::raw(move |mut stream| {
        let mut seed = connections.fetch_add(0x5851_f42d_4c95_7f2d, Ordering::SeqCst);
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let mut read = Vec::new();
        for _ in 0..next(&mut seed) % 4 {
            if !next(&mut seed).is_multiple_of(4) {
                let _ = next_request(&mut stream, &mut read);
            }
            let mut answer = pick(&mut seed, ANSWERS).as_bytes().to_vec();
            if next(&mut seed).is_multiple_of(8) {
                answer.resize(answer.len() + 1_000_000, b'x');
            }
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
        end(&stream, &mut seed);
    })
}

fn wild_client(address: SocketAddr, mut seed: u64) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return;
    };
    stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    for _ in 0..=next(&mut seed) % 3 {
        let mut request = pick(&mut seed, REQUESTS).as_bytes();
        while !request.is_empty() {
            let length = (next(&mut seed) % 200 + 1).min(request.len() as u64) as usize;
            if stream.write_all(&request[..length]).is_err() {
                return;
            }
            request = &request[length..];
        }
        if next(&mut seed).is_multiple_of(3) {
            let _ = stream.read(&mut [0; 5000]);
        }
    }
    end(&stream, &mut seed);
}

#[test]
fn edge_stays_whole_whatever_the_others_do() {
    let start = match std::env::var("SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => 1u64,
    };
    let mut world = World::start(2);
    let wild: Vec<App> = (0..3).map(|n| wild_app(start + n)).collect();
    let mut before: Option<u64> = None;
    for round in 1..=8u64 {
        let ready: Vec<_> = (0..3)
            .map(|n| (instance(n, round), wild[n as usize].port))
            .collect();
        ready.iter().for_each(|(instance, _)| world.admit(instance));
        let address = world.address;
        let clients: Vec<_> = (0..12)
            .map(|n| {
                let seed = start ^ (round << 32) ^ (n << 40);
                std::thread::spawn(move || (0..15).for_each(|k| wild_client(address, seed + k)))
            })
            .collect();
        world.publish(table(round, &ready));
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
        if let Some(before) = before.replace(round) {
            (0..3).for_each(|n| world.wait_drained(&instance(n, before)));
        }
    }
    let tame = App::http(|_, stream| say(stream, "tame"));
    world.admit(&instance(9, 1));
    world.publish(table(100, &[(instance(9, 1), tame.port)]));
    assert_eq!(Client::connect(world.address).get("/").text(), "tame");
    (0..3).for_each(|n| world.wait_drained(&instance(n, 8)));
}
