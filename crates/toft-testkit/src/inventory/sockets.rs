//! Sockets of the network namespace that this thread stands in.

use super::{Process, Scope};
use anyhow::Result;
use std::collections::BTreeSet;
use std::fs;

const LISTEN: &str = "0A";
const TIME_WAIT: &str = "06";

/// Listening TCP sockets, UDP sockets and named unix sockets; of a network shared with others, those
/// of `ours` alone. Connections count while a process of ours holds them: what the kernel keeps for
/// a minute after a close belongs to nobody.
pub(super) fn sockets(scope: &Scope, ours: &[Process]) -> Result<BTreeSet<String>> {
    let held: BTreeSet<String> = ours.iter().flat_map(|p| inodes(p.pid)).collect();
    let counts = |inode: &str| scope.own_network || held.contains(inode);
    let mut found = BTreeSet::new();
    for kind in ["tcp", "tcp6", "udp", "udp6"] {
        for line in table(kind) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, state, .., _, _, inode] = fields[..fields.len().min(10)] else {
                continue;
            };
            let open = if kind.starts_with("udp") {
                counts(inode)
            } else {
                tcp_counts(state, inode, &held, counts(inode))
            };
            if open {
                found.insert(format!(
                    "socket {kind} {} → {} (state {state})",
                    address(local),
                    address(remote)
                ));
            }
        }
    }
    for line in table("unix") {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let (Some(inode), Some(path)) = (fields.get(6), fields.get(7))
            && counts(inode)
        {
            found.insert(format!("socket unix {path}"));
        }
    }
    Ok(found)
}

fn tcp_counts(state: &str, inode: &str, held: &BTreeSet<String>, ours: bool) -> bool {
    match state {
        LISTEN => ours,
        TIME_WAIT => false,
        _ => held.contains(inode),
    }
}

fn table(kind: &str) -> Vec<String> {
    // A kernel without IPv6 has no such table.
    let text = fs::read_to_string(format!("/proc/thread-self/net/{kind}")).unwrap_or_default();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// Numbers of the sockets that a process holds.
fn inodes(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let links =
        entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_str()?.to_owned()));
    links
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect()
}

/// `0100007F:1F90` as `127.0.0.1:8080`; IPv6 keeps its digits.
fn address(text: &str) -> String {
    let Some((host, port)) = text.split_once(':') else {
        return text.to_owned();
    };
    let port = u16::from_str_radix(port, 16).unwrap_or_default();
    match (host.len(), u32::from_str_radix(host, 16)) {
        (8, Ok(bits)) => format!("{}:{port}", std::net::Ipv4Addr::from(bits.to_ne_bytes())),
        _ => format!("[{host}]:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_readable() {
        assert_eq!(address("0100007F:1F90"), "127.0.0.1:8080");
        assert!(address("00000000000000000000000000000000:0050").ends_with(":80"));
    }

    #[test]
    fn a_listener_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let scope = Scope {
            own_network: true,
            ..Scope::default()
        };
        assert!(
            sockets(&scope, &[])
                .unwrap()
                .iter()
                .any(|line| line.contains(&name))
        );
    }
}
