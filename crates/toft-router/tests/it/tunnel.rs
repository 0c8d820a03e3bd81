//! Connections that become tunnels.

use crate::app::{App, next_request};
use crate::http::world_of;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

#[test]
fn a_websocket_becomes_a_tunnel() {
    let app = App::raw(|mut stream| {
        let seen = next_request(&mut stream, &mut Vec::new()).unwrap();
        assert_eq!(seen.field("upgrade"), Some("websocket"));
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\n\r\nfirst";
        stream.write_all(answer.as_bytes()).unwrap();
        let mut buffer = [0; 65536];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..length]).unwrap();
        }
        stream.write_all(b"bye").unwrap();
    });
    let world = world_of(&app);
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream
        .write_all(
            b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nsecond",
        )
        .unwrap();
    let expected = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirstsecond";
    let mut all = vec![0; expected.len()];
    stream.read_exact(&mut all).unwrap();
    assert_eq!(all, expected);
    for size in [1, 125, 1_000_000] {
        let mut copy = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || copy.write_all(&vec![7; size]).unwrap());
        let mut back = vec![0; size];
        stream.read_exact(&mut back).unwrap();
        sender.join().unwrap();
    }
    // One half ends before the other.
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"bye");
}
