//! The kernel itself: namespaces, mounts, and calls that no app needs.

use crate::raw::{self, Arg, c_path};
use crate::runner::{Miss, Outcome, Probe, checked, fd, one};
use std::fs::File;
use std::os::fd::AsRawFd;
use toft_testkit::probe::Targets;

const ADMIN: &str = "needs CAP_SYS_ADMIN";
const BOOT: &str = "needs CAP_SYS_BOOT";
const MODULE: &str = "needs CAP_SYS_MODULE";

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("user-namespace", "unshare(CLONE_NEWUSER)", "", |_| {
        unshare(libc::CLONE_NEWUSER)
    }),
    Probe::new(
        "user-namespace-clone",
        "clone with CLONE_NEWUSER",
        "",
        clone_user,
    ),
    Probe::new(
        "user-namespace-clone3",
        "clone3 with CLONE_NEWUSER",
        "",
        clone3_user,
    ),
    Probe::new(
        "user-namespace-mount",
        "mount in a user namespace of one's own",
        "",
        user_mount,
    ),
    Probe::new("mount-namespace", "unshare(CLONE_NEWNS)", ADMIN, |_| {
        unshare(libc::CLONE_NEWNS)
    }),
    Probe::new("network-namespace", "unshare(CLONE_NEWNET)", ADMIN, |_| {
        unshare(libc::CLONE_NEWNET)
    }),
    Probe::new("pid-namespace", "unshare(CLONE_NEWPID)", ADMIN, |_| {
        unshare(libc::CLONE_NEWPID)
    }),
    Probe::new("mount", "mount a tmpfs", ADMIN, mount),
    Probe::new("mount-proc", "mount another /proc", ADMIN, mount_proc),
    Probe::new("bind-mount", "bind / somewhere", ADMIN, bind),
    Probe::new("remount", "make read-only mounts writable", ADMIN, remount),
    Probe::new(
        "unmount",
        "unmount /proc to see what is below",
        ADMIN,
        unmount,
    ),
    Probe::new("open-tree", "open_tree with a clone", ADMIN, open_tree),
    Probe::new("fsopen", "fsopen", ADMIN, |_| {
        fd(libc::SYS_fsopen, [Arg::Text(c"tmpfs"), 0.into()])
    }),
    Probe::new("mount-setattr", "mount_setattr on /", ADMIN, mount_setattr),
    Probe::new("pivot-root", "pivot_root", ADMIN, pivot_root),
    Probe::new("chroot", "chroot", "needs CAP_SYS_CHROOT", |_| {
        one(libc::SYS_chroot, [Arg::Text(c"/")])
    }),
    Probe::new(
        "bpf-map",
        "make a BPF map",
        "unprivileged BPF is off",
        |_| bpf(0, &[2, 4, 4, 1]),
    ),
    Probe::new(
        "bpf-program",
        "load a BPF program",
        "unprivileged BPF is off",
        bpf_program,
    ),
    Probe::new(
        "perf",
        "perf_event_open on oneself",
        "perf_event_paranoid forbids it",
        perf,
    ),
    Probe::new("userfaultfd", "userfaultfd", "", |_| {
        fd(libc::SYS_userfaultfd, [1.into()])
    }),
    Probe::new("key-add", "add a key to a keyring", "", key_add),
    Probe::new("key-search", "keyctl on the session's keyring", "", |_| {
        one(libc::SYS_keyctl, [0.into(), (-3).into(), 1.into()])
    }),
    Probe::new(
        "personality",
        "switch off address randomisation",
        "",
        personality,
    ),
    Probe::new("x32-call", "a call by the x32 numbers", "", x32),
    Probe::new("int80-call", "a call through the 32-bit gate", "", int80),
    Probe::new("fanotify", "watch a whole filesystem", "", |_| {
        fd(libc::SYS_fanotify_init, [0x200.into(), 0.into()])
    }),
    Probe::new("kexec", "load another kernel", BOOT, |_| {
        checked(
            libc::SYS_kexec_load,
            [0.into(), 99.into(), 0.into(), 0.into()],
        )
    }),
    Probe::new("module-load", "load a module", MODULE, |_| {
        checked(libc::SYS_init_module, [0.into(), 0.into(), Arg::Text(c"")])
    }),
    Probe::new(
        "module-load-file",
        "load a module from a file",
        MODULE,
        module_file,
    ),
    Probe::new("module-remove", "remove a module", MODULE, |_| {
        checked(
            libc::SYS_delete_module,
            [Arg::Text(c"no-such-module"), 0.into()],
        )
    }),
    Probe::new(
        "reboot",
        "reboot (with a number that is refused after the check)",
        BOOT,
        |_| checked(libc::SYS_reboot, [0.into(), 0.into(), 0.into(), 0.into()]),
    ),
    Probe::new("swapon", "swap to a file", ADMIN, |_| {
        checked(libc::SYS_swapon, [Arg::Text(c"/no/such/file"), 0.into()])
    }),
    Probe::new(
        "accounting",
        "process accounting",
        "needs CAP_SYS_PACCT",
        |_| checked(libc::SYS_acct, [Arg::Text(c"/no/such/file")]),
    ),
];

