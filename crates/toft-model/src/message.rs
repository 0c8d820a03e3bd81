//! What the processes of one machine say to each other.
//!
//! Each message is one packet of a `SOCK_SEQPACKET` unix socket: JSON, at most
//! `toft_link::PACKET_BYTES_MAX` bytes, with the descriptors that the message names. The keeper
//! reads each one as if its sender had been taken over.

use crate::id::{Generation, InstanceId};
use crate::instance::{InstanceSpec, Listening, LogSpec, Outcome, Refusal, Running};
use crate::machine::{Bounds, OuterListener};
use crate::sandbox::{Limits, Mode, Mount};
use crate::table::{Probe, Table, Verdict};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The roles that the keeper starts from a built-in spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Control and agent.
    Server,
    /// Faces outside.
    Edge,
    /// App to app, outward, readiness.
    Doors,
}

impl Role {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Edge => "edge",
            Role::Doors => "doors",
        }
    }
}

/// First packet on the lifeline, from `up` to the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpOrder {
    /// State folder (`.toft/at-0`), absolute; it exists and belongs to the caller.
    pub state: PathBuf,
    /// What may be asked for.
    pub bounds: Bounds,
    /// Listeners for edge.
    pub listeners: Vec<OuterListener>,
}

/// From `up` to the keeper, after the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromUp {
    /// The app files changed: these are the bounds now.
    Bounds(Bounds),
    /// End in good order: stop signal, grace, KILL. The lifeline's end means KILL at once.
    End,
}

/// From the keeper to `up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToUp {
    /// The roles run and the API socket answers at this path.
    Running {
        /// Unix socket of the API.
        api: PathBuf,
        /// Which rights there are.
        mode: Mode,
    },
    /// It could not start.
    Failed(Refusal),
    /// A role ended by itself and was started again.
    RoleEnded(Role, Outcome),
    /// Everything has ended and was removed.
    Ended,
}

/// From server to the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerToKeeper {
    /// Start this. When it runs already, from the same order, `Started` tells of it again; another
    /// order under the same name and generation is refused.
    Start(Box<InstanceSpec>),
    /// Stop signal, grace, KILL; the keeper does all three.
    Stop(InstanceId),
    /// End it now.
    Kill(InstanceId),
    /// What does it listen on?
    Inspect(InstanceId),
}

/// From the keeper to server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeeperToServer {
    /// First message of a link: what runs already; of very many the rest comes as `Started`.
    /// `Exited` of those that ended last follow it, also
    /// where an earlier server may have heard of them: an end is told until it must have been heard.
    Hello {
        /// Instances, without the roles.
        running: Vec<Running>,
        /// The newest generation that any instance had in this keeper's life: what is ordered from
        /// now on needs newer ones.
        newest: Generation,
        /// Which rights there are.
        mode: Mode,
    },
    /// It runs.
    Started(Running),
    /// It could not be started; nothing of it is left.
    Refused(InstanceId, Refusal),
    /// It ended and everything of it was removed. Comes once for each order on one link.
    Exited(InstanceId, Outcome),
    /// Answer to `Inspect`; `None` when it does not run.
    Inspected(InstanceId, Option<Listening>),
    /// One descriptor: a seqpacket socket to edge or doors. A newer one replaces an older one of
    /// the same role; the table (edge) and the open probes (doors) are to be told again over it.
    Link {
        /// Who is at the other end.
        role: Role,
    },
}

/// From edge or doors to the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterToKeeper {
    /// Make `count` (1 to 64) blank TCP sockets inside this instance's network. Edge gets them for
    /// instances with a routed door only. `Sockets` answers each one; more than a bounded number a
    /// second is answered with none.
    Sockets {
        /// Whose network.
        instance: InstanceId,
        /// How many.
        count: u32,
    },
    /// Doors only: hand over the receiving end of its notify socket.
    Notify(InstanceId),
    /// Doors only: run this inside its sandbox; `Ran` answers.
    Run {
        /// Whose sandbox.
        instance: InstanceId,
        /// Program and arguments.
        argv: Vec<String>,
        /// Chosen by doors, comes back in the answer.
        token: u64,
    },
}

/// From the keeper to edge or doors. Descriptors travel with the message that names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeeperToRouter {
    /// Edge: outside listening sockets, one descriptor for each thread, same address (SO_REUSEPORT).
    Listener(OuterListener),
    /// One descriptor: a seqpacket socket to server. A newer one replaces an older one.
    Link,
    /// `count` descriptors follow: blank sockets of this instance. 0: there are none to be had.
    Sockets {
        /// Whose network.
        instance: InstanceId,
        /// How many came.
        count: u32,
    },
    /// One descriptor: the receiving end of its notify socket.
    Notify(InstanceId),
    /// Answer to `Run`: its exit code, `None` when it could not be run.
    Ran {
        /// As asked.
        token: u64,
        /// Exit code; 128 + n for a signal.
        code: Option<i32>,
    },
    /// It ended: its sockets are dead, its name may come back as another generation only.
    Exited(InstanceId, Outcome),
}

/// From server to edge, over their link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerToEdge {
    /// The table in full.
    Table(Table),
}

