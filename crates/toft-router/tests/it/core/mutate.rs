//! Streams that were damaged by chance: nothing panics, every cut gives the same, and what is passed
//! on means the same. `SEED=` replays one.

use super::drive::{check_answers, check_requests, next};
use proptest::prelude::*;

const REQUESTS: &[&str] = &[
    "GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    "POST /1 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\n\r\nabc",
    "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX: y\r\n\r\n",
    "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nX: 1\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "\r\nHEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
];

const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
    "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello",
    "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
    "HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
    "HTTP/1.1 304 Not\r\nContent-Length: 7\r\nConnection: close\r\n\r\n",
];

const ASKED: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
];

const TOKENS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "0\r\n\r\n",
    "\r\n\r\n",
    "Host: b\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "HTTP/1.0",
    "ffffffffffffffff\r\n",
    "5\r\n",
    "\r\n ",
    "%",
    "\u{e9}",
];

/// Some good messages behind each other, damaged in up to three places.
fn damaged(parts: &[&str], seed: &mut u64) -> Vec<u8> {
    let pick = |seed: &mut u64, count: usize| (next(seed) % count as u64) as usize;
    let mut stream = Vec::new();
    for _ in 0..=pick(seed, 3) {
        stream.extend_from_slice(parts[pick(seed, parts.len())].as_bytes());
    }
    for _ in 0..pick(seed, 4) {
        let at = pick(seed, stream.len().max(1));
        match next(seed) % 4 {
            0 if !stream.is_empty() => stream[at] = next(seed) as u8,
            1 if !stream.is_empty() => drop(stream.remove(at)),
            2 => stream.truncate(at),
            _ => {
                let token = TOKENS[pick(seed, TOKENS.len())];
                stream.splice(at..at, token.bytes());
            }
        }
    }
    stream
}

fn seeds() -> Box<dyn Iterator<Item = u64>> {
    match std::env::var("SEED") {
        Ok(seed) => Box::new(std::iter::once(seed.parse().unwrap())),
        Err(_) => Box::new(0..20_000),
    }
}

/// Runs one seed and names it when it fails.
fn named(seed: u64, check: impl FnOnce(&mut u64) + std::panic::UnwindSafe) {
    let mut state = seed;
    if let Err(panic) = std::panic::catch_unwind(move || check(&mut state)) {
        eprintln!("replay with SEED={seed}");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn damaged_requests() {
    for seed in seeds() {
        named(seed, |state| {
            check_requests(&damaged(REQUESTS, state), seed)
        });
    }
}

#[test]
fn damaged_answers() {
    for seed in seeds() {
        named(seed, |state| {
            let asked = ASKED[(next(state) % ASKED.len() as u64) as usize];
            check_answers(asked, &damaged(ANSWERS, state), seed);
        });
    }
}

proptest! {
    #[test]
    fn any_bytes_as_requests(bytes in proptest::collection::vec(any::<u8>(), 0..300), seed: u64) {
        check_requests(&bytes, seed);
    }

    #[test]
    fn any_body_in_any_chunks(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..10),
        seed: u64,
    ) {
        let mut stream = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in &parts {
            stream.extend_from_slice(format!("{:X}\r\n", part.len()).as_bytes());
            stream.extend_from_slice(part);
            stream.extend_from_slice(b"\r\n");
        }
        stream.extend_from_slice(b"0\r\n\r\n");
        check_requests(&stream, seed);
        let meant = super::drive::requests_of(&stream);
        prop_assert_eq!(&meant[0].body, &parts.concat());
    }
}
