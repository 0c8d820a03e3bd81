//! What a cloned child does, as data: a list of system calls that the parent wrote beforehand.
//!
//! The child shares its parent's memory or stands on a copy that another thread may have been
//! changing, so it may neither allocate nor take a lock nor unwind. Here it cannot: it is an
//! interpreter of [`Call`]s, and everything that could go wrong before was done by the parent.

use crate::error::Step;
use crate::kernel::{self, CloneArgs, SignalsBlocked, Stack};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Mutex;

/// An argument of a call.
#[derive(Clone, Copy)]
enum Arg {
    Value(usize),
    /// The descriptor that an earlier call left in this place.
    Slot(*const i32),
}

/// A place in which a call leaves its result.
#[derive(Clone, Copy)]
pub(crate) struct Slot(*mut i32);

impl Slot {
    /// A place inside the program's memory, for results that a structure is to hold.
    pub(crate) fn at(place: *mut i32) -> Self {
        Self(place)
    }
}

/// One system call of the child.
struct Call {
    number: usize,
    args: [Arg; 6],
    /// Where its result goes.
    store: *mut i32,
    /// How many calls are left out when it succeeds.
    skip_when_done: u16,
    /// An errno that is no failure, and how many calls are left out then.
    tolerate: i32,
    skip_when_tolerated: u16,
    step: Step,
}

/// Anything that can stand as an argument.
pub(crate) trait Argument {
    fn argument(self) -> ArgumentValue;
}

/// An argument, opaque outside of this module.
#[derive(Clone, Copy)]
pub(crate) struct ArgumentValue(Arg);

impl Argument for usize {
    fn argument(self) -> ArgumentValue {
        ArgumentValue(Arg::Value(self))
    }
}

impl Argument for i32 {
    fn argument(self) -> ArgumentValue {
        ArgumentValue(Arg::Value(self as isize as usize))
    }
}

impl Argument for u32 {
    fn argument(self) -> ArgumentValue {
        ArgumentValue(Arg::Value(self as usize))
    }
}

impl Argument for u64 {
    fn argument(self) -> ArgumentValue {
        ArgumentValue(Arg::Value(self as usize))
    }
}

impl Argument for BorrowedFd<'_> {
    fn argument(self) -> ArgumentValue {
        self.as_raw_fd().argument()
    }
}

impl Argument for Slot {
    fn argument(self) -> ArgumentValue {
        ArgumentValue(Arg::Slot(self.0))
    }
}

impl Argument for ArgumentValue {
    fn argument(self) -> ArgumentValue {
        self
    }
}

/// The list, with the memory that its arguments point into.
#[derive(Default)]
pub(crate) struct Program {
    calls: Vec<Call>,
    memory: Vec<Box<[u64]>>,
    strings: Vec<CString>,
}

impl Program {
    /// Adds a call, up to six arguments.
    pub(crate) fn call<const N: usize>(
        &mut self,
        step: Step,
        number: libc::c_long,
        args: [ArgumentValue; N],
    ) -> &mut Self {
        const { assert!(N <= 6, "a system call has six arguments at most") };
        let mut all = [Arg::Value(0); 6];
        for (to, from) in all.iter_mut().zip(args) {
            *to = from.0;
        }
        self.calls.push(Call {
            number: number as usize,
            args: all,
            store: std::ptr::null_mut(),
            skip_when_done: 0,
            tolerate: 0,
            skip_when_tolerated: 0,
            step,
        });
        self
    }

    fn last(&mut self) -> &mut Call {
        self.calls.last_mut().expect("modifiers follow a call")
    }

    /// The result of the call just added goes to `slot`.
    pub(crate) fn store(&mut self, slot: Slot) -> &mut Self {
        self.last().store = slot.0;
        self
    }

    /// This errno of the call just added is none; `skip` calls are left out then.
    pub(crate) fn tolerate(&mut self, errno: Errno, skip: u16) -> &mut Self {
        let call = self.last();
        call.tolerate = errno.raw_os_error();
        call.skip_when_tolerated = skip;
        self
    }

    /// When the call just added succeeds, `skip` calls are left out.
    pub(crate) fn skip_when_done(&mut self, skip: u16) -> &mut Self {
        self.last().skip_when_done = skip;
        self
    }

    /// How many calls there are.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Memory with these bytes in front, zeros behind, for as long as the program lives.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> *mut u8 {
        let mut words = vec![0u64; bytes.len().div_ceil(8) + 1].into_boxed_slice();
        let start = words.as_mut_ptr().cast::<u8>();
        // SAFETY: at least as many bytes as are copied.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
        self.memory.push(words);
        start
    }

    /// The address of a value that lives as long as the program.
    pub(crate) fn value<T: Copy>(&mut self, value: &T) -> *mut T {
        // SAFETY: a `Copy` value of this crate's own repr(C) types, read as the bytes that it is.
        let bytes = unsafe {
            std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>())
        };
        self.bytes(bytes).cast()
    }

    /// The address of a string. One with a NUL inside ends there; specs are checked before.
    pub(crate) fn string(&mut self, text: impl Into<Vec<u8>>) -> usize {
        let mut bytes = text.into();
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes.truncate(end);
        }
        let string = CString::new(bytes).expect("no NUL is left");
        let address = string.as_ptr() as usize;
        self.strings.push(string);
        address
    }

    /// The address of a null-ended list of strings.
    pub(crate) fn list(&mut self, strings: impl IntoIterator<Item = Vec<u8>>) -> usize {
        let mut pointers: Vec<usize> = strings.into_iter().map(|text| self.string(text)).collect();
        pointers.push(0);
        let words: Box<[u64]> = pointers.into_iter().map(|pointer| pointer as u64).collect();
        let address = words.as_ptr() as usize;
        self.memory.push(words);
        address
    }

    /// A fresh place for a descriptor.
    pub(crate) fn slot(&mut self) -> Slot {
        Slot(self.bytes(&(-1i32).to_ne_bytes()).cast())
    }
}

