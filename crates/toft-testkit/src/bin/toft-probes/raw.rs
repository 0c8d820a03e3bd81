//! System calls as an attacker makes them: by number, past every library.

use libc::{c_char, c_long};
use std::ffi::{CStr, CString};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An error number.
pub(crate) type Errno = i32;

/// One argument of a call. Pointers come from what is borrowed here, and from nothing else.
pub(crate) enum Arg<'a> {
    /// A number.
    Int(i64),
    /// Bytes that the kernel reads.
    In(&'a [u8]),
    /// Bytes that the kernel writes.
    Out(&'a mut [u8]),
    /// A text with its end.
    Text(&'a CStr),
}

impl From<i32> for Arg<'_> {
    fn from(value: i32) -> Self {
        Arg::Int(value.into())
    }
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Arg::Int(value)
    }
}

impl<'a> From<&'a CStr> for Arg<'a> {
    fn from(value: &'a CStr) -> Self {
        Arg::Text(value)
    }
}

impl<'a> From<&'a CString> for Arg<'a> {
    fn from(value: &'a CString) -> Self {
        Arg::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Self {
        Arg::In(value)
    }
}

impl<'a> From<&'a mut [u8]> for Arg<'a> {
    fn from(value: &'a mut [u8]) -> Self {
        Arg::Out(value)
    }
}

/// Makes one call with up to six arguments.
///
/// It is meant for the calls of the probes, none of which maps or frees memory of this process.
pub(crate) fn call<const N: usize>(number: c_long, args: [Arg<'_>; N]) -> Result<i64, Errno> {
    let mut words = [0i64; 6];
    for (word, arg) in words.iter_mut().zip(args) {
        *word = match arg {
            Arg::Int(value) => value,
            Arg::In(bytes) => bytes.as_ptr() as i64,
            Arg::Out(bytes) => bytes.as_mut_ptr() as i64,
            Arg::Text(text) => text.as_ptr() as i64,
        };
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: each pointer among the words was made from a borrow that lasts until this function
    // returns, and each probe hands in buffers of the size that its call is documented to use.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

/// A call that makes a descriptor.
pub(crate) fn call_fd<const N: usize>(
    number: c_long,
    args: [Arg<'_>; N],
) -> Result<OwnedFd, Errno> {
    let fd = call(number, args)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The error number of the last call.
pub(crate) fn last_errno() -> Errno {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// The error number in an error of the standard library.
pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// A path with its end.
pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// Makes a child; true in it.
pub(crate) fn fork() -> Result<(libc::pid_t, bool), Errno> {
    // SAFETY: this program has one thread, so that the child may do whatever it likes.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        0 => Ok((0, true)),
        pid => Ok((pid, false)),
    }
}

/// Ends this child at once, without what would run at an orderly end.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: ends the process; nothing can be unsound after it.
    unsafe { libc::_exit(code) }
}

/// Kills a child, or with a negative number the group of one. One that is gone is as good.
pub(crate) fn kill(pid: libc::pid_t) {
    // SAFETY: sends a signal to a process of our own making.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Puts this child into a process group of its own.
pub(crate) fn own_group() {
    // SAFETY: changes a number that the kernel keeps for this process.
    unsafe { libc::setpgid(0, 0) };
}

/// Waits for a child's end.
pub(crate) fn wait_for(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: writes one int.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 && last_errno() == libc::EINTR {}
    status
}

/// Takes over the orphans of its children, so that it can wait for them. Without it they are another's.
pub(crate) fn adopt_orphans() {
    // SAFETY: sets a mark that the kernel keeps for this process.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Waits for all children that there are.
pub(crate) fn wait_for_all() {
    // SAFETY: a null pointer asks for no status.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 || last_errno() == libc::EINTR {
    }
}

/// Becomes this program.
pub(crate) fn exec(path: &CStr, argument: &CStr) -> Errno {
    let argv: [*const c_char; 3] = [path.as_ptr(), argument.as_ptr(), std::ptr::null()];
    let envp: [*const c_char; 1] = [std::ptr::null()];
    // SAFETY: both lists end in a null pointer and outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    last_errno()
}

/// A call through the 32-bit gate (`int 0x80`): getpid there.
#[cfg(target_arch = "x86_64")]
pub(crate) fn int80_getpid() -> i64 {
    let result: i64;
    // SAFETY: getpid (20 in the 32-bit table) takes nothing and changes rax alone; the kernel
    // clears r8 to r11 on this way out.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("rax") 20i64 => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}
