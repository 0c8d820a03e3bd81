//! The spawner: what may be slow, done for the keeper.
use std::os::fd::OwnedFd;
/// Why the spawner ended other than by the end of its link.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No order came.
    #[error("the spawner was not told what to be: it is started by the keeper, not by hand")]
    NoOrder,
}
/// Serves the keeper.
pub fn run(link: OwnedFd) -> Result<(), Error> {
    drop(link);
    Err(Error::NoOrder)
}
