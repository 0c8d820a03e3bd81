//! One machine: takes orders over the API, decides by `toft-plan`, drives keeper, edge and doors,
//! and reports what is so.
//!
//! [`run`] is the whole of the role *server*. One task owns all state and sees every event in one
//! order (`server::Server`); the API's handlers only send it questions.

mod api;
mod clock;
mod events;
mod inherited;
mod links;
mod logs;
mod pollable;
mod record;
pub mod resolve;
mod server;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Why the role server ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The keeper is gone; so is every reason to live.
    #[error("the link to the keeper ended")]
    Keeper(#[source] toft_link::LinkError),
    /// The kernel refused something at the start.
    #[error("{doing}")]
    Start {
        /// What was being done.
        doing: &'static str,
        /// What came back.
        #[source]
        source: std::io::Error,
    },
}

/// Runs the role server until the keeper's link ends.
///
/// `keeper` is a seqpacket link, `api` a listening unix stream socket, `logs` the folder with the
/// log rings, which this role can read only.
pub fn run(keeper: OwnedFd, api: OwnedFd, logs: &Path) -> Result<(), Error> {
    let failed = |doing| move |source| Error::Start { doing, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("start the event loop"))?;
    runtime.block_on(async {
        let listener = UnixListener::from(api);
        listener
            .set_nonblocking(true)
            .map_err(failed("listen on the API socket"))?;
        let listener = tokio::net::UnixListener::from_std(listener)
            .map_err(failed("listen on the API socket"))?;
        let link = links::AsyncLink::new(keeper).map_err(failed("watch the keeper's link"))?;
        server::serve(listener, link, logs).await
    })
}
