//! Other processes: their memory, their descriptors, their life, and what processes share.

use crate::files::pids;
use crate::raw::{self, Arg};
use crate::runner::{Miss, Outcome, Probe, seen};
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use toft_testkit::probe::{SECRET, Targets};

const SYS_ADMIN: &str = "setns to the machine's namespaces needs CAP_SYS_ADMIN";
const NICE: &str = "needs CAP_SYS_NICE";

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("see-process", "see another's command line", "", see),
    Probe::new("read-environ", "read another's environment", "", environ),
    Probe::new(
        "read-proc-mem",
        "read another's memory through /proc",
        "",
        proc_mem,
    ),
    Probe::new("read-maps", "read another's memory map", "", maps),
    Probe::new("ptrace", "ptrace another", "", ptrace),
    Probe::new("process-vm-readv", "process_vm_readv", "", |t| {
        vm(t, libc::SYS_process_vm_readv)
    }),
    Probe::new("process-vm-writev", "process_vm_writev", "", |t| {
        vm(t, libc::SYS_process_vm_writev)
    }),
    Probe::new(
        "process-madvise",
        "page another's memory out",
        NICE,
        madvise,
    ),
    Probe::new("signal", "signal another", "", signal),
    Probe::new("pidfd-open", "hold another by a pidfd", "", |t| {
        pidfd(t).map(drop)
    }),
    Probe::new(
        "pidfd-signal",
        "signal another through a pidfd",
        "",
        pidfd_signal,
    ),
    Probe::new("pidfd-getfd", "take another's descriptor", "", pidfd_getfd),
    Probe::new(
        "kcmp",
        "compare another's descriptors with one's own",
        "",
        kcmp,
    ),
    Probe::new("prlimit", "change another's limits", "", prlimit),
    Probe::new("renice", "change another's priority", "", renice),
    Probe::new("affinity", "bind another to one processor", "", affinity),
    Probe::new("setns-mounts", "enter another's mounts", SYS_ADMIN, |t| {
        setns(t, "mnt")
    }),
    Probe::new("setns-network", "enter another's network", SYS_ADMIN, |t| {
        setns(t, "net")
    }),
    Probe::new(
        "setns-pidfd",
        "enter all of another's namespaces",
        SYS_ADMIN,
        setns_pidfd,
    ),
    Probe::new(
        "shared-memory",
        "attach System V shared memory",
        "",
        shared_memory,
    ),
    Probe::new(
        "message-queue",
        "open a POSIX message queue",
        "",
        message_queue,
    ),
    Probe::new("nice", "take more of the processor than others", NICE, nice),
    Probe::new("fork-bomb", "have 300 processes at once", "", fork_bomb),
];

fn victim(t: &Targets) -> i64 {
    t.victim.into()
}

/// Whether any process that can be seen is the victim.
fn see(t: &Targets) -> Outcome {
    let lines = pids(t)
        .into_iter()
        .filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok());
    seen(
        lines
            .into_iter()
            .any(|line| line.windows(7).any(|word| word == b"\0victim")),
    )
}

fn environ(t: &Targets) -> Outcome {
    let mut last = Err(Miss::Errno(libc::ENOENT));
    for pid in pids(t) {
        match fs::read(format!("/proc/{pid}/environ")) {
            Ok(bytes) if String::from_utf8_lossy(&bytes).contains("VICTIMS_SECRET") => {
                return Ok(());
            }
            Err(error) if raw::errno_of(&error) == libc::EACCES => last = Err(error.into()),
            _ => {}
        }
    }
    last
}

fn proc_mem(t: &Targets) -> Outcome {
    let memory = File::open(format!("/proc/{}/mem", t.victim))?;
    let mut text = vec![0; SECRET.len()];
    memory.read_exact_at(&mut text, t.victim_address)?;
    seen(text == SECRET.as_bytes())
}

fn maps(t: &Targets) -> Outcome {
    seen(!fs::read(format!("/proc/{}/maps", t.victim))?.is_empty())
}

fn ptrace(t: &Targets) -> Outcome {
    raw::call(
        libc::SYS_ptrace,
        [
            (libc::PTRACE_SEIZE as i32).into(),
            victim(t).into(),
            0.into(),
            0.into(),
        ],
    )?;
    Ok(()) // The end of this child detaches it.
}

/// Reads the victim's secret, or writes the same words over it.
fn vm(t: &Targets, number: libc::c_long) -> Outcome {
    let mut buffer = SECRET.as_bytes().to_vec();
    let length = buffer.len() as u64;
    if number == libc::SYS_process_vm_readv {
        buffer.fill(0);
    }
    let local = [
        (buffer.as_mut_ptr() as u64).to_ne_bytes(),
        length.to_ne_bytes(),
    ]
    .concat();
    let remote = [t.victim_address.to_ne_bytes(), length.to_ne_bytes()].concat();
    raw::call(
        number,
        [
            victim(t).into(),
            Arg::In(&local),
            1.into(),
            Arg::In(&remote),
            1.into(),
            0.into(),
        ],
    )?;
    seen(buffer == SECRET.as_bytes())
}

