//! The outside listening sockets: made here, passed to edge, kept.
//!
//! The keeper never accepts on them. It keeps a copy, so that connections made while edge is being
//! started again wait instead of being refused.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use toft_model::instance::Refusal;
use toft_model::machine::OuterListener;

/// Connections that wait to be accepted, as far as `net.core.somaxconn` allows.
const BACKLOG: i32 = 4096;

/// One address with a socket for each of edge's threads.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) outer: OuterListener,
    sockets: Vec<OwnedFd>,
}

impl Listener {
    /// Binds `count` sockets to one address. With port 0 the kernel chooses one for all of them.
    pub(crate) fn open(outer: &OuterListener, count: usize) -> Result<Self, Refusal> {
        let mut address = outer.address;
        alone(address).map_err(|errno| refusal(address, errno))?;
        let mut sockets = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = shared(address).map_err(|errno| refusal(address, errno))?;
            if address.port() == 0 {
                address = bound_to(&socket).map_err(|errno| refusal(address, errno))?;
            }
            sockets.push(socket);
        }
        Ok(Self {
            outer: OuterListener { address },
            sockets,
        })
    }

    /// Copies of all its sockets.
    pub(crate) fn copies(&self) -> Result<Vec<OwnedFd>, Errno> {
        self.sockets
            .iter()
            .map(|socket| rustix::io::fcntl_dupfd_cloexec(socket, 0))
            .collect()
    }
}

/// Whether nobody listens here. `SO_REUSEPORT` alone would let a second keeper of the same user
/// share the port without a word.
fn alone(address: SocketAddr) -> Result<(), Errno> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = blank(address)?;
    bind(&socket, &address)?;
    listen(&socket, 1)
}

fn shared(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = blank(address)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn blank(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

fn bound_to(socket: &OwnedFd) -> Result<SocketAddr, Errno> {
    let any = rustix::net::getsockname(socket)?;
    SocketAddr::try_from(any).map_err(|_| Errno::AFNOSUPPORT)
}

fn refusal(address: SocketAddr, errno: Errno) -> Refusal {
    let port = address.port();
    let other = if port < 1024 {
        8080
    } else {
        port.saturating_add(1)
    };
    let (cause, cure) = match errno {
        Errno::ADDRINUSE => {
            let holder = holder::of(address).map_or_else(String::new, |who| format!(" by {who}"));
            (
                format!("port {port} is in use{holder}"),
                format!("end it, or choose another port: --http {other}"),
            )
        }
        Errno::ACCESS => (
            format!("a plain user may not listen on port {port}"),
            format!("choose a port from 1024 on: --http {other}"),
        ),
        Errno::ADDRNOTAVAIL => (
            format!("{} is no address of this machine", address.ip()),
            "name an address that `ip address` shows".into(),
        ),
        errno => (
            errno.to_string(),
            format!("choose another port: --http {other}"),
        ),
    };
    Refusal {
        step: format!("listen on {address}"),
        cause,
        cure: Some(cure),
    }
}

/// Who listens on a port, as far as this user may see.
pub(crate) mod holder {
    use std::net::SocketAddr;
    use std::path::Path;

    /// `pid 4711 (nginx)`.
    pub(crate) fn of(address: SocketAddr) -> Option<String> {
        let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .flat_map(|text| listening_inodes(&text, address.port()))
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        let processes = std::fs::read_dir("/proc").ok()?.flatten();
        for process in processes {
            let name = process.file_name();
            let Some(pid) = name.to_str().and_then(|n| n.parse::<u32>().ok()) else {
                continue;
            };
            if has_open(&process.path(), &inodes) {
                let comm = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                return Some(format!("pid {pid} ({})", comm.trim_end()));
            }
        }
        None
    }

    fn has_open(process: &Path, names: &[String]) -> bool {
        let Ok(descriptors) = std::fs::read_dir(process.join("fd")) else {
            return false;
        };
        descriptors.flatten().any(|descriptor| {
            let target = std::fs::read_link(descriptor.path()).unwrap_or_default();
            names.iter().any(|name| target.as_os_str() == name.as_str())
        })
    }

    /// Inodes of the sockets that listen on `port`, from a table as in proc_net_tcp(5).
    pub(super) fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
        const LISTEN: &str = "0A";
        let line = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (_, hex) = fields.get(1)?.rsplit_once(':')?;
            let here = u16::from_str_radix(hex, 16).ok()? == port && *fields.get(3)? == LISTEN;
            here.then(|| fields.get(9)?.parse().ok()).flatten()
        };
        table.lines().skip(1).filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> OuterListener {
        OuterListener {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    #[test]
    fn all_sockets_of_a_listener_share_one_port() {
        let listener = Listener::open(&loopback(0), 3).unwrap();
        assert_ne!(listener.outer.address.port(), 0);
        assert_eq!(listener.copies().unwrap().len(), 3);
        for copy in listener.copies().unwrap() {
            assert_eq!(bound_to(&copy).unwrap(), listener.outer.address);
        }
        assert!(std::net::TcpStream::connect(listener.outer.address).is_ok());
    }

    #[test]
    fn a_port_in_use_is_refused_with_its_holder_and_a_cure() {
        let first = Listener::open(&loopback(0), 2).unwrap();
        let port = first.outer.address.port();
        let refusal = Listener::open(&loopback(port), 2).unwrap_err();
        let pid = std::process::id();
        assert!(
            refusal
                .cause
                .starts_with(&format!("port {port} is in use by pid {pid} (")),
            "{refusal}"
        );
        assert!(refusal.cure.unwrap().contains("--http"));
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0\n   \
            1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0\n";
        assert_eq!(holder::listening_inodes(table, 8080), [4242]);
        assert!(holder::listening_inodes(table, 8081).is_empty());
        assert!(holder::listening_inodes("", 1).is_empty());
    }
}
