//! The store of releases: its folders, its lock, and what is thrown away.

use super::collect::{CollectError, is_hash};
use super::scan::open_root;
use super::stamp::Stamp;
use crate::{data, own};
use rustix::fs::{AtFlags, FlockOperation, Mode, fchmod, flock, fstat, statat};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

pub(super) struct Store {
    pub(super) path: PathBuf,
    /// Held as long as this lives.
    _lock: OwnedFd,
    /// The file system's clock when the lock was taken.
    pub(super) now: i64,
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, CollectError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| CollectError::Store { path, source }
        };
        std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed(path))?;
        own::folder(path).map_err(failed(path))?;
        for part in ["objects", "trees", "index"] {
            let part = path.join(part);
            own::folder(&part).map_err(failed(&part))?;
        }
        // The lock is the folder itself: no file of it is opened for that.
        let file = open_root(path).map_err(|e| failed(path)(e.into()))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| failed(path)(e.into()))?;
        let tmp = path.join("tmp");
        remove_tree(&tmp)
            .and_then(|()| std::fs::create_dir(&tmp))
            .map_err(failed(&tmp))?;
        let probe = tmp.join("clock");
        let now = File::create(&probe).and_then(|file| Ok(Stamp::from(&fstat(&file)?).mtime));
        let now = now.map_err(failed(&probe))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: file,
            now,
        })
    }

    pub(super) fn object(&self, hash: &str, executable: bool) -> PathBuf {
        let kind = if executable { ".x" } else { "" };
        self.path
            .join("objects")
            .join(&hash[..2])
            .join(format!("{}{kind}", &hash[2..]))
    }

    pub(super) fn failed(&self, path: &Path, source: io::Error) -> CollectError {
        CollectError::Store {
            path: self.path.join(path),
            source,
        }
    }

    /// Puts a fresh copy in the place of an object that can take no more names.
    pub(super) fn renew(&self, object: &Path) -> io::Result<()> {
        let spare = self.path.join("tmp/object");
        let mode = std::fs::metadata(object)?.permissions().mode() & 0o777;
        let to = own::fresh_file(&spare)?;
        data::copy(&File::open(object)?, &to, &AtomicBool::new(false))?;
        place(&to, &spare, object, mode)
    }
}

/// A folder that everybody may read, whatever the caller's umask.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Gives a finished file its rights and its name.
pub(super) fn place(file: &File, spare: &Path, object: &Path, mode: u32) -> io::Result<()> {
    fchmod(file, Mode::from_raw_mode(mode))?;
    if let Some(folder) = object.parent() {
        own::folder(folder)?;
    }
    std::fs::rename(spare, object)
}

/// Removes all trees but those named by their hashes, then all objects that no tree has.
///
/// Trees that are in use have to be among those named: what an instance sees would be emptied
/// under it.
pub fn prune(store: &Path, keep: &[String]) -> Result<Pruned, CollectError> {
    let store = Store::open(store)?;
    let mut pruned = Pruned::default();
    let trees = store.path.join("trees");
    for entry in list(&trees).map_err(|e| store.failed(&trees, e))? {
        let name = entry.file_name();
        if keep.iter().any(|hash| name == hash.as_str()) {
            continue;
        }
        let aside = store.path.join("tmp").join(&name);
        let gone = std::fs::rename(entry.path(), &aside).and_then(|()| remove_tree(&aside));
        gone.map_err(|e| store.failed(&entry.path(), e))?;
        pruned.trees += 1;
    }
    let objects = store.path.join("objects");
    for folder in list(&objects).map_err(|e| store.failed(&objects, e))? {
        let folder = folder.path();
        let mut left = false;
        for object in list(&folder).map_err(|e| store.failed(&folder, e))? {
            let data = object
                .metadata()
                .map_err(|e| store.failed(&object.path(), e))?;
            if data.nlink() > 1 {
                left = true;
                continue;
            }
            std::fs::remove_file(object.path()).map_err(|e| store.failed(&object.path(), e))?;
            pruned.bytes += data.len();
        }
        if !left {
            std::fs::remove_dir(&folder).map_err(|e| store.failed(&folder, e))?;
        }
    }
    Ok(pruned)
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many trees.
    pub trees: u64,
    /// How many bytes of files.
    pub bytes: u64,
}

fn list(folder: &Path) -> io::Result<Vec<std::fs::DirEntry>> {
    std::fs::read_dir(folder)?.collect()
}

/// Removes a folder that may not be there; its own folders may be read-only.
fn remove_tree(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether a store has a tree, for a caller who knows its hash.
pub fn has_tree(store: &Path, hash: &str) -> bool {
    is_hash(hash)
        && open_root(&store.join("trees"))
            .and_then(|trees| statat(trees.as_fd(), hash, AtFlags::SYMLINK_NOFOLLOW))
            .is_ok()
}
