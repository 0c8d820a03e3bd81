//! Sockets made inside an instance's network and used outside of it.
//!
//! A short child that shares this process' descriptors enters the namespace and makes them: they
//! appear here. The caller itself cannot go in and out, because a plain user may not come back.

use crate::error::{Error, Step};
use crate::kernel::CloneArgs;
use crate::process;
use crate::program::{self, Failure, Program, Slot, args};
use crate::userns::CLONE_CLEAR_SIGHAND;
use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// The most sockets of one call.
pub const COUNT_MAX: u32 = 64;

/// Makes TCP sockets of IPv4 inside: not blocking, close-on-exec, `TCP_NODELAY`.
///
/// One that has been connected can be used again: disconnect it with `connect(AF_UNSPEC)`.
pub fn blank_tcp(netns: BorrowedFd<'_>, count: u32) -> Result<Vec<OwnedFd>, Error> {
    if count == 0 || count > COUNT_MAX {
        return Err(Error::Spec(format!(
            "{count} sockets, between 1 and {COUNT_MAX} are possible"
        )));
    }
    let mut p = enter(netns);
    let places: Vec<*mut i32> = (0..count).map(|_| p.value(&-1i32)).collect();
    let one = p.value(&1i32) as usize;
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    for place in &places {
        let slot = Slot::at(*place);
        p.call(
            Step::Loopback,
            libc::SYS_socket,
            args![libc::AF_INET, kind, 0usize],
        )
        .store(slot);
        let option = args![slot, libc::IPPROTO_TCP, libc::TCP_NODELAY, one, 4usize];
        p.call(Step::Loopback, libc::SYS_setsockopt, option);
    }
    run(p, &places, 0)
}

/// Makes the receiving end of a notify socket inside (datagrams, not blocking), as a start with
/// `notify` does by itself.
pub fn notify(netns: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let mut p = enter(netns);
    let place = p.value(&-1i32);
    let slot = Slot::at(place);
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    p.call(
        Step::Notify,
        libc::SYS_socket,
        args![libc::AF_UNIX, kind, 0usize],
    )
    .store(slot);
    let (address, length) = crate::child::notify_address(&mut p);
    p.call(Step::Notify, libc::SYS_bind, args![slot, address, length]);
    run(p, &[place], 0)?
        .pop()
        .ok_or(Error::Spec("no socket was made".to_owned()))
}

fn enter(netns: BorrowedFd<'_>) -> Program {
    let mut p = Program::default();
    p.call(
        Step::Handover,
        libc::SYS_setns,
        args![netns, libc::CLONE_NEWNET],
    );
    p
}

/// Runs a child that shares this process' descriptors, with `new` namespaces of its own, and takes
/// what it left in `places`, which lie in the program's memory.
pub(crate) fn run(
    mut program: Program,
    places: &[*mut i32],
    new: u64,
) -> Result<Vec<OwnedFd>, Error> {
    program.call(Step::Execute, libc::SYS_exit, args![0usize]);
    let mut pidfd = -1i32;
    let shared = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_PIDFD;
    let args = CloneArgs {
        flags: shared as u64 | CLONE_CLEAR_SIGHAND | new,
        pidfd: &raw mut pidfd as u64,
        ..CloneArgs::default()
    };
    let result = program::run(&program, args);
    if pidfd >= 0 {
        // SAFETY: the kernel wrote a new descriptor.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        process::reap(pidfd.as_fd());
    }
    let mut made = Vec::with_capacity(places.len());
    for place in places {
        // SAFETY: the program's memory lives; the child has ended; a number that is not negative is
        // a descriptor that the child made in this process' own table, known to nobody else.
        unsafe {
            let fd = place.read_unaligned();
            if fd >= 0 {
                made.push(OwnedFd::from_raw_fd(fd));
            }
        }
    }
    match result {
        Ok(_) => Ok(made),
        Err(Failure::Clone(errno)) => Err(Error::Clone(errno)),
        Err(Failure::Step(_, errno)) => Err(Error::Prepare {
            what: "make sockets inside an instance's network",
            errno,
        }),
    }
}
