//! How the outside gets in.

use super::DoorRef;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An outside name or port that leads to a door: `[route."example.com"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSpec {
    /// Which requests.
    pub from: RouteFrom,
    /// Where they go.
    pub to: DoorRef,
    /// Which of the machine's interfaces; empty: all.
    pub on: Vec<String>,
    /// Which instance gets the next one.
    pub balance: Balance,
}

/// What the outside asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteFrom {
    /// HTTP requests for a host.
    Http {
        /// Name in lower case, without a port.
        host: String,
        /// Path prefix on segment borders, `/api`; empty for all.
        path: String,
    },
    /// Connections to a TCP port.
    Tcp {
        /// Port as written, before the offset.
        port: u16,
    },
    /// Datagrams to a UDP port.
    Udp {
        /// Port as written, before the offset.
        port: u16,
    },
    /// TLS connections for a name, passed on as they come.
    Sni {
        /// Name in lower case.
        host: String,
    },
}

impl RouteFrom {
    /// The outside port, where the route has one of its own.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp { port } | Self::Udp { port } => Some(*port),
            Self::Http { .. } | Self::Sni { .. } => None,
        }
    }
}

impl fmt::Display for RouteFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { host, path } => write!(f, "{host}{path}"),
            Self::Tcp { port } => write!(f, "tcp:{port}"),
            Self::Udp { port } => write!(f, "udp:{port}"),
            Self::Sni { host } => write!(f, "sni:{host}"),
        }
    }
}

/// Which instance gets the next request or connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The less loaded of two.
    LeastLoaded,
    /// Any.
    Random,
    /// The same one for the same key.
    Hash(HashBy),
    /// The one that the client had before.
    Sticky,
    /// The one that a program of the user's picks.
    Picker(Picker),
}

/// What a hash is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashBy {
    /// A request header, its name in lower case.
    Header(String),
}

/// A program that picks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picker {
    /// A WebAssembly module of the project, by its path below the project folder.
    Module(String),
    /// A process of the app, asked at its unix-socket door.
    Door(DoorRef),
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoundRobin => f.write_str("round-robin"),
            Self::LeastLoaded => f.write_str("least-loaded"),
            Self::Random => f.write_str("random"),
            Self::Hash(HashBy::Header(name)) => write!(f, "hash:header:{name}"),
            Self::Sticky => f.write_str("sticky"),
            Self::Picker(Picker::Module(path)) => write!(f, "picker:./{path}"),
            Self::Picker(Picker::Door(door)) => write!(f, "picker:{door}"),
        }
    }
}
