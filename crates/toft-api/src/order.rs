//! Requests and answers. Stored and sent types ignore fields that they do not know.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use toft_model::instance::{InstanceSpec, Listening};
use toft_model::table::{Check, HostMatch, UpstreamId};
use toft_model::{AppName, InstanceId, Label, ProcessName};

/// `POST /v1/apps/{app}/releases`: make a release of this and roll it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppOrder {
    /// Its name.
    pub app: AppName,
    /// What it runs.
    pub processes: Vec<ProcessOrder>,
    /// What leads to it.
    pub routes: Vec<RouteOrder>,
    /// How many instances change together, at least 1.
    pub at_once: u32,
}

/// One process of an app, resolved for this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessOrder {
    /// Which.
    pub process: ProcessName,
    /// How many.
    pub count: u32,
    /// What each copy looks like. Its `id` has index and generation 0; server fills both, replaces
    /// `{toft.index}` and `{toft.generation}` in environment values, mount sources, run files and the host name.
    pub template: InstanceSpec,
    /// How it shows that it is ready; `None`: as soon as it runs.
    pub ready: Option<Check>,
    /// How long that may take.
    pub ready_within: Duration,
    /// What happens when it ends by itself.
    pub restart: Restart,
}

/// The crash schedule: waits `from`, doubling to `to`; starts over after a life of `reset_after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// First wait; `None` in `never` mode.
    pub from: Duration,
    /// Longest wait.
    pub to: Duration,
    /// A life this long is a good one.
    pub reset_after: Duration,
    /// Programs that end are not started again.
    pub never: bool,
}

/// An outside name and the door that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteOrder {
    /// Which requests.
    pub host: HostMatch,
    /// Path prefix; empty for all.
    pub path: String,
    /// Which process.
    pub process: ProcessName,
    /// Which of its doors.
    pub door: Label,
}

impl RouteOrder {
    /// The name under which edge knows the door.
    pub fn upstream(&self, app: &AppName) -> UpstreamId {
        UpstreamId {
            app: app.clone(),
            door: self.door.clone(),
        }
    }
}

/// Answer to a new release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseMade {
    /// Its number.
    pub release: u64,
}

/// `POST /v1/apps/{app}/runs`: run this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOrder {
    /// What; its `id.generation` is filled by server.
    pub spec: InstanceSpec,
}

/// Answer to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStarted {
    /// Who it is; `Event::RunEnded` names it.
    pub instance: InstanceId,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Every app.
    pub apps: Vec<AppStatus>,
    /// The table that every thread of edge serves by.
    pub serving_revision: u64,
}

/// One app as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    /// Which.
    pub app: AppName,
    /// The release that serves.
    pub release: Option<u64>,
    /// The release that is being rolled out.
    pub rolling: Option<u64>,
    /// Its instances.
    pub instances: Vec<InstanceStatus>,
}

/// One instance as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Who.
    pub instance: InstanceId,
    /// Of which release.
    pub release: u64,
    /// Where it is in its life.
    pub phase: Phase,
    /// Process id of its init, once it runs.
    pub pid: Option<u32>,
    /// What it listens on, when it was last looked at.
    pub listening: Option<Listening>,
}

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The keeper was told to start it.
    Ordered,
    /// It runs and is not ready yet.
    Running,
    /// It takes requests.
    Ready,
    /// No new requests; those in flight end.
    Draining,
    /// It was asked to end.
    Stopping,
}

/// One line of an app's log, as `GET /v1/logs` streams them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Whose.
    pub instance: InstanceId,
    /// Nanoseconds since 1970, UTC.
    pub at_ns: u64,
    /// `out`, `err`, or `note` for Toft's own words in the stream (losses).
    pub stream: String,
    /// Counts within the instance.
    pub sequence: u64,
    /// The line, without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// Every answer from 400 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What was refused.
    pub what: String,
    /// Why.
    pub why: String,
}
