//! What this test program does when it is the one inside the sandbox.

#![expect(
    clippy::print_stdout,
    reason = "what it found goes to the test outside"
)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};

/// Names the part to play.
pub(crate) const PART: &str = "TOFT_TEST_PART";

#[test]
fn part() {
    match std::env::var(PART).as_deref() {
        Ok("serve") => serve(80),
        Ok("notify") => notify(),
        Ok("calls") => calls(),
        #[cfg(target_arch = "x86_64")]
        Ok("foreign") => foreign(),
        Ok("eat") => eat(),
        Ok("fork") => fork(),
        _ => {}
    }
}

/// Answers every connection with the bytes that it sent.
fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    println!("listening");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut word = [0u8; 4];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
    }
}

fn notify() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let name = std::env::var("NOTIFY_SOCKET").unwrap();
    let address = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
    UnixDatagram::unbound()
        .unwrap()
        .send_to_addr(b"READY=1", &address)
        .unwrap();
}

/// Tries what is walled off and prints the errno of each.
fn calls() {
    let tell = |name: &str, result: i64| {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        println!("{name} {}", if result < 0 { errno } else { 0 });
    };
    // SAFETY: calls with numbers alone, or with null where the filter decides before it is read.
    unsafe {
        let socket = |family, kind, protocol| i64::from(libc::socket(family, kind, protocol));
        tell("tcp", socket(libc::AF_INET, libc::SOCK_STREAM, 0));
        tell(
            "mptcp",
            socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
        );
        tell("raw", socket(libc::AF_INET, libc::SOCK_RAW, 1));
        tell("packet", socket(libc::AF_PACKET, libc::SOCK_RAW, 0));
        tell("vsock", socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0));
        tell(
            "route",
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
        );
        tell(
            "audit",
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT),
        );
        tell("io_uring", libc::syscall(libc::SYS_io_uring_setup, 1, 0));
        tell("unshare", i64::from(libc::unshare(libc::CLONE_NEWUSER)));
        tell("clone3", libc::syscall(libc::SYS_clone3, 0, 0));
        let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
        tell("clone", libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0));
        tell("ptrace", libc::syscall(libc::SYS_ptrace, 0, 0, 0, 0));
        tell("bpf", libc::syscall(libc::SYS_bpf, 0, 0, 0));
        tell("keyctl", libc::syscall(libc::SYS_keyctl, 0, 0, 0));
        tell("userfaultfd", libc::syscall(libc::SYS_userfaultfd, 0));
        tell("mount", libc::syscall(libc::SYS_mount, 0, 0, 0, 0, 0));
        tell("chroot", libc::syscall(libc::SYS_chroot, c"/tmp".as_ptr()));
        tell("setuid", i64::from(libc::setuid(0)));
        tell("kill init", i64::from(libc::kill(1, libc::SIGKILL)));
        tell(
            "by handle",
            libc::syscall(libc::SYS_open_by_handle_at, 0, 0, 0),
        );
        #[cfg(target_arch = "x86_64")]
        tell("x32", libc::syscall(0x4000_0000 | libc::SYS_getpid));
    }
    let far = UdpSocket::bind("0.0.0.0:0")
        .unwrap()
        .send_to(b"x", "192.0.2.1:53");
    println!("far {}", far.unwrap_err().raw_os_error().unwrap());
}

/// Asks for its process id as a program of 32 bits does.
#[cfg(target_arch = "x86_64")]
fn foreign() {
    let pid: u32;
    // SAFETY: the call has no arguments and changes its result's register alone.
    unsafe { std::arch::asm!("int 0x80", inlateout("eax") 20 => pid) };
    println!("process {pid}");
}

/// Takes memory until there is none.
fn eat() {
    let mut kept = Vec::new();
    for n in 0..512u32 {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(1 << 20).is_err() {
            println!("refused after {n} MiB");
            return;
        }
        block.resize(1 << 20, 1);
        kept.push(block);
    }
    println!("took {} MiB", kept.len());
}

/// Counts how many children there can be at a time.
fn fork() {
    let mut count = 0;
    for _ in 0..200 {
        // SAFETY: the child sleeps and makes no other call.
        match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: as above.
                unsafe { libc::pause() };
            },
            -1 => break,
            _ => count += 1,
        }
    }
    println!("children {count}");
}
