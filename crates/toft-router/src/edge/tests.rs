//! One serving thread on the test's own, with the clock in the test's hand.
#![expect(
    clippy::disallowed_methods,
    reason = "the test starts its own time somewhere, and bounds its waits"
)]

use super::mail::{FromWorker, ToWorker};
use super::worker::Worker;
use crate::limits::{
    CONNECT_TIME, HEAD_TIME, IDLE_TIME, KEEP_ALIVE_TIME, LINGER_TIME, SOCKETS_WARM,
    UPSTREAM_CLOSE_TIME, UPSTREAM_IDLE_TIME,
};
use crate::mailbox::Mailbox;
use crate::routes::Routes;
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use toft_model::InstanceId;
use toft_model::table::{Backend, HostMatch, Route, Table, Upstream, UpstreamId};

const SECOND: Duration = Duration::from_secs(1);

/// The thread, its clock, and an app that the test plays.
struct Stage {
    worker: Worker,
    mail: Arc<Mailbox<ToWorker>>,
    control: Arc<Mailbox<FromWorker>>,
    now: Cell<Instant>,
    door: TcpListener,
    app: TcpListener,
    has_sockets: bool,
}

fn instance() -> InstanceId {
    InstanceId {
        app: "shop".parse().unwrap(),
        process: "web".parse().unwrap(),
        index: 0,
        generation: toft_model::Generation(1),
    }
}

impl Stage {
    fn new() -> Self {
        let (mail, control) = (
            Arc::new(Mailbox::new().unwrap()),
            Arc::new(Mailbox::new().unwrap()),
        );
        let now = Instant::now();
        let worker = Worker::new(0, Arc::clone(&mail), Arc::clone(&control), 100, now).unwrap();
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let app = TcpListener::bind("127.0.0.1:0").unwrap();
        app.set_nonblocking(true).unwrap();
        mail.put(ToWorker::Listener(OwnedFd::from(door.try_clone().unwrap())));
        let mut stage = Self {
            worker,
            mail,
            control,
            now: Cell::new(now),
            door,
            app,
            has_sockets: true,
        };
        stage.publish(true);
        stage
    }

    fn publish(&mut self, ready: bool) {
        let id = UpstreamId {
            app: "shop".parse().unwrap(),
            door: "http".parse().unwrap(),
        };
        let port = self.app.local_addr().unwrap().port();
        let backend = Backend {
            instance: instance(),
            port,
        };
        let ready = if ready { vec![backend] } else { vec![] };
        let route = Route {
            host: HostMatch::Any,
            path: String::new(),
            to: id.clone(),
        };
        let upstreams = vec![Upstream { id, ready }];
        let table = Table {
            revision: 1,
            routes: vec![route],
            upstreams,
        };
        let sequence = self.worker.routes.sequence + 1;
        self.mail
            .put(ToWorker::Table(Arc::new(Routes::new(&table, sequence))));
        self.turn();
    }

    /// One turn, and the keeper's part.
    fn turn(&mut self) {
        let now = &self.now;
        self.worker
            .turn(&|| now.get(), Duration::from_millis(1))
            .unwrap();
        for message in self.control.take() {
            if let FromWorker::Need(_, instance, count) = message
                && self.has_sockets
            {
                let fds = (0..count).map(|_| blank()).collect();
                self.mail.put(ToWorker::Sockets(instance, fds));
            }
        }
    }

