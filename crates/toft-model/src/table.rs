//! What server publishes to edge and doors. They keep it on disk and serve from it when nobody
//! tells them anything.

use crate::id::{AppName, InstanceId, Label};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Edge's whole routing table. A newer one replaces an older one at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Table {
    /// Grows with each change.
    pub revision: u64,
    /// Which listener leads to which route set; the listener's label is the key.
    pub routes: Vec<Route>,
    /// What routes lead to.
    pub upstreams: Vec<Upstream>,
}

/// An outside name that leads to a door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Which requests.
    pub host: HostMatch,
    /// Path prefix on segment borders; empty for all.
    pub path: String,
    /// Where they go: an index into nothing, a name that `Table::upstreams` has.
    pub to: UpstreamId,
}

/// Which `Host` a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostMatch {
    /// This name, in lower case, without a port.
    Exact(String),
    /// Every name that no other route has.
    Any,
}

/// A door of an app, whatever instances are behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UpstreamId {
    /// Whose.
    pub app: AppName,
    /// Which door.
    pub door: Label,
}

impl fmt::Display for UpstreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.door)
    }
}

/// The instances behind a door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Which door.
    pub id: UpstreamId,
    /// Ready instances, in a stable order; new requests go to these.
    pub ready: Vec<Backend>,
}

/// One way into one instance. An instance that is absent from a newer table drains: requests in
/// flight end, idle connections are closed, nothing new is sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Backend {
    /// Who.
    pub instance: InstanceId,
    /// TCP port inside its namespace.
    pub port: u16,
}

/// Asks doors to watch one instance until it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Who.
    pub instance: InstanceId,
    /// How it shows that it is ready.
    pub check: Check,
    /// How long it may take.
    pub within: Duration,
}

/// How readiness shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The port accepts a connection.
    Tcp {
        /// Port inside.
        port: u16,
    },
    /// A GET answers with a status below 400.
    Http {
        /// Port inside.
        port: u16,
        /// Path, starting with `/`.
        path: String,
    },
    /// It says `READY=1` on its notify socket (sd_notify(3)).
    Notify,
    /// A command inside its sandbox ends with code 0.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

/// What doors found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is ready.
    Ready,
    /// Not yet; what the last try met, in words. Sent when the words change.
    NotYet(String),
    /// It was not ready in time; what the last try met.
    Late(String),
}