/// From edge to server, over their link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeToServer {
    /// Every thread serves by this revision.
    Serving {
        /// `Table::revision`.
        revision: u64,
    },
    /// Nothing is in flight any more to this instance, which the table no longer has.
    Drained(InstanceId),
}

/// From server to doors, over their link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerToDoors {
    /// Watch this one until it is ready.
    Probe(Probe),
    /// Forget it.
    Forget(InstanceId),
}

/// From doors to server, over their link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoorsToServer {
    /// What the probe found.
    Verdict(InstanceId, Verdict),
}

/// From the keeper to the spawner. `token` comes back in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToSpawner {
    /// Make a mount namespace with this view. Answer: `Prepared` with one descriptor.
    Prepare {
        /// Comes back.
        token: u64,
        /// The view.
        view: Vec<Mount>,
    },
    /// Clone an instance as the keeper's child. Descriptors: the view's namespace, stdin, stdout,
    /// stderr, the status pipe's writing end, the init control socket, then `extra` more that the
    /// program sees from number 3 on.
    Spawn {
        /// Comes back.
        token: u64,
        /// What to start.
        spec: Box<SpawnSpec>,
    },
    /// Make blank TCP sockets in the network namespace of descriptor 0.
    Sockets {
        /// Comes back.
        token: u64,
        /// How many.
        count: u32,
    },
    /// What do the processes of this network namespace listen on (pid of its init)?
    Inspect {
        /// Comes back.
        token: u64,
        /// Process id of the instance's init.
        pid: u32,
    },
    /// Kill what is left in this instance's cgroups, read their counters and remove them.
    Sweep {
        /// Comes back.
        token: u64,
        /// As in `SpawnSpec::cgroup`.
        cgroup: String,
    },
}

/// What the spawner is told of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnSpec {
    /// The order; `sandbox.view` is empty, it was prepared before.
    pub instance: InstanceSpec,
    /// User id outside (root mode: fresh; user mode: 0, which is the person).
    pub uid: u32,
    /// Name of its cgroup, one path component.
    pub cgroup: String,
    /// How many descriptors beyond the fixed ones the program gets, from number 3 on.
    pub extra: u32,
    /// Ends with the keeper (`up`).
    pub die_with_keeper: bool,
}

/// From the spawner to the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromSpawner {
    /// One descriptor: the mount namespace.
    Prepared {
        /// As asked.
        token: u64,
    },
    /// It runs: pidfd, network namespace (absent for `Network::Host`), notify socket (if asked for).
    Spawned {
        /// As asked.
        token: u64,
        /// Process id of its init.
        pid: u32,
        /// Start time in clock ticks.
        start_time: u64,
        /// How each budget is held.
        budgets: Vec<(String, crate::sandbox::Enforcer)>,
        /// Whether the second descriptor is a network namespace.
        netns: bool,
        /// Whether the last descriptor is a notify socket.
        notify: bool,
    },
    /// It did not work; nothing of it is left.
    Failed {
        /// As asked.
        token: u64,
        /// Why.
        refusal: Refusal,
    },
    /// `count` descriptors.
    Sockets {
        /// As asked.
        token: u64,
        /// How many.
        count: u32,
    },
    /// What it listens on.
    Inspected {
        /// As asked.
        token: u64,
        /// Read from its namespace.
        listening: Listening,
    },
    /// The cgroups are gone.
    Swept {
        /// As asked.
        token: u64,
        /// Kills for want of memory.
        oom_kills: u64,
        /// Highest memory use in bytes.
        memory_peak: Option<u64>,
    },
}

/// First packet to the spawner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnerOrder {
    /// Which rights there are.
    pub mode: Mode,
    /// Name of the parent cgroup of all instances of this keeper, one path component.
    pub cgroup: String,
    /// Memory and processes of the whole, where a machine file sets them.
    pub limits: Limits,
    /// Open files of an instance that asks for no other limit: what the caller had before the keeper
    /// raised its own.
    pub open_files: u64,
}

/// First packet to the logger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggerOrder {
    /// User and group id that it goes on as; `None`: it stays who it is (user mode).
    pub uid: Option<u32>,
}

/// From the keeper to the logger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToLogger {
    /// Three descriptors: reading ends of stdout and stderr, and the ring file, open for reading and
    /// writing. Generations of one place share the ring that `frame::ring_path` names.
    Follow {
        /// Whose.
        instance: InstanceId,
        /// Rates and bounds.
        log: LogSpec,
        /// A logger before this one followed it and ended: what that one held in hand is lost, and
        /// the ring says so.
        resumed: bool,
    },
    /// A line of Toft's own in the ring of an instance that is being followed.
    Note {
        /// Whose.
        instance: InstanceId,
        /// What it says.
        text: String,
    },
    /// It has ended: `Drained` is to come once both streams have ended and all of it is in the ring,
    /// this note last.
    Finish {
        /// Whose.
        instance: InstanceId,
        /// What is to be said about its end, where the program itself could say nothing.
        note: Option<String>,
    },
    /// Nobody waits for its streams to end any more: close them.
    Forget(InstanceId),
}

/// From the logger to the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromLogger {
    /// `Finish` came, both streams ended, and all of it is in the ring.
    Drained(InstanceId),
}
