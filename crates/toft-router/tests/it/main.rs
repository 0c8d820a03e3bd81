//! The router as its neighbours see it: a keeper and a server that speak the real messages, real
//! sockets, real namespaces where the rights are there.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests: a surprise ends them"
)]

mod app;
mod chaos;
mod client;
mod core;
mod doors;
mod http;
mod keeper;
mod namespace;
mod stream;
mod swap;
mod tunnel;
mod world;
