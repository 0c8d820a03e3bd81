//! The data plane of one machine, in two roles.
//!
//! **edge** faces outside: it takes connections from listening sockets that it was given, reads
//! HTTP/1.1 strictly, and carries each request to a ready instance over a socket that was made
//! inside that instance's network. **doors** watches new instances until they are ready. Both get
//! every socket from the keeper and open none themselves, so they need no privilege and reach
//! nothing that they were not given.
//!
//! Protocols are sans-io cores ([`http1`]): no socket, no clock. The shells around them are one
//! epoll loop per thread; a request never waits for a lock or touches memory of another thread.

pub mod doors;
pub mod edge;
pub mod http1;
pub mod limits;
mod mailbox;
mod net;
mod routes;
mod server;
mod slab;
