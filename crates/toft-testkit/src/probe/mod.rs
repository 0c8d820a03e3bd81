//! Hostile probes: what a program in an app tries, what it got, and what that means.
//!
//! The program `toft-probes` holds the probes themselves. [`fn@drive`] sets up what they aim at, runs
//! them outside and inside of an app, and [`Table`] compares: a probe counts only when it is shown to
//! succeed outside in the same run, or when there is a reason why it cannot.

mod drive;
mod errno;
mod scene;
mod table;

pub use drive::{Kind, Tools, Walls, drive};
pub use errno::errno_name;
pub use scene::{GREETING, SECRET, Scene, Targets};
pub use table::{Row, Table, Verdict};

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a probe got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "got", content = "by")]
pub enum Got {
    /// What it was after.
    Allowed,
    /// A refusal with this error number.
    Denied(i32),
    /// Nothing: what it aims at does not exist there.
    Absent(i32),
    /// Death by this signal.
    Killed(i32),
    /// No answer within its time.
    Silent,
    /// It cannot be tried here, for this reason.
    NotHere(String),
}

impl Got {
    /// From a system call's error number: things that are not there are told from refusals.
    pub fn from_errno(errno: i32) -> Self {
        match errno {
            libc::ENOENT | libc::ESRCH | libc::ENOTDIR | libc::ENODEV | libc::ENXIO => {
                Got::Absent(errno)
            }
            other => Got::Denied(other),
        }
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Got::Allowed => f.write_str("ALLOWED"),
            Got::Denied(errno) => write!(f, "denied {}", errno_name(*errno)),
            Got::Absent(errno) => write!(f, "absent {}", errno_name(*errno)),
            Got::Killed(signal) => write!(f, "killed by signal {signal}"),
            Got::Silent => f.write_str("no answer"),
            Got::NotHere(_) => f.write_str("not here"),
        }
    }
}

/// One probe and what it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name, unique.
    pub name: String,
    /// What it is about: `files`, `network` …
    pub group: String,
    /// What it tries, in words.
    pub tries: String,
    /// Why a plain user may not do this outside either.
    pub right: Option<String>,
    /// What it got.
    #[serde(flatten)]
    pub got: Got,
}
