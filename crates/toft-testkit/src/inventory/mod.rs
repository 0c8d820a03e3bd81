//! What is there: processes, mounts, cgroups, namespaces, sockets and files, as lines to compare.

mod files;
mod kernel;
mod process;
mod sockets;

pub use files::Watch;
pub use kernel::cgroup_tops;
pub use process::{Process, descendants, processes};

use anyhow::Result;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where an inventory looks.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only the test's own processes act in this mount namespace.
    pub private: bool,
    /// Only the test's own processes act in this network namespace.
    pub own_network: bool,
    /// Files that are looked at.
    pub watches: Vec<Watch>,
    /// Folders of the cgroup hierarchies below which cgroups are looked for.
    pub cgroups: Vec<PathBuf>,
}

/// Everything that was there at one moment, one line for each thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    lines: BTreeSet<String>,
}

impl Inventory {
    /// Its lines, sorted.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// The same without the lines that `unrelated` picks out.
    pub fn without(mut self, unrelated: impl Fn(&str) -> bool) -> Self {
        self.lines.retain(|line| !unrelated(line));
        self
    }
}

/// Takes stock. Things that vanish while one looks are not there.
pub fn take(scope: &Scope) -> Result<Inventory> {
    let ours = descendants()?;
    let mut lines = BTreeSet::new();
    lines.extend(ours.iter().map(Process::to_string));
    lines.extend(kernel::mounts()?);
    lines.extend(kernel::cgroups(scope));
    lines.extend(kernel::namespaces(&ours));
    lines.extend(sockets::sockets(scope, &ours)?);
    for watch in &scope.watches {
        lines.extend(watch.lines());
    }
    Ok(Inventory { lines })
}

/// What is new (`+`) and what is gone (`-`), in readable lines.
pub fn diff(before: &Inventory, after: &Inventory) -> Vec<String> {
    let new = after
        .lines
        .difference(&before.lines)
        .map(|line| format!("+ {line}"));
    let gone = before
        .lines
        .difference(&after.lines)
        .map(|line| format!("- {line}"));
    new.chain(gone).collect()
}
