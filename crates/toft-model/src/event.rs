//! One immutable line about one change.

use crate::id::{AppName, InstanceId};
use crate::instance::{Listening, Outcome, Refusal};
use crate::sandbox::Enforcer;
use serde::{Deserialize, Serialize};

/// One change, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one with each event of this server's life.
    pub number: u64,
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// Whose.
    pub app: AppName,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum What {
    /// A new release was made and is being rolled out.
    Released {
        /// Its number.
        release: u64,
    },
    /// An instance was ordered.
    Starting {
        /// Who.
        instance: InstanceId,
        /// Why: “release 3”, “restart 2 after exit code 1”.
        reason: String,
    },
    /// Some of its budgets are not held by a cgroup here.
    BestEffort {
        /// Who.
        instance: InstanceId,
        /// Each such budget's name in the app file, and what holds it instead.
        budgets: Vec<(String, Enforcer)>,
    },
    /// It could not be started.
    Refused {
        /// Who.
        instance: InstanceId,
        /// Why.
        refusal: Refusal,
    },
    /// It runs, but is not ready yet; what the last probe met.
    Waiting {
        /// Who.
        instance: InstanceId,
        /// In words.
        probe: String,
        /// What it listens on.
        listening: Option<Listening>,
    },
    /// It is ready and takes requests.
    Ready {
        /// Who.
        instance: InstanceId,
        /// Milliseconds from its start.
        after_ms: u64,
    },
    /// It was not ready in time and was ended.
    Late {
        /// Who.
        instance: InstanceId,
        /// What the last probe met.
        probe: String,
        /// What it listened on.
        listening: Option<Listening>,
        /// The last lines of its log, oldest first.
        last: Vec<String>,
    },
    /// It gets no new requests and will be stopped.
    Draining {
        /// Who.
        instance: InstanceId,
        /// Why.
        reason: String,
    },
    /// It is asked to end although requests are in flight to it.
    Cut {
        /// Who.
        instance: InstanceId,
        /// Why.
        reason: String,
    },
    /// It ended.
    Exited {
        /// Who.
        instance: InstanceId,
        /// How.
        outcome: Outcome,
        /// The last lines of its log, oldest first.
        last: Vec<String>,
    },
    /// It will be started again after a while.
    RestartIn {
        /// Who.
        instance: InstanceId,
        /// In how many milliseconds.
        ms: u64,
    },
    /// The release serves; older instances are gone from the table.
    Serving {
        /// Which.
        release: u64,
    },
    /// The release was given up; the one before it goes on.
    GivenUp {
        /// Which.
        release: u64,
        /// The release that goes on serving.
        keeps: Option<u64>,
        /// Why, in words.
        reason: String,
    },
    /// A run (a build) ended.
    RunEnded {
        /// Who.
        instance: InstanceId,
        /// How.
        outcome: Outcome,
        /// The last lines of its log, oldest first.
        last: Vec<String>,
    },
}
