//! Kinds of sockets that no app was ever promised: each is code in the kernel that nobody needs.

use crate::raw;
use crate::runner::{Miss, Outcome, Probe};
use std::os::fd::AsRawFd;
use toft_testkit::probe::Targets;

const RAW: &str = "needs CAP_NET_RAW";
const DGRAM: i32 = libc::SOCK_DGRAM;
const STREAM: i32 = libc::SOCK_STREAM;
const SEQPACKET: i32 = libc::SOCK_SEQPACKET;
const SMC: i32 = 43;
const KCM: i32 = 41;
const QIPCRTR: i32 = 42;

macro_rules! family {
    ($name:literal, $right:expr, $family:expr, $kind:expr, $protocol:expr) => {
        Probe::new(
            $name,
            concat!("make a socket of this kind: ", $name),
            $right,
            |_: &Targets| socket($family, $kind, $protocol),
        )
    };
}

pub(crate) const PROBES: &[Probe] = &[
    family!("raw", RAW, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP),
    family!(
        "raw-icmp",
        RAW,
        libc::AF_INET,
        libc::SOCK_RAW,
        libc::IPPROTO_ICMP
    ),
    family!(
        "raw6",
        RAW,
        libc::AF_INET6,
        libc::SOCK_RAW,
        libc::IPPROTO_TCP
    ),
    family!("packet", RAW, libc::AF_PACKET, libc::SOCK_RAW, 0),
    family!("packet-dgram", RAW, libc::AF_PACKET, DGRAM, 0),
    family!("udplite", "", libc::AF_INET, DGRAM, libc::IPPROTO_UDPLITE),
    family!("sctp", "", libc::AF_INET, STREAM, libc::IPPROTO_SCTP),
    family!("dccp", "", libc::AF_INET, 6, 33),
    family!("l2tp", RAW, libc::AF_INET, DGRAM, 115),
    family!("smc", "", SMC, STREAM, 0),
    family!("vsock", "", libc::AF_VSOCK, STREAM, 0),
    family!("alg", "", libc::AF_ALG, SEQPACKET, 0),
    family!("tipc", "", libc::AF_TIPC, SEQPACKET, 0),
    family!("rds", "", libc::AF_RDS, SEQPACKET, 0),
    family!("can", "", libc::AF_CAN, libc::SOCK_RAW, 1),
    family!("bluetooth", "", libc::AF_BLUETOOTH, libc::SOCK_RAW, 1),
    family!("kcm", "", KCM, DGRAM, 0),
    family!("qipcrtr", "", QIPCRTR, DGRAM, 0),
    family!("xdp", RAW, libc::AF_XDP, libc::SOCK_RAW, 0),
    family!("pppox", "", libc::AF_PPPOX, STREAM, 0),
    family!("key", RAW, libc::AF_KEY, libc::SOCK_RAW, 2),
    family!("x25", "", libc::AF_X25, SEQPACKET, 0),
    family!("ax25", "", libc::AF_AX25, SEQPACKET, 0),
    family!("appletalk", "", libc::AF_APPLETALK, DGRAM, 0),
    family!("phonet", "", libc::AF_PHONET, SEQPACKET, 0),
    family!("nfc", "", libc::AF_NFC, SEQPACKET, 0),
    family!(
        "netlink-uevent",
        "",
        libc::AF_NETLINK,
        DGRAM,
        libc::NETLINK_KOBJECT_UEVENT
    ),
    family!(
        "netlink-audit",
        "",
        libc::AF_NETLINK,
        DGRAM,
        libc::NETLINK_AUDIT
    ),
    family!(
        "netlink-generic",
        "",
        libc::AF_NETLINK,
        DGRAM,
        libc::NETLINK_GENERIC
    ),
    family!(
        "netlink-netfilter",
        "",
        libc::AF_NETLINK,
        DGRAM,
        libc::NETLINK_NETFILTER
    ),
    family!(
        "netlink-sock-diag",
        "",
        libc::AF_NETLINK,
        DGRAM,
        libc::NETLINK_SOCK_DIAG
    ),
    family!(
        "netlink-xfrm",
        "",
        libc::AF_NETLINK,
        DGRAM,
        libc::NETLINK_XFRM
    ),
    family!(
        "netlink-connector",
        "",
        libc::AF_NETLINK,
        DGRAM,
        libc::NETLINK_CONNECTOR
    ),
    family!(
        "netlink-crypto",
        "",
        libc::AF_NETLINK,
        DGRAM,
        libc::NETLINK_CRYPTO
    ),
    Probe::new(
        "netlink-add-address",
        "give an interface another address",
        "needs CAP_NET_ADMIN",
        add_address,
    ),
];

fn socket(family: i32, kind: i32, protocol: i32) -> Outcome {
    Ok(raw::call_fd(
        libc::SYS_socket,
        [family.into(), kind.into(), protocol.into()],
    )
    .map(drop)?)
}

/// Gives loopback 127.0.0.1/8, which it has: EEXIST shows that the right was there.
fn add_address(_: &Targets) -> Outcome {
    let socket = raw::call_fd(
        libc::SYS_socket,
        [
            libc::AF_NETLINK.into(),
            libc::SOCK_RAW.into(),
            libc::NETLINK_ROUTE.into(),
        ],
    )?;
    let mut message = Vec::new();
    message.extend(32u32.to_ne_bytes()); // nlmsghdr: length, type, flags, sequence, port
    message.extend((libc::RTM_NEWADDR).to_ne_bytes());
    message.extend(
        ((libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16)
            .to_ne_bytes(),
    );
    message.extend([0; 8]);
    message.extend([libc::AF_INET as u8, 8, 0, 0]); // ifaddrmsg: family, prefix, flags, scope
    message.extend(1u32.to_ne_bytes()); // index of loopback
    message.extend(8u16.to_ne_bytes()); // rtattr: length, IFA_LOCAL
    message.extend(2u16.to_ne_bytes());
    message.extend([127, 0, 0, 1]);
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    let fd = socket.as_raw_fd();
    raw::call(
        libc::SYS_sendto,
        [
            fd.into(),
            raw::Arg::In(&message),
            (message.len() as i64).into(),
            0.into(),
            0.into(),
            0.into(),
        ],
    )?;
    let mut answer = [0; 256];
    let length = raw::call(
        libc::SYS_recvfrom,
        [
            fd.into(),
            raw::Arg::Out(&mut answer),
            256.into(),
            0.into(),
            0.into(),
            0.into(),
        ],
    )?;
    if length < 20 {
        return Err(Miss::Silent);
    }
    match -i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 | libc::EEXIST => Ok(()),
        errno => Err(Miss::Errno(errno)),
    }
}