fn unshare(kinds: i32) -> Outcome {
    one(libc::SYS_unshare, [kinds.into()])
}

fn clone_user(_: &Targets) -> Outcome {
    let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
    child(raw::call(
        libc::SYS_clone,
        [flags.into(), 0.into(), 0.into(), 0.into(), 0.into()],
    ))
}

fn clone3_user(_: &Targets) -> Outcome {
    let mut args = [0u8; 88];
    args[..8].copy_from_slice(&(libc::CLONE_NEWUSER as u64).to_ne_bytes());
    args[32..40].copy_from_slice(&(libc::SIGCHLD as u64).to_ne_bytes());
    child(raw::call(libc::SYS_clone3, [Arg::In(&args), 88.into()]))
}

fn child(made: Result<i64, raw::Errno>) -> Outcome {
    match made? {
        0 => raw::leave(0),
        pid => {
            raw::wait_for(pid as libc::pid_t);
            Ok(())
        }
    }
}

/// The well-known road to the kernel's mount code for everybody.
fn user_mount(t: &Targets) -> Outcome {
    unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
    mount(t)
}

/// This child's mounts are its own from here on, or it has no right to change any: what a probe
/// changes must not come to the machine.
fn own_mounts() -> Outcome {
    match unshare(libc::CLONE_NEWNS) {
        Ok(()) => {
            let flags = (libc::MS_PRIVATE | libc::MS_REC) as i64;
            one(
                libc::SYS_mount,
                [0.into(), Arg::Text(c"/"), 0.into(), flags.into(), 0.into()],
            )
        }
        Err(_) if !rustix::process::geteuid().is_root() => Ok(()),
        refused => refused,
    }
}

fn mount_at(t: &Targets, kind: &std::ffi::CStr, flags: u64, source: &std::ffi::CStr) -> Outcome {
    own_mounts()?;
    let at = c_path(&t.writable);
    let flags = flags as i64;
    one(
        libc::SYS_mount,
        [
            Arg::Text(source),
            Arg::from(&at),
            Arg::Text(kind),
            flags.into(),
            0.into(),
        ],
    )
}

fn mount(t: &Targets) -> Outcome {
    mount_at(t, c"tmpfs", 0, c"tmpfs")
}

fn mount_proc(t: &Targets) -> Outcome {
    mount_at(t, c"proc", 0, c"proc")
}

fn bind(t: &Targets) -> Outcome {
    mount_at(t, c"", libc::MS_BIND, c"/")
}

/// Outside `/` is writable already; the call is what is tried.
fn remount(t: &Targets) -> Outcome {
    own_mounts()?;
    let at = if t.app.starts_with("/app") {
        c"/app"
    } else {
        c"/"
    };
    let flags = (libc::MS_BIND | libc::MS_REMOUNT) as i64;
    one(
        libc::SYS_mount,
        [0.into(), Arg::Text(at), 0.into(), flags.into(), 0.into()],
    )
}

