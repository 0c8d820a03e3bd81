//! Undeclared ways out: to listeners of the machine, over every protocol that reaches one.

use crate::raw::{self, Arg};
use crate::ring;
use crate::runner::{Miss, Outcome, Probe, seen};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixStream};
use std::time::Duration;
use toft_testkit::probe::{GREETING, Targets};

/// How long an answer may take, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_millis(2500);
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const MAPPED: IpAddr = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("tcp", "connect to an undeclared port", "", |t| {
        tcp(V4, t.tcp)
    }),
    Probe::new("tcp6", "the same over IPv6", "", |t| tcp(V6, t.tcp)),
    Probe::new("tcp6-mapped", "the same by a mapped address", "", |t| {
        tcp(MAPPED, t.tcp)
    }),
    Probe::new("tcp-any", "the same by 0.0.0.0", "", |t| {
        tcp(IpAddr::V4(Ipv4Addr::UNSPECIFIED), t.tcp)
    }),
    Probe::new(
        "tcp-machine",
        "the same by the machine's own address",
        "",
        tcp_machine,
    ),
    Probe::new("tcp-fast-open", "TCP fast open, by sendto", "", |t| {
        fast_open(t, libc::IPPROTO_TCP)
    }),
    Probe::new("mptcp", "Multipath TCP", "", mptcp),
    Probe::new("mptcp-fast-open", "Multipath TCP with fast open", "", |t| {
        fast_open(t, libc::IPPROTO_MPTCP)
    }),
    Probe::new("udp-sendto", "UDP by sendto", "", |t| {
        udp(V4, t.udp, false, b"x")
    }),
    Probe::new("udp-connect", "UDP by connect", "", |t| {
        udp(V4, t.udp, true, b"x")
    }),
    Probe::new("udp6", "UDP over IPv6", "", |t| udp(V6, t.udp, false, b"x")),
    Probe::new(
        "udp-dns",
        "a DNS question to an undeclared server",
        "",
        |t| udp(V4, t.udp, false, QUESTION),
    ),
    Probe::new("io-uring-setup", "have an io_uring", "", |_| {
        ring::Ring::new().map(drop)
    }),
    Probe::new("io-uring-connect", "connect by io_uring", "", uring_connect),
    Probe::new(
        "io-uring-udp",
        "make and use a UDP socket by io_uring",
        "",
        uring_udp,
    ),
    Probe::new(
        "io-uring-open",
        "open the secret by io_uring",
        "",
        uring_open,
    ),
    Probe::new("unix-stream", "a unix socket by path", "", |t| {
        hears(UnixStream::connect(&t.unix_stream)?)
    }),
    Probe::new("unix-datagram", "a datagram to a path", "", unix_datagram),
    Probe::new(
        "unix-abstract",
        "an abstract unix socket",
        "",
        abstract_stream,
    ),
    Probe::new(
        "unix-abstract-datagram",
        "a datagram to an abstract name",
        "",
        abstract_datagram,
    ),
    Probe::new(
        "bind-machine",
        "bind the machine's own address",
        "",
        bind_machine,
    ),
    Probe::new(
        "listen-without-bind",
        "listen on a port that the kernel picks",
        "",
        listen,
    ),
    Probe::new(
        "see-interfaces",
        "see the machine's interfaces",
        "",
        interfaces,
    ),
    Probe::new(
        "see-connections",
        "see the machine's sockets",
        "",
        connections,
    ),
];

/// A question for the address of `a.`, as in RFC 1035 §4.1.
const QUESTION: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";

/// Whether it is the outside that speaks.
fn hears(mut stream: impl Read) -> Outcome {
    let mut words = vec![0; GREETING.len()];
    stream.read_exact(&mut words)?;
    seen(words == GREETING.as_bytes())
}

fn tcp(address: IpAddr, port: u16) -> Outcome {
    let stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    hears(stream)
}

fn tcp_machine(t: &Targets) -> Outcome {
    tcp(
        t.machine
            .ok_or(Miss::NotHere("the machine has no address but loopback"))?,
        t.tcp,
    )
}

/// `sockaddr_in` of 127.0.0.1.
fn name(port: u16) -> Vec<u8> {
    let family = (libc::AF_INET as u16).to_ne_bytes();
    [&family[..], &port.to_be_bytes(), &[127, 0, 0, 1], &[0; 8]].concat()
}

