//! Readiness, as doors finds it.

use crate::app::{App, next_request, say, silent_port};
use crate::keeper::{Keeper, loopback};
use crate::world::{PATIENCE, instance};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use toft_link::Link;
use toft_model::instance::{End, Outcome};
use toft_model::message::{DoorsToServer, KeeperToRouter, ServerToDoors};
use toft_model::table::{Check, Probe, Verdict};

struct World {
    keeper: Keeper,
    server: Link,
    doors: Option<JoinHandle<()>>,
    /// Which generation is watched; no other one may be spoken of.
    generation: u64,
    _state: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let state = tempfile::tempdir().unwrap();
        let (keeper, control) = Keeper::start();
        let folder = state.path().to_owned();
        let doors = std::thread::spawn(move || toft_router::doors::run(control, &folder).unwrap());
        let (server, theirs) = toft_link::pair().unwrap();
        keeper.send(KeeperToRouter::Link, vec![theirs]);
        let has = &keeper.has;
        for generation in 1..=3 {
            has.lock()
                .unwrap()
                .sockets
                .insert(instance(0, generation), loopback());
        }
        Self {
            keeper,
            server,
            doors: Some(doors),
            generation: 1,
            _state: state,
        }
    }

    fn probe(&mut self, check: Check, within: Duration) {
        let probe = Probe {
            instance: instance(0, self.generation),
            check,
            within,
        };
        self.server
            .send(&ServerToDoors::Probe(probe), vec![])
            .unwrap();
    }

    /// The next verdict.
    fn verdict(&mut self) -> Verdict {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some((DoorsToServer::Verdict(who, verdict), _)) =
                self.server.recv_within(100).unwrap()
            {
                assert_eq!(who, instance(0, self.generation));
                return verdict;
            }
        }
        panic!("no verdict in time");
    }

    /// All verdicts up to the one that ends the watch.
    fn verdicts(&mut self) -> Vec<Verdict> {
        let mut all = vec![self.verdict()];
        while matches!(all.last(), Some(Verdict::NotYet(_))) {
            all.push(self.verdict());
        }
        all
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let (unused, _) = Keeper::start();
        drop(std::mem::replace(&mut self.keeper, unused));
        if let Some(doors) = self.doors.take()
            && doors.join().is_err()
            && !std::thread::panicking()
        {
            panic!("doors panicked");
        }
    }
}

const LONG: Duration = Duration::from_secs(60);

fn not_yet(words: &str) -> Verdict {
    Verdict::NotYet(words.to_owned())
}

#[test]
fn a_port_that_takes_connections_is_ready() {
    let mut world = World::start();
    let app = App::named("a");
    world.probe(Check::Tcp { port: app.port }, LONG);
    assert_eq!(world.verdicts(), [Verdict::Ready]);
}

#[test]
fn a_port_that_comes_late_is_told_once_until_it_is_there() {
    let mut world = World::start();
    let (socket, port) = silent_port();
    world.probe(Check::Tcp { port }, LONG);
    assert_eq!(
        world.verdict(),
        not_yet(&format!("connection refused on port {port}"))
    );
    rustix::net::listen(&socket, 5).unwrap();
    assert_eq!(world.verdict(), Verdict::Ready);
    // Refused tries leave the socket as good as new.
    assert_eq!(world.keeper.has.lock().unwrap().made, 1);
}

#[test]
fn a_watch_that_is_too_long_ends_with_what_was_met() {
    let mut world = World::start();
    let (_socket, port) = silent_port();
    world.probe(Check::Tcp { port }, Duration::from_millis(50));
    let words = format!("connection refused on port {port}");
    assert_eq!(world.verdicts(), [not_yet(&words), Verdict::Late(words)]);
}

