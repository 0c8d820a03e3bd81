//! Instances behind walls: each in a network namespace that has nothing but loopback.

use crate::app::{App, say};
use crate::client::Client;
use crate::keeper::Maker;
use crate::world::{World, instance, table};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

/// A namespace with a thread in it that makes its sockets.
struct Namespace {
    orders: mpsc::Sender<(u32, mpsc::Sender<Vec<OwnedFd>>)>,
    listener: TcpListener,
}

impl Namespace {
    /// With a listener on this port of its own; `None` where the rights are missing.
    fn new(port: u16) -> Option<Self> {
        let (orders, inbox) = mpsc::channel::<(u32, mpsc::Sender<Vec<OwnedFd>>)>();
        let (started, ready) = mpsc::channel();
        std::thread::spawn(move || {
            if !enter_new() {
                return;
            }
            let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
            started.send(listener).unwrap();
            for (count, answer) in inbox {
                let _ = answer.send((0..count).map(|_| blank()).collect());
            }
        });
        let listener = ready.recv().ok()?;
        Some(Self { orders, listener })
    }

    fn maker(&self) -> Maker {
        let orders = self.orders.clone();
        Box::new(move |count| {
            let (answer, made) = mpsc::channel();
            orders.send((count, answer)).unwrap();
            made.recv().unwrap()
        })
    }
}

fn enter_new() -> bool {
    // SAFETY: the thread shares no descriptor table or file system state that this call parts.
    let parted = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) };
    parted.is_ok()
        && std::process::Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status()
            .is_ok_and(|status| status.success())
}

fn blank() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags,
        Some(ipproto::TCP),
    )
    .unwrap()
}

#[test]
fn instances_on_the_same_port_are_reached_each_in_its_own_network() {
    const PORT: u16 = 8080;
    let namespaces: Vec<Namespace> = (0..3).map_while(|_| Namespace::new(PORT)).collect();
    if namespaces.len() < 3 {
        eprintln!("SKIPPED: no right to make network namespaces, or no `ip`");
        return;
    }
    let mut world = World::start(2);
    let mut ready = Vec::new();
    let apps: Vec<App> = (0..3)
        .zip(&namespaces)
        .map(|(index, namespace)| {
            let id = instance(index, 1);
            world
                .keeper
                .has
                .lock()
                .unwrap()
                .sockets
                .insert(id.clone(), namespace.maker());
            ready.push((id, PORT));
            let name = index.to_string();
            // Half of the connections end with their request, so that sockets are used again.
            let listener = namespace.listener.try_clone().unwrap();
            App::http_on(listener, move |seen, stream| {
                say(stream, &name) && seen.path() != "/once"
            })
        })
        .collect();
    world.publish(table(1, &ready));
    let mut client = Client::connect(world.address);
    let mut said = String::new();
    for n in 0..300 {
        said += &client.get(if n % 2 == 0 { "/" } else { "/once" }).text();
    }
    // A request whose connection ended under it takes the turn of the next instance.
    assert_eq!(said.len(), 300);
    for name in ['0', '1', '2'] {
        let share = said.chars().filter(|c| *c == name).count();
        assert!(
            (60..=140).contains(&share),
            "{name} answered {share} of 300"
        );
    }
    let connections: usize = apps
        .iter()
        .map(|app| app.connections.load(Ordering::SeqCst))
        .sum();
    assert!(connections >= 100, "connections ended: {connections}");
    let made = world.keeper.has.lock().unwrap().made;
    assert!(made < 40, "a few sockets serve them all: {made}");
    world.publish(table(2, &[]));
    (0..3).for_each(|index| world.wait_drained(&instance(index, 1)));
}
