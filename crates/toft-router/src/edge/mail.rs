//! What the control thread and the serving threads tell each other.

use crate::routes::Routes;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use toft_model::InstanceId;

/// To a serving thread.
pub(super) enum ToWorker {
    /// Accept from this too.
    Listener(OwnedFd),
    /// Serve by this from now on.
    Table(Arc<Routes>),
    /// Blank sockets that were asked for; none when there are none to be had.
    Sockets(InstanceId, Vec<OwnedFd>),
    /// It ended.
    Exited(InstanceId),
    /// End.
    Stop,
}

/// From a serving thread; the number is its own.
pub(super) enum FromWorker {
    /// It needs so many blank sockets.
    Need(usize, InstanceId, u32),
    /// It serves by the table of this sequence number.
    Serving(usize, u64),
    /// Under the table of this sequence number, which does not have the instance, nothing is in
    /// flight to it any more.
    Drained(usize, InstanceId, u64),
    /// Its loop is over, by itself.
    Ended(usize),
}