fn madvise(t: &Targets) -> Outcome {
    const MADV_COLD: i32 = 20;
    let fd = pidfd(t)?;
    let page = t.victim_address & !4095;
    let range = [page.to_ne_bytes(), 4096u64.to_ne_bytes()].concat();
    raw::call(
        libc::SYS_process_madvise,
        [
            fd.as_raw_fd().into(),
            Arg::In(&range),
            1.into(),
            MADV_COLD.into(),
            0.into(),
        ],
    )?;
    Ok(())
}

fn signal(t: &Targets) -> Outcome {
    raw::call(libc::SYS_kill, [victim(t).into(), libc::SIGURG.into()])?;
    Ok(())
}

fn pidfd(t: &Targets) -> Result<OwnedFd, Miss> {
    Ok(raw::call_fd(
        libc::SYS_pidfd_open,
        [victim(t).into(), 0.into()],
    )?)
}

fn pidfd_signal(t: &Targets) -> Outcome {
    let fd = pidfd(t)?;
    raw::call(
        libc::SYS_pidfd_send_signal,
        [
            fd.as_raw_fd().into(),
            libc::SIGURG.into(),
            0.into(),
            0.into(),
        ],
    )?;
    Ok(())
}

/// The victim's standard input, which is always there.
fn pidfd_getfd(t: &Targets) -> Outcome {
    let fd = pidfd(t)?;
    raw::call_fd(
        libc::SYS_pidfd_getfd,
        [fd.as_raw_fd().into(), 0.into(), 0.into()],
    )?;
    Ok(())
}

fn kcmp(t: &Targets) -> Outcome {
    let me = i64::from(std::process::id());
    raw::call(
        libc::SYS_kcmp,
        [me.into(), victim(t).into(), 0.into(), 0.into(), 0.into()],
    )?;
    Ok(())
}

/// Sets the victim's limit of core files to what it is.
fn prlimit(t: &Targets) -> Outcome {
    let mut limit = [0; 16];
    let core = libc::RLIMIT_CORE as i32;
    raw::call(
        libc::SYS_prlimit64,
        [
            victim(t).into(),
            core.into(),
            0.into(),
            Arg::Out(&mut limit),
        ],
    )?;
    raw::call(
        libc::SYS_prlimit64,
        [victim(t).into(), core.into(), Arg::In(&limit), 0.into()],
    )?;
    Ok(())
}

fn renice(t: &Targets) -> Outcome {
    raw::call(
        libc::SYS_setpriority,
        [
            (libc::PRIO_PROCESS as i32).into(),
            victim(t).into(),
            1.into(),
        ],
    )?;
    Ok(())
}

fn affinity(t: &Targets) -> Outcome {
    raw::call(
        libc::SYS_sched_setaffinity,
        [victim(t).into(), 8.into(), Arg::In(&1u64.to_ne_bytes())],
    )?;
    Ok(())
}

fn setns(t: &Targets, kind: &str) -> Outcome {
    let mut last = Err(Miss::Errno(libc::ENOENT));
    for pid in [t.victim, 1] {
        // Its own init's namespaces are no other's.
        let (own, other) = (
            format!("/proc/self/ns/{kind}"),
            format!("/proc/{pid}/ns/{kind}"),
        );
        match File::open(&other) {
            Ok(file) if pid == t.victim || fs::read_link(own).ok() != fs::read_link(other).ok() => {
                match raw::call(libc::SYS_setns, [file.as_raw_fd().into(), 0.into()]) {
                    Ok(_) => return Ok(()),
                    Err(errno) => last = Err(Miss::Errno(errno)),
                }
            }
            Ok(_) => {}
            Err(error) => last = Err(error.into()),
        }
    }
    last
}

fn setns_pidfd(t: &Targets) -> Outcome {
    let fd = pidfd(t)?;
    let kinds = libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    raw::call(libc::SYS_setns, [fd.as_raw_fd().into(), kinds.into()])?;
    Ok(())
}

fn shared_memory(t: &Targets) -> Outcome {
    let id = raw::call(libc::SYS_shmget, [t.shm_key.into(), 4096.into(), 0.into()])?;
    raw::call(
        libc::SYS_shmat,
        [id.into(), 0.into(), libc::SHM_RDONLY.into()],
    )?;
    Ok(())
}

fn message_queue(t: &Targets) -> Outcome {
    let name = CString::new(&t.queue[1..]).unwrap_or_default();
    raw::call_fd(
        libc::SYS_mq_open,
        [Arg::from(&name), libc::O_RDONLY.into(), 0.into(), 0.into()],
    )?;
    Ok(())
}

fn nice(_: &Targets) -> Outcome {
    raw::call(
        libc::SYS_setpriority,
        [(libc::PRIO_PROCESS as i32).into(), 0.into(), (-10).into()],
    )?;
    Ok(())
}

/// Bounded, and ended with the probe's process group.
fn fork_bomb(_: &Targets) -> Outcome {
    for _ in 0..300 {
        let (_, child) = raw::fork()?;
        if child {
            let forever = rustix::event::Timespec {
                tv_sec: 30,
                tv_nsec: 0,
            };
            // Whatever ends this wait, the child is done.
            let _ = rustix::event::poll(&mut [], Some(&forever));
            raw::leave(0);
        }
    }
    Ok(())
}
