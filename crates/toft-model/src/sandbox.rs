//! What the kernel is to hold one instance to, as data: the order that `toft-sandbox` carries out.
//!
//! The view (`SandboxSpec::view`) is prepared once and shared by every instance of a release; what
//! belongs to one instance alone stands in `SandboxSpec::own`.

use crate::unit::{Bytes, MilliCpu};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The walls and budgets of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Host name inside, at most 63 bytes.
    pub hostname: String,
    /// Mounts that all instances of a release share; prepared once, under a key made of their content.
    pub view: Vec<Mount>,
    /// Mounts of this instance alone, made at its start: volumes, scratch.
    pub own: Vec<Mount>,
    /// Small files that are written below `/run/toft` at the start (`app.json`, `passwd`, `hosts` …).
    /// The text `{uid}` in their contents is replaced by the instance's user id.
    pub run_files: Vec<RunFile>,
    /// What stands around the instance's network.
    pub network: Network,
    /// Which system calls it may make.
    pub calls: Calls,
    /// Budgets; what the machine cannot enforce is reported, not ignored.
    pub limits: Limits,
}

/// One thing in an instance's file tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path inside; parents are made.
    pub target: PathBuf,
    /// What appears there.
    pub source: Source,
}

/// What appears at a mount's target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Source {
    /// A file or folder of the machine, never with set-uid or devices.
    Bind {
        /// Absolute path outside; symbolic links are followed by the one who wrote the spec, not here.
        path: PathBuf,
        /// May be written.
        write: bool,
        /// Files below may be executed.
        exec: bool,
        /// On-disk owner that the instance's user stands for (an idmapped mount); `None`: as it is.
        owner: Option<u32>,
    },
    /// An empty folder in memory that ends with the instance.
    Scratch {
        /// How much may be written.
        size: Bytes,
        /// Files below may be executed.
        exec: bool,
    },
    /// A small read-only file with these contents. In `view` only.
    File {
        /// What it says.
        contents: String,
    },
    /// A symbolic link. In `view` only.
    Link {
        /// Where it points, as written.
        to: PathBuf,
    },
    /// An empty read-only folder. In `view` only.
    Dir,
}

/// A file made below `/run/toft` for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// Its name, without a slash.
    pub name: String,
    /// What it says; `{uid}` stands for the instance's user id.
    pub contents: String,
}

/// What stands around an instance's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A namespace of its own with nothing but loopback; doors lead in and out.
    Doors,
    /// The machine's own network: a declared exception.
    Host,
}

/// Which family of system calls is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calls {
    /// An app: no new namespaces, no mounts, no kernel surface beyond what programs use.
    App,
    /// A role of Toft itself: as an app.
    Role,
}

/// Budgets. `None` means that nothing was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of all processes together (cgroup), or of each one (RLIMIT_DATA) where there is no cgroup.
    pub memory: Option<Bytes>,
    /// Processor time.
    pub cpu: Option<MilliCpu>,
    /// Processes and threads together.
    pub pids: Option<u32>,
    /// Open files of each process.
    pub open_files: Option<u32>,
}

/// How a budget is held on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcer {
    /// cgroup version 2.
    CgroupV2,
    /// cgroup version 1.
    CgroupV1,
    /// A resource limit of each process (`RLIMIT_DATA`, `RLIMIT_NPROC`): best effort.
    Rlimit,
    /// Nothing here can hold it.
    Nothing,
}

/// Which rights Toft has on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Real root: a fresh user id for each instance, cgroups, idmapped mounts.
    Root,
    /// A plain user in a user namespace with root mapped: one outer user id for all.
    User,
}
