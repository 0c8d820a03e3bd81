//! The keeper's side of the link, as far as a router sees it.

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use toft_link::{Link, LinkError};
use toft_model::InstanceId;
use toft_model::message::{KeeperToRouter, RouterToKeeper};

/// Makes blank sockets in some instance's network.
pub(crate) type Maker = Box<dyn FnMut(u32) -> Vec<OwnedFd> + Send>;
/// Runs a command "inside"; `None` when it cannot.
pub(crate) type Runner = Box<dyn FnMut(&[String]) -> Option<i32> + Send>;

/// What the keeper has.
#[derive(Default)]
pub(crate) struct Has {
    pub(crate) sockets: HashMap<InstanceId, Maker>,
    pub(crate) notify: HashMap<InstanceId, OwnedFd>,
    pub(crate) run: Option<Runner>,
    /// How many sockets were handed out.
    pub(crate) made: u32,
}

enum Order {
    Send(KeeperToRouter, Vec<OwnedFd>),
    Stop,
}

/// A keeper on a thread.
pub(crate) struct Keeper {
    pub(crate) has: Arc<Mutex<Has>>,
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts it; the other end of its link is the router's.
    pub(crate) fn start() -> (Self, OwnedFd) {
        let (link, theirs) = toft_link::pair().unwrap();
        let has = Arc::new(Mutex::new(Has::default()));
        let (orders, inbox) = mpsc::channel();
        let mine = Arc::clone(&has);
        let thread = std::thread::spawn(move || serve(link, &mine, &inbox));
        (
            Self {
                has,
                orders,
                thread: Some(thread),
            },
            theirs,
        )
    }

    pub(crate) fn send(&self, message: KeeperToRouter, fds: Vec<OwnedFd>) {
        self.orders.send(Order::Send(message, fds)).unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut link: Link, has: &Mutex<Has>, inbox: &mpsc::Receiver<Order>) {
    loop {
        while let Ok(order) = inbox.try_recv() {
            match order {
                Order::Send(message, fds) => link.send(&message, fds).unwrap(),
                Order::Stop => return,
            }
        }
        match link.recv_within::<RouterToKeeper>(2) {
            Ok(Some((message, _))) => {
                let (answer, fds) = answer(message, &mut has.lock().unwrap());
                link.send(&answer, fds).unwrap();
            }
            Ok(None) => {}
            Err(LinkError::Closed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn answer(message: RouterToKeeper, has: &mut Has) -> (KeeperToRouter, Vec<OwnedFd>) {
    match message {
        RouterToKeeper::Sockets { instance, count } => {
            assert!((1..=64).contains(&count), "1 to 64 sockets at a time");
            let fds = has
                .sockets
                .get_mut(&instance)
                .map_or(vec![], |make| make(count));
            let count = fds.len() as u32;
            has.made += count;
            (KeeperToRouter::Sockets { instance, count }, fds)
        }
        RouterToKeeper::Notify(instance) => {
            let fds = has.notify.remove(&instance).into_iter().collect();
            (KeeperToRouter::Notify(instance), fds)
        }
        RouterToKeeper::Run { argv, token, .. } => {
            let code = has.run.as_mut().and_then(|run| run(&argv));
            (KeeperToRouter::Ran { token, code }, vec![])
        }
    }
}

/// Sockets in this process' own network: an instance without walls.
pub(crate) fn loopback() -> Maker {
    Box::new(|count| {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        (0..count)
            .map(|_| {
                socket_with(
                    AddressFamily::INET,
                    SocketType::STREAM,
                    flags,
                    Some(ipproto::TCP),
                )
            })
            .collect::<Result<_, _>>()
            .unwrap()
    })
}
