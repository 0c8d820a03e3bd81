//! Process 1 of every instance.
//!
//! A static program without a C library. It starts the instance's program, hands on the signals
//! that it is sent, reaps orphans, runs further commands inside the same sandbox when the keeper
//! asks over the control socket, and writes how the program ended to the status pipe. Its own end
//! is the end of everything in the instance.
//!
//! `argv[1]` is the number of the status pipe, in decimal, and the letter `d` when init shall end
//! once nobody can read that pipe any more; the control socket is the descriptor after it.
//! Descriptors from 3 up to the status pipe are for the program alone. `argv[2..]` is the program
//! with its arguments. The record formats are documented in `src/init.rs` of `toft-sandbox`.

#![no_std]
#![no_main]

mod kernel;
mod memory;

use kernel::{call, exit, plain, vfork};

const EINTR: isize = -4;
const EAGAIN: i32 = 11;
const E2BIG: i32 = 7;
const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const SIGKILL: usize = 9;
const SIGCHLD: u32 = 17;

const RUNS_MAX: usize = 32;
const PACKET_MAX: usize = 16 * 1024;
const ARGUMENTS_MAX: usize = 512;
const STACK_BYTES: usize = 16 * 1024;

const ENDED: i32 = 0;
const NOT_RUN: i32 = 1;

#[repr(C, align(4096))]
struct Stack([u8; STACK_BYTES]);

/// A command that runs beside the program.
#[derive(Clone, Copy)]
struct Run {
    pid: i32,
    token: u64,
}

/// Everything that changes. It lives on the first stack, which never unwinds.
struct Init {
    environment: *const *const u8,
    path: *const u8,
    status: usize,
    control: usize,
    control_open: bool,
    main: i32,
    runs: [Run; RUNS_MAX],
}

/// What a vforked child needs; `errno` is its answer, through the shared memory.
struct Order {
    arguments: *const *const u8,
    environment: *const *const u8,
    path: *const u8,
    errno: i32,
}

static mut CHILD_STACK: Stack = Stack([0; STACK_BYTES]);
static mut PACKET: [u8; PACKET_MAX] = [0; PACKET_MAX];
static mut ARGUMENTS: [*const u8; ARGUMENTS_MAX] = [core::ptr::null(); ARGUMENTS_MAX];

/// Where `_start` goes.
///
/// # Safety
///
/// `stack` is what the kernel made: argc, argv, a null, envp, a null.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: the layout is the kernel's promise (the ABI's process start).
    let (mut init, arguments, die) = unsafe {
        let count = *stack;
        if count < 3 {
            exit(120);
        }
        let arguments = stack.add(1).cast::<*const u8>();
        let environment = arguments.add(count + 1);
        let (status, die) = read_first(*arguments.add(1));
        let init = Init {
            environment,
            path: find_path(environment),
            status,
            control: status + 1,
            control_open: true,
            main: 0,
            runs: [Run { pid: 0, token: 0 }; RUNS_MAX],
        };
        (init, arguments.add(2), die)
    };
    const F_SETFD: usize = 2;
    const PR_SET_DUMPABLE: usize = 4;
    plain(kernel::FCNTL, init.status, F_SETFD, 1);
    plain(kernel::FCNTL, init.control, F_SETFD, 1);
    // Not dumpable: the program runs under the same user id and may not reach the status pipe
    // through /proc/1/fd.
    plain(kernel::PRCTL, PR_SET_DUMPABLE, 0, 0);
    let all: u64 = !0;
    set_mask(&all);
    // SAFETY: the mask is 8 bytes, as said.
    let signals = unsafe { call(kernel::SIGNALFD4, [usize::MAX, address(&all), 8, 0o2000000, 0, 0]) };
    if signals < 0 {
        exit(121);
    }
    match init.start(arguments) {
        Ok(pid) => init.main = pid,
        Err(errno) => {
            init.report(NOT_RUN, errno);
            exit(127);
        }
    }
    for number in (3..init.status).filter(|number| *number != signals as usize) {
        plain(kernel::CLOSE, number, 0, 0);
    }
    init.serve(signals as usize, die)
}

impl Init {
    /// The loop. Ends with the program.
    fn serve(&mut self, signals: usize, die: bool) -> ! {
        const IN: u32 = 1;
        loop {
            // {fd, events and what happened}; an entry with a negative descriptor is left out.
            let control = if self.control_open { self.control as i32 } else { -1 };
            let pipe = if die { self.status as i32 } else { -1 };
            let mut polls = [(signals as i32, IN), (control, IN), (pipe, 0)];
            // SAFETY: three pollfd entries of 8 bytes each.
            let ready = unsafe { call(kernel::PPOLL, [address(&mut polls), 3, 0, 0, 8, 0]) };
            if ready < 0 {
                if ready == EINTR {
                    continue;
                }
                exit(122);
            }
            if polls[2].1 >> 16 != 0 {
                exit(123);
            }
            if polls[0].1 >> 16 != 0 {
                self.signal(signals);
            }
            if polls[1].1 >> 16 != 0 {
                self.receive();
            }
        }
    }

