//! Network namespaces: made by the instance's own clone, or beforehand.
//!
//! A third of a start's time is the kernel making a network namespace. So a spawner keeps one that
//! is ready, loopback up and all ports free to bind: it makes the next one when it has nothing else
//! to do ([`crate::warm`]). Each serves one instance and no other. A start that finds none makes its own.

use crate::error::{Error, Step};
use crate::program::{Program, Slot, args};
use crate::{child, sockets};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

enum Spare {
    None,
    Ready(OwnedFd),
    /// One could not be made here, and is not tried again.
    Never,
}

static SPARE: Mutex<Spare> = Mutex::new(Spare::None);

/// Makes the spare namespace when there is none. When it cannot be made, starts make their own and
/// say why not.
pub(crate) fn warm() {
    let Ok(mut spare) = SPARE.lock() else { return };
    if matches!(*spare, Spare::None) {
        *spare = make().map_or(Spare::Never, Spare::Ready);
    }
}

/// The spare namespace, if there is one.
pub(crate) fn take() -> Option<OwnedFd> {
    let mut spare = SPARE.lock().ok()?;
    match std::mem::replace(&mut *spare, Spare::None) {
        Spare::Ready(netns) => Some(netns),
        other => {
            *spare = other;
            None
        }
    }
}

fn make() -> Result<OwnedFd, Error> {
    let mut p = Program::default();
    let (socket, ports) = (p.slot(), p.slot());
    child::loopback_up(&mut p, socket);
    let path = p.string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    child::free_ports(&mut p, ports, libc::AT_FDCWD, path);
    // The table of descriptors is the caller's.
    for slot in [socket, ports] {
        p.call(Step::Descriptors, libc::SYS_close, args![slot]);
    }
    let place = p.value(&-1i32);
    let path = p.string("/proc/self/ns/net");
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    p.call(
        Step::Handover,
        libc::SYS_openat,
        args![libc::AT_FDCWD, path, flags, 0usize],
    )
    .store(Slot::at(place));
    let new = libc::CLONE_NEWNET as u64;
    let made = sockets::run(p, &[place], new)?;
    made.into_iter()
        .next()
        .ok_or(Error::Spec("no namespace was made".to_owned()))
}