#[test]
fn http_answers_are_judged_by_their_status() {
    let mut world = World::start();
    let tries = Arc::new(AtomicUsize::new(0));
    let app = App::raw(move |mut stream| {
        let seen = next_request(&mut stream, &mut Vec::new()).unwrap();
        assert_eq!(seen.path(), "/healthz");
        let answer = match tries.fetch_add(1, Ordering::SeqCst) {
            0 => "",
            1 => "SSH-2.0-x\r\n\r\n",
            2 => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            3 => "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 No\r\n\r\n",
            _ => "HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n",
        };
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let port = app.port;
    world.probe(
        Check::Http {
            port,
            path: "/healthz".to_owned(),
        },
        LONG,
    );
    let get = format!("GET /healthz on port {port}");
    assert_eq!(
        world.verdicts(),
        [
            not_yet(&format!("{get} closed the connection without an answer")),
            not_yet(&format!(
                "{get} answered something that is not HTTP: \
                 the status line is not `HTTP/1.1 CODE REASON`"
            )),
            not_yet(&format!("{get} answered 500")),
            not_yet(&format!("{get} answered 404")),
            Verdict::Ready,
        ]
    );
}

#[test]
fn an_answer_that_never_comes_is_late() {
    let mut world = World::start();
    let app = App::raw(|stream| {
        // Holds the connection until the other side gives up.
        let _ = std::io::Read::read_to_end(&mut &stream, &mut Vec::new());
    });
    let port = app.port;
    world.probe(
        Check::Http {
            port,
            path: "/".to_owned(),
        },
        Duration::from_millis(100),
    );
    let words = format!("GET / on port {port} was not answered within 100ms");
    assert_eq!(world.verdicts(), [Verdict::Late(words)]);
}

#[test]
fn a_program_says_itself_that_it_is_ready() {
    let mut world = World::start();
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    world
        .keeper
        .has
        .lock()
        .unwrap()
        .notify
        .insert(instance(0, 1), theirs);
    world.probe(Check::Notify, LONG);
    assert_eq!(world.verdict(), not_yet("READY=1 was not said yet"));
    let say = |text: &[u8]| rustix::net::send(&ours, text, SendFlags::empty()).unwrap();
    say(b"STATUS=migrating 3 of 4");
    assert_eq!(world.verdict(), not_yet("it says: migrating 3 of 4"));
    say(b"STATUS=done\nREADY=1");
    assert_eq!(world.verdict(), Verdict::Ready);
}

#[test]
fn a_command_ends_with_zero() {
    let mut world = World::start();
    let mut codes = vec![Some(0), Some(2), Some(2), None];
    world.keeper.has.lock().unwrap().run = Some(Box::new(move |argv| {
        assert_eq!(argv, ["pg_isready", "-q"]);
        codes.pop().unwrap()
    }));
    let argv = vec!["pg_isready".to_owned(), "-q".to_owned()];
    world.probe(Check::Command { argv }, LONG);
    assert_eq!(
        world.verdicts(),
        [
            not_yet("`pg_isready -q` cannot be run"),
            not_yet("`pg_isready -q` ended with code 2"),
            Verdict::Ready,
        ]
    );
}

#[test]
fn an_instance_without_sockets_is_not_reached() {
    let mut world = World::start();
    world.keeper.has.lock().unwrap().sockets.clear();
    world.probe(Check::Tcp { port: 1 }, Duration::from_millis(50));
    let words = "its network cannot be entered";
    assert_eq!(
        world.verdicts(),
        [not_yet(words), Verdict::Late(words.to_owned())]
    );
}

#[test]
fn an_ended_or_forgotten_instance_is_watched_no_longer() {
    let mut world = World::start();
    for exits in [true, false] {
        let watched = instance(0, world.generation);
        let (_socket, port) = silent_port();
        world.probe(Check::Tcp { port }, LONG);
        assert_eq!(
            world.verdict(),
            not_yet(&format!("connection refused on port {port}"))
        );
        if exits {
            let outcome = Outcome {
                end: End::Code(1),
                oom_kills: 0,
                memory_peak: None,
                asked: false,
                lived: Duration::ZERO,
            };
            world
                .keeper
                .send(KeeperToRouter::Exited(watched, outcome), vec![]);
        } else {
            world
                .server
                .send(&ServerToDoors::Forget(watched), vec![])
                .unwrap();
        }
        world.generation += 1;
    }
    // The watch that follows is the only one that speaks.
    let app = App::http(|_, stream| say(stream, "x"));
    world.probe(Check::Tcp { port: app.port }, LONG);
    assert_eq!(world.verdicts(), [Verdict::Ready]);
}

#[test]
fn a_try_does_not_answer_itself() {
    // A port among those that the kernel gives to clients: sooner or later a try gets it as its
    // own and would be joined to itself.
    let mut world = World::start();
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let port = first + 100 + NEXT.fetch_add(1, Ordering::SeqCst);
    world.probe(Check::Tcp { port }, Duration::from_millis(300));
    assert!(!world.verdicts().contains(&Verdict::Ready));
}
