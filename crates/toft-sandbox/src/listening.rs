//! What an instance listens on, read from its own network namespace.

use crate::error::Error;
use rustix::io::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use toft_model::instance::Listening;

/// TCP sockets in the listening state in the network namespace of this process.
pub fn listening(pid: u32) -> Result<Listening, Error> {
    let mut tcp = read(pid, "tcp")?;
    // A kernel without IPv6 has no such file.
    tcp.extend(read(pid, "tcp6").unwrap_or_default());
    Ok(Listening { tcp })
}

fn read(pid: u32, file: &str) -> Result<Vec<SocketAddr>, Error> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        Error::Prepare {
            what: "read an instance's sockets",
            errno,
        }
    })?;
    Ok(parse(&text))
}

/// The listening ones of a table of proc(5): `sl local_address rem_address st …`.
fn parse(text: &str) -> Vec<SocketAddr> {
    const LISTEN: &str = "0A";
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let local = fields.next()?;
            (fields.nth(1)? == LISTEN).then(|| address(local))?
        })
        .collect()
}

/// `0100007F:1F90`: words of the address in the machine's byte order, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |n: usize| {
        let word = u32::from_str_radix(ip.get(8 * n..8 * n + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = if ip.len() == 8 {
        IpAddr::from(Ipv4Addr::from(word(0)?))
    } else {
        let words = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
        IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?))
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_are_told_from_others() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n   \
            1: 0100007F:1F91 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 2\n   \
            2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0 0\n";
        let expected: Vec<SocketAddr> = ["127.0.0.1:8080", "[::1]:80"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(parse(table), expected);
        assert_eq!(parse("header\nnonsense\n"), []);
    }
}
