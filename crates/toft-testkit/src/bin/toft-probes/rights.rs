//! Rights over the machine: its clock, its users, its limits, its cgroups and its settings.

use crate::raw::Arg;
use crate::runner::{Miss, Outcome, Probe, one};
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use toft_testkit::probe::Targets;

const ADMIN: &str = "needs CAP_SYS_ADMIN";
const RAWIO: &str = "needs CAP_SYS_RAWIO";
const RESOURCE: &str = "needs CAP_SYS_RESOURCE";
const TIME: &str = "needs CAP_SYS_TIME";
const ROOTS: &str = "the file is root's";
const CAP_SYS_RESOURCE: u32 = 24;
const SET: &str = "needs CAP_SETUID or CAP_SETGID";

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("set-time", "set the clock (to nothing)", TIME, |_| {
        one(libc::SYS_settimeofday, [0.into(), 0.into()])
    }),
    Probe::new(
        "set-hostname",
        "rename the machine (to what it is called)",
        ADMIN,
        set_hostname,
    ),
    Probe::new(
        "kernel-log",
        "read the kernel's log",
        "dmesg_restrict is on",
        kernel_log,
    ),
    Probe::new("port-io", "have an IO port", RAWIO, port_io),
    Probe::new("become-root", "setuid(0)", SET, |_| {
        one(libc::SYS_setresuid, [0.into(), 0.into(), 0.into()])
    }),
    Probe::new("become-other", "setuid to another user", SET, |_| {
        one(libc::SYS_setresuid, [7.into(), 7.into(), 7.into()])
    }),
    Probe::new("join-groups", "setgroups", SET, |_| {
        one(libc::SYS_setgroups, [1.into(), Arg::In(&[6, 0, 0, 0])])
    }),
    Probe::new(
        "regain-capabilities",
        "capset to have CAP_SYS_ADMIN",
        "there is none to be regained",
        capset,
    ),
    Probe::new("raise-limits", "raise a hard limit", RESOURCE, raise_limits),
    Probe::new(
        "oom-exempt",
        "be exempt from the out-of-memory killer",
        RESOURCE,
        oom_exempt,
    ),
    Probe::new("cgroup-make", "make a cgroup", ROOTS, cgroup_make),
    Probe::new("cgroup-leave", "leave one's cgroup", ROOTS, cgroup_leave),
    Probe::new(
        "proc-sys-write",
        "open /proc/sys/kernel/core_pattern for writing",
        ROOTS,
        |_| writable("/proc/sys/kernel/core_pattern"),
    ),
    Probe::new(
        "proc-sys-net-write",
        "open /proc/sys/net/core/somaxconn for writing",
        ROOTS,
        |_| writable("/proc/sys/net/core/somaxconn"),
    ),
    Probe::new(
        "sysrq",
        "open /proc/sysrq-trigger for writing",
        ROOTS,
        |_| writable("/proc/sysrq-trigger"),
    ),
    Probe::new(
        "kernel-memory",
        "read the kernel's memory (/proc/kcore)",
        ROOTS,
        kernel_memory,
    ),
    Probe::new(
        "sys-write",
        "open a file of /sys for writing",
        ROOTS,
        |_| writable("/sys/kernel/mm/ksm/run"),
    ),
];

fn set_hostname(_: &Targets) -> Outcome {
    let name = rustix::system::uname();
    let name = name.nodename().to_bytes();
    one(
        libc::SYS_sethostname,
        [Arg::In(name), (name.len() as i64).into()],
    )
}

fn kernel_log(_: &Targets) -> Outcome {
    const READ_ALL: i32 = 3;
    let mut text = [0; 256];
    one(
        libc::SYS_syslog,
        [READ_ALL.into(), Arg::Out(&mut text), 256.into()],
    )
}

#[cfg(target_arch = "x86_64")]
fn port_io(_: &Targets) -> Outcome {
    one(libc::SYS_ioperm, [0x80.into(), 1.into(), 1.into()])
}

#[cfg(not(target_arch = "x86_64"))]
fn port_io(_: &Targets) -> Outcome {
    Err(Miss::NotHere("this processor has no IO ports"))
}

fn capset(_: &Targets) -> Outcome {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3.to_ne_bytes(), [0; 4]].concat();
    let admin = (1u32 << 21).to_ne_bytes();
    let data = [admin, admin, [0; 4], [0; 4], [0; 4], [0; 4]].concat();
    one(libc::SYS_capset, [Arg::In(&header), Arg::In(&data)])
}

/// Some machines keep capabilities from root itself; then nothing can be shown outside.
fn unless_root_lacks(capability: u32) -> Outcome {
    let status = fs::read_to_string("/proc/self/status")?;
    let held = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:\t")?, 16).ok());
    match held {
        Some(held) if rustix::process::geteuid().is_root() && held >> capability & 1 == 0 => Err(
            Miss::NotHere("this machine keeps the capability from root itself"),
        ),
        _ => Ok(()),
    }
}

fn oom_exempt(_: &Targets) -> Outcome {
    unless_root_lacks(CAP_SYS_RESOURCE)?;
    Ok(fs::write("/proc/self/oom_score_adj", "-1000")?)
}

/// Open files, one more than may be had.
fn raise_limits(_: &Targets) -> Outcome {
    unless_root_lacks(CAP_SYS_RESOURCE)?;
    let mut limit = [0; 16];
    let files = libc::RLIMIT_NOFILE as i32;
    one(
        libc::SYS_prlimit64,
        [0.into(), files.into(), 0.into(), Arg::Out(&mut limit)],
    )?;
    let hard = u64::from_ne_bytes(limit[8..].try_into().unwrap_or_default());
    limit[8..].copy_from_slice(&(hard + 1).to_ne_bytes());
    one(
        libc::SYS_prlimit64,
        [0.into(), files.into(), Arg::In(&limit), 0.into()],
    )
}

/// Opens it for writing and writes nothing.
fn writable(path: &str) -> Outcome {
    on_machine(path)?;
    Ok(OpenOptions::new().write(true).open(path).map(drop)?)
}

/// Not every kernel is built with each of these files.
fn on_machine(path: &str) -> Outcome {
    if Path::new(path).exists() {
        Ok(())
    } else {
        Err(Miss::NotHere("there is no such file"))
    }
}

fn kernel_memory(_: &Targets) -> Outcome {
    on_machine("/proc/kcore")?;
    Ok(File::open("/proc/kcore").map(drop)?)
}

/// In any of the machine's hierarchies, or in one's own.
fn any_cgroup(t: &Targets, act: impl Fn(&Path) -> Outcome) -> Outcome {
    let mut last = Err(Miss::Errno(libc::ENOENT));
    for top in &t.cgroups {
        match act(top) {
            Ok(()) => return Ok(()),
            Err(Miss::Errno(libc::ENOENT)) => {}
            refused => last = refused,
        }
    }
    last
}

fn cgroup_make(t: &Targets) -> Outcome {
    any_cgroup(t, |top| {
        let made = top.join(format!("toft-probe-{}", std::process::id()));
        fs::create_dir(&made)?;
        Ok(fs::remove_dir(&made)?)
    })
}

fn cgroup_leave(t: &Targets) -> Outcome {
    any_cgroup(t, |top| Ok(fs::write(top.join("cgroup.procs"), "0")?))
}
