//! Files below a folder, by path, kind, owner, size and time of change.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The state folder of an app: what is in it is meant to stay.
const STATE: &str = ".toft";

/// A folder that is looked at.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The folder.
    pub root: PathBuf,
    /// Paths below it that are not looked at.
    pub skip: Vec<PathBuf>,
    /// Only entries of the folder whose name holds this are looked at, with all below them.
    pub only: Option<String>,
}

impl Watch {
    /// Everything below `root`.
    pub fn whole(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            skip: Vec::new(),
            only: None,
        }
    }

    /// The entries of `root` whose name holds `only`.
    pub fn named(root: impl Into<PathBuf>, only: &str) -> Self {
        Self {
            only: Some(only.to_owned()),
            ..Self::whole(root)
        }
    }

    /// Leaves out this path.
    pub fn without(mut self, path: &Path) -> Self {
        self.skip.push(path.to_owned());
        self
    }

    pub(super) fn lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if self
                .only
                .as_ref()
                .is_none_or(|only| name.to_string_lossy().contains(only))
            {
                self.walk(&entry.path(), &mut lines);
            }
        }
        lines
    }

    fn walk(&self, path: &Path, lines: &mut BTreeSet<String>) {
        if self.skip.iter().any(|skip| skip == path)
            || path.file_name().is_some_and(|name| name == STATE)
        {
            return;
        }
        // What is gone by now is not there.
        let Ok(meta) = fs::symlink_metadata(path) else {
            return;
        };
        let (mode, owner) = (meta.mode(), meta.uid());
        if meta.is_dir() {
            lines.insert(format!(
                "folder {} (mode {mode:o}, owner {owner})",
                path.display()
            ));
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                self.walk(&entry.path(), lines);
            }
        } else {
            let changed = format!("{}.{:09}", meta.mtime(), meta.mtime_nsec());
            let size = meta.size();
            lines.insert(format!(
                "file {} (mode {mode:o}, owner {owner}, {size} bytes, changed {changed})",
                path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_and_state_is_not() {
        let top = std::env::temp_dir().join(format!("files-{}", std::process::id()));
        fs::create_dir_all(top.join("app/.toft")).unwrap();
        let watch = Watch::whole(&top);
        let before = watch.lines();
        fs::write(top.join("app/.toft/entry"), "x").unwrap();
        assert_eq!(watch.lines(), before);
        fs::write(top.join("app/left"), "x").unwrap();
        assert_eq!(watch.lines().len(), before.len() + 1);
        assert_eq!(Watch::named(&top, "other").lines().len(), 0);
        fs::remove_dir_all(&top).unwrap();
    }
}
