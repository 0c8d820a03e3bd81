//! What goes in and out of an instance's network.

use crate::help::{self, no_cgroups, part, part_view, shell, start};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use toft_sandbox::sockets;

#[test]
fn there_is_nothing_but_loopback() {
    if !help::walls() {
        return;
    }
    let went = shell("cat /proc/net/dev");
    assert_eq!(
        went.said.lines().filter(|line| line.contains(':')).count(),
        1,
        "{}",
        went.said
    );
    assert!(went.said.contains("lo:"), "{}", went.said);
}

fn talk(socket: &OwnedFd, address: SocketAddr) -> [u8; 4] {
    let wait = |flags| {
        let deadline = Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        assert_eq!(
            poll(&mut [PollFd::new(socket, flags)], Some(&deadline)),
            Ok(1)
        );
    };
    match rustix::net::connect(socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(other) => panic!("{other}"),
    }
    wait(PollFlags::OUT);
    rustix::net::sockopt::socket_error(socket).unwrap().unwrap();
    rustix::io::write(socket, b"ping").unwrap();
    wait(PollFlags::IN);
    let mut word = [0u8; 4];
    assert_eq!(rustix::io::read(socket, &mut word), Ok(4));
    word
}

fn disconnect(socket: &OwnedFd) {
    // SAFETY: all zero is a valid value of it.
    let mut nobody = unsafe { std::mem::zeroed::<libc::sockaddr>() };
    nobody.sa_family = libc::AF_UNSPEC as u16;
    let length = size_of::<libc::sockaddr>() as u32;
    // SAFETY: an address of the length that is said.
    let result = unsafe { libc::connect(socket.as_raw_fd(), &nobody, length) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn sockets_made_inside_reach_the_program_again_and_again() {
    if help::walls() {
        reach_again_and_again();
    }
}

#[test]
fn a_network_that_was_made_beforehand_is_as_good() {
    if !help::walls() {
        return;
    }
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    toft_sandbox::warm();
    let before = open();
    toft_sandbox::warm();
    assert_eq!(open(), before, "one of each, and nothing else stays open");
    reach_again_and_again();
    toft_sandbox::warm();
    ready();
    toft_sandbox::warm();
    assert_eq!(shell("cat /proc/net/dev | grep -c :").said, "1\n");
}

fn reach_again_and_again() {
    let instance = start(&part("serve"), &part_view(), &no_cgroups()).unwrap();
    instance.wait_for("listening");
    let found = toft_sandbox::listening(instance.spawned.pid).unwrap();
    let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
    assert_eq!(found.tcp, [address]);
    let netns = instance.spawned.netns.as_ref().unwrap();
    let mut pool = sockets::blank_tcp(netns.as_fd(), 8).unwrap();
    assert_eq!(pool.len(), 8);
    for socket in &pool {
        assert_eq!(&talk(socket, address), b"ping");
    }
    let socket = pool.pop().unwrap();
    for _ in 0..100 {
        disconnect(&socket);
        assert_eq!(&talk(&socket, address), b"ping");
    }
    instance.signal(Signal::TERM);
    instance.wait();
    // What outlives the instance reaches nobody.
    disconnect(&socket);
    let _ = rustix::net::connect(&socket, &address);
    let deadline = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&deadline)),
        Ok(1)
    );
    assert_eq!(
        rustix::net::sockopt::socket_error(&socket),
        Ok(Err(Errno::CONNREFUSED))
    );
    assert!(sockets::blank_tcp(socket.as_fd(), 1).is_err());
}

#[test]
fn sixty_four_at_most() {
    if !help::walls() {
        return;
    }
    let (read, _write) = rustix::pipe::pipe().unwrap();
    for count in [0, 65] {
        assert!(sockets::blank_tcp(read.as_fd(), count).is_err());
    }
}

#[test]
fn readiness_is_told_over_the_notify_socket() {
    if help::walls() {
        ready();
    }
}

fn ready() {
    let mut command = part("notify");
    command.instance.notify = true;
    let instance = start(&command, &part_view(), &no_cgroups()).unwrap();
    let socket = instance.spawned.notify.as_ref().unwrap();
    let deadline = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&deadline)),
        Ok(1)
    );
    let mut buffer = [0u8; 64];
    let got = rustix::io::read(socket, &mut buffer).unwrap();
    assert_eq!(&buffer[..got], b"READY=1");
    instance.wait();
}

#[test]
fn the_machines_network_is_there_when_asked_for() {
    if !help::walls() {
        return;
    }
    let mut command = help::spec(&["cat", "/proc/net/dev"]);
    command.instance.sandbox.network = toft_model::sandbox::Network::Host;
    let view = help::view_of(&help::base_view());
    let instance = start(&command, &view, &no_cgroups()).unwrap();
    assert!(instance.spawned.netns.is_none());
    let outside = std::fs::read_to_string("/proc/net/dev").unwrap();
    assert_eq!(
        instance.wait().said.lines().count(),
        outside.lines().count()
    );
}
