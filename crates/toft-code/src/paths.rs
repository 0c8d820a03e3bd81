//! A map from paths, ordered by their bytes.
//!
//! The standard order of paths goes by their components, and telling two apart takes longer than
//! all else that is done here with thousands of them. In byte order too, a folder stands before all
//! that is in it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// Paths, each with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathMap<V>(BTreeMap<OsString, V>);

impl<V> Default for PathMap<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> PathMap<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&V> {
        self.0.get(path.as_os_str())
    }

    pub(crate) fn contains_key(&self, path: &Path) -> bool {
        self.0.contains_key(path.as_os_str())
    }

    pub(crate) fn insert(&mut self, path: PathBuf, value: V) {
        self.0.insert(path.into_os_string(), value);
    }

    /// Leaves what is there.
    pub(crate) fn insert_new(&mut self, path: PathBuf, value: V) {
        self.0.entry(path.into_os_string()).or_insert(value);
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Path) -> bool) {
        self.0.retain(|path, _| keep(Path::new(path)));
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Path, &V)> {
        self.0.iter().map(|(path, value)| (Path::new(path), value))
    }

    /// Whether anything stands below a folder.
    pub(crate) fn has_below(&self, folder: &Path) -> bool {
        let mut first = folder.as_os_str().to_owned();
        first.push("/");
        let next = self
            .0
            .range::<OsStr, _>((Bound::Included(first.as_os_str()), Bound::Unbounded))
            .next();
        next.is_some_and(|(path, _)| {
            path.as_encoded_bytes()
                .starts_with(first.as_encoded_bytes())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_is_found() {
        let mut map = PathMap::default();
        map.insert("/a/b-c/d".into(), 1);
        assert!(map.has_below(Path::new("/a/b-c")) && map.has_below(Path::new("/a")));
        assert!(!map.has_below(Path::new("/a/b")) && !map.has_below(Path::new("/a/b-c/d")));
    }
}
