//! One probe, one child: what comes back is what it said, or how it died.

use crate::raw::{self, Arg};
use libc::c_long;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{Read, Write};
use toft_testkit::probe::{Finding, Got, Targets};

/// How long a probe may take.
const SECONDS: i64 = 5;

/// One hostile act.
pub(crate) struct Probe {
    /// Its name, unique.
    pub(crate) name: &'static str,
    /// What it tries.
    pub(crate) tries: &'static str,
    /// Why a plain user may not do this outside either; empty when he may.
    pub(crate) right: &'static str,
    /// The act.
    pub(crate) act: fn(&Targets) -> Outcome,
}

impl Probe {
    pub(crate) const fn new(
        name: &'static str,
        tries: &'static str,
        right: &'static str,
        act: fn(&Targets) -> Outcome,
    ) -> Self {
        Self {
            name,
            tries,
            right,
            act,
        }
    }
}

/// Success, or an error number.
pub(crate) type Outcome = Result<(), Miss>;

/// Why an act failed.
#[derive(Debug)]
pub(crate) enum Miss {
    /// The kernel said so.
    Errno(raw::Errno),
    /// No answer came.
    Silent,
    /// It cannot be tried on this machine.
    NotHere(&'static str),
}

impl From<raw::Errno> for Miss {
    fn from(errno: raw::Errno) -> Self {
        Miss::Errno(errno)
    }
}

impl From<std::io::Error> for Miss {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Miss::Silent,
            _ => Miss::Errno(raw::errno_of(&error)),
        }
    }
}

impl From<rustix::io::Errno> for Miss {
    fn from(errno: rustix::io::Errno) -> Self {
        Miss::Errno(errno.raw_os_error())
    }
}

/// Succeeds when `seen`, else there was nothing to see.
pub(crate) fn seen(seen: bool) -> Outcome {
    if seen {
        Ok(())
    } else {
        Err(Miss::Errno(libc::ENOENT))
    }
}

/// A call that is good when it is not refused.
pub(crate) fn one<const N: usize>(number: c_long, args: [Arg<'_>; N]) -> Outcome {
    Ok(raw::call(number, args).map(drop)?)
}

pub(crate) fn fd<const N: usize>(number: c_long, args: [Arg<'_>; N]) -> Outcome {
    Ok(raw::call_fd(number, args).map(drop)?)
}

/// A call with senseless arguments that are looked at after the right to make it: any error but a
/// refusal shows that the right was there, and nothing happens.
pub(crate) fn checked<const N: usize>(number: c_long, args: [Arg<'_>; N]) -> Outcome {
    match raw::call(number, args) {
        Err(errno @ (libc::EPERM | libc::EACCES | libc::ENOSYS)) => Err(Miss::Errno(errno)),
        _ => Ok(()),
    }
}

/// Runs one probe.
pub(crate) fn finding(group: &str, probe: &Probe, targets: &Targets) -> Finding {
    Finding {
        name: probe.name.to_owned(),
        group: group.to_owned(),
        tries: probe.tries.to_owned(),
        right: (!probe.right.is_empty()).then(|| probe.right.to_owned()),
        got: in_child(probe, targets),
    }
}

fn in_child(probe: &Probe, targets: &Targets) -> Got {
    let Ok((mut from, to)) = std::io::pipe() else {
        return Got::NotHere("no pipe to be had".into());
    };
    match raw::fork() {
        Err(errno) => Got::NotHere(format!("no child to be had (error {errno})")),
        Ok((_, true)) => {
            drop(from);
            raw::own_group();
            tell(to, (probe.act)(targets));
        }
        Ok((pid, false)) => {
            drop(to);
            let said = read_within(&mut from);
            if said.is_none() {
                raw::kill(pid);
            }
            let status = raw::wait_for(pid);
            raw::kill(-pid); // Some probes leave children, in the group of the first.
            raw::wait_for_all();
            match said {
                None => Got::Silent,
                Some(_) if libc::WIFSIGNALED(status) => Got::Killed(libc::WTERMSIG(status)),
                Some(text) => serde_json::from_str(&text).unwrap_or(Got::Silent),
            }
        }
    }
}

/// In the child: says what came of it, and ends.
fn tell(mut to: impl Write, outcome: Outcome) -> ! {
    let got = match outcome {
        Ok(()) => Got::Allowed,
        Err(Miss::Errno(errno)) => Got::from_errno(errno),
        Err(Miss::Silent) => Got::Silent,
        Err(Miss::NotHere(why)) => Got::NotHere(why.to_owned()),
    };
    let text = serde_json::to_string(&got).unwrap_or_default() + "\n";
    let code = i32::from(to.write_all(text.as_bytes()).is_err());
    raw::leave(code)
}

/// The child's line, or what there is of it at its end; `None` when neither comes in time.
fn read_within(from: &mut (impl Read + std::os::fd::AsFd)) -> Option<String> {
    let mut text = String::new();
    loop {
        let span = Timespec {
            tv_sec: SECONDS,
            tv_nsec: 0,
        };
        let ready = {
            let mut polls = [PollFd::new(from, PollFlags::IN)];
            poll(&mut polls, Some(&span)).unwrap_or(0)
        };
        if ready == 0 {
            return None;
        }
        let mut chunk = [0; 512];
        match from.read(&mut chunk) {
            Ok(0) | Err(_) => return Some(text),
            Ok(n) => text.push_str(&String::from_utf8_lossy(&chunk[..n])),
        }
        if text.ends_with('\n') {
            return Some(text);
        }
    }
}

/// Reads a file whole and compares.
pub(crate) fn file_says(path: &std::path::Path, words: &str) -> Outcome {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    seen(text.contains(words))
}