    /// Turns until the test sees what it wants.
    fn until<T>(&mut self, mut seen: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            self.turn();
            if let Some(found) = seen(self) {
                return found;
            }
        }
        panic!("it did not come true in time");
    }

    /// Lets fake time pass, looking every second of it.
    fn pass(&mut self, span: Duration) {
        let end = self.now.get() + span;
        while self.now.get() < end {
            self.now.set(end.min(self.now.get() + SECOND));
            self.turn();
        }
    }

    fn connect(&mut self) -> TcpStream {
        let before = self.worker.fronts.len();
        let stream = TcpStream::connect(self.door.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        self.until(|stage| (stage.worker.fronts.len() > before).then_some(()));
        stream
    }

    /// The app's end of the next connection, with everything up to the end of a head read.
    fn accept(&mut self) -> TcpStream {
        let mut stream = self.until(|stage| stage.app.accept().ok()).0;
        stream.set_nonblocking(true).unwrap();
        self.read_until(&mut stream, |text| text.contains("\r\n\r\n"));
        stream
    }

    fn read_until(&mut self, stream: &mut TcpStream, done: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        self.until(|_| {
            let mut buffer = [0; 4096];
            if let Ok(length) = stream.read(&mut buffer) {
                text += &String::from_utf8_lossy(&buffer[..length]);
            }
            done(&text).then_some(())
        });
        text
    }

    /// Everything that still comes up to the end.
    fn read_to_end(&mut self, stream: &mut TcpStream) -> String {
        let mut text = String::new();
        self.until(|_| {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer) {
                Ok(0) => Some(()),
                Ok(length) => {
                    text += &String::from_utf8_lossy(&buffer[..length]);
                    None
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(_) => Some(()),
            }
        });
        text
    }

    fn is_open(&mut self, stream: &mut TcpStream) -> bool {
        self.turn();
        matches!(stream.read(&mut [0; 10]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

fn blank() -> OwnedFd {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap()
}

fn cause(text: &str) -> Option<&str> {
    text.lines()
        .find_map(|line| line.strip_prefix("X-Toft-Cause: "))
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_head_that_drips_is_given_up() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    let mut dripped = 0;
    for byte in b"GET /loris HTTP/1.1\r\nHost: a\r\nX: ".chunks(1).cycle() {
        if client.write_all(byte).is_err() || dripped > 30 || !stage.is_open(&mut client) {
            break;
        }
        dripped += 1;
        stage.pass(SECOND);
    }
    assert_eq!(dripped, HEAD_TIME.as_secs());
    stage.pass(LINGER_TIME);
    assert_eq!(stage.worker.fronts.len(), 0);
}

#[test]
fn a_dripped_head_is_told_why() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    client.write_all(b"GET / HTT").unwrap();
    stage.pass(HEAD_TIME - SECOND);
    assert!(stage.is_open(&mut client));
    stage.pass(SECOND);
    let text = stage.read_to_end(&mut client);
    assert_eq!(cause(&text), Some("head-timeout"));
}

#[test]
fn a_silent_client_is_closed_without_a_word() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    stage.pass(HEAD_TIME);
    assert_eq!(stage.read_to_end(&mut client), "");
}

#[test]
fn a_kept_connection_ends_when_it_rests_too_long() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    client.write_all(GET).unwrap();
    let mut app = stage.accept();
    app.write_all(OK).unwrap();
    stage.read_until(&mut client, |text| text.ends_with("hi"));
    stage.pass(KEEP_ALIVE_TIME - SECOND);
    assert!(stage.is_open(&mut client));
    stage.pass(SECOND);
    assert_eq!(stage.read_to_end(&mut client), "");
    assert_eq!(stage.worker.fronts.len(), 0);
}

#[test]
fn an_app_that_does_not_answer_is_given_up() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    client.write_all(GET).unwrap();
    let mut app = stage.accept();
    stage.pass(IDLE_TIME);
    let text = stage.read_until(&mut client, |text| text.contains("in time"));
    assert_eq!(cause(&text), Some("answer-timeout"));
    assert_eq!(stage.read_to_end(&mut app), "");
    // The client did nothing wrong.
    assert!(stage.is_open(&mut client));
}

#[test]
fn a_body_that_stops_is_given_up() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        .unwrap();
    let _app = stage.accept();
    stage.pass(IDLE_TIME);
    assert_eq!(cause(&stage.read_to_end(&mut client)), Some("body-timeout"));
}

#[test]
fn a_request_does_not_wait_for_a_socket_for_ever() {
    let mut stage = Stage::new();
    stage.has_sockets = false;
    stage.mail.put(ToWorker::Exited(instance()));
    stage.turn();
    stage.publish(false);
    stage.publish(true);
    let mut client = stage.connect();
    client.write_all(GET).unwrap();
    stage.turn();
    stage.pass(CONNECT_TIME);
    let text = stage.read_until(&mut client, |text| text.contains("in use"));
    assert_eq!(cause(&text), Some("no-socket"));
}

#[test]
fn sockets_go_back_to_a_few_when_nobody_asks() {
    let mut stage = Stage::new();
    let mut clients: Vec<TcpStream> = (0..30).map(|_| stage.connect()).collect();
    let mut apps = Vec::new();
    for client in &mut clients {
        client.write_all(GET).unwrap();
        apps.push(stage.accept());
    }
    for (client, app) in clients.iter_mut().zip(&mut apps) {
        app.write_all(OK).unwrap();
        stage.read_until(client, |text| text.ends_with("hi"));
    }
    assert!(stage.worker.backs.len() >= 30);
    stage.pass(UPSTREAM_IDLE_TIME);
    // Each is ended in good order, and its app ends its half too.
    for app in &mut apps {
        assert_eq!(stage.read_to_end(app), "");
    }
    drop(apps);
    stage.pass(UPSTREAM_CLOSE_TIME + 60 * SECOND);
    assert_eq!(stage.worker.backs.len(), SOCKETS_WARM);
}