    /// Takes one signal: children are reaped, everything else goes to the program.
    fn signal(&mut self, signals: usize) {
        let mut info = [0u32; 32];
        // SAFETY: a signalfd_siginfo is 128 bytes.
        let got = unsafe { call(kernel::READ, [signals, address(&mut info), 128, 0, 0, 0]) };
        if got != 128 {
            return;
        }
        if info[0] == SIGCHLD {
            self.reap();
        } else {
            plain(kernel::KILL, self.main as usize, info[0] as usize, 0);
        }
    }

    /// Reaps all that ended. The program's own end is reported and ends init.
    fn reap(&mut self) {
        const WNOHANG: usize = 1;
        const WALL: usize = 0x4000_0000;
        loop {
            let mut status = 0i32;
            // SAFETY: the status is four bytes; no usage is asked for.
            let pid = unsafe {
                let any = usize::MAX;
                call(kernel::WAIT4, [any, address(&mut status), WNOHANG | WALL, 0, 0, 0])
            };
            if pid <= 0 {
                return;
            }
            if pid as i32 == self.main {
                self.report(ENDED, status);
                exit(0);
            }
            let mut found = None;
            for run in &mut self.runs {
                if run.pid == pid as i32 {
                    found = Some(run.token);
                    run.pid = 0;
                }
            }
            if let Some(token) = found {
                self.answer(token, ENDED, status);
            }
        }
    }

    /// One packet of the control socket: a token, then words that each end in NUL.
    fn receive(&mut self) {
        const DONTWAIT: usize = 0x40;
        let packet = (&raw mut PACKET).cast::<u8>();
        // SAFETY: the buffer is as long as said and used by this call alone.
        let got = unsafe {
            call(kernel::RECVFROM, [self.control, packet as usize, PACKET_MAX - 1, DONTWAIT, 0, 0])
        };
        if got == 0 || (got < 0 && got != -(EAGAIN as isize)) {
            plain(kernel::CLOSE, self.control, 0, 0);
            self.control_open = false;
        }
        if got < 9 {
            return;
        }
        // SAFETY: `got` bytes were written, at least nine and less than the buffer holds.
        let token = unsafe {
            *packet.add(got as usize) = 0;
            packet.cast::<u64>().read_unaligned()
        };
        match self.run(packet, got as usize) {
            Ok((slot, pid)) => {
                if let Some(run) = self.runs.get_mut(slot) {
                    *run = Run { pid, token };
                }
            }
            Err(errno) => self.answer(token, NOT_RUN, errno),
        }
    }

    /// Starts the words of a packet as a command. Gives its place and its pid.
    fn run(&mut self, packet: *const u8, length: usize) -> Result<(usize, i32), i32> {
        let slot = self.runs.iter().position(|run| run.pid == 0).ok_or(EAGAIN)?;
        let list = (&raw mut ARGUMENTS).cast::<*const u8>();
        let mut count = 0;
        let mut at = 8;
        while at < length {
            if count == ARGUMENTS_MAX - 1 {
                return Err(E2BIG);
            }
            // SAFETY: `at` is inside the packet, which ends in NUL; the list has room.
            unsafe {
                *list.add(count) = packet.add(at);
                while *packet.add(at) != 0 {
                    at += 1;
                }
            }
            at += 1;
            count += 1;
        }
        // SAFETY: the list has room for the null.
        unsafe { *list.add(count) = core::ptr::null() };
        self.start(list).map(|pid| (slot, pid))
    }

    /// Starts a program; an error is what execve said.
    fn start(&self, arguments: *const *const u8) -> Result<i32, i32> {
        let mut order =
            Order { arguments, environment: self.environment, path: self.path, errno: 0 };
        // SAFETY: the parent is suspended until the child has executed or ended, so the one stack
        // and the order are used by one of them at a time.
        let pid = unsafe {
            let stack = (&raw mut CHILD_STACK).cast::<u8>().add(STACK_BYTES);
            vfork(stack, become_program, (&raw mut order).cast())
        };
        // The stack is used for a moment only: its pages go back.
        const DONTNEED: usize = 4;
        // SAFETY: the child has left it; whole pages of a static that holds nothing else.
        unsafe {
            let stack = &raw mut CHILD_STACK as usize;
            call(kernel::MADVISE, [stack, STACK_BYTES, DONTNEED, 0, 0, 0]);
        }
        if pid < 0 {
            return Err(-pid as i32);
        }
        // SAFETY: written by the child through shared memory, which the compiler does not see.
        match unsafe { (&raw const order.errno).read_volatile() } {
            0 => Ok(pid as i32),
            errno => {
                // SAFETY: no status and no usage are asked for.
                unsafe { call(kernel::WAIT4, [pid as usize, 0, 0x4000_0000, 0, 0, 0]) };
                Err(errno)
            }
        }
    }

