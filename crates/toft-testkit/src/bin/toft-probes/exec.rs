//! Programs that were not declared, and rights through programs.

use crate::WORKED;
use crate::raw::{self, Arg, c_path};
use crate::runner::{Miss, Outcome, Probe, seen};
use std::ffi::CStr;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use toft_testkit::probe::Targets;

pub(crate) const PROBES: &[Probe] = &[
    Probe::new(
        "exec-undeclared",
        "run a program that was not declared",
        "",
        |t| runs(&t.tool, c"worked"),
    ),
    Probe::new("exec-written", "write a program and run it", "", |t| {
        written(&t.writable)
    }),
    Probe::new("exec-written-tmp", "the same in /tmp", "", |_| {
        written(Path::new("/tmp"))
    }),
    Probe::new("exec-written-shm", "the same in /dev/shm", "", |_| {
        written(Path::new("/dev/shm"))
    }),
    Probe::new("exec-memfd", "run a program from memory", "", memfd),
    Probe::new(
        "exec-setuid",
        "become root through a set-uid program",
        "",
        |t| runs(&t.suid, c"euid"),
    ),
    Probe::new(
        "make-setuid",
        "make a set-uid copy and become somebody else",
        "the copy is one's own",
        make_setuid,
    ),
    Probe::new(
        "exec-package-manager",
        "find the machine's package manager",
        "",
        package_manager,
    ),
];

/// Whether the program ran and said so.
fn runs(path: &Path, argument: &CStr) -> Outcome {
    let path = c_path(path);
    let (pid, child) = raw::fork()?;
    if child {
        let errno = raw::exec(&path, argument);
        raw::leave(128 | (errno & 0x7f));
    }
    let status = raw::wait_for(pid);
    match libc::WEXITSTATUS(status) {
        _ if libc::WIFSIGNALED(status) => Err(Miss::Errno(libc::EIO)),
        code if code == i32::from(WORKED) => Ok(()),
        0 => Err(Miss::Errno(libc::EPERM)), // It ran, without the rights that it was after.
        code => Err(Miss::Errno(code & 0x7f)),
    }
}

fn written(folder: &Path) -> Outcome {
    if !folder.is_dir() {
        return Err(Miss::Errno(libc::ENOENT));
    }
    let at = folder.join(format!("toft-probe-{}", std::process::id()));
    fs::copy("/proc/self/exe", &at)?;
    fs::set_permissions(&at, fs::Permissions::from_mode(0o755))?;
    let result = runs(&at, c"worked");
    fs::remove_file(&at)?;
    result
}

fn memfd(_: &Targets) -> Outcome {
    let fd = raw::call_fd(libc::SYS_memfd_create, [Arg::Text(c"program"), 0.into()])?;
    let at = format!("/proc/self/fd/{}", fd.as_raw_fd());
    fs::copy("/proc/self/exe", &at)?;
    runs(Path::new(&at), c"worked")
}

fn make_setuid(t: &Targets) -> Outcome {
    let at = t.writable.join("set-uid");
    fs::copy("/proc/self/exe", &at)?;
    fs::set_permissions(&at, fs::Permissions::from_mode(0o4755))?;
    let result = runs(&at, c"euid");
    fs::remove_file(&at)?;
    result
}

/// One of the programs that every distribution has and no app needs.
fn package_manager(_: &Targets) -> Outcome {
    seen(
        [
            "/usr/bin/dpkg",
            "/usr/bin/rpm",
            "/sbin/apk",
            "/usr/bin/pacman",
        ]
        .iter()
        .any(|path| Path::new(path).exists()),
    )
}