fn inet(kind: i32, protocol: i32) -> Result<OwnedFd, Miss> {
    Ok(raw::call_fd(
        libc::SYS_socket,
        [libc::AF_INET.into(), kind.into(), protocol.into()],
    )?)
}

fn fast_open(t: &Targets, protocol: i32) -> Outcome {
    let socket = inet(libc::SOCK_STREAM, protocol)?;
    let name = name(t.tcp);
    raw::call(
        libc::SYS_sendto,
        [
            socket.as_raw_fd().into(),
            Arg::In(b"x"),
            1.into(),
            libc::MSG_FASTOPEN.into(),
            Arg::In(&name),
            16.into(),
        ],
    )?;
    hears(File::from(socket))
}

fn mptcp(t: &Targets) -> Outcome {
    let socket = inet(libc::SOCK_STREAM, libc::IPPROTO_MPTCP)?;
    let name = name(t.tcp);
    raw::call(
        libc::SYS_connect,
        [socket.as_raw_fd().into(), Arg::In(&name), 16.into()],
    )?;
    hears(File::from(socket))
}

fn udp(address: IpAddr, port: u16, connect: bool, words: &[u8]) -> Outcome {
    let any: IpAddr = if address.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    if connect {
        socket.connect((address, port))?;
        socket.send(words)?;
    } else {
        socket.send_to(words, (address, port))?;
    }
    answer(&socket)
}

fn answer(socket: &UdpSocket) -> Outcome {
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    seen(&buffer[..length] == GREETING.as_bytes())
}

fn uring_connect(t: &Targets) -> Outcome {
    let mut ring = ring::Ring::new()?;
    let socket = inet(libc::SOCK_STREAM, 0)?;
    ring.connect(&socket, &name(t.tcp))?;
    hears(File::from(socket))
}

fn uring_udp(t: &Targets) -> Outcome {
    let mut ring = ring::Ring::new()?;
    let socket = ring.socket(libc::AF_INET, libc::SOCK_DGRAM)?;
    ring.connect(&socket, &name(t.udp))?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"x")?;
    answer(&socket)
}

fn uring_open(t: &Targets) -> Outcome {
    let mut ring = ring::Ring::new()?;
    ring.open(&raw::c_path(&t.secret)).map(drop)
}

fn unix_datagram(t: &Targets) -> Outcome {
    let socket = UnixDatagram::unbound()?;
    Ok(socket.send_to(b"x", &t.unix_datagram).map(drop)?)
}

fn abstract_stream(t: &Targets) -> Outcome {
    hears(UnixStream::connect_addr(&UnixAddr::from_abstract_name(
        &t.abstract_stream,
    )?)?)
}

fn abstract_datagram(t: &Targets) -> Outcome {
    let name = UnixAddr::from_abstract_name(&t.abstract_datagram)?;
    Ok(UnixDatagram::unbound()?
        .send_to_addr(b"x", &name)
        .map(drop)?)
}

fn bind_machine(t: &Targets) -> Outcome {
    let address = t
        .machine
        .ok_or(Miss::NotHere("the machine has no address but loopback"))?;
    Ok(UdpSocket::bind((address, 0)).map(drop)?)
}

fn listen(_: &Targets) -> Outcome {
    let socket = inet(libc::SOCK_STREAM, 0)?;
    raw::call(libc::SYS_listen, [socket.as_raw_fd().into(), 1.into()])?;
    Ok(())
}

/// Any interface besides loopback (netdevice(7), and what the kernel lists in /proc).
fn interfaces(_: &Targets) -> Outcome {
    let socket = inet(libc::SOCK_DGRAM, 0)?;
    let listed = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let names = listed
        .lines()
        .skip(2)
        .filter_map(|line| line.split(':').next());
    if names.into_iter().any(|name| name.trim() != "lo") {
        return Ok(());
    }
    for index in 1i32..16 {
        let mut request = [0u8; 40];
        request[16..20].copy_from_slice(&index.to_ne_bytes());
        let fd = socket.as_raw_fd();
        let found = raw::call(
            libc::SYS_ioctl,
            [
                fd.into(),
                (libc::SIOCGIFNAME as i64).into(),
                Arg::Out(&mut request),
            ],
        );
        if found.is_ok() && !request.starts_with(b"lo\0") {
            return Ok(());
        }
    }
    seen(false)
}

/// The outer listener's own line.
fn connections(t: &Targets) -> Outcome {
    let wanted = format!(":{:04X} ", t.tcp);
    seen(std::fs::read_to_string("/proc/net/tcp")?.contains(&wanted))
}