    fn report(&self, kind: i32, value: i32) {
        let record = [kind, value];
        // SAFETY: eight bytes.
        unsafe { call(kernel::WRITE, [self.status, address(&record), 8, 0, 0, 0]) };
    }

    fn answer(&self, token: u64, kind: i32, value: i32) {
        // Never waits for a keeper that does not read: the program's own end comes first.
        const FLAGS: usize = 0x4000 | 0x40; // MSG_NOSIGNAL | MSG_DONTWAIT
        if !self.control_open {
            return;
        }
        let record = [token as u32, (token >> 32) as u32, kind as u32, value as u32];
        // SAFETY: sixteen bytes, no address.
        unsafe { call(kernel::SENDTO, [self.control, address(&record), 16, FLAGS, 0, 0]) };
    }
}

/// What the vforked child does. It never returns: exec, or an errno and exit.
unsafe extern "C" fn become_program(order: *const ()) -> ! {
    let order = order.cast::<Order>().cast_mut();
    plain(kernel::SETSID, 0, 0, 0);
    let none: u64 = 0;
    set_mask(&none);
    // SAFETY: the parent waits; the order lives in its frame.
    unsafe {
        let errno = execute(&*order);
        (&raw mut (*order).errno).write_volatile(errno);
    }
    exit(127)
}

/// Tries the program itself, or each folder of PATH as execvp(3) does. Gives the errno that counts.
unsafe fn execute(order: &Order) -> i32 {
    // SAFETY: the strings end in NUL; the buffer is checked.
    unsafe {
        let name = *order.arguments;
        if name.is_null() || *name == 0 {
            return ENOENT;
        }
        let length = memory::length(name);
        if memory::contains(name, length, b'/') {
            return try_one(name, order);
        }
        let mut buffer = [0u8; 4096];
        let mut worst = ENOENT;
        let mut at = order.path;
        loop {
            let mut end = 0;
            while *at.add(end) != 0 && *at.add(end) != b':' {
                end += 1;
            }
            if end + length + 2 <= buffer.len() && end > 0 {
                memory::copy(buffer.as_mut_ptr(), at, end);
                *buffer.as_mut_ptr().add(end) = b'/';
                memory::copy(buffer.as_mut_ptr().add(end + 1), name, length + 1);
                match try_one(buffer.as_ptr(), order) {
                    ENOENT | 20 => {}
                    EACCES => worst = EACCES,
                    other => return other,
                }
            }
            if *at.add(end) == 0 {
                return worst;
            }
            at = at.add(end + 1);
        }
    }
}

unsafe fn try_one(path: *const u8, order: &Order) -> i32 {
    // SAFETY: the caller's strings and lists end as execve demands.
    unsafe {
        let arguments = order.arguments as usize;
        let environment = order.environment as usize;
        -call(kernel::EXECVE, [path as usize, arguments, environment, 0, 0, 0]) as i32
    }
}

/// `12d`: the number of the status pipe, and whether init ends with its reader.
unsafe fn read_first(mut text: *const u8) -> (usize, bool) {
    let mut number = 0;
    // SAFETY: the string ends in NUL.
    unsafe {
        while *text >= b'0' && *text <= b'9' {
            number = number * 10 + (*text - b'0') as usize;
            text = text.add(1);
        }
        (number, *text == b'd')
    }
}

/// The value of PATH, or what programs get when there is none.
unsafe fn find_path(mut environment: *const *const u8) -> *const u8 {
    const USUAL: &[u8] = b"/usr/local/bin:/usr/bin:/bin\0";
    // SAFETY: the list ends in null, the strings in NUL.
    unsafe {
        while !(*environment).is_null() {
            if memory::starts(*environment, b"PATH=") {
                return (*environment).add(5);
            }
            environment = environment.add(1);
        }
    }
    USUAL.as_ptr()
}

fn set_mask(mask: &u64) {
    const SETMASK: usize = 2;
    // SAFETY: the mask is 8 bytes; the old one is not asked for.
    unsafe { call(kernel::SIGPROCMASK, [SETMASK, address(mask), 0, 8, 0, 0]) };
}

fn address<T>(value: *const T) -> usize {
    value as usize
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    plain(kernel::KILL, 0, SIGKILL, 0);
    exit(124)
}
