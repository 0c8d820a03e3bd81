//! The few system calls that the libraries in use do not wrap.

use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Where a process of ours finds the link to its parent.
const LINK_AT: RawFd = 3;

/// The clock of the shells. Everything else is handed the time.
#[expect(
    clippy::disallowed_methods,
    reason = "the loops of this crate are the shells that read the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds since 1970, for log frames.
#[expect(
    clippy::disallowed_methods,
    reason = "the logger's loop is the shell that reads the clock"
)]
pub(crate) fn wall_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result >= 0 {
        return Ok(result);
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_raw_os_error(
        error.raw_os_error().unwrap_or(libc::EIO),
    ))
}

/// Blocks these signals and gives a descriptor that becomes readable when one comes.
pub(crate) fn signals(numbers: &[libc::c_int]) -> Result<OwnedFd, Errno> {
    // SAFETY: `set` is initialised by sigemptyset before anything reads it, and lives through the
    // calls; a null old mask is allowed; signalfd returns a fresh descriptor that nobody else owns.
    unsafe {
        // Who started us may have ignored it, and then children would vanish unseen.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        check(libc::sigemptyset(&mut set))?;
        for number in numbers {
            check(libc::sigaddset(&mut set, *number))?;
        }
        check(libc::sigprocmask(
            libc::SIG_BLOCK,
            &set,
            std::ptr::null_mut(),
        ))?;
        let fd = check(libc::signalfd(
            -1,
            &set,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        ))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Gives every signal its default action: what is ignored would stay ignored in every program that
/// this process starts, and a program that knows nothing of SIGPIPE never learns that its reader is
/// gone.
pub(crate) fn default_signals() {
    const SIGNALS: libc::c_int = 64;
    /// Bytes of the kernel's own `sigset_t`.
    const SET_BYTES: usize = 8;
    // A kernel `struct sigaction` is at most this large; all zeroes is the default action.
    let default = [0u64; 4];
    for number in 1..=SIGNALS {
        // SAFETY: the kernel reads the action and keeps no pointer; the C library refuses to touch
        // the two signals that it uses itself, which a default action does not harm.
        unsafe {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                none,
                SET_BYTES,
            );
        }
    }
}

/// Tries to lock bytes of a file for this open description alone (fcntl(2), `F_OFD_SETLK`).
pub(crate) fn lock_bytes(file: &File, start: u32, length: u32) -> Result<bool, Errno> {
    // SAFETY: flock is plain data for which all zeroes is valid; the pointer lives through the call.
    let result = unsafe {
        let mut lock = std::mem::zeroed::<libc::flock>();
        lock.l_type = libc::F_WRLCK as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = libc::off_t::from(start);
        lock.l_len = libc::off_t::from(length);
        check(libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock))
    };
    match result {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(other) => Err(other),
    }
}

/// How a child of ours ended: its wait status, `None` while it runs.
///
/// Children that the spawner cloned need `__WALL`, since their exit signal may be none.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> Result<Option<Reaped>, Errno> {
    // SAFETY: siginfo_t is plain data for which all zeroes is valid; waitid fills it, and its
    // fields are read only for the kind of siginfo that waitid makes.
    unsafe {
        let mut info = std::mem::zeroed::<libc::siginfo_t>();
        check(libc::waitid(
            libc::P_PIDFD,
            pidfd.as_raw_fd() as libc::id_t,
            &mut info,
            libc::WEXITED | libc::WNOHANG | libc::__WALL,
        ))?;
        if info.si_pid() == 0 {
            return Ok(None);
        }
        let status = info.si_status();
        Ok(Some(match info.si_code {
            libc::CLD_EXITED => Reaped::Code(status),
            _ => Reaped::Signal(status),
        }))
    }
}

/// The end of a process as its parent sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaped {
    /// It returned this.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Starts this very program again in a role that has a link to us at descriptor 3. It leads its own
/// session, so that Ctrl-C is ours alone, and dies with us.
pub(crate) fn start_helper(role: &str, link: &OwnedFd) -> std::io::Result<Child> {
    let link = link.as_raw_fd();
    let parent = rustix::process::getpid();
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("toft")
        .arg(role)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null());
    // SAFETY: between fork and exec only system calls are made, nothing is allocated, and `link` is
    // open in the child because the caller holds it until `spawn` is back.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(Errno::SRCH.into());
            }
            place_link(link)?;
            Ok(())
        });
    }
    command.spawn()
}

/// Puts the link at its number, open over exec.
///
/// # Safety
/// Only for a child that is about to exec: whatever stood at the number is replaced.
unsafe fn place_link(link: RawFd) -> Result<(), Errno> {
    // SAFETY: plain system calls on numbers; the caller vouches for what is replaced.
    unsafe {
        if link == LINK_AT {
            check(libc::fcntl(link, libc::F_SETFD, 0))?;
        } else {
            check(libc::dup2(link, LINK_AT))?;
        }
    }
    Ok(())
}

/// The process ids of all children of this single-threaded process (proc(5), `children`).
pub(crate) fn children() -> Vec<Pid> {
    let path = format!(
        "/proc/self/task/{}/children",
        rustix::thread::gettid().as_raw_nonzero()
    );
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|word| Pid::from_raw(word.parse().ok()?))
        .collect()
}

/// Takes every right to the file tree and to other processes from this thread for good, as far as
/// the kernel knows how (landlock(7)). Descriptors that are open, or come by a socket, stay good.
pub(crate) fn close_the_world() -> Result<(), Errno> {
    /// `struct landlock_ruleset_attr`.
    #[repr(C)]
    struct Ruleset {
        files: u64,
        net: u64,
        scopes: u64,
    }
    const ASK_VERSION: libc::c_int = 1;
    const SCOPES_SINCE: libc::c_long = 6;
    const NET_SINCE: libc::c_long = 4;
    // SAFETY: asking for the version takes no memory.
    let version = unsafe {
        let none = std::ptr::null::<Ruleset>();
        libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, ASK_VERSION)
    };
    if version < 1 {
        return Err(Errno::NOSYS);
    }
    let (size, net, scopes) = match version {
        v if v >= SCOPES_SINCE => (24, 0b11, 0b11),
        v if v >= NET_SINCE => (16, 0b11, 0),
        _ => (8, 0, 0),
    };
    // The rights of the first version: whoever has none of them cannot open anything.
    let ruleset = Ruleset {
        files: (1 << 13) - 1,
        net,
        scopes,
    };
    // SAFETY: the kernel reads `size` bytes, no more than the struct has; the descriptor that it
    // gives is nobody else's.
    unsafe {
        let fd = libc::syscall(libc::SYS_landlock_create_ruleset, &ruleset, size, 0);
        let fd = OwnedFd::from_raw_fd(check(fd as libc::c_int)?);
        check(libc::syscall(libc::SYS_landlock_restrict_self, fd.as_raw_fd(), 0) as libc::c_int)?;
    }
    Ok(())
}
