//! Anything with a descriptor, on the event loop.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Owns what it wraps; the wrapped value keeps one descriptor for its whole life.
pub(crate) struct Pollable<T>(pub(crate) T);

/// A kind of value whose descriptor stays the same and open as long as the value lives.
pub(crate) trait Steady: AsFd {}

impl Steady for toft_link::Link {}
impl Steady for toft_observe::watch::Watch {}

impl<T: Steady> AsRawFd for Pollable<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Registers a value with the event loop of the current runtime.
pub(crate) fn register<T: Steady>(
    value: T,
    interest: Interest,
) -> std::io::Result<AsyncFd<Pollable<T>>> {
    // SAFETY: the value is owned by what is returned, so its descriptor stays open until it is
    // deregistered, and `Steady` promises that the descriptor never changes meanwhile: both types
    // that implement it hold one `OwnedFd` that nothing replaces.
    let registered = unsafe { AsyncFd::register_with_interest(Pollable(value), interest) };
    registered.map_err(Into::into)
}
