//! What a program cannot reach.

use crate::help::{self, no_cgroups, part, part_view, shell, start};

#[test]
fn it_has_no_rights_left() {
    if !help::walls() {
        return;
    }
    let went = shell("grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp):|^Cap' /proc/self/status");
    let value = |key: &str| {
        let line = went
            .said
            .lines()
            .find(|line| line.starts_with(&format!("{key}:")));
        line.unwrap_or_else(|| panic!("{key}: {}", went.said))
            .split_once(':')
            .unwrap()
            .1
            .trim()
    };
    let uid = help::inner_uid();
    for key in ["Uid", "Gid"] {
        assert_eq!(value(key), format!("{uid}\t{uid}\t{uid}\t{uid}"));
    }
    for key in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(key), "0000000000000000", "{key}");
    }
    assert_eq!((value("NoNewPrivs"), value("Seccomp")), ("1", "2"));
    if help::mode() == toft_model::sandbox::Mode::Root {
        assert_eq!(value("Groups"), "");
    }
}

#[test]
fn it_sees_only_its_own_processes_and_cannot_touch_init() {
    if !help::walls() {
        return;
    }
    let went =
        shell("echo /proc/[0-9]*; ls /proc/1/fd; cat /proc/1/environ; kill -9 1; echo alive");
    assert!(went.said.starts_with("/proc/1 /proc/2\n"), "{}", went.said);
    assert!(went.said.contains("/proc/1/fd'"), "{}", went.said);
    assert!(
        went.said.contains("/proc/1/environ: Permission denied"),
        "{}",
        went.said
    );
    assert!(went.said.ends_with("alive\n"), "{}", went.said);
}

#[test]
fn the_kernel_behind_it_is_walled_off() {
    if !help::walls() {
        return;
    }
    let went = start(&part("calls"), &part_view(), &no_cgroups())
        .unwrap()
        .wait();
    let said: Vec<&str> = went
        .said
        .lines()
        .filter(|line| {
            !line.is_empty() && !line.starts_with("running") && !line.starts_with("test ")
        })
        .collect();
    // 1 EPERM, 9 EBADF, 38 ENOSYS, 93 EPROTONOSUPPORT, 97 EAFNOSUPPORT, 101 ENETUNREACH
    let mut expected = vec![
        "tcp 0",
        "mptcp 93",
        "raw 1",
        "packet 97",
        "vsock 97",
        "route 0",
        "audit 93",
        "io_uring 38",
        "unshare 1",
        "clone3 38",
        "clone 1",
        "ptrace 1",
        "bpf 1",
        "keyctl 1",
        "userfaultfd 1",
        "mount 1",
        "chroot 1",
    ];
    let user = help::mode() == toft_model::sandbox::Mode::User;
    // A plain user's namespace has no user 0 at all.
    expected.extend([
        if user { "setuid 22" } else { "setuid 1" },
        "kill init 0",
        "by handle 1",
    ]);
    if cfg!(target_arch = "x86_64") {
        expected.push("x32 38");
    }
    expected.push("far 101");
    assert_eq!(said, expected, "{}", went.said);
}

#[test]
fn what_can_be_written_cannot_be_run() {
    if !help::walls() {
        return;
    }
    let went = shell("cp /usr/bin/true /tmp/true && /tmp/true; echo $?");
    assert!(went.said.ends_with("126\n"), "{}", went.said);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_call_of_another_architecture_is_the_end() {
    if !help::walls() {
        return;
    }
    let went = start(&part("foreign"), &part_view(), &no_cgroups())
        .unwrap()
        .wait();
    let killed = toft_model::instance::End::Signal(libc::SIGSYS);
    assert_eq!(
        went.status,
        Some(toft_sandbox::Status::Ended(killed)),
        "{}",
        went.said
    );
}
