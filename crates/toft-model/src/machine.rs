//! What a machine allows: the bounds of everything that any app may ever ask of its keeper.

use crate::sandbox::Source;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

/// The bounds. From `/etc/toft/machine.toml` on a machine; under `toft up` from the person's own
/// rights and the project folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// Host paths that may be shown read-only, each with all below it.
    pub read: Vec<PathBuf>,
    /// Host paths that may be written, each with all below it.
    pub write: Vec<PathBuf>,
    /// Whether an instance may stand on the machine's own network.
    pub network_host: bool,
}

/// An outside listening socket that the keeper makes for edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OuterListener {
    /// Address and port.
    pub address: SocketAddr,
}

/// Whether `path` is absolute and has neither `.` nor `..` nor doubled slashes.
pub fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path
            .components()
            .all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
        && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str()
}

impl Bounds {
    /// Whether a mount source stays inside these bounds.
    pub fn allow(&self, source: &Source) -> bool {
        match source {
            Source::Bind { path, write, .. } => {
                let within = |list: &[PathBuf]| list.iter().any(|top| path.starts_with(top));
                is_plain(path) && (within(&self.write) || (!write && within(&self.read)))
            }
            Source::Scratch { .. } | Source::File { .. } | Source::Link { .. } | Source::Dir => {
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_by_component_and_by_right() {
        let bounds = Bounds {
            read: vec!["/usr/lib".into()],
            write: vec!["/srv/app".into()],
            network_host: false,
        };
        let bind = |path: &str, write| Source::Bind {
            path: path.into(),
            write,
            exec: false,
            owner: None,
        };
        assert!(bounds.allow(&bind("/usr/lib/x", false)));
        assert!(bounds.allow(&bind("/srv/app", true)));
        assert!(bounds.allow(&bind("/srv/app/data", false)));
        assert!(!bounds.allow(&bind("/usr/lib/x", true)));
        assert!(!bounds.allow(&bind("/usr/libexec", false)));
        assert!(!bounds.allow(&bind("/usr/lib/../../etc/shadow", false)));
        assert!(!bounds.allow(&bind("usr/lib", false)));
        assert!(!bounds.allow(&bind("/srv/app//data", true)));
    }
}
