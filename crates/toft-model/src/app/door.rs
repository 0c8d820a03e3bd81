//! What crosses an instance's walls: doors in, doors out, files.

use crate::id::{AppName, Label, ProcessName, VolumeName};
use crate::unit::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A door that others may come in by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Its label, unique in the app.
    pub label: Label,
    /// What the program binds inside.
    pub on: ListenOn,
    /// Whether the program is shown its client's real address.
    pub client_address: bool,
}

/// What a program binds inside its own network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenOn {
    /// A TCP port.
    Tcp {
        /// Port inside.
        port: u16,
    },
    /// A UDP port.
    Udp {
        /// Port inside.
        port: u16,
    },
    /// A unix socket.
    Unix {
        /// Absolute path inside.
        path: String,
    },
}

impl fmt::Display for ListenOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { port } => write!(f, "{port}"),
            Self::Udp { port } => write!(f, "udp:{port}"),
            Self::Unix { path } => write!(f, "unix:{path}"),
        }
    }
}

/// A door of a process of the same app: `worker/rpc`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DoorRef {
    /// Whose.
    pub process: ProcessName,
    /// Which.
    pub door: Label,
}

impl fmt::Display for DoorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.process, self.door)
    }
}

/// Where a door out leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connect {
    /// Another app's door.
    App {
        /// Whose.
        app: AppName,
        /// Which.
        door: Label,
    },
    /// A door of a process of the same app.
    Own(DoorRef),
    /// A server on the machine itself.
    Machine {
        /// Its TCP port.
        port: u16,
    },
    /// The outside.
    Outside(Outside),
}

impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App { app, door } => write!(f, "app:{app}/{door}"),
            Self::Own(door) => door.fmt(f),
            Self::Machine { port } => write!(f, "machine:{port}"),
            Self::Outside(outside) => outside.fmt(f),
        }
    }
}

/// A place of the outside, always with a numeric port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// One host: a name in lower case, or an IP address.
    Host {
        /// Name or address; an IPv6 address without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// Any public host: `*:443`.
    Any {
        /// Port.
        port: u16,
    },
    /// Any host whose name ends in a dot and this: `*.example.com:443`.
    Below {
        /// The name after `*.`, in lower case.
        domain: String,
        /// Port.
        port: u16,
    },
    /// Any address of the private ranges: `*.private:443`.
    Private {
        /// Port.
        port: u16,
    },
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Any { port } => write!(f, "*:{port}"),
            Self::Below { domain, port } => write!(f, "*.{domain}:{port}"),
            Self::Private { port } => write!(f, "*.private:{port}"),
        }
    }
}

/// What stands at a path inside that the app file names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileGrant {
    /// Something of the project or the machine, to be read.
    Read(HostPath),
    /// Something of the project or the machine, to be read and written.
    Write(HostPath),
    /// A volume of the app.
    Volume(VolumeName),
    /// An empty folder in memory that ends with the instance, and how much fits.
    Scratch(Bytes),
}

impl fmt::Display for FileGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path) => write!(f, "read:{path}"),
            Self::Write(path) => write!(f, "write:{path}"),
            Self::Volume(name) => write!(f, "volume:{name}"),
            Self::Scratch(size) => write!(f, "scratch:{size}"),
        }
    }
}

/// A file or folder outside the sandbox. Neither form has `.` or `..` or doubled slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostPath {
    /// Below the project folder, relative to it; empty for the folder itself.
    Project(String),
    /// On the machine, absolute.
    Machine(String),
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(path) if path.is_empty() => f.write_str("."),
            Self::Project(path) => write!(f, "./{path}"),
            Self::Machine(path) => f.write_str(path),
        }
    }
}
