//! The app file as plain data: the whole grammar, decoded and defaulted.
//!
//! Everything that people may leave out is filled in here, every quantity has its type, and every
//! name that the file mentions exists in it: who holds an [`AppSpec`] needs to look nothing up in
//! the text again. `Display` of each part is the way it is written in the file.

mod door;
mod process;
mod release;
mod route;
mod schedule;

pub use door::{Connect, DoorRef, FileGrant, HostPath, Listen, ListenOn, Outside};
pub use process::{
    Alive, Budgets, Count, IfLost, LogSpec, LogTarget, LogTransport, Needs, Peer, ProcessSpec,
    Restart, StopSpec,
};
pub use release::{
    AbortWhen, BuildSpec, CachePath, DeploySpec, Keep, NotifyTarget, ReleaseSpec, TestSpec, UseSet,
};
pub use route::{Balance, HashBy, Picker, RouteFrom, RouteSpec};
pub use schedule::{Missed, Overlap, Retries, RetryGrowth, ScheduleSpec, When};

use crate::id::{AppName, Label, ProcessName, ScheduleName, VolumeName};
use crate::unit::{Bytes, duration_text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One app: what its file says, with everything filled in that the file leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// Its name.
    pub name: AppName,
    /// What is added to each outside port, 0 to 40,000; another offset is another copy of the app.
    pub offset: u16,
    /// The environment that every process has. Already part of [`ProcessSpec::env`].
    pub env: BTreeMap<String, String>,
    /// How its code is built; `None` when it is run as it lies there.
    pub build: Option<BuildSpec>,
    /// What runs once per release, before it gets traffic.
    pub release: Option<ReleaseSpec>,
    /// How one release takes the place of another.
    pub deploy: DeploySpec,
    /// What it runs, at least one.
    pub processes: BTreeMap<ProcessName, ProcessSpec>,
    /// How the outside gets in, in the order of the outside names; no two share one.
    pub routes: Vec<RouteSpec>,
    /// What runs at times.
    pub schedules: BTreeMap<ScheduleName, ScheduleSpec>,
    /// Its disks.
    pub volumes: BTreeMap<VolumeName, VolumeSpec>,
    /// Who hears of failures, missing successes, new errors and finished releases.
    pub notify: Vec<NotifyTarget>,
    /// How it is tested.
    pub test: Option<TestSpec>,
}

impl AppSpec {
    /// The door behind a reference. The decoder has seen to it that it is there.
    pub fn door(&self, door: &DoorRef) -> Option<&Listen> {
        self.processes.get(&door.process)?.door(&door.door)
    }

    /// A port of the outside as this copy of the app claims it: offset added.
    ///
    /// The decoder refuses what would pass 65535, so that the sum never saturates for a decoded app.
    pub fn outside_port(&self, port: u16) -> u16 {
        port.saturating_add(self.offset)
    }

    /// The process whose sandbox a run takes when nothing else is said: `web`, else the only one.
    pub fn default_like(&self) -> Option<&ProcessName> {
        let web = self.processes.keys().find(|name| name.as_str() == "web");
        web.or_else(|| {
            self.processes
                .keys()
                .next()
                .filter(|_| self.processes.len() == 1)
        })
    }
}

/// A disk with its own life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// How large it may become; `None`: as large as the disk below it.
    pub size: Option<Bytes>,
    /// Whose it is.
    pub owner: VolumeOwner,
    /// When a write that the app flushed is on the disk.
    pub sync: SyncPolicy,
    /// Its share when the disk is busy.
    pub io: IoClass,
    /// On how many machines its contents are, at least 1.
    pub replicas: u32,
}

/// Whose a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeOwner {
    /// One for all instances of the app.
    #[default]
    App,
    /// One for each place among the copies of a process: `web.0` always meets its own again.
    EachInstance,
}

impl fmt::Display for VolumeOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "the app",
            Self::EachInstance => "each instance",
        })
    }
}

/// When a flushed write is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncPolicy {
    /// When the flush returns.
    #[default]
    Immediate,
    /// At the latest after this span; the flush itself returns at once.
    Every(Duration),
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Immediate => f.write_str("immediate"),
            Self::Every(span) => write!(f, "every {}", duration_text(*span)),
        }
    }
}

/// A volume's share when the disk is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IoClass {
    /// Less than others.
    Low,
    /// As others.
    #[default]
    Medium,
    /// More than others.
    High,
}

impl fmt::Display for IoClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// A program and its arguments: what `run = "…"` says, split into words. No shell reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Command(pub Vec<String>);

impl Command {
    /// The program as it was written: a name to find on `PATH`, or a path.
    pub fn program(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

impl fmt::Display for Command {
    /// One text that splits into the same words again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            if word.is_empty() || word.chars().any(needs_quotes) || looks_special(word, at == 0) {
                write!(f, "'{}'", word.replace('\'', r"'\''"))?;
            } else {
                f.write_str(word)?;
            }
        }
        Ok(())
    }
}

fn needs_quotes(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\'' | '"' | '\\' | '|' | '&' | ';' | '<' | '>' | '`' | '#'
        )
}

fn looks_special(word: &str, first: bool) -> bool {
    first && word.contains('=')
}

/// A decimal number with at most three places, kept as a whole number of thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thousandths(pub u32);

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1000, self.0 % 1000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{part:03}").trim_end_matches('0'))
    }
}

impl ProcessSpec {
    /// Its door of this label.
    pub fn door(&self, label: &Label) -> Option<&Listen> {
        self.listen.iter().find(|door| door.label == *label)
    }

    /// The first door that takes TCP connections, with its port inside: `PORT`, and where readiness is tried.
    pub fn first_tcp(&self) -> Option<(&Label, u16)> {
        self.listen.iter().find_map(|door| match door.on {
            ListenOn::Tcp { port } => Some((&door.label, port)),
            ListenOn::Udp { .. } | ListenOn::Unix { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_prints_so_that_it_splits_into_the_same_words() {
        let command =
            |words: &[&str]| Command(words.iter().map(|w| (*w).to_owned()).collect()).to_string();
        assert_eq!(command(&["python3", "app.py"]), "python3 app.py");
        assert_eq!(command(&["sh", "-c", "echo a b"]), "sh -c 'echo a b'");
        assert_eq!(command(&["A=1", "it's", ""]), r"'A=1' 'it'\''s' ''");
    }

    #[test]
    fn thousandths_print_as_decimals() {
        for (n, text) in [(2000, "2"), (500, "0.5"), (1, "0.001"), (1250, "1.25")] {
            assert_eq!(Thousandths(n).to_string(), text);
        }
    }
}
