//! From a folder that a person edits to an immutable release.
//!
//! [`sync()`](sync::sync) makes the folder in which builds run equal to the sources,
//! [`collect()`](collect::collect) makes a content-addressed tree of what the build left there,
//! and [`watch::Watcher`] says when to begin again. The folder of the builds is written by code
//! that nobody vouches for, so that nothing here follows a symbolic link in it.

pub mod collect;
mod effects;
mod ledger;
mod scan;
mod skip;
mod stamp;
mod store;
pub mod sync;
pub mod watch;

pub use collect::{CollectError, Collected, collect, collect_until};
pub use store::{Pruned, has_tree, prune};
pub use sync::{Changes, Note, SyncError, sync, sync_until};
pub use watch::{Seen, WatchError, Watcher};

#[cfg(test)]
mod tests;
