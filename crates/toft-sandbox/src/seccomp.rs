//! Which system calls an instance may make.
//!
//! Everything that programs use is allowed; what opens kernel surface beyond that is refused with
//! the errno after which programs take another way:
//!
//! - a call of a foreign architecture ends the process; x32 does not exist (`ENOSYS`);
//! - `clone3` does not exist (`ENOSYS`): its flags sit in memory that a filter cannot read, and C
//!   libraries fall back to `clone`, whose namespace flags are refused;
//! - io_uring does not exist (`ENOSYS`): its operations pass by every filter;
//! - sockets are unix, IPv4 and IPv6 (TCP, UDP, ping), and netlink's routing family, which
//!   `getifaddrs` needs and which shows an instance nothing but its own loopback. Everything else,
//!   MPTCP among it, is “not supported” (`EPROTONOSUPPORT`, `EAFNOSUPPORT`), so that runtimes fall
//!   back to TCP;
//! - namespaces, mounts, tracing, other processes' memory, BPF, performance counters, keys, modules,
//!   clocks, swap and the rest of administration are not permitted (`EPERM`).

use crate::bpf::{Case, Field, Filter, Test, Verdict};
use libc::{EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT, c_long, sock_filter};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use toft_model::sandbox::Calls;

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

/// Calls that numbers from here on belong to x32.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// The namespace flags of clone(2): NS, CGROUP, UTS, IPC, USER, PID, NET.
const NAMESPACES: u32 = 0x7e02_0000;

/// Not permitted.
const FORBIDDEN: &[c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    SYS_OPEN_TREE_ATTR,
    SYS_STATMOUNT,
    SYS_LISTMOUNT,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
];

/// As if the kernel did not have them.
const ABSENT: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

// Younger than the C library's headers; the numbers are the same on every architecture.
const SYS_STATMOUNT: c_long = 457;
const SYS_LISTMOUNT: c_long = 458;
const SYS_OPEN_TREE_ATTR: c_long = 467;

/// The filter for a family of calls. Written once.
pub(crate) fn filter(calls: Calls) -> &'static [sock_filter] {
    static APP: OnceLock<Vec<sock_filter>> = OnceLock::new();
    match calls {
        Calls::App | Calls::Role => APP.get_or_init(write),
    }
}

fn write() -> Vec<sock_filter> {
    let mut f = Filter::default();
    f.load(Field::ARCH);
    f.unless(Test::Equal(ARCH), Verdict::Kill);
    f.load(Field::NUMBER);
    #[cfg(target_arch = "x86_64")]
    f.when(Test::AtLeast(X32), Verdict::Errno(ENOSYS));
    let mut cases = BTreeMap::new();
    for (calls, errno) in [(ABSENT, ENOSYS), (FORBIDDEN, EPERM)] {
        for call in calls {
            cases.insert(*call as u32, Case::Verdict(Verdict::Errno(errno)));
        }
    }
    cases.insert(libc::SYS_socket as u32, Case::Then(socket));
    cases.insert(libc::SYS_socketpair as u32, Case::Then(socket_pair));
    cases.insert(libc::SYS_clone as u32, Case::Then(clone));
    cases.insert(libc::SYS_ioctl as u32, Case::Then(ioctl));
    cases.insert(libc::SYS_personality as u32, Case::Then(personality));
    f.cases(cases);
    f.finish()
}

fn clone(f: &mut Filter) {
    f.load(Field::argument(0));
    f.when(Test::AnyBit(NAMESPACES), Verdict::Errno(EPERM));
    f.end(Verdict::Allow);
}

/// Typing into a terminal that is not one's own.
fn ioctl(f: &mut Filter) {
    f.load(Field::argument(1));
    f.when_any(
        &[libc::TIOCSTI as u32, libc::TIOCLINUX as u32],
        Verdict::Errno(EPERM),
    );
    f.end(Verdict::Allow);
}

/// As it is, and the question what it is.
fn personality(f: &mut Filter) {
    f.load(Field::argument(0));
    f.when_any(&[0, u32::MAX], Verdict::Allow);
    f.end(Verdict::Errno(EPERM));
}

/// socket(family, type, protocol).
fn socket(f: &mut Filter) {
    const TYPE_MASK: u32 = 0xf;
    const SOCK_PACKET: u32 = 10;
    f.load(Field::argument(0));
    f.when(Test::Equal(libc::AF_UNIX as u32), Verdict::Allow);
    f.branch(Test::Equal(libc::AF_NETLINK as u32), |f| {
        f.load(Field::argument(2));
        f.when(Test::Equal(libc::NETLINK_ROUTE as u32), Verdict::Allow);
        f.end(Verdict::Errno(EPROTONOSUPPORT));
    });
    // IPv4 and IPv6 go on below.
    let families = [libc::AF_INET as u32, libc::AF_INET6 as u32];
    f.branch(Test::Equal(families[0]), inet);
    f.branch(Test::Equal(families[1]), inet);
    f.end(Verdict::Errno(EAFNOSUPPORT));

    fn inet(f: &mut Filter) {
        f.load(Field::argument(1));
        f.mask(TYPE_MASK);
        f.when_any(&[libc::SOCK_RAW as u32, SOCK_PACKET], Verdict::Errno(EPERM));
        f.load(Field::argument(2));
        let usual = [
            0,
            libc::IPPROTO_TCP,
            libc::IPPROTO_UDP,
            libc::IPPROTO_ICMP,
            libc::IPPROTO_ICMPV6,
        ];
        f.when_any(&usual.map(|protocol| protocol as u32), Verdict::Allow);
        f.end(Verdict::Errno(EPROTONOSUPPORT));
    }
}

