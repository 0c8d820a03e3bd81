//! How an app's code becomes a release, and how one release takes the place of another.

use super::{Command, Outside, Thousandths};
use crate::id::ProcessName;
use crate::unit::duration_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How code is built: `[build]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// What runs, in the project's folder.
    pub run: Command,
    /// Named sets of host paths; `None`: inferred from the command.
    pub sets: Option<Vec<UseSet>>,
    /// What it may reach.
    pub connect: Vec<Outside>,
    /// What is kept from one build to the next.
    pub cache: Vec<CachePath>,
}

/// A named set of host paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseSet {
    /// One of Toft's own: `python3`, `certs`.
    Named(String),
    /// A package that is installed on the machine, with all that it depends on.
    Debian(String),
}

impl fmt::Display for UseSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Debian(package) => write!(f, "debian:{package}"),
        }
    }
}

/// A folder that is kept from one build to the next. Neither form has `.` or `..` or doubled slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CachePath {
    /// Below the build's home, a folder of Toft's, never the person's own.
    Home(String),
    /// Below the project folder.
    Project(String),
}

impl fmt::Display for CachePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home(path) => write!(f, "~/{path}"),
            Self::Project(path) => write!(f, "./{path}"),
        }
    }
}

/// What runs once per release, before it gets traffic: `[release]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSpec {
    /// What runs.
    pub run: Command,
    /// Whose sandbox, doors and environment it takes.
    pub like: ProcessName,
}

/// How an app is tested: `[test]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSpec {
    /// What runs beside the app.
    pub run: Command,
    /// Whose sandbox, doors and environment it takes.
    pub like: ProcessName,
}

/// How one release takes the place of another: `[deploy]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploySpec {
    /// How many instances change together, at least 1.
    pub at_once: u32,
    /// Shares of traffic in percent that a new release gets one after the other, growing, each 1 to 100; empty: none.
    pub canary: Vec<u8>,
    /// Any of these, seen while both run, gives the new release up.
    pub abort: Vec<AbortWhen>,
    /// What is kept of older releases. The last good one always is.
    pub keep: Keep,
}

impl Default for DeploySpec {
    fn default() -> Self {
        Self {
            at_once: 1,
            canary: Vec::new(),
            abort: Vec::new(),
            keep: Keep::default(),
        }
    }
}

/// A figure of a new release that gives it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortWhen {
    /// More than this share of requests fail, in percent.
    Errors(Thousandths),
    /// This percentile of the time to answer is more than `factor` times the old release's.
    Latency {
        /// 50, 90, 95 or 99.
        percentile: u8,
        /// How many times.
        factor: Thousandths,
    },
}

impl fmt::Display for AbortWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors(percent) => write!(f, "errors > {percent}%"),
            Self::Latency { percentile, factor } => write!(f, "p{percentile} > {factor}x"),
        }
    }
}

/// What is kept of older releases: what is within either bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// So many.
    pub releases: Option<u32>,
    /// So old.
    pub age: Option<Duration>,
}

impl Default for Keep {
    /// 20 releases, 90 days.
    fn default() -> Self {
        Self {
            releases: Some(20),
            age: Some(Duration::from_secs(90 * 86_400)),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(releases) = self.releases {
            write!(f, "{releases} releases")?;
        }
        if self.releases.is_some() && self.age.is_some() {
            f.write_str(", ")?;
        }
        match self.age {
            Some(age) => f.write_str(&duration_text(age)),
            None => Ok(()),
        }
    }
}

/// Who hears of what an app went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyTarget {
    /// A POST to this URL.
    Web(String),
    /// A command that reads the message from its standard input.
    Run(Command),
}

impl fmt::Display for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => f.write_str(url),
            Self::Run(command) => write!(f, "run:{command}"),
        }
    }
}
