//! What crosses the wire between a client and server: requests, answers, and a client.
//!
//! The API is HTTP/1.1 with JSON over the machine's unix socket. Streams are server-sent events
//! (the HTML standard's `text/event-stream`): each has an `id`, and a client that comes back with
//! the last one it saw misses nothing and gets nothing twice.

pub mod client;
pub mod order;

pub use client::{Client, ClientError, Events};
pub use order::{
    AppOrder, AppStatus, InstanceStatus, LogLine, Phase, Problem, ProcessOrder, ReleaseMade,
    Restart, RouteOrder, RunOrder, RunStarted, Status,
};