fn unmount(_: &Targets) -> Outcome {
    own_mounts()?;
    one(
        libc::SYS_umount2,
        [Arg::Text(c"/proc"), libc::MNT_DETACH.into()],
    )
}

fn open_tree(_: &Targets) -> Outcome {
    const CLONE: i32 = 1;
    fd(
        libc::SYS_open_tree,
        [libc::AT_FDCWD.into(), Arg::Text(c"/"), CLONE.into()],
    )
}

/// Takes `nosuid` and `noexec` off.
fn mount_setattr(_: &Targets) -> Outcome {
    own_mounts()?;
    let mut attributes = [0; 32];
    attributes[8] = 0x02 | 0x08;
    one(
        libc::SYS_mount_setattr,
        [
            libc::AT_FDCWD.into(),
            Arg::Text(c"/"),
            0.into(),
            Arg::In(&attributes),
            32.into(),
        ],
    )
}

/// With a place that is no mount: EINVAL comes after the right is looked at.
fn pivot_root(_: &Targets) -> Outcome {
    own_mounts()?;
    checked(
        libc::SYS_pivot_root,
        [Arg::Text(c"/proc"), Arg::Text(c"/proc")],
    )
}

/// `words` are the first numbers of `union bpf_attr`.
fn bpf(command: i32, words: &[u32]) -> Outcome {
    let mut attributes = [0u8; 128];
    for (place, word) in attributes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    fd(
        libc::SYS_bpf,
        [command.into(), Arg::In(&attributes), 128.into()],
    )
}

/// A socket filter that says 0 and ends.
fn bpf_program(_: &Targets) -> Outcome {
    let program: [u64; 2] = [0xb7, 0x95]; // r0 = 0; exit
    let licence = c"GPL";
    let at = program.as_ptr() as u64;
    let text = licence.as_ptr() as u64;
    bpf(
        5,
        &[
            1,
            2,
            at as u32,
            (at >> 32) as u32,
            text as u32,
            (text >> 32) as u32,
        ],
    )
}

/// A software counter of this process, in user mode.
fn perf(_: &Targets) -> Outcome {
    let mut attributes = [0u8; 112];
    attributes[0] = 1; // PERF_TYPE_SOFTWARE
    attributes[4] = 112;
    fd(
        libc::SYS_perf_event_open,
        [
            Arg::In(&attributes),
            0.into(),
            (-1).into(),
            (-1).into(),
            0.into(),
        ],
    )
}

fn key_add(_: &Targets) -> Outcome {
    const PROCESS_KEYRING: i32 = -2;
    let (kind, name) = (c"user", c"toft-probe");
    one(
        libc::SYS_add_key,
        [
            Arg::Text(kind),
            Arg::Text(name),
            Arg::In(b"x"),
            1.into(),
            PROCESS_KEYRING.into(),
        ],
    )
}

fn personality(_: &Targets) -> Outcome {
    one(libc::SYS_personality, [libc::ADDR_NO_RANDOMIZE.into()])
}

fn x32(_: &Targets) -> Outcome {
    one(libc::SYS_getpid | 0x4000_0000, [])
}

#[cfg(target_arch = "x86_64")]
fn int80(_: &Targets) -> Outcome {
    match raw::int80_getpid() {
        pid if pid > 0 => Ok(()),
        errno => Err(Miss::Errno(i32::try_from(-errno).unwrap_or(libc::ENOSYS))),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn int80(_: &Targets) -> Outcome {
    Err(Miss::NotHere("this processor has no such gate"))
}

fn module_file(_: &Targets) -> Outcome {
    let file = File::open("/proc/self/exe")?;
    checked(
        libc::SYS_finit_module,
        [file.as_raw_fd().into(), Arg::Text(c""), 0.into()],
    )
}
