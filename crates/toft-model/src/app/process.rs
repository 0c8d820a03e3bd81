//! A kind of thing that an app runs.

use super::{Command, Connect, FileGrant, Listen, UseSet};
use crate::id::{AppName, Label, ProcessName};
use crate::instance::signal_name;
use crate::sandbox::{Limits, Network};
use crate::table::Check;
use crate::unit::duration_text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One process of an app: `[process.web]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// What runs.
    pub run: Command,
    /// How many copies.
    pub count: Count,
    /// Named sets of host paths; `None`: inferred from the command.
    pub sets: Option<Vec<UseSet>>,
    /// How readiness shows; `None`: it is ready as soon as it was started.
    pub ready: Option<Check>,
    /// How long it may take to be ready.
    pub ready_within: Duration,
    /// How it shows that it still works; `None`: only its exit counts.
    pub alive: Option<Alive>,
    /// What runs once per fresh volume, before the first start.
    pub init: Option<Command>,
    /// How it is asked to end.
    pub stop: StopSpec,
    /// What follows when it ends unasked.
    pub restart: Restart,
    /// What follows when its machine is lost.
    pub if_lost: IfLost,
    /// Where it may be placed.
    pub needs: Needs,
    /// What stands around its network.
    pub network: Network,
    /// Whether it may start where a budget cannot be enforced.
    pub budgets: Budgets,
    /// Its whole environment as far as the file says: the app's, and its own over that.
    pub env: BTreeMap<String, String>,
    /// Doors that others come in by, in the order of the file: the first one is `PORT`.
    pub listen: Vec<Listen>,
    /// Doors that it goes out by.
    pub connect: BTreeMap<Label, Connect>,
    /// What it sees beyond the base set, by absolute path inside.
    pub files: BTreeMap<String, FileGrant>,
    /// How much it may use.
    pub limits: Limits,
    /// Where its words go.
    pub log: LogSpec,
}

/// How many copies of a process run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Always so many.
    Fixed(u32),
    /// As many as requests ask for, between these, `min` ≤ `max`.
    Range {
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(count) => count.fmt(f),
            Self::Range { min, max } => write!(f, "{min}..{max}"),
        }
    }
}

/// How an instance shows that it still works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// What is tried.
    pub check: Check,
    /// How often.
    pub every: Duration,
}

/// How an instance is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSpec {
    /// Signal number.
    pub signal: i32,
    /// How long it may take before it is killed.
    pub grace: Duration,
}

impl Default for StopSpec {
    /// TERM, and 10 seconds.
    fn default() -> Self {
        Self {
            signal: 15,
            grace: Duration::from_secs(10),
        }
    }
}

impl StopSpec {
    /// The signal's name: `TERM`.
    pub fn signal_text(&self) -> String {
        signal_name(self.signal).map_or_else(|| self.signal.to_string(), str::to_owned)
    }
}

/// What follows when an instance ends unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Nothing: the program is one that ends.
    Never,
    /// It is started again after a wait that doubles from `first` to `max`.
    Backoff {
        /// The first wait.
        first: Duration,
        /// The longest wait.
        max: Duration,
        /// After having run so long, the next wait is `first` again.
        reset_after: Duration,
    },
}

impl Default for Restart {
    /// `1s to 5m, reset after 5m`.
    fn default() -> Self {
        Self::Backoff {
            first: Duration::from_secs(1),
            max: Duration::from_secs(300),
            reset_after: Duration::from_secs(300),
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Backoff {
                first,
                max,
                reset_after,
            } => write!(
                f,
                "{} to {}, reset after {}",
                duration_text(*first),
                duration_text(*max),
                duration_text(*reset_after)
            ),
        }
    }
}

/// What follows when an instance's machine is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfLost {
    /// Another is started after a timeout; for a while there may be two.
    #[default]
    Replace,
    /// Another is started only once the first one certainly runs no more.
    FenceFirst,
}

impl fmt::Display for IfLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replace => "replace",
            Self::FenceFirst => "fence first",
        })
    }
}

/// Whether an instance may start where a budget cannot be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budgets {
    /// No.
    #[default]
    Required,
    /// Yes, and it is said which ones.
    BestEffort,
}

impl fmt::Display for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::BestEffort => "best effort",
        })
    }
}

/// Where a process may be placed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Needs {
    /// Labels that the machine must have, with these values: `zone` = `a`.
    pub labels: BTreeMap<String, String>,
    /// The label whose values the copies are spread over.
    pub spread: Option<String>,
    /// Never on one machine with these.
    pub apart: Vec<Peer>,
    /// On the same machine as these.
    pub beside: Vec<Peer>,
}

/// What a process is kept apart from or beside of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// A process of the same app.
    Own(ProcessName),
    /// Every process of another app.
    App(AppName),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(process) => process.fmt(f),
            Self::App(app) => write!(f, "app:{app}"),
        }
    }
}

/// Where a process' words go, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// Where to, at least one.
    pub to: Vec<LogTarget>,
    /// Lines per second that are kept; the rest is counted.
    pub lines_per_second: u32,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTarget {
    /// Toft's own store.
    Store,
    /// A server elsewhere.
    Remote {
        /// How it is spoken to.
        transport: LogTransport,
        /// Name or address, as in a URL.
        host: String,
        /// Port, where the URL has one.
        port: Option<u16>,
        /// Path with its `/`, empty when the URL has none.
        path: String,
    },
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("store"),
            Self::Remote {
                transport,
                host,
                port,
                path,
            } => {
                write!(f, "{}://{host}", transport.scheme())?;
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                f.write_str(path)
            }
        }
    }
}

/// How a log server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTransport {
    /// RFC 5424 lines over UDP (RFC 5426).
    SyslogUdp,
    /// RFC 5424 lines over TCP (RFC 6587).
    SyslogTcp,
    /// RFC 5424 lines over TLS (RFC 5425).
    SyslogTls,
    /// Lines of JSON by POST.
    Https,
    /// OpenTelemetry's protocol over HTTPS.
    Otlp,
}

impl LogTransport {
    /// Every transport.
    pub const ALL: [Self; 5] = [
        Self::SyslogUdp,
        Self::SyslogTcp,
        Self::SyslogTls,
        Self::Https,
        Self::Otlp,
    ];

    /// What stands before `://`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::SyslogUdp => "syslog+udp",
            Self::SyslogTcp => "syslog+tcp",
            Self::SyslogTls => "syslog+tls",
            Self::Https => "https",
            Self::Otlp => "otlp+https",
        }
    }
}
