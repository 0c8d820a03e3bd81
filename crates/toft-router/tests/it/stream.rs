//! Large bodies and slow readers: everything arrives, and nothing piles up on the way.

use crate::app::{App, find};
use crate::world::{World, instance, table};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

const LENGTH: usize = 100 << 20;
/// What two sockets' buffers and the router's own may hold; far below the whole.
const BETWEEN_MAX: usize = 40 << 20;

/// A byte that depends on its place, so that nothing lost or doubled goes unseen.
fn byte(at: usize) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

fn block(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(byte).collect()
}

/// Writes the whole stream, counting.
fn send_all(mut stream: impl Write, count: &AtomicUsize) {
    while count.load(Ordering::SeqCst) < LENGTH {
        let from = count.load(Ordering::SeqCst);
        let part = block(from, (LENGTH - from).min(1 << 18));
        stream.write_all(&part).unwrap();
        count.fetch_add(part.len(), Ordering::SeqCst);
    }
}

/// Reads the whole stream; halfway it waits until the sender stands still.
fn receive_all(mut stream: impl Read, already: &[u8], sent: &AtomicUsize) {
    let mut at = 0;
    let mut check = |part: &[u8]| {
        assert!(
            part.iter().enumerate().all(|(n, b)| *b == byte(at + n)),
            "damaged at {at}"
        );
        at += part.len();
        at
    };
    let mut got = check(already);
    let mut buffer = vec![0; 1 << 18];
    let mut paused = false;
    while got < LENGTH {
        if got > LENGTH / 4 && !paused {
            paused = true;
            wait_for_standstill(sent);
            let between = sent.load(Ordering::SeqCst) - got;
            assert!(
                between < BETWEEN_MAX,
                "{between} bytes pile up between the two"
            );
        }
        let length = stream.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "the stream ends early");
        got = check(&buffer[..length]);
    }
}

/// The sender is stopped by back-pressure: a hundred looks in a row see no progress.
fn wait_for_standstill(sent: &AtomicUsize) {
    let (mut last, mut same) = (0, 0);
    while same < 100 {
        let now = sent.load(Ordering::SeqCst);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        let (nobody, _) = toft_link::pair().unwrap();
        // Gives everybody time; how long is not what is tested.
        let _ = rustix::event::poll(
            &mut [rustix::event::PollFd::new(
                &nobody,
                rustix::event::PollFlags::PRI,
            )],
            Some(&rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 5_000_000,
            }),
        );
    }
}

/// Reads up to the end of a head; what came behind it.
fn skip_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        if let Some(at) = find(&read, b"\r\n\r\n") {
            return read.split_off(at + 4);
        }
        let length = stream.read(&mut buffer).unwrap();
        assert_ne!(length, 0);
        read.extend_from_slice(&buffer[..length]);
    }
}

#[test]
fn a_hundred_megabytes_come_down_to_a_slow_reader() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let app = App::raw(move |mut stream| {
        skip_head(&mut stream);
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"
        )
        .unwrap();
        send_all(&mut stream, &count);
    });
    let mut world = World::start(1);
    world.admit(&instance(0, 1));
    world.publish(table(1, &[(instance(0, 1), app.port)]));
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let already = skip_head(&mut stream);
    receive_all(&mut stream, &already, &sent);
}

#[test]
fn a_hundred_megabytes_go_up_to_a_slow_reader() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let (told, received) = mpsc::channel();
    let told = Mutex::new(told);
    let app = App::raw(move |mut stream| {
        let already = skip_head(&mut stream);
        receive_all(&mut stream, &already, &count);
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
        told.lock().unwrap().send(()).unwrap();
    });
    let mut world = World::start(1);
    world.admit(&instance(0, 1));
    world.publish(table(1, &[(instance(0, 1), app.port)]));
    let mut stream = TcpStream::connect(world.address).unwrap();
    write!(
        stream,
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"
    )
    .unwrap();
    send_all(&mut stream, &sent);
    received.recv_timeout(crate::world::PATIENCE).unwrap();
    assert!(skip_head(&mut stream).is_empty());
}
