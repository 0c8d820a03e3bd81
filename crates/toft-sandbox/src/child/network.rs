//! The network part of the program: loopback, ports, the notify socket, the handover.

use crate::NOTIFY_NAME;
use crate::error::Step;
use crate::program::{Argument, Program, Slot, args};
use std::mem::offset_of;
use std::os::fd::BorrowedFd;

/// Loopback up, every port free to bind, the notify socket, and the namespace handed to the spawner.
pub(super) fn network(p: &mut Program, proc: Slot, notify: bool, handover: BorrowedFd<'_>) {
    let (socket, ports) = (p.slot(), p.slot());
    loopback_up(p, socket);
    let path = p.string("sys/net/ipv4/ip_unprivileged_port_start");
    free_ports(p, ports, proc, path);
    let message = Handover::new(p, if notify { 2 } else { 1 });
    let path = p.string("self/ns/net");
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    p.call(
        Step::Handover,
        libc::SYS_openat,
        args![proc, path, flags, 0usize],
    )
    .store(message.place(0));
    if notify {
        let place = message.place(1);
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        p.call(
            Step::Notify,
            libc::SYS_socket,
            args![libc::AF_UNIX, kind, 0usize],
        )
        .store(place);
        let (address, length) = notify_address(p);
        p.call(Step::Notify, libc::SYS_bind, args![place, address, length]);
    }
    p.call(
        Step::Handover,
        libc::SYS_sendmsg,
        args![handover, message.header, 0usize],
    );
}

/// Brings up loopback in the namespace in which the child stands.
pub(crate) fn loopback_up(p: &mut Program, socket: Slot) {
    // Any socket takes the order; a unix one is the cheapest.
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    p.call(
        Step::Loopback,
        libc::SYS_socket,
        args![libc::AF_UNIX, kind, 0usize],
    )
    .store(socket);
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    let up = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    request[16..18].copy_from_slice(&up.to_ne_bytes());
    let request = p.bytes(&request) as usize;
    p.call(
        Step::Loopback,
        libc::SYS_ioctl,
        args![socket, libc::SIOCSIFFLAGS as usize, request],
    );
}

/// Frees the ports below 1024, by the file at `path` below `folder`.
pub(crate) fn free_ports(p: &mut Program, ports: Slot, folder: impl Argument, path: usize) {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    p.call(
        Step::Ports,
        libc::SYS_openat,
        args![folder, path, flags, 0usize],
    )
    .store(ports);
    let zero = p.string("0");
    p.call(Step::Ports, libc::SYS_write, args![ports, zero, 1usize]);
}

/// A `sockaddr_un` of the abstract kind.
pub(crate) fn notify_address(p: &mut Program) -> (usize, usize) {
    let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    address.push(0);
    address.extend_from_slice(NOTIFY_NAME.as_bytes());
    let length = address.len();
    (p.bytes(&address) as usize, length)
}

/// A message with room for descriptors that the child fills in.
struct Handover {
    header: usize,
    fds: *mut i32,
}

impl Handover {
    fn new(p: &mut Program, count: usize) -> Self {
        let byte = p.bytes(b"n");
        let vector = libc::iovec {
            iov_base: byte.cast(),
            iov_len: 1,
        };
        let vector = p.value(&vector);
        // SAFETY: arithmetic without memory.
        let (space, length) = unsafe {
            (
                libc::CMSG_SPACE(4 * count as u32) as usize,
                libc::CMSG_LEN(4 * count as u32) as usize,
            )
        };
        let control = p.bytes(&vec![0u8; space]);
        let mut head = vec![0u8; size_of::<libc::cmsghdr>()];
        head[offset_of!(libc::cmsghdr, cmsg_len)..][..size_of::<usize>()]
            .copy_from_slice(&length.to_ne_bytes());
        head[offset_of!(libc::cmsghdr, cmsg_level)..][..4]
            .copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        head[offset_of!(libc::cmsghdr, cmsg_type)..][..4]
            .copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
        // SAFETY: the control memory is longer than its header; all zero is a valid msghdr.
        let (fds, header) = unsafe {
            std::ptr::copy_nonoverlapping(head.as_ptr(), control, head.len());
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = control.cast();
            header.msg_controllen = space as _;
            (control.add(head.len()).cast::<i32>(), header)
        };
        Self {
            header: p.value(&header) as usize,
            fds,
        }
    }

    fn place(&self, n: usize) -> Slot {
        // SAFETY: `n` is below the count that the memory was made for.
        Slot::at(unsafe { self.fds.add(n) })
    }
}
