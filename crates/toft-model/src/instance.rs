//! One instance: what is ordered, what was seen of it, how it ended.

use crate::id::{InstanceId, Label};
use crate::sandbox::{Enforcer, SandboxSpec};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Everything that is needed to start one instance, resolved: no name is left to look up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// Who it is.
    pub id: InstanceId,
    /// Program and arguments; the program is an absolute path inside, or a name to find on `PATH`.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Working folder inside.
    pub workdir: String,
    /// Its walls and budgets.
    pub sandbox: SandboxSpec,
    /// Doors that others may come in by.
    pub listen: Vec<ListenDoor>,
    /// How it is asked to end.
    pub stop: Stop,
    /// How much it may say.
    pub log: LogSpec,
    /// Whether it gets a `NOTIFY_SOCKET` (an abstract socket in its own network namespace).
    pub notify: bool,
}

/// A port that the program binds inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenDoor {
    /// Its label, unique in the app.
    pub label: Label,
    /// TCP port inside.
    pub port: u16,
    /// Whether edge may come in here (a route leads to it).
    pub routed: bool,
}

/// How an instance is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Signal number.
    pub signal: i32,
    /// How long it may take before it is killed.
    pub grace: Duration,
}

/// Bounds of an instance's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// Lines per second that are kept; the rest is counted.
    pub lines_per_second: u32,
    /// Bytes that the ring keeps.
    pub ring_bytes: u64,
}

impl Default for LogSpec {
    fn default() -> Self {
        Self {
            lines_per_second: 20_000,
            ring_bytes: 8 << 20,
        }
    }
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The process' own end.
    pub end: End,
    /// How often the kernel killed in it for want of memory (cgroups only).
    pub oom_kills: u64,
    /// Highest memory use in bytes, where a cgroup counted it.
    pub memory_peak: Option<u64>,
    /// Whether Toft had asked for the end.
    pub asked: bool,
    /// From spawn to end.
    pub lived: Duration,
}

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It ended while nobody could see how.
    Unknown,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Code(code) => write!(f, "exit code {code}"),
            End::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "signal {number} ({name})"),
                None => write!(f, "signal {number}"),
            },
            End::Unknown => f.write_str("an end that nobody saw"),
        }
    }
}

const SIGNALS: [(i32, &str); 18] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (31, "SYS"),
];

/// The short name of a signal (signal(7), the numbers of x86 and ARM).
pub fn signal_name(number: i32) -> Option<&'static str> {
    SIGNALS
        .iter()
        .find(|(n, _)| *n == number)
        .map(|(_, name)| *name)
}

/// The number of a signal named `TERM` or `SIGTERM`.
pub fn signal_number(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    SIGNALS
        .iter()
        .find(|(_, n)| *n == name)
        .map(|(number, _)| *number)
}

/// Why an instance could not be started: one step, with what the kernel said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was being done, in words: “mount /srv/static from /home/x/static”.
    pub step: String,
    /// What came back: the kernel's error text, or the rule that forbids it.
    pub cause: String,
    /// What to do about it, where there is something.
    pub cure: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.cause)
    }
}

/// A running instance as the keeper sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Who it is.
    pub id: InstanceId,
    /// Process id of its init, as the keeper sees it.
    pub pid: u32,
    /// Start time of that process in clock ticks since boot (proc(5), field 22): with `pid`, its identity.
    pub start_time: u64,
    /// How each asked-for budget is held.
    pub budgets: Vec<(String, Enforcer)>,
}

/// What an instance listens on, read from its own network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// TCP sockets in the listening state.
    pub tcp: Vec<SocketAddr>,
}
