//! Process 1 of every instance, and what it says and is told.
//!
//! The program itself stands in `init/` and is built by `build.rs`. It is executed from a sealed
//! file in memory, so that it needs no place in any instance's file tree.
//!
//! **Status pipe.** Init writes one record of eight bytes, two native 32-bit integers: a kind and a
//! value. Kind 0: the program ended, the value is its wait status (wait(2)). Kind 1: the program
//! could not be executed, the value is the errno. A pipe that ends without a record means that
//! init itself was killed, and everything with it.
//!
//! **Control socket** (`SOCK_SEQPACKET`). A request is a packet of a token (native u64) and the
//! words of a command, each ended by a NUL ([`run_request`]). The command runs in the instance's
//! sandbox with its environment and working folder. The answer is a packet of the token and a
//! status record ([`decode_run_answer`]).

use crate::error::Error;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use toft_model::instance::End;

/// The program as an ELF file.
pub(crate) static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// The largest request that init takes, in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 - 1;
/// Bytes of a record on the status pipe.
pub const STATUS_BYTES: usize = 8;
/// Bytes of an answer on the control socket.
pub const ANSWER_BYTES: usize = 16;

/// What init reports of a program or command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It ran and ended so.
    Ended(End),
    /// It could not be executed: errno of the exec, or of the clone before it.
    NotRun(Errno),
}

impl Status {
    /// Exit code as a shell would give it: 128 + n for a signal; `None` when it did not run.
    pub fn code(self) -> Option<i32> {
        match self {
            Status::Ended(End::Code(code)) => Some(code),
            Status::Ended(End::Signal(signal)) => Some(128 + signal),
            Status::Ended(End::Unknown) | Status::NotRun(_) => None,
        }
    }
}

/// Reads what came out of a status pipe: `None` unless it is exactly one record.
pub fn decode_status(bytes: &[u8]) -> Option<Status> {
    let bytes: [u8; STATUS_BYTES] = bytes.try_into().ok()?;
    let (kind, value) = bytes.split_at(4);
    let kind = i32::from_ne_bytes(kind.try_into().ok()?);
    let value = i32::from_ne_bytes(value.try_into().ok()?);
    match kind {
        0 => Some(Status::Ended(end_of(value))),
        1 => Some(Status::NotRun(Errno::from_raw_os_error(value))),
        _ => None,
    }
}

/// A packet that asks init to run a command. `None` when it cannot: no words, a NUL in one of them,
/// or longer than [`REQUEST_BYTES_MAX`].
pub fn run_request(token: u64, argv: &[String]) -> Option<Vec<u8>> {
    if argv.is_empty() || argv.len() > 500 || argv.iter().any(|word| word.contains('\0')) {
        return None;
    }
    let mut packet = token.to_ne_bytes().to_vec();
    for word in argv {
        packet.extend_from_slice(word.as_bytes());
        packet.push(0);
    }
    (packet.len() <= REQUEST_BYTES_MAX).then_some(packet)
}

/// Reads an answer of init: the request's token and how the command went.
pub fn decode_run_answer(bytes: &[u8]) -> Option<(u64, Status)> {
    if bytes.len() != ANSWER_BYTES {
        return None;
    }
    let (token, status) = bytes.split_at(8);
    Some((
        u64::from_ne_bytes(token.try_into().ok()?),
        decode_status(status)?,
    ))
}

/// The end that a wait status of wait(2) tells of.
pub fn end_of(status: i32) -> End {
    if libc::WIFEXITED(status) {
        End::Code(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        End::Signal(libc::WTERMSIG(status))
    } else {
        End::Unknown
    }
}

/// A sealed file in memory with the program, close-on-exec.
pub(crate) fn file() -> Result<OwnedFd, Error> {
    let make = |flags| {
        memfd_create(
            "toft-init",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | flags,
        )
    };
    let failed = |errno| Error::Prepare {
        what: "make init's file in memory",
        errno,
    };
    // Kernels before 6.3 do not know the flag that asks for an executable one.
    let fd = match make(MemfdFlags::EXEC) {
        Err(Errno::INVAL) => make(MemfdFlags::empty()),
        other => other,
    }
    .map_err(failed)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(PROGRAM).map_err(|_| failed(Errno::NOSPC))?;
    let fd = OwnedFd::from(file);
    rustix::fs::fchmod(&fd, rustix::fs::Mode::from_raw_mode(0o555)).map_err(failed)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&fd, seals).map_err(failed)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_is_small() {
        assert!(PROGRAM.len() < 16 * 1024, "{} bytes", PROGRAM.len());
        assert_eq!(&PROGRAM[..4], b"\x7fELF");
    }

    #[test]
    fn records_are_read_or_refused() {
        let record = |kind: i32, value: i32| [kind.to_ne_bytes(), value.to_ne_bytes()].concat();
        assert_eq!(
            decode_status(&record(0, 3 << 8)),
            Some(Status::Ended(End::Code(3)))
        );
        assert_eq!(
            decode_status(&record(0, 9)),
            Some(Status::Ended(End::Signal(9)))
        );
        assert_eq!(
            decode_status(&record(1, 2)),
            Some(Status::NotRun(Errno::NOENT))
        );
        assert_eq!(decode_status(&record(2, 2)), None);
        assert_eq!(decode_status(&[]), None);
        assert_eq!(decode_status(&[0; 9]), None);
        assert_eq!(Status::Ended(End::Signal(9)).code(), Some(137));
    }

    #[test]
    fn requests_have_bounds() {
        let words = |list: &[&str]| {
            list.iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let packet = run_request(7, &words(&["a", "bc"])).unwrap();
        assert_eq!(&packet[8..], b"a\0bc\0");
        assert_eq!(run_request(7, &[]), None);
        assert_eq!(run_request(7, &words(&["a\0b"])), None);
        assert_eq!(run_request(7, &["x".repeat(20_000)]), None);
    }
}