/// socketpair(family, …): unix alone.
fn socket_pair(f: &mut Filter) {
    f.load(Field::argument(0));
    f.when(Test::Equal(libc::AF_UNIX as u32), Verdict::Allow);
    f.end(Verdict::Errno(EAFNOSUPPORT));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::decide;

    const ALLOWED: u32 = 0x7fff_0000;
    const fn errno(number: i32) -> u32 {
        0x0005_0000 | number as u32
    }

    fn verdict(call: c_long, args: [u64; 6]) -> u32 {
        decide(filter(Calls::App), ARCH, call as u32, args)
    }

    #[test]
    fn what_programs_use_is_allowed() {
        for call in [
            libc::SYS_read,
            libc::SYS_execve,
            libc::SYS_openat,
            libc::SYS_futex,
            libc::SYS_mmap,
        ] {
            assert_eq!(verdict(call, [0; 6]), ALLOWED);
        }
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u64;
        assert_eq!(verdict(libc::SYS_clone, [thread, 0, 0, 0, 0, 0]), ALLOWED);
        assert_eq!(
            verdict(libc::SYS_personality, [u64::from(u32::MAX), 0, 0, 0, 0, 0]),
            ALLOWED
        );
    }

    #[test]
    fn sockets_are_few_families_and_protocols() {
        let socket = |family: i32, kind: i32, protocol: i32| {
            verdict(
                libc::SYS_socket,
                [family as u64, kind as u64, protocol as u64, 0, 0, 0],
            )
        };
        let stream = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        assert_eq!(socket(libc::AF_INET, stream, 0), ALLOWED);
        assert_eq!(
            socket(libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
            ALLOWED
        );
        assert_eq!(socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0), ALLOWED);
        assert_eq!(
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
            ALLOWED
        );
        assert_eq!(
            socket(libc::AF_INET, stream, libc::IPPROTO_MPTCP),
            errno(EPROTONOSUPPORT)
        );
        assert_eq!(
            socket(libc::AF_INET, stream, libc::IPPROTO_SCTP),
            errno(EPROTONOSUPPORT)
        );
        assert_eq!(socket(libc::AF_INET, libc::SOCK_RAW, 1), errno(EPERM));
        assert_eq!(
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT),
            errno(EPROTONOSUPPORT)
        );
        for family in [
            libc::AF_VSOCK,
            libc::AF_PACKET,
            libc::AF_ALG,
            libc::AF_BLUETOOTH,
            libc::AF_XDP,
        ] {
            assert_eq!(socket(family, libc::SOCK_DGRAM, 0), errno(EAFNOSUPPORT));
        }
    }

    #[test]
    fn kernel_surface_is_refused() {
        for call in FORBIDDEN {
            assert_eq!(verdict(*call, [0; 6]), errno(EPERM), "call {call}");
        }
        for call in ABSENT {
            assert_eq!(verdict(*call, [0; 6]), errno(ENOSYS), "call {call}");
        }
        for flag in [
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWNS,
            libc::CLONE_NEWNET,
            libc::CLONE_NEWCGROUP,
        ] {
            assert_eq!(
                verdict(libc::SYS_clone, [flag as u32 as u64, 0, 0, 0, 0, 0]),
                errno(EPERM)
            );
        }
        assert_eq!(
            verdict(libc::SYS_ioctl, [0, libc::TIOCSTI, 0, 0, 0, 0]),
            errno(EPERM)
        );
        assert_eq!(
            verdict(libc::SYS_personality, [0x0004_0000, 0, 0, 0, 0, 0]),
            errno(EPERM)
        );
    }

    #[test]
    fn every_call_that_is_not_named_is_allowed() {
        let looked_into = [
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_personality,
        ]
        .as_slice();
        for call in 0..600 {
            if ![ABSENT, FORBIDDEN, looked_into]
                .iter()
                .any(|list| list.contains(&call))
            {
                assert_eq!(verdict(call, [0; 6]), ALLOWED, "call {call}");
            }
        }
        assert!(
            filter(Calls::App).len() < 250,
            "{} instructions",
            filter(Calls::App).len()
        );
    }

    #[test]
    fn foreign_architectures_end_the_process() {
        assert_eq!(
            decide(filter(Calls::App), 0x4000_0003, 0, [0; 6]),
            0x8000_0000
        );
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            decide(filter(Calls::App), ARCH, X32 | 1, [0; 6]),
            errno(ENOSYS)
        );
    }
}