#[test]
fn a_table_without_the_instance_closes_its_resting_connections_at_once() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    client.write_all(GET).unwrap();
    let mut app = stage.accept();
    app.write_all(OK).unwrap();
    stage.read_until(&mut client, |text| text.ends_with("hi"));
    stage.publish(false);
    assert_eq!(stage.worker.backs.len(), 0);
    assert_eq!(stage.read_to_end(&mut app), "");
    assert!(stage.is_open(&mut client));
}

#[test]
fn a_refused_client_is_read_out_and_then_closed() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    client.write_all(b"GET / HTTP/9.9\r\n\r\nand more").unwrap();
    let text = stage.read_to_end(&mut client);
    assert!(text.starts_with("HTTP/1.1 505 "), "{text}");
    stage.pass(LINGER_TIME);
    assert_eq!(stage.worker.fronts.len(), 0);
}

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn what_cannot_be_sent_twice_goes_over_a_warm_or_a_new_connection() {
    let mut stage = Stage::new();
    let mut client = stage.connect();
    client.write_all(POST).unwrap();
    let mut app = stage.accept();
    app.write_all(OK).unwrap();
    stage.read_until(&mut client, |text| text.ends_with("hi"));
    // At once: the connection is warm.
    client.write_all(POST).unwrap();
    stage.read_until(&mut app, |text| text.ends_with("hi"));
    app.write_all(OK).unwrap();
    stage.read_until(&mut client, |text| text.ends_with("hi"));
    // Later the program may be about to close it.
    stage.pass(SECOND);
    client.write_all(POST).unwrap();
    let mut other = stage.accept();
    other.write_all(OK).unwrap();
    stage.read_until(&mut client, |text| text.ends_with("hi"));
    // It closes at once: from now on nothing that cannot be sent twice follows another request.
    drop(other);
    stage.until(|stage| {
        let (_, pool) = stage.worker.pools.iter().next()?;
        (pool.rest_max == Duration::ZERO).then_some(())
    });
    for _ in 0..3 {
        stage.pass(Duration::from_millis(1));
        client.write_all(POST).unwrap();
        let mut another = stage.accept();
        another.write_all(OK).unwrap();
        stage.read_until(&mut client, |text| text.ends_with("hi"));
    }
}

#[test]
fn a_program_whose_queue_is_full_is_tried_anew_soon() {
    let mut stage = Stage::new();
    rustix::net::listen(&stage.app, 0).unwrap();
    let address = stage.app.local_addr().unwrap();
    let fillers: Vec<TcpStream> = (0..1)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut client = stage.connect();
    client.write_all(GET).unwrap();
    let own_port = |stage: &mut Stage| {
        let (_, back) = stage
            .worker
            .backs
            .iter()
            .find(|(_, back)| !back.out.is_empty())?;
        let own = rustix::net::getsockname(&back.fd).unwrap();
        Some(std::net::SocketAddr::try_from(own).unwrap().port())
    };
    let first = stage.until(own_port);
    stage.pass(SECOND);
    // Another connection is being made: the kernel alone would have waited with the first one.
    assert_ne!(stage.until(own_port), first);
    assert!(stage.is_open(&mut client));
    drop(fillers);
    stage.until(|stage| stage.app.accept().ok());
    stage.pass(SECOND);
    let mut app = stage.accept();
    app.write_all(OK).unwrap();
    stage.read_until(&mut client, |text| text.ends_with("hi"));
}

#[test]
fn a_connection_that_is_never_taken_is_given_up() {
    let mut stage = Stage::new();
    rustix::net::listen(&stage.app, 0).unwrap();
    let address = stage.app.local_addr().unwrap();
    let _filler = TcpStream::connect(address).unwrap();
    let mut client = stage.connect();
    client.write_all(GET).unwrap();
    stage.until(|stage| {
        stage
            .worker
            .backs
            .iter()
            .any(|(_, back)| !back.out.is_empty())
            .then_some(())
    });
    stage.pass(CONNECT_TIME + SECOND);
    let text = stage.read_until(&mut client, |text| text.contains("in time"));
    assert_eq!(cause(&text), Some("connect-timeout"));
}
