//! Tables that change under load, instances that drain, servers that come and go.

use crate::app::{App, say};
use crate::client::Client;
use crate::world::{PATIENCE, World, instance, table, wait_until};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use toft_model::InstanceId;
use toft_model::instance::{End, Outcome};
use toft_model::message::KeeperToRouter;

/// Clients that ask all the time over connections that they keep.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<usize>>,
    done: Arc<AtomicUsize>,
}

impl Load {
    fn start(address: SocketAddr, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicUsize::new(0));
        let clients = (0..clients)
            .map(|n| {
                let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
                std::thread::spawn(move || {
                    let mut client = Client::connect(address);
                    let mut failed = 0;
                    while !stop.load(Ordering::SeqCst) {
                        if n % 4 == 0 {
                            client
                                .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
                        } else {
                            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                        }
                        match client.try_answer() {
                            Some(answer) if answer.status == 200 => {}
                            other => {
                                eprintln!("failed: {other:?}");
                                failed += 1;
                                client = Client::connect(address);
                            }
                        }
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                    failed
                })
            })
            .collect();
        Self {
            stop,
            clients,
            done,
        }
    }

    /// Waits until so many more requests are through.
    fn more(&self, count: usize) {
        let until = self.done.load(Ordering::SeqCst) + count;
        wait_until(|| self.done.load(Ordering::SeqCst) >= until);
    }

    /// How many failed.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    }
}

#[test]
fn two_hundred_swaps_under_load_fail_no_request() {
    let mut world = World::start(2);
    let mut current: Option<(InstanceId, App)> = None;
    let mut load = None;
    for generation in 1..=200 {
        let app = App::named(&generation.to_string());
        let id = instance(0, generation);
        world.admit(&id);
        world.publish(table(generation, &[(id.clone(), app.port)]));
        let load = load.get_or_insert_with(|| Load::start(world.address, 8));
        // The one before ends as soon as edge says that nothing is in flight to it: its listener
        // and all its connections are gone from then on.
        if let Some((old, app)) = current.replace((id, app)) {
            world.wait_drained(&old);
            world.keeper.has.lock().unwrap().sockets.remove(&old);
            drop(app);
            world
                .keeper
                .send(KeeperToRouter::Exited(old, ended()), vec![]);
        }
        load.more(20);
    }
    assert_eq!(load.take().map(Load::end), Some(0));
}

fn ended() -> Outcome {
    Outcome {
        end: End::Signal(15),
        oom_kills: 0,
        memory_peak: None,
        asked: true,
        lived: std::time::Duration::from_secs(1),
    }
}

#[test]
fn what_is_in_flight_ends_before_an_instance_is_drained() {
    let mut world = World::start(2);
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let old = App::http(move |_, stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nol")
            .unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        stream.write_all(b"d!").is_ok()
    });
    let new = App::named("new!");
    world.admit(&instance(0, 1));
    world.admit(&instance(0, 2));
    world.publish(table(1, &[(instance(0, 1), old.port)]));
    let mut slow = Client::connect(world.address);
    slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until(|| old.requests.load(Ordering::SeqCst) == 1);
    world.publish(table(2, &[(instance(0, 2), new.port)]));
    let mut client = Client::connect(world.address);
    assert_eq!(client.get("/").text(), "new!");
    assert!(!world.is_drained(&instance(0, 1)));
    go.send(()).unwrap();
    assert_eq!(slow.answer().text(), "old!");
    world.wait_drained(&instance(0, 1));
    // The client's connection is none of the instance's business.
    assert_eq!(slow.get("/").text(), "new!");
}

#[test]
fn an_instance_that_ends_is_drained() {
    let mut world = World::start(1);
    let app = App::raw(|mut stream| {
        let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
    });
    world.admit(&instance(0, 1));
    world.publish(table(1, &[(instance(0, 1), app.port)]));
    let mut client = Client::connect(world.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until(|| app.connections.load(Ordering::SeqCst) == 1);
    world.publish(table(2, &[]));
    assert!(!world.is_drained(&instance(0, 1)));
    world
        .keeper
        .send(KeeperToRouter::Exited(instance(0, 1), ended()), vec![]);
    world.wait_drained(&instance(0, 1));
}

#[test]
fn serving_goes_on_without_a_server_and_a_new_one_hears_what_is() {
    let mut world = World::start(2);
    let app = App::http(|_, stream| say(stream, "here"));
    world.admit(&instance(0, 1));
    world.publish(table(7, &[(instance(0, 1), app.port)]));
    let (nobody, _) = toft_link::pair().unwrap();
    world.server = nobody;
    let mut client = Client::connect(world.address);
    assert_eq!(client.get("/").text(), "here");
    world.restart_server();
    world.wait_serving(7);
    world.publish(table(8, &[]));
    assert_eq!(client.get("/").status, 503);
}

#[test]
fn an_edge_that_starts_serves_by_the_table_it_kept() {
    let app = App::named("kept");
    let mut world = World::start(1);
    world.admit(&instance(0, 1));
    world.publish(table(1, &[(instance(0, 1), app.port)]));
    let state = world.stop();
    let world = World::start_silent(state, 1, |has| {
        has.sockets
            .insert(instance(0, 1), crate::keeper::loopback());
    });
    assert_eq!(Client::connect(world.address).get("/").text(), "kept");
}

#[test]
fn a_kept_table_that_is_damaged_is_waited_out() {
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("table.json"), "{\"revision\":").unwrap();
    let app = App::named("new");
    let mut world = World::start_in(state, 1);
    assert_eq!(Client::connect(world.address).get("/").status, 503);
    world.admit(&instance(0, 1));
    world.publish(table(1, &[(instance(0, 1), app.port)]));
    assert_eq!(Client::connect(world.address).get("/").text(), "new");
}
