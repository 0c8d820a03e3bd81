//! An edge on its own, in front of programs on this machine's loopback: for benchmarks.
//!
//! `cargo run --release -p toft-router --example edge -- 127.0.0.1:9000 2 8081 8082` serves port
//! 9000 on two threads, round robin over the programs on ports 8081 and 8082. The keeper's part,
//! making sockets, is played by this process: they are plain sockets in its own network.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, listen, socket_with, sockopt};
use std::error::Error;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;
use toft_link::Link;
use toft_model::InstanceId;
use toft_model::machine::OuterListener;
use toft_model::message::{EdgeToServer, KeeperToRouter, RouterToKeeper, ServerToEdge};
use toft_model::table::{Backend, HostMatch, Route, Table, Upstream, UpstreamId};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().ok_or("an address to listen on")?.parse()?;
    let threads: usize = arguments.next().ok_or("a number of threads")?.parse()?;
    let ports: Vec<u16> = arguments
        .map(|port| port.parse())
        .collect::<Result<_, _>>()?;
    let state = std::env::temp_dir().join(format!("toft-edge-{}", std::process::id()));
    std::fs::create_dir(&state)?;

    let (mut keeper, control) = toft_link::pair()?;
    let (mut server, link) = toft_link::pair()?;
    let folder = state.clone();
    let edge = std::thread::spawn(move || toft_router::edge::run(control, &folder));
    let listeners = (0..threads)
        .map(|_| listener(address))
        .collect::<Result<_, _>>()?;
    keeper.send(
        &KeeperToRouter::Listener(OuterListener { address }),
        listeners,
    )?;
    keeper.send(&KeeperToRouter::Link, vec![link])?;
    server.send(&ServerToEdge::Table(table(&ports)?), vec![])?;
    println!(
        "serving {address} on {threads} threads, process {}",
        std::process::id()
    );
    while !edge.is_finished() {
        make_sockets(&mut keeper)?;
        while let Some((message, _)) = server.recv::<EdgeToServer>()? {
            println!("{message:?}");
        }
    }
    std::fs::remove_dir_all(&state)?;
    Ok(())
}

fn make_sockets(keeper: &mut Link) -> Result<(), Box<dyn Error>> {
    if let Some((RouterToKeeper::Sockets { instance, count }, _)) =
        keeper.recv_within(Duration::from_secs(1).as_millis() as u32)?
    {
        let fds = (0..count).map(|_| socket()).collect::<Result<_, _>>()?;
        keeper.send(&KeeperToRouter::Sockets { instance, count }, fds)?;
    }
    Ok(())
}

fn socket() -> Result<OwnedFd, rustix::io::Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags,
        Some(ipproto::TCP),
    )
}

fn listener(address: SocketAddr) -> Result<OwnedFd, rustix::io::Errno> {
    let fd = socket()?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    sockopt::set_socket_reuseport(&fd, true)?;
    rustix::net::bind(&fd, &address)?;
    listen(&fd, 4096)?;
    Ok(fd)
}

fn table(ports: &[u16]) -> Result<Table, Box<dyn Error>> {
    let id = UpstreamId {
        app: "bench".parse()?,
        door: "http".parse()?,
    };
    let backend = |(index, port): (usize, &u16)| -> Result<Backend, Box<dyn Error>> {
        let instance = InstanceId {
            app: "bench".parse()?,
            process: "web".parse()?,
            index: u32::try_from(index)?,
            generation: toft_model::Generation(1),
        };
        Ok(Backend {
            instance,
            port: *port,
        })
    };
    let ready = ports
        .iter()
        .enumerate()
        .map(backend)
        .collect::<Result<_, _>>()?;
    let route = Route {
        host: HostMatch::Any,
        path: String::new(),
        to: id.clone(),
    };
    Ok(Table {
        revision: 1,
        routes: vec![route],
        upstreams: vec![Upstream { id, ready }],
    })
}
