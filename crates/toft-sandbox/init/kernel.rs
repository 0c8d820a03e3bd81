//! The few system calls that init makes, without a C library.

use core::arch::{asm, global_asm};

#[cfg(target_arch = "x86_64")]
mod number {
    pub(crate) const READ: usize = 0;
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const SIGPROCMASK: usize = 14;
    pub(crate) const MADVISE: usize = 28;
    pub(crate) const SENDTO: usize = 44;
    pub(crate) const RECVFROM: usize = 45;
    pub(crate) const CLONE: usize = 56;
    pub(crate) const EXECVE: usize = 59;
    pub(crate) const WAIT4: usize = 61;
    pub(crate) const KILL: usize = 62;
    pub(crate) const FCNTL: usize = 72;
    pub(crate) const SETSID: usize = 112;
    pub(crate) const PRCTL: usize = 157;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const PPOLL: usize = 271;
    pub(crate) const SIGNALFD4: usize = 289;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub(crate) const READ: usize = 63;
    pub(crate) const WRITE: usize = 64;
    pub(crate) const CLOSE: usize = 57;
    pub(crate) const SIGPROCMASK: usize = 135;
    pub(crate) const MADVISE: usize = 233;
    pub(crate) const SENDTO: usize = 206;
    pub(crate) const RECVFROM: usize = 207;
    pub(crate) const CLONE: usize = 220;
    pub(crate) const EXECVE: usize = 221;
    pub(crate) const WAIT4: usize = 260;
    pub(crate) const KILL: usize = 129;
    pub(crate) const FCNTL: usize = 25;
    pub(crate) const SETSID: usize = 157;
    pub(crate) const PRCTL: usize = 167;
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const PPOLL: usize = 73;
    pub(crate) const SIGNALFD4: usize = 74;
}

pub(crate) use number::*;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".global _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym crate::main,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".global _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "and sp, x0, #-16",
    "bl {main}",
    "brk #1",
    main = sym crate::main,
);

/// One system call; a negative result is an errno.
///
/// # Safety
///
/// As the call that `number` names demands of its arguments.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel clobbers rcx and r11 alone; memory effects are the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
    result
}

/// One system call; a negative result is an errno.
///
/// # Safety
///
/// As the call that `number` names demands of its arguments.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps every register but x0; memory effects are the caller's promise.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3],
            in("x4") args[4], in("x5") args[5],
            options(nostack),
        );
    }
    result
}

/// `CLONE_VM | CLONE_VFORK` on a stack of its own: returns the child's pid once the child has
/// executed or ended; `entry` must never return.
///
/// # Safety
///
/// `stack` is the 16-byte aligned end of memory that nobody else uses meanwhile.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn vfork(
    stack: *mut u8,
    entry: unsafe extern "C" fn(*const ()) -> !,
    argument: *const (),
) -> isize {
    let result: isize;
    // SAFETY: the child leaves this frame at once for `entry` on its own stack; the parent's
    // registers but rax, rcx and r11 are kept by the kernel.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call r8",
            "ud2",
            "2:",
            inlateout("rax") CLONE as isize => result,
            in("rdi") VFORK_FLAGS, in("rsi") stack, in("rdx") 0, in("r10") 0,
            in("r8") entry, in("r9") argument,
            out("rcx") _, out("r11") _,
        );
    }
    result
}

/// As on x86.
///
/// # Safety
///
/// As on x86.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn vfork(
    stack: *mut u8,
    entry: unsafe extern "C" fn(*const ()) -> !,
    argument: *const (),
) -> isize {
    let result: isize;
    // SAFETY: as on x86; the kernel keeps every register but x0.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, #0",
            "mov x0, x10",
            "blr x9",
            "brk #1",
            "2:",
            in("x8") CLONE,
            inlateout("x0") VFORK_FLAGS as isize => result,
            in("x1") stack, in("x2") 0, in("x3") 0, in("x4") 0,
            in("x9") entry, in("x10") argument,
            out("x30") _,
        );
    }
    result
}

/// `CLONE_VM | CLONE_VFORK | SIGCHLD`.
const VFORK_FLAGS: usize = 0x100 | 0x4000 | 17;

/// A call without pointers.
pub(crate) fn plain(number: usize, a: usize, b: usize, c: usize) -> isize {
    // SAFETY: used for calls alone whose arguments are numbers (close, kill, fcntl, prctl, setsid).
    unsafe { call(number, [a, b, c, 0, 0, 0]) }
}

/// Ends init, and with it everything in its process tree.
pub(crate) fn exit(code: usize) -> ! {
    loop {
        plain(EXIT_GROUP, code, 0, 0);
    }
}
