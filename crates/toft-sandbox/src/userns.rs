//! User namespaces: the keeper's own as a plain user, and the ones that map a volume's owner.

use crate::error::Error;
use crate::kernel::{self, CloneArgs, SignalsBlocked, Stack};
use rustix::fs::{Mode as FileMode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Signal, pidfd_send_signal};
use rustix::thread::UnshareFlags;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};

/// Gives a plain user's process the rights that it needs over namespaces of its own: a user
/// namespace with the person mapped to root, and a mount namespace whose changes stay inside.
///
/// As root only the mount namespace is made. The caller must have one thread.
pub fn enter_user_namespace() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        become_root_inside()?;
    }
    private_mounts()
}

fn become_root_inside() -> Result<(), Error> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    // SAFETY: the caller has one thread; descriptors are not touched.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }.map_err(
        |errno| match errno {
            Errno::PERM | Errno::ACCESS | Errno::NOSPC | Errno::USERS | Errno::NOSYS => {
                Error::Missing {
                    feature: "user namespaces, which give a plain user's apps walls of their own",
                    cure: "sudo toft setup, or run as root",
                }
            }
            errno => Error::Prepare {
                what: "make a user namespace",
                errno,
            },
        },
    )?;
    let write =
        |file: &str, text: String| {
            std::fs::write(file, text).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            // Ubuntu lets an unconfined program make the namespace, and then takes its rights away.
            match errno {
                Errno::PERM | Errno::ACCESS => Error::Missing {
                    feature: "user namespaces with rights of their own (AppArmor takes them away)",
                    cure: "sudo toft setup, or run as root",
                },
                errno => Error::Prepare { what: "map the user into its namespace", errno },
            }
        })
        };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {} 1", uid.as_raw()))?;
    write("/proc/self/gid_map", format!("0 {} 1", gid.as_raw()))
}

fn private_mounts() -> Result<(), Error> {
    let failed = |errno| Error::Prepare {
        what: "make a mount namespace",
        errno,
    };
    // SAFETY: the caller has one thread; descriptors are not touched.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.map_err(failed)?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(failed)
}

/// A user namespace that maps one id on disk to one id of the machine, for an idmapped mount.
/// The group of the same number is mapped with it.
pub(crate) fn mapping(on_disk: u32, shown_as: u32) -> Result<OwnedFd, Errno> {
    let holder = Holder::new()?;
    let map = format!("{on_disk} {shown_as} 1");
    let folder = format!("/proc/{}", holder.pid);
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("{folder}/{file}"), &map)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    }
    let path = format!("{folder}/ns/user");
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, FileMode::empty())
}

/// A process that does nothing in a user namespace of its own.
struct Holder {
    pid: u32,
    pidfd: OwnedFd,
    _stack: Stack,
}

impl Holder {
    fn new() -> Result<Self, Errno> {
        let stack = Stack::new()?;
        let mut pidfd = -1i32;
        let mut args = CloneArgs {
            flags: (libc::CLONE_VM | libc::CLONE_NEWUSER | libc::CLONE_PIDFD) as u64
                | CLONE_CLEAR_SIGHAND,
            pidfd: &raw mut pidfd as u64,
            ..CloneArgs::default()
        };
        stack.lend(&mut args);
        let blocked = SignalsBlocked::new();
        // SAFETY: the stack is fresh and lives as long as the child, which only sleeps.
        let pid = unsafe { kernel::clone_onto(&args, sleep, std::ptr::null()) }?;
        drop(blocked);
        // SAFETY: the kernel wrote a new descriptor.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Self {
            pid,
            pidfd,
            _stack: stack,
        })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        crate::process::reap(self.pidfd.as_fd());
    }
}

/// `CLONE_CLEAR_SIGHAND` of clone3(2).
pub(crate) const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

unsafe extern "C" fn sleep(_: *const ()) -> ! {
    loop {
        // SAFETY: a call without pointers: no descriptors, no timeout, no mask.
        unsafe { kernel::call(libc::SYS_ppoll as usize, [0; 6]) };
    }
}
