//! Server, edge and doors as the tests play them: they pass on what they are told.
//!
//! Server speaks JSON lines with the test over the API socket: `{"to": "keeper", "say": …}` goes to
//! the keeper, `{"to": "edge", "say": …}` over its link to edge, and what comes back is a line with
//! `from`. Edge and doors pass to the keeper what comes over their link.

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use toft_link::Link;
use toft_model::message::{KeeperToRouter, KeeperToServer, Role};

#[derive(Default)]
struct Server {
    to_test: Option<(BufReader<UnixStream>, UnixStream)>,
    unsent: Vec<Value>,
    edge: Option<Link>,
    doors: Option<Link>,
}

impl Server {
    fn tell(&mut self, line: Value) {
        self.unsent.push(line);
        if let Some((_, stream)) = &mut self.to_test {
            for line in self.unsent.drain(..) {
                let _ = stream.write_all(format!("{line}\n").as_bytes());
            }
        }
    }
}

pub(crate) fn server(control: OwnedFd) -> ExitCode {
    // SAFETY: the keeper passes the API's listener at this number.
    let listener = UnixListener::from(unsafe { OwnedFd::from_raw_fd(4) });
    let mut keeper = Link::new(control);
    let mut server = Server::default();
    loop {
        wait(&mut keeper, &listener, &mut server);
        while let Ok(received) = keeper.recv::<KeeperToServer>() {
            let Some((message, fds)) = received else {
                break;
            };
            if let (KeeperToServer::Link { role }, Some(fd)) = (&message, fds.into_iter().next()) {
                let link = Some(Link::new(fd));
                match role {
                    Role::Edge => server.edge = link,
                    _ => server.doors = link,
                }
            }
            server.tell(json!({"from": "keeper", "say": message}));
        }
        // The keeper made it so that it does not block.
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            server.to_test = Some((BufReader::new(stream.try_clone().unwrap()), stream));
            server.tell(json!({"from": "server", "say": "connected"}));
        }
        for role in ["edge", "doors"] {
            let link = if role == "edge" {
                &mut server.edge
            } else {
                &mut server.doors
            };
            let Some(link) = link else { continue };
            let mut said = Vec::new();
            while let Ok(Some((value, _))) = link.recv::<Value>() {
                said.push(value);
            }
            for value in said {
                server.tell(json!({"from": role, "say": value}));
            }
        }
        if let Some(code) = orders(&mut keeper, &mut server) {
            return ExitCode::from(code);
        }
    }
}

fn wait(keeper: &mut Link, listener: &UnixListener, server: &mut Server) {
    let mut polls = vec![
        PollFd::new(&*keeper, PollFlags::IN),
        PollFd::new(listener, PollFlags::IN),
    ];
    polls.extend(
        server
            .edge
            .iter()
            .map(|link| PollFd::new(link, PollFlags::IN)),
    );
    polls.extend(
        server
            .doors
            .iter()
            .map(|link| PollFd::new(link, PollFlags::IN)),
    );
    polls.extend(
        server
            .to_test
            .iter()
            .map(|(_, stream)| PollFd::new(stream, PollFlags::IN)),
    );
    let _ = poll(&mut polls, None);
}

/// Carries out what the test says; an exit code when it says to end.
fn orders(keeper: &mut Link, server: &mut Server) -> Option<u8> {
    loop {
        let (reader, _) = server.to_test.as_mut()?;
        if reader.buffer().is_empty() && !is_readable(reader.get_ref()) {
            return None;
        }
        let mut line = String::new();
        if !reader.read_line(&mut line).is_ok_and(|n| n > 0) {
            server.to_test = None;
            return None;
        }
        let order: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        let say = &order["say"];
        match order["to"].as_str() {
            Some("keeper") if say["raw"].is_array() => send_raw(keeper, say),
            Some("keeper") => keeper.send(say, vec![]).unwrap(),
            Some("edge") => server.edge.as_mut()?.send(say, vec![]).unwrap(),
            Some("doors") => server.doors.as_mut()?.send(say, vec![]).unwrap(),
            _ => return say["exit"].as_u64().map(|code| code as u8),
        }
    }
}

/// A packet that is no message.
fn send_raw(keeper: &Link, say: &Value) {
    let bytes: Vec<u8> = serde_json::from_value(say["raw"].clone()).unwrap();
    let _ = rustix::net::send(keeper, &bytes, rustix::net::SendFlags::NOSIGNAL);
}

fn is_readable(stream: &UnixStream) -> bool {
    let mut polls = [PollFd::new(stream, PollFlags::IN)];
    let at_once = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut polls, Some(&at_once)).is_ok_and(|n| n > 0)
}

pub(crate) fn router(role: &str, control: OwnedFd) -> ExitCode {
    println!("{role} runs");
    let mut keeper = Link::new(control);
    let mut server: Option<Link> = None;
    let mut sockets: Vec<OwnedFd> = Vec::new();
    let mut unsent: Vec<Value> = Vec::new();
    loop {
        let mut polls = vec![PollFd::new(&keeper, PollFlags::IN)];
        polls.extend(server.iter().map(|link| PollFd::new(link, PollFlags::IN)));
        let _ = poll(&mut polls, None);
        loop {
            let (message, fds) = match keeper.recv::<KeeperToRouter>() {
                Ok(Some(received)) => received,
                Ok(None) => break,
                Err(_) => return ExitCode::FAILURE,
            };
            let came = fds.len();
            match &message {
                KeeperToRouter::Link => server = fds.into_iter().next().map(Link::new),
                KeeperToRouter::Sockets { .. } | KeeperToRouter::Notify(_) => sockets.extend(fds),
                _ => {}
            }
            unsent.push(json!({"say": message, "fds": came}));
        }
        let Some(link) = &mut server else { continue };
        while let Ok(Some((order, _))) = link.recv::<Value>() {
            if let Some(port) = order["connect"].as_u64() {
                unsent.push(json!({"read": connect(sockets.pop(), port as u16)}));
            } else if order["datagram"].is_u64() {
                unsent.push(json!({"read": datagram(sockets.pop())}));
            } else if let Some(code) = order["exit"].as_u64() {
                return ExitCode::from(code as u8);
            } else {
                keeper.send(&order, vec![]).unwrap();
            }
        }
        for value in unsent.drain(..) {
            let _ = link.send(&value, vec![]);
        }
    }
}

/// Connects a socket that was made inside to a port inside.
fn connect(socket: Option<OwnedFd>, port: u16) -> String {
    let Some(socket) = socket else {
        return "no socket".into();
    };
    let flags = rustix::fs::fcntl_getfl(&socket).unwrap();
    rustix::fs::fcntl_setfl(&socket, flags - rustix::fs::OFlags::NONBLOCK).unwrap();
    if let Err(error) = rustix::net::connect(&socket, &SocketAddr::from(([127, 0, 0, 1], port))) {
        return error.to_string();
    }
    let mut line = String::new();
    let _ = BufReader::new(TcpStream::from(socket)).read_line(&mut line);
    line
}

fn datagram(socket: Option<OwnedFd>) -> String {
    let Some(socket) = socket else {
        return "no socket".into();
    };
    let mut polls = [PollFd::new(&socket, PollFlags::IN)];
    let _ = poll(&mut polls, None);
    let mut bytes = [0; 200];
    let got = rustix::net::recv(&socket, &mut bytes[..], rustix::net::RecvFlags::empty());
    got.map_or_else(
        |e| e.to_string(),
        |(n, _)| String::from_utf8_lossy(&bytes[..n]).into_owned(),
    )
}