/// Shorthand for the argument lists.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { [$($crate::program::Argument::argument($arg)),*] };
}
pub(crate) use args;

/// Where a failing child leaves which call failed and why. Shared, whether or not memory is.
#[repr(C)]
struct Report {
    failed: u32,
    errno: i32,
}

struct Shared {
    report: *mut Report,
}

impl Shared {
    fn new() -> Result<Self, Errno> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        // SAFETY: new zeroed memory at an address that the kernel chooses.
        let base = unsafe {
            let rights = ProtFlags::READ | ProtFlags::WRITE;
            mmap_anonymous(std::ptr::null_mut(), 4096, rights, MapFlags::SHARED)?
        };
        Ok(Self {
            report: base.cast(),
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: this value's own mapping; the child has ended or executed.
        let _ = unsafe { rustix::mm::munmap(self.report.cast(), 4096) };
    }
}

/// What a child runs on. One is kept for the next: making it costs more than a page of it does.
struct Memory {
    stack: Stack,
    shared: Shared,
}

static SPARE: Mutex<Option<Memory>> = Mutex::new(None);

impl Memory {
    fn take() -> Result<Self, Errno> {
        let spare = SPARE.lock().ok().and_then(|mut spare| spare.take());
        match spare {
            Some(memory) => Ok(memory),
            None => Ok(Self {
                stack: Stack::new()?,
                shared: Shared::new()?,
            }),
        }
    }

    fn give_back(self) {
        // SAFETY: the child has left; the report is this value's own.
        unsafe {
            self.shared.report.write_volatile(Report {
                failed: 0,
                errno: 0,
            })
        };
        if let Ok(mut spare) = SPARE.lock() {
            *spare = Some(self);
        }
    }
}

// SAFETY: the mappings are owned by the value and bound to no thread.
unsafe impl Send for Memory {}

struct Work {
    calls: *const Call,
    count: usize,
    report: *mut Report,
}

/// Why a program did not come to its end.
pub(crate) enum Failure {
    /// There is no child.
    Clone(Errno),
    /// The child ended at this step.
    Step(Step, Errno),
}

/// Clones a child with vfork semantics that runs the program, whose last call is an exec or exit.
///
/// Returns once it has executed (or ended). `flags` are clone3(2)'s beside `CLONE_VFORK`.
pub(crate) fn run(program: &Program, mut args: CloneArgs) -> Result<u32, Failure> {
    let memory = Memory::take().map_err(Failure::Clone)?;
    let (stack, shared) = (&memory.stack, &memory.shared);
    let work = Work {
        calls: program.calls.as_ptr(),
        count: program.calls.len(),
        report: shared.report,
    };
    args.flags |= libc::CLONE_VFORK as u64;
    stack.lend(&mut args);
    let blocked = SignalsBlocked::new();
    // SAFETY: the stack is fresh. This thread sleeps until the child is done with the memory, and
    // `interpret` makes raw calls alone, on the list that stays as it is.
    let cloned = unsafe { kernel::clone_onto(&args, interpret, (&raw const work).cast()) };
    drop(blocked);
    let pid = cloned.map_err(Failure::Clone)?;
    // SAFETY: the child has executed or ended; its write, if any, came before.
    let report = unsafe { shared.report.read_volatile() };
    memory.give_back();
    match report.failed {
        0 => Ok(pid),
        n => {
            let step = program.calls[n as usize - 1].step;
            Err(Failure::Step(step, Errno::from_raw_os_error(report.errno)))
        }
    }
}

/// The child.
unsafe extern "C" fn interpret(work: *const ()) -> ! {
    // SAFETY: the parent sleeps and keeps all of this alive; slots lie in the program's memory.
    unsafe {
        let work = &*work.cast::<Work>();
        let mut at = 0;
        while at < work.count {
            let call = &*work.calls.add(at);
            let mut values = [0usize; 6];
            let mut n = 0;
            while n < 6 {
                values[n] = match call.args[n] {
                    Arg::Value(value) => value,
                    Arg::Slot(place) => place.read_unaligned() as isize as usize,
                };
                n += 1;
            }
            let result = kernel::call(call.number, values);
            at += 1;
            if result >= 0 {
                if !call.store.is_null() {
                    call.store.write_unaligned(result as i32);
                }
                at += call.skip_when_done as usize;
            } else if -result as i32 == call.tolerate {
                at += call.skip_when_tolerated as usize;
            } else {
                (&raw mut (*work.report).errno).write_volatile(-result as i32);
                (&raw mut (*work.report).failed).write_volatile(at as u32);
                break;
            }
        }
        loop {
            kernel::call(libc::SYS_exit as usize, [0; 6]);
        }
    }
}
