//! System calls without a C library in between: `clone3` onto a stack of one's own, and the raw
//! call that the child of it may make.

use rustix::io::Errno;
use std::arch::asm;

/// One system call; a negative result is an errno.
///
/// # Safety
///
/// As the call that `number` names demands of its arguments.
#[cfg(target_arch = "x86_64")]
#[inline]
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
#[inline]
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

/// One system call, its result as the rest of the crate reads results.
///
/// # Safety
///
/// As the call that `number` names demands of its arguments.
pub(crate) unsafe fn checked(number: libc::c_long, args: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    match unsafe { call(number as usize, args) } {
        bad @ -4095..0 => Err(Errno::from_raw_os_error(-bad as i32)),
        good => Ok(good as usize),
    }
}

/// `struct clone_args` of clone3(2), as far as this crate uses it.
#[repr(C, align(8))]
#[derive(Debug, Default)]
pub(crate) struct CloneArgs {
    pub(crate) flags: u64,
    pub(crate) pidfd: u64,
    pub(crate) child_tid: u64,
    pub(crate) parent_tid: u64,
    pub(crate) exit_signal: u64,
    pub(crate) stack: u64,
    pub(crate) stack_size: u64,
    pub(crate) tls: u64,
    pub(crate) set_tid: u64,
    pub(crate) set_tid_size: u64,
    pub(crate) cgroup: u64,
}

/// What a cloned child does; it ends in exec or exit, never by returning.
pub(crate) type Entry = unsafe extern "C" fn(*const ()) -> !;

/// clone3 onto `args.stack`, where `entry(argument)` runs. Gives the child's process id.
///
/// # Safety
///
/// The stack is nobody else's while the child uses it. `entry` makes raw system calls alone and
/// touches nothing that the parent may use at the same time.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn clone_onto(
    args: &CloneArgs,
    entry: Entry,
    argument: *const (),
) -> Result<u32, Errno> {
    let result: isize;
    // SAFETY: the child leaves this frame at once for `entry` on its own stack. rcx and r11 are
    // plain clobbers, so no operand that the child reads can share them.
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
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") args, in("rsi") size_of::<CloneArgs>(),
            in("r8") entry, in("r9") argument,
            out("rcx") _, out("r11") _,
        );
    }
    if result < 0 {
        Err(Errno::from_raw_os_error(-result as i32))
    } else {
        Ok(result as u32)
    }
}

/// As on x86.
///
/// # Safety
///
/// As on x86.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn clone_onto(
    args: &CloneArgs,
    entry: Entry,
    argument: *const (),
) -> Result<u32, Errno> {
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
            in("x8") libc::SYS_clone3,
            inlateout("x0") args as *const CloneArgs as isize => result,
            in("x1") size_of::<CloneArgs>(),
            in("x9") entry, in("x10") argument,
            out("x30") _,
        );
    }
    if result < 0 {
        Err(Errno::from_raw_os_error(-result as i32))
    } else {
        Ok(result as u32)
    }
}

/// Memory for a child's stack. With a page below it that faults.
pub(crate) struct Stack {
    base: *mut libc::c_void,
}

impl Stack {
    const BYTES: usize = 64 * 1024;

    pub(crate) fn new() -> Result<Self, Errno> {
        use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
        // SAFETY: new memory at an address that the kernel chooses; its lowest page is closed.
        unsafe {
            let base = mmap_anonymous(
                std::ptr::null_mut(),
                Self::BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?;
            let stack = Self { base };
            mprotect(base, 4096, MprotectFlags::empty())?;
            Ok(stack)
        }
    }

    /// Gives the stack to a clone.
    pub(crate) fn lend(&self, args: &mut CloneArgs) {
        args.stack = self.base as u64;
        args.stack_size = Self::BYTES as u64;
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and its child has left it.
        let _ = unsafe { rustix::mm::munmap(self.base, Self::BYTES) };
    }
}

/// All signals of this thread blocked while a child is made that shares its memory.
pub(crate) struct SignalsBlocked {
    before: u64,
}

impl SignalsBlocked {
    pub(crate) fn new() -> Self {
        let all = !0u64;
        let mut before = 0u64;
        // SAFETY: two masks of 8 bytes.
        let _ = unsafe {
            let how = libc::SIG_SETMASK as usize;
            let (new, old) = (&raw const all as usize, &raw mut before as usize);
            checked(libc::SYS_rt_sigprocmask, [how, new, old, 8, 0, 0])
        };
        Self { before }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: a mask of 8 bytes.
        let _ = unsafe {
            let how = libc::SIG_SETMASK as usize;
            checked(
                libc::SYS_rt_sigprocmask,
                [how, &raw const self.before as usize, 0, 8, 0, 0],
            )
        };
    }
}
